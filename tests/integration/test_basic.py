# SPDX-License-Identifier: Apache-2.0
"""What programs do to a directory, on a mount, over both I/O paths."""

import errno
import mmap
import os
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from buckets import DirBucket, assert_same
from conftest import over_all_buckets
from mount import wait_until

MIB = 1 << 20


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


def settle(mnt, bucket, **how):
    """All is published, and the bucket equals the mount; again after a mount
    with an empty cache."""
    mnt.sync()
    assert_same(bucket, mnt.path, **how)


@over_all_buckets
def test_files_of_all_sizes(mnt, bucket):
    for size in (0, 1, 4095, 4096, 4097, MIB - 1, 3 * MIB + 5):
        data = os.urandom(size)
        (mnt / f"f{size}").write_bytes(data)
        assert (mnt / f"f{size}").read_bytes() == data
        assert (mnt / f"f{size}").stat().st_size == size
    settle(mnt, bucket)


@over_all_buckets
def test_a_large_file_goes_up_in_parts(mnt, bucket):
    data = os.urandom(20 * MIB + 17)
    with (mnt / "big").open("wb", buffering=0) as f:
        for at in range(0, len(data), MIB):
            f.write(data[at : at + MIB])
    settle(mnt, bucket)
    assert bucket.get("big") == data


def test_writes_anywhere(mnt, bucket):
    want = bytearray(2 * MIB)
    fd = os.open(mnt / "f", os.O_RDWR | os.O_CREAT, 0o640)
    for at in (MIB + 3, 0, 17, 2 * MIB - 5, 4094, MIB - 1):
        want[at : at + 5] = b"%05d" % (at % 100000)
        assert os.pwrite(fd, want[at : at + 5], at) == 5
    assert os.pread(fd, 3 * MIB, 0) == want
    os.close(fd)
    assert (mnt / "f").read_bytes() == want
    settle(mnt, bucket)


@over_all_buckets
def test_change_in_place_of_what_is_published(mnt, bucket):
    want = bytearray(os.urandom(2 * MIB))
    (mnt / "f").write_bytes(want)
    mnt.sync()
    with (mnt / "f").open("r+b") as f:
        f.seek(MIB)
        f.write(b"changed")
    want[MIB : MIB + 7] = b"changed"
    assert (mnt / "f").read_bytes() == want
    settle(mnt, bucket)


def test_append(mnt, bucket):
    for i in range(20):
        with (mnt / "log").open("ab") as f:
            f.write(b"line %d\n" % i)
    mnt.sync()
    with (mnt / "log").open("ab") as f:
        f.write(b"after the upload\n")
    lines = (mnt / "log").read_text().splitlines()
    assert (lines[0], lines[19], lines[20], len(lines)) == (
        "line 0",
        "line 19",
        "after the upload",
        21,
    )
    settle(mnt, bucket)


def test_truncate(mnt, bucket):
    path = mnt / "f"
    path.write_bytes(b"0123456789" * 1000)
    os.truncate(path, 15)
    assert path.read_bytes() == b"012345678901234"
    os.truncate(path, 20)
    assert path.read_bytes() == b"012345678901234" + bytes(5)
    mnt.sync()
    with path.open("r+b") as f:
        f.truncate(3)
        assert os.fstat(f.fileno()).st_size == 3
    path.with_name("grown").touch()
    os.truncate(path.with_name("grown"), MIB)
    settle(mnt, bucket)
    assert bucket.get("f") == b"012"


def test_truncation_on_open_leaves_the_published_object(mnt, bucket):
    (mnt / "f").write_bytes(b"first")
    mnt.sync()
    with (mnt / "f").open("wb") as f:
        assert bucket.get("f") == b"first"
        f.write(b"second")
    settle(mnt, bucket)
    assert bucket.get("f") == b"second"


