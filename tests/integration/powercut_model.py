# SPDX-License-Identifier: Apache-2.0
"""What may be found after a power cut: a model of a tree and of its bucket.

A tree is {path: value}: "dir", ["file", digest of its bytes] or ["link", target].
An operation is one line of the journal, [kind, path, more]; a file that is saved
or appended to changes when it is closed.
"""

DIR = "dir"
WRITES = ("save", "append")


class Wrong(Exception):
    """A promise was broken; says which."""


def moved(tree, old, new):
    """Everything at and below old is at and below new."""
    result = {}
    for path, value in tree.items():
        if path == old or path.startswith(old + "/"):
            continue
        result[path] = value
    for path, value in tree.items():
        if path == old or path.startswith(old + "/"):
            result[new + path[len(old) :]] = value
    return result


def after(tree, op):
    """The tree once op is done."""
    kind, path, more = op
    if kind == "rename":
        return moved(tree, path, more)
    tree = dict(tree)
    if kind == "mkdir":
        tree[path] = DIR
    elif kind in WRITES:
        tree[path] = ["file", more]
    elif kind == "link":
        tree[path] = ["link", more]
    else:  # unlink, rmdir
        tree.pop(path, None)
    return tree


def states(base, ops):
    """The trees before the first operation and after each."""
    found = [base]
    for op in ops:
        found.append(after(found[-1], op))
    return found


class Journal:
    """What a job said: B number kind path more, before; A, after; S: all that
    was done is promised to survive; F: this file is, as far as it is written;
    R: the bucket has it all."""

    def __init__(self, lines=()):
        self.ops = []
        self.promised = 0  # so many operations are
        self.fsynced = set()
        self.published = None  # after so many operations the bucket had all
        for line in lines:
            self.add(line)

    def add(self, line):
        word, *rest = line
        if word == "B":
            self.ops.append(rest)
        elif word == "F":
            self.fsynced.add(len(self.ops) - 1)
            # and every earlier operation
            self.promised = max(self.promised, len(self.ops) - 1)
        elif word == "S":
            self.promised = len(self.ops)
        elif word == "R":
            self.promised = self.published = len(self.ops)


def differs(want, got):
    """The first few differences, in words."""
    found = [
        f"{path}: {got.get(path, 'nothing')} instead of {want.get(path, 'nothing')}"
        for path in sorted(want.keys() | got.keys())
        if want.get(path) != got.get(path)
    ]
    return "; ".join(found[:4])


def matches(trees, journal, p, found, unfinished, same_boot=False):
    """Whether found is the state after p operations, during the next one.

    same_boot: the disk was lost without a boot.  Where no row's bytes are missing
    the daemon has to take that for its own death (the design, section 4: same
    boot, no miss), and after that what was open for writing comes back unfinished,
    with all it holds (section 2).  Bytes appended by a later operation, whose rows
    are lost, look just so.  So a file that status calls unfinished, which nobody
    publishes, may be what a later operation made of it; nothing else may."""
    want, got = dict(trees[p]), dict(found)
    if same_boot:
        for path in unfinished:
            if any(t.get(path) == found.get(path) for t in trees[p:]):
                want.pop(path, None)
                got.pop(path, None)
    if p < len(journal.ops) and journal.ops[p][0] in WRITES:
        path = journal.ops[p][1]
        # new, or in the middle of an append; one that was being rewritten
        # shows what it was
        if path in unfinished:
            want.pop(path, None)
            got.pop(path, None)
    return want == got


def check_fsynced(trees, journal, p, found):
    """What was being written is there as far as it was promised."""
    if p < len(journal.ops) and p in journal.fsynced:
        kind, path, digest = journal.ops[p]
        new = kind == "save" and path not in trees[p]
        if new and found.get(path) != ["file", digest]:
            raise Wrong(f"{path} was fsynced and is {found.get(path)}")


def judge_tree(base, journal, found, unfinished, same_boot=False):
    """How many operations are there; Wrong if that is no prefix of them, or not
    all that was promised."""
    trees = states(base, journal.ops)
    for p in range(len(journal.ops), -1, -1):
        if matches(trees, journal, p, found, unfinished, same_boot):
            break
    else:
        best = min(
            range(journal.promised, len(trees)),
            key=lambda p: sum(
                trees[p].get(k) != found.get(k) for k in trees[p].keys() | found.keys()
            ),
        )
        raise Wrong(
            f"no prefix of {len(journal.ops)} operations ({journal.promised} of "
            f"them promised); nearest is {best}: {differs(trees[best], found)}"
        )
    if p < journal.promised:
        raise Wrong(f"{journal.promised} operations were promised, {p} are there")
    check_fsynced(trees, journal, p, found)
    return p


