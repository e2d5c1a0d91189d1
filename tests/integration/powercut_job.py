# SPDX-License-Identifier: Apache-2.0
"""Runs in the machine that loses its power, after powercut_init.sh: mounts,
tells what is there, has all of it published, then works until the end.

What it says goes to files in the host's folder, each of them by a write that the
host has before it returns.  CUT_HOST, CUT_MOUNT, CUT_BUCKET and CUT_CACHE say
where things lie if not in such a machine.
"""

import fcntl
import hashlib
import json
import os
import random
import struct
import subprocess
import sys
import time

HOST = os.environ.get("CUT_HOST", "/media")
MOUNT = os.environ.get("CUT_MOUNT", "/run/ckpt")
BUCKET = os.environ.get("CUT_BUCKET", "/run/bucket")
CACHE = os.environ.get("CUT_CACHE", "/mnt/cache")
BITE = 64 << 10


def put(name, value):
    """A file for the host, there whole or not at all."""
    path = f"{HOST}/{name}"
    with open(path + ".new", "w") as f:
        json.dump(value, f)
    os.rename(path + ".new", path)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def look(path):
    if os.path.islink(path):
        return ["link", os.readlink(path)]
    if os.path.isdir(path):
        return "dir"
    with open(path, "rb") as f:
        return ["file", digest(f.read())]


def tree(top):
    found = {}
    for folder, dirs, names in os.walk(top):
        dirs[:] = [d for d in dirs if d not in (".ckptfs", "lost+found")]
        for name in dirs + names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = look(path)
    return found


def bucket():
    """Its objects, and the uploads that nobody has finished."""
    uploads = f"{BUCKET}/.ckptfs/uploads"
    found = tree(BUCKET)
    return {
        "objects": {k: v for k, v in found.items() if v != "dir"},
        "folders": [k for k, v in found.items() if v == "dir"],
        "uploads": os.listdir(uploads) if os.path.isdir(uploads) else [],
    }


def ckptfs(*args):
    return subprocess.run(
        [os.environ["CKPTFS"], *args], stdin=subprocess.DEVNULL, capture_output=True
    )


def snapshot():
    """The tree and which of its files are unfinished."""
    status = json.loads(ckptfs("status", MOUNT, "--json").stdout)
    odd = ("torn", "conflict", "parked", "poisoned")
    return {
        "tree": tree(MOUNT),
        "unfinished": [
            e["path"] for e in status["queue"] if e["state"] == "unfinished"
        ],
        "odd": [e for e in status["queue"] if e["state"] in odd],
        "queue": status["queue"],
        "io": status["io"],
        "opens": status["opens"],
    }


class Marks:
    """Puts marks into the record of a disk (logwrites.py), by the message "mark
    TEXT" of dm-log-writes."""

    # struct dm_ioctl: version, sizes, counts and flags, dev, name, uuid
    HEAD = struct.Struct("=3I2I IiI2I Q128s129s7x")
    TARGET_MSG = 0xC138FD0E

    def __init__(self, device):
        self.device = device.encode()
        self.fd = os.open("/dev/mapper/control", os.O_RDWR)

    def put(self, text):
        message = struct.pack("=Q", 0) + f"mark {text}".encode() + b"\0"
        size = self.HEAD.size + len(message)
        head = self.HEAD.pack(
            4, 0, 0, size, self.HEAD.size, 0, 0, 0, 0, 0, 0, self.device, b""
        )
        fcntl.ioctl(self.fd, self.TARGET_MSG, head + message)


class Flaky:
    """A disk (flakey.py) that fails all writes once the host says so."""

    def __init__(self, device, boot):
        self.device, self.told = device, f"{HOST}/fail.{boot}"
        self.failing = False

    def look(self):
        if self.failing or not os.path.exists(self.told):
            return
        self.failing = True
        dmsetup = ["dmsetup", "--noudevsync", "--noudevrules"]
        table = subprocess.check_output([*dmsetup, "table", self.device], text=True)
        first, size, kind, disk, at = table.split()[:5]
        table = f"{first} {size} {kind} {disk} {at} 0 1000000 1 error_writes"
        for what in (
            ["suspend", "--noflush", "--nolockfs"],
            ["load", "--table", table],
            ["resume"],
        ):
            subprocess.run([*dmsetup, what[0], self.device, *what[1:]], check=True)


