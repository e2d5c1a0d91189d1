# SPDX-License-Identifier: Apache-2.0
"""Amazon's hosts, reached through a proxy of the web that leads to a MinIO with
their names: each request goes to the host, with the path and the scope of
signature, that boto3 has for the same."""

import ssl
import subprocess
from urllib.parse import unquote

import boto3
import pytest
from botocore.config import Config

import servers
from conftest import fresh_name
from proxy import Proxy
from servers import MinIO

REGION = "us-east-1"
TAIL = f"{REGION}.amazonaws.com"
DOMAINS = [
    f"s3{fips}{dual}.{TAIL}" for fips in ("", "-fips") for dual in ("", ".dualstack")
]
POINTS = [d.replace("s3", "s3-accesspoint", 1) for d in DOMAINS]
ACCOUNT = "123456789012"


class Amazon(MinIO):
    """It looks for buckets in front of those names."""

    def more_env(self):
        return super().more_env() | {"MINIO_DOMAIN": ",".join(DOMAINS + POINTS)}


@pytest.fixture(scope="module")
def amazon(tmp_path_factory):
    server = Amazon(tmp_path_factory.mktemp("amazon")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Of each of those hosts, and those below them."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = [f"DNS:{w}{d}" for d in DOMAINS + POINTS for w in ("", "*.")]
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", "subjectAltName=" + ",".join(names)]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def web(amazon, certificate):
    """The proxy of the web."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    proxy = Proxy(amazon.endpoint, context)
    proxy.tunnels = True
    proxy.start()
    yield proxy
    proxy.stop()


class Bucket:
    """What mounts() wants to know."""

    def __init__(self, server, name, web, certificate):
        self.source = f"s3://{name}"
        self.options = {"region": REGION, "ca_bundle": certificate[0]}
        self.env = server.env() | {"https_proxy": f"http://127.0.0.1:{web.port}"}


def boto(web, certificate, fips, dual_stack):
    # The module's own session keeps the settings it has read first.
    return boto3.session.Session().client(
        "s3",
        region_name=REGION,
        aws_access_key_id=servers.ACCESS_KEY,
        aws_secret_access_key=servers.SECRET_KEY,
        verify=str(certificate[0]),
        config=Config(
            s3={"us_east_1_regional_endpoint": "regional"},
            use_fips_endpoint=fips,
            use_dualstack_endpoint=dual_stack,
            proxies={"https": f"http://127.0.0.1:{web.port}"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": 1},
        ),
    )


def spot(request):
    """Host, path and query, and what its signature is for."""
    scope = request.headers["authorization"].partition("Credential=")[2]
    scope = scope.partition(",")[0].split("/")[2:]
    return request.headers["host"], unquote(request.target), scope


@pytest.mark.option("fips", "dual_stack")
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual_stack", [False, True])
@pytest.mark.parametrize("kind", ["bucket", "dotted", "point"])
def test_where_requests_go(amazon, web, certificate, mounts, kind, fips, dual_stack):
    name = fresh_name()
    if kind == "dotted":
        name = f"{name}.x"
    real = f"{name}-{ACCOUNT}" if kind == "point" else name
    servers.client(amazon.endpoint).create_bucket(Bucket=real)
    if kind == "point":
        name = f"arn:aws:s3:{REGION}:{ACCOUNT}:accesspoint/{name}"
    m = mounts(
        Bucket(amazon, name + "/run", web, certificate),
        fips=fips or None,
        dual_stack=dual_stack or None,
    ).mount()
    (m / "f").write_bytes(b"x")
    m.sync()
    m.run("evict", m / "f")
    assert (m / "f").read_bytes() == b"x"
    (m / "f").unlink()
    m.umount()
    ours = [spot(r) for r in web.requests(path="run/f") if r.method != "HEAD"]
    assert len(ours) == 3
    begun = len(web.requests())
    s3 = boto(web, certificate, fips, dual_stack)
    s3.put_object(Bucket=name, Key="run/f", Body=b"x")
    s3.get_object(Bucket=name, Key="run/f")
    s3.delete_object(Bucket=name, Key="run/f")
    theirs = [spot(r) for r in web.requests()[begun:]]
    # botocore says which call it was by a query of its own
    theirs = [(h, t.partition("?")[0], s) for h, t, s in theirs]
    assert ours == theirs
    assert {a.split()[1] for a in web.asked_for} == {f"{ours[0][0]}:443"}


CONFIG = """[default]
use_fips_endpoint = true
use_dualstack_endpoint = {}
"""


@pytest.mark.parametrize(
    ("variables", "profile", "host"),
    [
        ({"AWS_USE_FIPS_ENDPOINT": "True"}, "", "s3-fips"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "", "s3.dualstack"),
        ({}, CONFIG.format("true"), "s3-fips.dualstack"),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, CONFIG.format("no"), "s3"),
        ({"AWS_USE_FIPS_ENDPOINT": ""}, CONFIG.format("no"), "s3-fips"),
    ],
)
def test_other_settings_choose_the_host(
    amazon, web, certificate, mounts, tmp_path, monkeypatch, variables, profile, host
):
    """As boto3 takes them, too."""
    name = fresh_name()
    servers.client(amazon.endpoint).create_bucket(Bucket=name)
    (tmp_path / "config").write_text(profile)
    variables = variables | {"AWS_CONFIG_FILE": str(tmp_path / "config")}
    b = Bucket(amazon, name, web, certificate)
    b.env |= variables
    m = mounts(b).mount()
    m.umount()
    want = {f"{name}.{host}.{TAIL}"}
    assert {r.headers["host"] for r in web.requests()} == want
    if "" in variables.values():
        return  # botocore takes an empty one for false, other SDKs for none
    begun = len(web.requests())
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    boto(web, certificate, None, None).list_objects_v2(Bucket=name)
    assert {r.headers["host"] for r in web.requests()[begun:]} == want


@pytest.mark.parametrize("form", ["no_proxy", "NO_PROXY"])
def test_no_proxy_is_heeded(amazon, web, certificate, mounts, form):
    """Nobody is asked then, and there is no such host by itself."""
    b = Bucket(amazon, fresh_name(), web, certificate)
    b.env[form] = ".amazonaws.com"
    m = mounts(b)
    m.mount(status=1, connect_timeout="200ms")
    assert web.asked_for == []


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "https_proxy"])
def test_which_proxy_is_asked(s3_bucket, s3_server, proxy, mounts, name):
    """Of plain requests the small name alone: the large one is a header of CGI."""
    s3_bucket.env[name] = proxy.endpoint
    m = mounts(s3_bucket, endpoint_url=s3_server.endpoint).mount()
    (m / "f").write_bytes(b"x")
    m.umount()
    assert bool(proxy.requests()) == (name == "http_proxy")
    assert s3_bucket.get("f") == b"x"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("arn:aws:s3:us-east-1:123456789012", "is not the ARN of an access point"),
        ("arn:aws:s3::123456789012:accesspoint/alias.mrap", "in several regions"),
        ("arn:aws:s3-outposts:us-east-1:1:outpost/o", "ARN of an access point"),
        ("arn:aws:s3:us-east-1:1:accesspoint/a_b", "no access point that can be"),
        ("arn:aws:s3:evil.example/:1:accesspoint/a", "no access point that can be"),
    ],
)
def test_arns_that_cannot_be_used(amazon, web, certificate, mounts, source, said):
    m = mounts(Bucket(amazon, source, web, certificate))
    m.mount(status=2)
    assert said in m.said
    assert web.asked_for == []


@pytest.mark.parametrize("option", ["fips", "dual_stack"])
def test_a_server_of_ones_own_has_no_such_hosts(s3_mount, proxy, option):
    s3_mount.mount(status=2, **{option: True})
    assert "exclude endpoint_url" in s3_mount.said
    assert proxy.requests() == []
