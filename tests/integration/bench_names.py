# SPDX-License-Identifier: Apache-2.0
"""Names: what must never wait for the network, beside the disk's own speed."""

import os
import shutil
import signal
import time

from benchlib import figure, result
from buckets import S3Bucket
from mount import Mount
from servers import VersityGW

FILES = 10_000
CALLS = 1_000
SMALL = b"x" * 4096


def timed(call, *args):
    began = time.monotonic()
    call(*args)
    return time.monotonic() - began


def create_all(folder, n):
    folder.mkdir()
    for i in range(n):
        with (folder / f"f{i:05}").open("wb", buffering=0) as f:
            f.write(SMALL)


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100] * 1000


def name_calls(folder, rounds):
    """Milliseconds below which 99 of 100 calls stay: {call: [each round]}."""
    taken = {}
    for i in range(rounds):
        top = folder / f"calls{i}"
        top.mkdir()
        create_all(top / "files", CALLS)
        steps = {
            "symlink": lambda n, t=top: os.symlink("target", t / f"link{n}"),
            "mkdir": lambda n, t=top: os.mkdir(t / f"dir{n}"),
            "rename": lambda n, t=top: os.rename(
                t / "files" / f"f{n:05}", t / "files" / f"g{n:05}"
            ),
            "unlink": lambda n, t=top: os.unlink(t / "files" / f"g{n:05}"),
        }
        for name, step in steps.items():
            seconds = [timed(step, n) for n in range(CALLS)]
            taken.setdefault(name, []).append(p99(seconds))
    return taken


def names(work, args):
    """Rename of a folder of 10,000 files, single calls with the server stopped,
    4 KiB files created.

    In a folder made by the job: whether another one has a name is for the
    bucket to say, and that is waited for, a second at most.  Nothing leaves the
    line, so each round runs beside a longer one."""
    server = VersityGW(work / "server").start()
    bucket = S3Bucket(server, "bench")
    m = Mount(
        bucket.source, work / "mnt", work / "cache", bucket.env, **bucket.options
    ).mount()
    local = work / "local"
    local.mkdir()
    renames = []
    created = {"mount": [], "local": []}
    run = m / "run"
    run.mkdir()
    try:
        # Nothing answers from here on: whoever waits for the bucket, hangs.
        server.process.send_signal(signal.SIGSTOP)
        for i in range(args.rounds):
            for side, top in (("mount", run), ("local", local)):
                created[side].append(timed(create_all, top / f"many{i}", FILES))
            old, new = run / f"many{i}", run / f"moved{i}"
            renames.append(timed(os.rename, old, new) * 1000)
            shutil.rmtree(local / f"many{i}")
        calls = name_calls(run, args.rounds)
    finally:
        m.discard()
        server.process.send_signal(signal.SIGCONT)
        server.stop()
    return [
        figure(f"rename of a folder of {FILES} files", renames, "ms", 10),
        *(
            figure(f"{name}, server stopped, p99", values, "ms", 2)
            for name, values in calls.items()
        ),
        result(f"{FILES} small files", FILES * len(SMALL), created, "mount", "local"),
    ]
