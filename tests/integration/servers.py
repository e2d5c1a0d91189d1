# SPDX-License-Identifier: Apache-2.0
"""An object-store server of one's own on 127.0.0.1, over throw-away directories.

As a program: servers.py run SERVER DIR COMMAND... starts one (versitygw, minio,
fake-gcs-server, strict-gcs or azurite) in DIR, sets CKPTFS_TEST_S3_* and AWS_*,
CKPTFS_TEST_GCS_*, or CKPTFS_TEST_AZ_*, for COMMAND with an empty bucket, and stops
it afterwards, DIR going with it.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

REGION = "us-east-1"
ACCESS_KEY = "testkey"
SECRET_KEY = "testsecret123"


def tools():
    default = Path.home() / ".cache" / "ckptfs-tools"
    return Path(os.environ.get("CKPTFS_TOOLS", default))


def find_program(name):
    """$NAME, as contrib/lib/tools.sh sets it, or the newest of CKPTFS_TOOLS."""
    variable = name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    found = sorted(tools().glob(f"{name}-*/bin/{name}"))
    if not found:
        raise FileNotFoundError(f"no {name} in CKPTFS_TOOLS: run contrib/check mount")
    return str(found[-1])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def has_user_xattrs(folder):
    try:
        os.setxattr(folder, "user.ckptfs-test", b"1")
        os.removexattr(folder, "user.ckptfs-test")
    except OSError:
        return False
    return True


class Server:
    """start(), stop(); endpoint, data (the folder of buckets); args: more of its
    command line.  A kind of server has name, health (a path that answers `healthy`
    once it is up), caps (what the probe must find, as test_store_s3.c names
    it), is_atomic (no request sees half of another), is_flat (it takes a key that
    is a folder of others, too), command(port), more_env(), make_bucket(name),
    env(), test_env(bucket): for the conformance suite.
    """

    folders = ("data",)
    ca = None  # of a server over https: the certificate to trust
    healthy = 200

    def __init__(self, folder, *args):
        self.folder = Path(folder).absolute()
        self.data = self.folder / "data"
        self.access_log = self.folder / "access.log"
        self.log = self.folder / "server.log"
        self.args = args
        self.process = None
        self.endpoint = None
        self.port = None

    def start(self):
        for sub in self.folders:
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        for _ in range(5):  # a free port may be taken before it is bound
            if self._try_start(self.port or free_port()):
                return self
        log = self.log.read_text()[-2000:]
        raise RuntimeError(f"{self.name} does not start:\n{log}")

    def _try_start(self, port):
        # It ends with whoever started it, however that ends.
        cmd = ["setpriv", "--pdeathsig", "TERM", *self.program()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                cmd + self.command(port),
                cwd=self.folder,
                env=dict(os.environ, **self.more_env()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        trust = ssl.create_default_context(cafile=self.ca) if self.ca else None
        endpoint = f"http{'s' if trust else ''}://127.0.0.1:{port}"
        for _ in range(400):
            if self.process.poll() is not None:
                return False
            try:
                health = endpoint + self.health
                with urllib.request.urlopen(health, timeout=2, context=trust):
                    pass
            except urllib.error.HTTPError as e:
                if e.code != self.healthy:
                    time.sleep(0.025)
                    continue
            except (urllib.error.URLError, OSError):
                time.sleep(0.025)
                continue
            self.endpoint, self.port = endpoint, port
            return True
        self.stop()
        return False

    def program(self):
        return [find_program(self.name)]

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(sig)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def more_env(self):
        return {}


class S3Server(Server):
    def make_bucket(self, name):
        client(self.endpoint).create_bucket(Bucket=name)

    def env(self):
        """What a client needs, and nothing of the user's own configuration."""
        nowhere = str(self.folder / "no-such-file")
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def test_env(self, bucket):
        env = {
            "CKPTFS_TEST_S3_ENDPOINT": self.endpoint,
            "CKPTFS_TEST_S3_BUCKET": bucket,
            "CKPTFS_TEST_S3_DATA": str(self.data),
            "CKPTFS_TEST_S3_LOG": str(self.access_log),
            "CKPTFS_TEST_S3_REGION": REGION,
            "CKPTFS_TEST_S3_CAPS": self.caps,
        }
        return env | ({"CKPTFS_TEST_S3_ATOMIC": "1"} if self.is_atomic else {})


class VersityGW(S3Server):
    """Objects are files of a folder.  access_log: a line for each request."""

    name = "versitygw"
    folders = ("data", "versions", "meta")
    health = "/health"
    caps = (
        "put_cond del_cond copy crc64 meta mpu_prefix parts_crc32c copy_part"
        " copy_crc64 del_many"
    )
    is_atomic = False
    is_flat = False

    def command(self, port):
        cmd = ["--port", f"127.0.0.1:{port}", "--region", REGION]
        cmd += ["--keep-alive", "--quiet", "--health", self.health]
        cmd += ["--access-log", str(self.access_log), *self.args, "posix"]
        if not has_user_xattrs(self.data):
            cmd += ["--sidecar", str(self.folder / "meta")]
        return [*cmd, "--versioning-dir", str(self.folder / "versions"), str(self.data)]

    def more_env(self):
        return {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}


class MinIO(S3Server):
    """A map of keys, nearly flat: what lies below an object is not listed."""

    name = "minio"
    health = "/minio/health/ready"
    caps = "put_cond copy crc64 meta control copy_part del_many"
    is_atomic = True
    is_flat = True

    def command(self, port):
        address = f"127.0.0.1:{port}"
        return ["server", "--quiet", "--address", address, *self.args, str(self.data)]

    def more_env(self):
        return {
            "MINIO_ROOT_USER": ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": SECRET_KEY,
            "MINIO_SITE_REGION": REGION,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_CI_CD": "1",  # the data may lie on the disk of the system
            "HOME": str(self.folder),
        }


