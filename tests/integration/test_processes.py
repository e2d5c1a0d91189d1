# SPDX-License-Identifier: Apache-2.0
"""What several processes and users do to the same files, over both I/O paths."""

import contextlib
import ctypes
import errno
import fcntl
import grp
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from buckets import assert_same

# What is the kernel's alone is the same for all buckets.
of_a_folder = pytest.mark.parametrize("bucket", ["file"], indirect=True)
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


class Other:
    """Another process, which says each time what has become of a line of it."""

    PROGRAM = """
import errno, fcntl, os, struct, sys
for line in sys.stdin:
    try:
        exec(line)
        print("done", flush=True)
    except OSError as e:
        print(errno.errorcode[e.errno], flush=True)
"""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, line):
        """'done', or the error's name."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self, kill=False):
        if kill:
            self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def other():
    process = Other()
    yield process
    process.end()


# ---- appending

APPEND = """
import os, sys
path, who, access, n = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
fd = os.open(path, access | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(n):
    line = f"{who} {i} ".encode().ljust(50 + i % 50, b".") + b"\\n"
    assert os.write(fd, line) == len(line)
"""


def test_appends_of_many_processes_do_not_mix(mnt, bucket):
    """Those that can read, and take the page cache, beside those that cannot."""
    n, path = 150, mnt / "log"
    jobs = [
        subprocess.Popen([sys.executable, "-c", APPEND, path, who, str(access), str(n)])
        for who, access in zip("abcd", [os.O_WRONLY, os.O_RDWR] * 2, strict=True)
    ]
    assert [j.wait(timeout=120) for j in jobs] == [0] * 4
    lines = path.read_text().splitlines()
    for who in "abcd":
        mine = [line for line in lines if line[0] == who]
        assert [int(line.split()[1]) for line in mine] == list(range(n))
        assert all(len(line) == 50 + i % 50 for i, line in enumerate(mine))
    assert len(lines) == 4 * n
    mnt.sync()
    assert_same(bucket, mnt.path)


# ---- locks


def posix_lock(fd, kind, start=0, length=0, command=fcntl.F_SETLK):
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, 0, start, length, 0))


@of_a_folder
@pytest.mark.parametrize("ofd", [False, True])
def test_locks_of_ranges(mnt, other, ofd):
    """POSIX locks, and those of open file descriptions."""
    command = 37 if ofd else fcntl.F_SETLK  # F_OFD_SETLK
    (mnt / "f").write_bytes(bytes(100))
    fd = os.open(mnt / "f", os.O_RDWR)
    posix_lock(fd, fcntl.F_WRLCK, 0, 10, command)
    assert other(f"fd = os.open({str(mnt / 'f')!r}, os.O_RDWR)") == "done"

    def ask(kind, start, length):
        return other(
            f"fcntl.fcntl(fd, {command}, "
            f"struct.pack('hhqqi4x', {int(kind)}, 0, {start}, {length}, 0))"
        )

    assert ask(fcntl.F_WRLCK, 5, 10) == "EAGAIN"
    assert ask(fcntl.F_RDLCK, 9, 1) == "EAGAIN"
    assert ask(fcntl.F_WRLCK, 10, 10) == "done"
    refused(errno.EAGAIN, posix_lock, fd, fcntl.F_RDLCK, 15, 1, command)
    posix_lock(fd, fcntl.F_RDLCK, 0, 10, command)
    assert ask(fcntl.F_RDLCK, 0, 10) == "done"
    posix_lock(fd, fcntl.F_UNLCK, 0, 10, command)
    # The close of any descriptor ends a process's POSIX locks, that of the
    # last one those of its description.
    assert other(f"os.close(os.open({str(mnt / 'f')!r}, os.O_RDONLY))") == "done"
    if ofd:
        refused(errno.EAGAIN, posix_lock, fd, fcntl.F_WRLCK, 10, 10, command)
        assert other("os.close(fd)") == "done"
    posix_lock(fd, fcntl.F_WRLCK, 10, 10, command)
    os.close(fd)


@of_a_folder
@pytest.mark.parametrize("end", ["close", "exit", "kill"])
@pytest.mark.parametrize("kind", ["flock", "posix"])
def test_a_lock_ends_with_its_holder(mnt, kind, end):
    (mnt / "f").write_bytes(bytes(100))
    fd = os.open(mnt / "f", os.O_RDWR)
    holder = Other()
    assert holder(f"fd = os.open({str(mnt / 'f')!r}, os.O_RDWR)") == "done"
    lock = fcntl.flock if kind == "flock" else fcntl.lockf
    name = "flock" if kind == "flock" else "lockf"
    try:
        assert holder(f"fcntl.{name}(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)") == "done"
        refused(errno.EAGAIN, lock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if end == "close":
            assert holder("os.close(fd)") == "done"
        else:
            holder.end(kill=end == "kill")
        lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        if end == "close":
            holder.end()
    os.close(fd)


@of_a_folder
def test_flock_is_shared_and_made_exclusive(mnt, other):
    (mnt / "f").touch()
    fd = os.open(mnt / "f", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert other(f"fd = os.open({str(mnt / 'f')!r}, os.O_RDONLY)") == "done"
    assert other("fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)") == "done"
    refused(errno.EAGAIN, fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert other("fcntl.flock(fd, fcntl.LOCK_UN)") == "done"
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert other("fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)") == "EAGAIN"
    os.close(fd)


# ---- programs


@of_a_folder
def test_a_program_that_runs_is_not_written_to(mnt):
    program = mnt / "program"
    shutil.copy(shutil.which("cat"), program)
    running = subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    running.stdin.write("it runs\n")
    running.stdin.flush()
    assert running.stdout.readline() == "it runs\n"
    refused(errno.ETXTBSY, os.open, program, os.O_WRONLY)
    refused(errno.ETXTBSY, os.open, program, os.O_RDWR)
    refused(errno.ETXTBSY, os.truncate, program, 0)
    program.rename(mnt / "renamed")
    (mnt / "renamed").unlink()
    running.stdin.write("still\n")
    running.stdin.flush()
    assert running.stdout.readline() == "still\n"
    running.communicate(timeout=30)
    assert os.listdir(mnt.path) == []
    # Nor is one run that is open for writing.
    shutil.copy(shutil.which("cat"), program)
    with program.open("r+b"):
        refused(errno.ETXTBSY, subprocess.run, [program])
    assert subprocess.run([program], stdin=subprocess.DEVNULL).returncode == 0


def test_a_program_runs_from_the_bucket_alone(mnt):
    shutil.copy(shutil.which("cat"), mnt / "program")
    mnt.sync()
    mnt.run("evict", mnt.path)
    done = subprocess.run([mnt / "program", mnt / "program"], capture_output=True)
    assert done.stdout == Path(shutil.which("cat")).read_bytes()


# ---- inotify

EVENTS = {
    0x2: "modify",
    0x4: "attrib",
    0x8: "close_write",
    0x40: "moved_from",
    0x80: "moved_to",
    0x100: "create",
    0x200: "delete",
}


@contextlib.contextmanager
def watched(folder):
    """A function that gives what has happened in a folder since."""
    fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert fd >= 0
    mask = sum(EVENTS)
    assert LIBC.inotify_add_watch(fd, os.fsencode(folder), mask) >= 0

    def happened():
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return []
        found = []
        while data:
            _, bits, _, n = struct.unpack_from("iIII", data)
            name = data[16 : 16 + n].rstrip(b"\0").decode()
            found += [f"{what} {name}" for bit, what in EVENTS.items() if bits & bit]
            data = data[16 + n :]
        return found

    yield happened
    os.close(fd)


@of_a_folder
def test_inotify_tells_of_what_is_done_here(mnt):
    (mnt / "d").mkdir()
    (mnt / "d/old").write_bytes(b"x")
    mnt.sync()
    with watched(mnt / "d") as happened:
        with (mnt / "d/f").open("wb", buffering=0) as f:
            f.write(b"x")
        assert happened() == ["create f", "modify f", "close_write f"]
        (mnt / "d/f").chmod(0o600)
        assert happened() == ["attrib f"]
        (mnt / "d/f").rename(mnt / "d/g")
        assert happened() == ["moved_from f", "moved_to g"]
        os.truncate(mnt / "d/g", 5)
        assert happened() == ["modify g"]
        (mnt / "d/g").rename(mnt / "g")
        (mnt / "g").rename(mnt / "d/old")
        assert happened() == ["moved_from g", "moved_to old"]
        (mnt / "d/old").unlink()
        (mnt / "d/sub").mkdir()
        (mnt / "d/sub").rmdir()
        assert happened() == ["delete old", "create sub", "delete sub"]
        # What goes on behind a file is no change of it.
        (mnt / "d/f").write_bytes(b"x")
        assert happened() == ["create f", "modify f", "close_write f"]
        mnt.sync()
        mnt.run("evict", mnt.path)
        assert (mnt / "d/f").read_bytes() == b"x"
        assert happened() == []


# ---- other users


@pytest.fixture
def shared(bucket, passthrough, mounts):
    """A mount that another user may enter, too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # as pytest's own are not
        m = mounts(bucket, passthrough=passthrough, allow_other=True)
        m.path = Path(name) / "mnt"
        m.path.mkdir()
        m.mount()
        m.path.chmod(0o755)
        yield m
        m.umount()


@pytest.fixture
def nobody(shared):
    """Another user's process, in the mount."""
    process = Other()  # its program lies where only root comes
    assert process(f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})")
    assert process(f"os.umask(0o027); os.chdir({str(shared.path)!r})") == "done"
    yield process
    process.end()


