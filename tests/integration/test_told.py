# SPDX-License-Identifier: Apache-2.0
"""What happens behind a job's back: each failure after a close is told wherever
one looks, and what needs no word goes on by itself."""

import os

import pytest

import servers
from buckets import assert_same
from mount import wait_until
from test_recover import TORN, crash, kept
from writer import Writer

MIB = 1 << 20


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(
        s3_bucket, passthrough=passthrough, upload_delay="0s", metadata_ttl="1h"
    ).mount()


# State of the file of that name, and what the log says of it.
TOLD = {
    "conflict": "another writer changed the object",
    "parked": ": parked: ",
    "torn": "the file is cut short",
    "unfinished": "was open for writing when the daemon stopped",
}


def test_each_failure_after_a_close_is_told_everywhere(mnt, s3_bucket, proxy):
    """In status and its check, in the exit status of sync and umount with a
    list, and in the log, once."""
    want = {f"{state}.pt": state for state in TOLD}
    (mnt / "conflict.pt").write_bytes(b"first")
    mnt.sync()
    crash(mnt, mnt / "unfinished.pt", b"half of it")
    proxy.fault("status", method="PUT", code=403, count=-1, path="/parked")
    s3_bucket.put("conflict.pt", b"theirs")
    (mnt / "conflict.pt").write_bytes(b"ours")
    (mnt / "parked.pt").write_bytes(b"refused")
    (mnt / "torn.pt").write_bytes(TORN)
    wait_until(lambda: kept(mnt) == want, what="all that is kept")
    queue = {e["path"]: e["state"] for e in mnt.status()["queue"]}
    assert want.items() <= queue.items()
    assert all(e["why"] for e in mnt.status()["queue"])
    mnt.run("status", "--check", mnt.path, status=1)
    synced = mnt.sync(status=1).stderr
    lines = mnt.log.read_text().splitlines()
    for state, words in TOLD.items():
        assert len([s for s in lines if words in s]) == 1, state
    ended = mnt.run("umount", mnt.path, status=1).stderr
    for path, state in want.items():
        assert f"not in the bucket: {path} ({state}" in synced
        assert f"not in the bucket: {path} ({state}" in ended
    mnt.kill9()  # it might be let in again
    # nothing of ours is beside the others' files
    assert s3_bucket.keys() == ["conflict.pt"]
    assert s3_bucket.get("conflict.pt") == b"theirs"
    mnt.mount()
    assert kept(mnt) == want
    assert sorted(os.listdir(mnt.path)) == sorted(want)


def test_a_mapping_outlives_a_lazy_unmount(mnt, s3_bucket):
    """What it stores until its end is what is published; or, where the kernel
    told no end before it let go of the mount, what is kept as unfinished."""
    size = 2 * MIB
    w = Writer(mnt / "mapped", os.O_RDWR | os.O_CREAT)
    try:
        assert w("write", "1", size) == 0
        assert w("mmap", size) == 0
        assert w("close") == 0
        mnt.detach()
        assert w("store", "2", 0, size) == 0
        assert s3_bucket.keys() == []
        assert mnt.alive()
        assert w("munmap") == 0
        mnt.wait_for_daemons(60)
    finally:
        w.end()
    keys = s3_bucket.keys()
    sent = [s3_bucket.get(key) for key in keys]
    assert sent in ([], [b"2" * size])
    mnt.mount()
    assert (mnt / "mapped").read_bytes() == b"2" * size
    if not sent:
        assert kept(mnt) == {"mapped": "unfinished"}


def write_credentials(path, token):
    """As a tool does that renews them: never half a file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(
        f"[default]\naws_access_key_id = {servers.ACCESS_KEY}\n"
        f"aws_secret_access_key = {servers.SECRET_KEY}\n"
        f"aws_session_token = {token}\n"
    )
    fresh.rename(path)


def test_credentials_are_renewed_within_an_upload(s3_mount, s3_bucket, proxy, tmp_path):
    """They expire while parts go up: read again, and the same upload goes on."""
    shared = tmp_path / "credentials"
    write_credentials(shared, "first")
    env = s3_mount.env
    env["AWS_SHARED_CREDENTIALS_FILE"] = str(shared)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del env[name]
    m = s3_mount.mount(part_size="5M", max_uploads=1, upload_delay="0s")

    def tokens(path):
        sent = [r.headers for r in proxy.requests("PUT", path)]
        return [headers.get("x-amz-security-token") for headers in sent]

    def expire(count):
        proxy.fault("status", method="PUT", code=400, name="ExpiredToken", count=count)

    data = os.urandom(20 * MIB)
    proxy.limit(up=10 * MIB)
    (m / "f").write_bytes(data)
    wait_until(lambda: tokens("partNumber"), what="a part")
    write_credentials(shared, "second")
    expire(1)
    proxy.limit()
    m.sync()
    assert s3_bucket.get("f") == data
    assert set(tokens("partNumber")) == {"first", "second"}
    assert tokens("partNumber")[-1] == "second"
    assert len(proxy.requests("POST", r"/f\?uploads")) == 1
    # Nothing is there to go on with: it waits, says why, and goes on.
    shared.unlink()
    expire(1)
    (m / "small").write_bytes(b"x")
    wait_until(
        lambda: "no credentials" in (m.status()["last_error"] or ""), what="the reason"
    )
    write_credentials(shared, "third")
    m.sync()
    assert tokens("/small$") == ["second", "third"]
    assert_same(s3_bucket, m.path)