@over_all_buckets
def test_rename_of_files(mnt, bucket):
    (mnt / "a").write_bytes(b"a")
    (mnt / "b").write_bytes(b"b")
    (mnt / "a").rename(mnt / "c")
    mnt.sync()
    assert bucket.keys() == ["b", "c"]
    (mnt / "c").rename(mnt / "b")
    assert (mnt / "b").read_bytes() == b"a"
    assert os.listdir(mnt.path) == ["b"]
    refused(errno.ENOENT, os.rename, mnt / "none", mnt / "x")
    settle(mnt, bucket)


def test_rename_of_an_open_file(mnt, bucket):
    with (mnt / "a").open("wb") as f:
        f.write(b"be")
        f.flush()
        (mnt / "a").rename(mnt / "b")
        f.write(b"hind")
    assert (mnt / "b").read_bytes() == b"behind"
    settle(mnt, bucket)


@over_all_buckets
def test_rename_of_directories(mnt, bucket):
    for name in ("d/e/f", "d/g"):
        (mnt / name).parent.mkdir(parents=True, exist_ok=True)
        (mnt / name).write_bytes(name.encode())
    (mnt / "d").rename(mnt / "unpublished")
    mnt.sync()
    assert bucket.keys() == ["unpublished/e/f", "unpublished/g"]
    (mnt / "unpublished").rename(mnt / "published")
    assert (mnt / "published/e/f").read_bytes() == b"d/e/f"
    settle(mnt, bucket)
    (mnt / "full").mkdir()
    (mnt / "full/x").touch()
    refused(errno.ENOTEMPTY, os.rename, mnt / "published", mnt / "full")
    refused(errno.EINVAL, os.rename, mnt / "full", mnt / "full/below")


@over_all_buckets
def test_unlink(mnt, bucket):
    (mnt / "f").write_bytes(b"x")
    (mnt / "f").unlink()  # with its upload pending
    refused(errno.ENOENT, os.stat, mnt / "f")
    (mnt / "g").write_bytes(b"x")
    mnt.sync()
    (mnt / "g").unlink()
    refused(errno.ENOENT, os.unlink, mnt / "g")
    settle(mnt, bucket)
    assert bucket.keys() == []


def test_unlink_of_an_open_file(mnt, bucket):
    with (mnt / "f").open("w+b") as f:
        f.write(b"still here")
        f.flush()
        (mnt / "f").unlink()
        f.seek(0)
        assert f.read() == b"still here"
        assert os.fstat(f.fileno()).st_nlink == 0
    assert os.listdir(mnt.path) == []
    settle(mnt, bucket)


def test_what_goes_right_after_its_close_leaves_the_cache(mnt, bucket):
    """RELEASE comes after close(2) has returned: unlink often meets it."""
    for i in range(300):
        path = mnt / f"tmp{i}"
        path.write_bytes(b"x" * 1000)
        path.unlink()

    def blobs():
        return [p for p in mnt.cache_dir.glob("*/blobs/*/*") if p.is_file()]

    wait_until(lambda: not blobs(), what="the cache is empty")
    status = mnt.status()
    assert status["cache"]["used_bytes"] == 0, status["cache"]
    settle(mnt, bucket)
    assert status["last_error"] is None


@over_all_buckets
def test_directories(mnt, bucket):
    (mnt / "a/b/c").mkdir(parents=True)
    refused(errno.EEXIST, os.mkdir, mnt / "a")
    refused(errno.ENOENT, os.mkdir, mnt / "x/y")
    refused(errno.ENOTEMPTY, os.rmdir, mnt / "a")
    (mnt / "a/b/c").rmdir()
    (mnt / "a/f").write_bytes(b"x")
    refused(errno.ENOTDIR, os.rmdir, mnt / "a/f")
    refused(errno.EISDIR, os.unlink, mnt / "a/b")
    assert sorted(os.listdir(mnt / "a")) == ["b", "f"]
    mnt.sync()
    shutil.rmtree(mnt / "a")
    assert os.listdir(mnt.path) == []
    settle(mnt, bucket)


