# SPDX-License-Identifier: Apache-2.0
"""The commands as a user meets them: exit status and what they say."""

import errno
import os
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from buckets import assert_same
from mount import is_mounted, wait_until

MIB = 1 << 20


@pytest.mark.parametrize("args", [["--version"], ["--help"], ["mount", "--help"]])
def test_help_and_version(folder_mount, args):
    assert "ckptfs" in folder_mount.run(*args).stdout


@pytest.mark.parametrize(
    "args",
    [[], ["nonsense"], ["mount"], ["mount", "file:///x"], ["sync"], ["umount"]],
)
def test_usage_is_status_2(folder_mount, args):
    assert "ckptfs" in folder_mount.run(*args, status=2).stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"cache_sise": "1G"}, "cache_size"),
        ({"uplod_limit": "1M"}, "upload_limit"),
        ({"cache_size": "big"}, "cache_size"),
        ({"upload_delay": "1 fortnight"}, "upload_delay"),
        ({"order": "sometimes"}, "strict"),
        ({"passthrough": "maybe"}, "auto"),
    ],
)
def test_a_bad_option_names_the_good_ones(folder_mount, option, said):
    folder_mount.mount(status=2, **option)
    assert said in folder_mount.said
    assert not is_mounted(folder_mount.path)


def test_a_source_of_no_known_kind(folder_mount):
    folder_mount.source = "ftp://host/dir"
    folder_mount.mount(status=2)
    assert "s3://" in folder_mount.said


def test_a_bucket_that_is_not_there(s3_mount):
    s3_mount.source = "s3://no-such-bucket-here"
    s3_mount.mount(status=1)
    assert "no-such-bucket-here" in s3_mount.said


def test_a_folder_that_is_not_there(folder_mount):
    folder_mount.source += "/missing"
    folder_mount.mount(status=1)
    assert "missing" in folder_mount.said


def test_wrong_credentials(s3_mount):
    s3_mount.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    s3_mount.mount(status=1)
    assert "wrong" not in s3_mount.said
    assert "credential" in s3_mount.said.lower() or "Signature" in s3_mount.said


def test_no_credentials(s3_mount):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del s3_mount.env[name]
    s3_mount.mount(status=1)
    assert "credentials" in s3_mount.said
    assert "AWS_ACCESS_KEY_ID" in s3_mount.said


def test_secrets_are_never_shown(s3_mount):
    s3_mount.mount()
    (s3_mount / "f").write_bytes(b"x")
    pid = s3_mount.pid()
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        assert b"testsecret123" not in f.read()
    s3_mount.umount()
    assert "testsecret123" not in s3_mount.log.read_text() + s3_mount.said


def test_sync_times_out_with_status_3(s3_mount, proxy):
    s3_mount.mount()
    proxy.fault("status", code=503, count=-1)
    (s3_mount / "f").write_bytes(b"x")
    began = time.monotonic()
    done = s3_mount.sync(timeout=2, status=3)
    assert 1.5 < time.monotonic() - began < 10
    assert "f" in done.stdout + done.stderr
    proxy.heal()
    s3_mount.sync()


def test_status_of_a_path_says_why_it_waits(s3_mount, proxy):
    s3_mount.mount()
    proxy.fault("status", code=503, count=-1)
    (s3_mount / "f").write_bytes(b"x")
    assert "f" in s3_mount.run("status", s3_mount / "f").stdout
    assert "f" in s3_mount.run("status", s3_mount.path).stdout
    proxy.heal()


def test_status_check_is_for_scripts(s3_mount, s3_bucket, proxy):
    """0: all is there; 3: on its way; 1: stuck, or nobody answers."""

    def check(path, status):
        done = s3_mount.run("status", "--check", path, status=status, timeout=30)
        return done.stdout + done.stderr

    s3_mount.mount(metadata_ttl="1h", upload_delay="0s")
    top = s3_mount.path
    (top / "d").mkdir()
    (top / "d/f").write_bytes(b"f")
    (top / "a.tmp").write_bytes(b"kept local")
    s3_mount.sync()
    assert check(top, 0) == ""
    proxy.fault("status", method="PUT|POST", code=503, count=-1)
    (top / "d/g").write_bytes(b"g")
    said = check(top, 3)
    assert "not in the bucket: d/g (" in said
    assert "d/f" not in said
    assert "not in the bucket: d/g (" in check(top / "d/g", 3)
    assert "not in the bucket: d/g (" in check(top / "d", 3)
    assert check(top / "d/f", 0) == ""
    s3_bucket.put("d/f", b"theirs")
    proxy.heal()
    (top / "d/f").write_bytes(b"ours")
    s3_mount.sync(status=1)
    assert "not in the bucket: d/f (conflict" in check(top, 1)
    assert check(top / "d/g", 0) == ""
    os.kill(s3_mount.pid(), signal.SIGSTOP)
    try:
        assert "the daemon does not answer" in check(top, 1)
    finally:
        os.kill(s3_mount.alive()[0], signal.SIGCONT)
    s3_mount.kill9()
    assert "nobody serves" in check(top, 1)


