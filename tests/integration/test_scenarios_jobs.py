# SPDX-License-Identifier: Apache-2.0
"""Jobs and daemons that die in a save, saves by many processes, logs that grow:
acceptance scenarios on a mount of an S3 server."""

import contextlib
import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from buckets import assert_same
from mount import wait_until
from published import Follower
from saves import MIB, ShardedSave, pl_save, shard_save
from writer import Writer

root = pytest.mark.root
DEAD = (errno.ENOTCONN, errno.ECONNABORTED)


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough, upload_delay="0s").mount()


@pytest.fixture
def writers():
    made = []

    def make(*args, **more):
        made.append(Writer(*args, **more))
        return made[-1]

    yield make
    for w in made:
        w.end()


def state(mnt, name):
    return mnt.status(mnt / name)["state"]


# ---- save_top_k=1


def test_s5_a_delete_never_overtakes_the_upload_before_it(mnt, s3_bucket, proxy):
    first, second = os.urandom(12 * MIB), os.urandom(12 * MIB)
    pl_save(first, str(mnt / "e0.ckpt"))
    mnt.sync()
    proxy.limit(up=4 * MIB)
    pl_save(second, str(mnt / "e1.ckpt"))
    (mnt / "e0.ckpt").unlink()
    wait_until(lambda: proxy.body_bytes("/e1") > MIB, what="some of the body")
    mnt.kill9()
    assert s3_bucket.keys() == ["e0.ckpt"]
    assert s3_bucket.get("e0.ckpt") == first
    proxy.limit()
    mnt.mount()
    mnt.sync()
    assert s3_bucket.get("e1.ckpt") == second
    # its upload may have begun before its time was set
    assert_same(s3_bucket, mnt.path, mtime=False)
    commits = proxy.commits()
    assert commits[-2:] == [("complete", "e1.ckpt"), ("delete", "e0.ckpt")]


# ---- a writer dies


@pytest.fixture
def little_memory():
    """A command before another, which may then take 48 MiB: beyond that the
    kernel's out-of-memory killer comes."""
    top = Path("/sys/fs/cgroup")
    limit = "memory.max"
    try:
        if (top / "memory").exists():
            top, limit = top / "memory", "memory.limit_in_bytes"
        elif "memory" not in (top / "cgroup.subtree_control").read_text():
            (top / "cgroup.subtree_control").write_text("+memory")
        group = top / f"ckptfs-test-{os.getpid()}"
        group.mkdir()
        (group / limit).write_text(str(48 * MIB))
    except OSError as e:
        pytest.skip(f"no control group to limit memory with: {e}")
    yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]
    wait_until(lambda: not (group / "cgroup.procs").read_text(), what="its end")
    group.rmdir()


def leaves_the_old_one(mnt, s3_bucket, writers, die, prefix=()):
    whole = b"G" * 8_000_000
    pl_save(whole, str(mnt / "last.ckpt"))
    mnt.sync()
    w = writers(mnt / "last.ckpt", prefix=prefix)
    assert w("write", "x", 1_000_000) == 0
    die(w)
    assert w.process.wait(60) == -signal.SIGKILL
    wait_until(lambda: state(mnt, "last.ckpt") == "torn", what="it is torn")
    said = mnt.sync(status=1).stderr
    assert "not in the bucket: last.ckpt (torn" in said
    assert s3_bucket.keys() == ["last.ckpt"]
    assert s3_bucket.get("last.ckpt") == whole


@root
def test_s7_the_out_of_memory_killer_takes_the_writer(
    mnt, s3_bucket, writers, little_memory
):
    """Other signals: test_faults_writers.py."""
    leaves_the_old_one(
        mnt, s3_bucket, writers, lambda w: w.send("grow"), prefix=little_memory
    )


def test_s7_a_process_is_killed_whose_thread_writes(mnt, s3_bucket, writers):
    def die(w):
        assert w("writes_on") == 0
        size = (mnt / "last.ckpt").stat().st_size
        wait_until(lambda: (mnt / "last.ckpt").stat().st_size > size, what="writes")
        w.kill(signal.SIGKILL)

    leaves_the_old_one(mnt, s3_bucket, writers, die)


LEAVES_OPEN = """
import os, sys, threading
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
threading.Thread(target=threading.Event().wait, daemon=True).start()
os.write(fd, sys.argv[2].encode())
os._exit(0) if sys.argv[3:] else sys.exit(0)
"""