def test_a_directory_of_many_files(mnt, bucket):
    names = {f"file-{i:04d}" for i in range(300)}
    (mnt / "many").mkdir()
    for name in names:
        (mnt / "many" / name).write_text(name)
    with os.scandir(mnt / "many") as entries:
        found = {e.name: e.stat().st_size for e in entries}
    assert found == dict.fromkeys(names, 9)
    settle(mnt, bucket)


@over_all_buckets
def test_symbolic_links(mnt, bucket, mounts):
    (mnt / "target").write_bytes(b"x")
    (mnt / "link").symlink_to("target")
    assert (mnt / "link").readlink().name == "target"
    assert (mnt / "link").read_bytes() == b"x"
    (mnt / "dangling").symlink_to("nowhere")
    mnt.sync()
    other = mounts(bucket, "other").mount()
    assert os.readlink(other / "link") == "target"
    assert os.readlink(other / "dangling") == "nowhere"
    (mnt / "link").unlink()
    (mnt / "dangling").unlink()
    mnt.sync()
    assert bucket.keys() == ["target"]


@over_all_buckets
def test_modes_owners_and_times(mnt, bucket, mounts):
    path = mnt / "f"
    path.write_bytes(b"x")
    path.chmod(0o640)
    owner = (12, 34) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_700_000_000_987_654_321))
    st = path.stat()
    assert stat.S_IMODE(st.st_mode) == 0o640
    assert (st.st_uid, st.st_gid) == owner
    assert st.st_mtime_ns == 1_700_000_000_987_654_321
    settle(mnt, bucket)
    st = (mounts(bucket, "other").mount() / "f").stat()
    assert stat.S_IMODE(st.st_mode) == 0o640
    assert st.st_mtime_ns == 1_700_000_000_987_654_321


def test_times_move_with_the_bytes(mnt):
    before = time.time_ns() - 20_000_000
    (mnt / "f").write_bytes(b"x")
    first = (mnt / "f").stat().st_mtime_ns
    assert before <= first <= time.time_ns() + 20_000_000
    time.sleep(0.02)
    with (mnt / "f").open("ab") as f:
        f.write(b"y")
    assert (mnt / "f").stat().st_mtime_ns > first
    folder = mnt.path.stat().st_mtime_ns
    time.sleep(0.02)
    (mnt / "g").touch()
    assert mnt.path.stat().st_mtime_ns > folder


def test_statfs(mnt):
    st = os.statvfs(mnt.path)
    assert st.f_bsize > 0 and st.f_blocks > 0 and st.f_bavail > 0
    assert st.f_namemax >= 255


def test_inode_numbers_stay(mnt):
    (mnt / "f").write_bytes(b"x")
    number = (mnt / "f").stat().st_ino
    (mnt / "f").write_bytes(b"y")
    (mnt / "f").rename(mnt / "g")
    mnt.sync()
    assert (mnt / "g").stat().st_ino == number
    with os.scandir(mnt.path) as entries:
        assert [e.inode() for e in entries] == [number]
    mnt.remount()
    assert (mnt / "g").stat().st_ino == number


def test_mmap_read_and_write(mnt, bucket):
    (mnt / "f").write_bytes(bytes(3 * MIB))
    with (mnt / "f").open("r+b") as f:
        with mmap.mmap(f.fileno(), 0) as m:
            m[MIB : MIB + 5] = b"mmap!"
            m.flush()
            assert m[MIB : MIB + 5] == b"mmap!"
        f.seek(MIB)
        assert f.read(5) == b"mmap!"
    mnt.sync()
    assert bucket.get("f")[MIB : MIB + 5] == b"mmap!"


