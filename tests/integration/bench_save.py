# SPDX-License-Identifier: Apache-2.0
"""Writing to the mount against writing to the disk its cache lies on."""

import os
import shutil
import sys
import tempfile
import time

from benchlib import MIB, result, rounds_of, warm_memory, write_file
from buckets import DirBucket, S3Bucket
from mount import Mount
from proxy import Proxy
from servers import VersityGW
from trainer import Trainer


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
        warm_memory(local, total, block)
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
