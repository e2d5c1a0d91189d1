# SPDX-License-Identifier: Apache-2.0
"""Names that move, come and go: as in a folder beside the cache, over both I/O
paths."""

import contextlib
import ctypes
import errno
import itertools
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from buckets import assert_same
from diff_tree import RENAME, libc
from mount import wait_until

MIB = 1 << 20
AT_FDCWD = -100
of_a_folder = pytest.mark.parametrize("bucket", ["file"], indirect=True)


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


# ---- rename


def make(top, kind):
    """One of each kind, named after it."""
    path = top / kind
    if kind in ("file", "open", "mapped"):
        path.write_bytes(kind.encode())
    elif kind == "large":
        path.write_bytes(b"large" * (MIB // 4))
    elif kind == "folder":
        path.mkdir()
    elif kind == "full":
        path.mkdir()
        (path / "in it").write_bytes(b"in it")
    elif kind == "deep":
        (path / "below").mkdir(parents=True)
        (path / "below/file").write_bytes(b"below")
    elif kind == "link":
        path.symlink_to("file")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "to a folder":
        path.symlink_to("folder")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with contextlib.chdir(top), socket.socket(socket.AF_UNIX) as s:
            s.bind(kind)


FROM = ("file", "open", "large", "folder", "full", "deep", "link", "dangling")
FROM += ("to a folder", "fifo", "socket", "none")
TO = (
    *FROM,
    "deep/below",
    "deep/below/new",
    "full/in it",
    "full/new",
    "file/new",
    "new",
)
FLAGS = ("-", "NOREPLACE")


def tree(top):
    """Names, kinds and contents; but for fifos' and sockets'."""
    found = {}
    for here, folders, names in os.walk(top):
        for name in folders + names:
            path = os.path.join(here, name)
            what = "folder"
            if os.path.islink(path):
                what = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as f:
                    what = f.read()
            elif not os.path.isdir(path):
                what = f"{os.stat(path).st_mode:o}"
            found[os.path.relpath(path, top)] = what
    return found


def moved(top, old, new, flag):
    """What came of it, and what is there then."""
    with contextlib.ExitStack() as opened:
        files = []
        for name in ("open", "large"):
            if (top / name).exists():
                files.append(opened.enter_context((top / name).open("r+b", 0)))
        code = libc.renameat2(
            AT_FDCWD,
            os.fsencode(top / old),
            AT_FDCWD,
            os.fsencode(top / new),
            RENAME[flag],
        )
        code = code and os.strerror(ctypes.get_errno())
        for f in files:  # whatever its name is, if it has one
            f.seek(0, os.SEEK_END)
            f.write(b" goes on")
        seen = [(os.fstat(f.fileno()).st_nlink, f.seek(0), f.read()) for f in files]
    return code, seen, tree(top)


@of_a_folder
@pytest.mark.parametrize(
    ("flag", "state"),
    [
        ("-", "new"),
        ("-", "published"),
        ("NOREPLACE", "new"),
        ("EXCHANGE", "new"),
        ("EXCHANGE", "published"),
    ],
)
def test_rename_in_every_combination(mnt, bucket, state, flag, tmp_path):
    """Of anything over anything, into itself, of what is open over what is open."""
    pairs = [(a, b) for a in FROM for b in TO]
    tops = [tmp_path / "local", mnt / "d"]
    for i, pair in enumerate(pairs):
        for top in tops:
            (top / f"{i}").mkdir(parents=True)
            for kind in {"file", "folder", *pair} & set(FROM) | {"full", "deep"}:
                make(top / f"{i}", kind)
    if state == "published":
        mnt.sync()
    for i, (old, new) in enumerate(pairs):
        want, got = (moved(top / f"{i}", old, new, flag) for top in tops)
        assert got == want, (i, old, new)
    mnt.sync()
    for i, pair in enumerate(pairs):
        assert tree(mnt / f"d/{i}") == tree(tops[0] / f"{i}"), pair
    assert tree(mnt / "d") == tree(tops[0])
    assert published(tree(bucket.folder)) == published(tree(mnt.path))


def published(found):
    """Without folders, and what is local."""
    return {
        name: what
        for name, what in found.items()
        if what != "folder" and not name.startswith(".ckptfs") and not is_mode(what)
    }


def is_mode(what):
    return isinstance(what, str) and what.isdigit()


def test_a_file_moves_while_it_goes_up(s3_mount, s3_bucket, proxy, passthrough):
    """Over another, into another folder, and its folder too; what is under way
    then is under its last name alone in the end."""
    mnt = s3_mount.mount(passthrough=passthrough, upload_delay="0")
    data = os.urandom(24 * MIB)
    (mnt / "over").write_bytes(b"old")
    (mnt / "a").mkdir()
    (mnt / "b").mkdir()
    mnt.sync()
    proxy.fault("delay", method="PUT", seconds=0.3, count=-1)
    names = ["a/f", "a/g", "over", "b/f", "f"]
    (mnt / names[0]).write_bytes(data)
    for old, new in itertools.pairwise(names):
        n = len(proxy.requests("PUT"))
        (mnt / old).rename(mnt / new)
        assert (mnt / new).read_bytes() == data
        # Some part of it is on its way at each of its names.
        if not (mnt / "b/f").exists():
            wait_for_more(proxy, n)
    (mnt / "a/h").write_bytes(data[::-1])
    n = len(proxy.requests("PUT"))
    wait_for_more(proxy, n)
    (mnt / "a").rename(mnt / "c")
    proxy.heal()
    mnt.sync()
    assert_same(s3_bucket, mnt.path)
    assert s3_bucket.keys() == ["c/h", "f"]
    assert s3_bucket.get("f") == data
    assert s3_bucket.get("c/h") == data[::-1]


def wait_for_more(proxy, n):
    wait_until(lambda: len(proxy.requests("PUT")) > n, what="one more request")


@of_a_folder
def test_a_job_stays_in_a_folder_that_moves(mnt):
    (mnt / "a/b").mkdir(parents=True)
    (mnt / "a/b/f").write_bytes(b"x")
    fd = os.open(mnt / "a/b", os.O_RDONLY)
    with contextlib.chdir(mnt / "a/b"):
        (mnt / "a").rename(mnt / "c")
        assert os.getcwd() == str(mnt / "c/b")
        with open("f", "rb") as f:
            assert f.read() == b"x"
        os.mkdir("new")
        assert os.listdir("..") == ["b"]
        os.stat("f", dir_fd=fd)
        os.unlink("f")
        os.rmdir("new")
        os.rmdir(mnt / "c/b")
        refused(errno.ENOENT, os.getcwd)
        refused(errno.ENOENT, open, "f", "wb")
        assert os.listdir(fd) == []
    os.close(fd)


# ---- a large folder


@of_a_folder
@pytest.mark.parametrize("passthrough", ["auto"], indirect=True)
def test_a_large_folder_is_read_while_names_come_and_go(bucket, mounts, passthrough):
    """Of 100,000 entries: by two readers, while one creates and one deletes.  What
    stays is given once, the rest once at most."""
    (bucket.folder / "d").mkdir()
    stay = {f"stay-{i:06d}" for i in range(80_000)}
    go = [f"go-{i:06d}" for i in range(20_000)]
    for name in stay | set(go):
        (bucket.folder / "d" / name).touch()
    mnt = mounts(bucket, passthrough=passthrough, log_level="info").mount()
    top = mnt / "d"
    begun, read = threading.Event(), threading.Event()

    def reader():
        rounds = []
        while not rounds or (not read.is_set() and len(rounds) < 3):
            found = []
            with os.scandir(top) as entries:
                for n, e in enumerate(entries):
                    found.append(e.name)
                    if n == 100:
                        begun.set()
            rounds.append(found)
        return rounds

    def create():
        begun.wait(120)
        for i in range(1000):
            (top / f"come-{i:06d}").touch()

    def delete():
        begun.wait(120)
        for name in go[::10]:
            (top / name).unlink()

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(reader) for _ in range(2)]
        for job in (pool.submit(create), pool.submit(delete)):
            job.result()
        read.set()
        for job in readers:
            for found in job.result():
                assert len(found) == len(set(found))
                assert stay <= set(found)
    left = stay | set(go) - set(go[::10]) | {f"come-{i:06d}" for i in range(1000)}
    assert set(os.listdir(top)) == left
    mnt.sync(timeout=120)
    assert set(os.listdir(bucket.folder / "d")) == left
