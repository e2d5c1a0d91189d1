# SPDX-License-Identifier: Apache-2.0
"""What differs from S3 server to S3 server, on a mount of each."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import botocore.exceptions
import pytest

import watch
from buckets import assert_same
from conftest import over_all_servers
from mount import wait_until

HERE = Path(__file__).parent

MIB = 1 << 20

pytestmark = over_all_servers


def refused(code, call, *args, **kwargs):
    with pytest.raises(OSError) as e:
        call(*args, **kwargs)
    assert e.value.errno == code, e.value


# ---- names

NAMES = [
    "a b",
    " lead",
    "trail ",
    "pl+us",
    "a+b c%2Bd",
    "100%",
    "%20",
    "%",
    "am&p;<x>\"'",
    "#?=;:@,$!*()[]{}|\\^`~",
    "naïve",
    "日本語",
    "🚂",
    "e\u0301",  # not the same as é
    "\u00e9",
    "tab\tlf\n",
    "del\x7f",
    "..x",
    "x" * 200,  # versitygw 1.7.0 makes longer ones, but does not replace them
]
FOLDERS = NAMES[:18:3]
# XML cannot hold these; the last is no UTF-8.
CONTROL = [b"ctrl\x01", b"esc\x1b[1m", b"cr\r", b"non\xef\xbf\xbechar"]
LATIN = b"lat\xfcin"


def put_names(bucket, folder):
    bucket.put_many({f"{folder}/{name}": name.encode() for name in NAMES})
    below = {f"{folder}/of {name}/{name}": name.encode() for name in FOLDERS}
    bucket.put_many(below)


def names_in(folder):
    return sorted(os.listdir(os.fsencode(folder)))


def test_names_written_here_are_those_of_the_bucket(s3_mount, s3_bucket, mounts):
    m = s3_mount.mount()
    for name in FOLDERS:
        (m / f"d/of {name}").mkdir(parents=True)
        (m / f"d/of {name}" / name).write_text(name)
    for name in NAMES:
        (m / "d" / name).write_text(name)
    m.sync()
    assert_same(s3_bucket, m.path)
    other = mounts(s3_bucket, "other").mount()
    assert_same(s3_bucket, other.path)
    # and they can be moved and deleted, here and there
    (m / "d").rename(m / "moved + %2B")
    for name in NAMES[::2]:
        (m / "moved + %2B" / name).unlink()
    m.sync()
    assert_same(s3_bucket, m.path)


def test_names_of_others_are_shown_as_they_are(s3_bucket, s3_mount):
    put_names(s3_bucket, "d +")
    m = s3_mount.mount()
    assert_same(s3_bucket, m.path, mtime=False)
    for name in NAMES:
        with (m / "d +" / name).open("a") as f:
            f.write(" and more")
    for name in FOLDERS:
        (m / f"d +/of {name}" / name).unlink()
    m.sync()
    assert_same(s3_bucket, m.path, mtime=False)
    assert s3_bucket.get("d +/a b") == b"a b and more"


def test_names_that_the_bucket_would_garble_are_refused(s3_mount, s3_bucket):
    """Published, they would come back under another name, or not at all."""
    m = s3_mount.mount(metadata_ttl="0")
    top = os.fsencode(m.path)
    (m / "plain").write_bytes(b"x")
    holds = "control" in s3_bucket.server.caps.split()
    for name in CONTROL:
        path = os.path.join(top, name)
        if holds:
            Path(os.fsdecode(path)).write_bytes(name)
            continue
        refused(errno.EILSEQ, os.open, path, os.O_CREAT | os.O_WRONLY)
        refused(errno.EILSEQ, os.mkdir, path)
        refused(errno.EILSEQ, os.symlink, "plain", path)
        refused(errno.EILSEQ, os.rename, m / "plain", os.fsdecode(path))
    refused(errno.EILSEQ, os.mkdir, os.path.join(top, LATIN))
    m.sync()
    want = [b"plain", *CONTROL] if holds else [b"plain"]
    for _ in range(2):  # the second comes from a listing
        assert names_in(m.path) == sorted(want)
        m.remount(metadata_ttl="0")
    for name in want:
        assert s3_bucket.get(name.decode()) == (b"x" if name == b"plain" else name)


# ---- long listings


def test_a_folder_of_more_than_a_page(s3_bucket, s3_mount):
    names = [f"{i:04d} +%2B" for i in range(1003)]
    s3_bucket.put_many({f"d/{name}": b"" for name in names})
    m = s3_mount.mount()
    assert sorted(os.listdir(m / "d")) == names


# ---- the answer of a commit is lost


def big(seed):
    return bytes([seed]) * (9 * MIB)


@pytest.fixture
def parts_mount(s3_bucket, mounts):
    """Of this one, 9 MiB go up in two parts."""
    return mounts(s3_bucket, part_size="8M").mount()


@pytest.mark.parametrize("count", [1, 3])
def test_f37_a_lost_answer_to_complete(parts_mount, s3_bucket, proxy, count):
    """It is not asked again: a look tells that it was done."""
    m = parts_mount
    (m / "old").write_bytes(big(1))
    m.sync()
    fault = proxy.fault("drop", method="POST", path="uploadId=", count=2 * count)
    (m / "old").write_bytes(big(2))
    (m / "new").write_bytes(big(3))
    m.sync()
    assert fault.hits == 2
    assert (s3_bucket.get("old"), s3_bucket.get("new")) == (big(2), big(3))
    assert_same(s3_bucket, m.path)
    assert m.status()["last_error"] is None


def test_f39_a_lost_answer_to_complete_and_a_crash(parts_mount, s3_bucket, proxy):
    m = parts_mount
    (m / "f").write_bytes(big(1))
    m.sync()
    fault = proxy.fault("drop", method="POST", path="uploadId=", count=-1)
    (m / "f").write_bytes(big(2))
    wait_until(lambda: fault.hits, what="the commit")
    m.kill9()
    proxy.heal()
    before = proxy.body_bytes("/f")
    m.mount()
    m.sync()
    assert s3_bucket.get("f") == big(2)
    assert_same(s3_bucket, m.path)
    assert proxy.body_bytes("/f") - before < MIB, "the body was sent again"


def test_a_lost_answer_to_complete_and_another_writer(parts_mount, s3_bucket, proxy):
    """Theirs came after ours: it is not overwritten by asking again."""
    m = parts_mount
    lost = proxy.fault("drop", method="POST", path="uploadId=")
    (m / "f").write_bytes(big(1))
    wait_until(lambda: lost.hits, what="the commit")
    proxy.fault("status", path="/f", count=-1)
    wait_until(lambda: s3_bucket.keys() == ["f"], what="the object")
    s3_bucket.put("f", b"theirs")
    proxy.heal()
    m.sync(status=None)
    assert s3_bucket.get("f") == b"theirs"
    assert s3_bucket.uploads() == []


def test_a_refusal_says_what_the_server_said(s3_mount, proxy):
    m = s3_mount.mount()
    proxy.fault("status", method="PUT", path="/f$", code=400, count=-1)
    (m / "f").write_bytes(b"x")
    assert "(HTTP 400)" in m.sync(status=1).stderr
    (m / "f").unlink()
    m.sync()


def test_trouble_says_what_the_server_said(s3_mount, proxy):
    """And not what it said to the question whether the object is there."""
    m = s3_mount.mount(upload_delay="0s")
    fault = proxy.fault("status", method="PUT", path="/f$", code=503, count=-1)
    (m / "f").write_bytes(b"x")
    wait_until(lambda: fault.hits >= 4, what="tries")
    said = m.run("status", "--check", m.path, status=3).stdout
    assert "HTTP 503" in said + str(m.status()["last_error"])
    assert "404" not in said + m.log.read_text()
    proxy.heal()
    m.sync()


# ---- a name that is a file and a folder


def objects(bucket):
    """All keys, markers too."""
    reply = bucket.s3.list_objects_v2(Bucket=bucket.name)
    keys = [o["Key"] for o in reply.get("Contents", ())]
    return sorted(k for k in keys if ".ckptfs/" not in k)


def refused_by_server(bucket, key, data):
    with pytest.raises(botocore.exceptions.ClientError):
        bucket.put(key, data)


def shows(folder, *names):
    """Where no listing is older than the question, the second is sure to have
    merged the first."""
    wait_until(
        lambda: sorted(os.listdir(folder)) == sorted(names),
        what=f"{folder} to show {names}, not {os.listdir(folder)}",
    )


@pytest.fixture
def fresh_mount(s3_bucket, mounts):
    """Whose every question goes to the bucket."""
    return mounts(s3_bucket, metadata_ttl="0").mount()


@pytest.mark.parametrize("ours", [False, True])
def test_a_file_and_a_folder_of_one_name(s3_bucket, fresh_mount, ours):
    """MinIO takes both, and does not list what is below the file.  A server that
    lists both is what tests/unit/test_sim_names.c has."""
    m = fresh_mount
    if ours:
        (m / "f").write_bytes(b"file")
        m.sync()
    else:
        s3_bucket.put("f", b"file")
    if not s3_bucket.server.is_flat:
        refused_by_server(s3_bucket, "f/x", b"below")
        return
    s3_bucket.put("f/x", b"below")
    for _ in range(3):
        shows(m.path, "f")
    with (m / "f").open("ab") as f:
        f.write(b" and more")
    m.sync()
    assert s3_bucket.get("f") == b"file and more"
    assert s3_bucket.get("f/x") == b"below"
    (m / "f").unlink()
    m.sync()
    wait_until((m / "f").is_dir, what="the folder")
    assert (m / "f/x").read_bytes() == b"below"


def test_others_make_a_file_of_a_folder_and_a_folder_of_a_file(s3_bucket, fresh_mount):
    m = fresh_mount
    s3_bucket.put("f", b"file")
    s3_bucket.put("d/e/x", b"below")
    shows(m.path, "d", "f")
    assert (m / "d/e/x").read_bytes() == b"below"
    s3_bucket.delete("f")
    s3_bucket.put("f/x", b"now below")
    s3_bucket.delete("d/e/x")
    s3_bucket.put("d", b"now a file")
    wait_until(lambda: os.listdir(m.path) and (m / "f").is_dir(), what="folder f")
    assert (m / "f/x").read_bytes() == b"now below"
    # From the inside to the outside, a listing each.
    wait_until(lambda: os.listdir(m.path) and (m / "d").is_file(), what="file d")
    assert (m / "d").read_bytes() == b"now a file"
    m.sync()
    assert objects(s3_bucket) == ["d", "f/x"]


def test_bytes_in_a_folders_marker_are_not_lost(s3_bucket, s3_mount):
    if not s3_bucket.server.is_flat:
        refused_by_server(s3_bucket, "d/", b"data")
        return
    s3_bucket.put("d/", b"data")
    s3_bucket.put("d/x", b"x")
    m = s3_mount.mount()
    assert os.listdir(m / "d") == ["x"]
    (m / "d/x").unlink()
    m.sync()
    refused(errno.ENOTEMPTY, os.rmdir, m / "d")
    (m / "e").mkdir()
    refused(errno.ENOTEMPTY, os.rename, m / "e", m / "d")
    assert "d/: the object of this name holds 4 bytes" in m.log.read_text()
    (m / "d/y").write_bytes(b"y")
    m.sync()
    (m / "d/y").unlink()
    m.sync()
    assert s3_bucket.get("d/") == b"data"
    (m / "d").rename(m / "f")
    m.sync()
    assert objects(s3_bucket) == ["e/", "f/"]
    assert s3_bucket.get("f/") == b"data"


def test_folders_that_others_made_can_be_removed(s3_bucket, fresh_mount):
    m = fresh_mount
    for key in ("d/", "e/", "e/x", "f/"):
        s3_bucket.put(key, b"")
    shows(m.path, "d", "e", "f")
    (m / "d").rmdir()
    shutil.rmtree(m / "e")
    (m / "f/y").write_bytes(b"y")
    m.sync()
    assert objects(s3_bucket) == ["f/", "f/y"]
    for _ in range(2):
        shows(m.path, "f")
    (m / "f/y").unlink()
    m.sync()
    assert objects(s3_bucket) == ["f/"]  # theirs, all the time


def test_what_is_being_deleted_does_not_come_back(s3_bucket, fresh_mount, proxy):
    m = fresh_mount
    (m / "d/e").mkdir(parents=True)
    for name in ("d/x", "d/e/y"):
        (m / name).write_bytes(b"x")
    m.sync()
    held = proxy.fault("status", method="DELETE", count=-1)
    shutil.rmtree(m / "d")
    wait_until(lambda: held.hits, what="a delete")
    for _ in range(3):
        assert os.listdir(m.path) == []
        refused(errno.ENOENT, os.stat, m / "d")
    proxy.heal()
    m.sync()
    shows(m.path)
    assert objects(s3_bucket) == []


# ---- the order of publication


def test_nothing_shows_out_of_order(s3_mount, proxy):
    m = s3_mount.mount()
    # Whatever could overtake the shards does.
    proxy.fault("delay", method="PUT|POST", path="/shard-", count=-1, seconds=0.5)
    train = [sys.executable, str(HERE / "train.py"), str(m.path)]
    subprocess.run([*train, "--steps", "2", "--size", "300000"], check=True)
    m.umount()
    order = watch.Order()
    for what, key in proxy.commits():
        if ".ckptfs/" not in key:
            (order.gone if what == "delete" else order.shown)(key)
    assert order.violations == []
    assert ("put", "step-000002/complete") in proxy.commits()
