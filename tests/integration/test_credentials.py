# SPDX-License-Identifier: Apache-2.0
"""Every way of docs/credentials.md: botocore and ckptfs, in the same
environment, find the same credentials; and what happens when they end."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time

import pytest

import servers
from fake_aws import Container, Imds, Oidc, Role, Sso, Sts, now, text_date
from mount import program, wait_until
from proxy import Proxy
from test_security import make_certificate, server_context

ACCOUNT = "arn:aws:iam::123456789012:role"
BASE_KEY, BASE_SECRET = "AKIABASE", "base/secret+key="
BASE = f"aws_access_key_id = {BASE_KEY}\naws_secret_access_key = {BASE_SECRET}\n"
BOTOCORE = """
import json, botocore.session
c = botocore.session.Session().get_credentials().get_frozen_credentials()
print(json.dumps([c.access_key, c.secret_key, c.token]))
"""


class World:
    """A home folder, files in it, fakes, and an environment that names them."""

    def __init__(self, folder):
        self.home = folder / "home"
        (self.home / ".aws").mkdir(parents=True)
        self.fakes = []
        self.env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_DEFAULT_REGION": servers.REGION,
            "no_proxy": "*",
        }

    def start(self, fake):
        self.fakes.append(fake.start())
        return fake

    def write(self, name, text, mode=0o600):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(textwrap.dedent(text))
        fresh.chmod(mode)
        fresh.rename(path)
        return path

    def config(self, text):
        self.write(".aws/config", text)

    def sts(self, **roles):
        """STS that knows the base key and these roles."""
        roles = {f"{ACCOUNT}/{name}": role for name, role in roles.items()}
        sts = self.start(Sts({BASE_KEY: BASE_SECRET}, roles))
        self.env["AWS_ENDPOINT_URL_STS"] = sts.url
        return sts

    def sso(self):
        sso = self.start(Sso())
        oidc = self.start(Oidc(sso))
        self.env["AWS_ENDPOINT_URL_SSO"] = sso.url
        self.env["AWS_ENDPOINT_URL_SSO_OIDC"] = oidc.url
        return oidc

    def login(self, name, seconds, **more):
        """The cache of a login that ends in `seconds`."""
        digest = hashlib.sha1(name.encode()).hexdigest()
        end = text_date(now().fromtimestamp(time.time() + seconds, now().tzinfo))
        cache = {"accessToken": "access-1", "expiresAt": end, **more}
        return self.write(f".aws/sso/cache/{digest}.json", json.dumps(cache))

    def imds(self, **more):
        imds = self.start(Imds(**more))
        self.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = imds.url
        del self.env["AWS_EC2_METADATA_DISABLED"]
        return imds

    def container(self):
        container = self.start(Container())
        full = container.url + "/creds?id=1"
        self.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = full
        return container

    def botocore(self):
        """What botocore finds: [key, secret, token]."""
        done = subprocess.run(
            [sys.executable, "-c", BOTOCORE],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def probe(self, bucket, status=0, **options):
        """`ckptfs probe --json --read-only` of the bucket: its document."""
        options = {**bucket.options, **options}
        dash_o = ",".join(f"{k}={v}" for k, v in options.items())
        command = [program(), "probe", bucket.source, "--json", "--read-only"]
        done = subprocess.run(
            [*command, "-o", dash_o],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        shown = done.stdout + done.stderr
        for secret in (servers.SECRET_KEY, BASE_SECRET, "access-", "refresh-"):
            assert secret not in shown
        return json.loads(done.stdout)


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    for fake in w.fakes:
        fake.stop()
    assert [f.problems for f in w.fakes if f.problems] == []


def token_of(request):
    return request.headers.get("x-amz-security-token")


def key_of(request):
    return request.headers["authorization"].partition("Credential=")[2].split("/")[0]


# ---- one function for each way: it sets the world up, and returns the token
# that must arrive and a word of what probe says


def environment(w):
    w.env["AWS_ACCESS_KEY_ID"] = servers.ACCESS_KEY
    w.env["AWS_SECRET_ACCESS_KEY"] = servers.SECRET_KEY
    w.env["AWS_SESSION_TOKEN"] = "environment"
    w.config(f"[default]\n{BASE}")
    return "environment", "the environment"


def role(w):
    w.sts(r=Role({BASE_KEY}, external_id="a:b/c@d", seconds=900))
    w.config(f"""\
        [default]
        role_arn = {ACCOUNT}/r
        source_profile = base
        external_id = a:b/c@d
        duration_seconds = 900
        role_session_name = me@host
        [profile base]
        aws_access_key_id = {BASE_KEY}
        aws_secret_access_key = {BASE_SECRET}
        """)
    return f"{ACCOUNT}/r!+/=", f'{ACCOUNT}/r of profile "default", by profile "base"'


def roles_in_a_row(w):
    w.sts(a=Role({f"{ACCOUNT}/b"}), b=Role({BASE_KEY}))
    w.config(f"""\
        [profile top]
        role_arn = {ACCOUNT}/a
        source_profile = mid
        [profile mid]
        role_arn = {ACCOUNT}/b
        source_profile = base
        """)
    w.write(".aws/credentials", f"[base]\n{BASE}")
    w.env["AWS_PROFILE"] = "top"
    return f"{ACCOUNT}/a!+/=", "/b of profile"


def role_of_its_own_keys(w):
    w.sts(r=Role({BASE_KEY}))
    w.config(f"[profile x]\nrole_arn = {ACCOUNT}/r\nsource_profile = x\n{BASE}")
    w.env["AWS_PROFILE"] = "x"
    return f"{ACCOUNT}/r!+/=", "role"


def role_by_an_instance(w):
    imds = w.imds()
    sts = w.sts(r=Role({"imds"}))
    for n in range(1, 9):
        sts.tokens[f"imds!{n}"] = (servers.ACCESS_KEY, servers.SECRET_KEY)
    w.config(
        f"[default]\nrole_arn = {ACCOUNT}/r\ncredential_source = Ec2InstanceMetadata\n"
    )
    return f"{ACCOUNT}/r!+/=", f"by role {imds.role}"


def role_by_a_container(w):
    w.container()
    sts = w.sts(r=Role({"container"}))
    for n in range(1, 9):
        sts.tokens[f"container!{n}"] = (servers.ACCESS_KEY, servers.SECRET_KEY)
    w.config(f"[default]\nrole_arn = {ACCOUNT}/r\ncredential_source = EcsContainer\n")
    return f"{ACCOUNT}/r!+/=", "container"


def web_identity(w):
    w.sts(pod=Role(web="eyJh.eyJz.c2ln"))
    w.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(w.write("token", "eyJh.eyJz.c2ln"))
    w.env["AWS_ROLE_ARN"] = f"{ACCOUNT}/pod"
    w.env["AWS_ROLE_SESSION_NAME"] = "pod-1"
    w.write(".aws/credentials", f"[default]\n{BASE}")
    return f"{ACCOUNT}/pod!+/=", "web identity"


def web_identity_of_a_profile(w):
    w.sts(pod=Role(web="eyJh.eyJz.c2ln"), top=Role({f"{ACCOUNT}/pod"}))
    path = w.write("token", "eyJh.eyJz.c2ln")
    w.config(f"""\
        [default]
        role_arn = {ACCOUNT}/top
        source_profile = web
        [profile web]
        role_arn = {ACCOUNT}/pod
        web_identity_token_file = {path}
        """)
    return f"{ACCOUNT}/top!+/=", "by the web identity"


SESSION = """\
    [default]
    sso_session = my session
    sso_account_id = 123456789012
    sso_role_name = Train+Write
    [sso-session "my session"]
    sso_region = us-east-1
    sso_start_url = https://example.com/start
    sso_registration_scopes = sso:account:access
    """


def sso(w):
    w.sso()
    w.login("my session", 3600)
    w.config(SESSION)
    return "sso!Train+Write", "SSO role Train+Write of account 123456789012"


def sso_of_the_older_form(w):
    w.sso()
    w.login("https://example.com/start", 600)
    w.config("""\
        [default]
        sso_start_url = https://example.com/start
        sso_region = us-east-1
        sso_account_id = 123456789012
        sso_role_name = r
        """)
    return "sso!r", "SSO role r"


def credentials_file(w):
    w.write(
        "elsewhere",
        f"[x]\naws_access_key_id = {servers.ACCESS_KEY}\n"
        f"aws_secret_access_key={servers.SECRET_KEY}\naws_session_token = file\n",
    )
    w.env["AWS_SHARED_CREDENTIALS_FILE"] = "~/elsewhere"
    w.env["AWS_PROFILE"] = "x"
    w.config(f"[profile x]\n{BASE}")
    return "file", "elsewhere"


def process(w):
    printed = {
        "Version": 1,
        "AccessKeyId": servers.ACCESS_KEY,
        "SecretAccessKey": servers.SECRET_KEY,
        "SessionToken": "$HOME *",
        "Expiration": text_date(now().replace(year=now().year + 1)),
    }
    w.write("doc", json.dumps(printed))
    w.write("my tool", '#!/bin/sh\n[ "$1" = "a b" ] && cat "$HOME/doc"\n', 0o700)
    w.config(f"[default]\ncredential_process = \"{w.home}/my tool\" 'a b'\n{BASE}")
    return "$HOME *", "credential_process"


def config_file(w):
    w.config(
        f"[default]\naws_access_key_id = {servers.ACCESS_KEY}\n"
        f"aws_secret_access_key = {servers.SECRET_KEY}\n"
        "aws_session_token = config\n"
    )
    w.write(".aws/credentials", f"[other]\n{BASE}")
    w.container()
    return "config", ".aws/config"


def container(w):
    w.container().token = "Basic abc="
    w.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic abc="
    w.imds()
    return "container!2", "container's agent"


def container_with_a_token_file(w):
    w.container().token = "from-file"
    path = w.write("token", "from-file")
    w.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(path)
    w.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "stale"
    return "container!2", "container's agent"


def instance(w):
    w.imds()
    return "imds!2", "instance-role of this instance"


def instance_of_version_1(w):
    w.imds(v1=True)
    return "imds!2", "instance-role of this instance"


WAYS = [
    *(environment, role, roles_in_a_row, role_of_its_own_keys, role_by_an_instance),
    *(role_by_a_container, web_identity, web_identity_of_a_profile, sso),
    *(sso_of_the_older_form, credentials_file, process, config_file, container),
    *(container_with_a_token_file, instance, instance_of_version_1),
]


@pytest.mark.parametrize("way", WAYS, ids=[w.__name__ for w in WAYS])
def test_both_find_the_same(way, world, s3_bucket, proxy):
    token, word = way(world)
    key, secret, found = world.botocore()
    assert (key, secret) == (servers.ACCESS_KEY, servers.SECRET_KEY)
    assert found.partition("!")[0] == token.partition("!")[0]
    seen = [len(f.asked) for f in world.fakes]
    doc = world.probe(s3_bucket)
    assert word in doc["credentials"]["from"], doc
    # The clock is asked for without any.
    signed = [r for r in proxy.requests() if "authorization" in r.headers]
    for request in signed:
        assert (key_of(request), token_of(request)) == (servers.ACCESS_KEY, token)
    assert signed
    # As many requests as botocore needs, and no more.
    assert [len(f.asked) for f in world.fakes] == [2 * n for n in seen]


def test_a_login_is_renewed_by_either_and_for_the_other(world, s3_bucket):
    oidc = world.sso()
    world.config(SESSION)
    client = {
        "refreshToken": "refresh-1",
        "clientId": "client",
        "clientSecret": "client-secret",
        "registrationExpiresAt": text_date(now().replace(year=now().year + 1)),
    }
    cache = world.login("my session", 600, **client)
    world.probe(s3_bucket)
    assert json.loads(cache.read_text())["refreshToken"] == "refresh-2"
    assert cache.stat().st_mode & 0o777 == 0o600
    # botocore reads what we wrote, and needs no other one yet
    assert world.botocore()[2] == "sso!Train+Write"
    assert len(oidc.asked) == 1
    # and what it writes is read by us
    world.login("my session", 600, **client | {"refreshToken": "refresh-2"})
    world.botocore()
    assert len(oidc.asked) == 2
    world.probe(s3_bucket)
    assert len(oidc.asked) == 2
    # What ends, and cannot be renewed, has to be logged in to again.
    world.login("my session", -1, **client | {"refreshToken": "used up"})
    doc = world.probe(s3_bucket, status=1)
    assert "aws sso login --profile default" in doc["trials"][0]["said"]


def test_what_needs_a_person_is_refused_in_words(world, s3_bucket):
    sts = world.sts(r=Role({BASE_KEY}))
    world.config(
        f"[default]\nrole_arn = {ACCOUNT}/r\nsource_profile = base\n"
        f"mfa_serial = arn:aws:iam::123456789012:mfa/me\n[profile base]\n{BASE}"
    )
    doc = world.probe(s3_bucket, status=1)
    assert "mfa_serial" in doc["trials"][0]["said"]
    assert sts.asked == []


def test_what_sts_refuses_is_told(world, s3_bucket):
    world.sts(r=Role(set()))
    world.config(
        f"[default]\nrole_arn = {ACCOUNT}/r\nsource_profile = base\n"
        f"[profile base]\n{BASE}"
    )
    doc = world.probe(s3_bucket, status=1)
    assert "AccessDenied" in doc["trials"][0]["said"]
    assert "credentials" not in doc


def test_sts_over_tls(world, s3_bucket, tmp_path):
    sts = world.sts(r=Role({BASE_KEY}))
    files = make_certificate(tmp_path)
    tls = Proxy(sts.url, server_context(*files)).start()
    world.env["AWS_ENDPOINT_URL_STS"] = tls.endpoint
    world.config(
        f"[default]\nrole_arn = {ACCOUNT}/r\nsource_profile = base\n"
        f"[profile base]\n{BASE}"
    )
    try:
        doc = world.probe(s3_bucket, status=1)
        assert "certificate" in doc["trials"][0]["said"]
        assert sts.asked == []
        world.env["AWS_CA_BUNDLE"] = str(files[0])
        assert world.botocore()[2] == f"{ACCOUNT}/r!+/="
        world.probe(s3_bucket)
        assert len(sts.asked) == 2
    finally:
        tls.stop()


# ---- on a live mount


@pytest.fixture
def live(world, s3_bucket, mounts):
    """A mount by a container's agent; its fake."""
    agent = world.container()
    m = mounts(s3_bucket, passthrough="off", part_size="5M", max_uploads=1)
    m.env = dict(world.env)
    return m, agent


