# SPDX-License-Identifier: Apache-2.0
"""ckptfs evict and prefetch, and what status says is here: over both I/O paths,
of a folder and of an S3 server."""

import mmap
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from buckets import assert_same, files
from mount import program, wait_until

MIB = 1 << 20
TRAIN = Path(__file__).with_name("train.py")


def du(mnt):
    """Bytes on the cache disk, asked of the disk."""
    blobs = Path(mnt.status()["cache"]["dir"]) / "blobs"
    return sum(p.lstat().st_blocks * 512 for p in blobs.rglob("*") if p.is_file())


def cached(mnt, path):
    status = mnt.status(mnt / path)
    return status["cached_bytes"]


def evict(mnt, *paths, status=0):
    return mnt.run("evict", *[mnt / p for p in paths], status=status)


def prefetch(mnt, *paths, status=0, timeout=None):
    args = ["--timeout", timeout] if timeout else []
    return mnt.run("prefetch", *[mnt / p for p in paths], *args, status=status)


def fetched(mnt):
    return mnt.status()["cache"]["fetched_bytes"]


def gets(proxy, key):
    return [r for r in proxy.requests("GET", key) if "list-type" not in r.target]


# ---- evict


def test_an_evicted_file_is_as_it_was_and_takes_no_room(mnt, bucket):
    data = os.urandom(20 * MIB)
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(data)
    (mnt / "d/small").write_bytes(b"x")
    mnt.sync()
    before = (mnt / "d/f").stat()
    assert cached(mnt, "d/f") == len(data)
    assert du(mnt) >= len(data)
    done = evict(mnt, "d/f")
    assert done.stdout == "evicted 1 file, 20M\n"
    assert done.stderr == ""
    assert du(mnt) < MIB
    status = mnt.status(mnt / "d/f")
    assert (status["state"], status["cached_bytes"]) == ("cold", 0)
    assert "cold, 20M, 0 here" in mnt.run("status", mnt / "d/f").stdout
    assert mnt.status()["cache"]["used_bytes"] == 1
    assert mnt.status()["cache"]["files"] == 1
    after = (mnt / "d/f").stat()
    same = ("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_mode", "st_uid")
    assert [getattr(after, n) for n in same] == [getattr(before, n) for n in same]
    assert os.listdir(mnt / "d") == ["f", "small"]
    assert (mnt / "d/f").read_bytes() == data
    assert fetched(mnt) == len(data)
    wait_until(lambda: cached(mnt, "d/f") == len(data), what="it is here again")
    assert_same(bucket, mnt.path)


def test_what_is_written_after_an_eviction_is_published(mnt, bucket):
    data = os.urandom(3 * MIB)
    for name in ("over", "append", "inside", "rename"):
        (mnt / name).write_bytes(data)
    mnt.sync()
    evict(mnt, "")
    (mnt / "over").write_bytes(b"new")
    with (mnt / "append").open("ab") as f:
        f.write(b"more")
    with (mnt / "inside").open("r+b") as f:
        f.seek(MIB)
        f.write(b"inside")
    (mnt / "rename").rename(mnt / "renamed")
    assert (mnt / "over").read_bytes() == b"new"
    assert (mnt / "append").read_bytes() == data + b"more"
    expected = data[:MIB] + b"inside" + data[MIB + 6 :]
    assert (mnt / "inside").read_bytes() == expected
    assert (mnt / "renamed").read_bytes() == data
    mnt.sync()
    assert_same(bucket, mnt.path)


def test_what_cannot_go_is_kept_and_said(s3_mount, proxy, passthrough):
    mnt = s3_mount.mount(passthrough=passthrough)
    (mnt / "open").write_bytes(b"open")
    (mnt / "goes").write_bytes(b"goes")
    mnt.sync()
    proxy.fault("status", method="PUT", code=503, count=-1)
    (mnt / "new").write_bytes(b"new")
    (mnt / "x.tmp").write_bytes(b"tmp")
    with (mnt / "open").open("rb") as f, (mnt / "writing").open("wb") as g:
        g.write(b"writing")
        g.flush()
        done = evict(mnt, "", status=1)
        said = dict(line.split(": ", 1) for line in done.stderr.splitlines())
        ours = said.pop("ckptfs")
        assert ours == f"{mnt.path}: not everything could go"
        assert said == {
            "new": "not in the bucket yet: 'ckptfs sync' waits for it",
            "open": "open",
            "writing": "open",
            "x.tmp": "kept local (temporary name)",
        }
        assert done.stdout == "evicted 1 file, 4\n"
        assert f.read() == b"open"
    assert cached(mnt, "goes") == 0
    proxy.heal()
    for name in ("new", "open", "goes"):
        assert (mnt / name).read_bytes() == name.encode()
    assert (mnt / "x.tmp").read_bytes() == b"tmp"


