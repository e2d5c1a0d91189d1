# SPDX-License-Identifier: Apache-2.0
"""Rows of docs/fault-matrix.md whose fault is in the bucket or on the way to
it, over a real server: nothing is lost, nothing torn, nothing out of order."""

import contextlib
import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from buckets import assert_same
from mount import wait_until

MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def mnt(s3_bucket, mounts):
    return mounts(
        s3_bucket, part_size="8M", upload_delay="0s", metadata_ttl="1h"
    ).mount()


def big(letter):
    """Two parts."""
    return letter.encode() * (9 * MIB)


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def state(mnt, name):
    return mnt.status(mnt / name)["state"]


# ---- an upload in parts


def test_f32_a_begun_upload_whose_answer_was_lost(mnt, s3_bucket, proxy):
    """Nobody wrote down its id: the next mount finds it by its key and time."""
    lost = proxy.fault("drop", method="POST", path=r"/f\?uploads")
    # Whoever knows that it was lost looks for it, and begins another.
    proxy.fault("hang", path="upload", count=-1)
    (mnt / "f").write_bytes(big("f"))
    wait_until(lambda: [r for r in proxy.log if r.fault == "drop" and r.done])
    mnt.kill9()
    proxy.heal()
    assert lost.hits == 1
    assert s3_bucket.uploads() == ["f"]
    mnt.mount()
    mnt.sync()
    assert s3_bucket.get("f") == big("f")
    assert_same(s3_bucket, mnt.path)


def test_f34_a_part_whose_answer_was_lost(mnt, s3_bucket, proxy):
    lost = proxy.fault("drop", method="PUT", path="partNumber=", count=2)
    (mnt / "f").write_bytes(big("f"))
    mnt.sync()
    assert lost.hits == 2
    assert s3_bucket.get("f") == big("f")
    assert_same(s3_bucket, mnt.path)


@pytest.mark.parametrize("size", [1000, 9 * MIB])
def test_f35_a_body_that_is_changed_on_the_way(mnt, s3_bucket, proxy, size):
    """The server is told a checksum: what arrives changed is never an object."""
    data = os.urandom(size)
    flip = proxy.fault("flip", method="PUT", path=r"/f(\?|$)", count=2)
    seen = []
    (mnt / "f").write_bytes(data)
    while mnt.sync(timeout=1, status=None).returncode:
        keys = s3_bucket.keys()
        seen += [s3_bucket.get(key) for key in keys]
    assert flip.hits == 2
    assert set(seen) <= {data}
    assert s3_bucket.get("f") == data
    assert_same(s3_bucket, mnt.path)


def test_f36_a_complete_that_fails_in_a_success(mnt, s3_bucket, proxy):
    """200, and an error in the body."""
    (mnt / "f").write_bytes(big("1"))
    mnt.sync()
    fault = proxy.fault(
        "status", method="POST", path="uploadId=", code=200, name="InternalError"
    )
    fault.count = 8
    (mnt / "f").write_bytes(big("2"))
    wait_until(lambda: fault.hits >= 3, what="commits")
    assert s3_bucket.get("f") == big("1")
    assert state(mnt, "f") != "published"
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("f") == big("2")
    assert_same(s3_bucket, mnt.path)


def test_f38_an_upload_that_the_server_forgot(mnt, s3_bucket, proxy):
    """Aborted by a rule of the bucket: all of it is sent again."""
    held = proxy.fault("status", method="POST", path="uploadId=", count=-1)
    (mnt / "f").write_bytes(big("f"))
    wait_until(lambda: held.hits, what="the commit")
    (upload,) = s3_bucket.s3.list_multipart_uploads(Bucket=s3_bucket.name)["Uploads"]
    s3_bucket.s3.abort_multipart_upload(
        Bucket=s3_bucket.name, Key="f", UploadId=upload["UploadId"]
    )
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("f") == big("f")
    assert_same(s3_bucket, mnt.path)


# ---- a server in trouble


