# SPDX-License-Identifier: Apache-2.0
"""What a local disk does to files, their holes, times and names, over both I/O
paths.  What programs mostly do is in test_basic.py, what takes several of them
in test_processes.py."""

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from buckets import assert_same
from mount import wait_until

MIB = 1 << 20
LIBC = ctypes.CDLL(None, use_errno=True)
# What no bucket sees is the same for all of them.
of_a_folder = pytest.mark.parametrize("bucket", ["file"], indirect=True)


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


def settle(mnt, bucket, **how):
    mnt.sync()
    assert_same(bucket, mnt.path, **how)


def publish(mnt):
    """All is in the bucket, and here no more."""
    mnt.sync()
    mnt.run("evict", mnt.path)


# ---- open flags


@of_a_folder
def test_flags_of_open(mnt):
    path = mnt / "f"
    refused(errno.ENOENT, os.open, path, os.O_WRONLY)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_SYNC, 0o600)
    os.write(fd, b"synced")
    refused(errno.EBADF, os.read, fd, 1)
    os.close(fd)
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC | os.O_NONBLOCK)
    refused(errno.EBADF, os.write, fd, b"x")
    assert os.read(fd, 100) == b"synced"
    os.close(fd)
    fd = os.open(path, os.O_RDWR | os.O_DSYNC | os.O_APPEND)
    os.write(fd, b" twice")
    assert os.pread(fd, 100, 0) == b"synced twice"
    os.close(fd)
    # Truncated though only opened for reading, as Linux does.
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))
    assert path.stat().st_size == 0
    refused(errno.ENOTDIR, os.open, path, os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.EISDIR, os.open, mnt.path, os.O_WRONLY)
    (mnt / "link").symlink_to("f")
    refused(errno.ELOOP, os.open, mnt / "link", os.O_RDONLY | os.O_NOFOLLOW)
    (mnt / "dangling").symlink_to("made")
    refused(errno.EEXIST, os.open, mnt / "dangling", os.O_CREAT | os.O_EXCL)
    os.close(os.open(mnt / "dangling", os.O_CREAT | os.O_WRONLY))
    assert (mnt / "made").stat().st_size == 0
    fd = os.open(path, os.O_PATH)
    refused(errno.EBADF, os.read, fd, 1)
    assert os.fstat(fd).st_ino == path.stat().st_ino
    os.close(fd)
    # Programs then make a file of a name.
    refused(errno.EOPNOTSUPP, os.open, mnt.path, os.O_TMPFILE | os.O_RDWR)


def test_direct_io(mnt, bucket):
    data = os.urandom(MIB)
    block = mmap.mmap(-1, MIB)
    block[:] = data
    fd = os.open(mnt / "f", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    assert os.pwrite(fd, block, 0) == MIB
    assert os.pwrite(fd, memoryview(block)[:4096], 2 * MIB) == 4096
    into = mmap.mmap(-1, 3 * MIB)
    assert os.preadv(fd, [into], 0) == 2 * MIB + 4096
    want = data + bytes(MIB) + data[:4096]
    assert into[: len(want)] == want
    with (mnt / "f").open("rb") as f:
        assert f.read() == want
    os.close(fd)
    settle(mnt, bucket)
    publish(mnt)
    fd = os.open(mnt / "f", os.O_RDONLY | os.O_DIRECT)
    assert os.preadv(fd, [into], 0) == 2 * MIB + 4096
    assert into[: len(want)] == want
    os.close(fd)


# ---- holes and allocation

KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT = 1, 2, 8, 16, 32


def fallocate(fd, mode, off, length):
    off, length = ctypes.c_int64(off), ctypes.c_int64(length)
    if LIBC.fallocate(fd, mode, off, length) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def regions(fd):
    """The stretches of data that SEEK_DATA and SEEK_HOLE tell of."""
    found, at, size = [], 0, os.fstat(fd).st_size
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as e:
            assert e.errno == errno.ENXIO
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, at))
    return found


