# SPDX-License-Identifier: Apache-2.0
"""Rows of docs/fault-matrix.md whose fault is in the cache disk: full, out of
inodes or descriptors, gone, damaged, dead."""

import errno
import fcntl
import mmap
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from buckets import DirBucket, assert_same
from mount import wait_until
from writer import Writer

MIB = 1 << 20
root = pytest.mark.root
EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2


@pytest.fixture
def disk(tmp_path):
    """disk(megabytes, OPTIONS): a small ext4 of its own, mounted on a folder."""
    made = []

    def make(megabytes, *options):
        image, folder = tmp_path / "disk.img", tmp_path / "disk"
        folder.mkdir()
        with image.open("wb") as f:
            f.truncate(megabytes * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", *options, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, folder], check=True)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", "-l", folder], check=True)


def cache_of(mnt):
    return Path(mnt.status()["cache"]["dir"])


def fill(folder):
    """Take the last byte of its disk; the file to remove again."""
    path = folder / "fill"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    size = MIB
    try:
        while size:
            try:
                os.write(fd, bytes(size))
            except OSError:
                size //= 2
    finally:
        os.close(fd)
    return path


# ---- full


@root
def test_f19_a_full_disk_says_so_and_loses_nothing(
    disk, s3_bucket, mounts, proxy, passthrough
):
    """ENOSPC for the writer, whose file keeps what was written; deletes and
    reads go on; with room again all goes on."""
    folder = disk(400)
    m = mounts(
        s3_bucket,
        passthrough=passthrough,
        cache_dir=folder / "cache",
        cache_min_free="1M",
        cache_size="1G",
        full="enospc",  # on the ordinary path a write would wait for the bucket
        upload_delay="0s",
    ).mount()
    proxy.fault("status", method="PUT|POST", count=-1)
    kept = os.urandom(5 * MIB)
    (m / "kept").write_bytes(kept)
    with (m / "f.bin").open("wb", buffering=0) as f:
        filler = fill(folder)
        with pytest.raises(OSError) as e:
            for _ in range(64):
                f.write(bytes(MIB))
        assert e.value.errno == errno.ENOSPC
        assert os.fstat(f.fileno()).st_size == f.tell()
        assert (m / "kept").read_bytes() == kept
        (m / "gone").mkdir()
        (m / "gone").rmdir()
        filler.unlink()
        f.write(b"more")
        want = f.tell()
    proxy.heal()
    m.sync()
    assert s3_bucket.get("kept") == kept
    assert s3_bucket.head("f.bin").size == want
    assert_same(s3_bucket, m.path)


@root
def test_f22_no_inode_is_left(disk, s3_bucket, mounts):
    folder = disk(300, "-N", "256")
    m = mounts(
        s3_bucket, cache_dir=folder / "cache", cache_min_free="1M", upload_delay="0s"
    ).mount()
    made = []
    with pytest.raises(OSError) as e:
        for i in range(1000):
            (m / f"{i}").write_bytes(b"x")
            made.append(f"{i}")
    assert e.value.errno == errno.ENOSPC
    assert sorted(os.listdir(m.path)) == sorted(made)
    m.sync()
    m.run("evict", m.path)
    (m / "again").write_bytes(b"y")
    m.sync()
    m.remount()
    assert sorted(os.listdir(m.path)) == sorted([*made, "again"])
    assert s3_bucket.keys() == sorted([*made, "again"])


def test_f24_no_descriptor_is_left(s3_bucket, mounts, passthrough):
    """The daemon may have 100: opens fail, nothing is dropped."""
    m = mounts(s3_bucket, passthrough=passthrough, upload_delay="0s")
    m.prefix = ["prlimit", "--nofile=100:100"]
    m.mount()
    held, failed = [], 0
    for i in range(200):
        try:
            held.append((m / f"{i}").open("wb", buffering=0))
            held[-1].write(b"%d" % i)
        except OSError as e:
            assert e.errno in (errno.EMFILE, errno.ENFILE, errno.EIO)
            failed += 1
    assert failed > 0
    for f in held:
        f.close()
    wait_until(lambda: m.status()["opens"]["now"] == 0, what="all closed")
    wait_until(
        lambda: "open" not in [e["state"] for e in m.status()["queue"]],
        what="all at rest",
    )
    m.sync()
    assert len(s3_bucket.keys()) == len(held)
    (m / "more").write_bytes(b"x")
    m.sync()
    assert_same(s3_bucket, m.path)


