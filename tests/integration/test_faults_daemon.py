# SPDX-License-Identifier: Apache-2.0
"""Rows of docs/fault-matrix.md whose fault hits the daemon: killed at a moment,
stopped as systemd does, without a network, with a clock that jumps."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from buckets import DirBucket, assert_same
from mount import is_mounted, program, wait_until
from writer import Writer

MIB = 1 << 20
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


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


def tree(top):
    """What a user can see of it."""
    found = []
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            st = os.lstat(f"{folder}/{name}")
            found.append((f"{folder}/{name}", st.st_ino, st.st_mode, st.st_mtime_ns))
    return sorted(found)


# ---- kill -9 at a moment


def test_f01_killed_while_idle(mnt, s3_bucket, proxy):
    (mnt / "d/e").mkdir(parents=True)
    for i in range(20):
        (mnt / f"d/{i}").write_bytes(b"%d" % i)
    (mnt / "link").symlink_to("d/1")
    mnt.sync()
    before = tree(mnt.path)
    count = len(proxy.commits())
    mnt.kill9()
    began = time.monotonic()
    mnt.mount()
    assert time.monotonic() - began < 2
    assert tree(mnt.path) == before
    mnt.sync()
    assert len(proxy.commits()) == count
    assert mnt.status()["queue"] == []
    assert_same(s3_bucket, mnt.path)


def test_f02_killed_after_a_create(mnt, s3_bucket, writers):
    writers(mnt / "new")
    mnt.kill9()
    mnt.mount()
    assert (mnt / "new").stat().st_size == 0
    mnt.sync(status=1)
    assert mnt.status(mnt / "new")["state"] in ("open", "unfinished")
    assert s3_bucket.keys() == []


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_WRONLY | os.O_TRUNC, os.O_RDWR])
@pytest.mark.parametrize("size", [1000, 20 * MIB])
def test_f03_killed_between_an_open_and_its_first_write(
    mnt, s3_bucket, proxy, writers, flags, size
):
    data = os.urandom(size)
    (mnt / "f").write_bytes(data)
    mnt.sync()
    count = len(proxy.commits())
    w = writers(mnt / "f", flags)
    assert w.opened == 0
    mnt.kill9()
    w.end()
    mnt.mount()
    assert (mnt / "f").read_bytes() == data
    mnt.sync(status=None)
    assert s3_bucket.get("f") == data
    assert len(proxy.commits()) == count


def test_f04_killed_between_writes(mnt, s3_bucket, writers):
    w = writers(mnt / "f.ckpt")
    for i in range(50):
        assert w("write", chr(ord("A") + i), 10_007) == 0
    mnt.kill9()
    w.end()
    mnt.mount()
    want = b"".join(bytes([ord("A") + i]) * 10_007 for i in range(50))
    assert (mnt / "f.ckpt").read_bytes() == want
    mnt.sync(status=1)
    assert s3_bucket.keys() == []


def test_f26_killed_while_it_holds_most(mnt, s3_bucket, proxy, writers):
    """The out-of-memory killer comes when most is under way: open files, bodies
    going up, a queue."""
    proxy.limit(up=4 * MIB)
    datas = {f"{i}.bin": os.urandom(9 * MIB) for i in range(4)}
    for name, data in datas.items():
        (mnt / name).write_bytes(data)
    w = writers(mnt / "open.ckpt")
    assert w("write", "o", 5 * MIB) == 0
    wait_until(lambda: proxy.body_bytes() > MIB, what="some of it under way")
    mnt.kill9()
    proxy.limit()
    w.end()
    mnt.mount()
    assert (mnt / "open.ckpt").read_bytes() == b"o" * 5 * MIB
    (mnt / "open.ckpt").unlink()
    for name, data in datas.items():
        assert (mnt / name).read_bytes() == data
    mnt.sync()
    assert_same(s3_bucket, mnt.path)


def test_f27_signals_do_not_break_calls(mnt, s3_bucket):
    """A writer under a storm of signals: each close is one, and all arrives."""
    code = """if True:
        import os, signal, sys
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for i in range(200):
            fd = os.open(f"{sys.argv[1]}/{i}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            assert os.write(fd, b"%d" % i * 1000) == len(b"%d" % i * 1000)
            os.fsync(fd)
            os.close(fd)
            os.rename(f"{sys.argv[1]}/{i}", f"{sys.argv[1]}/done-{i}")
        signal.setitimer(signal.ITIMER_REAL, 0)
    """
    subprocess.run(["python3", "-c", code, mnt.path], check=True, timeout=120)
    mnt.sync()
    assert len(s3_bucket.keys("done-")) == 200
    assert_same(s3_bucket, mnt.path)


def test_f31_a_lock_that_a_dead_daemon_left(mnt):
    """Whose number another process has by now."""
    (mnt / "f").write_bytes(b"x")
    cache = Path(mnt.status()["cache"]["dir"])
    mnt.kill9()
    holder = json.loads((cache / "holder").read_text())
    holder["pid"] = os.getpid()
    (cache / "holder").write_text(json.dumps(holder))
    assert (cache / "lock").exists()
    mnt.mount()
    assert (mnt / "f").read_bytes() == b"x"


# ---- the end, as systemd brings it


class Foreground:
    """ckptfs mount -f, as a service: its status and what it said."""

    def __init__(self, mount, **options):
        self.mount = mount
        cmd = [program(), "mount", mount.source, str(mount.path), "-f", "-o"]
        cmd.append(mount.option_string(log_file=None, **options))
        self.said = mount.cache_dir.with_name("service.log")
        with self.said.open("w") as f:
            self.process = subprocess.Popen(
                cmd, env=mount.env, stdin=subprocess.DEVNULL, stdout=f, stderr=f
            )
        wait_until(lambda: is_mounted(mount.path), what="the mount")
        wait_until(lambda: "cache " in self.said.read_text(), what="its first word")

    def stop(self, sig=signal.SIGTERM, timeout=60):
        self.process.send_signal(sig)
        return self.process.wait(timeout)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def service(s3_bucket, mounts):
    made = []

    def make(**options):
        mount = mounts(s3_bucket, upload_delay="0s")
        made.append(Foreground(mount, **options))
        return mount, made[-1]

    yield make
    for one in made:
        one.mount.detach()
        one.end()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_stopped_drains(service, s3_bucket, proxy, sig):
    mount, daemon = service()
    proxy.limit(up=8 * MIB)
    (mount / "f").write_bytes(os.urandom(9 * MIB))
    assert daemon.stop(sig) == 0
    assert s3_bucket.keys() == ["f"]
    assert not is_mounted(mount.path)
    assert "everything is in the bucket" in daemon.said.read_text()


def test_f64_a_stop_that_cannot_wait_longer(service, s3_bucket, proxy):
    """Status 1 and a list by the deadline; the rest goes on at the next mount."""
    mount, daemon = service(drain_timeout="2s")
    proxy.fault("status", method="PUT|POST", count=-1)
    datas = {f"{i}": os.urandom(9 * MIB) for i in range(3)}
    for name, data in datas.items():
        (mount / name).write_bytes(data)
    began = time.monotonic()
    assert daemon.stop() == 1
    assert 2 <= time.monotonic() - began < 10
    assert not is_mounted(mount.path)
    for name in datas:
        assert f"not in the bucket: {name} (" in daemon.said.read_text()
    proxy.heal()
    mount.mount()
    for name, data in datas.items():
        assert (mount / name).read_bytes() == data
    mount.sync()
    assert_same(s3_bucket, mount.path)


def test_a_stop_that_becomes_a_kill(service, s3_bucket, proxy):
    """TimeoutStopSec was shorter than drain_timeout."""
    mount, daemon = service()
    proxy.fault("status", method="PUT|POST", count=-1)
    (mount / "f").write_bytes(b"x")
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "signal 15" in daemon.said.read_text(), what="its answer")
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    proxy.heal()
    mount.mount()
    mount.sync()
    assert s3_bucket.get("f") == b"x"


def test_the_second_signal_ends_at_once(service, proxy):
    mount, daemon = service()
    proxy.fault("status", method="PUT|POST", count=-1)
    (mount / "f").write_bytes(b"x")
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "signal 15" in daemon.said.read_text(), what="its answer")
    assert daemon.stop() == 1
    assert time.monotonic() - began < 15
    assert "not in the bucket: f (" in daemon.said.read_text()


@pytest.mark.parametrize("kind", ["refused", "reset"])
def test_f45_a_mount_without_a_network(mnt, s3_bucket, proxy, kind):
    """What is here is there: read, written, and sent once there is a network."""
    (mnt / "d").mkdir()
    (mnt / "d/published").write_bytes(b"published")
    mnt.sync()
    proxy.fault("status", method="PUT|POST", count=-1)
    (mnt / "d/pending").write_bytes(b"pending")
    mnt.kill9()
    proxy.heal()
    proxy.fault("reset", count=-1)
    if kind == "refused":
        proxy.stop()
    mnt.mount()
    assert "the bucket did not answer at the mount" in mnt.said
    assert sorted(os.listdir(mnt / "d")) == ["pending", "published"]
    assert (mnt / "d/published").read_bytes() == b"published"
    assert (mnt / "d/pending").read_bytes() == b"pending"
    (mnt / "d/more").write_bytes(b"more")
    (mnt / "d/published").write_bytes(b"again")
    mnt.run("status", "--check", mnt.path, status=3)
    wait_until(lambda: mnt.status()["last_error"], what="the reason")
    if kind == "refused":
        done = mnt.run("umount", mnt.path, "--timeout", "1s", status=3)
        assert "not in the bucket: d/pending (" in done.stderr
        return
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("d/published") == b"again"
    assert_same(s3_bucket, mnt.path)


# ---- no network


def test_a_first_mount_without_a_network_is_refused(s3_mount, proxy):
    proxy.fault("reset", count=-1)
    s3_mount.mount(status=1)
    assert "check the network" in s3_mount.said


# ---- a clock that jumps


@pytest.fixture
def clock(mounts, s3_bucket, tmp_path):
    """A mount whose daemon believes another time: clock(seconds) sets it."""
    at = tmp_path / "clock"

    def set_to(seconds):
        fresh = at.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(at)

    set_to(0)
    m = mounts(s3_bucket, upload_delay="0s", metadata_ttl="200ms")
    m.env.update(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(at),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    m.set_clock = set_to
    return m


DAY = 86400


@pytest.mark.parametrize("jump", [-400 * DAY, -7200, 7200, 400 * DAY])
def test_f50_a_clock_that_is_wrong_and_jumps(clock, s3_bucket, mounts, jump):
    """Signatures, seals and listings: none of them believes it."""
    clock.mount()
    (clock / "before").write_bytes(b"before")
    clock.sync()
    clock.set_clock(jump)
    (clock / "before").write_bytes(b"changed")
    (clock / "after").write_bytes(b"after")
    clock.sync()
    s3_bucket.put("theirs", b"theirs")
    wait_until(lambda: "theirs" in os.listdir(clock.path), what="theirs")
    (clock / "after").unlink()
    (clock / "deleted").write_bytes(b"x")
    (clock / "replaced").write_bytes(b"x")
    clock.sync()
    # set right while it is mounted: what others do is believed at once
    clock.set_clock(0)
    s3_bucket.delete("deleted")
    s3_bucket.put("replaced", b"theirs")
    wait_until(
        lambda: sorted(os.listdir(clock.path)) == ["before", "replaced", "theirs"],
        what="a deletion by others",
    )
    wait_until(
        lambda: (clock / "replaced").read_bytes() == b"theirs", what="their object"
    )
    s3_bucket.put("after", b"theirs")
    wait_until(lambda: "after" in os.listdir(clock.path), what="a name deleted once")
    for name in ("after", "replaced"):
        (clock / name).unlink()
    clock.kill9()
    clock.set_clock(0)
    clock.mount()
    assert sorted(os.listdir(clock.path)) == ["before", "theirs"]
    assert (clock / "before").read_bytes() == b"changed"
    (clock / "again").write_bytes(b"again")
    clock.sync()
    assert s3_bucket.keys() == ["again", "before", "theirs"]
    other = mounts(s3_bucket, "other").mount()
    assert (other / "before").read_bytes() == b"changed"


# ---- two at once


@pytest.mark.parametrize("second", ["cache", "point"])
def test_f30_a_second_daemon_touches_nothing(tmp_path, mounts, second):
    bucket = DirBucket(tmp_path / "bucket")
    m = mounts(bucket).mount()
    (m / "f").write_bytes(b"x")
    cache = Path(m.status()["cache"]["dir"])
    m.sync()
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*")}
    other = mounts(bucket, "b", cache_dir=m.cache_dir)
    if second == "point":
        other.path = m.path
    other.mount(status=1)
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*")} == before
    assert (m / "f").read_bytes() == b"x"
    (m / "g").write_bytes(b"y")
    m.sync()
    assert bucket.keys() == ["f", "g"]


def test_a_suspended_daemon_is_not_taken_for_dead(folder_mount):
    """It may wake up: nobody else takes its mount or its cache."""
    m = folder_mount.mount()
    (m / "f").write_bytes(b"x")
    pid = m.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        done = subprocess.run(
            [program(), "mount", m.source, m.path, "-o", m.option_string()],
            env=m.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "does not answer" in done.stderr
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (m / "f").read_bytes() == b"x"
    m.sync()
