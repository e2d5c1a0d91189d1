# SPDX-License-Identifier: Apache-2.0
"""Many names, small files, and the first bytes of a large one."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

from bench_memory import peak
from bench_names import SMALL, create_all, timed
from bench_transfer import Rclone, cpu_of
from benchlib import MIB, figure, result, rounds_of
from buckets import DirBucket, S3Bucket
from mount import Mount
from servers import VersityGW

PER_FOLDER = 1_000


# As versitygw keeps what it needs to tell of an object.
ETAG = ("user.etag", b'"9dd4e461268c8034f5c8564e155c67a6"')


def seed(folder, n):
    """n objects of a byte, as a server that keeps objects in files has them."""
    folder.mkdir(parents=True)
    for i in range(n):
        fd = os.open(folder / f"object-{i:06}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"x")
        os.setxattr(fd, *ETAG)
        os.close(fd)


def seed_tree(folder, n):
    """The same in folders of a thousand, a hundred of those in each."""
    for i in range(0, n, PER_FOLDER):
        k = i // PER_FOLDER
        seed(folder / f"{k // 100:03}" / f"{k:05}", min(PER_FOLDER, n - i))


def listed(path, *options):
    """Seconds that ls takes, and how many lines it printed."""
    began = time.monotonic()
    done = subprocess.run(["ls", *options, path], capture_output=True, check=True)
    return time.monotonic() - began, done.stdout.count(b"\n")


def want(what, got, count):
    if got != count:
        sys.exit(f"bench: {what}: {got} names, not {count}")


def database_bytes(mount):
    """Of the pages in use, its log taken in: of a copy, since to open it is to
    write to it."""
    copy = mount.cache_dir.with_name("database")
    copy.mkdir()
    for path in mount.cache_dir.glob("*/db*"):
        shutil.copy(path, copy)
    db = sqlite3.connect(copy / "db")
    pages = db.execute("select * from pragma_page_count").fetchone()[0]
    size = db.execute("select * from pragma_page_size").fetchone()[0]
    db.close()
    return pages * size


class Fresh:
    """Mounts of one bucket, each with an empty cache."""

    def __init__(self, work, bucket, **options):
        self.work, self.bucket, self.n, self.m = work, bucket, 0, None
        self.options = {**bucket.options, **options}

    def mount(self):
        self.n += 1
        cache = self.work / f"cache{self.n}"
        source, env = self.bucket.source, self.bucket.env
        self.m = Mount(source, self.work / "mnt", cache, env, **self.options)
        return self.m.mount()

    def umount(self):
        self.m.umount()
        shutil.rmtree(self.m.cache_dir)

    def discard(self):
        if self.m:
            self.m.discard()


def heads(server):
    return server.access_log.read_text().count("HeadObject")


def list_once(fresh, server, count, seen):
    """ls -f of a cold folder; what else there is to know of it goes to seen."""
    m = fresh.mount()
    pid = m.pid()
    before = cpu_of(pid)
    cold, lines = listed(m / "dir", "-f")
    want("ls -f", lines - 2, count)
    seen["cpu"].append(cpu_of(pid) - before)
    seen["warm"].append(min(listed(m / "dir", "-f")[0] for _ in range(3)))
    asked = heads(server)
    taken, lines = listed(m / "dir", "-l")
    want("ls -l", lines - 1, count)
    seen["ls -l"].append(taken)
    seen["heads"].append(heads(server) - asked)
    seen["memory"].append(peak(pid) / MIB)
    fresh.umount()
    return cold


def list_names(work, args):
    """`ls -f` of a folder of 100,000 objects that others put there."""
    count = args.count or 100_000
    server = VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    seed(server.data / "bench" / "dir", count)
    rclone = Rclone(server, bucket.name)
    fresh = Fresh(work, bucket, metadata_ttl="1h")
    seen = {k: [] for k in ("cpu", "warm", "ls -l", "heads", "memory")}
    others = []

    def once(side):
        if side == "ckptfs":
            return list_once(fresh, server, count, seen)
        taken, used, out = rclone.run("rclone", "lsf", f"b:{bucket.name}/dir")
        want("rclone lsf", out.count("\n"), count)
        others.append(used)
        return taken

    try:
        seconds = rounds_of(["ckptfs", "rclone"], args.rounds, once)
    finally:
        fresh.discard()
        server.stop()
    what = f"{count} objects in a folder"
    return [
        result(f"{what}, ls -f", count, seconds, "ckptfs", "rclone", 1.2, "names"),
        figure(f"{what}, ls -f again", seen["warm"][1:], "s", 0.3),
        figure(f"{what}, ls -l", seen["ls -l"][1:], "s"),
        figure(f"{what}, requests of ls -l", seen["heads"][1:], "HEAD", 300),
        figure(f"{what}, processor, ckptfs", seen["cpu"][1:], "s"),
        figure(f"{what}, processor, rclone", others[1:], "s"),
        figure(f"{what}, daemon's memory", seen["memory"][1:], "MiB", 256),
    ]


def tree(work, args):
    """find over 1,000,000 objects, a thousand in each folder; once, for the time
    says little."""
    count = args.count or 1_000_000
    bucket = DirBucket(work / "bucket")
    seed_tree(bucket.folder / "tree", count)
    fresh = Fresh(work, bucket, metadata_ttl="1h")
    try:
        m = fresh.mount()
        pid = m.pid()
        taken, found = {}, {}
        for test in ("-type", "-size"):
            began = time.monotonic()
            command = ["find", m / "tree", test, "f" if test == "-type" else "1"]
            done = subprocess.run(command, capture_output=True, check=True)
            taken[test] = time.monotonic() - began
            found[test] = done.stdout.count(b"\n")
        want("find -type f", found["-type"], count)
        memory, used = peak(pid) / MIB, cpu_of(pid)
        m.umount()
        rows = database_bytes(m)
    finally:
        fresh.discard()
    what = f"{count} objects in a tree"
    return [
        figure(f"{what}, find -type f", [taken["-type"]], "s"),
        figure(f"{what}, find -size 1", [taken["-size"]], "s"),
        figure(f"{what}, processor", [used], "s"),
        figure(f"{what}, daemon's memory", [memory], "MiB", 256),
        figure(f"{what}, database", [rows / count], "bytes per object"),
    ]


def small(work, args):
    """10,000 files of 4 KiB made in a folder, and sent."""
    count = args.count or 10_000
    server = VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    local, copy = work / "local", work / "copy"
    for folder in (local, copy):
        folder.mkdir()
    rclone = Rclone(server, bucket.name)
    fresh = Fresh(work, bucket, upload_delay=0)
    made = {"mount": [], "local": []}
    cpu = {"made": [], "sent": []}
    create_all(copy / "files", count)

    def once(side):
        if side == "rclone":
            target = f"b:{bucket.name}/rclone-{len(made['local'])}"
            source = str(copy / "files")
            return rclone.run("rclone", "copy", "--transfers=8", source, target)[0]
        i = len(made["local"])
        made["local"].append(timed(create_all, local / f"many{i}", count))
        shutil.rmtree(local / f"many{i}")
        m = fresh.mount()
        pid = m.pid()
        before = cpu_of(pid)
        began = time.monotonic()
        create_all(m / f"many{i}", count)
        made["mount"].append(time.monotonic() - began)
        cpu["made"].append(cpu_of(pid) - before)
        m.sync(timeout=1800)
        taken = time.monotonic() - began
        cpu["sent"].append(cpu_of(pid) - before)
        fresh.umount()
        return taken

    try:
        sent = rounds_of(["ckptfs", "rclone"], args.rounds, once)
    finally:
        fresh.discard()
        server.stop()
    what, total = f"{count} files of 4 KiB", count * len(SMALL)
    each = [s / count * 1e6 for s in made["mount"][1:]]
    return [
        figure(f"{what} made, a file", each, "us", 100),
        result(f"{what} made", total, made, "mount", "local"),
        result(f"{what} made and sent", total, sent, "ckptfs", "rclone"),
        *(
            figure(f"{what}, processor, {k}", [s / count * 1e6 for s in v[1:]], "us")
            for k, v in cpu.items()
        ),
    ]


def first_byte(path):
    began = time.monotonic()
    fd = os.open(path, os.O_RDONLY)
    try:
        want("the first byte", len(os.pread(fd, 1, 0)), 1)
    finally:
        os.close(fd)
    return time.monotonic() - began


def patterns(total):
    """{name: offsets} of blocks of 1 MiB, 64 of them: as readers of
    checkpoints go."""
    last = total // MIB - 1
    return {
        "forwards": range(64),
        "backwards": range(last, last - 64, -1),
        "strided": range(0, 64 * 16, 16),
        "end first": [last, *range(63)],
    }


def cold(work, args):
    """The first byte of a file of 10 GiB, and 64 MiB of it in some orders."""
    total = args.size or 10 << 30
    server = VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    bucket.put("large.bin", b"")
    os.truncate(server.data / "bench" / "large.bin", total)
    rclone = Rclone(server, bucket.name)
    fresh = Fresh(work, bucket)
    reads = {name: [] for name in patterns(total)}
    brought = {name: [] for name in reads}

    def once(side):
        if side == "rclone":
            source = f"b:{bucket.name}/large.bin"
            return rclone.run("rclone", "cat", "--count", "1", source)[0]
        if side == "one GET":
            began = time.monotonic()
            got = bucket.s3.get_object(
                Bucket=bucket.name, Key="large.bin", Range="bytes=0-0"
            )
            got["Body"].read()
            return time.monotonic() - began
        taken = first_byte(fresh.mount() / "large.bin")
        fresh.umount()
        return taken

    def read(name):
        m = fresh.mount()
        began = time.monotonic()
        with (m / "large.bin").open("rb", buffering=0) as f:
            for block in patterns(total)[name]:
                want(name, len(os.pread(f.fileno(), MIB, block * MIB)), MIB)
            reads[name].append(time.monotonic() - began)
            brought[name].append(m.status()["cache"]["fetched_bytes"] / MIB)
        fresh.umount()

    try:
        seconds = rounds_of(["ckptfs", "one GET", "rclone"], args.rounds, once)
        for _ in range(args.rounds):
            for name in reads:
                read(name)
    finally:
        fresh.discard()
        server.stop()
    what = f"cold file of {total // MIB} MiB"
    return [
        result(f"{what}, first byte", 1, seconds, "ckptfs", "rclone", None, "bytes"),
        figure(f"{what}, first byte", [s * 1000 for s in seconds["ckptfs"]], "ms"),
        figure(f"{what}, one GET", [s * 1000 for s in seconds["one GET"]], "ms"),
        *(figure(f"64 MiB of it {name}", v, "s") for name, v in reads.items()),
        *(
            figure(f"brought for 64 MiB {name}", v, "MiB")
            for name, v in brought.items()
        ),
    ]