@pytest.mark.parametrize("state", ["new", "published", "evicted"])
def test_fallocate(mnt, bucket, passthrough, state):
    """On a file that is being written, and on one whose object must stand."""
    old = os.urandom(MIB)
    (mnt / "f").write_bytes(old)
    if state != "new":
        mnt.sync()
    if state == "evicted":
        publish(mnt)
    want = bytearray(old)
    with (mnt / "f").open("r+b", buffering=0) as f:
        fd = f.fileno()
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 4096, 8192)
        want[4096:12288] = bytes(8192)
        assert os.pread(fd, 2 * MIB, 0) == want
        if passthrough != "off":  # else no hole is told of what is open for both
            assert regions(fd)[0] == (0, 4096)
        fallocate(fd, ZERO_RANGE, 100_000, 50_000)
        want[100_000:150_000] = bytes(50_000)
        assert os.pread(fd, 2 * MIB, 0) == want
        fallocate(fd, ZERO_RANGE | KEEP_SIZE, MIB - 100, 1000)
        want[MIB - 100 :] = bytes(100)
        assert os.pread(fd, 2 * MIB, 0) == want
        fallocate(fd, ZERO_RANGE, MIB - 50, 1000)
        want += bytes(950)
        assert os.pread(fd, 2 * MIB, 0) == want
        fallocate(fd, KEEP_SIZE, 2 * MIB, MIB)
        assert os.fstat(fd).st_size == len(want)
        fallocate(fd, 0, MIB, MIB)
        want += bytes(2 * MIB - len(want))
        assert os.pread(fd, 4 * MIB, 0) == want
        # Beyond the end there is nothing to take.
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 3 * MIB, MIB)
        assert os.fstat(fd).st_size == 2 * MIB
        refused(errno.EOPNOTSUPP, fallocate, fd, COLLAPSE, 0, 4096)
        refused(errno.EOPNOTSUPP, fallocate, fd, INSERT, 0, 4096)
        refused(errno.EINVAL, fallocate, fd, 0, 0, 0)
        if state != "new":
            assert bucket.get("f") == old
    assert (mnt / "f").read_bytes() == want
    with (mnt / "f").open("rb") as f:
        assert regions(f.fileno())[0] == (0, 4096)
    settle(mnt, bucket)
    with (mnt / "f").open("rb") as f:
        refused(errno.EBADF, fallocate, f.fileno(), 0, 0, 1)


def test_a_hole_in_what_waits_for_its_upload(s3_mount, s3_bucket, proxy, passthrough):
    """What was closed stays as it was, and is published so if nothing newer is."""
    mnt = s3_mount.mount(passthrough=passthrough)
    proxy.fault("status", method="PUT", code=503, count=-1)
    old = os.urandom(MIB)
    (mnt / "f").write_bytes(old)
    wait_until(lambda: proxy.requests("PUT", "/f$"), what="it is on its way")
    with (mnt / "f").open("r+b", buffering=0) as f:
        fallocate(f.fileno(), PUNCH_HOLE | KEEP_SIZE, 0, 4096)
        proxy.heal()
        wait_until(lambda: s3_bucket.keys() == ["f"], what="it is published")
        assert s3_bucket.get("f") == old
        assert f.read() == bytes(4096) + old[4096:]
    settle(mnt, s3_bucket)
    assert s3_bucket.get("f") == bytes(4096) + old[4096:]


def test_allocation_moves_bytes_and_mtime_as_on_a_disk(mnt):
    (mnt / "f").write_bytes(b"x" * 10_000)
    os.utime(mnt / "f", (1, 1))
    with (mnt / "f").open("r+b") as f:
        fallocate(f.fileno(), PUNCH_HOLE | KEEP_SIZE, 0, 4096)
    assert (mnt / "f").stat().st_mtime > 1
    (mnt / "g").write_bytes(b"")
    with (mnt / "g").open("r+b") as g:
        fallocate(g.fileno(), 0, 0, 4 * MIB)
        assert os.fstat(g.fileno()).st_blocks * 512 >= 4 * MIB


