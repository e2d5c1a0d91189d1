# SPDX-License-Identifier: Apache-2.0
"""Real Lightning, unchanged user code, on a mount of a real S3 server."""

import pytest

from buckets import files
from mount import wait_until
from published import assert_published
from trainer import EPOCHS, Trainer

MIB = 1 << 20

pytestmark = [pytest.mark.timeout(400), pytest.mark.lightning]


@pytest.fixture(scope="module")
def trainer():
    t = Trainer()
    yield t
    t.end()


@pytest.fixture(scope="module")
def uninterrupted(trainer, tmp_path_factory):
    """{width: digest after EPOCHS epochs without a stop, on a local disk}"""
    known = {}

    def digest(width=64):
        if width not in known:
            root = tmp_path_factory.mktemp(f"reference-{width}")
            known[width] = trainer.run(root, width=width)["digest"]
        return known[width]

    return digest


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


def assert_run_published(mnt, bucket, mounts):
    """All that a run left; Lightning leaves more behind when it resumes from
    a checkpoint or in another folder."""
    assert_published(mnt, bucket, mounts)
    checkpoints = [n for n in files(mnt.path) if n.endswith(".ckpt")]
    # top 2 and last at least
    assert len(checkpoints) >= 3, checkpoints
    assert sum("tfevents" in n for n in files(mnt.path)) >= 1
    assert any(n.endswith("metrics.csv") for n in files(mnt.path))


def test_a_run_and_resume_by_last(mnt, s3_bucket, mounts, trainer, uninterrupted):
    trainer.run(mnt.path, epochs=2)
    answer = trainer.run(mnt.path, ckpt="last")
    want = {"digest": uninterrupted(), "began": 2, "epoch": EPOCHS}
    assert answer == {**answer, **want}
    assert_run_published(mnt, s3_bucket, mounts)


def test_resume_by_path(mnt, s3_bucket, mounts, trainer, uninterrupted):
    trainer.run(mnt.path, epochs=2)
    path = mnt / "checkpoints/epoch=1.ckpt"
    answer = trainer.run(mnt.path, ckpt=str(path))
    assert answer["digest"] == uninterrupted()
    assert_run_published(mnt, s3_bucket, mounts)


def test_resume_on_a_second_mount_with_an_empty_cache(
    mnt, s3_bucket, mounts, trainer, uninterrupted
):
    trainer.run(mnt.path, epochs=2)
    mnt.umount()
    second = mounts(s3_bucket, "second", passthrough=mnt.options["passthrough"]).mount()
    answer = trainer.run(second.path, ckpt="last")
    assert answer["began"] == 2
    assert answer["digest"] == uninterrupted()
    assert_run_published(second, s3_bucket, mounts)


@pytest.mark.parametrize("then", ["read", "prefetch"])
def test_resume_after_an_eviction(mnt, s3_bucket, mounts, trainer, uninterrupted, then):
    trainer.run(mnt.path, epochs=2)
    mnt.sync()
    mnt.run("evict", mnt.path)
    assert mnt.status()["cache"]["used_bytes"] == 0
    if then == "prefetch":
        mnt.run("prefetch", mnt / "checkpoints")
    answer = trainer.run(mnt.path, ckpt="last")
    assert answer["digest"] == uninterrupted()
    assert mnt.status()["cache"]["fetched_bytes"] > 0
    assert_published(mnt, s3_bucket, mounts)


def test_resume_while_the_first_upload_runs(
    mnt, s3_bucket, mounts, proxy, trainer, uninterrupted
):
    width = 40_000  # a checkpoint of 16 MB
    proxy.limit(up=6 * MIB)
    trainer.run(mnt.path, epochs=2, width=width)
    trainer.start(mnt.path, ckpt="last", width=width)
    trainer.next("finished", "error")
    under_way = [r for r in proxy.requests("PUT", r"\.ckpt") if r.end is None]
    assert under_way or "checkpoints/last.ckpt" not in s3_bucket.keys()  # noqa: SIM118
    answer = trainer.next("digest", "error")
    assert answer.get("digest") == uninterrupted(width), answer
    proxy.limit()
    assert_run_published(mnt, s3_bucket, mounts)


def test_kill_9_of_the_daemon_in_mid_training(
    mnt, s3_bucket, mounts, trainer, uninterrupted
):
    trainer.start(mnt.path, pace=0.3)
    wait_until(lambda: trainer.next("finished")["finished"] >= 1, what="two epochs")
    mnt.kill9()
    answer = trainer.next("digest", "error")
    assert "error" in answer, "training did not notice that its mount was gone"
    mnt.mount()
    answer = trainer.run(mnt.path, ckpt="last")
    assert answer["digest"] == uninterrupted()
    assert_run_published(mnt, s3_bucket, mounts)
