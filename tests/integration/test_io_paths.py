# SPDX-License-Identifier: Apache-2.0
"""A file changes its I/O path only between its last RELEASE and its next OPEN:
whatever is opened, cut, mapped and closed in whichever order, each handle and each
mapping has the bytes that it has on a disk, and so has the bucket at last."""

import ctypes
import itertools
import mmap
import os

import pytest

from buckets import assert_same
from diff_tree import Mapping

PAGE = mmap.PAGESIZE
SIZE = 3 * PAGE
# No bytes go below it: what is mapped is never beyond the end.
SMALL = PAGE + 904
# Of 2,400 cases each so manieth; all of them: CKPTFS_TEST_STEP=1.
STEP = int(os.environ.get("CKPTFS_TEST_STEP", "11"))
HOW = {
    "read": os.O_RDONLY,
    "write": os.O_WRONLY,
    "both": os.O_RDWR,
    "append": os.O_WRONLY | os.O_APPEND,
    "truncate": os.O_RDWR | os.O_TRUNC,
}
STEPS = ("open a", "open b", "cut", "map", "close a", "close b")


def in_order(order):
    """a is opened first, each before it is closed; something open is mapped."""
    at = {step: i for i, step in enumerate(order)}
    if at["open a"] > at["open b"]:
        return False
    return (
        at["open a"] < at["close a"]
        and at["open b"] < at["close b"]
        and any(at[f"open {x}"] < at["map"] < at[f"close {x}"] for x in "ab")
    )


ORDERS = [order for order in itertools.permutations(STEPS) if in_order(order)]


class Page(Mapping):
    """The first page of a file, and nothing that is open."""

    def __init__(self, fd, how):
        super().__init__(fd, how, 0, PAGE)

    def get(self, at=0, size=PAGE):
        return ctypes.string_at(self.addr + at, size)

    def put(self, at, data):
        ctypes.memmove(self.addr + at, data, len(data))


class Actor:
    """Does the steps on one file; what it sees is to be the same on a disk."""

    def __init__(self, path, how, size):
        self.path, self.size = path, size
        self.how = dict(zip("ab", how, strict=True))
        self.fds, self.pages = {}, []
        self.apart = False  # the mapping: docs/semantics.md

    def do(self, turn, step):
        word, (verb, _, x) = b"%03d" % turn, step.partition(" ")
        if self.pages and not self.fds:
            cut = verb == "open" and self.how[x] == "truncate"
            self.apart |= cut or self.pages[0].how == "read"
        if verb == "open":
            self.fds[x] = os.open(self.path, HOW[self.how[x]])
            if self.how[x] == "truncate":
                os.write(self.fds[x], word * (SMALL // 3 + 1))
        elif verb == "close":
            os.close(self.fds.pop(x))
        elif verb == "cut":
            os.truncate(self.path, self.size)
        elif verb == "map":
            self.map()
        for y, fd in self.fds.items():
            if self.how[y] == "append":
                os.write(fd, word)
            elif self.how[y] != "read":
                os.pwrite(fd, word, 8 * turn)
        self.store(200 + 8 * turn, word)
        return self.seen()

    def readable(self):
        return [x for x in self.fds if self.how[x] not in ("write", "append")]

    def map(self):
        """By the newest handle that can be mapped."""
        for x in self.readable()[-1:]:
            how = "read" if self.how[x] == "read" else "shared"
            self.pages = [Page(self.fds[x], how), Page(self.fds[x], "private")]
            self.pages[1].put(100, b"private")

    def store(self, at, data):
        if self.pages and self.pages[0].how == "shared" and not self.apart:
            self.pages[0].put(at, data)

    def seen(self):
        sizes = [os.fstat(fd).st_size for fd in self.fds.values()]
        whole = [os.pread(self.fds[x], 10 * SIZE, 0) for x in self.readable()]
        # A page that is private is so from its first change on.
        mapped = [page.get() for page in self.pages if not self.apart]
        return sizes, whole, mapped

    def end(self):
        """A mapping is the last that holds it, and changes it."""
        self.store(300, b"after")
        for page in self.pages:
            page.unmap()
        with open(self.path, "rb") as f:
            return f.read()


@pytest.mark.parametrize("bucket", ["file"], indirect=True)
@pytest.mark.parametrize("state", ["new", "published", "evicted"])
def test_all_orders_of_open_cut_map_and_close(mnt, bucket, state, tmp_path):
    """All orders of two opens, each in all ways, what cuts or grows the file, what
    maps it, and the closes; the file is new, in the bucket, or only there."""
    cases = list(itertools.product(ORDERS, HOW, HOW, (SMALL, 2 * SIZE - 5)))[::STEP]
    tops = [tmp_path / "local", mnt.path]
    tops[0].mkdir()
    for top in tops:
        for i in range(len(cases)):
            (top / f"{i}").write_bytes(b"%05d " % i * (SIZE // 6))
    if state != "new":
        mnt.sync()
    if state == "evicted":
        mnt.run("evict", mnt.path)
    for i, (order, *how, size) in enumerate(cases):
        local, mount = (Actor(top / f"{i}", how, size) for top in tops)
        for turn, step in enumerate(order):
            want, got = local.do(turn, step), mount.do(turn, step)
            assert got == want, (i, order, how, size, turn, step)
        assert mount.end() == local.end(), (i, order, how, size)
    mnt.sync()
    assert_same(bucket, mnt.path)
    for i in range(len(cases)):
        assert bucket.get(f"{i}") == (tops[0] / f"{i}").read_bytes(), cases[i]
