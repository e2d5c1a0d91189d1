# SPDX-License-Identifier: Apache-2.0
"""Rules of docs/security.md that only a real mount can show, by number."""

import base64
import os
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from buckets import S3Bucket
from mount import Failed
from servers import SECRET_KEY

NOBODY = 65534


def as_nobody(*command):
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["setpriv", *ids, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


# ---- S1: who may look


@pytest.mark.root
def test_s01_a_mount_is_its_owners_alone(open_folder, folder_mount):
    folder_mount.path = open_folder
    folder_mount.mount()
    (open_folder / "f").write_bytes(b"x")
    (open_folder / "f").chmod(0o666)
    for command in (["ls"], ["stat"], ["cat"], ["touch"]):
        done = as_nobody(*command, open_folder / "f")
        assert done.returncode != 0
        assert "Permission denied" in done.stderr, done
    folder_mount.umount()


@pytest.mark.root
def test_s01_permissions_count_for_others(open_folder, folder_mount):
    """Also once the owner's own look has filled the kernel's caches."""
    folder_mount.path = open_folder
    folder_mount.mount(allow_other=True)
    with open("/proc/self/mountinfo") as f:
        (line,) = [li for li in f if li.split()[4] == str(open_folder)]
    assert "default_permissions" in line
    assert {"nosuid", "nodev"} <= set(line.split()[5].split(","))
    (open_folder / "private").write_bytes(b"x")
    (open_folder / "private").chmod(0o600)
    for _ in range(2):
        assert as_nobody("cat", open_folder / "private").returncode != 0
        assert (open_folder / "private").read_bytes() == b"x"
        os.stat(open_folder / "private")
    folder_mount.umount()


# ---- S5: the cache


def cache_of(mount):
    (cache,) = mount.cache_dir.iterdir()
    return cache


def test_s05_the_cache_is_private_whatever_the_umask(folder_mount):
    before = os.umask(0)
    try:
        folder_mount.mount()
        (folder_mount / "d").mkdir()
        (folder_mount / "d/f").write_bytes(b"x" * 5000)
        folder_mount.sync()
        cache = cache_of(folder_mount)
        paths = [cache, *cache.rglob("*")]
        assert len(paths) > 8
        for path in paths:
            st = path.lstat()
            want = 0o700 if stat.S_ISDIR(st.st_mode) else 0o600
            assert stat.S_IMODE(st.st_mode) == want, path
            assert st.st_uid == os.geteuid()
        folder_mount.umount()
    finally:
        os.umask(before)


PLANTED = ["lock", "db", "db-wal", "barrier", "ballast", "blobs", "holder.new"]


@pytest.mark.parametrize("name", [*PLANTED, "source"])
def test_s05_no_link_planted_in_the_cache_is_followed(folder_mount, tmp_path, name):
    """By the same user: no other one can enter it."""
    folder_mount.mount()
    folder_mount.umount()
    victim = tmp_path / "victim"
    if name == "blobs":
        victim.mkdir()
    else:
        victim.write_bytes(b"untouched")
    planted = cache_of(folder_mount) / name
    if planted.is_dir():
        planted.rename(tmp_path / "blobs")
    planted.unlink(missing_ok=True)
    planted.symlink_to(victim)
    try:
        folder_mount.mount()
        (folder_mount / "f").write_bytes(b"x" * 9000)
        folder_mount.umount()
    except (Failed, OSError):
        pass  # refused is as good
    if name == "blobs":
        assert list(victim.iterdir()) == []
    else:
        assert victim.read_bytes() == b"untouched"


@pytest.mark.parametrize("how", ["open to others", "a link"])
def test_s05_a_cache_that_others_could_have_made_is_refused(
    folder_mount, tmp_path, how
):
    folder_mount.mount()
    folder_mount.umount()
    cache = cache_of(folder_mount)
    if how == "a link":
        cache.rename(tmp_path / "elsewhere")
        cache.symlink_to(tmp_path / "elsewhere")
    else:
        cache.chmod(0o770)
    folder_mount.mount(status=1)
    assert str(cache) in folder_mount.said


# ---- S8: the prefix


def test_s08_nothing_beside_the_prefix_is_asked_for(s3_bucket, mounts, proxy):
    prefix = "pre/fix/"
    s3_bucket.put("pre/fixed", b"another's")
    s3_bucket.put("other", b"another's")
    inner = S3Bucket.__new__(S3Bucket)
    inner.__dict__ = dict(s3_bucket.__dict__, source=s3_bucket.source + "/pre/fix")
    m = mounts(inner, upload_delay="0s", part_size="5M").mount()
    (m / "d/e").mkdir(parents=True)
    (m / "d/e/f").write_bytes(b"x" * (11 << 20))
    m.sync()
    (m / "d").rename(m / "g")
    (m / "g/e/f").rename(m / "g/..f")
    (m / "link").symlink_to("../../other")
    (m / "g/e").rmdir()
    m.sync()
    os.listdir(m / "g")
    (m / "g/..f").unlink()
    m.remount()
    assert sorted(os.listdir(m.path)) == ["g", "link"]
    m.umount()
    seen = set()
    for r in proxy.requests():
        parts = urlsplit(r.target)
        query = parse_qs(parts.query, keep_blank_values=True)
        source = r.headers.get("x-amz-copy-source")
        if source:
            seen.add("copy")
            assert source.lstrip("/").partition("/")[2].startswith(prefix), r
        if r.key:
            seen.add(r.method)
            assert r.key.startswith(prefix), r
        elif "prefix" in query:
            seen.add("list")
            assert query["prefix"][0].startswith(prefix), r
        elif "delete" in query:
            assert r.named
            assert all(k.startswith(prefix) for k in r.named), r
        else:
            assert r.method == "HEAD", r
    assert {"copy", "list", "PUT", "POST", "DELETE"} <= seen
    assert s3_bucket.get("pre/fixed") == s3_bucket.get("other") == b"another's"


# ---- S10: secrets


def forms(secret):
    """A secret as it might be written down."""
    raw = secret.encode()
    return {raw, base64.b64encode(raw), quote(secret).encode(), raw.hex().encode()}


def test_s10_no_secret_is_left_anywhere(s3_mount, proxy):
    m = s3_mount
    assert m.env["AWS_SECRET_ACCESS_KEY"] == SECRET_KEY
    m.mount(log_level="debug")
    proxy.fault("status", code=403, count=2)
    (m / "f").write_bytes(b"x" * 5000)
    m.sync()
    proc = Path(f"/proc/{m.pid()}")
    limits = (proc / "limits").read_text()
    (core,) = [li for li in limits.splitlines() if "core file" in li]
    assert core.split()[4:6] == ["0", "0"]
    texts = {p: (proc / p).read_bytes() for p in ("cmdline", "environ")}
    texts["status"] = m.run("status", m.path, "--json").stdout.encode()
    texts["path"] = m.run("status", m / "f").stdout.encode()
    m.umount()
    texts["said"] = m.said.encode()
    texts["log"] = m.log.read_bytes()
    for path in cache_of(m).rglob("*"):
        if path.is_file():
            texts[path] = path.read_bytes()
            texts[f"{path} xattr"] = repr(os.listxattr(path)).encode()
    assert b"PATH=" in texts["environ"]
    for where, text in texts.items():
        for form in forms(SECRET_KEY):
            assert form not in text, where
    for word in (b"Authorization:", b"AWS4-HMAC-SHA256", b"X-Amz-Signature"):
        assert word not in texts["log"]


# ---- S13: to whom


class Listener:
    """A server with TLS that keeps what it is told; its port."""

    def __init__(self, context):
        self.context = context
        self.told = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            try:
                with self.context.wrap_socket(raw, server_side=True) as s:
                    s.settimeout(10)
                    self.told.append(s.recv(65536))
            except (OSError, ssl.SSLError):
                self.told.append(b"")

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


def make_certificate(folder, name="IP:127.0.0.1", days=2):
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-addext", f"subjectAltName={name}", "-keyout", key, "-out", cert]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    if days < 0:
        command = ["openssl", "x509", "-in", cert, "-signkey", key, "-out", cert]
        command += ["-days", days]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return cert, key


def server_context(cert, key, oldest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if oldest:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = oldest
        context.maximum_version = oldest
    context.load_cert_chain(cert, key)
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    "wrong", ["self-signed", "another name", "expired", "TLS 1.1", "nothing"]
)
def test_s13_nothing_is_told_to_whom_one_cannot_trust(
    s3_bucket, mounts, tmp_path, wrong
):
    name = "DNS:elsewhere.example" if wrong == "another name" else "IP:127.0.0.1"
    cert, key = make_certificate(tmp_path, name, -1 if wrong == "expired" else 2)
    oldest = ssl.TLSVersion.TLSv1_1 if wrong == "TLS 1.1" else None
    listener = Listener(server_context(cert, key, oldest))
    try:
        s3_bucket.env["AWS_ENDPOINT_URL"] = f"https://127.0.0.1:{listener.port}"
        s3_bucket.options.pop("endpoint_url", None)
        # A configuration of OpenSSL that stands anything.
        lax = tmp_path / "openssl.cnf"
        lax.write_text(
            "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n"
            "[c]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n"
        )
        s3_bucket.env["OPENSSL_CONF"] = str(lax)
        trusted = None if wrong == "self-signed" else cert
        m = mounts(s3_bucket, endpoint_url=s3_bucket.env["AWS_ENDPOINT_URL"])
        m.mount(status=1, ca_bundle=trusted)
    finally:
        listener.stop()
    assert listener.told, "it was never asked"
    told = b"".join(listener.told)
    if wrong == "nothing":  # so much is heard where all is well
        assert b"AWS4-HMAC-SHA256" in told
    else:
        assert told == b"", m.said


def test_s13_a_connection_in_clear_to_elsewhere_is_said(s3_server, mounts, proxy):
    """Not of 127.0.0.1: only a name of its own is taken for another machine."""
    bucket = S3Bucket(s3_server, "test-clear", f"http://clear.localhost:{proxy.port}")
    m = mounts(bucket, addressing_style="path").mount()
    assert "not encrypted" in m.said
    (warning,) = (
        m.status()["mounts"][0]["warnings"]
        if "mounts" in m.status()
        else (m.status()["warnings"])
    )
    assert "clear.localhost" in warning
    m.umount()


# ---- S22: the control socket


def listening(pid):
    """Ports that a process listens on."""
    inodes = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(fd)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == "0A" or table[:3] == "udp"):
                found.append((table, fields[1]))
    return found


