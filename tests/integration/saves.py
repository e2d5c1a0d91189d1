# SPDX-License-Identifier: Apache-2.0
"""Saves as frameworks make them, replayed call by call."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

MIB = 1 << 20


def pl_save(data, path):
    """Lightning's save: a temporary elsewhere, moved, made readable."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd, temporary = tempfile.mkstemp()
    with os.fdopen(fd, "wb") as f:
        f.write(data)
    shutil.move(temporary, path)
    umask = os.umask(0o022)
    os.umask(umask)
    os.chmod(path, 0o666 & ~umask)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def shard(rank, save, size):
    """The bytes of a rank's shard of that save: each word says both."""
    word = b"%07d-%07d\n" % (save, rank)
    return word * (size // len(word))


def shard_save(data, rank, size):
    """The save these bytes are a shard of, whole; None: they are no such."""
    save = int(data[:7]) if data[:7].isdigit() else -1
    return save if save >= 0 and data == shard(rank, save, size) else None


class ShardedSave:
    """torch's distributed save by a process a rank: each writes its shard of
    save number `save` into its folder, then rank 0 says in .metadata which it
    is.  calls: a line for each call that has returned, as it does."""

    def __init__(self, folders, save, size):
        words = [str(save), str(size), *map(str, folders)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.calls = self.process.stdout

    def end(self):
        """Whether all of it succeeded."""
        self.calls.read()
        self.calls.close()
        return self.process.wait(60) == 0


def said():
    os.write(1, b".\n")


def write_shard(folder, rank, save, size):
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/__{rank}_0.distcp"
    data = shard(rank, save, size)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    said()
    for at in range(0, size, MIB):
        os.write(fd, data[at : at + MIB])
        said()
    os.fsync(fd)
    os.close(fd)
    said()


def write_metadata(folder, save):
    with open(f"{folder}/.metadata.tmp", "wb") as f:
        f.write(b"%07d" % save)
        os.fsync(f.fileno())  # before the flush, as torch does it
    said()
    if os.path.exists(f"{folder}/.metadata"):
        os.unlink(f"{folder}/.metadata")
    said()
    os.rename(f"{folder}/.metadata.tmp", f"{folder}/.metadata")
    said()


def main(save, size, *folders):
    children = []
    for rank, folder in enumerate(folders):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                write_shard(folder, rank, int(save), int(size))
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    if any([os.waitpid(pid, 0)[1] for pid in children]):
        return 1
    write_metadata(folders[0], int(save))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