def test_what_is_stored_to_a_mapping_is_not_appended(mnt, bucket):
    """Though the handle that the kernel writes it back by was opened to append."""
    (mnt / "f").write_bytes(bytes(3 * 4096))
    fd = os.open(mnt / "f", os.O_RDWR | os.O_APPEND)
    with mmap.mmap(fd, 0) as m:
        os.write(fd, b"end")
        m[4096:4101] = b"mmap!"
    os.close(fd)
    want = bytes(4096) + b"mmap!" + bytes(2 * 4096 - 5) + b"end"
    assert (mnt / "f").read_bytes() == want
    settle(mnt, bucket)


def test_readers_see_what_a_writer_beside_them_writes(mnt, bucket):
    """A handle that can only write may go past the page cache; those who read
    through it, or have it mapped, must not keep what they had."""
    old, new = bytes(3 * MIB), os.urandom(3 * MIB)
    (mnt / "f").write_bytes(old)
    with (
        (mnt / "f").open("rb", buffering=0) as reader,
        mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ) as m,
    ):
        assert m[:] == old and os.pread(reader.fileno(), len(old), 0) == old
        writer = os.open(mnt / "f", os.O_WRONLY)
        for at, end in ((0, 7), (MIB + 1, 3 * MIB - 9), (MIB - 1, MIB + 1)):
            # From anywhere in a page of memory to anywhere in one of the file.
            assert os.pwrite(writer, memoryview(new)[at:end], at) == end - at
            want = old[:at] + new[at:end] + old[end:]
            assert m[:] == want
            assert os.pread(reader.fileno(), len(want), 0) == want
            old = want
        os.close(writer)
        assert m[:] == want
    settle(mnt, bucket)
    assert bucket.get("f") == want