class Job:
    """Does things, and says before and after which."""

    def __init__(self, boot, seed, close_is_safe):
        self.close_is_safe = close_is_safe
        self.rng = random.Random(seed)
        self.journal = os.open(
            f"{HOST}/journal.{boot}", os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        self.seed = seed
        self.n = 0
        self.lines = 0
        device = os.environ.get("CUT_MARKS")
        self.marks = Marks(device) if device else None
        device = os.environ.get("CUT_FLAKY")
        self.flaky = Flaky(device, boot) if device else None

    def say(self, *what):
        if self.flaky:
            self.flaky.look()
        os.write(self.journal, (json.dumps(what) + "\n").encode())
        self.lines += 1
        if self.marks and what[0] in ("S", "F", "R"):
            self.marks.put(self.lines)

    def data(self, size):
        self.n += 1
        text = f"{self.seed} {self.n} {size}\n".encode()
        return text + hashlib.shake_128(text).digest(size)

    def size(self):
        return int(2 ** self.rng.uniform(8, self.rng.choice((13, 17, 21))))

    def sync_folder(self, path):
        """fsync of a folder: all that was done is safe then."""
        fd = os.open(f"{MOUNT}/{path}", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.say("S")

    def write(self, fd, data, fsync):
        for at in range(0, len(data), BITE):
            os.write(fd, data[at : at + BITE])
        if fsync:
            os.fsync(fd)
            self.say("F")
        os.close(fd)
        self.say("S" if self.close_is_safe else "A")

    def save(self, path, fsync=False):
        data = self.data(self.size())
        self.say("B", "save", path, digest(data))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self.write(os.open(f"{MOUNT}/{path}", flags, 0o644), data, fsync)

    def append(self, path):
        name = f"{MOUNT}/{path}"
        old = b""
        if os.path.exists(name):
            with open(name, "rb") as f:
                old = f.read()
        data = self.data(self.rng.randrange(20, 200))
        self.say("B", "append", path, digest(old + data))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.write(os.open(name, flags, 0o644), data, False)

    def change(self, kind, path, more=None):
        name = f"{MOUNT}/{path}"
        self.say("B", kind, path, more)
        if kind == "rename":
            os.rename(name, f"{MOUNT}/{more}")
        elif kind == "link":
            os.symlink(more, name)
        else:
            getattr(os, kind)(name)
        self.say("A")

    def remove(self, path):
        """A folder and all below it, as rmtree does."""
        for name in sorted(os.listdir(f"{MOUNT}/{path}")):
            below = f"{path}/{name}"
            if os.path.isdir(f"{MOUNT}/{below}"):
                self.remove(below)
            else:
                self.change("unlink", below)
        self.change("rmdir", path)

    def checkpoint(self, k):
        """Shards, then what names them, then the name of the newest; then the
        oldest goes."""
        rng = self.rng
        made, name = f"making-{k}", f"step-{k}"
        renamed = rng.random() < 0.4
        at = made if renamed else name
        self.change("mkdir", at)
        for i in range(rng.randrange(1, 5)):
            self.save(f"{at}/shard-{i}", fsync=rng.random() < 0.15)
        self.save(f"{at}/index", fsync=rng.random() < 0.15)
        if renamed:
            self.change("rename", made, name)
        if rng.random() < 0.3:
            self.sync_folder(name)
        self.append("train.log")
        self.save("latest.tmp")
        self.change("rename", "latest.tmp", "latest")
        if rng.random() < 0.3:
            self.sync_folder(".")
        if rng.random() < 0.3:
            self.save("last")  # in place of the one before
        if rng.random() < 0.2:
            self.change("link", f"best-{k}", name)
        old = sorted(
            (n for n in os.listdir(MOUNT) if n.startswith("step-")),
            key=lambda n: int(n[5:]),
        )
        if len(old) > 3:
            for link in [n for n in os.listdir(MOUNT) if n.startswith("best-")]:
                if os.readlink(f"{MOUNT}/{link}") == old[0]:
                    self.change("unlink", link)
            self.remove(old[0])

    def work(self, first):
        k = first
        while True:
            self.checkpoint(k)
            k += 1
            time.sleep(self.rng.choice((0, 0, 0.05, 0.3)))


def wait_for_listing():
    """What the bucket has, and no row speaks of, shows once it is listed."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found, there = tree(MOUNT), bucket()
        files = {k for k, v in found.items() if v != "dir"}
        folders = {k for k, v in found.items() if v == "dir"}
        files = {k for k in files if not k.endswith(".tmp")}
        if files == there["objects"].keys() and folders == set(there["folders"]):
            break
        time.sleep(0.1)


def after_failure():
    """What the mount says once all is sent that it can still send."""
    moving = ("queued", "uploading", "mkdir", "rename", "delete", "symlink")
    until = time.monotonic() + 20
    while True:
        status = json.loads(ckptfs("status", MOUNT, "--json").stdout)
        states = [e["state"] for e in status["queue"]]
        if not any(s in moving for s in states) or time.monotonic() > until:
            break
        time.sleep(0.05)
    return {
        "warnings": status["warnings"],
        "check": ckptfs("status", MOUNT, "--check").returncode,
        "poisoned": [e["path"] for e in status["queue"] if e["state"] == "poisoned"],
        "queue": status["queue"],
    }


def wait_for(name):
    while not os.path.exists(f"{HOST}/{name}"):
        time.sleep(0.01)
    with open(f"{HOST}/{name}") as f:
        return json.load(f)


def mount(options):
    os.makedirs(MOUNT, exist_ok=True)
    os.makedirs(CACHE, exist_ok=True)
    return ckptfs("mount", f"file://{BUCKET}", MOUNT, "-o", options)


def main():
    boot, options = sys.argv[1:]
    put(f"bucket.{boot}", bucket())
    done = mount(options)
    if done.returncode:
        put(f"broken.{boot}", done.stderr.decode(errors="replace"))
        return
    found = snapshot()
    put(f"found.{boot}", found)
    seed = wait_for(f"judged.{boot}")
    job = Job(boot, seed, "close=local" in options)
    for path in found["unfinished"]:
        if path in found["tree"]:
            job.change("unlink", path)
    done = ckptfs("sync", MOUNT, "--timeout", "60")
    if done.returncode:
        put(f"broken.{boot}", done.stderr.decode(errors="replace"))
        return
    job.say("R")
    until = time.monotonic() + 5
    while bucket()["uploads"] and time.monotonic() < until:
        time.sleep(0.02)  # what was given up goes after what is waited for
    if job.flaky:
        wait_for_listing()
    put(f"drained.{boot}", snapshot() | bucket())
    wait_for(f"go.{boot}")
    try:
        job.work(int(boot) * 1000)
    except OSError as e:
        if not job.flaky or not job.flaky.failing:
            raise
        failed = after_failure() | {"error": str(e)}
        put(f"failed.{boot}", failed)
        time.sleep(1000)


if __name__ == "__main__":
    main()
