# SPDX-License-Identifier: Apache-2.0
"""Public tools, unchanged, on a mount: what they find out about a file system.

Beside each name the tool's own verdict counts; what is compared besides is the
bucket.  CKPTFS_TOOLS_SECONDS: how long each stressor runs."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from buckets import assert_same

pytestmark = [pytest.mark.tools, pytest.mark.timeout(400)]
of_a_folder = pytest.mark.parametrize("bucket", ["file"], indirect=True)
MIB = 1 << 20
SECONDS = os.environ.get("CKPTFS_TOOLS_SECONDS", "1")


def sh(*cmd, cwd=None, env=None, timeout=200, **how):
    done = subprocess.run(
        [*map(str, cmd)],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        **how,
    )
    assert done.returncode == 0, f"{cmd}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def settle(mnt, bucket):
    mnt.sync()
    assert_same(bucket, mnt.path)


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


# ---- fio


@pytest.mark.parametrize("engine", ["psync", "libaio", "mmap"])
def test_fio_finds_what_it_wrote(mnt, s3_bucket, engine, tmp_path):
    job = [
        "fio",
        "--name=f",
        f"--directory={mnt.path}",
        f"--ioengine={engine}",
        "--rw=randrw",
        "--bsrange=4k-128k",
        "--size=24m",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--verify_state_save=0",
        "--randseed=7",
        "--end_fsync=1",
    ]
    if engine == "libaio":
        job += ["--direct=1", "--iodepth=16"]
    sh(*job, "--do_verify=1", cwd=tmp_path)
    settle(mnt, s3_bucket)
    mnt.run("evict", mnt.path)
    sh(*job, "--verify_only=1", cwd=tmp_path)


# ---- stress-ng

# Those that say no on a mount, and why.
NOT_STRESSED = {
    "link": "hard links are refused, and it does without",
    "xattr": "user xattrs are refused, and it does without",
    "bind-mount": "mounts, and may hang the machine; not in the folder",
    "binderfs": "a file system of its own, which few kernels have",
}


def stressors():
    """In 0.15 they are listed, and the list begins with words."""
    done = subprocess.run(
        ["stress-ng", "--class", "filesystem?"], capture_output=True, text=True
    )
    return sorted(set(done.stdout.partition(":")[2].split()) - set(NOT_STRESSED))


def test_few_stressors_are_left_out():
    assert len(NOT_STRESSED) <= 8
    assert len(stressors()) > 40


@of_a_folder
@pytest.mark.parametrize("part", range(4))
def test_stressors_find_nothing(bucket, mounts, passthrough, part):
    mnt = mounts(bucket, passthrough=passthrough, log_level="info").mount()
    names = stressors()[part::4]
    for name in names:
        done = subprocess.run(
            [
                *("stress-ng", f"--{name}", "1", "--timeout", SECONDS, "--verify"),
                *("--temp-path", str(mnt.path), "--oomable"),
            ],
            cwd=mnt.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        text = done.stdout + done.stderr
        assert done.returncode == 0, f"{name}: {text}"
        assert os.listdir(mnt.path) == [], name
    mnt.sync(timeout=120)
    assert bucket.keys() == []


# ---- git

AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "a"), ("EMAIL", "a@b"), ("DATE", "1700000000 +0000"))
}


def history(commits=120):
    """A stream for git fast-import."""
    out = []
    for i in range(commits):
        out += [f"commit refs/heads/main\nmark :{i + 1}"]
        out += [f"committer a <a@b> {1_600_000_000 + i} +0000\ndata 6\nc {i:04}"]
        for name in (f"d{i % 7}/f{i % 31}", "changed", f"only/{i}"):
            body = f"{name} {i}\n" * (i % 50 + 1)
            out += [f"M 100644 inline {name}\ndata {len(body)}\n{body}"]
    return "\n".join(out) + "\n"


def test_git(mnt, s3_bucket, tmp_path):
    env = {**os.environ, **AUTHOR, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}

    def git(*args, cwd=mnt / "clone"):
        return sh("git", *args, cwd=cwd, env=env)

    origin = tmp_path / "origin"
    git("init", "-q", "--bare", "-b", "main", origin, cwd=tmp_path)
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=origin,
        env=env,
        input=history().encode(),
        check=True,
    )
    git("clone", "-q", f"file://{origin}", mnt / "clone", cwd=tmp_path)
    git("fsck", "--full", "--strict")
    assert git("status", "--porcelain") == ""
    git("checkout", "-q", "-b", "side", "HEAD~50")
    (mnt / "clone/new").write_text("new\n")
    git("add", "-A")
    git("commit", "-q", "-m", "new")
    git("merge", "-q", "-X", "ours", "main")
    git("gc", "-q", "--prune=now")
    git("fsck", "--full", "--strict")
    # A clone of it beside it wants hard links, and does without.
    git("clone", "-q", "--bare", mnt / "clone", mnt / "bare.git", cwd=mnt.path)
    git("push", "-q", mnt / "bare.git", "HEAD:refs/heads/pushed")
    git("fsck", "--full", "--strict", cwd=mnt / "bare.git")
    settle(mnt, s3_bucket)
    mnt.run("evict", mnt.path)
    mnt.remount()
    # Nothing about the files is another thing than the index has.
    assert git("status", "--porcelain") == ""
    git("fsck", "--full", "--strict")
    heads = git("rev-parse", "side", "main").split()
    assert git("rev-parse", "pushed", cwd=mnt / "bare.git").strip() == heads[0]


# ---- tar, rsync, cp


@pytest.fixture
def tree(tmp_path):
    """Of all that a bucket can have: modes, times, links, holes, odd names."""
    top = tmp_path / "tree"
    (top / "d/e").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    (top / "d/data").write_bytes(os.urandom(3 * MIB + 1))
    (top / "d/script").write_text("#!/bin/sh\n")
    (top / "d/script").chmod(0o750)
    (top / ("n" * 200)).write_bytes(b"long")
    (top / "ü ñ").write_bytes(b"odd")
    (top / "none").touch()
    (top / "link").symlink_to("d/data")
    (top / "dangling").symlink_to("/no/such")
    with (top / "sparse").open("wb") as f:
        f.truncate(8 * MIB)
        f.seek(5 * MIB)
        f.write(b"x" * 5000)
    for i in range(100):
        (top / "d/e" / f"{i}").write_text(f"{i}\n")
    for n, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        ns = 1_600_000_000_123_456_789 + n * 1_000_000_007
        os.utime(path, ns=(ns, ns), follow_symlinks=False)
    return top


def seen(top):
    """Everything of a tree that tar and rsync keep."""
    found = {}
    for path in sorted(Path(top).rglob("*")):
        st = path.lstat()
        what = (
            os.readlink(path)
            if path.is_symlink()
            else "dir"
            if path.is_dir()
            else hashlib.sha256(path.read_bytes()).hexdigest()
        )
        mode = 0 if path.is_symlink() else st.st_mode
        name = str(path.relative_to(top))
        found[name] = (what, mode, st.st_uid, st.st_gid, st.st_mtime_ns)
    return found


def test_tar_there_and_back(mnt, s3_bucket, tree, tmp_path):
    sh("tar", "-C", tree, "--format=pax", "-cSf", mnt / "there.tar", ".")
    (mnt / "tree").mkdir()
    sh("tar", "-C", mnt / "tree", "-xpSf", mnt / "there.tar")
    assert seen(mnt / "tree") == seen(tree)
    assert (mnt / "tree/sparse").stat().st_blocks * 512 < 2 * MIB
    sh("tar", "-C", tree, "--compare", "-f", mnt / "there.tar")
    settle(mnt, s3_bucket)
    mnt.run("evict", mnt.path)
    sh("tar", "-C", mnt / "tree", "--compare", "-f", mnt / "there.tar")
    sh("tar", "-C", mnt / "tree", "--format=pax", "-cSf", tmp_path / "back.tar", ".")
    sh("tar", "-C", tree, "--compare", "-f", tmp_path / "back.tar")


def test_the_second_rsync_sends_nothing(mnt, s3_bucket, tree, tmp_path):
    rsync = ["rsync", "-a", "--itemize-changes"]
    assert sh(*rsync, f"{tree}/", f"{mnt.path}/tree/")
    assert seen(mnt / "tree") == seen(tree)
    assert sh(*rsync, f"{tree}/", f"{mnt.path}/tree/") == ""
    settle(mnt, s3_bucket)
    assert sh(*rsync, f"{tree}/", f"{mnt.path}/tree/") == ""
    mnt.run("evict", mnt.path)
    mnt.remount()
    assert sh(*rsync, f"{tree}/", f"{mnt.path}/tree/") == ""
    (tree / "d/e/5").write_text("changed\n")
    assert sh(*rsync, f"{tree}/", f"{mnt.path}/tree/").split() == [
        *(">f.st......", "d/e/5")
    ]
    (tree / "d/e/6").unlink()
    # Within one second rsync takes the folder's time for the same.
    os.utime(tree / "d/e", ns=(7, 1_500_000_000_000_000_007))
    sh(*rsync, "--delete", "--checksum", f"{tree}/", f"{mnt.path}/tree/")
    sh("rsync", "-a", "--inplace", "--append", f"{tree}/", f"{mnt.path}/tree/")
    assert seen(mnt / "tree") == seen(tree)
    sh("rsync", "-a", "--sparse", f"{mnt.path}/tree/", f"{tmp_path}/back/")
    assert seen(tmp_path / "back") == seen(tree)
    settle(mnt, s3_bucket)


@pytest.mark.parametrize("sparse", ["auto", "always", "never"])
def test_cp_keeps_all_there_is(mnt, s3_bucket, tree, tmp_path, sparse):
    sh("cp", "-a", f"--sparse={sparse}", tree, mnt / "tree")
    assert seen(mnt / "tree") == seen(tree)
    sh("cp", "-a", f"--sparse={sparse}", mnt / "tree", mnt / "again")
    assert seen(mnt / "again") == seen(tree)
    for name in ("tree", "again"):
        small = (mnt / name / "sparse").stat().st_blocks * 512 < 2 * MIB
        assert small == (sparse != "never"), name
    settle(mnt, s3_bucket)
    mnt.run("evict", mnt.path)
    sh("cp", "-a", f"--sparse={sparse}", mnt / "tree", tmp_path / "back")
    assert seen(tmp_path / "back") == seen(tree)


# ---- SQLite

COUNT = """
import sqlite3, sys
path, mode, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
assert db.execute(f"PRAGMA journal_mode={mode}").fetchone()[0] == mode
for i in range(n):
    db.execute("BEGIN IMMEDIATE")
    db.execute("UPDATE sum SET n = n + 1")
    db.execute("INSERT INTO rows(body) VALUES(?)", (str(i) * 100,))
    db.execute("COMMIT")
