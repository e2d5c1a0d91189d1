# SPDX-License-Identifier: Apache-2.0
"""ckptfs fsck --cache: of caches that real mounts left, and somebody harmed."""

import os
import re
from pathlib import Path

from buckets import assert_same
from mount import wait_until
from test_recover import TORN, crash, kept, recover


def fsck(mnt, *args, status=0):
    options = ["-o", mnt.option_string(log_file=None)]
    return mnt.run("fsck", "--cache", mnt.source, *args, *options, status=status)


def cache_of(mnt):
    return Path(mnt.status()["cache"]["dir"])


def lost_and_found(cache):
    return sorted(p.name for p in (cache / "lost+found").iterdir())


def sync_folder(path):
    """Everything before this is power-safe."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def test_a_cache_that_is_whole(mnt, bucket):
    (mnt / "d").mkdir()
    (mnt / "d/a").write_bytes(os.urandom(100_000))
    (mnt / "cut.pt").write_bytes(TORN)
    mnt.sync("d")
    done = fsck(mnt, status=1)
    assert f"mounted on {mnt.path} already" in done.stderr
    mnt.discard()
    done = fsck(mnt)
    assert re.fullmatch(
        r"\S+: 2 versions, 2 blobs, 98.\dK: all is well\n", done.stdout
    ), done.stdout
    assert done.stderr == ""
    assert fsck(mnt, "--fix").stdout == done.stdout
    mnt.mount()
    assert kept(mnt) == {"cut.pt": "torn"}
    recover(mnt, "publish", mnt / "cut.pt")
    mnt.sync()
    assert_same(bucket, mnt.path)


def test_copies_that_are_gone_are_fetched_again(mnt, bucket):
    data = os.urandom(100_000)
    (mnt / "a").write_bytes(data)
    (mnt / "b").write_bytes(data)
    mnt.sync()
    cache = cache_of(mnt)
    mnt.umount()
    first, second = sorted(p for p in (cache / "blobs").rglob("*") if p.is_file())
    first.unlink()
    os.truncate(second, 1000)
    done = fsck(mnt, status=1)
    assert "found: a: its bytes are gone from the cache" in done.stdout
    assert "found: b: only 1000 of its 100000 bytes are there" in done.stdout
    assert "2 found, 0 mended; --fix" in done.stdout
    done = fsck(mnt, "--fix")
    assert done.stdout.count("mended: ") == 2
    assert "2 mended, all is well now" in done.stdout
    assert lost_and_found(cache) == [second.name]
    fsck(mnt)
    mnt.mount()
    assert (mnt / "a").read_bytes() == (mnt / "b").read_bytes() == data
    assert_same(bucket, mnt.path)


def test_bytes_that_nobody_else_has_are_not_made_up(s3_mount, proxy):
    mnt = s3_mount.mount()
    proxy.fault("status", method="PUT", code=503, count=-1)
    (mnt / "a").write_bytes(b"queued")
    wait_until(lambda: proxy.requests("PUT", "/a$"), what="its seal is final")
    sync_folder(mnt.path)
    cache = cache_of(mnt)
    mnt.discard()
    (blob,) = (p for p in (cache / "blobs").rglob("*") if p.is_file())
    blob.unlink()
    for args in ([], ["--fix"]):
        done = fsck(mnt, *args, status=1)
        assert "found: a: its bytes are gone" in done.stdout
        assert "nobody else has it" in done.stdout
    proxy.heal()
    mnt.mount()
    mnt.sync(status=1)
    assert kept(mnt) == {"a": "parked"}
    recover(mnt, "discard", mnt / "a", "--yes")
    mnt.umount()
    fsck(mnt)


def test_what_no_barrier_covers_goes_with_its_bytes(s3_mount, proxy):
    """As a mount does it; but it is said."""
    mnt = s3_mount.mount()
    proxy.fault("status", method="PUT", code=503, count=-1)
    (mnt / "first").write_bytes(b"1")
    sync_folder(mnt.path)
    cache = cache_of(mnt)
    before = set((cache / "blobs").rglob("*"))
    (mnt / "second").write_bytes(b"2")
    mnt.kill9()
    (blob,) = (p for p in set((cache / "blobs").rglob("*")) - before if p.is_file())
    blob.unlink()
    mnt.discard()
    done = fsck(mnt)
    assert "mended: the disk had not all that the log spoke of" in done.stdout
    proxy.heal()
    mnt.mount()
    assert os.listdir(mnt.path) == ["first"]
    mnt.sync()


def test_a_lost_database_is_made_anew(mnt, bucket, tmp_path):
    (mnt / "sent").write_bytes(b"sent")
    mnt.sync()
    crash(mnt, mnt / "half", b"half of it")
    (mnt / "cut.pt").write_bytes(TORN)
    cache = cache_of(mnt)
    mnt.umount(status=1)
    for name in ("db", "db-wal", "barrier"):
        (cache / name).unlink()
    mnt.mount(status=1)
    assert "fsck --cache SOURCE --fix" in mnt.said
    assert "found: the database is lost" in fsck(mnt, status=1).stdout
    done = fsck(mnt, "--fix")
    assert "mended: a new database has 3 versions" in done.stdout
    fsck(mnt)
    mnt.mount()
    names = {"cut.pt", "half", "sent"}
    assert kept(mnt) == dict.fromkeys(names, "unfinished")
    assert os.listdir(mnt.path) == ["sent"]
    recover(mnt, "export", mnt / "half", tmp_path / "half")
    assert (tmp_path / "half").read_bytes() == b"half of it"
    recover(mnt, "discard", mnt / "sent", "--yes")
    recover(mnt, "publish", mnt / "cut.pt", mnt / "half")
    mnt.sync()
    assert kept(mnt) == {}
    assert bucket.get("cut.pt") == TORN
    assert_same(bucket, mnt.path, mtime=False)


def test_a_damaged_database_is_put_aside(folder_mount):
    mnt = folder_mount.mount()
    (mnt / "a").write_bytes(b"x")
    mnt.sync()
    cache = cache_of(mnt)
    mnt.umount()
    (cache / "db-wal").unlink()
    with (cache / "db").open("r+b") as f:
        f.write(b"not a database" * 100)
    mnt.mount(status=1)
    assert "fsck --cache SOURCE" in mnt.said
    assert "the database cannot be opened" in fsck(mnt, status=1).stdout
    fsck(mnt, "--fix")
    names = [n.split(".")[0] for n in lost_and_found(cache)]
    assert names == ["barrier", "db"]
    mnt.mount()
    assert (mnt / "a").read_bytes() == b"x"


def test_what_is_asked_wrongly_is_said(folder_mount):
    mnt = folder_mount
    assert "--cache SOURCE" in mnt.run("fsck", status=2).stderr
    assert "what is x" in fsck(mnt, "x", status=2).stderr
    assert "has no cache here" in fsck(mnt, status=1).stderr
    assert os.listdir(mnt.cache_dir) == []