@pytest.mark.root
@of_a_folder
def test_permissions_of_others(shared, nobody):
    for name, mode in (("read", 0o644), ("write", 0o666), ("none", 0o600)):
        (shared / name).write_bytes(b"x")
        (shared / name).chmod(mode)
    assert nobody("open('new', 'w')") == "EACCES"
    assert nobody("os.mkdir('new')") == "EACCES"
    assert nobody("os.unlink('write')") == "EACCES"
    assert nobody("os.rename('write', 'w')") == "EACCES"
    assert nobody("open('read').read()") == "done"
    assert nobody("open('read', 'a')") == "EACCES"
    assert nobody("os.truncate('read', 0)") == "EACCES"
    assert nobody("open('none')") == "EACCES"
    assert nobody("open('write', 'a').write('y')") == "done"
    assert nobody("assert not os.access('read', os.W_OK)") == "done"
    assert nobody("assert os.access('write', os.W_OK)") == "done"
    assert nobody("os.chmod('write', 0o777)") == "EPERM"
    assert nobody(f"os.chown('write', {NOBODY}, -1)") == "EPERM"
    # The time it is may be set by who may write, another by the owner alone.
    assert nobody("os.utime('write')") == "done"
    assert nobody("os.utime('write', (1, 1))") == "EPERM"
    assert nobody("os.utime('read')") == "EACCES"
    (shared / "closed").mkdir()
    (shared / "closed/f").write_bytes(b"x")
    (shared / "closed").chmod(0o711)
    assert nobody("os.listdir('closed')") == "EACCES"
    assert nobody("os.stat('closed/f')") == "done"
    (shared / "closed").chmod(0o744)
    assert nobody("os.listdir('closed')") == "done"
    assert nobody("os.stat('closed/f')") == "EACCES"
    assert (shared / "write").read_bytes() == b"xy"


