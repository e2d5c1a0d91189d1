# SPDX-License-Identifier: Apache-2.0
"""Every way Lightning has to a checkpoint, on a mount of a real S3 server."""

import os
import signal

import pytest

from buckets import assert_same
from published import Follower, assert_published
from trainer import EPOCHS, Program

pytestmark = [pytest.mark.timeout(400), pytest.mark.lightning]

FIRST = 3  # epochs before the stop


@pytest.fixture(scope="module")
def user():
    u = Program("lightning_cases.py")
    u.next("ready")
    yield u
    u.end()


@pytest.fixture(scope="module")
def uninterrupted(user, tmp_path_factory):
    """The digest after EPOCHS epochs without a stop, on a local disk."""
    root = tmp_path_factory.mktemp("reference")
    return user.call("fit", case="plain", root=root, epochs=EPOCHS)["digest"]


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


@pytest.fixture
def elsewhere(mnt, mounts, s3_bucket):
    """elsewhere(OPTION=VALUE...): ends mnt, whose tree is then the bucket, and
    mounts that with an empty cache."""

    def mount(**options):
        mnt.sync()
        assert_same(s3_bucket, mnt.path)
        mnt.umount()
        options = {"passthrough": mnt.options["passthrough"], **options}
        return mounts(s3_bucket, "elsewhere", **options).mount()

    return mount


# What a custom CheckpointIO was asked for before the stop and after it.
CUSTOM = [{"save": 2 * FIRST, "remove": 1}, {"load": 1, "save": 2}]
CALLS = {
    "custom": CUSTOM,
    "strategy": CUSTOM,
    # keeps all it saved
    "async-custom": [{"save": 2 * FIRST}, {"load": 1, "save": 2}],
}

# That of the other folder is not touched.
LINKS = {
    "last.ckpt": f"epoch={FIRST - 1}.ckpt",
    "last-v1.ckpt": f"epoch={EPOCHS - 1}.ckpt",
}


def links(folder):
    return {p.name: os.readlink(p) for p in folder.iterdir() if p.is_symlink()}


@pytest.mark.parametrize(
    "case",
    ["link", "torch", "custom", "strategy", "async", "async-custom", "straight"],
)
def test_save_and_resume_elsewhere(
    case, mnt, elsewhere, s3_bucket, mounts, user, uninterrupted
):
    first = user.call("fit", case=case, root=mnt.path, epochs=FIRST)
    second = elsewhere()
    assert "checkpoints/last.ckpt" in s3_bucket.keys()  # noqa: SIM118
    answer = user.call("fit", case=case, root=second.path, epochs=EPOCHS, ckpt="last")
    assert answer["digest"] == uninterrupted
    assert (answer["began"], answer["epoch"]) == (FIRST, EPOCHS)
    assert [first["told"], answer["told"]] == CALLS.get(case, [None, None])
    assert links(second / "checkpoints") == (LINKS if case == "link" else {})
    assert_published(second, s3_bucket, mounts)


def test_state_of_hooks_and_datamodule(
    mnt, elsewhere, s3_bucket, mounts, user, uninterrupted
):
    user.call("fit", case="hooks", root=mnt.path, epochs=FIRST)
    second = elsewhere()
    path = second / f"checkpoints/epoch={FIRST - 1}.ckpt"
    answer = user.call("fit", case="hooks", root=second.path, epochs=EPOCHS, ckpt=path)
    assert answer["digest"] == uninterrupted
    steps = 4 * FIRST
    # an epoch's file before last.ckpt; what it holds was asked before the call
    saves = 2 * FIRST - 2
    assert answer["told"] == [
        [FIRST - 1, list(range(9))],
        [steps, {"saves": saves}],
        {"batches": steps},
    ]
    assert_published(second, s3_bucket, mounts)


def test_a_checkpoint_callback_of_ones_own(
    mnt, elsewhere, s3_bucket, mounts, proxy, user, uninterrupted
):
    # so slow that `newest` would be first, did it not wait
    proxy.fault("delay", method="PUT|POST", path="/mine-", count=-1, seconds=0.3)
    with Follower(
        s3_bucket, "checkpoints/newest", lambda m: [f"checkpoints/{m.decode()}"]
    ):
        user.call("fit", case="own", root=mnt.path, epochs=FIRST)
        mnt.sync()
    proxy.heal()
    second = elsewhere()
    checkpoints = second / "checkpoints"
    newest = checkpoints / (checkpoints / "newest").read_text()
    answer = user.call("fit", case="own", root=second.path, epochs=EPOCHS, ckpt=newest)
    assert answer["digest"] == uninterrupted
    assert sorted(os.listdir(checkpoints)) == ["mine-2.ckpt", "mine-3.ckpt", "newest"]
    assert_published(second, s3_bucket, mounts)


def test_save_checkpoint_by_hand(mnt, elsewhere, s3_bucket, mounts, user):
    trained = user.call("by_hand", root=mnt.path, epochs=FIRST)
    second = elsewhere()
    assert user.call("weights", ckpt=second / "hand/weights.ckpt") == trained
    full = second / "hand/deep/full.ckpt"
    assert user.call("weights", ckpt=full) == trained
    assert full.stat().st_size > 2 * (second / "hand/weights.ckpt").stat().st_size
    assert not (second / "scrap").exists()
    assert_published(second, s3_bucket, mounts)


def test_the_best_checkpoint(mnt, s3_bucket, mounts, user):
    answer = user.call("best", root=mnt.path, epochs=EPOCHS)
    assert answer["path"] == str(mnt / "checkpoints/epoch=0.ckpt")
    assert answer["val_loss"] == answer["test_loss"] == pytest.approx(answer["score"])
    assert answer["val_loss"] > answer["now"]
    assert_published(mnt, s3_bucket, mounts)


def test_evaluate_from_a_read_only_mount(
    mnt, elsewhere, s3_bucket, proxy, user, tmp_path
):
    here = user.call("best", root=mnt.path, epochs=2)
    second = elsewhere(ro=True)
    keys, requests = s3_bucket.keys(), len(proxy.requests("PUT|POST|DELETE"))
    root = tmp_path / "results"
    answer = user.call("evaluate", root=root, ckpt=second / "checkpoints/epoch=0.ckpt")
    assert answer == {k: here[k] for k in answer}
    assert {"val_loss", "test_loss", "predicted"} <= answer.keys()
    refused = user.call("save_to", root=root, path=second / "checkpoints/new.ckpt")
    assert refused == "EROFS"
    second.umount()
    assert s3_bucket.keys() == keys
    assert len(proxy.requests("PUT|POST|DELETE")) == requests


@pytest.mark.parametrize(("end", "status"), [("exception", 1), ("sigterm", 0)])
def test_a_job_that_is_ended_saves_and_goes_on_elsewhere(
    end, status, mnt, elsewhere, s3_bucket, mounts, user, uninterrupted
):
    user.tell(do="job", case=end, root=mnt.path, epochs=EPOCHS)
    if end == "sigterm":
        os.kill(user.next("waiting", "error")["waiting"], signal.SIGTERM)
    assert user.answer() == status
    saved = "checkpoints/on_exception.ckpt"
    assert (mnt / saved).exists()
    second = elsewhere()
    answer = user.call(
        "fit", case="after", root=second.path, epochs=EPOCHS, ckpt=second / saved
    )
    assert answer["digest"] == uninterrupted
    assert_published(second, s3_bucket, mounts)
    # who ends well has Lightning take it away again
    assert saved not in s3_bucket.keys()  # noqa: SIM118