class FakeGCS(Server):
    """The JSON API of Google Cloud Storage, in memory.  It heeds conditions on
    uploads, and on nothing else; and asks nobody who he is."""

    name = "fake-gcs-server"
    health = "/_internal/healthcheck"
    caps = (
        "copy crc64 file_and_dir commit_meta meta control mpu_prefix parts_crc32c "
        "del_many"
    )

    def command(self, port):
        url = f"http://127.0.0.1:{port}"
        cmd = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        cmd += ["-backend", "memory", "-filesystem-root", str(self.data)]
        cmd += ["-public-host", f"127.0.0.1:{port}", "-external-url", url]
        return [*cmd, "-log-level", "warn", *self.args]

    def make_bucket(self, name, **settings):
        body = json.dumps({"name": name, **settings}).encode()
        url = f"{self.endpoint}/storage/v1/b?project=test"
        head = {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(url, body, head)).close()

    def env(self):
        nowhere = str(self.folder / "no-such-file")
        return {"GOOGLE_APPLICATION_CREDENTIALS": nowhere, "CLOUDSDK_CONFIG": nowhere}

    def test_env(self, bucket):
        return {
            "CKPTFS_TEST_GCS_ENDPOINT": self.endpoint,
            "CKPTFS_TEST_GCS_BUCKET": bucket,
            "CKPTFS_TEST_GCS_CAPS": self.caps,
        }


class StrictGCS(FakeGCS):
    """Ours (fake_gcs.py): what the other lacks, and nothing that is not
    documented."""

    name = "strict-gcs"
    health = "/"
    caps = (
        "put_cond del_cond copy crc64 file_and_dir commit_meta meta mpu_prefix "
        "parts_crc32c one_line del_many del_many_cond"
    )

    def program(self):
        return [sys.executable, str(Path(__file__).with_name("fake_gcs.py"))]

    def command(self, port):
        return [str(port), *self.args]

    def test_env(self, bucket):
        more = {"CKPTFS_TEST_GCS_BARE": "1", "CKPTFS_TEST_GCS_MANY": "250"}
        return super().test_env(bucket) | more


class Azurite(Server):
    """Azure's blobs, in memory, of one account."""

    name = "azurite"
    health = "/"
    healthy = 400
    account = "testaccount"
    key = base64.b64encode(b"a key of the tests of ckptfs alone").decode()
    caps = (
        "put_cond del_cond copy file_and_dir commit_meta meta mpu_prefix one_line plain"
    )

    def command(self, port):
        cmd = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"]
        cmd += ["--skipApiVersionCheck", "--disableTelemetry", *self.args]
        return [*cmd, "--inMemoryPersistence", "--extentMemoryLimit", "1024"]

    def more_env(self):
        return {"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"}

    def sas(self, permissions="racwdl"):
        """A shared access signature for everything in the account."""
        fields = {"sv": "2021-12-02", "ss": "b", "srt": "sco", "sp": permissions}
        fields |= {"se": "2099-01-01T00:00:00Z"}
        order = [fields.get(n, "") for n in ("sp", "ss", "srt", "st", "se")]
        text = "\n".join([self.account, *order, "", "", fields["sv"], "", ""])
        mac = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256)
        return urlencode({**fields, "sig": base64.b64encode(mac.digest()).decode()})

    def url(self, path, **query):
        query = "&".join(filter(None, [urlencode(query), self.sas()]))
        return f"{self.endpoint}/{self.account}/{path}?{query}"

    def make_bucket(self, name):
        url = self.url(name, restype="container")
        head = {"x-ms-version": "2021-12-02"}
        request = urllib.request.Request(url, b"", head, method="PUT")
        urllib.request.urlopen(request).close()

    def env(self):
        return {
            "AZURE_STORAGE_ACCOUNT": self.account,
            "AZURE_STORAGE_KEY": self.key,
        }

    def test_env(self, bucket):
        return {
            "AZURE_STORAGE_KEY": "",
            "CKPTFS_TEST_AZ_ENDPOINT": self.endpoint,
            "CKPTFS_TEST_AZ_ACCOUNT": self.account,
            "CKPTFS_TEST_AZ_KEY": self.key,
            "CKPTFS_TEST_AZ_SAS": self.sas(),
            "CKPTFS_TEST_AZ_CONTAINER": bucket,
            "CKPTFS_TEST_AZ_CAPS": self.caps,
        }


S3_SERVERS = {kind.name: kind for kind in (VersityGW, MinIO)}
OTHERS = {kind.name: kind for kind in (FakeGCS, StrictGCS, Azurite)}
SERVERS = {**S3_SERVERS, **OTHERS}


def client(endpoint, attempts=4, ca=None):
    import boto3  # noqa: PLC0415 (the rest of this file runs without it)
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        verify=ca,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def run(kind, folder, command):
    server = kind(folder).start()
    try:
        server.make_bucket("test")
        env = {**os.environ, **server.env(), **server.test_env("test")}
        return subprocess.run(command, env=env).returncode
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] != "run" or sys.argv[2] not in SERVERS:
        sys.exit(f"usage: servers.py run {'|'.join(SERVERS)} DIR COMMAND...")
    sys.exit(run(SERVERS[sys.argv[2]], sys.argv[3], sys.argv[4:]))
