# SPDX-License-Identifier: Apache-2.0
"""A cache disk that begins to fail every write at a random moment (dm-flakey),
and the power gone soon after.

    flakey.py --kernel LINUX --modules DIR [--cuts N] [--seed S] WORK

The machine of powercut.py.  Once a call of its job has failed the mount must say
why.  The disk has been in order again since the next start: all that was promised,
before or after it began to fail, is there.  A daemon whose cache disk records
nothing any more goes on sending what it has, for the bucket is the safer place: so
the bucket may be ahead of the disk, and what it shows is taken over.
"""

import sys

from powercut import Chain, Machine, parse, parser, run
from powercut_model import BucketModel, Journal, Wrong, judge_ahead, states

SAYS = "the cache disk failed"
WORK_MS = (50, 1500)


class Flaky(Machine):
    disks = "flaky"


class Failures(Chain):
    poisoned = ()  # by the last failure
    all_poisoned = 0

    def judge(self, bucket, found):
        """What the bucket shows, and what came back."""
        if found["odd"]:
            raise Wrong(f"nobody did this: {found['odd']}")
        journal = Journal(self.lines)
        k = journal.published
        if k is not None:
            base = states(self.base, journal.ops[:k])[-1]
            model = BucketModel(base, journal.ops[k:], self.poisoned)
            model.judge(bucket["objects"])
        p = judge_ahead(self.base, journal, found, bucket)
        self.ops += len(journal.ops)
        self.lost += len(journal.ops) - p
        self.poisoned = []

    def begin(self, drained):
        """What there is from here on: what the bucket had, too."""
        self.judge_drained(drained)
        self.base, self.lines = drained["tree"], []

    def take_journal(self):
        super().take_journal()
        while self.lines and self.lines[0] != ["R"]:
            self.lines.pop(0)  # done before that

    def cut(self, last):
        """Boot, judge, work, fail, cut."""
        self.boots += 1
        machine = Flaky(self.args, self.work, self.boots)
        try:
            self.judge(machine.wait_for("bucket"), machine.wait_for("found"))
            machine.tell("judged", self.rng.randrange(1 << 30))
            self.begin(machine.wait_for("drained"))
            if not last:
                machine.tell("go")
                machine.stands(self.rng.randrange(*WORK_MS))
                machine.tell("fail")
                failed = machine.wait_for("failed")
                if not any(SAYS in w for w in failed["warnings"]):
                    raise Wrong(f"{failed['error']}, and status says nothing")
                if failed["check"] != 1:
                    raise Wrong(f"status --check ends with {failed['check']}")
                self.poisoned = failed["poisoned"]
                self.all_poisoned += len(self.poisoned)
        finally:
            machine.cut()
            self.take_journal()


def main():
    p = parser()
    p.add_argument("--kernel", required=True)
    p.add_argument("--modules", required=True)
    args = parse(p)
    args.option.append("metadata_ttl=1s")
    return run(Failures(args, args.work, Flaky))


if __name__ == "__main__":
    sys.exit(main())
