# SPDX-License-Identifier: Apache-2.0
"""What can go wrong while objects are copied, renamed and deleted many at once:
the names are right in the end, nothing is lost, and nothing is done twice that
could be seen.  And what a save makes in trouble, of a server of another make."""

import os

import pytest

from buckets import assert_same
from mount import wait_until
from test_faults_http import BIG, SENDS, check, mnt, save  # noqa: F401

DATA = os.urandom(300_000)
# requests of a rename, by its copy that heeds a condition, and by the one that
# does not (conflict=overwrite)
MOVES = {
    "look": ("HEAD", r"/old$"),
    "begin": ("POST", r"/new\?uploads"),
    "part": ("PUT", r"/new\?.*partNumber"),
    "commit": ("POST", r"/new\?uploadId|/new\?.*&uploadId"),
    "copy": ("PUT", r"/new$"),
    "delete": ("DELETE", r"/old$"),
}
ACTS = {
    "503": {"act": "status", "code": 503},
    "reset": {"act": "reset"},
    "drop": {"act": "drop"},
    "hang-reply": {"act": "hang-reply"},
}
LATE = {
    "act": "answer",
    "code": 200,
    "body": "<Error><Code>InternalError</Code><Message>late</Message></Error>",
}


@pytest.fixture
def moving(mnt):  # noqa: F811
    """A mount with a published file and folder."""

    def make(**options):
        if options:
            mnt.remount(**options)
        (mnt / "old").write_bytes(DATA)
        (mnt / "d").mkdir()
        for i in range(3):
            (mnt / f"d/{i}").write_bytes(DATA[i:])
        mnt.sync()
        return mnt

    return make


def moved(m, s3_bucket, proxy, once):
    m.sync()
    assert s3_bucket.keys() == ["d/0", "d/1", "d/2", "new"]
    assert s3_bucket.get("new") == DATA
    assert_same(s3_bucket, m.path)
    assert [c for c in proxy.commits(r"/new") if c[0] != "delete"] == [(once, "new")]
    assert s3_bucket.uploads() == []
    assert s3_bucket.beside() == []
    assert m.status()["totals"]["files"] == 0


def hit(proxy, kind, count=2, **how):
    method, path = MOVES[kind]
    return proxy.fault(method=method, path=path, count=count, **how)


@pytest.mark.parametrize(
    ("kind", "act"),
    [(k, a) for k in ("begin", "part", "commit", "delete") for a in ("503", "drop")]
    + [("look", "reset"), ("begin", "hang-reply"), ("commit", "hang-reply")],
)
def test_a_rename_in_trouble(moving, s3_bucket, proxy, kind, act):
    m = moving()
    # an answer that is lost once is looked for
    fault = hit(
        proxy, kind, count=1 if act in ("drop", "hang-reply") else 2, **ACTS[act]
    )
    (m / "old").rename(m / "new")
    assert (m / "new").read_bytes() == DATA
    wait_until(lambda: fault.hits, what="the fault")
    moved(m, s3_bucket, proxy, "complete")


@pytest.mark.parametrize("act", ["503", "drop"])
def test_a_copy_in_trouble(moving, s3_bucket, proxy, act):
    """By one request: it may be made again, and is the same then."""
    m = moving(conflict="overwrite")
    fault = hit(proxy, "copy", count=1, **ACTS[act])
    (m / "old").rename(m / "new")
    wait_until(lambda: fault.hits, what="the fault")
    m.sync()
    assert s3_bucket.keys() == ["d/0", "d/1", "d/2", "new"]
    assert s3_bucket.get("new") == DATA
    assert_same(s3_bucket, m.path)
    assert 1 <= proxy.commits(r"/new").count(("copy", "new")) <= 2


@pytest.mark.parametrize("kind", ["part", "commit", "copy"])
def test_a_copy_that_fails_in_a_success(moving, s3_bucket, proxy, kind):
    m = moving(**({"conflict": "overwrite"} if kind == "copy" else {}))
    fault = hit(proxy, kind, **LATE)
    (m / "old").rename(m / "new")
    wait_until(lambda: fault.hits == 2, what="the faults")
    moved(m, s3_bucket, proxy, "copy" if kind == "copy" else "complete")


