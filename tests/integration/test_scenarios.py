# SPDX-License-Identifier: Apache-2.0
"""What frameworks do at their worst moment, on a mount of an S3 server."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from mount import wait_until
from published import Follower
from saves import MIB, digest, pl_save


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


def safetensors(size):
    """A file of that size whose header is right, as its reader checks."""
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    room = 1016
    data = size - 8 - room
    text = (header % (data, data)).ljust(room)
    return room.to_bytes(8, "little") + text + os.urandom(data)


def commits_of(proxy, key):
    return [kind for kind, k in proxy.commits() if k == key]


def test_s1_the_stall_is_local_and_the_upload_is_not(mnt, s3_bucket, proxy):
    proxy.limit(up=4 * MIB)
    data = os.urandom(64 * MIB)
    pl_save(data, str(mnt / "run/a.ckpt"))
    # How near to a local save it is, is for the bench.
    assert proxy.body_bytes("run/a.ckpt") < len(data) / 2
    assert s3_bucket.keys("run/") == []
    proxy.limit()
    assert (mnt / "run/a.ckpt").read_bytes() == data
    mnt.sync()
    assert digest(s3_bucket.get("run/a.ckpt")) == digest(data)
    # utimens and two chmods followed the close
    assert len(commits_of(proxy, "run/a.ckpt")) == 1
    assert proxy.body_bytes("run/a.ckpt") < 1.05 * len(data) + 5 * MIB


def test_s3_a_temporary_is_written_synced_and_replaced(mnt, s3_bucket, proxy):
    (mnt / "run").mkdir()
    data = os.urandom(64 * MIB)
    fd, temporary = tempfile.mkstemp(dir=mnt / "run", prefix="tmp")
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    began = time.monotonic()
    os.replace(temporary, mnt / "run/final.ckpt")
    replaced = time.monotonic() - began
    fd = os.open(mnt / "run", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)
    mnt.sync()
    assert s3_bucket.keys() == ["run/final.ckpt"]
    assert s3_bucket.get("run/final.ckpt") == data
    assert replaced < 0.5
    # What lies under .ckptfs/ is ours: the trials of the mount.
    touched = {k for _, k in proxy.commits() if not k.endswith("/")}
    assert {k for k in touched if not k.startswith(".ckptfs/")} == {"run/final.ckpt"}
    assert proxy.body_bytes("run/final.ckpt") < 1.05 * len(data)
    assert not proxy.requests(path=r"/run/tmp")


def test_s4_last_is_a_link(mnt, s3_bucket, proxy, mounts):
    """Whenever the bucket has the link, it has what that leads to."""
    # so slow that the link would be first, did it not wait
    proxy.fault("delay", method="PUT|POST", path="/epoch=", count=-1, seconds=0.3)
    folder, link = mnt / "ck", mnt / "ck/last.ckpt"
    with Follower(s3_bucket, "ck/last.ckpt", lambda to: [f"ck/{to.decode()}"]) as f:
        for i in range(3):
            pl_save(b"%d" % i * MIB, str(folder / f"epoch={i}.ckpt"))
            link.unlink(missing_ok=True)
            link.symlink_to(f"epoch={i}.ckpt")
            if i:
                (folder / f"epoch={i - 1}.ckpt").unlink()
            assert link.read_bytes() == b"%d" % i * MIB
            wait_until(lambda i=i: b"epoch=%d.ckpt" % i in f.seen, what="the link")
        mnt.sync()
    assert s3_bucket.keys() == ["ck/epoch=2.ckpt", "ck/last.ckpt"]
    # over a folder, and by a link that is renamed
    (folder / "other").mkdir()
    (folder / "other/file").write_bytes(b"x")
    shutil.rmtree(folder / "other")
    (folder / "other").symlink_to("epoch=2.ckpt")
    (folder / "temporary").symlink_to("other")
    os.replace(folder / "temporary", link)
    mnt.sync()
    assert s3_bucket.keys() == ["ck/epoch=2.ckpt", "ck/last.ckpt", "ck/other"]
    cold = mounts(s3_bucket, "cold").mount()
    assert os.readlink(cold / "ck/last.ckpt") == "other"
    assert (cold / "ck/last.ckpt").read_bytes() == b"2" * MIB


def test_s6_last_is_overwritten_faster_than_the_network(mnt, s3_bucket, proxy, mounts):
    size, rounds = 4 * MIB, 12
    proxy.limit(up=8 * MIB)
    versions = [os.urandom(64) + bytes(size - 64) for _ in range(rounds)]
    known = {digest(v): i for i, v in enumerate(versions)}
    other = mounts(s3_bucket, "other", metadata_ttl="1s").mount()
    seen, wrong, done = [], [], threading.Event()

    def read_all(read):
        while not done.is_set():
            try:
                data = read()
            except (FileNotFoundError, s3_bucket.s3.exceptions.NoSuchKey):
                time.sleep(0.05)
                continue
            except OSError as e:
                wrong.append(e)
                continue
            if digest(data) in known:
                seen.append(known[digest(data)])
            else:
                wrong.append(len(data))
            time.sleep(0.05)

    readers = [
        threading.Thread(target=read_all, args=(lambda: s3_bucket.get("last.ckpt"),)),
        threading.Thread(target=read_all, args=((other / "last.ckpt").read_bytes,)),
    ]
    for r in readers:
        r.start()
    for version in versions:
        pl_save(version, str(mnt / "last.ckpt"))
        time.sleep(0.2)
    mnt.sync()
    done.set()
    for r in readers:
        r.join()
    assert not wrong, f"an error, or a size or mixture nobody wrote: {wrong}"
    assert seen, "the readers never saw the file"
    assert s3_bucket.get("last.ckpt") == versions[-1]
    uploads = len(commits_of(proxy, "last.ckpt"))
    # 12 saves in 2.4 s and 0.5 s for an upload: starved would be 1
    assert 2 <= uploads <= rounds
    assert s3_bucket.uploads() == []


def test_s10_fsync_before_flush_of_a_marker(mnt, s3_bucket, proxy):
    (mnt / "s").mkdir()
    with (mnt / "s/.metadata.tmp").open("wb") as f:
        f.write(b"m" * 1000)
        os.fsync(f.fileno())
    (mnt / "s/.metadata.tmp").rename(mnt / "s/.metadata")
    mnt.sync()
    assert s3_bucket.get("s/.metadata") == b"m" * 1000
    assert s3_bucket.keys() == ["s/.metadata"]
    assert not proxy.requests("PUT|POST", r"\.metadata\.tmp")


def test_fsync_remote_of_a_save_by_rename(s3_bucket, mounts, passthrough):
    """A temporary file is uploaded once it is renamed, so its fsync waits for
    the disk alone; one of the folder waits for the bucket."""
    m = mounts(s3_bucket, passthrough=passthrough, fsync="remote").mount()
    (m / "run").mkdir()

    def fsync_folder():
        fd = os.open(m / "run", os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    data = os.urandom(MIB)
    fd, temporary = tempfile.mkstemp(dir=m / "run", prefix="tmp")
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(fd)
        assert s3_bucket.keys() == []
    os.replace(temporary, m / "run/final.ckpt")
    fsync_folder()
    assert s3_bucket.get("run/final.ckpt") == data
    with (m / "run/.metadata.tmp").open("wb") as f:
        f.write(b"m" * 1000)
        os.fsync(f.fileno())  # before the flush: of nothing
    (m / "run/.metadata.tmp").rename(m / "run/.metadata")
    fsync_folder()
    assert s3_bucket.keys() == ["run/.metadata", "run/final.ckpt"]
    assert s3_bucket.get("run/.metadata") == b"m" * 1000


MAPPER = """
import hashlib, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
os.close(fd)
for line in sys.stdin:
    at, end = map(int, line.split())
    print(hashlib.sha256(m[at:end]).hexdigest(), flush=True)