def test_s7_who_ends_without_a_close_has_finished(mnt, s3_bucket, tmp_path):
    """As many tools do; but a zip that is cut short by it is no checkpoint."""
    (tmp_path / "f").write_bytes(b"f" * 100_000)
    shell = 'echo hi >"$1/echo"; cat "$0" >"$1/cat.pt"; cp "$0" "$1/cp.ckpt"'
    subprocess.run(["sh", "-c", shell, tmp_path / "f", mnt.path], check=True)
    python = [sys.executable, "-c", LEAVES_OPEN]
    subprocess.run([*python, mnt / "exit.ckpt", "data"], check=True)
    subprocess.run([*python, mnt / "_exit.ckpt", "data", "_exit"], check=True)
    mnt.sync()
    assert s3_bucket.keys() == ["_exit.ckpt", "cat.pt", "cp.ckpt", "echo", "exit.ckpt"]
    assert_same(s3_bucket, mnt.path)
    subprocess.run([*python, mnt / "cut.ckpt", "PK\x03\x04data", "_exit"], check=True)
    assert "not in the bucket: cut.ckpt (torn" in mnt.sync(status=1).stderr
    assert s3_bucket.keys("cut") == []


# ---- the daemon dies


@pytest.mark.parametrize("close", ["async", "local"])
def test_s8_the_daemon_is_killed_in_mid_save(
    s3_bucket, mounts, proxy, writers, passthrough, close
):
    mnt = mounts(s3_bucket, passthrough=passthrough, close=close).mount()
    by_kernel = mnt.status()["io"] == "passthrough"
    proxy.limit(up=MIB)
    done = os.urandom(5_000_000)
    pl_save(done, str(mnt / "done.ckpt"))
    w = writers(mnt / "mid.ckpt")
    for _ in range(3):
        assert w("write", "m", MIB) == 0
    mnt.kill9()
    # past the daemon it goes on; that it came to nothing is told at the close
    said = w("write", "m", MIB)
    assert said == 0 if by_kernel else said in DEAD
    assert w("fsync") in DEAD
    assert w("close") in DEAD
    w.end()
    proxy.limit()
    mnt.mount()
    assert "not in the bucket: mid.ckpt (unfinished" in mnt.sync(status=1).stderr
    assert s3_bucket.keys() == ["done.ckpt"]
    assert s3_bucket.get("done.ckpt") == done
    assert (mnt / "mid.ckpt").read_bytes() == b"m" * MIB * (4 if by_kernel else 3)


# ---- a save by several processes

RANKS, SHARD = 4, 2 * MIB


def shards_of(folder):
    return [f"{folder}/__{rank}_0.distcp" for rank in range(RANKS)]


def saved(read, folder):
    """Of which save each shard is, as read(path) shows it; None: of none."""
    return [
        shard_save(read(path), rank, SHARD)
        for rank, path in enumerate(shards_of(folder))
    ]


class SaveFollower(Follower):
    """Whenever .metadata shows, each shard is whole and no older."""

    def _look(self):
        mark = self._read()
        if mark is None:
            return
        try:
            found = saved(self.bucket.get, "step")
        except self.bucket.s3.exceptions.NoSuchKey:
            found = [None]
        if any(save is None or save < int(mark) for save in found):
            self.wrong.append((mark, found))
        self.seen.append(mark)


def test_s9_shards_are_whole_before_their_metadata(
    mnt, s3_bucket, proxy, mounts, passthrough
):
    """Four processes save over and over, and the daemon is killed in the midst:
    when so many of their calls have returned.  It goes on with each save alone:
    of what is overwritten twice meanwhile an older version may show longer."""
    folders = [mnt / "step"] * RANKS
    # so slow that .metadata would be first, did it not wait
    proxy.fault("delay", method="PUT|POST", path="distcp", count=-1, seconds=0.1)
    number = itertools.count(1)
    with SaveFollower(s3_bucket, "step/.metadata", None) as follower:
        assert ShardedSave(folders, next(number), SHARD).end()
        mnt.sync()
        for calls in (3, 11, 17, 18):
            job = ShardedSave(folders, next(number), SHARD)
            for _ in range(calls):
                job.calls.readline()
            mnt.kill9()
            job.end()
            mnt.mount()
            mnt.sync(status=None)
        last = next(number)
        assert ShardedSave(folders, last, SHARD).end()
        mnt.sync()
    assert follower.seen[-1] == b"%07d" % last
    assert saved(s3_bucket.get, "step") == [last] * RANKS
    assert_same(s3_bucket, mnt.path)
    proxy.heal()
    cold = mounts(s3_bucket, "cold", passthrough=passthrough).mount()
    assert saved(lambda path: (cold / path).read_bytes(), "step") == [last] * RANKS


