# SPDX-License-Identifier: Apache-2.0
"""What becomes of bytes that are cut, mapped, evicted and deleted, wherever they
are: new, in the bucket, or only there; over both I/O paths."""

import ctypes
import errno
import fcntl
import mmap
import os
import stat
import subprocess
import sys

import pytest

from buckets import DirBucket, assert_same
from diff_tree import Mapping
from mount import wait_until

MIB = 1 << 20
PAGE = mmap.PAGESIZE
of_a_folder = pytest.mark.parametrize("bucket", ["file"], indirect=True)
of_a_server = pytest.mark.parametrize("bucket", ["s3"], indirect=True)
anywhere = pytest.mark.parametrize("state", ["new", "published", "evicted"])


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


def settle(mnt, bucket):
    mnt.sync()
    assert_same(bucket, mnt.path)


def bring(mnt, state):
    """Where what there is is then."""
    if state != "new":
        mnt.sync()
    if state == "evicted":
        mnt.run("evict", mnt.path)


# ---- truncate


@of_a_server
@anywhere
@pytest.mark.parametrize("size", [10_000, 17 * MIB])
def test_cut_and_grown_wherever_it_is(mnt, bucket, state, size):
    """By name and by handle, beside readers and writers; to nothing, to less, to
    the same, and to more, whose new bytes are zero, also where old ones were."""
    old = os.urandom(size)
    lengths = {
        "none": 0,
        "page": PAGE,
        "odd": size - 3,
        "same": size,
        "more": size + MIB,
    }
    ways = ("name", "handle", "reader", "writer", "again")
    names = {f"{way}-{what}": n for what, n in lengths.items() for way in ways}
    if size > MIB:  # of the large ones not all
        names = dict(list(names.items())[::4])
    want = {}
    for name, n in names.items():
        (mnt / name).write_bytes(old)
        want[name] = old[:n] + bytes(max(0, n - size))
    bring(mnt, state)
    for name, n in names.items():
        path, way = mnt / name, name.partition("-")[0]
        if way == "name":
            os.truncate(path, n)
        elif way == "handle":
            with path.open("r+b", buffering=0) as f:
                f.truncate(n)
                assert os.pread(f.fileno(), 32 * MIB, 0) == want[name], name
        elif way == "reader":
            with path.open("rb", buffering=0) as f:
                assert f.read(10) == old[:10]
                os.truncate(path, n)
                assert os.fstat(f.fileno()).st_size == n
                assert os.pread(f.fileno(), 32 * MIB, 0) == want[name], name
        elif way == "writer":
            with path.open("r+b", buffering=0) as f:
                os.pwrite(f.fileno(), b"written", 0)
                os.truncate(path, n)
                want[name] = (b"written" + old[7:])[:n] + bytes(max(0, n - size))
                assert os.pread(f.fileno(), 32 * MIB, 0) == want[name], name
        else:
            # What is cut off is not there when it grows again.
            keep = min(n, size) // 2
            os.truncate(path, keep)
            os.truncate(path, n)
            want[name] = old[:keep] + bytes(n - keep)
        assert path.stat().st_size == n
    for name, data in want.items():
        assert (mnt / name).read_bytes() == data, name
    settle(mnt, bucket)
    for name, data in want.items():
        assert bucket.get(name) == data, name
    with (mnt / next(iter(names))).open("rb") as f:
        refused(errno.EINVAL, os.ftruncate, f.fileno(), 0)
    refused(errno.EINVAL, os.truncate, mnt / next(iter(names)), -1)
    refused(errno.EISDIR, os.truncate, mnt.path, 0)


# ---- unlinked and open


