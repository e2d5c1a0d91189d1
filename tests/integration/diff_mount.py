# SPDX-License-Identifier: Apache-2.0
"""A mount on which programs of the differential test run, one after the other.

Bench owns the mount, its bucket and a process that runs the programs
(diff_worker.py): one that hangs, or dies of SIGBUS, ends without us.
"""

import contextlib
import fnmatch
import os
import shutil
import stat
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

from buckets import DirBucket, S3Bucket
from diff_program import PART
from mount import Failed, Mount

STALL_S = 120  # nothing is heard of a program for so long: it hangs
TEMPORARY = (".tmp*", "*.tmp", "*.part", "*.partial", "*__lock", "*.tempstate*")
OPTIONS = {
    "upload_delay": "20ms",
    "upload_interval": "1s",
    "metadata_ttl": "500ms",
    "cache_min_free": "64M",
    "log_level": "info",
}


def is_temporary(key):
    name = key.rpartition(b"/")[2].decode(errors="surrogateescape")
    return any(fnmatch.fnmatchcase(name, glob) for glob in TEMPORARY)


def entries(root):
    """({file or link: bytes}, {folder: whether it is empty}) below root."""
    files, folders = {}, {}
    for top, dirs, names in os.walk(root):
        here = top[len(root) + 1 :]
        folders[here] = not dirs and not names
        for name in dirs + names:
            path = top + b"/" + name
            st = os.lstat(path)
            key = path[len(root) + 1 :]
            if stat.S_ISLNK(st.st_mode):
                files[key] = os.readlink(path)
            elif not stat.S_ISDIR(st.st_mode):
                with open(path, "rb") as f:
                    files[key] = f.read()
    folders.pop(b"", None)
    return files, folders


def s3_entries(bucket, prefix):
    """The same of a bucket: folders are its markers."""
    files, folders = {}, {}
    pages = bucket.s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket.name, Prefix=prefix + "/"
    )
    for page in pages:
        for o in page.get("Contents", ()):
            key = os.fsencode(o["Key"][len(prefix) + 1 :])
            if key.endswith(b"/"):
                folders[key[:-1]] = True
            elif key:
                files[key] = bucket.get(o["Key"])
    return files, folders


def compare_bucket(tree, bucket):
    """What the bucket has otherwise than the tree, None if nothing."""
    files, folders = tree
    objects, markers = bucket
    public = {k for k in files if not is_temporary(k)}
    if lost := sorted(public - set(objects)):
        return f"drained, and not in the bucket: {lost}"
    # What was published and then renamed to a temporary name stays until it has a
    # successor in the bucket.
    extra = sorted(set(objects) - set(files))
    if len(extra) > len(files) - len(public):
        return f"drained, and only in the bucket: {extra}"
    for key in sorted(public):
        if files[key] != objects[key]:
            return (
                f"drained, and in the bucket {key!r} has other bytes: "
                f"{len(objects[key])}, not {len(files[key])}"
            )
    if lost := sorted(k for k, empty in folders.items() if empty and k not in markers):
        return f"drained, and these folders are not in the bucket: {lost}"
    if extra := sorted(set(markers) - set(folders)):
        return f"drained, and these folders are only in the bucket: {extra}"
    return None


