# SPDX-License-Identifier: Apache-2.0
"""The differential test: programs drawn from a seed run on a mount and on a local
directory, and everything is compared after each step.

    diff.py [--programs N] [--seconds N] [--seed N] [--steps N] [--path on|off]
    diff.py --replay FILE [--path on|off] [--bucket file|s3] [--trace]

First those of programs/ that failed once.  One that fails is shrunk and stored
in --found, by default programs/: mend what it shows and commit it with that.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from diff_mount import Bench, shrink
from diff_program import LONG, generate, parse, unparse
from servers import VersityGW

STORED = Path(__file__).with_name("programs")
SHRINK_S = 240
S3_EVERY = 10  # each tenth program runs on an S3 server
FOLDER_BENCHES = 2  # side by side, on each path
lock = threading.Lock()


def shorter_names(steps):
    """versitygw refuses to replace an object whose name has 255 bytes, and takes it
    for a folder."""
    long, short = LONG.decode(), LONG.decode()[:200]
    return [tuple(word.replace(long, short) for word in step) for step in steps]


def say(text):
    with lock:
        print(text, flush=True)


class Session:
    def __init__(self, args, server, work):
        self.args, self.server, self.work = args, server, work
        self.began = time.monotonic()
        self.queues = {}
        self.done = dict.fromkeys(args.path, 0)
        self.steps = 0
        self.failed = []
        self.seeds = itertools.count(args.seed)

    def jobs(self, kind):
        """(what it is, its steps) for one kind of bench; shared by those of it."""
        for file in sorted(STORED.glob("*.prog")):
            text = file.read_text()
            if kind == "file" or "on s3" in text:
                yield file.name, parse(text)
        for i in itertools.count():
            if self.args.seconds:
                if time.monotonic() - self.began > self.args.seconds:
                    return
            elif i >= self.args.programs:
                return
            if (i % S3_EVERY == S3_EVERY - 1) == (kind == "s3"):
                seed = self.args.seed + i
                yield f"seed {seed}", generate(seed, self.args.steps)

    def next_job(self, through, kind):
        with lock:
            if len(self.failed) >= self.args.failures:
                return None
            key = (through, kind)
            if key not in self.queues:
                self.queues[key] = self.jobs(kind)
            return next(self.queues[key], None)

    def bench(self, through, kind, i):
        server = self.server if kind == "s3" else None
        bench = Bench(self.work, f"{through}-{kind}-{i}", through, server)
        try:
            while job := self.next_job(through, kind):
                what, steps = job
                if server:
                    steps = shorter_names(steps)
                self.one(bench, through, kind, what, steps)
            if problem := bench.end():
                self.fail(f"{through}, {kind}: at the end: {problem}")
        except Exception as e:
            self.fail(f"{through}, {kind}: {type(e).__name__}: {e}")
            raise
        finally:
            bench.discard()

    def one(self, bench, through, kind, what, steps):
        problem = bench.run(steps)
        with lock:
            self.done[through] += 1
            self.steps += len(steps)
        if problem:
            where = f"passthrough={through}, {kind}, {what}"
            say(f"{where}: {problem}{bench.tail}")
            self.store(bench, where, kind, steps)
            self.fail(f"{where}: {problem}")

    def store(self, bench, where, kind, steps):
        """Shrunk, for the next time."""
        end = time.monotonic() + self.args.shrink
        less, problem = shrink(bench, steps, lambda: time.monotonic() > end)
        name = where.replace("passthrough=", "").replace(", ", "-").replace(" ", "-")
        file = self.args.found / f"{name.removesuffix('.prog')}.prog"
        said = problem.splitlines()[0] if problem else "fails at times"
        file.write_text(f"# {where}, on {kind}\n# {said}\n{unparse(less)}")
        say(f"{file}: {len(less)} steps: {problem}\n{unparse(less)}")

    def fail(self, text):
        with lock:
            self.failed.append(text)

    def run(self):
        threads = []
        for through in self.args.path:
            for kind, n in (("file", FOLDER_BENCHES), ("s3", 1 if self.server else 0)):
                for i in range(n):
                    t = threading.Thread(target=self.bench, args=(through, kind, i))
                    threads.append(t)
                    t.start()
        for t in threads:
            t.join()


def replay(args, server, work):
    steps = parse(args.replay.read_text())
    rc = 0
    for through in args.path:
        bench = Bench(work, f"replay-{through}", through, server)
        try:
            problem = bench.run(steps, whole_every=1, trace=args.trace)
            problem = problem or bench.end()
            print(f"passthrough={through}: {problem or 'good'}")
            if problem:
                print(getattr(bench, "tail", ""))
            rc = rc or bool(problem)
        finally:
            bench.discard()
    return int(rc)


def report(done, failed):
    """For contrib/check."""
    if path := os.environ.get("CKPTFS_RESULTS"):
        lines = [f"pass {max(0, done - len(failed))}\n"]
        lines += [f"fail diff/{text.splitlines()[0]}\n" for text in failed]
        with open(path, "a") as f:
            f.writelines(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=int, default=100, help="on each path")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--path", action="append", choices=("on", "off"))
    parser.add_argument("--bucket", choices=("file", "s3"), default="file")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--found", type=Path, default=STORED)
    parser.add_argument("--failures", type=int, default=3, help="stop after so many")
    parser.add_argument("--shrink", type=int, default=SHRINK_S, help="seconds")
    args = parser.parse_args()
    args.path = args.path or ["on", "off"]
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="ckptfs-diff-") as work:
        Path(work).chmod(0o755)
        server = None
        if not args.replay or args.bucket == "s3":
            server = VersityGW(Path(work) / "versitygw").start()
        try:
            if args.replay:
                return replay(args, server, work)
            session = Session(args, server, work)
            say(f"seed {args.seed}")
            session.run()
        finally:
            if server:
                server.stop()
    took = time.monotonic() - session.began
    done = ", ".join(f"{n} with passthrough={p}" for p, n in session.done.items())
    print(f"programs: {done}; {session.steps} steps, {took:.0f} s, seed {args.seed}")
    for text in session.failed:
        print(f"failed: {text}")
    report(sum(session.done.values()), session.failed)
    return 1 if session.failed else 0


if __name__ == "__main__":
    sys.exit(main())