def test_a_mapped_file_keeps_its_bytes(mnt):
    data = os.urandom(MIB)
    (mnt / "f").write_bytes(data)
    mnt.sync()
    with (mnt / "f").open("rb") as f:
        mapped = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    try:
        done = evict(mnt, "f", status=1)
        # Past the daemon the file is closed; through it the kernel holds it.
        assert done.stderr.splitlines()[0] in ("f: mapped by a process", "f: open")
        assert mapped[:] == data
        assert cached(mnt, "f") == MIB
    finally:
        mapped.close()
    evict(mnt, "f")
    assert cached(mnt, "f") == 0
    assert (mnt / "f").read_bytes() == data


def test_closed_just_now_is_closed(mnt):
    """RELEASE comes after close(2) has returned."""
    data = os.urandom(MIB)
    (mnt / "f").write_bytes(data)
    mnt.sync()
    for _ in range(20):
        assert (mnt / "f").read_bytes() == data
        evict(mnt, "f")


def test_readers_beside_evictions_get_whole_files(mnt):
    data = {f"f{i}": os.urandom(3 * MIB + i) for i in range(4)}
    for name, body in data.items():
        (mnt / name).write_bytes(body)
    mnt.sync()
    wrong, done = [], threading.Event()

    def read(name):
        while not done.is_set():
            if (mnt / name).read_bytes() != data[name]:
                wrong.append(name)
                return

    readers = [threading.Thread(target=read, args=(n,)) for n in data]
    for r in readers:
        r.start()
    try:
        for _ in range(10):
            evict(mnt, "", status=None)
    finally:
        done.set()
        for r in readers:
            r.join()
    assert wrong == []
    assert fetched(mnt) > 0
    evict(mnt, "")
    assert du(mnt) < MIB


def test_a_tree_is_evicted_after_a_remount(mnt, bucket):
    for i in range(30):
        folder = mnt / f"d/{i % 3}/{i % 5}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}").write_bytes(os.urandom(1000 + i))
    (mnt / "stays").write_bytes(b"stays")
    mnt.remount()
    status = mnt.status(mnt / "d")
    assert (status["files"], status["cached_files"]) == (30, 30)
    assert "whole 30 of 30 files" in mnt.run("status", mnt / "d").stdout
    assert "evicted 30 files" in evict(mnt, "d").stdout
    status = mnt.status(mnt / "d")
    assert (status["files"], status["cached_files"]) == (30, 0)
    assert du(mnt) < 8192
    assert (status["size"], status["cached_bytes"]) == (sum(range(1000, 1030)), 0)
    assert cached(mnt, "stays") == 5
    assert_same(bucket, mnt.path)


def test_a_kill_right_after_an_eviction(mnt):
    data = os.urandom(2 * MIB)
    (mnt / "f").write_bytes(data)
    (mnt / "g").write_bytes(data)
    mnt.sync()
    evict(mnt, "f")
    mnt.kill9()
    mnt.mount()
    assert cached(mnt, "f") == 0
    assert cached(mnt, "g") == len(data)
    assert (mnt / "f").read_bytes() == data
    assert (mnt / "g").read_bytes() == data


# ---- prefetch


def foreign_tree(bucket):
    data = {
        "run/a": os.urandom(20 * MIB),
        "run/deep/b": os.urandom(3 * MIB),
        "run/deep/er/c": b"c" * 1000,
        "run/empty": b"",
        "other": b"other",
    }
    for key, body in data.items():
        bucket.put(key, body)
    return data


def test_a_prefetched_tree_needs_no_bucket(bucket, passthrough, mounts, request):
    data = foreign_tree(bucket)
    mnt = mounts(bucket, passthrough=passthrough).mount()
    done = prefetch(mnt, "run")
    assert done.stdout == "fetched 4 files, 23.0M\n"
    assert done.stderr == ""
    status = mnt.status(mnt / "run")
    assert (status["files"], status["cached_files"]) == (4, 4)
    assert status["cached_bytes"] == status["size"] == 23 * MIB + 1000
    assert cached(mnt, "other") == 0
    # Nothing is fetched twice.
    assert prefetch(mnt, "run").stdout == "fetched 0 files, 0\n"
    assert fetched(mnt) == 23 * MIB + 1000
    if bucket.kind == "s3":
        proxy = request.getfixturevalue("proxy")
        proxy.fault("status", code=503, count=-1)
    for key in files(mnt / "run"):
        assert (mnt / "run" / key).read_bytes() == data[f"run/{key}"]
    assert fetched(mnt) == 23 * MIB + 1000
    if bucket.kind == "s3":
        proxy.heal()


