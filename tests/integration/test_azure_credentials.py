# SPDX-License-Identifier: Apache-2.0
"""Ways to a token of Entra ID: azure-identity and ckptfs, in the same environment,
get one from the same fake.  Azurite takes tokens over TLS alone: in its place the
proxy answers a listing."""

import json
import os
import subprocess
import sys
import time

import pytest

from fake_azure import CLIENT, RESOURCE, SECRET, TENANT, Entra, Instance

# Authorities are https alone to it: that host is the fake.
AZURE_IDENTITY = """
import sys
from azure.core.pipeline.transport import RequestsTransport
import azure.identity
class Transport(RequestsTransport):
    def send(self, request, **more):
        request.url = request.url.replace("https://authority.test", sys.argv[1])
        return super().send(request, **more)
kind = getattr(azure.identity, sys.argv[2])
more = {} if sys.argv[2].startswith("AzureCli") else {"transport": Transport()}
if sys.argv[2] == "EnvironmentCredential" or sys.argv[2].startswith("Workload"):
    more |= {"authority": "https://authority.test", "disable_instance_discovery": True}
if sys.argv[2].startswith("Managed"):
    more["client_id"] = sys.argv[3]
print(kind(**more).get_token("https://storage.azure.com/.default").token)
"""
KINDS = {
    "secret": "EnvironmentCredential",
    "workload": "WorkloadIdentityCredential",
    "machine": "ManagedIdentityCredential",
    "cli": "AzureCliCredential",
}
AZ = """#!/bin/sh
[ "$*" = "account get-access-token --output json --resource {resource}" ] || exit 9
cat <<END
{answer}
END
"""
EMPTY = "<EnumerationResults><Blobs/></EnumerationResults>"


class World:
    """Fakes, and an environment that names them."""

    def __init__(self, folder):
        self.folder = folder
        self.entra = Entra().start()
        self.instance = Instance().start()
        self.env = {
            "HOME": str(folder),
            "PATH": f"{folder}/bin:/usr/bin:/bin",
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9",  # nobody
            "AZURE_AUTHORITY_HOST": self.entra.url,
            "no_proxy": "*",
        }
        (folder / "bin").mkdir()

    def secret(self):
        names = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}
        self.env |= {**names, "AZURE_CLIENT_SECRET": SECRET}

    def workload(self):
        path = self.folder / "token"
        path.write_text(self.entra.assertion)
        path.chmod(0o600)
        names = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT}
        self.env |= {**names, "AZURE_FEDERATED_TOKEN_FILE": str(path)}

    def machine(self):
        self.env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = self.instance.url
        self.env["AZURE_CLIENT_ID"] = CLIENT

    def cli(self):
        end = int(time.time()) + 3600
        local = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(end))
        answer = {"accessToken": "eyJ.token-cli", "expiresOn": local}
        answer |= {"expires_on": end, "tenant": TENANT, "tokenType": "Bearer"}
        az = self.folder / "bin/az"
        az.write_text(AZ.format(resource=RESOURCE, answer=json.dumps(answer)))
        az.chmod(0o755)

    def azure_identity(self, way):
        """The token that azure-identity gets."""
        cmd = [sys.executable, "-c", AZURE_IDENTITY, self.entra.url, KINDS[way], CLIENT]
        env = {k: v for k, v in self.env.items() if k != "AZURE_AUTHORITY_HOST"}
        done = subprocess.run(
            cmd, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def problems(self):
        return self.entra.problems + self.instance.problems


@pytest.fixture
def world(tmp_path):
    w = World(tmp_path)
    yield w
    w.entra.stop()
    w.instance.stop()


@pytest.fixture
def mnt(azure_bucket, azure_proxy, mounts, world):
    """A mount with the credentials of the world, of an empty container."""
    azure_proxy.fault("answer", path="comp=list", code=200, body=EMPTY, count=-1)
    azure_bucket.env.pop("AZURE_STORAGE_KEY")
    azure_bucket.env |= world.env
    return mounts(azure_bucket, ro=True)


@pytest.mark.parametrize("way", sorted(KINDS))
def test_each_way_leads_to_a_token(way, world, mnt, azure_proxy):
    getattr(world, way)()
    first = world.azure_identity(way)
    assert first.startswith("eyJ.token-")
    assert world.problems() == []
    mnt.env |= world.env
    mnt.mount()
    assert os.listdir(mnt.path) == []
    ours = "eyJ.token-cli" if way == "cli" else "eyJ.token-2"
    asked = {r.headers.get("authorization") for r in azure_proxy.requests()}
    assert asked == {f"Bearer {ours}"}
    assert world.problems() == []
    assert "eyJ" not in mnt.log.read_text()


def test_what_is_refused_is_told_in_the_vendors_words(world, mnt):
    world.secret()
    mnt.env |= world.env | {"AZURE_CLIENT_SECRET": "wrong"}
    mnt.mount(status=1)
    assert "invalid_client: AADSTS7000215" in mnt.said
    assert "wrong" not in mnt.said


def test_without_any_all_are_named(world, mnt):
    mnt.env |= world.env
    mnt.mount(status=1)
    for what in ("AZURE_STORAGE_KEY", "AZURE_CLIENT_ID", "machine of Azure", "az "):
        assert what in mnt.said


@pytest.mark.parametrize("host", ["http://login.example.org", "http://10.0.0.1"])
def test_a_secret_goes_nowhere_in_clear(world, mnt, host):
    world.secret()
    mnt.env |= world.env | {"AZURE_AUTHORITY_HOST": host}
    mnt.mount(status=1)
    assert "neither https nor this machine" in mnt.said


def test_a_token_that_is_refused_is_asked_for_again(world, mnt, azure_proxy):
    world.secret()
    mnt.env |= world.env
    mnt.mount(metadata_ttl="0s")
    azure_proxy.heal()
    azure_proxy.fault(
        "answer",
        path="comp=list",
        code=401,
        headers={"x-ms-error-code": "InvalidAuthenticationInfo"},
    )
    azure_proxy.fault("answer", path="comp=list", code=200, body=EMPTY, count=-1)
    assert os.listdir(mnt.path) == []
    last = azure_proxy.requests()[-1]
    assert last.headers["authorization"] == "Bearer eyJ.token-2"