def test_fsync_of_files_and_directories(mnt, bucket):
    (mnt / "d").mkdir()
    with (mnt / "d/f").open("wb") as f:
        f.write(b"x")
        f.flush()
        os.fsync(f.fileno())
        os.fdatasync(f.fileno())
    fd = os.open(mnt / "d", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
    settle(mnt, bucket)


def test_exclusive_creation(mnt):
    os.close(os.open(mnt / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    refused(errno.EEXIST, os.open, mnt / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_rename_noreplace(mnt):
    (mnt / "a").write_bytes(b"a")
    (mnt / "b").write_bytes(b"b")
    done = subprocess.run(
        ["mv", "--no-clobber", str(mnt / "a"), str(mnt / "b")], capture_output=True
    )
    assert (mnt / "b").read_bytes() == b"b", done
    assert (mnt / "a").read_bytes() == b"a"


def test_seek_data_and_hole(mnt):
    with (mnt / "f").open("wb") as f:
        f.truncate(8 * MIB)
        f.seek(4 * MIB)
        f.write(b"x" * 4096)
        f.flush()
        end = os.lseek(f.fileno(), 0, os.SEEK_END)
        assert end == 8 * MIB
        data = os.lseek(f.fileno(), 0, os.SEEK_DATA)
        assert 0 <= data <= 4 * MIB


def test_hard_links_and_xattrs_are_refused(mnt):
    (mnt / "f").write_bytes(b"x")
    refused(errno.EPERM, os.link, mnt / "f", mnt / "g")
    refused(errno.EOPNOTSUPP, os.setxattr, mnt / "f", "user.a", b"1")
    refused(errno.EOPNOTSUPP, os.removexattr, mnt / "f", "user.a")
    refused(errno.EOPNOTSUPP, os.listxattr, mnt / "f")
    # Else the kernel would ask for one before every write.
    refused(errno.EOPNOTSUPP, os.getxattr, mnt / "f", "security.capability")


def test_names(mnt, bucket):
    names = ["with space", "üñí", "a+b&c=d?e#f", "100%", "x" * 200, "-n", "tab\there"]
    for name in names:
        (mnt / name).write_text(name)
    assert sorted(os.listdir(mnt.path)) == sorted(names)
    refused(errno.ENAMETOOLONG, (mnt / ("y" * 300)).write_text, "")
    settle(mnt, bucket)


@over_all_buckets
def test_copying_programs(mnt, bucket, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/data").write_bytes(os.urandom(MIB + 1))
    (tree / "script").write_text("#!/bin/sh\n")
    (tree / "script").chmod(0o755)
    (tree / "link").symlink_to("script")
    os.utime(tree / "script", ns=(1, 1_500_000_000_000_000_000))

    def sh(*cmd):
        done = subprocess.run([*map(str, cmd)], capture_output=True, text=True)
        assert done.returncode == 0, f"{cmd}\n{done.stderr}"

    sh("cp", "-a", tree, mnt / "cp")
    sh("tar", "-cf", tmp_path / "t.tar", "-C", tree, ".")
    (mnt / "tar").mkdir()
    sh("tar", "-xf", tmp_path / "t.tar", "-C", mnt / "tar")
    sh("rsync", "-a", f"{tree}/", f"{mnt.path}/rsync/")
    shutil.copytree(tree, mnt / "shutil", symlinks=True)
    shutil.copytree(tree, tmp_path / "moved", symlinks=True)
    shutil.move(tmp_path / "moved", mnt / "moved")
    for name in ("cp", "tar", "rsync", "shutil", "moved"):
        copy = mnt / name
        sh("diff", "-r", tree, copy)
        assert (copy / "script").stat().st_mode == (tree / "script").stat().st_mode
        assert (copy / "script").stat().st_mtime == 1_500_000_000, name
        assert os.readlink(copy / "link") == "script"
    settle(mnt, bucket)
    sh("rm", "-r", mnt / "cp", mnt / "tar")
    sh("cp", "-r", mnt / "rsync", tmp_path / "back")
    sh("diff", "-r", tree, tmp_path / "back")


@over_all_buckets
def test_another_mount_shows_the_same_tree(mnt, bucket, mounts):
    for name, size in (("a", 10), ("d/e/f", MIB), ("d/g", 0)):
        (mnt / name).parent.mkdir(parents=True, exist_ok=True)
        (mnt / name).write_bytes(os.urandom(size))
    mnt.sync()
    other = mounts(bucket, "other").mount()
    assert_same(bucket, other.path)
    for name in ("a", "d/e/f", "d/g"):
        assert (other / name).read_bytes() == (mnt / name).read_bytes()
        assert (other / name).stat().st_mtime_ns == (mnt / name).stat().st_mtime_ns
    # and it is a mount like any other
    (other / "d/new").write_bytes(b"from there")
    other.sync()
    assert bucket.get("d/new") == b"from there"


@over_all_buckets
def test_objects_of_others(bucket, mounts, passthrough):
    bucket.put("data/train.bin", os.urandom(3 * MIB))
    bucket.put("top", b"x")
    m = mounts(bucket, passthrough=passthrough).mount()
    assert sorted(os.listdir(m.path)) == ["data", "top"]
    assert (m / "data/train.bin").read_bytes() == bucket.get("data/train.bin")
    st = (m / "top").stat()
    assert (st.st_uid, st.st_gid) == (os.getuid(), os.getgid())
    with (m / "data/train.bin").open("r+b") as f:
        f.seek(MIB)
        f.write(b"mine")
    (m / "top").unlink()
    settle(m, bucket)


@over_all_buckets
@pytest.mark.parametrize("mode", ["rb", "r+b"])
def test_an_object_replaced_since_it_was_listed(bucket, mounts, passthrough, mode):
    old, new = os.urandom(3 * MIB), os.urandom(2 * MIB + 1)
    bucket.put("f", old)
    bucket.put("gone", old)
    m = mounts(bucket, passthrough=passthrough, metadata_ttl="1h").mount()
    assert (m / "f").stat().st_size == len(old)
    assert (m / "gone").stat().st_size == len(old)
    bucket.put("f", new)
    bucket.delete("gone")
    with (m / "f").open(mode) as f:
        assert f.read() == new
    assert (m / "f").stat().st_size == len(new)
    refused(errno.ENOENT, (m / "gone").open, mode)
    settle(m, bucket, mtime=False)


@pytest.mark.parametrize("size", [5, 3 * MIB, 17 * MIB])
def test_reading_and_writing_what_only_the_bucket_has(
    bucket, mounts, passthrough, size
):
    """Small ones are copied first, large ones changed in place; with a reader
    beside, and appended to."""
    want = bytearray(os.urandom(size))
    for name in ("alone", "beside", "log"):
        bucket.put(name, bytes(want))
    m = mounts(bucket, passthrough=passthrough).mount()
    with (m / "alone").open("r+b") as f:
        assert f.read() == want
        f.write(b"more")
        f.seek(0)
        assert f.read() == want + b"more"
    with (m / "beside").open("rb") as reader, (m / "beside").open("r+b") as f:
        assert f.read() == want
        f.write(b"more")
        f.flush()
        assert reader.read() == want + b"more"
    with (m / "log").open("ab") as f:
        f.write(b"more")
    want += b"more"
    for name in ("alone", "beside", "log"):
        assert (m / name).read_bytes() == want, name
    settle(m, bucket)
    for name in ("alone", "beside", "log"):
        assert bucket.get(name) == want, name


@over_all_buckets
def test_everything_is_back_after_a_clean_unmount(mnt, bucket):
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(b"x" * 5000)
    mnt.umount()
    assert bucket.keys() == ["d/f"]
    assert os.listdir(mnt.path) == []
    mnt.mount()
    assert (mnt / "d/f").read_bytes() == b"x" * 5000
    assert os.listdir(mnt.path) == ["d"]


@pytest.mark.root
@pytest.mark.parametrize("passthrough", ["auto"], indirect=True)
def test_opens_take_the_passthrough_path_where_there_is_one(mnt, passthrough):
    (mnt / "f").write_bytes(os.urandom(MIB))
    (mnt / "f").read_bytes()
    text = mnt.run("status", mnt.path, "--json").stdout
    counts = _find(mnt.status(), "passthrough")
    assert counts, f"status does not count opens per I/O path: {text}"
    assert sum(counts) > 0, f"no open took the passthrough path: {text}"
    assert passthrough == "auto"


def _find(node, name):
    """All numbers below keys that start with name, anywhere in a document."""
    if isinstance(node, dict):
        return [
            x
            for k, v in node.items()
            for x in (
                [v] if k.startswith(name) and isinstance(v, int) else _find(v, name)
            )
        ]
    if isinstance(node, list):
        return [x for v in node for x in _find(v, name)]
    return []


def test_a_large_write_is_one_request(mounts, tmp_path):
    """On the ordinary path: what a request costs is the same for any size."""
    m = mounts(DirBucket(tmp_path / "bucket"), passthrough="off", upload_delay="1h")
    io = Path(f"/proc/{m.mount().pid()}/io")
    block = mmap.mmap(-1, MIB)  # else it lies in one page more than a request has
    with (m / "large").open("wb", buffering=0) as f:
        before = reads(io)
        for _ in range(64):
            f.write(block)
        assert reads(io) - before < 96


def reads(io):
    return int(re.search(r"syscr: (\d+)", io.read_text())[1])


def test_the_kernel_reads_ahead_far_enough(mounts, tmp_path):
    """Root of the machine may say how far, root of a user namespace may not."""
    m = mounts(DirBucket(tmp_path / "bucket")).mount()
    dev = os.stat(m.path).st_dev
    bdi = Path(f"/sys/class/bdi/{os.major(dev)}:{os.minor(dev)}/read_ahead_kb")
    if os.access(bdi, os.W_OK):
        assert int(bdi.read_text()) == 512
    else:
        assert "the kernel reads ahead by its own measure" in m.log.read_text()
