# SPDX-License-Identifier: Apache-2.0
"""A watcher follows every change of the bucket while a job trains."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
STEPS = 6


class Watcher:
    """watch.py over a bucket; end(): (status, what it said)."""

    def __init__(self, bucket):
        if bucket.kind == "file":
            what = ["dir", str(bucket.folder)]
        else:
            what = ["log", str(bucket.server.access_log), bucket.name]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "watch.py"), *what],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "watch: following\n"

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        return self.process.returncode, said


@pytest.fixture
def watcher(bucket):
    w = Watcher(bucket)
    yield w
    if w.process.poll() is None:
        w.process.kill()
        w.process.communicate()


def train(folder, *args, steps=STEPS, check=True):
    cmd = [sys.executable, str(HERE / "train.py"), str(folder)]
    cmd += ["--steps", str(steps), "--size", "300000", *args]
    return subprocess.run(cmd, capture_output=True, text=True, check=check)


def test_nothing_shows_out_of_order(mnt, bucket, watcher):
    train(mnt.path)
    mnt.umount()
    status, said = watcher.end()
    assert status == 0, said
    assert "+ step-000006/complete" in said
    if bucket.kind == "file":
        train(bucket.folder, "--verify")


def test_nothing_shows_out_of_order_over_a_crash(mnt, bucket, watcher):
    first = train(mnt.path, steps=3)
    assert "starting" in first.stdout
    mnt.kill9()
    mnt.mount()
    second = train(mnt.path)
    assert "resuming behind step 3" in second.stdout
    train(mnt.path, "--verify")
    mnt.umount()
    status, said = watcher.end()
    assert status == 0, said
    if bucket.kind == "file":
        train(bucket.folder, "--verify")


@pytest.mark.option("order")
@pytest.mark.parametrize(("order", "status"), [("none", 1), ("strict", 0)])
@pytest.mark.parametrize("bucket", ["s3"], indirect=True)
def test_slow_shards(bucket, mounts, watcher, proxy, order, status):
    """Without the order the watcher sees the marker overtake its shards."""
    m = mounts(bucket, order=order).mount()
    proxy.fault("delay", method="PUT|POST", path="/shard-", count=-1, seconds=1.5)
    train(m.path, steps=1)
    m.umount()
    got, said = watcher.end()
    assert got == status, said
    assert ("shows before its shards" in said) == (order == "none")