def control_socket(pid):
    """Its path: what the process listens on."""
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[3] == "00010000" and "ckptfs" in fields[7]:
            inode = fields[6]
            fds = Path(f"/proc/{pid}/fd").iterdir()
            if any(os.readlink(fd) == f"socket:[{inode}]" for fd in fds):
                return Path(fields[7].rpartition(".")[0])
    raise AssertionError("it listens on nothing")


def test_s22_no_port_is_listened_on(s3_mount):
    s3_mount.mount()
    assert listening(s3_mount.pid()) == []
    folder = control_socket(s3_mount.pid()).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.stat().st_uid == os.geteuid()
    s3_mount.umount()


CONNECT = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"op":"ping"}' + bytes([10]))
print(len(s.recv(100)))
"""


@pytest.mark.root
def test_s22_another_user_is_not_served(folder_mount, open_folder):
    """Not even where the folder's permissions let him in."""
    folder_mount.mount()
    path = control_socket(folder_mount.pid())
    ask = ["/usr/bin/python3", "-c", CONNECT]
    assert "PermissionError" in as_nobody(*ask, path).stderr
    link = open_folder / "socket"
    os.link(path, link) if path.stat().st_dev == open_folder.stat().st_dev else None
    if not link.exists():
        pytest.fail("a second name of the socket wants one file system")
    link.chmod(0o777)
    done = as_nobody(*ask, link)
    assert done.stdout.strip() != "2", done
    assert done.stdout.strip() in ("", "0"), done
    done = subprocess.run([*ask, link], capture_output=True, text=True, timeout=30)
    assert int(done.stdout) > 10
    folder_mount.umount()