def test_f28_the_cache_folder_is_deleted(mnt, bucket):
    """What it held is lost; no object changes, and everybody is told."""
    (mnt / "published").write_bytes(b"published")
    mnt.sync()
    cache = cache_of(mnt)
    shutil.rmtree(cache)
    with pytest.raises(OSError) as e:
        (mnt / "new").write_bytes(b"new")
    assert e.value.errno == errno.EIO
    # also where no byte has to go to the disk
    (mnt / "folder").mkdir()
    wait_until(lambda: mnt.status()["cache"]["failed"], what="status to say so")
    mnt.run("status", "--check", mnt.path, status=1)
    mnt.sync(status=1)
    assert mnt.log.read_text().count("cache folder was deleted") == 1
    assert bucket.keys() == ["published"]
    assert bucket.get("published") == b"published"


# ---- gone, damaged


@pytest.mark.parametrize("name", ["db-wal", "barrier"])
def test_f13_a_damaged_database_is_refused_and_left_alone(mnt, name):
    (mnt / "f").write_bytes(b"x" * 1000)
    cache = cache_of(mnt)
    mnt.umount()
    path = cache / name
    whole = path.read_bytes()
    path.write_bytes(
        whole[:100] + b"\xff" * 100 + whole[200:] if name != "barrier" else b""
    )
    blobs = sorted(p for p in (cache / "blobs").rglob("*") if p.is_file())
    damaged = path.read_bytes()
    mnt.mount(status=1)
    assert str(cache) in mnt.said
    assert path.read_bytes() == damaged
    assert sorted(p for p in (cache / "blobs").rglob("*") if p.is_file()) == blobs
    path.write_bytes(whole)
    mnt.mount()
    assert (mnt / "f").read_bytes() == b"x" * 1000


def test_f15_a_lost_blob_is_reported(s3_bucket, mounts, proxy):
    """Somebody deleted the bytes of one file while nothing was mounted: it is
    named, and what stands behind it in the line waits until it is given up."""
    m = mounts(s3_bucket, upload_delay="0s").mount()
    proxy.fault("status", method="PUT|POST", count=-1)
    blobs = cache_of(m) / "blobs"
    before = set(blobs.rglob("*"))
    (m / "lost").write_bytes(b"l" * 1000)
    (blob,) = (p for p in set(blobs.rglob("*")) - before if p.is_file())
    (m / "behind").write_bytes(b"b" * 1000)
    dir_fd = os.open(m.path, os.O_RDONLY)
    os.fsync(dir_fd)  # so that no row is taken back for it
    os.close(dir_fd)
    m.kill9()
    blob.unlink()
    proxy.break_connections()  # what it had sent last does not arrive now
    proxy.heal()
    m.mount()
    wait_until(
        lambda: m.status(m / "lost")["state"] == "parked", what="the file, parked"
    )
    said = m.sync(status=1).stderr
    assert "not in the bucket: lost (parked" in said
    assert s3_bucket.keys() == []
    with pytest.raises(OSError) as e:
        (m / "lost").read_bytes()
    assert e.value.errno == errno.EIO
    (m / "lost").unlink()
    m.sync()
    assert s3_bucket.keys() == ["behind"]