@of_a_server
@anywhere
@pytest.mark.parametrize("size", [0, 5, 40 * MIB])
def test_what_is_deleted_and_open_goes_on(mnt, bucket, state, size):
    """Read, written, cut and mapped by who has it open; nothing of it is left
    after that."""
    large = (os.urandom(MIB) * 40)[:size]
    old = large[: 4 * MIB]
    (mnt / "read").write_bytes(large)
    (mnt / "f").write_bytes(old)
    bring(mnt, state)
    reader = os.open(mnt / "read", os.O_RDONLY)
    fd = os.open(mnt / "f", os.O_RDWR)
    (mnt / "f").unlink()
    (mnt / "read").unlink()
    assert os.listdir(mnt.path) == []
    (mnt / "f").write_bytes(b"another")
    for handle, data in ((fd, old), (reader, large)):
        st = os.fstat(handle)
        assert (st.st_nlink, st.st_size) == (0, len(data))
        for at in range(0, size, 8 * MIB):
            part = os.pread(handle, 8 * MIB, at)
            assert part == data[at : at + 8 * MIB]
    os.close(reader)
    want = bytearray(old.ljust(10, b"\0"))
    want[5:10] = b"still"
    os.pwrite(fd, b"still", 5)
    page = Mapping(fd, "shared", 0, PAGE)  # written to just now: it is here
    ctypes.memmove(page.addr + 1, b"map", 3)
    want[1:4] = b"map"
    page.unmap()
    os.fchmod(fd, 0o600)
    os.utime(fd, ns=(1, 2_000_000_003))
    os.fsync(fd)
    assert os.pread(fd, 64 * MIB, 0) == want
    st = os.fstat(fd)
    assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_mtime_ns == 2_000_000_003
    os.ftruncate(fd, 100_000)
    assert os.pread(fd, MIB, 0) == want[:100_000].ljust(100_000, b"\0")
    # Another who opens it by its handle has the same file.
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert os.pread(again, 3, 1) == b"map"
    os.close(again)
    os.close(fd)
    settle(mnt, bucket)
    assert bucket.keys() == ["f"]
    assert bucket.get("f") == b"another"
    wait_until(
        lambda: mnt.status()["cache"]["used_bytes"] < MIB, what="its room is free"
    )


# ---- mappings: of a folder, for who faults a page of one in keeps the proxy waiting


@of_a_folder
@anywhere
def test_mappings_private_and_shared(mnt, bucket, state):
    """What is stored to a shared one is the file's, to a private one nobody's."""
    old = os.urandom(5 * MIB)
    (mnt / "f").write_bytes(old)
    bring(mnt, state)
    want = bytearray(old)
    with (mnt / "f").open("r+b", buffering=0) as f:
        private = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE)
        shared = mmap.mmap(f.fileno(), 0)
        assert private[:] == old and shared[:] == old
        private[MIB : MIB + 7] = b"private"
        shared[3 * MIB - 2 : 3 * MIB + 4] = b"shared"
        want[3 * MIB - 2 : 3 * MIB + 4] = b"shared"
        shared.flush(2 * MIB, 2 * MIB)  # MS_SYNC
        assert os.pread(f.fileno(), 6, 3 * MIB - 2) == b"shared"
        assert private[3 * MIB - 2 : 3 * MIB + 4] == b"shared"
        assert private[MIB : MIB + 7] == b"private"
        # A write is seen by what is mapped, but for a page that was stored to.
        os.pwrite(f.fileno(), b"written", MIB)
        os.pwrite(f.fileno(), b"written", 4 * MIB)
        want[MIB : MIB + 7] = want[4 * MIB : 4 * MIB + 7] = b"written"
        assert shared[MIB : MIB + 7] == shared[4 * MIB : 4 * MIB + 7] == b"written"
        assert private[MIB : MIB + 7] == b"private"
        assert private[4 * MIB : 4 * MIB + 7] == b"written"
        shared[0:3] = b"end"
        want[0:3] = b"end"
        private.close()
        shared.close()
    with (mnt / "f").open("rb") as f:
        refused(errno.EACCES, mmap.mmap, f.fileno(), 0)
        alone = mmap.mmap(f.fileno(), 0, flags=mmap.MAP_PRIVATE)
        alone[7:9] = b"no"
        alone.close()
    assert (mnt / "f").read_bytes() == want
    settle(mnt, bucket)
    assert bucket.get("f") == want
    mnt.run("evict", mnt.path)
    with (mnt / "f").open("rb") as f:
        again = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    assert again[:] == want
    again.close()


