# SPDX-License-Identifier: Apache-2.0
"""Other writers of the bucket: a second mount, and a plain client."""

import errno
import mmap
import os
import time

import pytest

from mount import wait_until
from test_recover import entry, kept, recover

MIB = 1 << 20
LARGE = 24 * MIB
TTL = 10  # seconds: the default of metadata_ttl
SLACK = 4  # of a busy machine


# ---- what both sides wrote


def lose(mnt, bucket, path, data):
    """Another writer is first: ours is in conflict."""
    (mnt / path).write_bytes(b"first")
    mnt.sync()
    bucket.put(path, b"theirs")
    (mnt / path).write_bytes(data)
    wait_until(lambda: kept(mnt).get(path) == "conflict", what="a conflict")


def queue_of(mnt):
    return {e["path"]: e for e in mnt.status()["queue"]}


def test_f52_ours_lies_beside_theirs(mnt, bucket, mounts):
    """Where it lies is told wherever one looks, and no listing shows it."""
    (mnt / "d").mkdir()
    lose(mnt, bucket, "d/f", b"ours")
    synced = mnt.sync(status=1).stderr
    assert bucket.get("d/f") == b"theirs"
    assert bucket.beside() == [("d/f", b"ours")]
    doc = mnt.status()
    (one,) = doc["queue"]
    key = one["beside"]
    assert (one["path"], one["state"], one["at_risk"]) == ("d/f", "conflict", False)
    assert doc["at_risk"]["files"] == 0
    assert bucket.get(key) == b"ours"
    assert key.startswith(".ckptfs/conflict/d/f/")
    assert entry(mnt, "d/f")["beside"] == key
    assert mnt.status(mnt / "d/f")["beside"] == key
    assert key in synced
    assert key in recover(mnt, "list", mnt.path).stdout
    assert "not in the bucket: d/f (conflict" in synced
    mnt.run("status", "--check", mnt.path, status=1)
    mnt.umount(status=1)
    mnt.mount()
    assert bucket.beside() == [("d/f", b"ours")]
    other = mounts(bucket, "b").mount()
    for m in (mnt, other):
        assert os.listdir(m.path) == ["d"]
        assert os.listdir(m / "d") == ["f"]
        assert not (m / ".ckptfs").exists()
    assert (other / "d/f").read_bytes() == b"theirs"
    assert (mnt / "d/f").read_bytes() == b"ours"


@pytest.mark.parametrize("what", ["publish", "discard", "rm"])
def test_f52_a_word_about_ours_takes_what_lies_beside(mnt, bucket, what):
    lose(mnt, bucket, "f", b"ours")
    mnt.sync(status=1)
    assert bucket.beside()
    if what == "rm":
        (mnt / "f").unlink()
    else:
        recover(mnt, what, mnt / "f", *["--yes"] * (what == "discard"))
    mnt.sync()
    assert bucket.beside() == []
    assert bucket.get("f") == (b"ours" if what == "publish" else b"theirs")
    assert kept(mnt) == {}


def test_f52_what_goes_beside_is_resumed(s3_mount, s3_bucket, proxy, passthrough):
    """A kill in the middle of it; the parts that the server has are kept."""
    mnt = s3_mount.mount(passthrough=passthrough)
    (mnt / "f").write_bytes(b"first")
    mnt.sync()
    s3_bucket.put("f", b"theirs")
    data = os.urandom(LARGE)
    part = proxy.fault("status", method="PUT", path="conflict/.*partNumber=3", count=-1)
    (mnt / "f").write_bytes(data)
    wait_until(lambda: part.hits, what="the last of its parts")

    def sent(number):
        done = proxy.requests("PUT", rf"/conflict/.*partNumber={number}\b")
        return [r for r in done if r.status == 200]

    wait_until(lambda: sent(1) and sent(2), what="the others")
    hits = part.hits
    wait_until(lambda: part.hits >= hits + 2, what="they are on record")
    mnt.kill9()
    proxy.heal()
    assert s3_bucket.beside() == []
    mnt.detach()
    mnt.mount()
    mnt.sync(status=1)
    assert s3_bucket.beside() == [("f", data)]
    assert s3_bucket.get("f") == b"theirs"
    assert len(sent(1)) == len(sent(2)) == 1
    wait_until(lambda: s3_bucket.uploads() == [], what="no upload is left")


def test_f52_who_has_it_open_is_told(bucket, mounts, passthrough):
    mnt = mounts(bucket, passthrough=passthrough, upload_interval="1s").mount()
    (mnt / "f").write_bytes(b"first")
    mnt.sync()
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_APPEND)
    reader = os.open(mnt / "f", os.O_RDONLY)
    try:
        bucket.put("f", b"theirs")
        os.write(fd, b" and ours")
        os.close(os.dup(fd))  # seals what there is
        wait_until(lambda: kept(mnt).get("f") == "conflict", what="a conflict")
        with pytest.raises(OSError) as e:
            os.fsync(fd)
        assert e.value.errno == errno.ESTALE
        os.fsync(reader)
        assert os.pread(reader, 100, 0) == b"first and ours"
    finally:
        os.close(reader)
        with pytest.raises(OSError) as e:
            os.close(fd)
    assert e.value.errno == errno.ESTALE
    # Who opens it now knows what he has.
    with (mnt / "f").open("ab") as f:
        f.write(b", once more")
        f.flush()
        os.fsync(f.fileno())
    mnt.sync(status=1)
    # It does not wait for what goes once a newer one of ours is beside theirs.
    wait_until(lambda: len(bucket.beside()) == 1, what="one of ours")
    assert bucket.beside() == [("f", b"first and ours, once more")]
    assert bucket.get("f") == b"theirs"


