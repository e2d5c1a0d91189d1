# SPDX-License-Identifier: Apache-2.0
"""The daemon's memory while large files go up, and while they come down."""

import os
import re
import threading
import time
from pathlib import Path

from benchlib import GIB, MIB, figure, read_file, write_file
from buckets import S3Bucket
from mount import Mount, wait_until
from servers import VersityGW

FILES = 8


def peak(pid):
    """Largest resident size since the process began, bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10


def memory(work, args):
    """Eight files of 2 GiB at once, up and then down with an empty cache."""
    total, block = args.size or 2 * GIB, os.urandom(MIB)
    server = VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    m = Mount(bucket.source, work / "mnt", work / "cache", bucket.env, **bucket.options)
    paths = [m / f"large-{i}" for i in range(FILES)]
    try:
        m.mount()
        for path in paths:
            write_file(path, total, block)
        wait_until(lambda: len(bucket.keys()) == FILES, 1800, "uploads", every=0.5)
        m.sync(timeout=600)
        up = peak(m.pid())
        m.umount()
        m = Mount(bucket.source, m.path, work / "empty", bucket.env, **bucket.options)
        m.mount()
        began = time.monotonic()
        readers = [threading.Thread(target=read_file, args=(p,)) for p in paths]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        taken = time.monotonic() - began
        down = peak(m.pid())
    finally:
        m.discard()
        server.stop()
    what = f"daemon's memory, {FILES} files of {total // MIB} MiB"
    return [
        figure(f"{what} up", [up / MIB], "MiB", 64),
        figure(f"{what} down", [down / MIB], "MiB", 64),
        figure(f"cold read of {FILES} files at once", [taken], "s"),
    ]
