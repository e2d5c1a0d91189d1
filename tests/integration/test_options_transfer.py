# SPDX-License-Identifier: Apache-2.0
"""Options of what waits for what, and of how uploads and downloads go.  Times
are compared by their lower bound; the upper one only tells an option from a
default that is much longer."""

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

from buckets import DirBucket
from mount import wait_until

MIB = 1 << 20


def missing(path):
    try:
        path.stat()
    except FileNotFoundError:
        return True
    return False


def peak(requests):
    """How many of them were under way at once, at most."""
    steps = [(r.start, 1) for r in requests] + [(r.end, -1) for r in requests]
    most = now = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


# ---- what a call waits for


@pytest.mark.option("close")
@pytest.mark.parametrize("close", ["async", "local"])
def test_close_waits_for_the_cache_disk(folder_mount, close):
    """A barrier leaves its record in a file; one comes by itself each second,
    and with close=local one at each close."""
    folder_mount.mount(close=close)
    barrier = Path(folder_mount.status()["cache"]["dir"]) / "barrier"
    count = 0
    for i in range(30):
        before = barrier.read_bytes()
        (folder_mount / f"{i}").write_bytes(b"x")
        count += barrier.read_bytes() != before
    assert (count == 30) == (close == "local"), count


@pytest.fixture
def stuck(s3_mount, proxy):
    """A mount of a server that takes nothing, for 20 s at most: who waits for
    ever shall fail the test, not stop it."""
    healer = threading.Timer(20, proxy.heal)

    def make(**options):
        s3_mount.mount(upload_delay="0s", **options)
        proxy.fault("status", method="PUT|POST", code=503, count=-1)
        healer.start()
        return s3_mount

    yield make
    healer.cancel()
    proxy.heal()


@pytest.mark.option("remote_timeout")
@pytest.mark.parametrize("option", ["close", "fsync"])
def test_remote_timeout_ends_the_wait_for_the_bucket(stuck, option):
    mnt = stuck(remote_timeout="1s", **{option: "remote"})
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x")
    if option == "fsync":
        os.fsync(fd)  # of an open file: its close waits
    began = time.monotonic()
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.EIO
    assert time.monotonic() - began >= 1


@pytest.mark.option("full")
def test_full_enospc_refuses_writers(stuck, s3_bucket, proxy):
    mnt = stuck(cache_size="1M", full="enospc")
    (mnt / "a").write_bytes(b"a" * 2 * MIB)
    with pytest.raises(OSError) as e:
        (mnt / "b").write_bytes(b"b")
    assert e.value.errno == errno.ENOSPC
    assert (mnt / "a").read_bytes() == b"a" * 2 * MIB
    proxy.heal()
    mnt.sync()
    (mnt / "b").write_bytes(b"b")
    mnt.sync()
    assert s3_bucket.keys() == ["a", "b"]


@pytest.mark.option("full")
def test_full_wait_has_writers_wait(stuck, s3_bucket, proxy):
    mnt = stuck(cache_size="1M", full="wait")
    (mnt / "a").write_bytes(b"a" * 2 * MIB)
    writer = threading.Thread(target=(mnt / "b").write_bytes, args=(b"b",))
    writer.start()
    tries = len(proxy.requests("PUT|POST"))
    wait_until(lambda: len(proxy.requests("PUT|POST")) > tries + 3, what="tries")
    assert writer.is_alive()
    proxy.heal()
    writer.join(60)
    assert not writer.is_alive()
    mnt.sync()
    assert s3_bucket.get("b") == b"b"


# ---- when it is sent, and what must be there before


@pytest.mark.option("order")
@pytest.mark.parametrize(
    ("order", "passed"),
    [
        ("strict", []),
        ("open", ["b", "d"]),
        ("none", ["b", "c", "d"]),
    ],
)
def test_what_passes_a_file_that_does_not_get_through(
    s3_mount, s3_bucket, proxy, order, passed
):
    """One at a time, in the order of their closing: once d is there, c has
    had its turn."""
    s3_mount.mount(order=order, upload_delay="0s", max_uploads=1)
    fault = proxy.fault("status", method="PUT", path="/a$", code=503, count=-1)

    def at_rest():
        return not [e for e in s3_mount.status()["queue"] if "at rest" in e["why"]]

    with (s3_mount / "d").open("wb") as d:
        with (s3_mount / "b").open("wb") as b:
            (s3_mount / "a").write_bytes(b"a")
            b.write(b"opened before a was closed")
        (s3_mount / "c").write_bytes(b"opened after that")
        wait_until(at_rest, what="b and c, closed")
        d.write(b"opened before that, too")
    if passed:
        wait_until(lambda: s3_bucket.keys("d"), what="d")
    else:
        wait_until(lambda: fault.hits > 6, what="tries of a")
    found = s3_bucket.keys()
    proxy.heal()
    assert found == passed
    s3_mount.sync()
    commits = [key for _, key in proxy.commits()]
    assert sorted(commits[: len(passed)]) == passed
    assert commits[len(passed) :] == [k for k in "abcd" if k not in passed]


