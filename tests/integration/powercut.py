# SPDX-License-Identifier: Apache-2.0
"""Power cuts: the daemon, its cache disk and a job in a machine of their own
(user-mode-linux), which is killed at a random moment and started again.

    powercut.py --kernel LINUX [--modules DIR] [--cuts N] [--seed S] WORK

The disk, and another one that is the bucket, live on from cut to cut.  After
each: what is found is a prefix of what the job did, with all that was promised;
what the bucket showed is legal; and when all is published the bucket is the
tree.  What is lost is the machine's memory: writes that its block layer has
completed stay, so a disk that lies about its cache is not tried.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from mount import program
from powercut_model import BucketModel, Journal, Wrong, differs, judge_tree, states

DISK_MB = 700
MEMORY = "320M"
BOOT_S = 60
WORK_MS = (100, 2500)
# So many of the cuts come while the machine takes up what the last one left.
EARLY = 0.2
OPTIONS = {
    "cache_dir": "/mnt/cache",
    "log_file": "/media/daemon.log",
    "cache_min_free": "1M",
    "part_size": "256K",
    "upload_delay": "200ms",
}


def read_json(path):
    return json.loads(path.read_text())


def read_journal(path):
    """Its lines; the last may be cut short."""
    if not path.exists():
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def published(tree):
    """What of a tree is in the bucket once that has all."""
    return {
        path: value
        for path, value in tree.items()
        if value != "dir" and not path.endswith(".tmp")
    }


class Boot:
    """From a start to its cut; what the two sides tell each other are files."""

    same_boot = False  # as the kernel tells it, after the cut

    def __init__(self, work, boot):
        self.work, self.boot = work, boot

    def stopped(self):
        """Why nothing more is to come from it, if so."""
        raise NotImplementedError

    def cut(self):
        """The power goes."""
        raise NotImplementedError

    def ended(self):
        if why := self.stopped():
            return why
        for name in ("broken", "ended"):
            if (path := self.work / f"{name}.{self.boot}").exists():
                return f"{name}: {read_json(path)}"
        return None

    def wait_for(self, name):
        """What the other side says under this name."""
        path = self.work / f"{name}.{self.boot}"
        deadline = time.monotonic() + BOOT_S
        while not path.exists():
            if problem := self.ended():
                raise Wrong(problem)
            if time.monotonic() > deadline:
                raise Wrong(f"{path.name} did not come within {BOOT_S} s")
            time.sleep(0.005)
        return read_json(path)

    def tell(self, name, value=None):
        path = self.work / f"{name}.{self.boot}"
        new = path.with_suffix(path.suffix + ".new")
        new.write_text(json.dumps(value))
        new.rename(path)

    def stands(self, ms):
        """Let it work for so long."""
        until = time.monotonic() + ms / 1000
        while time.monotonic() < until:
            if problem := self.ended():
                raise Wrong(problem)
            time.sleep(min(0.02, max(0, until - time.monotonic())))


def options_of(args, boot, **where):
    """The mount options of a boot: in every third close is a promise, too."""
    options = OPTIONS | where | dict(o.split("=", 1) for o in args.option)
    if boot % 3 == 0:
        options["close"] = "local"
    return ",".join(f"{k}={v}" for k, v in options.items())


class Machine(Boot):
    """One of user-mode-linux."""

    disks = "own"  # what powercut_init.sh makes of them
    second = "bucket"

    def __init__(self, args, work, boot):
        super().__init__(work, boot)
        words = {
            "work": work,
            "boot": boot,
            "modules": args.modules or "none",
            "python": sys.executable,
            "job": Path(__file__).with_name("powercut_job.py"),
            "program": program(),
            "options": options_of(args, boot),
            "disk": self.disks,
        }
        self.console = work / f"console.{boot}"
        with self.console.open("w") as out:
            self.process = subprocess.Popen(
                [
                    args.kernel,
                    f"mem={MEMORY}",
                    "rootfstype=hostfs",
                    "rootflags=/",
                    "ro",
                    f"init={Path(__file__).with_name('powercut_init.sh')}",
                    f"ubd0={work}/disk",
                    f"ubd1={work}/{self.second}",
                    "con=null",
                    "con0=null,fd:1",
                    "quiet",
                    f"umid=cut{os.getpid()}-{boot}",
                    f"uml_dir={work}/uml",
                    *(f"cut_{k}={v}" for k, v in words.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stopped(self):
        if self.process.poll() is None:
            return None
        return f"the machine stopped by itself, see {self.console}"

    def cut(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @staticmethod
    def make(_args, work):
        """Its disks."""
        for name in ("disk", "bucket"):
            make_disk(work / name)


def make_disk(path, kind="ext4"):
    flags = {"ext4": ["-F", "-E", "lazy_itable_init=0"], "xfs": ["-f"]}[kind]
    with path.open("w") as disk:
        disk.truncate(DISK_MB << 20)
    subprocess.run(
        [f"mkfs.{kind}", "-q", *flags, path],
        check=True,
        env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"),
    )


class Chain:
    """A disk and a bucket, through all cuts."""

    def __init__(self, args, work, kind=Machine):
        self.args, self.work, self.kind = args, work, kind
        self.rng = random.Random(args.seed)
        self.boots = 0
        self.base = {}  # the tree when the lines begin
        self.lines = []
        self.ops = self.lost = self.uploads = 0
        self.paths = set()
        work.mkdir(parents=True)
        kind.make(args, work)

    def judge_found(self, found):
        """What came back; from here on that is what there is."""
        if found["odd"]:
            raise Wrong(f"nobody did this: {found['odd']}")
        journal = Journal(self.lines)
        p = judge_tree(
            self.base,
            journal,
            found["tree"],
            found["unfinished"],
            self.kind.same_boot,
        )
        self.ops += len(journal.ops)
        self.lost += len(journal.ops) - p
        self.base, self.lines = found["tree"], []

    def judge_drained(self, drained):
        """All is published: the bucket is the tree."""
        want, got = published(drained["tree"]), drained["objects"]
        if want != got:
            raise Wrong(f"drained, but in the bucket is {differs(want, got)}")
        if drained["unfinished"] or drained["odd"]:
            raise Wrong(f"drained, but not at rest: {drained['queue']}")
        # Of an upload that began within a second of its seal nothing may be left
        # on the disk that knows of it.
        self.uploads = len(drained["uploads"])
        opens = drained["opens"]
        self.paths |= {kind for kind in ("passthrough", "cached") if opens[kind]}

    def judge_bucket(self, bucket):
        """What it shows after the cut."""
        journal = Journal(self.lines)
        k = journal.published
        if k is not None:
            base = states(self.base, journal.ops[:k])[-1]
            BucketModel(base, journal.ops[k:]).judge(bucket["objects"])

    def take_journal(self):
        self.lines += read_journal(self.work / f"journal.{self.boots}")

    def cut(self, last):
        """Boot, judge, work, cut."""
        self.boots += 1
        machine = self.kind(self.args, self.work, self.boots)
        try:
            early = not last and self.boots > 1 and self.rng.random() < EARLY
            if early:
                # Anywhere between the start of the daemon and the job's.
                at = self.rng.randrange(3)
                if at:
                    self.judge_bucket(machine.wait_for("bucket"))
                    self.judge_found(machine.wait_for("found"))
                    machine.tell("judged", self.rng.randrange(1 << 30))
                machine.stands(self.rng.randrange(400 if at else 2000))
            else:
                self.judge_bucket(machine.wait_for("bucket"))
                self.judge_found(machine.wait_for("found"))
                machine.tell("judged", self.rng.randrange(1 << 30))
                self.judge_drained(machine.wait_for("drained"))
                if not last:
                    machine.tell("go")
                    machine.stands(self.rng.randrange(*WORK_MS))
        finally:
            machine.cut()
            self.take_journal()

    def run(self):
        for _ in range(self.args.cuts):
            self.cut(False)
        self.cut(True)


def parser():
    p = argparse.ArgumentParser()
    p.add_argument("work", type=Path)
    p.add_argument("--cuts", type=int, default=10)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--option", action="append", default=[])
    return p


def parse(p):
    args = p.parse_args()
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(1 << 30)
    args.work = args.work.absolute()
    return args


def run(chain):
    """All cuts; the exit status."""
    args = chain.args
    began = time.monotonic()
    try:
        chain.run()
    except Wrong as e:
        print(f"cut {chain.boots - 1}, seed {args.seed}: {e} (kept in {args.work})")
        return 1
    took = time.monotonic() - began
    print(
        f"{args.cuts} cuts good, {took / (args.cuts + 1):.1f} s each; {chain.ops} "
        f"operations, {chain.lost} of them cut off; {chain.uploads} uploads left; "
        f"opens: {' '.join(sorted(chain.paths))}; seed {args.seed}"
    )
    return 0


def main():
    p = parser()
    p.add_argument("--kernel", required=True)
    p.add_argument("--modules")
    args = parse(p)
    return run(Chain(args, args.work))


if __name__ == "__main__":
    sys.exit(main())