def flip_a_bit(image, data):
    """In the middle of these bytes, wherever the file system has them."""
    with image.open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
        at = m.find(data[len(data) // 2 :][:4096])
        assert at >= 0
        m[at] ^= 1


@root
@pytest.mark.parametrize("size", [5 * MIB, 20 * MIB])
def test_f14_a_bit_that_rots_is_not_published(
    disk, s3_bucket, mounts, proxy, passthrough, size
):
    """Below the file system, between two mounts: nothing tells but the
    checksum that was taken while it waited."""
    folder = disk(300)
    m = mounts(
        s3_bucket,
        passthrough=passthrough,
        cache_dir=folder / "cache",
        cache_min_free="1M",
        upload_delay="0s",
    )
    m.log = folder.with_name("log")
    m.mount()
    rotten = m / "d/rotten.ckpt"
    (m / "d").mkdir()
    rotten.write_bytes(b"old")
    m.sync()
    proxy.fault("status", method="PUT|POST", count=-1)
    data = os.urandom(size)
    rotten.write_bytes(data)
    (m / "other").mkdir()
    (m / "other/good").write_bytes(b"good")
    said = "rotten.ckpt: its checksum is known"
    wait_until(lambda: said in m.log.read_text(), 60, "its checksum")
    m.kill9()
    m.detach()
    subprocess.run(["umount", folder], check=True)
    flip_a_bit(folder.with_name("disk.img"), data)
    subprocess.run(
        ["mount", "-o", "loop", folder.with_name("disk.img"), folder], check=True
    )
    proxy.heal()
    m.mount()
    said = m.sync(status=1).stderr
    assert "not in the bucket: d/rotten.ckpt (parked" in said
    assert "the cache disk damaged its bytes" in said
    good = "other/good"
    wait_until(lambda: s3_bucket.keys(good) == [good], what="the one behind it")
    assert s3_bucket.keys() == ["d/rotten.ckpt", "other/good"]
    assert s3_bucket.get("d/rotten.ckpt") == b"old"
    m.run("status", "--check", m.path, status=1)
    m.run("recover", "retry", rotten)
    assert "d/rotten.ckpt (parked" in m.sync(status=1).stderr
    rotten.write_bytes(data)
    m.sync()
    assert_same(s3_bucket, m.path)
    wait_until(lambda: s3_bucket.uploads() == [], what="no upload is left")


@root
def test_f29_the_disk_dies(disk, s3_bucket, mounts, passthrough):
    """Of the file system below nothing can be read or written any more."""
    folder = disk(300)
    m = mounts(
        s3_bucket,
        passthrough=passthrough,
        cache_dir=folder / "cache",
        cache_min_free="1M",
        upload_delay="0s",
    ).mount()
    s3_bucket.put("cold", b"cold")
    (m / "published").write_bytes(b"published")
    m.sync()
    w = Writer(m / "open.ckpt")
    try:
        assert w("write", "o", 1000) == 0
        fd = os.open(folder, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, NOLOGFLUSH.to_bytes(4, "little"))
        os.close(fd)
        assert w("fsync") in (errno.EIO, errno.EROFS)
        assert w("fsync") in (errno.EIO, errno.EROFS), "a second fsync is believed"
    finally:
        w.end()
    with pytest.raises(OSError):
        (m / "new").write_bytes(b"new")
    wait_until(lambda: m.status()["cache"]["failed"], what="status to say so")
    m.run("status", "--check", m.path, status=1)
    said = m.sync(status=1).stderr
    assert "open.ckpt" in said
    assert s3_bucket.keys() == ["cold", "published"]
    assert s3_bucket.get("published") == b"published"


def go_read_only(folder):
    """As ext4 does when it finds itself damaged (errors=remount-ro): all that is
    read is still there."""
    source = ["findmnt", "-no", "SOURCE", folder]
    device = Path(subprocess.check_output(source, text=True).strip()).name
    Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("test")
    with pytest.raises(OSError, match="Read-only"):
        (folder / "x").touch()


@root
def test_a_disk_that_goes_read_only_under_the_mount(
    disk, s3_bucket, mounts, passthrough
):
    """Whoever writes is told, status says it, and what was promised before is
    there when the disk is in order again."""
    folder = disk(300, "-e", "remount-ro")
    m = mounts(
        s3_bucket,
        passthrough=passthrough,
        cache_dir=folder / "cache",
        cache_min_free="1M",
        upload_delay="1h",
    ).mount()
    (m / "queued").write_bytes(b"queued" * 1000)
    (m / "moved.tmp").write_bytes(b"renamed")
    (m / "moved.tmp").rename(m / "moved")
    w = Writer(m / "open.ckpt")
    refused = (errno.EIO, errno.EROFS)
    try:
        assert w("write", "o", 1000) == 0
        assert w("fsync") == 0  # of all that was done before, too
        go_read_only(folder)
        assert w("write", "p", 1000) in (0, *refused)
        assert w("fsync") in refused
        assert w("fsync") in refused, "a second fsync is believed"
    finally:
        w.end()
    with pytest.raises(OSError, match=r"Input/output|Read-only"):
        (m / "new").write_bytes(b"new")
    with pytest.raises(OSError, match=r"Input/output|Read-only"):
        (m / "queued").unlink()
    assert (m / "queued").read_bytes() == b"queued" * 1000
    wait_until(lambda: m.status()["cache"]["failed"], what="status to say so")
    m.run("status", "--check", m.path, status=1)
    m.kill9()
    m.detach()
    subprocess.run(["umount", folder], check=True)
    image = folder.with_name("disk.img")
    subprocess.run(["fsck.ext4", "-fy", image], stdout=subprocess.DEVNULL)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    m.mount(upload_delay="0s")
    assert (m / "queued").read_bytes() == b"queued" * 1000
    assert (m / "moved").read_bytes() == b"renamed"
    assert (m / "open.ckpt").read_bytes()[:1000] == b"o" * 1000
    assert not (m / "new").exists()
    m.run("recover", "publish", m / "open.ckpt")
    m.sync()
    assert_same(s3_bucket, m.path)


def test_a_cache_that_may_not_be_written_is_refused(tmp_path, mounts):
    folder = tmp_path / "ro"
    m = mounts(DirBucket(tmp_path / "bucket"), cache_dir=folder)
    folder.chmod(0o500)
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        m.mount(status=1)
        assert "cannot be" in m.said
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", folder], check=True)
        folder.chmod(0o700)
