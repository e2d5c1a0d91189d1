# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon: what was acknowledged is back, uploads go on."""

import contextlib
import os

import pytest

from buckets import assert_same
from mount import is_mounted, wait_until

MIB = 1 << 20
PART = 8 * MIB


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough, part_size="8M").mount()


def killed_in_mid_upload(mnt, proxy, data):
    """Write data as `big`, kill the daemon when half of it went through."""
    proxy.limit(up=24 * MIB)
    (mnt / "big").write_bytes(data)
    wait_until(
        lambda: proxy.body_bytes("/big") >= len(data) // 2, what="half the upload"
    )
    mnt.kill9()
    proxy.limit()


def bytes_after(proxy, count):
    return sum(r.sent for r in proxy.requests("PUT", "/big")[count:])


def test_an_upload_resumes_from_the_parts_the_store_has(mnt, s3_bucket, proxy):
    data = os.urandom(96 * MIB)
    killed_in_mid_upload(mnt, proxy, data)
    sent = [
        r for r in proxy.requests("PUT", "/big") if r.status == 200 and r.sent == PART
    ]
    streams = sum(r.status is None for r in proxy.requests("PUT", "/big"))
    count = len(proxy.requests("PUT", "/big"))
    mnt.mount()
    assert (mnt / "big").read_bytes() == data
    mnt.sync()
    missing = len(data) - len(sent) * PART
    assert bytes_after(proxy, count) <= missing + (streams + 1) * PART
    assert s3_bucket.get("big") == data
    assert s3_bucket.uploads() == []
    assert_same(s3_bucket, mnt.path)


def test_what_was_acknowledged_is_back(mnt, s3_bucket, proxy):
    proxy.fault("status", code=503, count=-1)
    (mnt / "d/e").mkdir(parents=True)
    for i in range(20):
        (mnt / f"d/e/{i}").write_bytes(b"%d" % i * 1000)
    (mnt / "d/e/0").unlink()
    (mnt / "d/e/1").rename(mnt / "d/one")
    (mnt / "link").symlink_to("d/one")
    os.chmod(mnt / "d/one", 0o600)
    os.utime(mnt / "d/one", ns=(1, 1_234_567_890_123_456_789))
    mnt.kill9()
    proxy.heal()
    mnt.mount()
    assert sorted(os.listdir(mnt / "d/e"), key=int) == [str(i) for i in range(2, 20)]
    assert (mnt / "d/one").read_bytes() == b"1" * 1000
    assert os.readlink(mnt / "link") == "d/one"
    st = (mnt / "d/one").stat()
    assert (st.st_mode & 0o777, st.st_mtime_ns) == (0o600, 1_234_567_890_123_456_789)
    mnt.sync()
    assert_same(s3_bucket, mnt.path)


def test_a_file_open_at_the_crash_comes_back_unfinished(mnt, s3_bucket):
    (mnt / "old").write_bytes(b"published")
    mnt.sync()
    new = (mnt / "new").open("wb", buffering=0)
    new.write(b"n" * 100_000)
    old = (mnt / "old").open("wb", buffering=0)
    old.write(b"torn")
    mnt.kill9()
    for f in (new, old):
        with contextlib.suppress(OSError):
            f.close()
    mnt.mount()
    assert (mnt / "new").read_bytes() == b"n" * 100_000
    assert (mnt / "old").read_bytes() == b"published"
    mnt.sync(status=1)  # it names what is unfinished
    assert s3_bucket.keys() == ["old"]
    assert s3_bucket.get("old") == b"published"
    (mnt / "new").unlink()
    mnt.sync(status=None)


def test_a_second_mount_elsewhere_sees_no_half(mnt, s3_bucket, proxy, mounts):
    (mnt / "big").write_bytes(b"first" * MIB)
    mnt.sync()
    killed_in_mid_upload(mnt, proxy, os.urandom(64 * MIB))
    other = mounts(s3_bucket, "other").mount()
    assert (other / "big").read_bytes() == b"first" * MIB
    other.umount()
    mnt.mount()
    mnt.sync()
    assert len(s3_bucket.get("big")) == 64 * MIB


