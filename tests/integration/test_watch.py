# SPDX-License-Identifier: Apache-2.0
"""The watcher sees what it must, without a mount."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import watch

HERE = Path(__file__).parent

SHARDS = ["step-1/shard-0-of-2", "step-1/shard-1-of-2"]
STEP_1 = [f"+{s}" for s in SHARDS] + ["+step-1/complete", "+latest"]
STEP_2 = ["+step-2/shard-0-of-1", "+step-2/complete", "+latest"]
DELETE_1 = ["-step-1/complete"] + [f"-{s}" for s in SHARDS]


def judge(changes):
    order = watch.Order()
    for change in changes:
        (order.shown if change[0] == "+" else order.gone)(change[1:])
    return order.violations


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        (STEP_1 + STEP_2 + DELETE_1, 0),
        (STEP_1[:1] + STEP_1[2:], 2),  # the marker, and latest with it
        (STEP_1[2:3], 1),
        (STEP_1 + DELETE_1, 3),
        (STEP_1 + STEP_2[:1] + DELETE_1 + STEP_2[1:], 3),
        (STEP_1 + STEP_2 + DELETE_1[1:] + DELETE_1[:1], 2),
        (["+c/epoch=1.ckpt", "+c/epoch=2.ckpt", "-c/epoch=1.ckpt"], 0),
        (["+c/epoch=1.ckpt", "-c/epoch=1.ckpt", "+c/epoch=2.ckpt"], 1),
    ],
)
def test_the_rules(changes, bad):
    assert len(judge(changes)) == bad


class Watched:
    """watch.py over a folder: said, its output so far."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "watch.py"), "dir", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self.wait_for("watch: following")

    def wait_for(self, line):
        while (got := self.process.stdout.readline()) not in (f"{line}\n", ""):
            self.said += got
        assert got, f"never said: {line}\n{self.said}"
        self.said += got

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.said += self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait()


def publish(bucket, key):
    hidden = bucket / ".ckptfs"
    hidden.mkdir(exist_ok=True)
    (hidden / "temporary").write_bytes(b"x")
    (bucket / key).parent.mkdir(parents=True, exist_ok=True)
    (hidden / "temporary").rename(bucket / key)


def test_a_directory_in_order(tmp_path):
    watched = Watched(tmp_path)
    for change in STEP_1 + STEP_2:
        publish(tmp_path, change[1:])
    watched.wait_for("watch: + step-2/complete")
    for change in DELETE_1:
        (tmp_path / change[1:]).unlink()
    assert watched.end() == 0, watched.said
    assert "10 changes, in order" in watched.said


def test_a_directory_out_of_order(tmp_path):
    watched = Watched(tmp_path)
    publish(tmp_path, "step-1/complete")
    watched.wait_for("watch: + step-1/complete")
    publish(tmp_path, "step-1/shard-0-of-1")
    assert watched.end() == 1
    assert "step-1/complete shows before its shards" in watched.said


def test_a_file_written_where_it_shows_is_reported(tmp_path):
    watched = Watched(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"torn")
    assert watched.end() == 1
    assert "written where it shows" in watched.said


def test_training_goes_on_where_it_was(tmp_path):
    train = [sys.executable, str(HERE / "train.py"), str(tmp_path), "--size", "1000"]
    subprocess.run([*train, "--steps", "2"], check=True)
    verify = subprocess.run([*train, "--steps", "5", "--verify"], capture_output=True)
    assert verify.returncode == 1
    subprocess.run([*train, "--steps", "5"], check=True)
    subprocess.run([*train, "--steps", "5", "--verify"], check=True)