def test_f52_a_close_that_waits_for_the_bucket_is_told(s3_mount, s3_bucket):
    mnt = s3_mount.mount(close="remote", metadata_ttl="1h")
    (mnt / "f").write_bytes(b"first")
    s3_bucket.put("f", b"theirs")
    fd = os.open(mnt / "f", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"ours")
    with pytest.raises(OSError) as e:
        os.close(fd)
    assert e.value.errno == errno.ESTALE
    mnt.sync(status=1)
    assert s3_bucket.beside() == [("f", b"ours")]


# ---- what others do, seen here


@pytest.fixture
def theirs(request, bucket, mounts):
    """theirs(do): another mount, or a plain client, does it; when it has."""
    other = mounts(bucket, "theirs").mount() if request.param == "mount" else None

    def write(path, data):
        if other:
            (other / path).parent.mkdir(exist_ok=True)
            (other / path).write_bytes(data)
        else:
            bucket.put(path, data)

    def remove(path):
        if other:
            (other / path).unlink()
        else:
            bucket.delete(path)

    def act(do, *args):
        {"write": write, "remove": remove}[do](*args)
        if other:
            other.sync()
        return time.monotonic()

    return act


both_ways = pytest.mark.parametrize("theirs", ["client", "mount"], indirect=True)


def seen_within(limit, since, check, what):
    wait_until(check, limit + SLACK, what)
    assert time.monotonic() - since < limit + SLACK, what


@both_ways
def test_what_others_do_shows_within_metadata_ttl(theirs, mnt):
    """New, replaced and deleted objects, by name and in listings."""
    theirs("write", "d/replaced", b"old")
    theirs("write", "d/deleted", b"old")
    wait_until((mnt / "d").is_dir, 20, "the folder")
    wait_until(lambda: len(os.listdir(mnt / "d")) == 2, 20, "both")
    assert (mnt / "d/replaced").read_bytes() == b"old"
    number = (mnt / "d/replaced").stat().st_ino
    assert not (mnt / "d/new").exists()

    # negative_timeout: whoever looks for one name has it a second later
    at = theirs("write", "d/new", b"fresh")
    seen_within(1, at, (mnt / "d/new").exists, "a new name")
    assert (mnt / "d/new").read_bytes() == b"fresh"
    assert "new" in os.listdir(mnt / "d")

    at = theirs("write", "d/replaced", b"something else")
    theirs("remove", "d/deleted")
    seen_within(
        TTL, at, lambda: (mnt / "d/replaced").stat().st_size == 14, "what is replaced"
    )
    assert (mnt / "d/replaced").read_bytes() == b"something else"
    assert (mnt / "d/replaced").stat().st_ino != number
    at = time.monotonic()
    seen_within(TTL, at, lambda: not (mnt / "d/deleted").exists(), "what is deleted")
    assert sorted(os.listdir(mnt / "d")) == ["new", "replaced"]


@both_ways
def test_an_open_file_keeps_its_version(theirs, bucket, mounts, passthrough):
    old, new = os.urandom(3 * MIB), os.urandom(2 * MIB)
    theirs("write", "replaced", old)
    theirs("write", "deleted", old)
    mnt = mounts(bucket, passthrough=passthrough, metadata_ttl="200ms").mount()
    names = ("replaced", "deleted")
    opened = {name: (mnt / name).open("rb") for name in names}
    maps = {}
    for name, f in opened.items():
        assert f.read() == old
        maps[name] = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    theirs("write", "replaced", new)
    theirs("remove", "deleted")
    wait_until(lambda: (mnt / "replaced").stat().st_size == len(new), what="the new")
    wait_until(lambda: not (mnt / "deleted").exists(), what="it is gone")
    assert (mnt / "replaced").read_bytes() == new
    mnt.run("evict", mnt.path)
    for name, f in opened.items():
        f.seek(0)
        assert f.read() == old
        assert os.fstat(f.fileno()).st_size == len(old)
        assert maps[name][:] == old
        maps[name].close()
        f.close()
    assert (mnt / "replaced").read_bytes() == new


@pytest.mark.parametrize("mode", ["rb", "r+b"])
def test_what_is_there_is_opened_however_fast_it_is_replaced(
    s3_bucket, mounts, passthrough, proxy, mode
):
    """Before each of the first requests for its bytes: the kernel asks for a stale
    name once more, and no oftener."""
    s3_bucket.put("f", b"old")
    mnt = mounts(s3_bucket, passthrough=passthrough, metadata_ttl="1h").mount()
    assert (mnt / "f").stat().st_size == 3
    newer = [os.urandom(1000 + i) for i in range(5)]
    left = list(newer)

    def replace(request):
        if request.method == "GET" and request.key == "f" and left:
            s3_bucket.put("f", left.pop(0))

    proxy.on_request = replace
    with (mnt / "f").open(mode) as f:
        assert f.read() == newer[-1]
    assert not left


HALVES = [{"act": "status", "code": 500}, {"act": "drop"}]


@pytest.mark.parametrize("how", HALVES, ids=["refused", "cut"])
def test_half_a_listing_makes_nothing_vanish(s3_bucket, mounts, proxy, how):
    """The second page fails."""
    s3_bucket.put_many({f"d/{i:04d}": b"" for i in range(1003)})
    mnt = mounts(s3_bucket, metadata_ttl="100ms").mount()
    assert len(os.listdir(mnt / "d")) == 1003
    fault = proxy.fault(**how, method="GET", path="continuation-token", count=-1)

    def tried_twice():
        assert len(os.listdir(mnt / "d")) == 1003
        assert (mnt / "d/1002").exists()
        return fault.hits >= 2

    wait_until(tried_twice, what="listings that fail")
    proxy.heal()
    s3_bucket.delete("d/1002")
    wait_until(lambda: not (mnt / "d/1002").exists(), what="a whole listing")
