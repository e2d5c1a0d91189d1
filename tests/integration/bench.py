#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measurements: the mount against the disk its cache lies on.

Both sides take turns in one run; the median of the rounds counts, and every
round is shown.  Only ratios mean something on a busy machine.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from buckets import DirBucket, S3Bucket
from mount import Mount
from proxy import Proxy
from servers import VersityGW
from trainer import Trainer

MIB = 1 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text):
    unit = UNITS.get(text[-1:].upper())
    return int(text[:-1]) * unit if unit else int(text)


def write_file(path, total, block):
    """Seconds from open to close of `total` bytes in writes of 1 MiB."""
    began = time.monotonic()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for _ in range(total // len(block)):
        os.write(fd, block)
    os.close(fd)
    return time.monotonic() - began


def warm_memory(total):
    """Have the machine's host back the memory that a turn takes: where it
    takes back what lies free, a page that it must bring costs six times the
    copy, and the side that meets more of them looks slow.  Three times the
    size, for the kernel does not give out first what came back last."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    touched = b"\1" * min(3 * total, free // 2)
    del touched


def rounds_of(sides, rounds, once):
    """{side: [seconds]}: once(side) for each in turn, after an unmeasured
    round that brings both sides' code and disk into their usual state.  Every
    other round goes backwards: what one side leaves behind, memory that the
    machine's host takes back for example, is the next one's to pay."""
    seconds = {name: [] for name in sides}
    names = list(sides)
    for i in range(rounds + 1):
        for name in names[:: -1 if i % 2 else 1]:
            taken = once(name)
            if i:
                seconds[name].append(round(taken, 4))
    return seconds


def save(work, args):
    """2 GiB in writes of 1 MiB, open to close."""
    total, block = args.size or 2 << 30, os.urandom(MIB)
    mounts = {}
    for name, passthrough in (("passthrough", "auto"), ("ordinary", "off")):
        bucket = DirBucket(work / f"{name}.bucket")
        # No upload of an earlier round meanwhile: each file is deleted
        # before it has settled.
        mounts[name] = Mount(
            bucket.source,
            work / f"{name}.mnt",
            work / f"{name}.cache",
            passthrough=passthrough,
            upload_delay="10m",
        ).mount()
    local = work / "local"
    local.mkdir()
    folders = {"local": local, **{n: m.path for n, m in mounts.items()}}

    def once(side):
        path = folders[side] / "save"
        warm_memory(total)
        taken = write_file(path, total, block)
        path.unlink()
        # The other side's turn begins on a quiet disk: what this one still
        # syncs and deletes, a mount within a second, is no part of that.
        time.sleep(1.5)
        os.sync()
        return taken

    try:
        seconds = rounds_of(folders, args.rounds, once)
    finally:
        for m in mounts.values():
            m.discard()
    return [
        result("save, passthrough", total, seconds, "passthrough", "local", 1.05),
        result("save, ordinary path", total, seconds, "ordinary", "local", 2.0),
    ]


def lightning_save(work, args):
    """Lightning's save of one checkpoint of 512 MiB."""
    total = args.size or 512 * MIB
    server = VersityGW(work / "server").start()
    proxy = Proxy(server.endpoint).start()
    # Lightning writes to a file in TMPDIR and moves that.  Where TMPDIR is on
    # the disk of one side this would be a copy for the one and a rename for the
    # other: so it is on neither.
    temporary = tempfile.mkdtemp(prefix="ckptfs-bench-", dir="/dev/shm")
    trainer = Trainer({"TMPDIR": temporary})
    results = []
    try:
        for name, rate in (("free", 0), ("throttled", 5_000_000)):
            proxy.limit(up=rate)
            bucket = S3Bucket(server, f"bench-{name}", proxy.endpoint)
            m = Mount(
                bucket.source,
                work / f"{name}.mnt",
                work / f"{name}.cache",
                bucket.env,
                **bucket.options,
            ).mount()
            try:
                local = work / f"{name}.local"
                local.mkdir()
                results.append(lightning_rounds(trainer, m, local, total, args, name))
            finally:
                m.discard()
    finally:
        trainer.end()
        shutil.rmtree(temporary, ignore_errors=True)
        proxy.stop()
        server.stop()
    return results


def lightning_rounds(trainer, m, local, total, args, name):
    sides = {"mount": str(m / "save.ckpt"), "local": str(local / "save.ckpt")}
    trainer.tell(
        save=list(sides.values()), width=total // (12 * 34), rounds=args.rounds + 1
    )
    answer = trainer.next("seconds", "error")
    if "error" in answer:
        sys.exit(f"bench: lightning-save: {answer['error']}")
    seconds = {side: answer["seconds"][path][1:] for side, path in sides.items()}
    what = f"lightning-save, bucket {name}"
    return result(what, answer["size"], seconds, "mount", "local", 1.10)


def result(what, total, seconds, side, base, limit):
    medians = {s: statistics.median(seconds[s]) for s in (side, base)}
    return {
        "name": what,
        "bytes": total,
        "ratio": round(medians[side] / medians[base], 3),
        "limit": limit,
        "median_seconds": medians,
        "rounds": {s: seconds[s] for s in (side, base)},
    }


def show(r):
    good = "within" if r["ratio"] <= r["limit"] else "ABOVE"
    print(f"{r['name']}: ratio {r['ratio']:.3f}, {good} {r['limit']:.2f}")
    for side, rounds in r["rounds"].items():
        rate = r["bytes"] / r["median_seconds"][side] / MIB
        text = " ".join(f"{s:.3f}" for s in rounds)
        print(f"  {side:12} {rate:7.0f} MiB/s  median of {text} s")


BENCHES = {"save": save, "lightning-save": lightning_save}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=BENCHES, metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=size, help="bytes, or with K, M, G")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    args = parser.parse_args()
    results = []
    for name in args.names:
        work = Path(tempfile.mkdtemp(prefix="ckptfs-bench-", dir=args.dir))
        try:
            results += BENCHES[name](work, args)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        print(json.dumps(results, indent=1))
    else:
        for r in results:
            show(r)
    return 0


if __name__ == "__main__":
    sys.exit(main())