def test_f42_a_server_that_throttles_costs_no_time(mnt, s3_bucket, proxy):
    """Back-off: few requests, no processor time, and then all of it arrives."""
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"0")
    mnt.sync()
    pid = mnt.pid()
    proxy.fault("status", count=-1, code=503)
    before, requests = cpu_seconds(pid), len(proxy.requests())
    for i in range(20):
        (mnt / f"{i}").write_bytes(b"1" * 1000)
    began = time.monotonic()
    written = cpu_seconds(pid) - before
    mnt.sync(timeout=5, status=3)
    took = time.monotonic() - began
    assert cpu_seconds(pid) - before - written < 0.05 * took + 0.1
    # 20 files, 3 tries of each call, and back-off between
    assert len(proxy.requests()) - requests < 20 * 3 * 6
    proxy.heal()
    mnt.sync()
    assert_same(s3_bucket, mnt.path)


def test_f49_a_refused_file_is_parked_and_holds_up_its_folder(mnt, s3_bucket, proxy):
    for folder in ("d", "d/below", "other"):
        (mnt / folder).mkdir()
    proxy.fault("status", method="PUT", path="/d/shard$", code=403, count=-1)
    (mnt / "d/shard").write_bytes(b"s")
    wait_until(lambda: state(mnt, "d/shard") == "parked", what="d/shard, parked")
    (mnt / "d/latest").write_bytes(b"names shard")
    (mnt / "d/below/f").write_bytes(b"x")
    (mnt / "other/f").write_bytes(b"x")
    mnt.run("sync", mnt / "other")
    said = mnt.sync(status=1).stderr
    assert "not in the bucket: d/shard (parked" in said
    assert "not in the bucket: d/latest (" in said
    assert s3_bucket.keys() == ["other/f"]
    assert mnt.log.read_text().count("shard: parked") == 1
    assert (mnt / "d/shard").read_bytes() == b"s"
    mnt.run("status", "--check", mnt.path, status=1)
    # rights are given: the next mount, or whoever writes it again, tries again
    proxy.heal()
    (mnt / "d/shard").write_bytes(b"s")
    mnt.sync()
    assert s3_bucket.keys() == ["d/below/f", "d/latest", "d/shard", "other/f"]


def test_f51_a_bucket_that_is_deleted(mnt, s3_bucket, proxy):
    """Nothing is discarded: all goes there once it is back."""
    s3_bucket.s3.delete_bucket(Bucket=s3_bucket.name)
    (mnt / "small").write_bytes(b"x")
    (mnt / "big").write_bytes(big("b"))
    tries = len(proxy.requests("PUT|POST"))
    wait_until(lambda: len(proxy.requests("PUT|POST")) > tries + 3, what="tries")
    mnt.run("status", "--check", mnt.path, status=None)
    assert (mnt / "big").read_bytes() == big("b")
    s3_bucket.s3.create_bucket(Bucket=s3_bucket.name)
    done = mnt.sync(status=None)
    if done.returncode:  # parked: written again it is tried again
        for name, data in (("small", b"x"), ("big", big("b"))):
            (mnt / name).write_bytes(data)
        mnt.sync()
    assert s3_bucket.get("small") == b"x"
    assert s3_bucket.get("big") == big("b")


def test_f56_a_listing_that_fails_is_no_deletion(s3_bucket, mounts, proxy):
    m = mounts(s3_bucket, metadata_ttl="100ms", negative_ttl="100ms").mount()
    (m / "d").mkdir()
    for name in ("d/a", "d/b", "c"):
        (m / name).write_bytes(b"x")
    m.sync()
    s3_bucket.put("d/theirs", b"t")
    wait_until(lambda: "theirs" in os.listdir(m / "d"), what="theirs")
    for code, name in ((503, ""), (500, ""), (404, "NoSuchBucket"), (403, "")):
        fault = proxy.fault("status", method="GET|HEAD", code=code, count=-1, name=name)
        deadline = time.monotonic() + 10
        while fault.hits < 3 and time.monotonic() < deadline:
            assert sorted(os.listdir(m / "d")) == ["a", "b", "theirs"]
            assert sorted(os.listdir(m.path)) == ["c", "d"]
            assert (m / "d/a").read_bytes() == b"x"
        assert fault.hits >= 3
        proxy.heal()
    assert (m / "d/theirs").read_bytes() == b"t"


