# SPDX-License-Identifier: Apache-2.0
"""Up to the bucket and down again, against the tools that do only that."""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import servers
from benchlib import (
    GIB,
    MIB,
    figure,
    read_file,
    result,
    rounds_of,
    warm_memory,
    write_file,
)
from buckets import S3Bucket
from mount import Mount

STREAMS = 8
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of(pid):
    """Seconds of processor time a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Tool:
    """A command line that copies one file; seconds of wall and processor."""

    def __init__(self, server, bucket):
        self.bucket = bucket
        own = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        self.env = dict(own, **server.env(), BENCH_ENDPOINT=server.endpoint)

    def run(self, *command):
        before, began = cpu_of_children(), time.monotonic()
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, check=False
        )
        taken = time.monotonic() - began
        if done.returncode:
            sys.exit(f"bench: {command[0]}: {done.stdout}{done.stderr}")
        return taken, cpu_of_children() - before, done.stdout


class Rclone(Tool):
    def __init__(self, server, bucket):
        super().__init__(server, bucket)
        self.env.update(
            RCLONE_CONFIG="/dev/null",
            RCLONE_CONFIG_B_TYPE="s3",
            RCLONE_CONFIG_B_PROVIDER="Other",
            RCLONE_CONFIG_B_ENV_AUTH="true",
            RCLONE_CONFIG_B_ENDPOINT=server.endpoint,
            RCLONE_CONFIG_B_REGION=servers.REGION,
        )
        self.options = [
            f"--s3-upload-concurrency={STREAMS}",
            f"--multi-thread-streams={STREAMS}",
            "--ignore-times",
        ]

    def copy(self, source, target):
        wall, cpu, _ = self.run("rclone", "copyto", *self.options, source, target)
        return wall, cpu

    def up(self, path, key):
        return self.copy(str(path), f"b:{self.bucket}/{key}")

    def down(self, key, path):
        return self.copy(f"b:{self.bucket}/{key}", str(path))


class Boto(Tool):
    """How: "classic" or "crt"; its own clock, without the start of Python."""

    def __init__(self, server, bucket, how):
        super().__init__(server, bucket)
        self.how = how
        self.script = str(Path(__file__).with_name("bench_boto.py"))

    def tell(self, *words):
        out = self.run(os.environ["BENCH_PYTHON"], self.script, self.how, *words)[2]
        said = json.loads(out)
        return said["wall"], said["cpu"]

    def up(self, path, key):
        return self.tell("up", str(path), self.bucket, key)

    def down(self, key, path):
        return self.tell("down", self.bucket, key, str(path))


class Ckptfs:
    """The mount; uploads begin at the seal, for the wait for more is no work."""

    def __init__(self, work, bucket):
        self.work, self.bucket, self.n = work, bucket, 0
        self.options = {**bucket.options, "upload_delay": 0}
        self.m = None

    def mount(self):
        self.n += 1
        cache = self.work / f"cache{self.n}"
        source, env = self.bucket.source, self.bucket.env
        self.m = Mount(source, self.work / "mnt", cache, env, **self.options)
        return self.m.mount().pid()

    def discard(self):
        if self.m:
            self.m.discard()

    def umount(self):
        self.m.umount()
        shutil.rmtree(self.m.cache_dir)

    def up(self, total, block, key):
        pid = self.mount()
        before = cpu_of(pid)
        write_file(self.m / key, total, block)
        began = time.monotonic()
        self.m.sync(timeout=600)
        taken = time.monotonic() - began
        used = cpu_of(pid) - before
        self.umount()
        return taken, used

    def down(self, key, total):
        pid = self.mount()
        before = cpu_of(pid)
        taken, got = read_file(self.m / key)
        used = cpu_of(pid) - before
        if got != total:
            sys.exit(f"bench: read {got} bytes, not {total}")
        self.umount()
        return taken, used


def transfer(work, args):
    """2 GiB from sealed to published, and read with an empty cache."""
    total, block = args.size or 2 * GIB, os.urandom(MIB)
    server = servers.VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    source, target = work / "source", work / "target"
    write_file(source, total, block)
    tools = {
        "rclone": Rclone(server, bucket.name),
        "boto3": Boto(server, bucket.name, "classic"),
        "boto3 crt": Boto(server, bucket.name, "crt"),
    }
    mount = Ckptfs(work, bucket)
    cpu = {"up": {}, "down": {}}

    def once(way, side):
        # A turn takes memory for what it reads or writes and for what the server
        # makes of it: parts and object.  What is read from a mount lies in two
        # page caches, its own and that of the file in the cache.
        warm_memory(work, total * (3 if way == "up" else 2), block)
        if way == "up" and side != "ckptfs":
            # As the mount has it: written just now, and not on the disk yet.
            source.unlink()
            write_file(source, total, block)
        if side == "ckptfs" and way == "up":
            wall, used = mount.up(total, block, "up")
        elif side == "ckptfs":
            wall, used = mount.down("down", total)
        elif way == "up":
            wall, used = tools[side].up(source, "up")
        else:
            wall, used = tools[side].down("down", target)
            target.unlink()
        if way == "up":
            bucket.delete("up")
        os.sync()
        cpu[way].setdefault(side, []).append(used / (total / GIB))
        return wall

    try:
        sides = ["ckptfs", *tools]
        up = rounds_of(sides, args.rounds, lambda side: once("up", side))
        tools["boto3"].up(source, "down")
        down = rounds_of(sides, args.rounds, lambda side: once("down", side))
    finally:
        mount.discard()
        server.stop()
    return [
        *outcome("upload", total, up, cpu["up"], 0.7),
        *outcome("cold read", total, down, cpu["down"], 0.9),
    ]


def outcome(what, total, seconds, cpu, cpu_limit):
    """Against the fastest of the others; processor time of each."""
    medians = {s: statistics.median(v) for s, v in seconds.items() if s != "ckptfs"}
    best = min(medians, key=medians.get)
    yield result(f"{what}, against {best}", total, seconds, "ckptfs", best, 1.0)
    for side, used in cpu.items():
        limit = cpu_limit if side == "ckptfs" else None
        yield figure(f"{what}, processor, {side}", used[1:], "s/GiB", limit)
