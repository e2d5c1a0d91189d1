# SPDX-License-Identifier: Apache-2.0
"""What a mount must have brought about in its bucket."""

import hashlib
import os
import stat
import threading

from buckets import assert_same


def _what(path):
    st = path.lstat()
    if stat.S_ISLNK(st.st_mode):
        return f"-> {os.readlink(path)}"
    if stat.S_ISDIR(st.st_mode):
        return "folder"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return oct(st.st_mode), st.st_size, st.st_mtime_ns, digest


def tree(root):
    """{relative name: all that another mount must show of it}"""
    return {str(p.relative_to(root)): _what(p) for p in root.rglob("*")}


def assert_published(mnt, bucket, mounts):
    """The bucket is the tree, and a second mount with an empty cache shows it."""
    mnt.sync()
    assert_same(bucket, mnt.path)
    second = mounts(bucket, "proof").mount()
    assert tree(second.path) == tree(mnt.path)


class Follower:
    """Looks at an S3 bucket again and again until the end of its with block:
    whenever `marker` is there, the keys needed(its bytes) must be there, too.
    """

    def __init__(self, bucket, marker, needed):
        self.bucket = bucket
        self.marker = marker
        self.needed = needed
        self.seen = []
        self.wrong = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._follow)

    def _read(self):
        try:
            return self.bucket.get(self.marker)
        except self.bucket.s3.exceptions.NoSuchKey:
            return None

    def _follow(self):
        over = False
        while not over:
            over = self.over.wait(0.02)
            self._look()  # once more when it is over

    def _look(self):
        mark = self._read()
        if mark is None:
            return
        missing = set(self.needed(mark)) - set(self.bucket.keys())
        # between two readings the marker may have gone on
        if missing and self._read() == mark:
            self.wrong.append((mark, sorted(missing)))
        if not self.seen or self.seen[-1] != mark:
            self.seen.append(mark)

    def __enter__(self):
        self.thread.start()
        return self
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        if kind is None:
            assert not self.wrong, f"shows before what it stands for: {self.wrong}"
            assert self.seen, f"{self.marker} was never there"