# ---- other writers


def test_f53_another_writer_deletes_what_we_change(mnt, s3_bucket, proxy):
    """What we change or rename is ours, as far as it is here; what is not is
    gone."""
    (mnt / "d").mkdir()
    for name in ("f", "g", "d/i", "d/j", "k"):
        (mnt / name).write_bytes(b"first")
    mnt.sync()
    mnt.run("evict", mnt / "k")
    for name in ("f", "g", "d/i", "k"):
        s3_bucket.delete(name)
    # Who looks for a name that is not there, as that of a rename, has the folder
    # listed again if a second has passed, and all of them would be gone.
    proxy.fault("status", method="GET", path="list-type", count=-1)
    (mnt / "f").write_bytes(b"second")
    (mnt / "g").rename(mnt / "h")
    (mnt / "d").rename(mnt / "e")
    (mnt / "k").rename(mnt / "l")
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("f") == b"second"
    assert (mnt / "f").read_bytes() == b"second"
    for name in ("h", "e/i", "e/j"):
        assert s3_bucket.get(name) == b"first"
        assert mnt.status(mnt / name)["state"] == "published"
    mnt.run("evict", mnt.path)
    mnt.remount(metadata_ttl="100ms")
    wait_until(lambda: "l" not in os.listdir(mnt.path), what="it is gone")
    assert_same(s3_bucket, mnt.path)


@pytest.mark.parametrize("size", [24 * MIB])
def test_f54_an_object_replaced_while_it_is_read(s3_bucket, mounts, proxy, size):
    """All of the old one, or an error: never some of each."""
    s3_bucket.put("f", b"1" * size)
    m = mounts(s3_bucket).mount()
    proxy.limit(down=6 * MIB)
    got = b""
    with contextlib.suppress(OSError), (m / "f").open("rb", buffering=0) as f:
        got = f.read(MIB)
        assert got
        s3_bucket.put("f", b"2" * size)
        proxy.limit()
        while data := f.read(MIB):
            got += data
        assert len(got) == size
    assert set(got) <= set(b"1")
    proxy.limit()
    m.remount()
    assert (m / "f").read_bytes() == b"2" * size


@pytest.mark.parametrize("act", ["cut", "flip-reply"])
def test_f55_a_body_that_comes_back_broken(mnt, s3_bucket, proxy, act):
    data = os.urandom(9 * MIB)
    (mnt / "f").write_bytes(data)
    mnt.sync()
    mnt.run("evict", mnt / "f")
    path = rf"{s3_bucket.name}/f$"
    if act == "cut":
        proxy.fault("delay", method="GET", path=path, count=2)
        proxy.limit(down=20 * MIB)
        reader = threading.Thread(target=(mnt / "f").read_bytes)
        reader.start()
        wait_until(lambda: proxy.requests("GET", path), what="the download")
        proxy.break_connections()
        proxy.limit()
        reader.join(60)
        assert (mnt / "f").read_bytes() == data
        return
    proxy.fault(act, method="GET", path=path, count=-1)
    with pytest.raises(OSError) as e:
        (mnt / "f").read_bytes()
    assert e.value.errno == errno.EIO
    proxy.heal()
    wait_until(lambda: reads_as(mnt / "f", data), what="the file, whole")


def reads_as(path, data):
    try:
        return path.read_bytes() == data
    except OSError:
        return False


# ---- names


def test_f58_a_temporary_renamed_and_a_crash(mnt, s3_bucket, proxy):
    """One name or the other; the temporary one never shows in the bucket."""
    proxy.fault("status", method="PUT|POST", count=-1)
    (mnt / "m.tmp").write_bytes(big("m"))
    (mnt / "m.tmp").rename(mnt / "m.ckpt")
    mnt.kill9()
    mnt.mount()
    assert os.listdir(mnt.path) == ["m.ckpt"]
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("m.ckpt") == big("m")
    assert_same(s3_bucket, mnt.path)
    assert all("tmp" not in r.key for r in proxy.requests("PUT|POST"))


