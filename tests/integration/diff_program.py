# SPDX-License-Identifier: Apache-2.0
"""Programs of the differential test: steps as text, and drawn from a seed.

A program is lines of a verb and its arguments.  Names are percent-encoded paths
below the folder it runs in ("." is that folder), handles h0.. and mappings m0..
are registers.  A register that holds nothing makes its step one of no effect, so
any part of a program is a program.
"""

import random
import urllib.parse

ACCESS = ("RDONLY", "WRONLY", "RDWR")
SAFE = "/+=,:@"


def quote(path):
    return urllib.parse.quote_from_bytes(path, SAFE) or "."


def unquote(word):
    return b"" if word == "." else urllib.parse.unquote_to_bytes(word)


def parse(text):
    """Its steps, each a tuple of words; what follows a # is for the reader."""
    lines = (line.partition(" #")[0].split() for line in text.splitlines())
    return [tuple(words) for words in lines if words and words[0][0] != "#"]


def unparse(steps):
    return "".join(" ".join(step) + "\n" for step in steps)


FOLDERS = (b"", b"", b"d", b"e", b"d/s", b"d/s/t")
NAMES = (b"a", b"b", b"c", b"x.log", b"t.tmp", b"sp ace#%41", "ü".encode(), b"s", b"e")
LONG = b"L" * 255
RARE = (LONG, b"N" * 256, b"t\tab\nline", b"-n", b"a+b&c=d?e", b".hidden")
TARGETS = (b"a", b"b", b"c", b"d", b"e", b"s", b"s/a", b"d/a", b"d/s", b"nowhere")
SIZES = (0, 1, 7, 100, 4095, 4096, 4097, 8192, 65535, 65536, 100_001)
PART = 256 << 10  # part_size of the mounts
OFFSETS = (0, 0, 1, 511, 4095, 4096, 4097, 12288, 65536, 100_000, PART - 1, PART)
BEYOND = (1 << 20, 3 * PART + 1, 20 << 20)  # the last is changed in place
MODES = (0o644, 0o600, 0o755, 0o444, 0o666, 0o640, 0o2755, 0o4755, 0o1777, 0o2710, 0)
TIMES = (0, 1, 1_000_000_000_123_456_789, 999_999_999_999_999_999, 10**18 + 1)
HANDLES = tuple(f"h{i}" for i in range(6))
MAPS = ("m0", "m1", "m2")
USERS = ("0", "65534", "1000")

# How often each is drawn.
WEIGHTS = {
    "open": 16,
    "close": 9,
    "put": 6,
    "log": 4,
    "slurp": 5,
    "write": 8,
    "pwrite": 10,
    "pwritev": 2,
    "read": 4,
    "pread": 6,
    "lseek": 4,
    "truncate": 4,
    "ftruncate": 4,
    "fsync": 2,
    "fdatasync": 1,
    "dup": 1,
    "fallocate": 5,
    "copyrange": 4,
    "map": 4,
    "store": 5,
    "load": 3,
    "msync": 2,
    "unmap": 2,
    "rename": 10,
    "unlink": 6,
    "mkdir": 5,
    "rmdir": 4,
    "symlink": 2,
    "readlink": 1,
    "list": 2,
    "opendir": 1,
    "chmod": 3,
    "fchmod": 1,
    "utimens": 3,
    "futimens": 1,
    "chown": 1,
    "umask": 0.5,
    "statfs": 0.3,
    "link": 0.7,
    "mknod": 1,
    "setxattr": 0.5,
    "getxattr": 0.4,
    "listxattr": 0.3,
    "tmpfile": 0.3,
    "drain": 1.3,
    "evict": 1.3,
    "remount": 0.3,
    "kill": 0.3,
}