def test_f47_credentials_that_end_within_an_upload(live, s3_bucket, proxy):
    """The same upload goes on with new ones, and no part is sent in vain."""
    m, agent = live
    m.mount()
    proxy.fault(
        "status",
        method="PUT",
        path=r"/f\?.*partNumber=2",
        code=400,
        name="ExpiredToken",
    )
    data = os.urandom(18 << 20)
    (m / "f").write_bytes(data)
    m.sync()
    parts = proxy.requests("PUT", r"/f\?.*partNumber")
    assert len({p.query["uploadId"][0] for p in parts}) == 1
    numbers = sorted(int(p.query["partNumber"][0]) for p in parts)
    assert numbers == [1, 2, 2, 3, 4]
    twice = [token_of(p) for p in parts if p.query["partNumber"] == ["2"]]
    assert twice == ["container!1", "container!2"]
    assert agent.number == 2
    assert [c for c in proxy.commits() if c[1] == "f"] == [("complete", "f")]
    assert s3_bucket.get("f") == data
    m.umount()


def write_until(m, check, what):
    """Small files, each sent, until check() is true."""
    count = 0

    def once():
        nonlocal count
        count += 1
        (m / f"n{count}").write_bytes(b"x")
        m.sync()
        return check()

    wait_until(once, 60, what)