def test_several_paths_and_mounts(bucket, mounts):
    foreign_tree(bucket)
    mnt = mounts(bucket).mount()
    second = mounts(bucket, "second").mount()
    mnt.run("prefetch", mnt / "run/deep", second / "other", mnt / "run/empty")
    assert cached(mnt, "run/deep") == 3 * MIB + 1000
    assert cached(mnt, "run/a") == 0
    assert cached(second, "other") == 5
    mnt.run("evict", mnt / "run", second.path)
    assert cached(mnt, "run") == 0
    assert second.status()["cache"]["used_bytes"] == 0


def test_a_prefetch_survives_a_kill(mnt, bucket):
    bucket.put("f", os.urandom(9 * MIB))
    prefetch(mnt, "")
    mnt.kill9()
    mnt.mount()
    assert cached(mnt, "f") == 9 * MIB
    assert (mnt / "f").read_bytes() == bucket.get("f")
    assert fetched(mnt) == 0


def test_a_tree_that_the_cache_cannot_keep_is_not_begun(bucket, mounts):
    for i in range(4):
        bucket.put(f"d/{i}", os.urandom(8 * MIB))
    mnt = mounts(bucket, cache_size="20M").mount()
    done = prefetch(mnt, "d", status=1)
    assert "32M to fetch" in done.stderr
    assert "leave room for 20M" in done.stderr
    assert "name less" in done.stderr
    assert fetched(mnt) == 0
    # In parts that fit it comes, and what was used longest ago goes.
    prefetch(mnt, "d/0", "d/1")
    prefetch(mnt, "d/2")
    assert [cached(mnt, f"d/{i}") for i in range(4)] == [0, 8 * MIB, 8 * MIB, 0]
    assert du(mnt) <= 20 * MIB


@pytest.mark.parametrize("how", ["timeout", "interrupt", "kill"])
def test_an_ended_prefetch_gives_up_what_has_not_come(s3_mount, s3_bucket, proxy, how):
    data = os.urandom(32 * MIB)
    s3_bucket.put("d/f", data)
    s3_bucket.put("d/g", b"small")
    mnt = s3_mount.mount(download_limit="4M")
    if how == "timeout":
        done = prefetch(mnt, "d", timeout="2s", status=3)
        assert f"{mnt.path}/d: timed out" in done.stderr
    else:
        with subprocess.Popen(
            [program(), "prefetch", str(mnt / "d")], env=mnt.env, stdout=subprocess.PIPE
        ) as p:
            wait_until(lambda: cached(mnt, "d/f") > 4 * MIB, what="some of it")
            p.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
            assert p.wait(10) < 0
    wait_until(lambda: cached(mnt, "d/f") == 0, 5, "it is given up")
    assert du(mnt) < MIB
    count = len(gets(proxy, "d/f"))
    mnt.run("status", mnt.path)
    assert len(gets(proxy, "d/f")) == count
    assert mnt.status()["cache"]["used_bytes"] <= 5
    proxy.limit()
    mnt.remount(download_limit="0")
    prefetch(mnt, "d")
    assert (mnt / "d/f").read_bytes() == data


def test_a_timeout_while_the_server_does_not_answer(s3_mount, s3_bucket, proxy):
    s3_bucket.put("f", b"x" * MIB)
    mnt = s3_mount.mount()
    assert (mnt / "f").stat().st_size == MIB
    proxy.fault("delay", method="GET", path="/f", seconds=20, count=-1)
    done = prefetch(mnt, "f", timeout="1s", status=3)
    assert "timed out" in done.stderr
    proxy.heal()
    proxy.break_connections()


def test_what_the_server_refuses_is_said(s3_mount, s3_bucket, proxy):
    s3_bucket.put("d/bad", b"bad")
    s3_bucket.put("d/good", b"good")
    mnt = s3_mount.mount()
    proxy.fault("status", method="GET", path="/d/bad", code=403, count=-1)
    done = prefetch(mnt, "d", status=1)
    assert done.stderr.splitlines() == [
        "d/bad: the store refuses to give it",
        f"ckptfs: {mnt.path}/d: not everything is here",
    ]
    assert done.stdout == "fetched 1 file, 4\n"
    assert (cached(mnt, "d/good"), cached(mnt, "d/bad")) == (4, 0)
    proxy.heal()
    prefetch(mnt, "d")
    assert (mnt / "d/bad").read_bytes() == b"bad"


def test_a_folder_that_cannot_be_listed_is_said(s3_mount, s3_bucket, proxy):
    s3_bucket.put("d/e/f", b"f")
    s3_bucket.put("d/g", b"g")
    mnt = s3_mount.mount()
    proxy.fault("status", method="GET", path="prefix=d/e", code=403, count=-1)
    done = prefetch(mnt, "d", status=1)
    assert "d/e: the bucket could not be listed" in done.stderr.splitlines()
    assert cached(mnt, "d/g") == 1
    proxy.heal()
    prefetch(mnt, "d")
    assert cached(mnt, "d/e/f") == 1