class Bench:
    """through: the option passthrough; server: of an S3 bucket, None: a folder."""

    def __init__(self, work, name, through, server=None):
        self.work, self.name, self.through, self.server = (
            Path(work),
            name,
            through,
            server,
        )
        self.count = 0  # of mounts, and of programs
        self.mnt = self.worker = None

    def start(self):
        self.count += 1
        name = f"{self.name}-{self.count}"
        self.folder = self.work / name
        self.local = self.folder / "local"
        self.local.mkdir(parents=True)
        if self.server:
            self.bucket = S3Bucket(self.server, f"diff-{os.getpid()}-{name}")
        else:
            self.bucket = DirBucket(self.folder / "bucket")
        part = "5M" if self.server else PART
        options = {**OPTIONS, **self.bucket.options, "part_size": part}
        if os.geteuid() == 0:
            options["allow_other"] = True
        env = dict(self.bucket.env, HOME=str(self.folder))
        self.mnt = Mount(
            self.bucket.source,
            self.folder / "mnt",
            self.folder / "cache",
            env,
            passthrough=self.through,
            **options,
        )
        self.mnt.mount()
        os.umask(0o022)
        ours, theirs = Pipe()
        self.worker = subprocess.Popen(
            [
                sys.executable,
                Path(__file__).with_name("diff_worker.py"),
                str(theirs.fileno()),
            ],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.pipe = ours

    def end_worker(self):
        if self.worker:
            self.worker.kill()
            self.pipe.close()
            self.worker.wait()
        self.worker = None

    def discard(self, keep=False):
        """End all at once; keep: what the daemon left."""
        if self.mnt:
            self.mnt.kill9()  # first: the worker may wait for it
            self.end_worker()
            self.mnt.detach()
            if not keep:
                shutil.rmtree(self.folder, ignore_errors=True)
        self.mnt = None

    def end(self):
        """Drained and unmounted; what went wrong, None if nothing."""
        if not self.mnt:
            return None
        self.end_worker()
        problem = None
        try:
            self.mnt.sync(timeout=120)
            if keys := self.bucket.keys():
                problem = f"all is deleted, and in the bucket: {keys}"
        except Failed as e:
            problem = str(e)
        problem = self.mnt.end() or problem
        shutil.rmtree(self.folder, ignore_errors=True)
        self.mnt = None
        return problem

    # -- a program

    def run(self, steps, **how):
        """What differs, None if nothing; then the mount is a new one."""
        if not self.mnt:
            self.start()
        self.count += 1
        name = f"p{self.count}"
        roots = [os.fsencode(top / name) for top in (self.local, self.mnt.path)]
        self.pipe.send((steps, *roots, how))
        problem = self.serve()
        if problem:
            self.tail = self.mnt.log_tail(30) if self.mnt else ""
            self.discard()
        return problem

    def serve(self):
        """Until the program is over."""
        last = 0
        while True:
            if not self.pipe.poll(STALL_S):
                return f"step {last + 1}: hangs"
            try:
                what, *words = self.pipe.recv()
            except (EOFError, ConnectionError):
                status = self.worker.wait()
                return f"after step {last + 1}: died, status {status}"
            if what == "step":
                last = words[0]
            elif what == "ask":
                self.pipe.send(self.ask(*words))
            else:
                return words[0]

    def ask(self, verb, local, mount):
        try:
            return getattr(self, f"do_{verb}")(local, mount)
        except (Failed, AssertionError, subprocess.TimeoutExpired) as e:
            return f"{verb}: {e}"

    def do_drain(self, local, mount):
        self.mnt.sync(os.fsdecode(mount))
        name = os.fsdecode(os.path.basename(mount))
        if self.server:
            found = s3_entries(self.bucket, name)
            # what versitygw keeps as folders needs no marker while it has objects
        else:
            found = entries(os.fsencode(self.bucket.folder / name))
        return compare_bucket(entries(local), found)

    def do_evict(self, _, mount):
        done = self.mnt.run("evict", os.fsdecode(mount), status=None)
        return None if done.returncode in (0, 1) else f"evict: {done.stderr}"

    def do_remount(self, *_):
        self.mnt.remount()

    def do_kill(self, *_):
        self.mnt.kill9()
        self.mnt.detach()
        self.mnt.mount()


def shrink(bench, steps, until, say=lambda _: None):
    """The fewest steps found that fail, and how."""
    problem = None

    def fails(some):
        nonlocal problem
        if until():
            return False
        found = bench.run(some, whole_every=1)
        if found:
            problem = found
            say(f"{len(some)} steps: {found}")
        return bool(found)

    if not any(fails(steps) for _ in range(3)):
        return steps, None
    steps = steps[: failed_at(problem, len(steps))]
    size = max(1, len(steps) // 2)
    while True:
        at, shorter = 0, False
        while at < len(steps):
            some = steps[:at] + steps[at + size :]
            if fails(some):
                steps, shorter = some[: failed_at(problem, len(some))], True
            else:
                at += size
        if size == 1 and not shorter:
            return steps, problem
        size = max(1, size // 2)


def failed_at(problem, count):
    """Steps up to the one that failed."""
    with contextlib.suppress(IndexError, ValueError):
        return min(count, int(problem.split("step ")[1].split()[0].strip(":")))
    return count