def test_f48_credentials_are_renewed_ahead_and_kept_meanwhile(live, proxy):
    m, agent = live
    agent.seconds = 20
    m.mount(upload_delay="0")
    agent.fail = 500
    begun = len(agent.asked)
    # It is asked again in vain, and the old ones go on.
    write_until(m, lambda: len(agent.asked) > begun, "a renewal ahead")
    assert {token_of(r) for r in proxy.requests()} == {"container!1"}
    (m / "more").write_bytes(b"x")
    m.sync()
    # Once they have ended, what waits says why, and goes on by itself.
    wait_until(lambda: "container's agent" in waits(m), 60, "a reason to wait")
    agent.fail = None
    m.sync()
    assert "container!2" in {token_of(r) for r in proxy.requests()}
    m.umount()


def waits(m):
    """A new file's reason to wait."""
    (m / "waits").write_bytes(b"y")
    m.sync(timeout=1, status=None)
    return json.dumps(m.status(m / "waits"))


def test_rotated_files_are_noticed(world, s3_bucket, mounts, proxy):
    def rotate(token):
        world.write(
            ".aws/credentials",
            f"[default]\naws_access_key_id = {servers.ACCESS_KEY}\n"
            f"aws_secret_access_key = {servers.SECRET_KEY}\n"
            f"aws_session_token = {token}\n",
        )

    rotate("one")
    m = mounts(s3_bucket, upload_delay="0")
    m.env = dict(world.env)
    m.mount()
    assert {token_of(r) for r in proxy.requests()} == {"one"}
    world.write(".aws/credentials", "[default]\naws_access_key_id = half\n")
    write_until(m, lambda: "cannot be renewed" in m.log_tail(), "a broken file")
    assert {token_of(r) for r in proxy.requests()} == {"one"}
    rotate("two")
    write_until(
        m, lambda: "two" in {token_of(r) for r in proxy.requests()}, "the new token"
    )
    text = m.log.read_text()
    assert servers.SECRET_KEY not in text
    m.umount()