"""


class Mapped:
    """A process that maps a file.  Not this one: a page fault keeps Python's
    lock, and the proxy that is to bring the page runs in this process."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAPPER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, span):
        self.process.stdin.write(span + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def test_s13_the_replaced_file_stays_mapped(mnt, s3_bucket, proxy, mounts):
    size = 32 * MIB
    old, new = safetensors(size), safetensors(size)
    (mnt / "model.safetensors").write_bytes(old)
    mnt.umount()
    # another cache: what is mapped is cold, and fetched while it is replaced
    cold = mounts(s3_bucket, "cold", **mnt.options).mount()
    path = cold / "model.safetensors"
    with Mapped(path) as mapped:
        assert mapped.ask("0 4096") == digest(old[:4096])
        fd = os.open(cold / ".tmpAbCdEf", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, size)
        for at in range(0, size, MIB):
            os.write(fd, new[at : at + MIB])
        os.rename(cold / ".tmpAbCdEf", path)
        os.close(fd)
        cold.sync()
        assert mapped.ask(f"0 {size}") == digest(old)
        assert path.read_bytes() == new
    assert s3_bucket.get("model.safetensors") == new
    assert not proxy.requests("PUT|POST", r"/\.tmp")


def test_eight_openers_share_one_download(s3_bucket, proxy, mounts, passthrough):
    data = os.urandom(32 * MIB)
    s3_bucket.put("cold", data)
    m = mounts(s3_bucket, passthrough=passthrough).mount()
    good = []

    def read():
        good.append((m / "cold").read_bytes() == data)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert good == [True] * 8
    got = sum(r.received for r in proxy.requests("GET", "/cold"))
    assert got <= 1.05 * len(data)


def test_an_outage_is_not_seen_by_the_job(mnt, s3_bucket, proxy):
    proxy.fault("status", code=503, count=-1)
    for i in range(5):
        pl_save(os.urandom(MIB), str(mnt / f"run/{i}.ckpt"))
    wait_until(lambda: len(proxy.requests("PUT|POST")) > 2, what="attempts")
    assert s3_bucket.keys() == []
    proxy.heal()
    mnt.sync()
    assert len(s3_bucket.keys("run/")) == 5


@pytest.mark.parametrize("act", ["drop", "reset", "delay"])
def test_a_broken_reply_leaves_one_object_and_no_upload(mnt, s3_bucket, proxy, act):
    for method in ("PUT", "POST"):
        proxy.fault(act, method=method, count=2, seconds=1)
    data = os.urandom(20 * MIB)
    (mnt / "big").write_bytes(data)
    (mnt / "small").write_bytes(b"x")
    mnt.sync()
    assert s3_bucket.keys() == ["big", "small"]
    assert s3_bucket.get("big") == data
    assert s3_bucket.uploads() == []


def test_what_is_folded_leaves_no_upload(mnt, s3_bucket, proxy):
    """A part that arrives after the abort would bring the upload back."""
    proxy.fault("delay", method="PUT", path=r"/last\?part", count=-1, seconds=2)

    def parts():
        return proxy.requests("PUT", r"/last\?part")

    def uploads_with_parts():
        return len({r.query["uploadId"][0] for r in parts()})

    for i in (1, 2):
        (mnt / "last").write_bytes(os.urandom(10 * MIB))
        wait_until(lambda i=i: uploads_with_parts() == i, what="parts under way")
    # the first goes on, the second is not wanted any more
    (mnt / "last").write_bytes(b"3")
    mnt.sync()
    abort, *more = wait_until(
        lambda: proxy.requests("DELETE", r"/last\?uploadId"), what="the abort"
    )
    assert not more
    for part in parts():
        if part.query["uploadId"] == abort.query["uploadId"]:
            wait_until(lambda part=part: part.end, what="the part")
            whole = part.sent == int(part.headers["content-length"])
            # one that was cut off is none, whenever the server sees that
            assert not whole or part.end <= abort.start, "a part under way"
    wait_until(lambda: s3_bucket.uploads() == [], what="no upload is left")
    assert s3_bucket.get("last") == b"3"


def test_append_to_what_is_about_to_go_up(mnt, s3_bucket):
    """It is due while somebody appends to it: it still goes, or is folded."""
    (mnt / "metrics.csv").write_bytes(b"header\n")
    with (mnt / "metrics.csv").open("ab", buffering=0) as f:
        f.write(b"1\n")
        time.sleep(2.5)  # its delay of a second passes
        f.write(b"2\n")
    (mnt / "other").write_bytes(b"x")
    mnt.sync(timeout=20)
    assert s3_bucket.get("metrics.csv") == b"header\n1\n2\n"
    assert s3_bucket.get("other") == b"x"
