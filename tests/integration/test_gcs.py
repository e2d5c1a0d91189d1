# SPDX-License-Identifier: Apache-2.0
"""A mount of gs://, over fake-gcs-server: what is here is there."""

import os
import subprocess

import pytest

from buckets import assert_same
from mount import program, wait_until

MIB = 1 << 20


@pytest.fixture
def mnt(gcs_bucket, mounts):
    gcs_bucket.source += "/runs/7"
    return mounts(gcs_bucket, part_size="1M")


class Below:
    """The bucket as a mount of a prefix sees it."""

    def __init__(self, bucket, prefix):
        self.bucket = bucket
        self.prefix = prefix

    def keys(self):
        return [k.removeprefix(self.prefix) for k in self.bucket.keys(self.prefix)]

    def get(self, key):
        return self.bucket.get(self.prefix + key)

    def head(self, key):
        return self.bucket.head(self.prefix + key)

    def uploads(self):
        return self.bucket.uploads()


@pytest.fixture
def below(gcs_bucket):
    return Below(gcs_bucket, "runs/7/")


def test_a_save_is_resumed_from_by_an_empty_cache(mnt, below, gcs_bucket, tmp_path):
    gcs_bucket.put("runs/7/theirs", b"another writer's")
    large = os.urandom(40 * MIB + 12345)  # more parts than are joined at once
    mnt.mount()
    (mnt / "ckpt/step 1").mkdir(parents=True)
    (mnt / "ckpt/step 1/model.bin").write_bytes(large)
    (mnt / "ckpt/step 1/optim + 50%.bin").write_bytes(b"small")
    (mnt / "ckpt/latest").symlink_to("step 1")
    (mnt / "ckpt/gone").write_bytes(b"soon deleted")
    os.chmod(mnt / "ckpt/step 1/model.bin", 0o640)
    mnt.sync()
    assert below.keys() == [
        "ckpt/gone",
        "ckpt/latest",
        "ckpt/step 1/model.bin",
        "ckpt/step 1/optim + 50%.bin",
        "theirs",
    ]
    (mnt / "ckpt/gone").unlink()
    (mnt / "ckpt/step 1").rename(mnt / "ckpt/step 2")
    (mnt / "ckpt/latest").unlink()
    (mnt / "ckpt/latest").symlink_to("step 2")
    mnt.umount()
    assert gcs_bucket.get("runs/7/ckpt/step 2/model.bin") == large
    assert below.uploads() == []

    mnt.cache_dir = tmp_path / "another.cache"
    mnt.cache_dir.mkdir()
    mnt.mount()
    assert os.readlink(mnt / "ckpt/latest") == "step 2"
    assert (mnt / "ckpt/latest/model.bin").read_bytes() == large
    assert (mnt / "ckpt/step 2/model.bin").stat().st_mode & 0o7777 == 0o640
    assert (mnt / "theirs").read_bytes() == b"another writer's"
    (mnt / "ckpt/step 2/model.bin").write_bytes(large[:MIB] + large[2 * MIB :])
    mnt.sync()
    assert below.get("ckpt/step 2/model.bin") == large[:MIB] + large[2 * MIB :]
    names = ["latest", "step 2/model.bin", "step 2/optim + 50%.bin"]
    assert below.keys() == [*(f"ckpt/{n}" for n in names), "theirs"]
    assert below.uploads() == []


def parts(proxy):
    """Uploads of parts that were answered."""
    return [
        r
        for r in proxy.requests("POST", "/upload/")
        if r.status == 200 and r.sent > MIB
    ]


def test_an_upload_is_resumed_after_kill_9(mnt, below, gcs_proxy):
    data = os.urandom(48 * MIB)
    mnt.mount()
    gcs_proxy.limit(up=16 * MIB)
    (mnt / "big").write_bytes(data)
    wait_until(lambda: len(parts(gcs_proxy)) >= 12, what="some parts")
    mnt.kill9()
    sent = len(parts(gcs_proxy))
    assert sent < 48
    gcs_proxy.limit()
    mnt.mount()
    mnt.sync()
    # Eight were under way when it died.
    assert len(parts(gcs_proxy)) <= 48 + 8
    assert below.get("big") == data
    assert_same(below, mnt.path)


def test_a_commit_whose_answer_was_lost_is_done(mnt, below, gcs_proxy):
    data = os.urandom(4 * MIB)
    mnt.mount()
    gcs_proxy.fault("drop", method="POST", path="big/compose", count=1)
    (mnt / "big").write_bytes(data)
    mnt.sync()
    assert below.get("big") == data
    assert_same(below, mnt.path)


def test_parts_are_hidden_and_go_by_one_request(mnt, below, gcs_bucket, gcs_proxy):
    data = os.urandom(8 * MIB)
    mnt.mount(metadata_ttl="0s")
    gcs_proxy.fault("status", method="POST", path="big/compose", count=-1)
    (mnt / "big").write_bytes(data)
    wait_until(lambda: gcs_proxy.requests("POST", "big/compose"), what="a commit")
    assert len(gcs_bucket.hidden()) >= 8
    assert os.listdir(mnt.path) == ["big"]
    batches = len(gcs_proxy.requests("POST", "/batch/"))
    deletes = len(gcs_proxy.requests("DELETE", "/parts/"))
    gcs_proxy.heal()
    mnt.sync()
    assert below.get("big") == data
    assert gcs_bucket.hidden() == []
    assert len(gcs_proxy.requests("POST", "/batch/")) == batches + 1
    assert len(gcs_proxy.requests("DELETE", "/parts/")) == deletes