def test_a_dead_mount_point_is_taken_over(folder_mount):
    folder_mount.mount()
    (folder_mount / "f").write_bytes(b"x")
    folder_mount.kill9()
    with pytest.raises(OSError) as e:
        os.listdir(folder_mount.path)
    assert e.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    folder_mount.mount()
    assert (folder_mount / "f").read_bytes() == b"x"


def test_a_termination_drains(s3_mount, s3_bucket):
    s3_mount.mount()
    (s3_mount / "f").write_bytes(os.urandom(MIB))
    os.kill(s3_mount.pid(), signal.SIGTERM)
    s3_mount.wait_for_daemons(30)
    assert s3_bucket.keys() == ["f"]
    assert not is_mounted(s3_mount.path)


def test_a_plain_fusermount_leaves_a_daemon_that_drains(s3_mount, s3_bucket, proxy):
    s3_mount.mount()
    proxy.limit(up=4 * MIB)
    (s3_mount / "f").write_bytes(os.urandom(8 * MIB))
    s3_mount.detach()
    s3_mount.mount()  # waits for the other one to finish
    assert s3_bucket.keys() == ["f"]
    assert (s3_mount / "f").stat().st_size == 8 * MIB


@pytest.mark.root
def test_umount_names_who_has_a_copy_of_the_mount(folder_mount):
    """Another mount namespace keeps the daemon; nobody waits for it."""
    folder_mount.mount()
    (folder_mount / "a").write_text("x")
    other = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", "echo; read end"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        other.stdout.readline()
        done = folder_mount.umount(status=1)
        assert "other mount namespaces" in done.stderr
        assert f"{other.pid} (" in done.stderr
        assert folder_mount.alive()
    finally:
        other.communicate(b"\n")
    folder_mount.wait_for_daemons()


def test_umount_names_who_holds_a_file_open(folder_mount):
    folder_mount.mount()
    with (folder_mount / "held").open("wb") as f:
        f.write(b"x")
        f.flush()
        done = folder_mount.umount(status=1)
        assert str(os.getpid()) in done.stdout + done.stderr
        assert is_mounted(folder_mount.path)
    folder_mount.umount()


@pytest.mark.option("ro")
def test_a_read_only_mount(s3_mount, s3_bucket, proxy):
    s3_bucket.put("f", b"x" * 1000)
    s3_mount.mount(ro=True)
    assert (s3_mount / "f").read_bytes() == b"x" * 1000
    f = s3_mount / "f"
    for change, *args in (
        ((s3_mount / "g").touch,),
        (f.unlink,),
        ((s3_mount / "d").mkdir,),
        (f.chmod, 0o600),
        (f.open, "r+b"),
    ):
        with pytest.raises(OSError) as e:
            change(*args)
        assert e.value.errno == errno.EROFS
    assert {r.method for r in proxy.requests()} <= {"GET", "HEAD"}


@pytest.mark.root
@pytest.mark.option("uid", "gid", "file_mode", "dir_mode")
def test_modes_and_owner_of_foreign_files(s3_mount, s3_bucket):
    s3_bucket.put("d/f", b"x")
    s3_mount.mount(uid=12, gid=34, file_mode="0640", dir_mode="0750")
    st = (s3_mount / "d/f").stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (12, 34, 0o640)
    assert stat.S_IMODE((s3_mount / "d").stat().st_mode) == 0o750


def test_a_prefix_of_a_bucket(s3_mount, s3_bucket):
    s3_bucket.put("other/f", b"theirs")
    s3_mount.source += "/run7/x"
    s3_mount.mount()
    assert os.listdir(s3_mount.path) == []
    (s3_mount / "d").mkdir()
    (s3_mount / "d/f").write_bytes(b"x")
    s3_mount.umount()
    assert s3_bucket.keys() == ["other/f", "run7/x/d/f"]