@pytest.mark.root
@of_a_folder
def test_owner_group_and_umask_of_what_others_make(shared, nobody):
    (shared / "d").mkdir()
    (shared / "d").chmod(0o777)
    assert nobody("os.close(os.open('d/f', os.O_CREAT | os.O_WRONLY, 0o666))") == "done"
    assert nobody("os.mkdir('d/sub', 0o777)") == "done"
    assert nobody("os.symlink('f', 'd/link')") == "done"
    for name, mode in (("f", 0o640), ("sub", 0o750), ("link", 0o777)):
        st = (shared / "d" / name).lstat()
        assert stat.S_IMODE(st.st_mode) == mode, name
        assert (st.st_uid, st.st_gid) == (NOBODY, NOBODY), name
    assert nobody("os.chdir('/')") == "done"
    shared.remount()
    assert (shared / "d/f").stat().st_uid == NOBODY
    assert stat.S_IMODE((shared / "d/sub").stat().st_mode) == 0o750


@pytest.mark.root
@of_a_folder
def test_the_sticky_bit(shared, nobody):
    (shared / "d").mkdir()
    (shared / "d").chmod(0o1777)
    (shared / "d/roots").write_bytes(b"x")
    assert nobody("open('d/mine', 'w').close()") == "done"
    assert nobody("os.unlink('d/roots')") == "EPERM"
    assert nobody("os.rename('d/roots', 'd/x')") == "EPERM"
    assert nobody("os.rename('d/mine', 'd/roots')") == "EPERM"
    assert nobody("os.rename('d/mine', 'd/yours')") == "done"
    assert nobody("os.unlink('d/yours')") == "done"
    assert os.listdir(shared / "d") == ["roots"]
    (shared / "d").chmod(0o777)
    assert nobody("os.unlink('d/roots')") == "done"


