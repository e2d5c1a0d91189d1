# SPDX-License-Identifier: Apache-2.0
"""A mount of az://, over Azurite: what is here is there."""

import os

import pytest

from buckets import assert_same
from mount import wait_until
from test_recover import kept

MIB = 1 << 20
BLOCK, COMMIT = r"comp=block$", r"comp=blocklist$"


class Below:
    """The container as a mount of a path sees it."""

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
def mnt(azure_bucket, mounts):
    azure_bucket.source += "/runs/7"
    return mounts(azure_bucket, part_size="256K", upload_delay="0s")


@pytest.fixture
def below(azure_bucket):
    return Below(azure_bucket, "runs/7/")


def test_a_save_is_resumed_from_by_an_empty_cache(mnt, below, azure_bucket, tmp_path):
    azure_bucket.put("runs/7/theirs", b"another writer's")
    large = os.urandom(2 * MIB + 12345)
    mnt.mount()
    (mnt / "ckpt/step 1").mkdir(parents=True)
    (mnt / "ckpt/step 1/model.bin").write_bytes(large)
    (mnt / "ckpt/step 1/optim + 50%.bin").write_bytes(b"small")
    (mnt / "ckpt/latest").symlink_to("step 1")
    (mnt / "ckpt/gone").write_bytes(b"soon deleted")
    os.chmod(mnt / "ckpt/step 1/model.bin", 0o640)
    mnt.sync()
    (mnt / "ckpt/gone").unlink()
    (mnt / "ckpt/step 1").rename(mnt / "ckpt/step 2")
    (mnt / "ckpt/latest").unlink()
    (mnt / "ckpt/latest").symlink_to("step 2")
    mnt.umount()
    names = ["latest", "step 2/model.bin", "step 2/optim + 50%.bin"]
    assert below.keys() == [*(f"ckpt/{n}" for n in names), "theirs"]
    assert below.get("ckpt/step 2/model.bin") == large
    assert below.uploads() == []

    mnt.cache_dir = tmp_path / "another.cache"
    mnt.cache_dir.mkdir()
    mnt.mount()
    assert os.readlink(mnt / "ckpt/latest") == "step 2"
    assert (mnt / "ckpt/latest/model.bin").read_bytes() == large
    assert (mnt / "ckpt/step 2/model.bin").stat().st_mode & 0o7777 == 0o640
    assert (mnt / "theirs").read_bytes() == b"another writer's"
    (mnt / "ckpt/step 2/model.bin").write_bytes(large[: -MIB // 2])
    mnt.sync()
    assert below.get("ckpt/step 2/model.bin") == large[: -MIB // 2]
    mnt.run("evict", mnt / "ckpt/step 2/model.bin")
    assert (mnt / "ckpt/step 2/model.bin").read_bytes() == large[: -MIB // 2]
    assert below.uploads() == []


@pytest.mark.option("account")
def test_the_account_is_that_of_the_option_or_the_source(azure_bucket, mounts):
    """Of those that the environment names another one."""
    azure_bucket.env |= {"AZURE_STORAGE_ACCOUNT": "another"}
    server = azure_bucket.server
    key = f"AccountName={server.account};AccountKey={server.key}"
    azure_bucket.env["AZURE_STORAGE_CONNECTION_STRING"] = key
    mnt = mounts(azure_bucket, account=server.account).mount()
    (mnt / "f").write_bytes(b"1")
    mnt.umount()
    name = azure_bucket.name
    azure_bucket.source = f"abfss://{name}@{server.account}.dfs.core.windows.net"
    other = mounts(azure_bucket, "b").mount()
    assert (other / "f").read_bytes() == b"1"
    other.umount()
    other.mount(status=2, account="third")
    assert "is not of the account third" in other.said


@pytest.mark.parametrize("way", ["sas", "string", "anonymous"])
def test_who_asks(azure_bucket, mounts, way):
    server = azure_bucket.server
    azure_bucket.env.pop("AZURE_STORAGE_KEY")
    if way == "sas":
        azure_bucket.env["AZURE_STORAGE_SAS_TOKEN"] = "?" + server.sas()
    elif way == "string":
        sas = f"AccountName={server.account};SharedAccessSignature={server.sas()}"
        azure_bucket.env["AZURE_STORAGE_CONNECTION_STRING"] = sas
    else:
        azure_bucket.options["anonymous"] = True
        mnt = mounts(azure_bucket)
        mnt.mount(status=1)
        assert "the bucket is not public" in mnt.said
        return
    mnt = mounts(azure_bucket).mount()
    (mnt / "f").write_bytes(b"1")
    mnt.umount()
    assert azure_bucket.get("f") == b"1"
    assert "sig=" not in mnt.log.read_text()


def blocks(proxy):
    """Those that were taken."""
    return [r for r in proxy.requests("PUT", BLOCK) if r.status == 201]


def test_an_upload_is_resumed_after_kill_9(mnt, below, azure_proxy):
    data = os.urandom(6 * MIB)
    mnt.mount()
    azure_proxy.limit(up=4 * MIB)
    (mnt / "big").write_bytes(data)
    wait_until(lambda: len(blocks(azure_proxy)) >= 6, what="some blocks")
    mnt.kill9()
    assert len(blocks(azure_proxy)) < 24
    azure_proxy.limit()
    mnt.mount()
    mnt.sync()
    # Eight were under way when it died.
    assert len(blocks(azure_proxy)) <= 24 + 8 + 1  # one of the probe each
    assert below.get("big") == data
    assert_same(below, mnt.path)


def test_another_writer_is_not_overwritten(mnt, below, azure_bucket):
    mnt.mount(metadata_ttl="1h")
    (mnt / "d").mkdir()
    (mnt / "d/f").write_bytes(b"first")
    mnt.sync()
    azure_bucket.put("runs/7/d/f", b"theirs")
    (mnt / "d/f").write_bytes(b"ours")
    wait_until(lambda: kept(mnt).get("d/f") == "conflict", what="a conflict")
    assert below.get("d/f") == b"theirs"
    mnt.sync(status=1)
    mnt.run("recover", "publish", mnt / "d/f")
    mnt.sync()
    assert below.get("d/f") == b"ours"


def test_a_lease_is_waited_for(mnt, below, azure_bucket):
    mnt.mount()
    (mnt / "f").write_bytes(b"first")
    mnt.sync()
    lease = azure_bucket.lease("runs/7/f")
    (mnt / "f").write_bytes(b"second")
    wait_until(
        lambda: "LeaseIdMissing" in str(mnt.status()["last_error"]),
        what="the lease is told of",
    )
    assert below.get("f") == b"first"
    azure_bucket.release("runs/7/f", lease)
    mnt.sync()
    assert below.get("f") == b"second"


def test_folders_of_other_tools(mnt, below, azure_bucket):
    """hdi_isfolder: a folder, with something in it or not; gone by rmdir."""
    folder = {"x-ms-meta-hdi_isfolder": "true"}
    for name in ("a", "a-b", "full"):
        azure_bucket.put(f"runs/7/{name}", b"", folder)
    for name in ("a-1", "a.txt", "full/x"):
        azure_bucket.put(f"runs/7/{name}", b"x")
    mnt.mount()
    assert sorted(os.listdir(mnt.path)) == ["a", "a-1", "a-b", "a.txt", "full"]
    assert all((mnt / n).is_dir() for n in ("a", "a-b", "full"))
    assert os.listdir(mnt / "a") == []
    (mnt / "a/new").write_bytes(b"new")
    (mnt / "a-b").rmdir()
    (mnt / "full/x").unlink()
    (mnt / "full").rmdir()
    mnt.sync()
    assert below.get("a/new") == b"new"
    assert below.keys() == ["a", "a-1", "a.txt", "a/new"]


FAULTS = {
    "throttled": {"act": "status", "code": 503, "count": 3},
    "reset": {"act": "reset", "count": 2},
    "ambiguous": {"act": "drop"},
    "truncated": {"act": "cut", "bytes": 50, "count": 2},
}


@pytest.mark.parametrize("path", [r"/small(\?|$)", BLOCK, COMMIT])
@pytest.mark.parametrize("what", sorted(FAULTS))
def test_what_goes_wrong_on_the_way_up(mnt, below, azure_proxy, what, path):
    mnt.mount()
    fault = azure_proxy.fault(method="PUT", path=path, **FAULTS[what])
    (mnt / "small").write_bytes(b"small" * 50)
    (mnt / "big").write_bytes(os.urandom(MIB))
    mnt.sync()
    assert fault.count == 0
    assert_same(below, mnt.path)


@pytest.mark.parametrize("act", ["status", "reset", "cut-reply"])
def test_what_goes_wrong_on_the_way_down(mnt, azure_bucket, azure_proxy, act):
    data = os.urandom(MIB)
    azure_bucket.put("runs/7/f", data)
    mnt.mount()
    fault = azure_proxy.fault(act, method="GET", path="/f$", bytes=1000)
    assert (mnt / "f").read_bytes() == data
    assert fault.hits == 1
