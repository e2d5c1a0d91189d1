# SPDX-License-Identifier: Apache-2.0
"""Daemons that die at a chosen system call, and jobs that know what they lost."""

import contextlib
import mmap
import os
import struct
from pathlib import Path

from mount import TOP, Failed, wait_until

MIB = 1 << 20
PROBE = ".ckptfs/probe-"
# In the name of what versitygw writes before it is the object: it lists that, too.
OF_THE_SERVER = ".sgwtmp."


def library():
    """What is preloaded; contrib/check kills builds it."""
    path = Path(os.environ.get("CKPTFS_KILL_SO", TOP / "build/tests/crash/kill.so"))
    assert path.exists(), f"no {path}: make -C build tests/crash/kill.so"
    return path


class Killer:
    """Counts the system calls of a mount's daemons (tests/crash/kill.c)."""

    def __init__(self, mnt, folder):
        self.mnt = mnt
        self.file = Path(folder) / "kill.at"
        self.file.write_bytes(bytes(mmap.PAGESIZE))
        self.fd = os.open(self.file, os.O_RDWR)
        self.page = mmap.mmap(self.fd, mmap.PAGESIZE)

    @property
    def count(self):
        return struct.unpack_from("Q", self.page, 0)[0]

    def arm(self, n):
        """Die before the n-th call from now on; 0: not at all."""
        struct.pack_into("Q", self.page, 8, self.count + n if n else 0)

    @property
    def where(self):
        """The call it died at."""
        return self.page[16:64].split(b"\0")[0].decode()

    def mount(self, n=0):
        """Mount it; the killer looks on.  n: the daemon dies before its n-th call,
        which may be too late for that.  Whether it did."""
        self.page[16:64] = bytes(48)
        self.arm(n)
        if n:
            with contextlib.suppress(Failed):
                self._mount()
            self.arm(0)
            return bool(self.where)
        self._mount()
        return False

    def _mount(self):
        ours = {"LD_PRELOAD": str(library()), "CKPTFS_KILL_AT": str(self.file)}
        plain, self.mnt.env = self.mnt.env, {**self.mnt.env, **ours}
        try:
            self.mnt.mount()
        finally:
            self.mnt.env = plain

    def died(self):
        return not self.mnt.alive()

    def again(self):
        """It died, or is killed now: mount it again."""
        if not self.died():
            self.mnt.kill9()
        self.mnt.detach()
        self.mount()


class Lost(Exception):
    """The daemon is gone: the call may have been done or not."""


