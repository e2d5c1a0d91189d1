# SPDX-License-Identifier: Apache-2.0
"""What only the bucket has: what a reader of it costs, in requests and bytes."""

import io
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from mount import wait_until

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
LARGE = 10 * GIB


def stamp(i):
    return i.to_bytes(8, "big")


def put_large(server, bucket, key, begin=b"", end=b""):
    """An object of 10 GiB, for a server that keeps objects in files: each MiB
    of it begins with its number, but for the first and last."""
    bucket.put(key, b"x")
    fd = os.open(server.data / bucket.name / key, os.O_WRONLY)
    os.truncate(fd, LARGE)
    for i in range(LARGE // MIB):
        os.pwrite(fd, stamp(i), i * MIB)
    os.pwrite(fd, begin, 0)
    os.pwrite(fd, end, LARGE - len(end))
    os.close(fd)


def gets(proxy, key):
    return [r for r in proxy.requests("GET") if r.key == key]


def at_rest(proxy, key):
    """Bytes that came of it, and by how many requests, once none is under way."""
    wait_until(lambda: all(r.end for r in gets(proxy, key)), 60, "no request")
    asked = gets(proxy, key)
    return sum(r.received for r in asked), len(asked)


@pytest.fixture
def large(versitygw, s3_bucket):
    put_large(versitygw, s3_bucket, "f")
    return "f"


def test_the_first_byte_of_a_large_file_costs_a_round_trip(
    versitygw, s3_mount, s3_bucket, proxy
):
    """10 GiB, of which hardly anything has come by then."""
    s3_bucket.put("f", b"begin")
    os.truncate(versitygw.data / s3_bucket.name / "f", 10 * GIB)
    mnt = s3_mount.mount()
    assert (mnt / "f").stat().st_size == 10 * GIB
    proxy.limit(down=32 << 20)
    before = len(proxy.requests())
    with (mnt / "f").open("rb", buffering=0) as f:
        assert f.read(5) == b"begin"
        asked = proxy.requests()[before:]
    mnt.discard()
    heads = [r for r in asked if r.method == "HEAD"]
    gets = [r for r in asked if r.method == "GET" and r.key == "f"]
    assert len(heads) <= 1
    assert len(asked) == len(heads) + len(gets)
    # No range was waited for before another was asked for.
    ends = [r.end for r in gets if r.end]
    assert max(r.start for r in gets) <= min(ends, default=float("inf"))
    assert sum(r.received for r in gets) < GIB
    wait_until(lambda: not mnt.alive(), what="its end")


# ---- what comes is what is read, and as much again for each way to read


def blocks(offsets, size=MIB):
    """Reads such blocks, and looks at the stamps; how many bytes."""

    def read(f):
        n = 0
        for at in offsets:
            got = os.pread(f.fileno(), size, at)
            assert len(got) == size
            if at and at % MIB == 0:
                assert got[:8] == stamp(at // MIB)
            n += size
        return n

    return read


MAPPED = """
import mmap, random, sys
MIB = 1 << 20
with open(sys.argv[1], "rb") as f:
    m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
    m.madvise(mmap.MADV_RANDOM)
    for i in random.Random(1).sample(range(1, len(m) // MIB), 100):
        assert m[i * MIB : i * MIB + 8] == i.to_bytes(8, "big")
"""


def mapped(f):
    """By another process: who waits for a page keeps the threads of his own from
    running, and so the proxy."""
    subprocess.run([sys.executable, "-c", MAPPED, f.name], check=True, timeout=120)
    return 100 * mmap.PAGESIZE


FORWARDS = range(0, 64 * MIB, MIB)
RANDOM = [4 * KIB * random.Random(i).randrange(LARGE // (4 * KIB)) for i in range(200)]
# name: what reads; so many times the bytes, and more, may come; by so many requests
WAYS = {
    "forwards": (blocks(FORWARDS), 3.5, 2 * MIB, 60),
    "backwards": (blocks([LARGE - MIB - i for i in FORWARDS]), 3.5, 2 * MIB, 60),
    "blocks-backwards": (
        blocks([LARGE - 8 * MIB * (i + 1) for i in range(16)], 8 * MIB),
        2.5,
        2 * MIB,
        100,
    ),
    "strided": (blocks([16 * i for i in FORWARDS]), 2.5, 8 * MIB, 200),
    "strided-large": (
        blocks([128 * MIB * i for i in range(32)], 8 * MIB),
        2,
        8 * MIB,
        150,
    ),
    "random": (blocks(RANDOM, 4 * KIB), 16, 2 * MIB, 210),
    "mapped": (mapped, 16, 2 * MIB, 110),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_reader_costs_what_he_reads(s3_mount, proxy, large, way):
    read, times, more, requests = WAYS[way]
    mnt = s3_mount.mount()
    with (mnt / large).open("rb", buffering=0) as f:
        n = read(f)
    came, asked = at_rest(proxy, large)
    print(f"{way}: {n / MIB:.1f} MiB read, {came / MIB:.1f} came by {asked} GETs")
    assert came <= times * n + more
    assert asked <= requests


def test_slices_of_a_safetensors_file(versitygw, s3_mount, s3_bucket, proxy):
    """The header, then one slice of each tensor, as a rank takes its share."""
    n, each = 64, LARGE // 64 - 2 * MIB
    head = json.dumps(
        {
            f"t{i}": {"dtype": "U8", "shape": [each], "data_offsets": [i, i]}
            for i in range(n)
        }
    ).encode()
    head = len(head).to_bytes(8, "little") + head
    put_large(versitygw, s3_bucket, "m.safetensors", begin=head)
    mnt = s3_mount.mount()
    read = 0
    with (mnt / "m.safetensors").open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
        assert len(json.loads(f.read(size))) == n
        for i in range(1, n):
            at = (i * each + each // 8) // MIB * MIB
            f.seek(at)
            assert f.read(2 * MIB)[:8] == stamp(at // MIB)
            read += 2 * MIB
    came, asked = at_rest(proxy, "m.safetensors")
    print(f"{read / MIB:.1f} MiB read, {came / MIB:.1f} came by {asked} GETs")
    assert came <= 2.5 * read + 8 * MIB
    assert asked <= 5 * n


def test_one_member_of_a_large_archive(versitygw, s3_mount, s3_bucket, proxy):
    """Its directory is at the end."""
    whole, data = io.BytesIO(), os.urandom(3 * MIB)
    with zipfile.ZipFile(whole, "w") as z:
        for i in range(100):
            z.writestr(f"archive/data/{i}", b"")
        z.writestr("archive/data.pkl", data)
    # offsets count from where the archive begins: its end is found from the end
    put_large(versitygw, s3_bucket, "m.pt", end=whole.getvalue())
    mnt = s3_mount.mount()
    with zipfile.ZipFile(mnt / "m.pt") as z:
        assert z.read("archive/data.pkl") == data
    came, asked = at_rest(proxy, "m.pt")
    print(f"3 MiB read, {came / MIB:.1f} came by {asked} GETs")
    assert came <= 16 * MIB
    assert asked <= 12


def test_most_of_a_file_brings_the_rest(s3_mount, s3_bucket, proxy):
    """And is whole then, though nobody has read all of it."""
    data = os.urandom(64 * MIB)
    s3_bucket.put("f", data)
    mnt = s3_mount.mount()
    with (mnt / "f").open("rb", buffering=0) as f:
        for at in range(0, 40 * MIB, MIB):
            assert os.pread(f.fileno(), MIB, at) == data[at : at + MIB]
        wait_until(
            lambda: mnt.status(mnt / "f")["cached_bytes"] == len(data),
            what="all of it",
        )
    proxy.fault("status", method="GET", path="/f", code=403, count=-1)
    assert (mnt / "f").read_bytes() == data


# ---- who has gone wants nothing

READER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
at, step = int(sys.argv[2]), 1 << 20
while True:
    assert len(os.pread(fd, step, at)) == step
    at += step
    print(at, flush=True)
"""


class Reader:
    """Reads on and on, from a place."""

    def __init__(self, path, at=0):
        self.p = subprocess.Popen(
            [sys.executable, "-c", READER, path, str(at)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def reads(self, n):
        for _ in range(n):
            assert self.p.stdout.readline()

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait(30)
        self.p.stdout.close()


def first_of(r):
    """Where its range begins."""
    return int(r.headers["range"].partition("=")[2].partition("-")[0])


def test_a_killed_reader_cancels_what_he_wanted(s3_mount, proxy, large):
    mnt = s3_mount.mount()
    proxy.limit(down=64 * MIB)
    reader = Reader(mnt / large)
    reader.reads(32)
    assert any(r.end is None for r in gets(proxy, large))
    reader.kill()
    before = sum(r.received for r in gets(proxy, large))
    came, _ = at_rest(proxy, large)
    # what had been asked for was cut off, not waited for
    assert came - before <= 16 * MIB
    wait_until(lambda: mnt.status()["opens"]["now"] == 0, what="closed")
    assert at_rest(proxy, large)[0] == came


def test_only_what_nobody_else_wants_is_cancelled(s3_mount, proxy, large):
    mnt = s3_mount.mount()
    proxy.limit(down=64 * MIB)
    one, two = Reader(mnt / large), Reader(mnt / large, 5 * GIB)
    one.reads(24)
    two.reads(8)
    one.kill()

    def none_of_his():
        under_way = [r for r in gets(proxy, large) if r.end is None]
        return all(first_of(r) >= 5 * GIB for r in under_way)

    wait_until(none_of_his, what="his requests end")
    asked = len(gets(proxy, large))
    two.reads(32)
    later = gets(proxy, large)[asked:]
    assert all(first_of(r) >= 5 * GIB for r in later)
    two.kill()


def test_a_child_that_closes_what_it_inherited_cancels_nothing(s3_mount, proxy, large):
    mnt = s3_mount.mount()
    proxy.limit(down=64 * MIB)
    fd = os.open(mnt / large, os.O_RDONLY)
    try:
        for i in range(16):
            os.pread(fd, MIB, i * MIB)
        subprocess.run(["true"], pass_fds=[fd], check=True)
        for i in range(16, 32):
            os.pread(fd, MIB, i * MIB)
        cut = [r for r in gets(proxy, large) if r.end and r.status is None]
        assert cut == []
    finally:
        os.close(fd)


# ---- what has come stays for a while


def test_who_opens_it_again_finds_what_has_come(s3_mount, proxy, large):
    mnt = s3_mount.mount()
    for i in range(1, 9):  # as some libraries do for each tensor
        with (mnt / large).open("rb", buffering=0) as f:
            for k in range(i):
                assert os.pread(f.fileno(), 8, k * GIB + MIB) == stamp(k * KIB + 1)
    came, asked = at_rest(proxy, large)
    assert came <= 16 * MIB
    # Of 36 reads 8 are of something new; an open that comes after a second asks
    # the store once more, and a machine that is busy has more of these.
    assert asked < 36
    # it makes way for others
    done = mnt.run("evict", mnt / large)
    assert done.returncode == 0
    assert mnt.status(mnt / large)["cached_bytes"] == 0


def test_a_replaced_file_that_was_read_in_part_is_the_new_one(
    s3_mount, s3_bucket, large
):
    mnt = s3_mount.mount(metadata_ttl="1h")
    with (mnt / large).open("rb", buffering=0) as f:
        assert os.pread(f.fileno(), 8, 3 * MIB) == stamp(3)
    new = os.urandom(MIB)
    s3_bucket.put(large, new)
    shown = time.monotonic() + 1.1  # for so long nobody asks the store again
    wait_until(lambda: time.monotonic() > shown, what="a second")
    assert (mnt / large).read_bytes() == new