def test_downloads_keep_to_their_limits(s3_mount, s3_bucket, proxy):
    for i in range(12):
        s3_bucket.put(f"{i}", os.urandom(MIB))
    mnt = s3_mount.mount(max_downloads=2)
    proxy.limit(down=8 * MIB)
    prefetch(mnt, "")
    steps = sorted(
        step
        for r in gets(proxy, r"/\d+$")
        for step in ((r.start, 1), (r.end or float("inf"), -1))
    )
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    assert most <= 2
    assert fetched(mnt) == 12 * MIB


def test_a_reader_goes_first(s3_mount, s3_bucket):
    s3_bucket.put("d/large", os.urandom(48 * MIB))
    s3_bucket.put("now", b"now")
    mnt = s3_mount.mount(download_limit="4M", max_downloads=4)
    with subprocess.Popen(
        [program(), "prefetch", str(mnt / "d")], env=mnt.env, stdout=subprocess.DEVNULL
    ) as p:
        try:
            wait_until(lambda: cached(mnt, "d/large") > 0, what="it has begun")
            assert (mnt / "now").read_bytes() == b"now"
            assert 0 < cached(mnt, "d/large") < 40 * MIB
        finally:
            p.send_signal(signal.SIGINT)
            p.wait(10)


def test_a_progress_bar_on_a_terminal(s3_mount, s3_bucket):
    s3_bucket.put("d/f", os.urandom(6 * MIB))
    s3_bucket.put("d/g", os.urandom(6 * MIB))
    mnt = s3_mount.mount(download_limit="4M")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [program(), "prefetch", str(mnt / "d")],
        env=mnt.env,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as p:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:  # a terminal whose other side is closed
            pass
        assert p.wait(30) == 0
    os.close(ours)
    lines = seen.decode().split("\r\033[K")
    bars = [line for line in lines if line.startswith("[")]
    assert len(bars) >= 3, seen
    assert all("of 2 files" in line and "time left" in line for line in bars)
    assert len({line.split("]")[1].split()[0] for line in bars}) >= 3, bars
    assert any("M/s" in line for line in bars)


# ---- the commands


@pytest.mark.parametrize("command", ["evict", "prefetch"])
def test_usage_and_errors(folder_mount, tmp_path, command):
    mnt = folder_mount.mount()
    assert f"usage: ckptfs {command}" in mnt.run(command, "--help").stdout
    for args in ([], ["--timeout", "soon", mnt.path], ["--wrong", mnt.path]):
        mnt.run(command, *args, status=2)
    done = mnt.run(command, mnt / "none", status=1)
    assert f"{mnt.path}/none: No such file or directory" in done.stderr
    done = mnt.run(command, tmp_path, status=1)
    assert "lies in no mount of ckptfs" in done.stderr
    # A failure outweighs, and does not stop the rest.
    (mnt / "f").write_bytes(b"f")
    mnt.sync()
    mnt.run(command, mnt / "none", mnt / "f", status=1)
    assert cached(mnt, "f") == (0 if command == "evict" else 1)
    (mnt / "link").symlink_to("f")
    done = mnt.run(command, mnt / "link", status=1)
    assert "link: a symbolic link: name the file it leads to" in done.stderr


def test_from_within_and_by_relative_path(folder_mount):
    mnt = folder_mount.mount()
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(b"f")
    mnt.sync()
    for command, here in (("evict", 0), ("prefetch", 1)):
        subprocess.run(
            [program(), command, "../d/f"], cwd=mnt / "d", env=mnt.env, check=True
        )
        assert cached(mnt, "d/f") == here


def test_a_read_only_mount(s3_mount, s3_bucket):
    s3_bucket.put("f", b"f")
    mnt = s3_mount.mount(ro=True)
    prefetch(mnt, "")
    assert cached(mnt, "f") == 1
    evict(mnt, "")
    assert cached(mnt, "f") == 0


# ---- resume


def train(mnt, steps):
    done = subprocess.run(
        [sys.executable, str(TRAIN), str(mnt / "run"), "--steps", str(steps)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize("then", ["read", "prefetch"])
def test_a_job_resumes_after_an_eviction(mnt, bucket, then):
    assert train(mnt, 3) == "train: starting at step 0"
    mnt.sync()
    evict(mnt, "run")
    assert du(mnt) < MIB
    if then == "prefetch":
        prefetch(mnt, "run")
        before = fetched(mnt)
    assert train(mnt, 5) == "train: resuming behind step 3"
    if then == "prefetch":
        assert fetched(mnt) == before
    subprocess.run(
        [sys.executable, str(TRAIN), str(mnt / "run"), "--steps", "5", "--verify"],
        check=True,
        timeout=120,
    )
    mnt.sync()
    assert_same(bucket, mnt.path)