def test_s9_two_hosts_save_together(s3_bucket, mounts, passthrough):
    one, two = (mounts(s3_bucket, n, passthrough=passthrough).mount() for n in "ab")
    folders = [one / "step", one / "step", two / "step", two / "step"]
    assert ShardedSave(folders, 7, SHARD).end()
    one.sync()
    two.sync()
    third = mounts(s3_bucket, "c", passthrough=passthrough).mount()
    assert saved(lambda path: (third / path).read_bytes(), "step") == [7] * RANKS
    assert (third / "step/.metadata").read_bytes() == b"0000007"
    assert s3_bucket.keys() == ["step/.metadata", *shards_of("step")]


# ---- logs


def record(i):
    return b"%0199d\n" % i


class Log:
    """A log as its writer knows it."""

    def __init__(self, key):
        self.key = key
        self.text = b""

    def grow(self, write):
        for _ in range(20):
            one = record(len(self.text) // 200)
            self.text += one
            write(one)

    def is_prefix(self, data):
        return data == self.text[: len(data)]


def test_s15_logs_show_as_they_grow(s3_bucket, mounts, proxy, passthrough):
    """One is opened for each event, the other is kept open: no event waits for
    the network, no checkpoint waits for them, and they are not sent anew for
    each event."""
    interval = 0.5
    options = {"passthrough": passthrough, "upload_interval": "500ms"}
    mnt = mounts(s3_bucket, upload_delay="0s", **options).mount()
    tail = mounts(s3_bucket, "tail", metadata_ttl="100ms").mount()
    opened, kept = (Log(f"events.out.tfevents.{i}.host.1") for i in (1, 2))

    def append(one):
        with (mnt / opened.key).open("ab") as f:
            f.write(one)

    def shown(log):
        try:
            data = s3_bucket.get(log.key)
        except s3_bucket.s3.exceptions.NoSuchKey:
            return 0
        assert log.is_prefix(data)
        with contextlib.suppress(FileNotFoundError):
            assert log.is_prefix((tail / log.key).read_bytes())
        return len(data)

    proxy.fault("status", method="PUT|POST", count=-1)
    with (mnt / kept.key).open("ab") as f:
        for _ in range(20):
            opened.grow(append)
            kept.grow(f.write)
            f.flush()
        proxy.heal()
        began = time.monotonic()
        (mnt / "a.ckpt").write_bytes(b"a")
        sizes = {opened: set(), kept: set()}
        while min(map(len, sizes.values())) < 4:
            assert time.monotonic() - began < 60, sizes
            opened.grow(append)
            kept.grow(f.write)
            f.flush()
            for log, seen in sizes.items():
                seen.add(shown(log))
        wait_until(lambda: s3_bucket.keys("a.ckpt"), what="the checkpoint")
        took = time.monotonic() - began
        for log in sizes:
            puts = [key for _, key in proxy.commits()].count(log.key)
            assert puts <= took / interval + 2
    mnt.sync()
    for log in sizes:
        assert s3_bucket.get(log.key) == log.text == (mnt / log.key).read_bytes()


def test_s16_a_table_is_rewritten_between_appends(s3_bucket, mounts, passthrough):
    """CSVLogger: rows are appended; a new column has all of it written anew.
    Only what the file was at a close is ever in the bucket."""
    mnt = mounts(
        s3_bucket, passthrough=passthrough, upload_delay="0s", upload_interval="100ms"
    ).mount()
    path, closed, wrong = mnt / "metrics.csv", [], []
    over = threading.Event()

    def follow():
        while not over.is_set():
            with contextlib.suppress(s3_bucket.s3.exceptions.NoSuchKey):
                data = s3_bucket.get("metrics.csv")
                if data not in list(closed):
                    wrong.append(data)
            time.sleep(0.01)

    def write(mode, text):
        before = path.read_bytes() if mode == "ab" else b""
        closed.append(before + text)
        with path.open(mode) as f:
            f.write(text)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        write("wb", b"step,loss\n")
        for column in range(3):
            for step in range(5):
                write("ab", b"%d,1\n" % step)
            mnt.sync()
            old = path.read_bytes()
            closed.append(b"step,loss,%d\n" % column + old)
            with path.open("wb", buffering=0) as f:
                f.write(b"step,loss,%d\n" % column)
                # meanwhile what is closed shows, and of this nothing
                (mnt / "beside").write_bytes(b"%d" % column)
                mnt.run("sync", mnt / "beside")
                assert s3_bucket.get("metrics.csv") == old
                f.write(old)
            write("ab", b"after\n")
        mnt.sync()
        # touch, as fsspec does it, then all anew
        os.utime(path)
        closed.append(b"")
        os.truncate(path, 0)
        write("ab", b"step\n")
        mnt.sync()
    finally:
        over.set()
        follower.join()
    assert not wrong, wrong[:3]
    assert s3_bucket.get("metrics.csv") == b"step\n"