@pytest.mark.option("conflict")
@pytest.mark.parametrize("conflict", ["keep", "overwrite"])
def test_f52_what_becomes_of_another_writers_object(s3_mount, s3_bucket, conflict):
    s3_mount.mount(conflict=conflict, metadata_ttl="1h")
    (s3_mount / "f").write_bytes(b"first")
    s3_mount.sync()
    s3_bucket.put("f", b"theirs")
    (s3_mount / "f").write_bytes(b"ours")
    keep = conflict == "keep"
    s3_mount.sync(status=1 if keep else 0)
    assert s3_bucket.get("f") == (b"theirs" if keep else b"ours")
    state = s3_mount.status(s3_mount / "f")["state"]
    assert state == ("conflict" if keep else "published")
    assert (s3_mount / "f").read_bytes() == b"ours"
    assert s3_bucket.beside() == ([("f", b"ours")] if keep else [])
    assert os.listdir(s3_mount.path) == ["f"]


@pytest.mark.option("upload_delay")
def test_upload_delay_passes_before_an_upload(s3_mount, proxy):
    s3_mount.mount(upload_delay="3s")
    (s3_mount / "f").write_bytes(b"1")
    (s3_mount / "f").write_bytes(b"2")
    closed = time.monotonic()
    (s3_mount / "f").write_bytes(b"3")
    # sync would not wait for the delay
    (put,) = wait_until(lambda: proxy.requests("PUT", "/f$"), what="the upload")
    assert put.start - closed >= 2.9
    s3_mount.umount()
    assert proxy.commits() == [("put", "f")]


@pytest.mark.option("upload_interval")
def test_a_log_goes_up_each_upload_interval(s3_mount, s3_bucket, proxy):
    s3_mount.mount(upload_interval="2s", upload_delay="0s")

    def sizes():
        keys = s3_bucket.keys()
        return [s3_bucket.head(key).size for key in keys]

    with (s3_mount / "train.log").open("ab", buffering=0) as log:
        for size in (6, 12, 18):
            log.write(b"6bytes")
            wait_until(lambda size=size: sizes() == [size], 12, f"{size} bytes")
    sent = [r.start for r in proxy.requests("PUT", r"/train\.log$")]
    assert len(sent) == 3
    assert min(b - a for a, b in itertools.pairwise(sent)) >= 1.9


@pytest.mark.option("live")
def test_live_names_the_files_that_go_up_open(s3_mount, s3_bucket):
    """A table kept open for writing, and one of a folder; no other open file, be
    it the usual name of a log, before its close."""
    options = {"upload_interval": "300ms", "upload_delay": "0s"}
    s3_mount.mount(live="*.csv:traces/*", **options)
    (s3_mount / "traces").mkdir()
    names = ["metrics.csv", "traces/0", "train.log", "model.pt"]
    opened = {n: (s3_mount / n).open("wb", buffering=0) for n in names}
    for f in opened.values():
        f.write(b"one")
    wait_until(lambda: len(s3_bucket.keys()) == 2, what="those that are live")
    assert s3_bucket.keys() == names[:2]
    for f in opened.values():
        f.write(b"two")
    wait_until(
        lambda: [s3_bucket.get(n) for n in names[:2]] == [b"onetwo"] * 2,
        what="what came since",
    )
    assert s3_bucket.keys() == names[:2]
    for f in opened.values():
        f.close()
    s3_mount.sync()
    assert [s3_bucket.get(n) for n in sorted(names)] == [b"onetwo"] * 4


@pytest.mark.option("live")
def test_live_may_name_none(s3_mount, s3_bucket, proxy):
    s3_mount.mount(live="none", upload_interval="300ms", upload_delay="0s")
    with (s3_mount / "train.log").open("wb", buffering=0) as log:
        log.write(b"one")
        (s3_mount / "after").write_bytes(b"x")
        wait_until(lambda: s3_bucket.keys() == ["after"], what="a later file")
        s3_mount.sync("after")
        assert s3_bucket.keys() == ["after"]
    s3_mount.umount()
    assert proxy.commits() == [("put", "after"), ("put", "train.log")]
    for value in ("", "*.log:", "a" * 256):
        s3_mount.mount(status=2, live=value)
        assert "patterns with colons in between" in s3_mount.said


@pytest.mark.option("upload_max_delay")
def test_a_temporary_name_goes_up_after_upload_max_delay(s3_mount, s3_bucket, proxy):
    s3_mount.mount(upload_max_delay="2s")
    written = time.monotonic()
    (s3_mount / "model.tmp").write_bytes(b"x")
    wait_until(s3_bucket.keys, what="a temporary file in the bucket")
    assert proxy.requests("PUT", r"/model\.tmp$")[0].start - written >= 1.9