def test_the_same_cache_takes_over_at_another_mount_point(
    mnt, s3_bucket, proxy, mounts
):
    data = os.urandom(48 * MIB)
    killed_in_mid_upload(mnt, proxy, data)
    mnt.detach()
    elsewhere = mounts(s3_bucket, "b", cache_dir=mnt.cache_dir).mount()
    assert (elsewhere / "big").read_bytes() == data
    elsewhere.sync()
    assert s3_bucket.get("big") == data


def test_a_second_daemon_on_one_cache_is_refused(mnt, s3_bucket, mounts):
    second = mounts(s3_bucket, "b", cache_dir=mnt.cache_dir)
    second.mount(status=1)
    assert str(mnt.path) in second.said


def test_a_live_mount_point_is_not_taken_over(mnt, s3_bucket, mounts):
    second = mounts(s3_bucket, "b")
    second.path = mnt.path
    second.mount(status=1)
    assert is_mounted(mnt.path)
    (mnt / "f").write_bytes(b"x")


def test_again_and_again(mnt, s3_bucket):
    for i in range(6):
        (mnt / f"{i}").write_bytes(os.urandom(MIB))
        (mnt / "last").write_bytes(b"%d" % i * 100_000)
        mnt.kill9()
        mnt.mount()
        assert (mnt / "last").read_bytes() == b"%d" % i * 100_000
    mnt.sync()
    assert_same(s3_bucket, mnt.path)


@pytest.mark.parametrize("flags", [os.O_APPEND, 0], ids=["append", "in-place"])
@pytest.mark.parametrize("published", [True, False], ids=["published", "queued"])
def test_bytes_written_to_an_open_file_are_kept_and_told(
    mnt, s3_bucket, flags, published
):
    (mnt / "log.csv").write_bytes(b"one\n")
    if published:
        mnt.sync()
    fd = os.open(mnt / "log.csv", os.O_WRONLY | flags)
    os.pwrite(fd, b"two\n", 4)
    mnt.kill9()
    with contextlib.suppress(OSError):
        os.close(fd)
    mnt.mount()
    # Changed in place they show, and are not in the bucket; written to a copy
    # the last whole version shows, and status tells of what is kept beside it.
    seen = (mnt / "log.csv").read_bytes()
    assert seen in (b"one\ntwo\n", b"one\n")
    done = mnt.sync(status=0 if seen == b"one\n" else 1)
    said = done.stdout + done.stderr + mnt.run("status", mnt.path).stdout
    assert "log.csv" in said
    assert "unfinished" in said
    assert s3_bucket.keys() in ([], ["log.csv"])
    if published or seen == b"one\n":
        assert s3_bucket.get("log.csv") == b"one\n"


@pytest.mark.parametrize("published", [True, False], ids=["published", "queued"])
def test_an_appended_log_open_at_the_crash(mnt, s3_bucket, published):
    """What the mount shows is in the bucket, or sync names it."""
    path = mnt / "log.csv"
    for line in (b"one\n", b"two\n"):
        with path.open("ab") as f:
            f.write(line)
    if published:
        mnt.sync()
    with path.open("ab", buffering=0) as f:
        f.write(b"three\n")
        mnt.kill9()
        with contextlib.suppress(OSError):
            f.close()
    mnt.mount()
    seen = path.read_bytes()
    assert seen.startswith(b"one\ntwo\n")
    done = mnt.sync(status=None)
    assert (done.returncode == 0) == (s3_bucket.get("log.csv") == seen), done
    with path.open("ab") as f:
        f.write(b"four\n")
    mnt.sync()
    assert s3_bucket.get("log.csv") == path.read_bytes() == seen + b"four\n"