class Job:
    """Files below one folder of a mount; knows what was acknowledged.

    One call may be open when the daemon dies.  what() of each name it spoke of
    is what may be found then; settle() finds out which.
    """

    def __init__(self, mnt, folder):
        self.mnt = mnt
        self.root = mnt.path / folder if folder else mnt.path
        self.files = {}  # name: bytes
        self.folders = set()
        self.maybe = []  # (name, what may be there) of the call under way
        self.writing = None  # name, bytes of a file not yet closed
        self.moving = None  # folder, its new name

    def _try(self, call, *args, **how):
        try:
            return call(*args, **how)
        except OSError as e:
            raise Lost(str(e)) from e

    def mkdir(self, name=""):
        self.maybe = [(name, ("folder", None))]
        self._try(os.mkdir, self.root / name)
        self.folders.add(name)
        self.maybe = []

    def rmdir(self, name):
        self.maybe = [(name, ("folder", None))]
        self._try(os.rmdir, self.root / name)
        self.folders.discard(name)
        self.maybe = []

    def put(self, name, data, flags=os.O_TRUNC):
        """Written in pieces, as a job does, and closed."""
        old = self.files.get(name)
        new = (old or b"") + data if flags & os.O_APPEND else data
        self.maybe = [(name, (old, new))]
        self.writing = (name, new)
        how = os.O_WRONLY | os.O_CREAT | flags
        fd = self._try(os.open, self.root / name, how, 0o666)
        try:
            for at in range(0, len(data), MIB):
                self._try(os.write, fd, data[at : at + MIB])
        except Lost:
            self._close_quietly(fd)
            raise
        self._try(os.close, fd)
        self.files[name] = new
        self.maybe, self.writing = [], None

    @staticmethod
    def _close_quietly(fd):
        with contextlib.suppress(OSError):
            os.close(fd)

    def rename(self, name, new):
        data = self.files[name]
        self.maybe = [(name, (data, None)), (new, (self.files.get(new), data))]
        self._try(os.rename, self.root / name, self.root / new)
        self.files[new] = self.files.pop(name)
        self.maybe = []

    def rename_folder(self, name, new):
        self.moving = (name, new)
        self._try(os.rename, self.root / name, self.root / new)
        self._moved()

    def _moved(self):
        (name, new), self.moving = self.moving, None

        def now(n):
            return new + n[len(name) :] if f"{n}/".startswith(f"{name}/") else n

        self.files = {now(n): data for n, data in self.files.items()}
        self.folders = {now(n) for n in self.folders}

    def symlink(self, target, name):
        self.maybe = [(name, (link(target), self.files.get(name)))]
        self._try(os.symlink, target, self.root / name)
        self.files[name] = link(target)
        self.maybe = []

    def unlink(self, name):
        self.maybe = [(name, (self.files[name], None))]
        self._try(os.unlink, self.root / name)
        del self.files[name]
        self.maybe = []

    def _there(self, name):
        path = self.root / name
        if path.is_symlink():
            return link(os.readlink(path))
        if path.is_dir():
            return "folder"
        return path.read_bytes() if path.exists() else None

    def _take_over(self, name, found):
        if found == "folder":
            self.folders.add(name)
        elif found is not None:
            self.files[name] = found
        else:
            self.files.pop(name, None)
            self.folders.discard(name)

    def _unfinished(self):
        """The file that was being written, where it is not closed: a prefix, and
        nobody has seen it; it is written again."""
        name, data = self.writing
        path = self.root / name
        if not path.exists() or state_of(self.mnt, path) != "unfinished":
            return False
        found = path.read_bytes()
        assert data.startswith(found), f"{name}: not what was written"
        self.files.pop(name, None)
        self.put(name, data)
        return True

    def settle(self):
        """After a crash: what was acknowledged is there, what was under way has
        happened or has not."""
        maybe, self.maybe = self.maybe, []
        if self.moving:
            old, new = ((self.root / n).is_dir() for n in self.moving)
            assert old != new, self.moving
            if new:
                self._moved()
            self.moving = None
        if self.writing and self._unfinished():
            maybe = []
        self.writing = None
        found = [self._there(name) for name, _ in maybe]
        for (name, may), is_there in zip(maybe, found, strict=True):
            assert is_there in may, f"{name}: {short(is_there)}"
            self._take_over(name, is_there)
        if len(maybe) == 2:  # a rename: one or the other
            assert (found[0] is None) == (found[1] == maybe[1][1][1]), maybe
        self.check()

    def check(self):
        """What the mount shows is what was acknowledged."""
        shown = {
            str(p.relative_to(self.root)): self._there(p)
            for p in (self.root.rglob("*") if self.root.exists() else ())
            if OF_THE_SERVER not in p.name
        }
        files = {n: d for n, d in shown.items() if d != "folder"}
        assert sorted(files) == sorted(self.files)
        for name, data in self.files.items():
            assert files[name] == data, f"{name}: {short(files[name])}"
        folders = {n for n, d in shown.items() if d == "folder"}
        assert folders == self.folders - {""}


def link(target):
    """What stands for a symbolic link, and is its object."""
    return b"-> " + os.fsencode(target)


def short(data):
    return data if data is None or isinstance(data, str) else f"{len(data)} bytes"


def state_of(mnt, path):
    return mnt.status(path)["state"]


def assert_nothing_left(mnt, bucket):
    """Drained: the bucket holds what the mount shows, and nothing besides."""
    mnt.sync()
    names = {
        str(p.relative_to(mnt.path)) + "/" * (p.is_dir() and not p.is_symlink())
        for p in mnt.path.rglob("*")
    }
    where = bucket.server.data / bucket.name  # objects are its files
    pages = bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
    objects = {o["Key"] for page in pages for o in page.get("Contents", ())}
    # A killed probe's are swept by a mount an hour later.
    objects = {k for k in objects if not k.startswith(PROBE)}
    wanted = {n for n in names if not n.endswith("/")}
    found = {k for k in objects if not k.endswith("/")}
    assert found == wanted, (found - wanted, wanted - found)
    assert objects <= names, "markers of folders that are gone"
    for name in names & objects:
        if not name.endswith("/"):
            path = mnt / name
            is_link = path.is_symlink()
            data = os.fsencode(os.readlink(path)) if is_link else path.read_bytes()
            assert (where / name).read_bytes() == data, name
    # what was given up goes after what is waited for
    wait_until(
        lambda: not [k for k in bucket.uploads() if not k.startswith(PROBE)],
        what="no upload is left",
    )