def test_holes(mnt, bucket):
    """Where they are is known until the file is in the bucket alone."""
    with (mnt / "f").open("wb", buffering=0) as f:
        f.truncate(8 * MIB)
        assert regions(f.fileno()) == []
        f.seek(4 * MIB)
        f.write(b"x" * 4096)
        f.seek(6 * MIB)
        f.write(b"y" * 4096)
        want = [(4 * MIB, 4 * MIB + 4096), (6 * MIB, 6 * MIB + 4096)]
        assert regions(f.fileno()) == want
        assert os.fstat(f.fileno()).st_blocks * 512 < MIB
        refused(errno.ENXIO, os.lseek, f.fileno(), 8 * MIB, os.SEEK_DATA)
        refused(errno.ENXIO, os.lseek, f.fileno(), 7 * MIB, os.SEEK_DATA)
        assert os.lseek(f.fileno(), 7 * MIB, os.SEEK_HOLE) == 7 * MIB
    settle(mnt, bucket)
    with (mnt / "f").open("rb") as f:
        assert regions(f.fileno()) == want
    publish(mnt)
    with (mnt / "f").open("rb") as f:
        (start, _), *_ = regions(f.fileno())
        assert start == 0
        want = b"x" * 4096 + bytes(MIB - 4096)
        assert os.pread(f.fileno(), MIB, 4 * MIB) == want


def test_what_is_stored_to_a_mapping_is_no_hole(mnt):
    """Nor before the kernel has written it back."""
    with (mnt / "f").open("w+b", buffering=0) as f:
        f.truncate(8 * MIB)
        with mmap.mmap(f.fileno(), 8 * MIB) as m:
            m[4 * MIB] = 1
            assert os.lseek(f.fileno(), 0, os.SEEK_DATA) <= 4 * MIB
            assert os.lseek(f.fileno(), 4 * MIB, os.SEEK_HOLE) > 4 * MIB
        refused(errno.ENXIO, os.lseek, f.fileno(), 8 * MIB, os.SEEK_DATA)


@pytest.mark.parametrize("state", ["new", "published", "evicted"])
def test_copy_file_range(mnt, bucket, state):
    data = os.urandom(3 * MIB + 5)
    (mnt / "from").write_bytes(data)
    (mnt / "to").write_bytes(data[:MIB])
    if state == "published":
        mnt.sync()
    if state == "evicted":
        publish(mnt)
    src = os.open(mnt / "from", os.O_RDONLY)
    dst = os.open(mnt / "to", os.O_RDWR)
    want = bytearray(data[:MIB])
    assert os.copy_file_range(src, dst, 100, 5, 10) == 100
    want[10:110] = data[5:105]
    # At their own offsets, to the end and no further.
    done = 0
    while n := os.copy_file_range(src, dst, 2 * MIB):
        done += n
    assert done == len(data)
    want[:] = data
    assert os.pread(dst, 4 * MIB, 0) == want
    # Within one file, but not onto itself.
    assert os.copy_file_range(dst, dst, 1000, 0, MIB) == 1000
    want[MIB : MIB + 1000] = data[:1000]
    refused(errno.EINVAL, os.copy_file_range, dst, dst, 1000, 0, 500)
    refused(errno.EBADF, os.copy_file_range, dst, src, 1000)
    assert os.pread(dst, 4 * MIB, 0) == want
    os.close(src)
    os.close(dst)
    settle(mnt, bucket)
    assert bucket.get("to") == want
    for how in ("auto", "always"):
        command = ["cp", f"--reflink={how}", mnt / "to", mnt / f"copy-{how}"]
        done = subprocess.run(command, capture_output=True, text=True)
        # The kernel asks no FUSE file system for a reflink.
        assert (done.returncode == 0) == (how == "auto"), done
    assert (mnt / "copy-auto").read_bytes() == want


# ---- times


def times(path):
    st = os.stat(path, follow_symlinks=False)
    return st.st_atime_ns, st.st_mtime_ns


def ticks(path):
    """The ctime, once the clock of local file systems has moved past it."""
    ctime = os.stat(path, follow_symlinks=False).st_ctime_ns
    coarse = 5  # CLOCK_REALTIME_COARSE
    wait_until(lambda: time.clock_gettime_ns(coarse) > ctime, what="a tick")
    return ctime