@of_a_folder
@anywhere
def test_a_mapping_outlives_its_handle(mnt, bucket, state):
    """And what is stored then is the file's, whoever opens it meanwhile; it is
    published once the mapping is gone."""
    (mnt / "f").write_bytes(bytes(3 * PAGE))
    (mnt / "beside").write_bytes(bytes(3 * PAGE))
    bring(mnt, state)
    want = bytearray(3 * PAGE)
    pages = {}
    for name in ("f", "beside"):
        fd = os.open(mnt / name, os.O_RDWR)
        pages[name] = Mapping(fd, "shared", 0, 3 * PAGE)
        os.close(fd)

    def store(at, data):
        want[at : at + len(data)] = data
        for page in pages.values():
            ctypes.memmove(page.addr + at, data, len(data))

    store(0, b"closed")
    with (mnt / "beside").open("rb", buffering=0) as f:
        assert f.read() == want
        store(PAGE, b"beside")
        assert os.pread(f.fileno(), 4 * PAGE, 0) == want
    with (mnt / "beside").open("r+b", buffering=0) as f:
        os.pwrite(f.fileno(), b"written", PAGE + 100)
    store(PAGE + 100, b"written")
    store(2 * PAGE, b"last")
    assert (mnt / "f").read_bytes() == want
    assert (mnt / "beside").read_bytes() == want
    for page in pages.values():
        page.unmap()
    settle(mnt, bucket)
    assert bucket.get("f") == bucket.get("beside") == want


@of_a_folder
def test_a_mapping_whose_file_is_written_anew_has_the_old_bytes(mnt, bucket):
    """Past the daemon, once nobody has the file open: what replaces it may then be
    published while the mapping lasts.  Through the daemon it is open."""
    old = b"old " * 3000
    for name in ("read", "written"):
        (mnt / name).write_bytes(old)
    fd = os.open(mnt / "read", os.O_RDONLY)
    read = Mapping(fd, "read", 0, PAGE)
    os.close(fd)
    fd = os.open(mnt / "written", os.O_RDWR)
    written = Mapping(fd, "shared", 0, PAGE)
    os.close(fd)
    new = b"new " * 3000
    for name in ("read", "written"):
        (mnt / name).write_bytes(new)
        assert (mnt / name).read_bytes() == new
    through = mnt.status()["opens"]["passthrough"] > 0
    for page in (read, written):
        has = ctypes.string_at(page.addr, PAGE)
        assert has == (old if through else new)[:PAGE]
        page.unmap()
    settle(mnt, bucket)


@of_a_folder
def test_beyond_the_end_of_a_mapped_file_is_nothing(mnt):
    """SIGBUS, as on a disk; the rest of its last page is zero."""
    program = (
        "import mmap, os, sys\n"
        "f = open(sys.argv[1], 'r+b')\n"
        "m = mmap.mmap(f.fileno(), 3 * 4096)\n"
        "f.truncate(5000)\n"
        "assert m[4999:5000] == b'x' and m[5000:8192] == bytes(3192)\n"
        "print('there', flush=True)\n"
        "m[8192]\n"
    )
    (mnt / "f").write_bytes(b"x" * 3 * PAGE)
    done = subprocess.run(
        [sys.executable, "-c", program, mnt / "f"], capture_output=True, text=True
    )
    assert done.stdout == "there\n", done
    assert done.returncode == -7, done


# ---- other calls that move bytes