def judge_ahead(base, journal, found, bucket):
    """How many operations the disk has; what later ones made of a path may be
    there, too, where the bucket shows it."""
    trees = states(base, journal.ops)
    shown = bucket["objects"] | dict.fromkeys(bucket["folders"], DIR)
    got, unfinished = found["tree"], found["unfinished"]
    nearest, least = journal.promised, None
    for p in range(len(journal.ops), journal.promised - 1, -1):
        later = trees[p + 1 :]
        mixed = {
            path: value
            for path in trees[p].keys() | shown.keys() | got.keys()
            if (value := got.get(path)) != trees[p].get(path)
            and value == shown.get(path)
            and any(t.get(path) == value for t in later)
        }
        as_it_was = {k: v for k, v in got.items() if k not in mixed}
        as_it_was |= {k: v for k, v in trees[p].items() if k in mixed}
        if matches(trees, journal, p, as_it_was, unfinished):
            check_fsynced(trees, journal, p, got)
            return p
        wrong = differs(trees[p], as_it_was)
        if least is None or len(wrong) < len(least):
            nearest, least = p, wrong
    raise Wrong(
        f"none of {len(journal.ops)} operations ({journal.promised} of them promised), "
        f"with what the bucket shows of later ones; nearest is {nearest}: {least}"
    )


def is_outside(path):
    """Not in the line of publication: temporary names, live logs."""
    return path.endswith((".tmp", ".log"))


class BucketModel:
    """Which states of the bucket are legal while operations are published that
    began when the bucket had all of a tree."""

    def __init__(self, base, ops, excused=()):
        """excused: paths that status called poisoned before the cut.

        What later operations show may be shown without them.  Of a refused object
        the design says (section 2) that later operations wait for it; of a failed
        fsync it says that the version is poisoned and the mount takes nothing new:
        its seal is withdrawn, and what is withdrawn has left the line (section 6).
        What is queued behind it would else wait, for somebody's word, on a disk
        that fails, though the bucket is the safer place by then.  Only the path
        itself is excused: not what else the folder holds, not its order, and not
        an object of it that nobody wrote."""
        self.excused = set(excused)
        self.trees = states(base, ops)
        self.ops = ops
        self.base = base
        # path: the operations that gave it content, with that content
        self.given = {}
        for k, tree in enumerate(self.trees):
            before = self.trees[k - 1] if k else {}
            for path, value in tree.items():
                if value != DIR and before.get(path) != value:
                    self.given.setdefault(path, []).append((k, value))

    def giver(self, path, value):
        """The operation that gave path this content; None: none did."""
        for k, content in reversed(self.given.get(path, [])):
            if content == value:
                return k
        return None

    def shown(self, bucket):
        """The newest operation that the bucket shows; Wrong for an object that
        nobody wrote."""
        newest = 0
        for path, value in bucket.items():
            k = self.giver(path, value)
            if k is None:
                raise Wrong(f"nobody wrote the object {path}: {value}")
            if not is_outside(path):
                newest = max(newest, k)
        for path, value in self.base.items():
            if value != DIR and path not in bucket and not is_outside(path):
                gone = [k for k, t in enumerate(self.trees) if path not in t]
                if not gone:
                    raise Wrong(f"the object {path} is gone, but was not deleted")
                newest = max(newest, gone[0])
        return newest

    def last_of(self, k):
        """The name that one operation gave last, of those it gave together: the
        newest-sealed comes alone, after the others."""
        given = [
            p for p, all_given in self.given.items() for g, _ in all_given if g == k
        ]
        return max(given, key=lambda p: self.written(self.trees[k][p]), default=None)

    def written(self, value):
        """The operation that wrote this content."""
        return next((k for k, t in enumerate(self.trees) if value in t.values()), 0)

    def check_path(self, bucket, path, value, newest):
        made = self.giver(path, value)
        have = bucket.get(path)
        if have is None:
            if made == newest and self.last_of(newest) not in bucket:
                return
            if all(path in t for t in self.trees[newest:]):
                raise Wrong(
                    f"operation {newest} {self.ops[newest - 1]} is shown without "
                    f"{path} of operation {made}"
                )
            return
        k = self.giver(path, have)
        # A name overwritten more than once, later than what is shown, too, may
        # still show an older version while those are one window.
        since = [g for g, _ in self.given[path] if k < g]
        if k < made and len(since) < 2:
            raise Wrong(
                f"operation {newest} {self.ops[newest - 1]} is shown, and {path} "
                f"is still that of operation {k}, not of {made}"
            )

    def judge(self, bucket):
        """The newest operation that is shown; Wrong if one before is not."""
        newest = self.shown(bucket)
        for path, value in self.trees[newest].items():
            if value != DIR and not is_outside(path) and path not in self.excused:
                self.check_path(bucket, path, value, newest)
        return newest