def test_times_that_are_set(mnt, bucket):
    """To the nanosecond, of any age, atime before or after mtime."""
    (mnt / "f").write_bytes(b"x")
    (mnt / "d").mkdir()
    (mnt / "link").symlink_to("f")
    for path in (mnt / "f", mnt / "d", mnt / "link"):
        for pair in (
            (1_600_000_000_123_456_789, 1_700_000_000_987_654_321),
            (1_700_000_000_987_654_321, 1_600_000_000_123_456_789),
            (0, 0),
            (-1_000_000_001, 4_000_000_000_000_000_001),
        ):
            os.utime(path, ns=pair, follow_symlinks=False)
            assert times(path) == pair
    os.utime(mnt / "f", ns=(5, 5_000_000_006))
    before = time.time_ns() - 20_000_000
    subprocess.run(["touch", "-a", mnt / "f"], check=True)
    assert times(mnt / "f")[0] >= before
    assert times(mnt / "f")[1] == 5_000_000_006
    os.utime(mnt / "f", ns=(7_000_000_008, 5))
    subprocess.run(["touch", "-m", mnt / "f"], check=True)
    assert times(mnt / "f")[0] == 7_000_000_008
    assert times(mnt / "f")[1] >= before
    # While it is being written they stand until the next byte.
    with (mnt / "f").open("r+b", buffering=0) as f:
        os.utime(f.fileno(), ns=(1, 2_000_000_003))
        assert times(mnt / "f") == (1, 2_000_000_003)
        f.write(b"y")
        assert times(mnt / "f")[1] >= before
        os.utime(f.fileno(), ns=(1, 2_000_000_003))
    assert times(mnt / "f") == (1, 2_000_000_003)
    settle(mnt, bucket)
    mnt.remount()
    assert times(mnt / "f")[1] == 2_000_000_003
    assert times(mnt / "d")[1] == 4_000_000_000_000_000_001


@of_a_folder
def test_atime_is_relative(mnt):
    """As with relatime: it moves if it is not later than mtime, or a day old."""
    path, long_ago = mnt / "f", time.time_ns() - 48 * 3600 * 10**9
    path.write_bytes(b"x")
    os.utime(path, ns=(long_ago, long_ago + 1))
    path.read_bytes()
    first = times(path)[0]
    assert first >= time.time_ns() - 60 * 10**9
    path.read_bytes()
    assert times(path) == (first, long_ago + 1)
    os.utime(path, ns=(long_ago + 2, long_ago))
    path.read_bytes()
    assert times(path)[0] > long_ago + 2
    # A writer does not read.
    os.utime(path, ns=(5, 3))
    with path.open("ab") as f:
        f.write(b"y")
    assert times(path)[0] == 5


def test_ctime_moves_with_every_change(mnt):
    """And never back."""
    path = mnt / "f"
    path.write_bytes(b"x")
    (mnt / "d").mkdir()
    changes = {
        "chmod": lambda: path.chmod(0o600),
        "chown": lambda: os.chown(path, os.getuid(), os.getgid()),
        "utime": lambda: os.utime(path, (1, 1)),
        "truncate": lambda: os.truncate(path, 5),
        "write": lambda: path.write_bytes(b"y"),
        "rename": lambda: path.rename(mnt / "g").rename(path),
    }
    for what, change in changes.items():
        before = ticks(path)
        change()
        assert path.stat().st_ctime_ns > before, what
    with path.open("r+b", buffering=0) as f:
        before = ticks(path)
        f.write(b"z")
        assert os.fstat(f.fileno()).st_ctime_ns > before
        before = ticks(path)
        os.fchmod(f.fileno(), 0o640)
        after = os.fstat(f.fileno()).st_ctime_ns
        assert after > before
    assert path.stat().st_ctime_ns >= after
    mnt.sync()
    assert path.stat().st_ctime_ns >= after
    before = ticks(path)
    path.read_bytes()
    os.stat(path)
    assert path.stat().st_ctime_ns == before
    with path.open("rb") as f:
        path.unlink()
        assert os.fstat(f.fileno()).st_ctime_ns > before