@of_a_server
@anywhere
def test_sendfile_splice_and_vectors(mnt, bucket, state):
    data = os.urandom(2 * MIB + 3)
    (mnt / "from").write_bytes(data)
    bring(mnt, state)
    src = os.open(mnt / "from", os.O_RDONLY)
    out = os.open(mnt / "sent", os.O_RDWR | os.O_CREAT)
    at = 0
    while n := os.sendfile(out, src, at, MIB):
        at += n
    assert os.pread(out, 4 * MIB, 0) == data
    pipe_out, pipe_in = os.pipe()
    end = os.open(mnt / "spliced", os.O_RDWR | os.O_CREAT)
    at = 0
    while n := os.splice(src, pipe_in, 65536, offset_src=at):
        at += n
        while n:
            n -= os.splice(pipe_out, end, n)
    assert os.pread(end, 4 * MIB, 0) == data
    parts = [bytearray(n) for n in (1, 4095, 8192, 3)]
    assert os.preadv(src, parts, 11) == sum(map(len, parts))
    assert b"".join(parts) == data[11 : 11 + 12291]
    vectors = os.open(mnt / "vectors", os.O_RDWR | os.O_CREAT)
    assert os.pwritev(vectors, parts, 5) == 12291
    assert os.pwritev(vectors, [b"synced"], 0, os.RWF_DSYNC) == 6
    assert os.pwritev(vectors, [b"at the end"], 0, os.RWF_APPEND) == 10
    want = b"synced" + data[12 : 11 + 12291] + b"at the end"
    assert os.pread(vectors, MIB, 0) == want
    for fd in (src, out, end, vectors, pipe_in, pipe_out):
        os.close(fd)
    settle(mnt, bucket)


@of_a_folder
def test_advice_and_syncs_are_taken(mnt):
    (mnt / "f").write_bytes(b"x" * MIB)
    fd = os.open(mnt / "f", os.O_RDWR)
    for advice in ("NORMAL", "SEQUENTIAL", "RANDOM", "WILLNEED", "DONTNEED"):
        os.posix_fadvise(fd, 0, 0, getattr(os, f"POSIX_FADV_{advice}"))
    os.fsync(fd)
    os.fdatasync(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.syncfs(fd) == 0
    os.close(fd)
    # Of a handle that only reads, too.
    fd = os.open(mnt / "f", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


# ---- locks that wait

WAITS = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 1)
print("has its own", flush=True)
sys.stdin.readline()
print("waits", flush=True)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
print("has it", flush=True)
"""


@of_a_folder
def test_a_lock_is_waited_for(mnt):
    """And a circle of who waits is refused."""
    (mnt / "f").write_bytes(b"xx")
    fd = os.open(mnt / "f", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 0)
    job = subprocess.Popen(
        [sys.executable, "-c", WAITS, mnt / "f"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "has its own\n"
    job.stdin.write("go\n")
    job.stdin.flush()
    assert job.stdout.readline() == "waits\n"
    held = f"-> POSIX  ADVISORY  WRITE {job.pid} "

    def waits():
        with open("/proc/locks") as f:
            return held in f.read()

    wait_until(waits, what="it waits")
    refused(errno.EDEADLK, fcntl.lockf, fd, fcntl.LOCK_EX, 1, 1)
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 0)
    assert job.stdout.readline() == "has it\n"
    job.communicate(timeout=30)
    os.close(fd)


@pytest.mark.parametrize("size", ["small", "large"])
def test_a_foreign_file_is_changed_anywhere_at_once(
    mounts, passthrough, tmp_path, size
):
    """What only the bucket has, opened by a reader, a writer and one who appends,
    in the order that needs the file whole before its end is here."""
    bucket = DirBucket(tmp_path / "bucket")
    old = os.urandom(5 * MIB if size == "small" else 33 * MIB)
    bucket.put("f", old)
    mnt = mounts(bucket, passthrough=passthrough).mount()
    with (
        (mnt / "f").open("rb", buffering=0) as reader,
        (mnt / "f").open("ab", buffering=0) as log,
        (mnt / "f").open("r+b", buffering=0) as writer,
    ):
        log.write(b"appended")
        os.pwrite(writer.fileno(), b"written", len(old) // 2)
        half = len(old) // 2
        want = old[:half] + b"written" + old[half + 7 :] + b"appended"
        got = b"".join(iter(lambda: reader.read(4 * MIB), b""))
        assert got == want
    assert (mnt / "f").read_bytes() == want
    settle(mnt, bucket)