def test_s10_no_secret_of_any_way_is_left_anywhere(world, s3_bucket, mounts):
    """As test_s10_no_secret_is_left_anywhere, of what the chain learns."""
    world.container().token = "Basic hunter2="
    world.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic hunter2="
    m = mounts(s3_bucket)
    m.env = dict(world.env)
    m.mount(log_level="debug")
    (m / "f").write_bytes(b"x")
    m.sync()
    with open(f"/proc/{m.pid()}/environ", "rb") as f:
        environ = f.read()
    status = m.run("status", m.path, "--json").stdout
    m.umount()
    assert b"PATH=" in environ
    for secret in ("hunter2", servers.SECRET_KEY, "container!1"):
        assert secret not in m.log.read_text() + m.said + status
        assert secret.encode() not in environ


# ---- the addresses that are fixed, in a network of their own

FIXED = """
import json, subprocess, sys
from fake_aws import Container, Imds
fake = {fake}.start()
out = subprocess.run({command}, capture_output=True, text=True).stdout
boto = subprocess.run([sys.executable, "-c", {boto!r}], capture_output=True, text=True)
fake.stop()
print(json.dumps([json.loads(out), json.loads(boto.stdout), fake.problems]))
"""


def in_a_network(world, address, script):
    """script in a network with lo alone, which has the address, too."""
    setup = f'ip link set lo up && ip addr add {address} dev lo && exec "$@"'
    command = ["unshare", "-n", "sh", "-ec", setup, "sh", sys.executable, "-c", script]
    here = os.path.dirname(os.path.abspath(__file__))
    env = dict(world.env, PYTHONPATH=here)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PROBE_NOTHING = ["probe", "s3://no-bucket", "--json", "--read-only"]