@pytest.mark.parametrize("act", ["drop", "reset"])
def test_a_folders_rename_in_trouble(moving, s3_bucket, proxy, act):
    """Of its copies the second fails, and of its deletes."""
    m = moving()
    copies = proxy.fault(method="POST", path=r"e/1\?.*uploadId", **ACTS[act])
    deletes = proxy.fault(method="DELETE", path=r"/d/1$", **ACTS[act])
    (m / "d").rename(m / "e")
    m.sync()
    assert copies.hits == deletes.hits == 1
    assert s3_bucket.keys() == ["e/0", "e/1", "e/2", "old"]
    assert_same(s3_bucket, m.path)
    assert s3_bucket.uploads() == []
    done = proxy.commits(r"/(d|e)/")[-6:]
    assert [what for what, _ in done] == ["complete"] * 3 + ["delete"] * 3


# ---- many deletes by one request

MANY = 20
ALL_FAIL = "".join(
    f"<Error><Key>many/{i:02}</Key><Code>InternalError</Code></Error>"
    for i in range(MANY)
)
BATCHES = {
    "503": ACTS["503"],
    "drop": ACTS["drop"],
    "late": LATE,
    "no XML": {"act": "answer", "code": 200, "body": "<html>"},
    "each": {
        "act": "answer",
        "code": 200,
        "body": f"<DeleteResult>{ALL_FAIL}</DeleteResult>",
    },
    "flip": {"act": "flip"},
}


@pytest.mark.parametrize("act", sorted(BATCHES))
def test_a_batch_of_deletes_in_trouble(mnt, s3_bucket, proxy, act):  # noqa: F811
    m = mnt.remount(conflict="overwrite")
    (m / "many").mkdir()
    for i in range(MANY):
        (m / f"many/{i:02}").write_bytes(b"x")
    m.sync()
    fault = proxy.fault(method="POST", path=r"\?delete", **BATCHES[act])
    # none goes before all are in the line
    before = proxy.fault("hang", method="PUT", path="/before$")
    (m / "before").write_bytes(b"z")
    wait_until(lambda: before.hits, what="what stands before them")
    for i in range(MANY):
        (m / f"many/{i:02}").unlink()
    proxy.break_connections()
    (m / "after").write_bytes(b"y")
    m.sync()
    assert fault.hits == 1
    assert s3_bucket.keys() == ["after", "before", "old"]
    assert_same(s3_bucket, m.path)
    # what stands behind them did not overtake them
    assert proxy.commits()[-1] == ("put", "after")


# ---- the same of MinIO


@pytest.mark.parametrize("s3_server", ["minio"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("put", "drop"),
        ("begin", "drop"),
        ("part", "flip"),
        ("commit", "cut-reply"),
        ("delete", "drop"),
    ],
)
def test_of_minio(mnt, s3_bucket, proxy, kind, act):  # noqa: F811
    method, path = SENDS[kind]
    how = ACTS.get(act, {"act": act, "bytes": 60})
    fault = proxy.fault(method=method, path=path, **how)
    save(mnt)
    check(mnt, s3_bucket, proxy)
    assert fault.hits == 1
    assert s3_bucket.uploads() == []
    mnt.run("evict", mnt / "step")
    proxy.fault("cut-reply", method="GET", path="/shard$", bytes=300_000)
    assert (mnt / "step/shard").read_bytes() == BIG


@pytest.mark.parametrize("s3_server", ["minio"], indirect=True)
@pytest.mark.parametrize("kind", ["commit"])
def test_a_rename_of_minio(moving, s3_bucket, proxy, kind):
    m = moving()
    fault = hit(proxy, kind, count=1, **ACTS["drop"])
    (m / "old").rename(m / "new")
    wait_until(lambda: fault.hits, what="the fault")
    moved(m, s3_bucket, proxy, "complete")
