# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the daemon: what was acknowledged is back, uploads go on."""

import contextlib
import os

import pytest

from buckets import assert_same
from conftest import over_all_servers
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


@over_all_servers
def test_f33_an_upload_resumes_from_the_parts_the_store_has(mnt, s3_bucket, proxy):
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


@over_all_servers
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


def test_holes_are_no_lost_bytes(mnt, s3_bucket, proxy):
    """What was sealed with holes is all there after a crash: nothing is cut."""
    proxy.fault("status", method="PUT", code=503, count=-1)
    with (mnt / "sparse").open("wb") as f:
        f.truncate(8 << 20)
        f.seek(4 << 20)
        f.write(b"in the middle")
    mnt.kill9()
    proxy.heal()
    mnt.mount()
    assert "lost its bytes" not in mnt.log.read_text()
    data = (mnt / "sparse").read_bytes()
    assert len(data) == 8 << 20
    assert data[4 << 20 :].startswith(b"in the middle\0")
    mnt.sync()
    assert s3_bucket.get("sparse") == data


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


def test_f67_again_and_again(mnt, s3_bucket):
    for i in range(6):
        (mnt / f"{i}").write_bytes(os.urandom(MIB))
        (mnt / "last").write_bytes(b"%d" % i * 100_000)
        mnt.kill9()
        mnt.mount()
        assert (mnt / "last").read_bytes() == b"%d" % i * 100_000
    mnt.sync()
    assert_same(s3_bucket, mnt.path)


@over_all_servers
def test_a_folder_of_others_moves_on_after_a_kill(
    s3_mount, s3_bucket, proxy, s3_server
):
    """Objects with no word of ours and no checksum: the copy whose answer nobody
    heard is known by its bytes."""
    names = [f"f{i:02}" for i in range(20)]
    s3_bucket.put_many({f"dir/{name}": name.encode() for name in names})
    if s3_server.name == "versitygw":  # makes one of each object
        for name in names:
            path = s3_server.data / s3_bucket.name / "dir" / name
            for attr in os.listxattr(path):
                if "checksum" in attr:
                    os.removexattr(path, attr)
    mnt = s3_mount.mount()
    assert sorted(os.listdir(mnt / "dir")) == names
    lost = proxy.fault("drop", method="POST", path="uploadId=", skip=5, count=-1)
    (mnt / "dir").rename(mnt / "new")
    (mnt / "latest").write_bytes(b"new")
    wait_until(lambda: lost.hits, what="a copy without an answer")
    mnt.kill9()
    proxy.heal()
    assert len(s3_bucket.keys("dir/")) == 20
    mnt.mount()
    mnt.sync()
    assert s3_bucket.keys() == ["latest", *(f"new/{name}" for name in names)]
    assert all(s3_bucket.get(f"new/{name}") == name.encode() for name in names)