def test_times_of_folders_move_with_their_names(mnt):
    for name in ("d", "e"):
        (mnt / name).mkdir()
    steps = {
        "create": ((mnt / "d/f").touch, ["d"]),
        "symlink": (lambda: (mnt / "d/l").symlink_to("f"), ["d"]),
        "mkdir": ((mnt / "d/s").mkdir, ["d"]),
        "rename": (lambda: (mnt / "d/f").rename(mnt / "e/f"), ["d", "e"]),
        "unlink": ((mnt / "e/f").unlink, ["e"]),
        "rmdir": ((mnt / "d/s").rmdir, ["d"]),
    }
    for what, (step, moved) in steps.items():
        before = {n: (mnt / n).stat().st_mtime_ns for n in ("d", "e")}
        for n in before:
            ticks(mnt / n)
        step()
        for n, old in before.items():
            assert ((mnt / n).stat().st_mtime_ns > old) == (n in moved), (what, n)


# ---- names


def test_names_of_any_byte(mnt, bucket):
    """Those of a file can be as on a disk where the bucket can hold them."""
    every = bytes(c for c in range(1, 256) if c != ord("/"))
    names = [every[i : i + 127] for i in (0, 127)]
    plain = bytes(c for c in range(0x20, 0x7F) if c != ord("/"))
    top = os.fsencode(mnt.path)
    for name in [*names, plain, "ä日本\U0001f600".encode(), b"\\", b"*?"]:
        path = os.path.join(top, name)
        if bucket.kind == "s3" and name in names:
            # See docs/servers.md: what would come back as another name.
            refused(errno.EILSEQ, os.open, path, os.O_CREAT | os.O_WRONLY)
            refused(errno.EILSEQ, os.mkdir, path)
            continue
        with open(path, "wb") as f:
            f.write(name)
        assert name in os.listdir(top)
    settle(mnt, bucket)
    mnt.remount()
    for name in os.listdir(top):
        with open(os.path.join(top, name), "rb") as f:
            assert f.read() == name


def test_names_that_are_too_long(mnt, bucket):
    longest = "n" * 255
    (mnt / longest).mkdir()
    (mnt / longest / longest).write_bytes(b"x")
    (mnt / ("l" * 255)).symlink_to("x")
    for call, *args in (
        (os.mkdir, mnt / ("n" * 256)),
        (os.open, mnt / ("n" * 256), os.O_CREAT | os.O_WRONLY),
        (os.stat, mnt / ("n" * 256)),
        (os.rename, mnt / longest / longest, mnt / ("n" * 256)),
        (os.symlink, "x", mnt / ("n" * 256)),
    ):
        refused(errno.ENAMETOOLONG, call, *args)
    settle(mnt, bucket)
    # A key has at most 1024 bytes, whatever of it are names.
    deep = mnt / longest / longest[1:] / longest / longest[3:]
    deep.mkdir(parents=True)
    assert len(str(deep.relative_to(mnt.path))) == 1019
    (deep / "four").write_bytes(b"x")
    (deep / "dir").mkdir()  # its marker has a slash more
    settle(mnt, bucket)
    (mnt / "f").write_bytes(b"x")
    for call, *args in (
        (os.open, deep / "fives", os.O_CREAT | os.O_WRONLY),
        (os.mkdir, deep / "four2"),
        (os.mkdir, deep / "dirs"),
        (os.rename, mnt / "f", deep / "fives"),
        (os.symlink, "x", deep / "fives"),
        (os.symlink, "x" * 1025, mnt / "link"),
    ):
        refused(errno.ENAMETOOLONG, call, *args)
    (mnt / "link").symlink_to("x" * 1024)
    assert os.readlink(mnt / "link") == "x" * 1024
    settle(mnt, bucket)