@pytest.mark.parametrize("how", ["crash", "refused"])
def test_f59_a_rename_between_its_copy_and_its_delete(mnt, s3_bucket, proxy, how):
    (mnt / "d").mkdir()
    for i in range(4):
        (mnt / f"d/{i}").write_bytes(b"%d" % i * 1000)
    (mnt / "f").write_bytes(big("f"))
    mnt.sync()
    fault = proxy.fault("status", method="DELETE", code=500, count=-1)
    (mnt / "d").rename(mnt / "e")
    (mnt / "f").rename(mnt / "g")
    wait_until(lambda: fault.hits, what="a delete")
    assert {f"e/{i}" for i in range(4)} <= set(s3_bucket.keys())
    if how == "crash":
        mnt.kill9()
        mnt.mount()
    proxy.heal()
    mnt.sync()
    assert s3_bucket.keys() == ["e/0", "e/1", "e/2", "e/3", "g"]
    assert_same(s3_bucket, mnt.path)


def test_f60_a_rename_over_a_file_while_the_commit_fails(mnt, s3_bucket, proxy):
    """Others see the old one, whole, all the time."""
    (mnt / "last.ckpt").write_bytes(big("1"))
    mnt.sync()
    fault = proxy.fault("status", method="POST", path="uploadId=", count=-1)
    (mnt / "new.ckpt.tmp").write_bytes(big("2"))
    (mnt / "new.ckpt.tmp").rename(mnt / "last.ckpt")
    for hits in range(2, 6):
        wait_until(lambda hits=hits: fault.hits >= hits, what="tries")
        assert s3_bucket.keys() == ["last.ckpt"]
        assert s3_bucket.get("last.ckpt") == big("1")
    assert (mnt / "last.ckpt").read_bytes() == big("2")
    proxy.heal()
    mnt.sync()
    assert s3_bucket.get("last.ckpt") == big("2")
    assert_same(s3_bucket, mnt.path)


def test_f61_a_file_deleted_while_it_goes_up(mnt, s3_bucket, proxy):
    proxy.fault("delay", method="PUT", path="partNumber=", count=-1, seconds=1)
    (mnt / "f").write_bytes(big("f"))
    wait_until(lambda: proxy.requests("PUT", "partNumber="), what="parts")
    (mnt / "f").unlink()
    mnt.sync()
    assert s3_bucket.keys() == []
    wait_until(lambda: s3_bucket.uploads() == [], what="no upload is left")


def test_f63_a_marker_waits_for_every_shard(mnt, s3_bucket, proxy):
    (mnt / "step").mkdir()
    fault = proxy.fault("status", method="PUT", path="/step/shard-3", count=-1)
    for i in range(5):
        (mnt / f"step/shard-{i}").write_bytes(b"s" * 1000)
    (mnt / "latest").write_bytes(b"step")
    wait_until(lambda: fault.hits >= 6, what="tries of a shard")
    assert s3_bucket.keys() == ["step/shard-0", "step/shard-1", "step/shard-2"]
    mnt.kill9()
    mnt.mount()
    wait_until(lambda: fault.hits >= 9, what="tries after a crash")
    assert s3_bucket.keys("latest") == []
    proxy.heal()
    mnt.sync()
    keys = [key for _, key in proxy.commits()]
    assert keys.index("latest") > keys.index("step/shard-3")
    assert_same(s3_bucket, mnt.path)


# ---- the daemon stands still


def test_f68_a_suspended_daemon_goes_on(mnt, s3_bucket, proxy):
    """As after a laptop's sleep: its connections are gone meanwhile."""
    proxy.limit(up=8 * MIB)
    (mnt / "f").write_bytes(big("f"))
    wait_until(lambda: proxy.body_bytes("/f") > MIB, what="some of the body")
    pid = mnt.pid()
    os.kill(pid, signal.SIGSTOP)
    proxy.break_connections()
    proxy.limit()
    os.kill(pid, signal.SIGCONT)
    mnt.sync()
    assert s3_bucket.get("f") == big("f")
    assert_same(s3_bucket, mnt.path)
    assert mnt.status()["last_error"] is None
