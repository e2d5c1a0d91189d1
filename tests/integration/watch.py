#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follow every change of a bucket and judge the order in which they show.

    watch.py dir FOLDER            a directory as the bucket, by inotify
    watch.py log LOG BUCKET        versitygw: its access log

Each change on a line until SIGTERM or SIGINT, then a verdict; status 1 if
something was out of order.  The bucket holds what train.py writes: a
step-N/complete may show only with every step-N/shard-i-of-n, a part of step N
may go only once a later step shows whole, and a shard only after its marker.
Of Lightning's epoch=N.ckpt one may go only while a later one shows.
"""

import ctypes
import os
import re
import select
import signal
import stat
import struct
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

SHARD = re.compile(r"(?:.*/)?step-(\d+)/shard-(\d+)-of-(\d+)$")
MARKER = re.compile(r"(?:.*/)?step-(\d+)/complete$")
EPOCH = re.compile(r"(?:.*/)?epoch=(\d+)[^/]*\.ckpt$")
LATEST = re.compile(r"(?:.*/)?latest$")
HIDDEN = ".ckptfs"


class Order:
    """The rules, over a sequence of shown(key) and gone(key)."""

    def __init__(self):
        self.keys = set()
        self.changes = 0
        self.violations = []

    def whole(self, step):
        """The marker of a step and all of its shards show."""
        shards = [m for k in self.keys if (m := SHARD.match(k)) and m[1] == step]
        marked = any((m := MARKER.match(k)) and m[1] == step for k in self.keys)
        return bool(marked and shards and len(shards) == int(shards[0][3]))

    def steps(self):
        return {m[1] for k in self.keys if (m := MARKER.match(k))}

    def shown(self, key):
        self.changes += 1
        print(f"watch: + {key}", flush=True)
        self.keys.add(key)
        if (m := MARKER.match(key)) and not self.whole(m[1]):
            self.violation(f"{key} shows before its shards")
        if LATEST.match(key) and not any(self.whole(s) for s in self.steps()):
            self.violation(f"{key} shows before any whole step")

    def gone(self, key):
        self.changes += 1
        print(f"watch: - {key}", flush=True)
        m = SHARD.match(key) or MARKER.match(key)
        if m and key in self.keys:
            later = [s for s in self.steps() if int(s) > int(m[1])]
            if not any(self.whole(s) for s in later):
                self.violation(f"{key} is gone before a later step shows whole")
            if SHARD.match(key) and m[1] in self.steps():
                self.violation(f"{key} is gone before its marker")
        if (m := EPOCH.match(key)) and key in self.keys:
            epochs = [int(e[1]) for k in self.keys if (e := EPOCH.match(k))]
            if max(epochs) <= int(m[1]):
                self.violation(f"{key} is gone before a later one shows")
        self.keys.discard(key)

    def violation(self, text):
        self.violations.append(text)
        print(f"watch: OUT OF ORDER: {text}", flush=True)


class Inotify:
    """Changes below a folder, in order, new folders included."""

    MODIFY, MOVED_FROM, MOVED_TO = 0x2, 0x40, 0x80
    CREATE, DELETE, ISDIR, OVERFLOW = 0x100, 0x200, 0x40000000, 0x4000
    MASK = MODIFY | MOVED_FROM | MOVED_TO | CREATE | DELETE
    ONLYDIR = 0x01000000

    def __init__(self, root, order):
        self.root, self.order = Path(root), order
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self.folders = {}
        self.add(self.root)

    def add(self, folder):
        """Watch a folder; what is in it already counts in the order of its
        change times, for it came between the folder and the watch."""
        wd = self.libc.inotify_add_watch(
            self.fd, os.fsencode(folder), self.MASK | self.ONLYDIR
        )
        if wd < 0:
            return  # gone again
        self.folders[wd] = folder
        found = []
        for path in self.list(folder):
            try:
                st = path.lstat()
            except FileNotFoundError:
                continue  # its deletion is an event
            if stat.S_ISDIR(st.st_mode):
                if path.name != HIDDEN:
                    self.add(path)
            else:
                key = self.key(path)
                late = bool(MARKER.match(key) or LATEST.match(key))
                # Times are coarse: of equal ones the order is not known.
                found.append((st.st_ctime_ns, late, key))
        for _, _, key in sorted(found):
            if key not in self.order.keys:
                self.order.shown(key)

    @staticmethod
    def list(folder):
        try:
            return list(folder.iterdir())
        except FileNotFoundError:
            return []

    def key(self, path):
        return str(path.relative_to(self.root))

    def drain(self):
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                wd, mask, _, n = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + n].rstrip(b"\0")
                at += 16 + n
                if mask & self.OVERFLOW:
                    self.order.violation("the kernel dropped changes")
                elif wd in self.folders and name:
                    self.change(self.folders[wd] / os.fsdecode(name), mask)

    def change(self, path, mask):
        if path.name == HIDDEN:
            return
        key = self.key(path)
        if mask & self.ISDIR:
            if mask & self.MOVED_FROM:
                for k in sorted(self.order.keys):
                    if k.startswith(key + "/"):
                        self.order.gone(k)
            elif mask & (self.CREATE | self.MOVED_TO):
                self.add(path)
        elif mask & (self.CREATE | self.MOVED_TO):
            self.order.shown(key)
        elif mask & (self.DELETE | self.MOVED_FROM):
            self.order.gone(key)
        elif mask & self.MODIFY:
            self.order.violation(f"{key} is written where it shows")

    def fileno(self):
        return self.fd


class AccessLog:
    """Changes of one bucket, from the lines of the server's access log."""

    LINE = re.compile(r" s3_(\w+) .*? (/\S*) (\d{3}) ")
    SHOWS = ("PutObject", "CompleteMultipartUpload", "CopyObject")

    def __init__(self, log, bucket, order):
        self.path, self.bucket, self.order = Path(log), bucket, order
        self.offset, self.rest = 0, ""

    def drain(self):
        with self.path.open("r", errors="replace") as f:
            f.seek(self.offset)
            text = self.rest + f.read()
            self.offset = f.tell()
        *lines, self.rest = text.split("\n")
        for line in lines:
            if m := self.LINE.search(line):
                self.change(m[1], m[2], int(m[3]))

    def change(self, call, target, status):
        bucket, _, key = unquote(urlsplit(target).path).lstrip("/").partition("/")
        if bucket != self.bucket or status >= 300 or key.startswith(HIDDEN):
            return
        if call in self.SHOWS:
            self.order.shown(key)
        elif call == "DeleteObject":
            self.order.gone(key)
        # A mount tries DeleteObjects on keys of its own, and uses it no more:
        # this server's heeds no conditions.


def follow(source, stop):
    """Until stop becomes readable; what has happened by then counts."""
    waited = [stop, source] if hasattr(source, "fileno") else [stop]
    ended = False
    while not ended:
        ready, _, _ = select.select(waited, [], [], 0.1)
        ended = stop in ready
        source.drain()


def main(args):
    order = Order()
    match args:
        case ["dir", folder]:
            source = Inotify(folder, order)
        case ["log", log, bucket]:
            source = AccessLog(log, bucket, order)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    stop, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: None)
    print("watch: following", flush=True)
    follow(source, stop)
    verdict = (
        f"{len(order.violations)} out of order" if order.violations else "in order"
    )
    print(f"watch: {order.changes} changes, {verdict}", flush=True)
    return 1 if order.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
