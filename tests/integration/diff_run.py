# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a mount and on a local directory and compares after each step.

What is compared: what the call gave, or its errno; of every entry the step spoke
of, its folder and the open handles: kind, mode, owner, links, size, the names in
a folder, and whether mtime and ctime moved.  Now and then of the whole tree, and
with the bytes of all files.  What differs by design (ARCHITECTURE.md):

    links, size and blocks of folders   not counted
    SEEK_HOLE, SEEK_DATA                fewer holes may be told than there are,
                                        never one where there is data
    times of what was stored by mmap    move when the pages are written back
    truncate(2) to the size it has      may or may not move the times
    two changes within a few clock ticks    may have one time: the mount's come from
                                        its own clock and from the kernel's, which
                                        is exact only where it was asked in between
"""

import os
import stat
import time

from diff_program import unquote
from diff_tree import Peer, Tree

SET_BEFORE = 1_500_000_000 * 10**9  # times that programs set are older
TICKS = 20_000_000  # ns
WHOLE_EVERY = 10  # steps
ON_PATHS = {
    "put": (0,),
    "log": (0,),
    "slurp": (0,),
    "open": (1,),
    "opendir": (1,),
    "rename": (0, 1),
    "symlink": (1,),
    "link": (0, 1),
}
HANDLE_VERBS = {"close", "write", "pwrite", "pwritev", "read", "pread", "lseek"}
HANDLE_VERBS |= {"ftruncate", "fsync", "fdatasync", "dup", "fallocate", "copyrange"}
HANDLE_VERBS |= {"map", "store", "load", "msync", "unmap", "fchmod", "futimens"}
NO_PATHS = HANDLE_VERBS | {"umask", "user"}
CHANGES_BYTES = {"put", "log", "write", "pwrite", "pwritev", "truncate", "ftruncate"}
CHANGES_BYTES |= {"fallocate", "copyrange", "store", "open", "rename", "close", "unmap"}


class Differs(Exception):
    """The mount did otherwise than the local directory."""


def shown(value):
    if isinstance(value, bytes) and len(value) > 60:
        return f"{len(value)} bytes {value[:20]!r}..."
    if isinstance(value, tuple):
        return "(" + ", ".join(map(shown, value)) + ")"
    return value if isinstance(value, str) else repr(value)


def where_bytes_differ(a, b):
    if len(a) != len(b):
        return f"{len(a)} bytes, on the mount {len(b)}"
    at = next(i for i in range(len(a)) if a[i] != b[i])
    end = next(i for i in range(len(a), at, -1) if a[i - 1] != b[i - 1])
    return (
        f"bytes {at} to {end} of {len(a)}: {a[at : at + 16]!r}, "
        f"on the mount {b[at : at + 16]!r}"
    )


def attributes(st):
    """What must be equal."""
    kind = stat.S_IFMT(st.st_mode)
    folder = kind == stat.S_IFDIR
    return {
        "kind": oct(kind),
        "mode": oct(stat.S_IMODE(st.st_mode)),
        "owner": (st.st_uid, st.st_gid),
        "links": st.st_nlink > 0 if folder else st.st_nlink,
        "size": None if folder else st.st_size,
    }


class Run:
    """One program; control(verb, local, mount) does what only a mount can do."""

    def __init__(
        self, control, steps, local, mount, whole_every=WHOLE_EVERY, trace=False
    ):
        self.control, self.steps = control, steps
        self.local, self.mount = Peer(local), Tree(mount)
        self.both = (self.local, self.mount)
        self.whole_every = whole_every
        self.last = {}  # path or handle: what lstat said of it on either side
        self.hazy = set()  # inodes of the mount whose times say nothing
        self.trace = trace
        self.beat = lambda _: None  # told of each step now and then
        self.at = -1

    def differs(self, what):
        step = " ".join(self.steps[self.at]) if self.at >= 0 else "start"
        raise Differs(f"step {self.at + 1} ({step}): {what}")

    def run(self):
        umask = os.umask(0o022)
        try:
            self.look_whole()
            for at, step in enumerate(self.steps):
                self.at = at
                if at % 20 == 0:
                    self.beat(at)
                self.step(*step)
            self.finish()
        finally:
            os.umask(umask)
            for tree in self.both:
                tree.user = 0
                tree.close_all()

    def finish(self):
        """At the end all is drained, and read."""
        self.at = len(self.steps) - 1
        for tree in self.both:
            tree.user = 0
        self.control_step("drain")
        self.look_whole(data=True)

    def step(self, verb, *words):
        if verb in ("drain", "evict", "remount", "kill"):
            self.control_step(verb)
            self.look_whole(data=verb in ("remount", "kill"))
            return
        self.call(verb, words)
        if self.at % self.whole_every == self.whole_every - 1:
            self.look_whole(data=self.at % 3 == 0)
            return
        self.look_at(verb, words)

    # -- a call

    def call(self, verb, words):
        how = {}
        if verb in ("store", "load"):
            how["room"] = max(0, self.local.room(words[0]))
        if verb in ("umask", "user"):
            self.local.run(verb, words)
            self.mount.run(verb, words)
            return
        self.avoid_a_mapping_alone(verb, words)
        before = None
        if verb == "lseek":
            before = self.content(words[0])
            if before is None:
                return  # of folders positions mean nothing
        here = self.local.run(verb, words, **how)
        there = self.mount.run(verb, words, **how)
        if self.trace:
            print(self.at + 1, verb, *words, "->", shown(there), flush=True)
        if verb == "lseek" and words[2] in ("DATA", "HOLE"):
            self.judge_seek(words, before, here, there)
        elif here != there:
            self.say_results(here, there)
        if verb == "store" and there[0] == "gives":
            self.hazy.add(self.mount.maps[words[0]].ino)
        if verb in ("truncate", "ftruncate"):
            self.forget_times(words[0])

    def avoid_a_mapping_alone(self, verb, words):
        """A mapping whose handle is closed stays with the bytes it was made of, where
        the file gets others by the next open for writing (ARCHITECTURE.md)."""
        if verb not in ("open", "put", "log", "truncate") or not self.local.maps:
            return
        try:
            ino = os.stat(self.local.path(words[ON_PATHS.get(verb, (0,))[0]])).st_ino
        except OSError:
            return
        closes = words[0] if verb == "open" else None  # what the handle was
        fds = [fd for h, fd in self.local.fds.items() if h != closes]
        if any(os.fstat(fd).st_ino == ino for fd in fds):
            return
        for name in [n for n, m in self.local.maps.items() if m.ino == ino]:
            for tree in self.both:
                tree.run("unmap", (name,))

    def say_results(self, here, there):
        if here[0] == there[0] == "gives":
            a, b = here[1], there[1]
            if isinstance(a, tuple) and a[0] != b[0]:
                a, b = a[0], b[0]
            if isinstance(a, bytes) and isinstance(b, bytes):
                self.differs(where_bytes_differ(a, b))
        self.differs(f"{shown(here)}, on the mount {shown(there)}")

    def content(self, handle):
        """Of the local file behind a handle, None if there is none."""
        fd = self.local.fds.get(handle)
        if fd is None or not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(f"/proc/self/fd/{fd}", "rb") as f:
            return f.read()

    def judge_seek(self, words, data, here, there):
        """No hole where there is data; the end of the file is told by both."""
        off, whence = int(words[1]), words[2]
        if off < 0 or off >= len(data):
            if here != there:
                self.say_results(here, there)
            return
        if there[0] == "fails":
            good = whence == "DATA" and there[1] == "ENXIO" and not any(data[off:])
        elif whence == "DATA":
            good = off <= there[1] < len(data) and not any(data[off : there[1]])
        else:
            end = there[1] == len(data)
            good = off <= there[1] and (end or data[there[1] : there[1] + 1] == b"\0")
        if not good:
            self.differs(f"{shown(here)} of {len(data)} bytes, on the mount {there}")

    def forget_times(self, word):
        path = self.local.paths.get(word, word)
        for key in (word, unquote(path)):
            self.last.pop(key, None)

    # -- looking

    def look_at(self, verb, words):
        """At what a step spoke of."""
        names = []
        if verb not in NO_PATHS:
            names = [words[i] for i in ON_PATHS.get(verb, (0,)) if i < len(words)]
        handles = [w for w in words if w in self.local.fds]
        names += [self.local.paths[h] for h in handles]
        paths = {unquote(n) for n in names if n not in self.local.fds}
        folders = {os.path.dirname(p) for p in paths}
        for path in sorted(paths | folders):
            self.look_path(path)
        for handle in handles:
            self.look_handle(handle)
        if verb not in HANDLE_VERBS:
            for folder in sorted(folders):
                self.look_names(folder)
        if self.whole_every == 1 or (verb in CHANGES_BYTES and self.at % 4 == 0):
            for path in sorted(paths):
                self.look_bytes(path)

    def both_give(self, call, *args):
        """What call(tree, *args) gives of both trees."""
        found = []
        for tree in self.both:
            try:
                found.append(call(tree, *args))
            except OSError as e:
                found.append(e)
        here, there = found
        errors = [getattr(f, "errno", None) for f in found]
        if errors[0] != errors[1]:
            self.differs(f"{args}: {here!r}, on the mount {there!r}")
        return None if errors[0] is not None else found

    def look_path(self, path):
        found = self.both_give(lambda t, p: os.lstat(t.root + b"/" + p), path)
        if found is None:
            self.last.pop(path, None)
        else:
            self.compare(path, *found)
        return found

    def look_handle(self, handle):
        found = self.both_give(lambda t, h: os.fstat(t.fds[h]), handle)
        if found is None:
            return
        self.compare(handle, *found)
        path = unquote(self.local.paths[handle])
        named = self.last.get(path)
        if named:
            same = [f.st_ino == n.st_ino for f, n in zip(found, named[:2], strict=True)]
            if same[0] != same[1]:
                self.differs(f"{handle} is {path!r}: {same[0]}, on the mount {same[1]}")

    def look_names(self, folder):
        found = self.both_give(lambda t, p: os.listdir(t.root + b"/" + p), folder)
        if found is None:
            return []
        here, there = (sorted(names) for names in found)
        if here != there:
            self.differs(f"in {folder!r}: {here}, on the mount {there}")
        return here

    def look_bytes(self, path):
        st = self.look_path(path)
        if st is None or not stat.S_ISREG(st[0].st_mode):
            return
        here, there = (t.slurp(path) for t in self.both)
        if here != there:
            self.differs(f"{path!r}: {where_bytes_differ(here, there)}")

    def look_whole(self, data=False):
        folders = [b""]
        while folders:
            folder = folders.pop()
            self.look_path(folder)
            for name in self.look_names(folder):
                path = folder + b"/" + name if folder else name
                st = self.look_path(path)
                if stat.S_ISDIR(st[0].st_mode):
                    folders.append(path)
                elif data:
                    self.look_bytes(path)
        for handle in sorted(self.local.fds):
            self.look_handle(handle)

    def compare(self, key, here, there):
        a, b = attributes(here), attributes(there)
        for what, value in a.items():
            if value != b[what]:
                self.differs(f"{what} of {key!r}: {value}, on the mount {b[what]}")
        self.compare_times(key, here, there)
        self.last[key] = (here, there, time.time_ns())

    def compare_times(self, key, here, there):
        if there.st_ino in self.hazy:
            return
        times = here.st_mtime_ns, there.st_mtime_ns
        if min(times) < SET_BEFORE and times[0] != times[1]:
            self.differs(f"mtime of {key!r}: {times[0]}, on the mount {times[1]}")
        before = self.last.get(key)
        if not before or before[0].st_ino != here.st_ino:
            return
        if before[1].st_ino != there.st_ino:
            return
        for what in ("st_mtime_ns", "st_ctime_ns"):
            values = [getattr(st, what) for st in (*before[:2], here, there)]
            moved = values[0] != values[2], values[1] != values[3]
            if moved == (True, False) and values[1] > before[2] - TICKS:
                continue
            if moved[0] != moved[1]:
                names = {True: "moved", False: "stayed"}
                self.differs(
                    f"{what} of {key!r} {names[moved[0]]}, on the mount "
                    f"{names[moved[1]]} ({values[1]} -> {values[3]})"
                )

    # -- what only the mount does

    def control_step(self, verb):
        unseen = verb == "kill" and self.is_mapped_alone()
        if verb != "evict":
            self.settle(keep_readers=False)
        if unseen:
            self.control_step("drain")
        problem = self.control(verb, self.local.root, self.mount.root)
        if problem:
            self.differs(problem)

    def is_mapped_alone(self):
        """Nobody tells the daemon that such a mapping has gone: it asks each second.
        If it dies before, the file was open for writing, and waits for a word."""
        inos = {os.fstat(fd).st_ino for fd in self.local.fds.values()}
        maps = self.local.maps.values()
        return any(m.how == "shared" and m.ino not in inos for m in maps)

    def settle(self, keep_readers):
        keep = []
        if keep_readers:
            made = self.local.made_by
            fds = self.local.fds.items()
            keep = [h for h, fd in fds if h not in made and can_only_read(fd)]
        found = [tree.close_all(keep) for tree in self.both]
        if found[0] != found[1]:
            self.differs(f"closing all: {found[0]}, on the mount {found[1]}")
        for key in [k for k in self.last if isinstance(k, str)]:
            del self.last[key]


def can_only_read(fd):
    with open(f"/proc/self/fdinfo/{fd}") as f:
        flags = next(line for line in f if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE == os.O_RDONLY
