# SPDX-License-Identifier: Apache-2.0
"""What a disk with a volatile cache may be left with: dm-log-writes records each
write to it, and a write counts once it was flushed.

    logwrites.py --kernel LINUX --modules DIR [--cuts N] [--seed S] WORK

The machine of powercut.py works on such a disk, with the bucket on it, too, and
puts a mark into the record with each promise.  Then the disk is made anew as it
was after some of the writes, at a mark or anywhere, and a machine started with
it: what it finds is judged as after a power cut, by the promises before that.
"""

import os
import struct
import subprocess
import sys

from powercut import Chain, Machine, make_disk, parse, parser, read_journal, run

MAGIC = 0x6A736677736872
SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
DISCARD, MARK = 4, 8
WORK_MS = (2000, 6000)
LOG_SIZE = 4 << 30  # sparse


class Record:
    """The log of dm-log-writes (Documentation/admin-guide/device-mapper): a
    sector that says how many entries follow and how large a sector is; of each
    entry a sector, with the text of a mark in it, and the data."""

    def __init__(self, path):
        self.file = path.open("rb")
        magic, version, self.count, self.unit = SUPER.unpack(self.file.read(SUPER.size))
        assert (magic, version) == (MAGIC, 1), f"{path}: no log of writes"
        self.entries = list(self._read())

    def _read(self):
        """(where on the disk, length, flags, where in the log, text)"""
        at = self.unit
        for _ in range(self.count):
            self.file.seek(at)
            head = self.file.read(self.unit)
            sector, sectors, flags, n = ENTRY.unpack_from(head)
            at += self.unit
            size = sectors * self.unit
            text = head[ENTRY.size : ENTRY.size + n] if flags & MARK else b""
            yield sector * self.unit, size, flags, at, text.rstrip(b"\0").decode()
            if not flags & DISCARD:
                at += size

    def marks(self):
        """[(number of entries up to and with it, its text)]"""
        return [(i + 1, e[4]) for i, e in enumerate(self.entries) if e[2] & MARK]

    def apply(self, first, last, disk):
        """Do those of entries[first:last] to the image."""
        for to, size, flags, at, _ in self.entries[first:last]:
            self.file.seek(at)
            data = bytes(size) if flags & DISCARD else self.file.read(size)
            os.pwrite(disk, data, to)


class Logged(Machine):
    """The machine whose disk is recorded."""

    disks = "logged"
    second = "log"

    @staticmethod
    def make(_args, work):
        make_disk(work / "base")


class Replayed(Machine):
    """One that takes up a state of that disk."""

    disks = "both"
    second = "log"


def copy(path, to):
    subprocess.run(["cp", "--sparse=always", path, to], check=True)


class Replays(Chain):
    def record(self):
        """Boot, work, cut."""
        copy(self.work / "base", self.work / "disk")
        with (self.work / "log").open("w") as log:
            log.truncate(LOG_SIZE)
        machine = Logged(self.args, self.work, self.boots)
        try:
            machine.wait_for("found")
            machine.tell("judged", self.rng.randrange(1 << 30))
            machine.wait_for("drained")
            machine.tell("go")
            machine.stands(self.rng.randrange(*WORK_MS))
        finally:
            machine.cut()
        return read_journal(self.work / f"journal.{self.boots}")

    def choose(self, record, cuts):
        """After how many writes, and how many lines of the journal were promised
        by then."""
        marks = record.marks()
        if not marks:
            raise AssertionError("the job put no mark into the record")
        chosen = []
        for i in range(cuts):
            at = self.rng.choice(marks)[0]
            if i % 2:
                at = self.rng.randrange(marks[0][0], len(record.entries) + 1)
            lines = max(int(text) for n, text in marks if n <= at)
            chosen.append((at, lines))
        return sorted(chosen)

    def replay(self, lines, promised):
        self.base = {}
        later = [line for line in lines[promised:] if line[0] == "B"]
        self.lines = lines[:promised] + later
        self.boots += 1
        machine = Replayed(self.args, self.work, self.boots)
        try:
            self.judge_bucket(machine.wait_for("bucket"))
            self.judge_found(machine.wait_for("found"))
            machine.tell("judged", 0)
            self.judge_drained(machine.wait_for("drained"))
        finally:
            machine.cut()

    def record_and_replay(self, cuts):
        lines = self.record()
        record = Record(self.work / "log")
        state = self.work / "state"
        copy(self.work / "base", state)
        done = 0
        with state.open("r+b") as disk:
            for at, promised in self.choose(record, cuts):
                record.apply(done, at, disk.fileno())
                done = at
                copy(state, self.work / "disk")
                self.replay(lines, promised)

    def run(self):
        half = self.args.cuts // 2
        for cuts, close_is_safe in ((self.args.cuts - half, False), (half, True)):
            self.boots += 1
            while (self.boots % 3 == 0) != close_is_safe:
                self.boots += 1
            self.record_and_replay(cuts)


def main():
    p = parser()
    p.add_argument("--kernel", required=True)
    p.add_argument("--modules", required=True)
    args = parse(p)
    return run(Replays(args, args.work, Logged))


if __name__ == "__main__":
    sys.exit(main())