"""

HALF = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("PRAGMA cache_size=5")
db.execute("BEGIN IMMEDIATE")
db.executemany("INSERT INTO rows(body) VALUES(?)", [("x" * 1000,)] * 500)
db.execute("UPDATE sum SET n = -1")
print("half", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("mode", ["delete", "truncate", "persist", "wal"])
def test_sqlite_lives_on_the_mount(mnt, s3_bucket, mode, tmp_path):
    path, n = mnt / "db", 25
    sh("sqlite3", path, "CREATE TABLE sum(n); INSERT INTO sum VALUES(0);")
    sh("sqlite3", path, "CREATE TABLE rows(id INTEGER PRIMARY KEY, body);")
    jobs = [
        subprocess.Popen([sys.executable, "-c", COUNT, path, mode, str(n)])
        for _ in range(4)
    ]
    assert [j.wait(timeout=200) for j in jobs] == [0] * 4
    half = subprocess.Popen(
        [sys.executable, "-c", HALF, path], stdout=subprocess.PIPE, text=True
    )
    assert half.stdout.readline() == "half\n"
    half.send_signal(signal.SIGKILL)
    half.communicate(timeout=30)

    def look(db):
        sums = "SELECT (SELECT n FROM sum), count(*) FROM rows; "
        return sh("sqlite3", db, sums + "PRAGMA integrity_check;").split()

    assert look(path) == [f"{4 * n}|{4 * n}", "ok"]
    sh("sqlite3", path, "PRAGMA journal_mode=delete;")
    settle(mnt, s3_bucket)
    (tmp_path / "copy").write_bytes(s3_bucket.get("db"))
    assert look(tmp_path / "copy") == [f"{4 * n}|{4 * n}", "ok"]
    mnt.run("evict", mnt.path)
    assert look(path) == [f"{4 * n}|{4 * n}", "ok"]


# ---- HDF5

HDF5 = """
import sys
import h5py
import numpy as np
path, step = sys.argv[1], sys.argv[2]
rng = np.random.default_rng(7)
data = rng.random((64, 4096))
if step == "write":
    with h5py.File(path, "w") as f:
        f.create_dataset("plain", data=data)
        d = f.create_dataset("grows", (0, 4096), "f8", maxshape=(None, 4096),
                             chunks=(8, 4096), compression="gzip")
        d.attrs["epoch"] = 0