def test_a_folder_is_not_moved_where_its_files_have_no_key(mnt, bucket):
    """Nor is it half moved."""
    tree = mnt / "tree" / ("a" * 250) / ("b" * 250)
    tree.mkdir(parents=True)
    (tree / "f").write_bytes(b"x")
    (mnt / ("c" * 250) / ("d" * 250)).mkdir(parents=True)
    target = mnt / ("c" * 250) / ("d" * 250)
    for _ in ("unpublished", "published"):
        refused(errno.ENAMETOOLONG, os.rename, mnt / "tree", target / ("e" * 30))
        assert (tree / "f").read_bytes() == b"x"
        settle(mnt, bucket)
        mnt.remount()
    (mnt / "tree").rename(target / "short")
    moved = target / "short" / ("a" * 250) / ("b" * 250)
    assert (moved / "f").read_bytes() == b"x"
    settle(mnt, bucket)


# ---- folders


class Stream:
    """A directory stream of the C library."""

    def __init__(self, path):
        LIBC.opendir.restype = ctypes.c_void_p
        LIBC.readdir.restype = ctypes.c_void_p
        self.dir = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        assert self.dir.value

    def next(self):
        entry = LIBC.readdir(self.dir)
        if not entry:
            return None
        return ctypes.string_at(entry + 19).decode()  # d_name of struct dirent

    def rest(self):
        return [n for n in iter(self.next, None) if n not in (".", "..")]

    def rewind(self):
        LIBC.rewinddir(self.dir)

    def close(self):
        LIBC.closedir(self.dir)


@of_a_folder
def test_a_folder_is_read_while_names_come_and_go(mnt):
    """What is there all the time is given once, what goes once at most."""
    stay = {f"stay-{i:05d}" for i in range(2000)}
    go = {f"go-{i:05d}" for i in range(2000)}
    (mnt / "d").mkdir()
    for name in stay | go:
        (mnt / "d" / name).touch()
    stream = Stream(mnt / "d")
    found = [stream.next() for _ in range(100)]
    for i, name in enumerate(sorted(go)):
        (mnt / "d" / name).unlink()
        (mnt / "d" / f"come-{i:05d}").touch()
        if i % 20 == 0:
            found.append(stream.next())
    found += stream.rest()
    assert len(found) == len(set(found))
    assert stay <= set(found)
    stream.rewind()
    found = stream.rest()
    assert len(found) == len(set(found)) == 4000
    assert set(found) == set(os.listdir(mnt / "d"))
    stream.close()


@of_a_folder
def test_a_folder_is_emptied_while_it_is_read(mnt):
    (mnt / "d").mkdir()
    for i in range(3000):
        (mnt / "d" / f"{i:04d}").touch()
    with os.scandir(mnt / "d") as entries:
        for e in entries:
            os.unlink(e.path)
    (mnt / "d").rmdir()