class Generator:
    """Draws steps; has a rough idea of what is there, so that most find it."""

    def __init__(self, seed, root=True):
        self.rng = random.Random(f"program {seed}")
        self.kinds = {b"": "folder"}  # path: what it probably is
        self.handles = {}  # probably open: access
        self.maps = set()
        self.count = 0
        weights = dict(WEIGHTS)
        # Swarm: each program lacks some of the alphabet, and has more of the rest.
        for verb in self.rng.sample(sorted(weights), len(weights) // 5):
            weights[verb] = weights[verb] / 8
        if root:
            weights["user"] = self.rng.choice((0, 0, 0, 2))
        else:
            weights["chown"] = 0
        self.verbs, self.weights = zip(*weights.items(), strict=True)

    def program(self, steps):
        made = []
        while len(made) < steps:
            verb = self.rng.choices(self.verbs, self.weights)[0]
            words = getattr(self, verb)()
            if words is not None:
                made.append((verb, *map(str, words)))
            if verb == "drain" and self.rng.random() < 0.5:
                made.append(("evict",))
        return made[:steps]

    # -- what a step is about

    def any_path(self):
        if self.rng.random() < 0.04:
            return self.rng.choice((b"a/b", b"d/a/x", b"nowhere/x", b"s/a"))
        folders = [p for p, k in self.kinds.items() if k == "folder"]
        pool = folders if self.rng.random() < 0.8 else FOLDERS
        folder = self.rng.choice(sorted(pool))
        name = self.rng.choice(RARE if self.rng.random() < 0.04 else NAMES)
        return folder + b"/" + name if folder else name

    def path(self, kind="file", there=0.85):
        known = sorted(p for p, k in self.kinds.items() if k == kind and p)
        if known and self.rng.random() < there:
            return self.rng.choice(known)
        return self.any_path()

    def some(self, there=0.9):
        kinds = ("file", "file", "file", "folder", "link")
        return self.path(self.rng.choice(kinds), there)

    def handle(self, *access):
        good = [h for h, a in self.handles.items() if a in access or not access]
        if good and self.rng.random() < 0.95:
            return self.rng.choice(sorted(good))
        return self.rng.choice(HANDLES)

    def size(self):
        if self.rng.random() < 0.02:
            return self.rng.choice((PART, PART + 1, 2 * PART + 5, 1 << 20))
        return self.rng.choice(SIZES)

    def offset(self):
        if self.rng.random() < 0.04:
            return self.rng.choice(BEYOND)
        return max(0, self.rng.choice(OFFSETS) + self.rng.choice((0, 0, 0, -1, 1)))

    def pattern(self):
        self.count += 1
        return self.count

    def move(self, a, b):
        moved = {
            p: k for p, k in self.kinds.items() if p == a or p[: len(a) + 1] == a + b"/"
        }
        for p in moved:
            del self.kinds[p]
        for p in [p for p in self.kinds if p[: len(b) + 1] == b + b"/"]:
            del self.kinds[p]
        for p, k in moved.items():
            self.kinds[b + p[len(a) :]] = k

    def exchange(self, a, b):
        if a in self.kinds and b in self.kinds and a != b:
            self.move(a, b"/")
            self.move(b, a)
            self.move(b"/", b)

    # -- one method for each verb: its arguments, or None for no step

    def open(self):
        path = self.path(there=0.6)
        access = self.rng.choice(("RDONLY", "RDWR", "RDWR", "WRONLY"))
        flags = [access]
        if self.rng.random() < 0.6:
            flags.append("CREAT")
        for flag, p in (
            ("EXCL", 0.1),
            ("TRUNC", 0.2),
            ("APPEND", 0.15),
            ("SYNC", 0.03),
            ("DSYNC", 0.02),
            ("NOFOLLOW", 0.05),
            ("DIRECTORY", 0.02),
            ("NOATIME", 0.02),
        ):
            if self.rng.random() < p:
                flags.append(flag)
        if "APPEND" not in flags and self.rng.random() < 0.06:
            flags.append("DIRECT")
        free = [h for h in HANDLES if h not in self.handles]
        handle = self.rng.choice(free or HANDLES)
        self.handles[handle] = access
        if "CREAT" in flags:
            self.kinds.setdefault(path, "file")
        return handle, quote(path), "|".join(flags), oct(self.rng.choice(MODES[:6]))

    def close(self):
        handle = self.handle()
        self.handles.pop(handle, None)
        return (handle,)

    def put(self):
        path = self.path(there=0.5)
        self.kinds.setdefault(path, "file")
        return quote(path), self.size(), self.pattern()

    def log(self):
        path = self.path(there=0.8)
        self.kinds.setdefault(path, "file")
        return quote(path), self.size(), self.pattern()

    def slurp(self):
        return (quote(self.path()),)

    def write(self):
        return self.handle("WRONLY", "RDWR"), self.size(), self.pattern()

    def pwrite(self):
        handle = self.handle("WRONLY", "RDWR")
        return handle, self.offset(), self.size(), self.pattern()

    pwritev = pwrite

    def read(self):
        return self.handle("RDONLY", "RDWR"), self.size()

    def pread(self):
        return self.handle("RDONLY", "RDWR"), self.offset(), self.size()

    def lseek(self):
        whence = self.rng.choice(("SET", "CUR", "END", "DATA", "DATA", "HOLE", "HOLE"))
        off = self.offset() * (-1 if self.rng.random() < 0.1 else 1)
        return self.handle(), off, whence

    def truncate(self):
        return quote(self.path()), self.rng.choice((self.offset(), self.size()))

    def ftruncate(self):
        size = self.rng.choice((self.offset(), self.size()))
        return self.handle("WRONLY", "RDWR"), size

    def fsync(self):
        return (self.handle(),)

    fdatasync = fsync

    def dup(self):
        a, b = self.handle(), self.rng.choice(HANDLES)
        self.handles[b] = self.handles.get(a, "RDONLY")
        return a, b

    def fallocate(self):
        how = ("0", "KEEP", "KEEP|PUNCH", "ZERO", "ZERO|KEEP", "COLLAPSE", "INSERT")
        mode = self.rng.choices(how, (4, 2, 4, 2, 2, 0.5, 0.5))[0]
        return self.handle("WRONLY", "RDWR"), mode, self.offset(), self.size()

    def copyrange(self):
        a, b = self.handle("RDONLY", "RDWR"), self.handle("WRONLY", "RDWR")
        return a, self.offset(), b, self.offset(), self.size()

    def map(self):
        how = self.rng.choice(("shared", "shared", "read", "private"))
        name = self.rng.choice(MAPS)
        self.maps.add(name)
        handle = self.handle("RDWR") if how == "shared" else self.handle()
        off = self.rng.choice((0, 0, 0, 4096, 65536))
        return name, handle, how, off, self.rng.choice((1, 4096, 8192, 200_000))

    def mapping(self):
        if not self.maps and self.rng.random() < 0.9:
            return None
        return self.rng.choice(sorted(self.maps) or MAPS)

    def store(self):
        name = self.mapping()
        return name and (name, self.offset(), self.size(), self.pattern())

    def load(self):
        name = self.mapping()
        return name and (name, self.offset(), self.size())

    def msync(self):
        name = self.mapping()
        return name and (name,)

    def unmap(self):
        name = self.mapping()
        self.maps.discard(name)
        return name and (name,)

    def rename(self):
        a = self.some()
        b = self.some(0.4)
        if self.rng.random() < 0.03:
            b = a + b"/below"
        how = self.rng.choices(("-", "NOREPLACE", "EXCHANGE"), (8, 1.5, 1.5))[0]
        if how == "EXCHANGE":
            b = self.some()
            self.exchange(a, b)
        else:
            self.move(a, b)
        return quote(a), quote(b), how

    def unlink(self):
        path = self.path(self.rng.choice(("file", "file", "file", "link", "folder")))
        if self.kinds.get(path) != "folder":
            self.kinds.pop(path, None)
        return (quote(path),)

    def mkdir(self):
        if self.rng.random() < 0.6:
            path = self.rng.choice(FOLDERS[2:])
        else:
            path = self.any_path()
        self.kinds.setdefault(path, "folder")
        return quote(path), oct(self.rng.choice((0o755, 0o777, 0o700, 0o1777, 0o2775)))

    def rmdir(self):
        path = self.path("folder")
        if not any(p[: len(path) + 1] == path + b"/" for p in self.kinds):
            self.kinds.pop(path, None)
        return (quote(path),)

    def symlink(self):
        path = self.any_path()
        self.kinds.setdefault(path, "link")
        return quote(self.rng.choice(TARGETS)), quote(path)

    def readlink(self):
        return (quote(self.path(self.rng.choice(("link", "link", "file")))),)

    def list(self):
        if self.rng.random() < 0.3:
            return (self.handle("FOLDER"),)
        return (quote(self.path("folder")),)

    def opendir(self):
        handle = self.rng.choice(HANDLES)
        self.handles[handle] = "FOLDER"
        return handle, quote(self.path("folder"))

    def chmod(self):
        return quote(self.some()), oct(self.rng.choice(MODES))

    def fchmod(self):
        return self.handle(), oct(self.rng.choice(MODES))

    def times(self):
        if self.rng.random() < 0.2:
            return "now", "now"
        omit = self.rng.random()
        a, m = (str(self.rng.choice(TIMES)) for _ in "am")
        return "omit" if omit < 0.1 else a, "omit" if omit > 0.9 else m

    def utimens(self):
        return quote(self.some()), *self.times(), self.rng.choice(("follow", "link"))

    def futimens(self):
        return self.handle(), *self.times()

    def chown(self):
        owner = [self.rng.choice(USERS), "-1"]  # both -1 never gets to the mount
        self.rng.shuffle(owner)
        return quote(self.some()), *owner

    def umask(self):
        return (oct(self.rng.choice((0o022, 0, 0o027, 0o077))),)

    def user(self):
        return (self.rng.choice(USERS),)

    def statfs(self):
        return (quote(self.some()),)

    def link(self):
        return quote(self.some()), quote(self.any_path())

    def mknod(self):
        path = self.any_path()
        kind = self.rng.choice(("file", "file", "char", "block", "char"))
        if kind == "file":
            self.kinds.setdefault(path, "file")
        return quote(path), kind, oct(self.rng.choice(MODES[:6]))

    def setxattr(self):
        return (quote(self.some()),)

    getxattr = listxattr = setxattr

    def tmpfile(self):
        return (quote(self.path("folder")),)

    # -- of the mount alone

    def settle(self):
        """Nothing stays open for writing."""
        self.maps.clear()
        self.handles = {h: a for h, a in self.handles.items() if a == "RDONLY"}
        return ()

    drain = settle

    def evict(self):
        return ()

    def remount(self):
        self.settle()
        self.handles.clear()
        return ()

    kill = remount


def generate(seed, steps, root=True):
    return Generator(seed, root).program(steps)