@pytest.mark.root
@of_a_folder
def test_folders_that_give_their_group(shared, nobody):
    group = grp.getgrnam("daemon").gr_gid
    (shared / "d").mkdir()
    os.chown(shared / "d", -1, group)
    (shared / "d").chmod(0o2777)
    assert nobody("os.close(os.open('d/f', os.O_CREAT | os.O_WRONLY, 0o666))") == "done"
    assert nobody("os.mkdir('d/sub', 0o777)") == "done"
    assert nobody("os.mkdir('d/sub/below', 0o777)") == "done"
    assert (shared / "d/f").stat().st_gid == group
    assert stat.S_IMODE((shared / "d/f").stat().st_mode) == 0o640
    for name in ("sub", "sub/below"):
        st = (shared / "d" / name).stat()
        assert st.st_gid == group, name
        assert stat.S_IMODE(st.st_mode) == 0o2750, name
    # Who is not of the group cannot make a file that acts for it.
    assert nobody("os.close(os.open('d/s', os.O_CREAT | os.O_WRONLY, 0o2777))")
    assert stat.S_IMODE((shared / "d/s").stat().st_mode) & 0o2000 == 0


CHANGES = {
    "write": "f = os.open('f', os.O_WRONLY); os.write(f, b'x'); os.close(f)",
    "write and read": "f = os.open('f', os.O_RDWR); os.write(f, b'x'); os.close(f)",
    "append": "f = os.open('f', os.O_WRONLY | os.O_APPEND); os.write(f, b'x')",
    "truncate": "os.truncate('f', 1)",
    "open": "os.close(os.open('f', os.O_WRONLY | os.O_TRUNC))",
    "allocate": "f = os.open('f', os.O_WRONLY); os.posix_fallocate(f, 0, 9999)",
    "copy": "f = os.open('f', os.O_WRONLY); g = os.open('g', os.O_RDONLY); "
    "os.copy_file_range(g, f, 10)",
}


@pytest.mark.root
@of_a_folder
@pytest.mark.parametrize("how", CHANGES)
def test_a_change_by_others_clears_setuid(shared, nobody, how):
    (shared / "f").write_bytes(bytes(5000))
    (shared / "g").write_bytes(bytes(5000))
    (shared / "f").chmod(0o6777)
    assert stat.S_IMODE((shared / "f").stat().st_mode) == 0o6777
    assert nobody(CHANGES[how]) == "done"
    assert stat.S_IMODE((shared / "f").stat().st_mode) == 0o777
    # Not if root does it.
    (shared / "f").chmod(0o4777)
    with (shared / "f").open("r+b") as f:
        f.write(b"x")
    assert stat.S_IMODE((shared / "f").stat().st_mode) == 0o4777


@pytest.mark.root
@of_a_folder
def test_another_owner_clears_setuid(shared):
    (shared / "f").write_bytes(b"x")
    (shared / "f").chmod(0o6755)
    os.chown(shared / "f", NOBODY, NOBODY)
    assert stat.S_IMODE((shared / "f").stat().st_mode) == 0o755
    # A group that may not execute it has it for mandatory locks of old.
    (shared / "f").chmod(0o2745)
    os.chown(shared / "f", 0, 0)
    assert stat.S_IMODE((shared / "f").stat().st_mode) == 0o2745
    (shared / "d").mkdir()
    (shared / "d").chmod(0o2755)
    os.chown(shared / "d", NOBODY, NOBODY)
    assert stat.S_IMODE((shared / "d").stat().st_mode) == 0o2755
