# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that two processes write together, on a mount of a real S3
server: torch's distributed ones, Lightning's of them, DeepSpeed's."""

import os

import pytest

from buckets import assert_same
from published import Follower, assert_published
from servers import free_port
from trainer import EPOCHS, Program

pytestmark = [pytest.mark.timeout(400), pytest.mark.lightning]

WORLD = 2


class Ranks:
    def __init__(self):
        job = {
            "WORLD_SIZE": str(WORLD),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
            "GLOO_SOCKET_IFNAME": "lo",
        }
        self.programs = []
        for rank in map(str, range(WORLD)):
            env = {**job, "RANK": rank, "LOCAL_RANK": rank}
            self.programs.append(Program("rank_cases.py", env))
        for p in self.programs:
            p.next("ready")

    def call(self, do, **how):
        """What rank 0 answers; all others must answer the same."""
        for p in self.programs:
            p.tell(do=do, **how)
        first, *others = [p.answer() for p in self.programs]
        assert others == [first] * (WORLD - 1)
        return first

    def end(self):
        for p in self.programs:
            p.end()


@pytest.fixture(scope="module")
def ranks():
    r = Ranks()
    yield r
    r.end()


@pytest.fixture(scope="module")
def uninterrupted(ranks, tmp_path_factory):
    root = tmp_path_factory.mktemp("reference")
    return ranks.call("fit_sharded", root=root, epochs=EPOCHS)


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


@pytest.fixture
def elsewhere(mnt, mounts, s3_bucket):
    """elsewhere(): ends mnt, whose tree is then the bucket, and mounts that
    with an empty cache."""

    def mount():
        mnt.sync()
        assert_same(s3_bucket, mnt.path)
        mnt.umount()
        options = {"passthrough": mnt.options["passthrough"]}
        return mounts(s3_bucket, "elsewhere", **options).mount()

    return mount


@pytest.mark.root
def test_lightning_takes_two_mounts_for_shared(ranks, mnt, mounts, s3_bucket, tmp_path):
    """Rank 0 makes a file on one, and rank 1 has three seconds to see it on the
    other; not so on two folders of this machine."""
    other = mounts(s3_bucket, "other", **mnt.options).mount()
    at = tmp_path / "at"
    at.mkdir()
    for _ in range(3):
        both = [str(mnt.path), str(other.path)]
        assert ranks.call("is_shared", roots=both, at=str(at)) is True
    apart = [str(tmp_path / name) for name in ("one", "two")]
    for folder in apart:
        os.mkdir(folder)
    assert ranks.call("is_shared", roots=apart, at=str(at)) is False


def shards(folder):
    return [f"{folder}/__{rank}_0.distcp" for rank in range(WORLD)]


def test_lightning_saves_shards_and_resumes_elsewhere(
    mnt, elsewhere, s3_bucket, mounts, ranks, uninterrupted
):
    ranks.call("fit_sharded", root=mnt.path, epochs=3)
    second = elsewhere()
    folder = "checkpoints/epoch=2.ckpt"
    assert s3_bucket.keys(folder) == [
        f"{folder}/.metadata",
        *shards(folder),
        f"{folder}/meta.pt",
    ]
    assert s3_bucket.keys("checkpoints/epoch=0.ckpt") == []
    answer = ranks.call("fit_sharded", root=second.path, epochs=EPOCHS, ckpt="last")
    assert answer == {**uninterrupted, "began": 3}
    assert_published(second, s3_bucket, mounts)


def test_distributed_checkpoint(mnt, elsewhere, s3_bucket, mounts, proxy, ranks):
    # so slow that .metadata would be first, did it not wait
    proxy.fault("delay", method="PUT|POST", path="distcp", count=-1, seconds=0.3)
    with Follower(s3_bucket, "async/.metadata", lambda _: shards("async")):
        saved = ranks.call("dcp_save", root=mnt.path)
        mnt.sync()
    order = [key for _, key in proxy.commits("/sync/")]
    assert {*order[-3:-1]} == {*shards("sync")}, order
    assert order[-1] == "sync/.metadata", order
    assert not proxy.requests("PUT|POST", r"\.metadata\.tmp")
    proxy.heal()
    second = elsewhere()
    assert ranks.call("dcp_load", root=second.path) == saved
    assert ranks.call("consolidate", root=second.path) == saved["sync"]
    assert_published(second, s3_bucket, mounts)


def test_deepspeed_rewrites_latest_in_place(
    mnt, elsewhere, s3_bucket, mounts, proxy, ranks
):
    proxy.fault("delay", method="PUT|POST", path="_states", count=-1, seconds=0.3)
    names = [
        "mp_rank_00_model_states.pt",
        *(f"zero_pp_rank_{r}_mp_rank_00_optim_states.pt" for r in range(WORLD)),
    ]
    with Follower(
        s3_bucket, "latest", lambda mark: [f"{mark.decode()}/{n}" for n in names]
    ) as follower:
        for step in (1, 2, 3):
            ranks.call("deepspeed_save", root=mnt.path, step=step)
        mnt.sync()
    assert set(follower.seen) <= {b"global_step1", b"global_step2", b"global_step3"}
    proxy.heal()
    second = elsewhere()
    assert ranks.call("deepspeed_load", root=second.path) == ["global_step3", True]
    # and on over what is there
    ranks.call("deepspeed_save", root=second.path, step=4)
    assert ranks.call("deepspeed_load", root=second.path) == ["global_step4", True]
    assert_published(second, s3_bucket, mounts)