@of_a_folder
def test_a_folder_that_is_gone_and_open(mnt):
    (mnt / "d").mkdir()
    fd = os.open(mnt / "d", os.O_RDONLY)
    (mnt / "d").rmdir()
    assert os.listdir(fd) == []
    refused(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    refused(errno.ENOENT, os.mkdir, "f", dir_fd=fd)
    os.fchmod(fd, 0o700)
    os.utime(fd, (1, 1))
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o700
    os.close(fd)


# ---- what the bucket never sees


def test_fifos_and_sockets_are_local(mnt, bucket, mounts):
    (mnt / "d").mkdir()
    os.mkfifo(mnt / "d/fifo", 0o640)
    (mnt / "beside").write_bytes(b"x")
    assert stat.S_ISFIFO((mnt / "d/fifo").stat().st_mode)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit((mnt / "d/fifo").read_bytes)
        (mnt / "d/fifo").write_bytes(b"through the fifo")
        assert reader.result(timeout=30) == b"through the fifo"
    with contextlib.chdir(mnt.path), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("socket")
            client.sendall(b"hello")
            assert server.accept()[0].recv(5) == b"hello"
    assert stat.S_ISSOCK((mnt / "socket").stat().st_mode)
    settle_local(mnt, bucket, ["beside"])
    status = mnt.status(mnt / "d/fifo")
    assert status["state"] == "local"
    # They are names like others, and stay as long as those.
    (mnt / "d/fifo").rename(mnt / "d/moved")
    (mnt / "d").rename(mnt / "e")
    mnt.remount()
    assert sorted(os.listdir(mnt / "e")) == ["moved"]
    assert stat.S_ISFIFO((mnt / "e/moved").stat().st_mode)
    assert stat.S_IMODE((mnt / "e/moved").stat().st_mode) == 0o640
    mnt.run("evict", mnt.path)
    mnt.run("prefetch", mnt.path)
    settle_local(mnt, bucket, ["beside"])
    # The bucket has their folder, though it has nothing in it.
    assert os.listdir(mounts(bucket, "other").mount() / "e") == []
    refused(errno.ENOTEMPTY, os.rmdir, mnt / "e")
    (mnt / "e/moved").unlink()
    (mnt / "e").rmdir()
    (mnt / "socket").unlink()
    settle(mnt, bucket)


def settle_local(mnt, bucket, names):
    mnt.sync()
    assert bucket.keys() == names


def test_a_fifo_and_a_file_take_each_others_name(mnt, bucket):
    (mnt / "f").write_bytes(b"x")
    mnt.sync()
    os.mkfifo(mnt / "fifo")
    (mnt / "fifo").rename(mnt / "f")
    assert stat.S_ISFIFO((mnt / "f").stat().st_mode)
    settle_local(mnt, bucket, [])
    (mnt / "g").write_bytes(b"y")
    (mnt / "g").rename(mnt / "f")
    assert (mnt / "f").read_bytes() == b"y"
    settle(mnt, bucket)
    (mnt / "f").unlink()
    os.mkfifo(mnt / "f")
    (mnt / "f").unlink()
    settle(mnt, bucket)
    assert bucket.keys() == []


@pytest.mark.root
@of_a_folder
def test_devices_are_refused(mnt):
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        refused(errno.EPERM, os.mknod, mnt / "null", kind | 0o666, os.makedev(1, 3))
    os.mknod(mnt / "f", stat.S_IFREG | 0o600)
    assert (mnt / "f").stat().st_size == 0


@of_a_folder
def test_programs_get_no_rights_by_their_mode(mnt):
    """What another writer puts into a bucket is no way to be root."""
    flags = os.statvfs(mnt.path).f_flag
    assert flags & os.ST_NOSUID and flags & os.ST_NODEV


# ---- the whole


@of_a_folder
def test_df_tells_of_the_cache_disk(mnt):
    done = subprocess.run(
        ["df", "--block-size=1", "--output=fstype,size,used,avail", mnt.path],
        capture_output=True,
        text=True,
        check=True,
    )
    kind, size, used, avail = done.stdout.splitlines()[1].split()
    disk = os.statvfs(mnt.cache_dir)
    assert kind == "fuse.ckptfs"
    assert int(size) == disk.f_blocks * disk.f_frsize
    assert 0 < int(avail) <= int(size) - int(used)


MAPPED = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    at = int(sys.argv[2]) * len(m) // 4
    print(hashlib.sha256(m[at:] + m[:at]).hexdigest())
"""


def test_s14_a_file_larger_than_the_cache_is_mapped(
    s3_bucket, proxy, mounts, passthrough
):
    """By four processes, each from another place on, while the server fails now
    and then."""
    data = os.urandom(MIB) * 96
    s3_bucket.put("f", data)
    mnt = mounts(s3_bucket, passthrough=passthrough, cache_size="24M").mount()
    proxy.fault("status", method="GET", path="/f", code=503, count=20, skip=3)
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", MAPPED, mnt / "f", str(i)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(4)
    ]
    for i, job in enumerate(jobs):
        at = i * len(data) // 4
        got, _ = job.communicate(timeout=120)
        assert got.strip() == hashlib.sha256(data[at:] + data[:at]).hexdigest()
    gets = [r for r in proxy.requests("GET", "f") if r.status and r.status < 300]
    assert sum(r.received for r in gets) <= 1.5 * len(data)
    wait_until(
        lambda: mnt.status()["cache"]["used_bytes"] <= 24 * MIB,
        what="the cache is no larger than it may be",
    )