@pytest.mark.option("held_open_delay")
def test_an_inherited_descriptor_holds_a_file_back(s3_mount, s3_bucket, proxy):
    s3_mount.mount(held_open_delay="2s", upload_delay="0s")
    fd = os.open(s3_mount / "f", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"x")
    holder = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[fd]
    )
    closed = time.monotonic()
    os.close(fd)
    try:
        wait_until(s3_bucket.keys, 8, "the file, held open")
        assert holder.poll() is None
        assert proxy.requests("PUT", "/f$")[0].start - closed >= 1.9
    finally:
        holder.communicate(b"\n")


@pytest.mark.option("drain_timeout")
def test_drain_timeout_ends_what_a_signal_began(s3_mount, proxy):
    s3_mount.mount(drain_timeout="1s")
    proxy.fault("status", method="PUT|POST", code=503, count=-1)
    (s3_mount / "f").write_bytes(b"x")
    began = time.monotonic()
    os.kill(s3_mount.pid(), signal.SIGTERM)
    s3_mount.wait_for_daemons(15)
    assert time.monotonic() - began >= 1
    assert "not in the bucket: f" in s3_mount.log.read_text()


# ---- how it is sent and fetched


@pytest.mark.option("part_size")
@pytest.mark.parametrize(
    ("size", "parts"), [("5M", [2 * MIB, 5 * MIB, 5 * MIB]), ("9M", [3 * MIB, 9 * MIB])]
)
def test_parts_are_of_part_size(s3_mount, proxy, size, parts):
    s3_mount.mount(part_size=size)
    (s3_mount / "f").write_bytes(os.urandom(12 * MIB))
    s3_mount.sync()
    assert sorted(r.sent for r in proxy.requests("PUT", "/f.*partNumber")) == parts


@pytest.mark.option("max_uploads")
@pytest.mark.parametrize("most", [1, 3])
def test_max_uploads_go_side_by_side(s3_mount, s3_bucket, proxy, most):
    s3_mount.mount(max_uploads=most, part_size="5M")
    proxy.fault("delay", path="partNumber", count=-1, seconds=0.5)
    data = os.urandom(30 * MIB)
    (s3_mount / "f").write_bytes(data)
    s3_mount.sync()
    parts = proxy.requests("PUT", "/f.*partNumber")
    assert len(parts) == 6
    assert peak(parts) == most
    assert s3_bucket.get("f") == data


@pytest.mark.option("max_downloads")
@pytest.mark.parametrize("most", [1, 4])
def test_max_downloads_go_side_by_side(s3_mount, s3_bucket, proxy, most):
    """Of several, one is kept for what a reader waits for: whether that is used
    depends on how fast this one reads."""
    data = os.urandom(48 * MIB)
    s3_bucket.put("f", data)
    s3_mount.mount(max_downloads=most)
    proxy.fault("delay", method="GET", path="/f$", count=-1, seconds=0.5)
    assert (s3_mount / "f").read_bytes() == data
    ranges = proxy.requests("GET", "/f$")
    assert len(ranges) > 3
    assert max(1, most - 1) <= peak(ranges) <= most


# ---- how old news may be


@pytest.mark.option("metadata_ttl")
@pytest.mark.parametrize("ttl", ["100ms", "1h"])
def test_a_change_by_others_shows_after_metadata_ttl(tmp_path, mounts, ttl):
    bucket = DirBucket(tmp_path / "bucket")
    bucket.put("old", b"x")
    bucket.put("changed", b"first")
    bucket.put("gone", b"x")
    m = mounts(bucket, metadata_ttl=ttl).mount()
    quick = mounts(bucket, "quick", metadata_ttl="0s").mount()

    def shows(mnt):
        names = {name: 0 for name in os.listdir(mnt.path)}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                names[name] = (mnt / name).stat().st_size
        return names

    before = {"old": 1, "changed": 5, "gone": 1}
    after = {"old": 1, "changed": 6, "new": 1}
    assert shows(m) == before
    bucket.put("new", b"x")
    bucket.put("changed", b"second")
    bucket.delete("gone")
    wait_until(lambda: shows(quick) == after, 8, "the change, with metadata_ttl=0s")
    if ttl == "1h":
        assert shows(m) == before
    else:
        wait_until(lambda: shows(m) == after, 8, "the change")


@pytest.mark.option("negative_ttl")
@pytest.mark.parametrize("ttl", ["0s", "1h"])
def test_a_name_is_believed_missing_for_negative_ttl(tmp_path, mounts, ttl):
    bucket = DirBucket(tmp_path / "bucket")
    other = "1h" if ttl == "0s" else "0s"
    m = mounts(bucket, negative_ttl=ttl, metadata_ttl=other).mount()
    found = 0
    for i in range(5):
        assert missing(m / f"{i}")
        bucket.put(f"{i}", b"x")
        found += not missing(m / f"{i}")
    # by its default of a second none is found at once
    assert found == (5 if ttl == "0s" else 0)
