# SPDX-License-Identifier: Apache-2.0
"""An S3 server of one's own on 127.0.0.1, over throw-away directories.

As a program: servers.py run SERVER DIR COMMAND... starts one (versitygw or
minio) in DIR, sets CKPTFS_TEST_S3_* and AWS_* for COMMAND with an empty
bucket, and stops it afterwards, DIR going with it.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

REGION = "us-east-1"
ACCESS_KEY = "testkey"
SECRET_KEY = "testsecret123"


def tools():
    default = Path.home() / ".cache" / "ckptfs-tools"
    return Path(os.environ.get("CKPTFS_TOOLS", default))


def find_program(name):
    """$NAME, as contrib/lib/tools.sh sets it, or the newest of CKPTFS_TOOLS."""
    if name.upper() in os.environ:
        return os.environ[name.upper()]
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
    command line.  A kind of server has name, health (a path that answers 200
    once it is up), caps (what the probe must find, as test_store_s3.c names
    it), is_atomic (no request sees half of another), is_flat (it takes a key that
    is a folder of others, too), command(port), more_env().
    """

    folders = ("data",)

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
        cmd = ["setpriv", "--pdeathsig", "TERM", find_program(self.name)]
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
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(400):
            if self.process.poll() is not None:
                return False
            try:
                with urllib.request.urlopen(endpoint + self.health, timeout=2):
                    self.endpoint, self.port = endpoint, port
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.025)
        self.stop()
        return False

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


class VersityGW(Server):
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


class MinIO(Server):
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


SERVERS = {kind.name: kind for kind in (VersityGW, MinIO)}


def client(endpoint, attempts=4):
    import boto3  # noqa: PLC0415 (the rest of this file runs without it)
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
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
        client(server.endpoint).create_bucket(Bucket="test")
        env = dict(os.environ, **server.env())
        env["CKPTFS_TEST_S3_ENDPOINT"] = server.endpoint
        env["CKPTFS_TEST_S3_BUCKET"] = "test"
        env["CKPTFS_TEST_S3_DATA"] = str(server.data)
        env["CKPTFS_TEST_S3_LOG"] = str(server.access_log)
        env["CKPTFS_TEST_S3_REGION"] = REGION
        env["CKPTFS_TEST_S3_CAPS"] = server.caps
        if server.is_atomic:
            env["CKPTFS_TEST_S3_ATOMIC"] = "1"
        return subprocess.run(command, env=env).returncode
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] != "run" or sys.argv[2] not in SERVERS:
        sys.exit(f"usage: servers.py run {'|'.join(SERVERS)} DIR COMMAND...")
    sys.exit(run(SERVERS[sys.argv[2]], sys.argv[3], sys.argv[4:]))
