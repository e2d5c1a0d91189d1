# SPDX-License-Identifier: Apache-2.0
"""Ways to an access token of Google: google-auth and ckptfs, in the same
environment, get one from the same fake; and what happens when it ends."""

import json
import os
import subprocess
import sys

import pytest

from fake_google import SCOPE, Federation, Metadata, Tokens
from mount import program, wait_until

# google-auth asks for refreshed users' tokens at one address, whatever the file
# says.
GOOGLE_AUTH = """
import json, sys
import google.auth, google.auth.iam, google.oauth2.credentials
from google.auth.transport.requests import Request
google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT = sys.argv[1]
google.auth.iam._IAM_ENDPOINT = sys.argv[3] + "/{}:generateAccessToken"
c, _ = google.auth.default(scopes=[sys.argv[2]])
c.refresh(Request())
print(c.token)
"""


class World:
    """A home folder, fakes, and an environment that names them."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir()
        self.tokens = Tokens().start()
        self.metadata = Metadata().start()
        self.federation = Federation().start()
        self.fakes = [self.tokens, self.metadata, self.federation]
        self.env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "GCE_METADATA_HOST": "127.0.0.1:9",  # nobody
            "GCE_METADATA_IP": "127.0.0.1:9",
            "no_proxy": "*",
            "GOOGLE_CLOUD_PROJECT": "project",  # google-auth asks for it else
        }

    def file(self, what, name="key.json"):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(what if isinstance(what, str) else json.dumps(what))
        path.chmod(0o600)
        return path

    def key(self):
        path = self.file(self.tokens.new_key())
        self.env["GOOGLE_APPLICATION_CREDENTIALS"] = str(path)

    def user(self):
        name = ".config/gcloud/application_default_credentials.json"
        self.file(self.tokens.new_user(), name)

    def machine(self):
        self.env["GCE_METADATA_HOST"] = self.metadata.host
        self.env["GCE_METADATA_IP"] = self.metadata.host

    def use(self, file):
        self.env["GOOGLE_APPLICATION_CREDENTIALS"] = str(self.file(file))

    def token_file(self):
        path = self.file(self.federation.subject, "token")
        self.use(self.federation.account({"file": str(path)}))

    def token_url(self):
        source = {"url": f"{self.federation.url}/subject", "headers": {"X-Job": "7"}}
        source["format"] = {"type": "json", "subject_token_field_name": "value"}
        client = ("client+1", "secret:2")
        self.federation.client = client
        both = {"client_id": client[0], "client_secret": client[1]}
        self.use(self.federation.account(source, **both))

    def token_acts(self):
        path = self.file(self.federation.subject, "token")
        life = {"token_lifetime_seconds": 2800}
        self.use(
            self.federation.account(
                {"file": str(path)}, act=True, service_account_impersonation=life
            )
        )

    def user_acts(self):
        self.federation.others = self.tokens
        self.use(
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": self.federation.act_url(),
                "delegates": [],
                "source_credentials": self.tokens.new_user(),
            }
        )

    def google_auth(self):
        """The token that google-auth gets."""
        accounts = self.federation.url + self.federation.accounts.rstrip("/")
        cmd = [sys.executable, "-c", GOOGLE_AUTH, f"{self.tokens.url}/token", SCOPE]
        cmd.append(accounts)
        done = subprocess.run(
            cmd, env=self.env, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout.strip()

    def problems(self):
        return [p for fake in self.fakes for p in fake.problems]


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    for fake in w.fakes:
        fake.stop()


@pytest.fixture
def mnt(gcs_bucket, mounts, world):
    """A mount with the credentials of the world."""
    gcs_bucket.options.pop("anonymous")
    gcs_bucket.env = {**world.env}
    return mounts(gcs_bucket)


def bearers(proxy):
    return [r.headers.get("authorization") for r in proxy.requests()]


@pytest.mark.parametrize("way", ["key", "user", "machine"])
def test_each_way_leads_to_a_token(way, world, mnt, gcs_proxy):
    getattr(world, way)()
    fake = world.metadata if way == "machine" else world.tokens
    assert world.google_auth() == "ya29.token-1"
    assert world.problems() == []
    mnt.env |= world.env
    mnt.mount()
    assert fake.tokens == ["ya29.token-1", "ya29.token-2"]
    assert set(bearers(gcs_proxy)) == {"Bearer ya29.token-2"}
    assert world.problems() == []
    assert "ya29" not in mnt.log.read_text()


def test_a_token_is_renewed_ahead_of_its_end(world, mnt, gcs_proxy):
    world.key()
    mnt.env |= world.env
    world.tokens.life = 2
    mnt.mount(metadata_ttl="100ms")
    world.tokens.life = 3599
    first = world.tokens.tokens[-1]

    def later():
        (mnt / "a").touch()
        assert os.listdir(mnt.path)
        return bearers(gcs_proxy)[-1] != f"Bearer {first}"

    wait_until(later, what="another token")
    world.tokens.fail = 503
    (mnt / "b").write_bytes(b"b")
    mnt.sync()
    assert bearers(gcs_proxy)[-1] == f"Bearer {world.tokens.tokens[-1]}"
    assert "HTTP 401" not in mnt.log.read_text()


def test_a_token_that_is_refused_is_replaced(world, mnt, gcs_proxy):
    world.machine()
    mnt.env |= world.env
    mnt.mount()
    gcs_proxy.fault("status", method="POST", code=401, count=1)
    (mnt / "a").write_bytes(b"a")
    mnt.sync()
    assert world.metadata.tokens[1:] == ["ya29.token-2"]
    assert bearers(gcs_proxy)[-1] == "Bearer ya29.token-2"


@pytest.mark.parametrize("way", ["token_file", "token_url", "token_acts", "user_acts"])
def test_another_leads_to_a_token(way, world, mnt, gcs_proxy):
    getattr(world, way)()
    token = world.google_auth()
    theirs = [(a.method, a.path, a.body) for f in world.fakes for a in f.asked]
    assert token == world.federation.tokens[-1]
    assert world.problems() == []
    for fake in world.fakes:
        fake.asked.clear()
    mnt.env |= world.env
    mnt.mount()
    ours = [(a.method, a.path) for f in world.fakes for a in f.asked]
    assert ours == [(method, path) for method, path, _ in theirs]
    assert set(bearers(gcs_proxy)) == {f"Bearer {world.federation.tokens[-1]}"}
    assert world.federation.tokens[-1] != token
    assert world.problems() == []
    assert "ya29" not in mnt.log.read_text()


WRONG = {
    "no file": (lambda w: w.home / "none", "none: No such file"),
    "no JSON": (lambda w: w.file("[credentials]"), "is not JSON"),
    "no key": (
        lambda w: w.file(w.tokens.new_key() | {"private_key": "x"}),
        "no RSA key",
    ),
    "no email": (
        lambda w: w.file({"type": "service_account"}),
        "has no client_email",
    ),
    "in clear": (
        lambda w: w.file(w.tokens.new_key() | {"token_uri": "http://192.0.2.1/t"}),
        "neither https nor this machine",
    ),
    "revoked": (
        lambda w: w.file(w.tokens.new_user() | {"refresh_token": "another"}),
        "invalid_grant: Token has been revoked.",
    ),
    "no token": (
        lambda w: w.file(w.federation.account({"file": str(w.home / "none")})),
        "none: No such file",
    ),
    "not theirs": (
        lambda w: w.file(w.federation.account({"file": str(w.file("x", "token"))})),
        "invalid_grant: The token is not the provider's.",
    ),
    "of AWS": (
        lambda w: w.file(
            w.federation.account({"environment_id": "aws1", "url": "http://x"})
        ),
        "other than a file or a url",
    ),
    "exchanged in clear": (
        lambda w: w.file(
            w.federation.account({"file": str(w.file("x", "token"))})
            | {"token_url": "http://192.0.2.1/t"}
        ),
        "its token_url is neither https nor this machine",
    ),
    "may not act": (
        lambda w: w.file(
            {
                "type": "impersonated_service_account",
                "service_account_impersonation_url": w.federation.act_url(),
                "source_credentials": w.tokens.new_user(),
            }
        ),
        "IAM refused to act as act@project",
    ),
    "another": (lambda w: w.file({"type": "gdch"}), "type gdch are not built"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said(wrong, world, gcs_bucket):
    make, words = WRONG[wrong]
    world.env["GOOGLE_APPLICATION_CREDENTIALS"] = str(make(world))
    options = f"endpoint_url={gcs_bucket.options['endpoint_url']}"
    done = subprocess.run(
        [program(), "probe", gcs_bucket.source, "-o", options],
        env=world.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert words in done.stdout + done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_a_stranger_is_no_metadata_server(world, mnt):
    world.machine()
    world.metadata.flavor = "Other"
    mnt.env |= world.env
    mnt.mount(status=1)
    assert "no metadata server of Google's" in mnt.said
    assert world.metadata.tokens == []