@pytest.mark.option("cache_size")
def test_eviction_keeps_to_the_cache_size(s3_mount, s3_bucket):
    s3_mount.mount(cache_size="32M")
    for i in range(12):
        (s3_mount / f"{i}").write_bytes(os.urandom(8 * MIB))
    s3_mount.sync()

    blobs = Path(s3_mount.status()["cache"]["dir"]) / "blobs"

    def used():
        files = [p for p in blobs.rglob("*") if p.is_file()]
        return sum(p.lstat().st_blocks * 512 for p in files)

    wait_until(lambda: used() <= 33 * MIB, 15, "the cache is small again")
    assert_same(s3_bucket, s3_mount.path)


@pytest.mark.option("upload_limit")
def test_the_upload_limit_holds(s3_mount, proxy):
    s3_mount.mount(upload_limit="4M")
    began = time.monotonic()
    (s3_mount / "f").write_bytes(os.urandom(12 * MIB))
    s3_mount.sync()
    assert 2 < time.monotonic() - began < 10
    assert proxy.body_bytes("/f") >= 12 * MIB


def test_progress_shows_before_a_body_is_whole(s3_mount):
    s3_mount.mount(upload_limit="1M", upload_delay="0s")
    (s3_mount / "f").write_bytes(os.urandom(4 * MIB))

    def sent():
        return s3_mount.status()["totals"]["sent_bytes"]

    first = wait_until(sent, what="something is on its way")
    assert 0 < first < 4 * MIB
    wait_until(lambda: first < sent() < 4 * MIB, what="more of it is")


@pytest.mark.option("download_limit")
def test_the_download_limit_holds(s3_mount, s3_bucket):
    s3_bucket.put("f", os.urandom(12 * MIB))
    s3_mount.mount(download_limit="4M")
    began = time.monotonic()
    assert (s3_mount / "f").read_bytes() == s3_bucket.get("f")
    assert 2 < time.monotonic() - began < 10


@pytest.mark.option("close", "fsync")
@pytest.mark.parametrize("option", ["close", "fsync"])
def test_remote_close_and_fsync(s3_mount, s3_bucket, option):
    s3_mount.mount(**{option: "remote"})
    fd = os.open(s3_mount / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x" * 1000)
    if option == "close":
        os.close(fd)
        assert s3_bucket.get("f") == b"x" * 1000
    else:
        os.fsync(fd)
        os.close(fd)
        fd = os.open(s3_mount.path, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)
        assert s3_bucket.get("f") == b"x" * 1000


def test_the_upload_delay_folds_what_is_overwritten(s3_mount, s3_bucket, proxy):
    s3_mount.mount(upload_delay="2s")
    for i in range(10):
        (s3_mount / "f").write_bytes(b"%d" % i)
    # A sync would not wait, and send what is final of it already.
    wait_until(lambda: proxy.commits("/f"), what="the upload")
    s3_mount.sync()
    assert s3_bucket.get("f") == b"9"
    assert len(proxy.commits("/f")) == 1


def test_what_is_deleted_before_it_settles_is_never_sent(s3_mount, proxy, s3_bucket):
    s3_mount.mount(upload_delay="5s")
    (s3_mount / "f").write_bytes(os.urandom(MIB))
    (s3_mount / "f").unlink()
    s3_mount.sync()
    assert proxy.requests("PUT", "/f") == []
    assert s3_bucket.keys() == []


def test_a_temporary_name_stays_local(s3_mount, s3_bucket):
    s3_mount.mount()
    (s3_mount / "model.tmp").write_bytes(b"x")
    done = s3_mount.sync()
    assert "temporary" in done.stdout + done.stderr
    assert s3_bucket.keys() == []
    (s3_mount / "model.tmp").rename(s3_mount / "model")
    s3_mount.sync()
    assert s3_bucket.keys() == ["model"]


@pytest.mark.option("volatile_cache")
def test_a_volatile_cache_is_refused(folder_mount):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as cache:
        folder_mount.options["cache_dir"] = cache
        folder_mount.mount(status=1)
        assert "volatile_cache=ok" in folder_mount.said
        folder_mount.mount(volatile_cache="ok")
        (folder_mount / "f").write_bytes(b"x")
        folder_mount.umount()