if step == "append":
    with h5py.File(path, "r+") as f:
        d = f["grows"]
        for i in range(0, 64, 8):
            d.resize(i + 8, axis=0)
            d[i:i + 8] = data[i:i + 8]
            d.attrs["epoch"] = i
            f.flush()
        f["plain"][10:20] = 0
if step == "held":
    with h5py.File(path, "r+"):
        try:
            h5py.File(path, "r", libver="latest")
        except OSError:
            pass
        print("held", flush=True)
        sys.stdin.readline()
if step == "refused":
    try:
        h5py.File(path, "r+")
    except OSError as e:
        assert "lock" in str(e), e
    else:
        raise AssertionError("a second writer")
if step == "swmr":
    with h5py.File(path, "w", libver="latest") as f:
        d = f.create_dataset("d", (0,), maxshape=(None,), chunks=(64,), dtype="i8")
        f.swmr_mode = True
        with h5py.File(path, "r", libver="latest", swmr=True) as g:
            for i in range(1, 200):
                d.resize(i, axis=0)
                d[i - 1] = i
                d.flush()
                g["d"].refresh()
                assert g["d"].shape == (i,) and g["d"][i - 1] == i
if step == "read":
    with h5py.File(path, "r") as f:
        assert np.array_equal(f["grows"][:], data)
        data[10:20] = 0
        assert np.array_equal(f["plain"][:], data)
        assert f["grows"].attrs["epoch"] == 56
"""


def test_hdf5_lives_on_the_mount(mnt, s3_bucket, tmp_path):
    def h5(step, path=mnt / "f.h5"):
        sh(os.environ["TOOLS_PYTHON"], "-c", HDF5, path, step)

    h5("write")
    h5("append")
    h5("read")
    command = [os.environ["TOOLS_PYTHON"], "-c", HDF5, mnt / "f.h5", "held"]
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    h5("refused")
    holder.communicate("\n", timeout=30)
    h5("swmr", mnt / "swmr.h5")
    settle(mnt, s3_bucket)
    mnt.run("evict", mnt.path)
    h5("read")
    (tmp_path / "copy.h5").write_bytes(s3_bucket.get("f.h5"))
    h5("read", tmp_path / "copy.h5")