def test_parts_of_no_upload_are_swept(mnt, gcs_bucket):
    ours = f"runs/7/.ckptfs/parts/{'a' * 32}/"
    lost = [f"{ours}00001", f"{ours}00002", f"{ours}join-1-00001"]
    kept = [
        "runs/7/.ckptfs/conflict/x",
        f"runs/7/.ckptfs/parts/{'b' * 32}/00001",  # of an upload under way
        f"runs/7/.ckptfs/uploads/{'b' * 32}",
        f"runs/8/.ckptfs/parts/{'a' * 32}/00001",  # of another prefix
    ]
    for key in lost + kept:
        gcs_bucket.put(key, b"part")
    mnt.mount()
    assert gcs_bucket.hidden() == kept
    assert os.listdir(mnt.path) == []


def chunks(proxy):
    """What of resumable uploads was answered: (bytes sent, status)."""
    asked = proxy.requests("PUT", "upload_id=")
    return [(r.sent, r.status) for r in asked if r.status]


# The other server does not say how far a session is.
strict = pytest.mark.parametrize("gcs_server", ["strict_gcs"], indirect=True)


@strict
@pytest.mark.option("parts")
def test_one_resumable_upload_goes_on_after_kill_9(mnt, below, gcs_bucket, gcs_proxy):
    data = os.urandom(20 * MIB)
    mnt.mount(parts="resumable")
    gcs_proxy.limit(up=8 * MIB)
    (mnt / "big").write_bytes(data)
    wait_until(lambda: len(chunks(gcs_proxy)) >= 5, what="some chunks")
    mnt.kill9()
    before = len(chunks(gcs_proxy))
    assert before < 19
    assert below.keys() == []
    assert gcs_bucket.hidden() == []
    gcs_proxy.limit()
    mnt.mount(parts="resumable")
    mnt.sync()
    assert below.get("big") == data
    assert_same(below, mnt.path)
    later = chunks(gcs_proxy)[before:]
    assert (0, 308) in later  # where is it?
    assert sum(sent > 0 for sent, _ in later) <= 20 - before
    begun = gcs_proxy.requests("POST", "uploadType=resumable")
    assert len(begun) == 1
    (mnt / "small").write_bytes(b"small")
    (mnt / "big").rename(mnt / "moved")
    mnt.umount()
    assert below.keys() == ["moved", "small"]
    assert gcs_bucket.hidden() == []


@strict
def test_a_resumable_upload_that_is_gone_begins_anew(mnt, below, gcs_proxy):
    data = os.urandom(3 * MIB)
    mnt.mount(parts="resumable")
    gcs_proxy.fault("status", method="PUT", code=410, skip=1, count=1)
    gcs_proxy.fault("drop", method="PUT", skip=2, count=1)
    (mnt / "big").write_bytes(data)
    mnt.sync()
    assert below.get("big") == data
    assert len(gcs_proxy.requests("POST", "uploadType=resumable")) == 2
    assert_same(below, mnt.path)


KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"


@strict
@pytest.mark.option("user_project")
def test_class_key_and_payer_are_said(mnt, gcs_bucket, gcs_proxy):
    how = {"storage_class": "NEARLINE", "sse_kms_key_id": KEY}
    mnt.mount(user_project="payer", **how)
    (mnt / "small").write_bytes(b"small")
    (mnt / "big").write_bytes(os.urandom(3 * MIB))
    mnt.sync()
    (mnt / "small").rename(mnt / "moved")
    mnt.umount()
    found = {o["name"][7:]: o for o in gcs_bucket.objects("runs/7/")}
    assert {n: o["kmsKeyName"] for n, o in found.items()} == {"big": KEY, "moved": KEY}
    assert found["big"]["storageClass"] == "NEARLINE"
    parts = gcs_proxy.requests("POST", "/upload/")
    assert sum(b"NEARLINE" in r.answer for r in parts) == 0  # of parts it is not said
    asked = [r.target for r in gcs_proxy.requests() if "/batch/" not in r.target]
    assert [t for t in asked if "userProject=payer" not in t] == []


def test_a_name_is_not_written_to_again_within_a_second(mnt, below, gcs_proxy):
    mnt.mount(upload_delay="0s")
    gcs_proxy.fault("status", method="POST", path="multipart", code=429, count=1)
    (mnt / "last").write_bytes(b"1")
    mnt.sync()
    assert below.get("last") == b"1"
    refused, done = gcs_proxy.requests("POST", "multipart")[-2:]
    assert (refused.status, done.status) == (429, 200)
    assert done.start - refused.end >= 1


@strict
def test_probe_tells_how_the_bucket_is_set_up(gcs_server, gcs_bucket):
    def bucket_of(source):
        cmd = [program(), "probe", source, "--no-speed", "-o"]
        cmd.append(f"anonymous,endpoint_url={gcs_server.endpoint}")
        done = subprocess.run(cmd, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return [x for x in done.stdout.splitlines() if " settings " in x]

    assert bucket_of(gcs_bucket.source) == [
        "ok      settings     no soft delete, no retention policy, flat"
    ]
    name = f"{gcs_bucket.name}-kept"
    gcs_server.make_bucket(
        name,
        softDeletePolicy={"retentionDurationSeconds": "604800"},
        retentionPolicy={"retentionPeriod": "60"},
        hierarchicalNamespace={"enabled": True},
    )
    soft, retained, tree = bucket_of(f"gs://{name}")
    assert soft.endswith("is kept, and billed, for 7d00h")
    assert retained.endswith("nothing is deleted or replaced before 1m00s")
    assert tree.endswith("a hierarchical namespace: it is used as if it were flat")