NOWHERE = ["-o", "endpoint_url=http://127.0.0.1:1"]


@pytest.mark.root
@pytest.mark.parametrize("fake", [Container, Imds])
def test_the_addresses_of_an_agent_and_of_an_instance(world, fake):
    address = {Container: "169.254.170.2", Imds: "169.254.169.254"}[fake]
    if fake is Container:
        world.env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/creds?id=1"
    else:
        del world.env["AWS_EC2_METADATA_DISABLED"]
    script = FIXED.format(
        fake=f"{fake.__name__}(address=({address!r}, 80))",
        command=[program(), *PROBE_NOTHING, *NOWHERE],
        boto=BOTOCORE,
    )
    doc, (key, _, token), problems = in_a_network(world, f"{address}/32", script)
    assert problems == []
    assert (key, token.partition("!")[2]) == (servers.ACCESS_KEY, "2")
    assert doc["trials"][0]["state"] == "ok", doc
    assert doc["trials"][1]["state"] == "failed"


@pytest.mark.root
def test_a_machine_that_is_no_instance_fails_fast(world):
    """Nobody answers at the address, as in most networks."""
    del world.env["AWS_EC2_METADATA_DISABLED"]
    command = [program(), *PROBE_NOTHING, *NOWHERE]
    script = (
        "import json, socket, subprocess, time\n"
        # a queue that is full: the kernel drops what comes
        "s = socket.socket(); s.bind(('169.254.169.254', 80)); s.listen(0)\n"
        "full = [socket.socket() for _ in range(3)]\n"
        "for c in full: c.setblocking(False); c.connect_ex(('169.254.169.254', 80))\n"
        "t = time.monotonic()\n"
        f"p = subprocess.run({command}, capture_output=True, text=True)\n"
        "print(json.dumps([time.monotonic() - t, json.loads(p.stdout)]))\n"
    )
    took, doc = in_a_network(world, "169.254.169.254/32", script)
    assert "did not answer" in doc["trials"][0]["said"]
    assert 0.9 < took < 5
