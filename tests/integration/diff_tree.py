# SPDX-License-Identifier: Apache-2.0
"""One of the two trees of the differential test: does what a step says.

Peer is the local directory.  It does what the mount must do, and where the mount
refuses by contract it says with which errno:

    link                      EPERM: link(2)'s word where there are none; cp, git and
                              tar then copy or fail as they do on FAT
    mknod of devices          EPERM: the mount would not let them be opened
    xattrs                    EOPNOTSUPP: cp, rsync and tar leave them out
    O_TMPFILE                 EOPNOTSUPP: the caller makes a named file
    fallocate COLLAPSE, INSERT  EOPNOTSUPP: said by the kernel's FUSE itself
"""

import contextlib
import ctypes
import errno
import functools
import mmap
import os
import random
import stat

from diff_program import unquote

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    *[ctypes.c_int] * 3,
    ctypes.c_long,
)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
libc.msync.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
libc.utimensat.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int)
libc.futimens.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p) * 2 + (ctypes.c_uint,)

MS_SYNC = 4
AT_FDCWD, NOFOLLOW = -100, 0x100
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
RENAME = {"-": 0, "NOREPLACE": 1, "EXCHANGE": 2}
FALLOC = {"0": 0, "KEEP": 1, "PUNCH": 2, "COLLAPSE": 8, "ZERO": 16, "INSERT": 32}
WHENCE = {n: getattr(os, f"SEEK_{n}") for n in ("SET", "CUR", "END", "DATA", "HOLE")}
SPECIAL = {"char": stat.S_IFCHR, "block": stat.S_IFBLK}
READ_MAX = 64 << 20
PAGE = mmap.PAGESIZE


class Empty(Exception):
    """The register holds nothing: the step is one of no effect."""


@functools.lru_cache(64)
def pattern(seed, size):
    """Bytes that tell where they come from; none is zero."""
    block = random.Random(seed).randbytes(min(size, 65521)).replace(b"\0", b"\1")
    return (block * (size // max(1, len(block)) + 1))[:size]


def called(result):
    if result in (-1, ctypes.c_void_p(-1).value):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def falloc_mode(words):
    return sum(FALLOC[word] for word in words.split("|"))


class Mapping:
    """A mapping of which nothing but itself holds the file."""

    def __init__(self, fd, how, off, length):
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if how != "read" else 0)
        flags = mmap.MAP_PRIVATE if how == "private" else mmap.MAP_SHARED
        self.addr = called(libc.mmap(None, length, prot, flags, fd, off))
        self.how, self.off, self.length = how, off, length
        self.ino = os.fstat(fd).st_ino

    def sync(self):
        called(libc.msync(self.addr, self.length, MS_SYNC))

    def unmap(self):
        called(libc.munmap(self.addr, self.length))


class Tree:
    """Handles and mappings are by the names that a program gives them."""

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.fds = {}
        self.direct = set()  # handles
        self.paths = {}  # handle: the path it was opened by
        self.made_by = set()  # handles that may have made their file
        self.maps = {}
        self.user = 0

    def path(self, word):
        name = unquote(word)
        return self.root + b"/" + name if name else self.root

    def fd(self, handle):
        if handle not in self.fds:
            raise Empty
        return self.fds[handle]

    def mapping(self, name):
        if name not in self.maps:
            raise Empty
        return self.maps[name]

    def run(self, verb, words, **how):
        """What came of it: a value, or the name of an errno."""
        call = getattr(self, f"do_{verb}")
        try:
            with self.as_user(verb):
                return "gives", call(*words, **how)
        except OSError as e:
            return "fails", errno.errorcode.get(e.errno, str(e.errno))
        except Empty:
            return "skips", None

    @contextlib.contextmanager
    def as_user(self, verb):
        if self.user == 0 or verb in AS_ROOT:
            yield
            return
        os.setegid(self.user)
        os.seteuid(self.user)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    def close_all(self, keep=()):
        """Every mapping and handle but those named; the errors they met."""
        errors = []
        for name in [*self.maps, *[h for h in self.fds if h not in keep]]:
            what, value = self.run("unmap" if name in self.maps else "close", (name,))
            if what == "fails":
                errors.append((name, value))
        return errors

    # -- handles

    def do_open(self, handle, word, flags, mode):
        self.forget(handle)
        names = flags.split("|")
        bits = functools.reduce(int.__or__, (getattr(os, f"O_{n}") for n in names))
        fd = os.open(self.path(word), bits, int(mode, 8))
        self.fds[handle], self.paths[handle] = fd, word
        if "DIRECT" in names:
            self.direct.add(handle)
        if "CREAT" in names:
            self.made_by.add(handle)

    def forget(self, handle):
        fd = self.fds.pop(handle, None)
        self.direct.discard(handle)
        self.made_by.discard(handle)
        self.paths.pop(handle, None)
        if fd is not None:
            os.close(fd)

    def do_close(self, handle):
        self.fd(handle)
        self.forget(handle)

    def do_opendir(self, handle, word):
        self.do_open(handle, word, "RDONLY|DIRECTORY", "0")

    def do_dup(self, a, b):
        fd = os.dup(self.fd(a))
        path, kinds = self.paths[a], [s for s in (self.direct, self.made_by) if a in s]
        self.forget(b)
        self.fds[b], self.paths[b] = fd, path
        for kind in kinds:
            kind.add(b)

    def whole(self, handle, off, size):
        """off and size as the disk wants them of O_DIRECT."""
        if handle not in self.direct:
            return off, size
        return off - off % PAGE, min(size - size % PAGE, 16 * PAGE)

    @staticmethod
    def aligned(data):
        buffer = mmap.mmap(-1, max(PAGE, len(data)))
        buffer[: len(data)] = data
        return memoryview(buffer)[: len(data)]

    def do_pwrite(self, handle, off, size, seed):
        fd = self.fd(handle)
        off, size = self.whole(handle, int(off), int(size))
        data = pattern(int(seed), size)
        return os.pwrite(fd, self.aligned(data) if handle in self.direct else data, off)

    def do_pwritev(self, handle, off, size, seed):
        if handle in self.direct:
            raise Empty
        data = pattern(int(seed), int(size))
        third = len(data) // 3
        parts = [data[:third], data[third : 2 * third], data[2 * third :]]
        return os.pwritev(self.fd(handle), parts, int(off))

    def do_write(self, handle, size, seed):
        fd = self.fd(handle)
        if handle in self.direct:
            at = os.lseek(fd, 0, os.SEEK_CUR)
            os.lseek(fd, at - at % PAGE, os.SEEK_SET)
        _, size = self.whole(handle, 0, int(size))
        data = pattern(int(seed), size)
        n = os.write(fd, self.aligned(data) if handle in self.direct else data)
        return n, os.lseek(fd, 0, os.SEEK_CUR)

    def do_pread(self, handle, off, size):
        fd = self.fd(handle)
        off, size = self.whole(handle, int(off), int(size))
        if handle not in self.direct:
            return os.pread(fd, size, off)
        buffer = self.aligned(bytes(size))
        return bytes(buffer[: os.preadv(fd, [buffer], off)])

    def do_read(self, handle, size):
        fd = self.fd(handle)
        if handle in self.direct:
            raise Empty
        data = os.read(fd, int(size))
        return data, os.lseek(fd, 0, os.SEEK_CUR)

    def do_lseek(self, handle, off, whence):
        fd = self.fd(handle)
        try:
            return os.lseek(fd, int(off), WHENCE[whence])
        finally:
            if whence in ("DATA", "HOLE"):  # they may differ, and so would reads
                os.lseek(fd, 0, os.SEEK_SET)

    def do_ftruncate(self, handle, size):
        os.ftruncate(self.fd(handle), int(size))

    def do_fsync(self, handle):
        os.fsync(self.fd(handle))

    def do_fdatasync(self, handle):
        os.fdatasync(self.fd(handle))

    def do_fallocate(self, handle, mode, off, size):
        called(libc.fallocate(self.fd(handle), falloc_mode(mode), int(off), int(size)))

    def do_copyrange(self, a, off, b, to, size):
        if {a, b} & self.direct:
            raise Empty
        copy = os.copy_file_range
        return copy(self.fd(a), self.fd(b), int(size), int(off), int(to))

    def do_fchmod(self, handle, mode):
        os.fchmod(self.fd(handle), int(mode, 8))

    def do_futimens(self, handle, atime, mtime):
        set_times(self.fd(handle), atime, mtime)

    # -- mappings

    def do_map(self, name, handle, how, off, length):
        fd = self.fd(handle)
        if name in self.maps:
            self.do_unmap(name)
        self.maps[name] = Mapping(fd, how, int(off), int(length))

    def do_store(self, name, at, size, seed, room=0):
        m = self.mapping(name)
        n = min(int(size), room - int(at))
        if m.how == "read" or n <= 0:
            raise Empty
        ctypes.memmove(m.addr + int(at), pattern(int(seed), n), n)

    def do_load(self, name, at, size, room=0):
        m = self.mapping(name)
        n = min(int(size), room - int(at))
        if n <= 0:
            raise Empty
        return ctypes.string_at(m.addr + int(at), n)

    def do_msync(self, name):
        self.mapping(name).sync()

    def do_unmap(self, name):
        self.mapping(name)
        self.maps.pop(name).unmap()

    # -- paths

    def do_put(self, word, size, seed, flags=os.O_TRUNC):
        fd = os.open(self.path(word), os.O_WRONLY | os.O_CREAT | flags, 0o666)
        try:
            return os.write(fd, pattern(int(seed), int(size)))
        finally:
            os.close(fd)

    def do_log(self, word, size, seed):
        return self.do_put(word, size, seed, os.O_APPEND)

    def do_slurp(self, word):
        return self.slurp(unquote(word))

    def slurp(self, path):
        fd = os.open(self.root + b"/" + path, os.O_RDONLY)
        try:
            return os.read(fd, READ_MAX)
        finally:
            os.close(fd)

    def do_truncate(self, word, size):
        os.truncate(self.path(word), int(size))

    def do_rename(self, a, b, how):
        a, b = self.path(a), self.path(b)
        called(libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME[how]))

    def do_unlink(self, word):
        os.unlink(self.path(word))

    def do_mkdir(self, word, mode):
        os.mkdir(self.path(word), int(mode, 8))

    def do_rmdir(self, word):
        os.rmdir(self.path(word))

    def do_symlink(self, target, word):
        os.symlink(unquote(target), self.path(word))

    def do_readlink(self, word):
        return os.readlink(self.path(word))

    def do_list(self, word):
        if word in self.fds:
            names = [os.fsencode(n) for n in os.listdir(self.fds[word])]
        elif word[0] == "h" and word[1:].isdigit():
            raise Empty
        else:
            names = os.listdir(self.path(word))
        return sorted(names)

    def do_chmod(self, word, mode):
        os.chmod(self.path(word), int(mode, 8))

    def do_utimens(self, word, atime, mtime, how):
        set_times(self.path(word), atime, mtime, follow=how == "follow")

    def do_chown(self, word, uid, gid):
        os.chown(self.path(word), int(uid), int(gid), follow_symlinks=False)

    def do_umask(self, mode):
        os.umask(int(mode, 8))

    def do_user(self, uid):
        self.user = int(uid)

    def do_statfs(self, word):
        return os.statvfs(self.path(word)).f_namemax

    def do_link(self, a, b):
        os.link(self.path(a), self.path(b), follow_symlinks=False)

    def do_mknod(self, word, kind, mode):
        kind = SPECIAL.get(kind, stat.S_IFREG)
        os.mknod(self.path(word), kind | int(mode, 8), os.makedev(1, 3))

    def do_setxattr(self, word):
        os.setxattr(self.path(word), "user.a", b"1")

    def do_getxattr(self, word):
        return os.getxattr(self.path(word), "user.a")

    def do_listxattr(self, word):
        return os.listxattr(self.path(word))

    def do_tmpfile(self, word):
        os.close(os.open(self.path(word), os.O_TMPFILE | os.O_RDWR, 0o600))


# What a mount refuses is tried as root: which errno comes first is not the point.
AS_ROOT = {"link", "mknod", "setxattr", "getxattr", "listxattr", "tmpfile", "umask"}


def set_times(target, atime, mtime, follow=True):
    """target: a path or a descriptor."""
    special = {"now": (0, UTIME_NOW), "omit": (0, UTIME_OMIT)}
    times = [special.get(t) or divmod(int(t), 10**9) for t in (atime, mtime)]
    both = (ctypes.c_long * 4)(*times[0], *times[1])
    if isinstance(target, int):
        called(libc.futimens(target, both))
    else:
        called(libc.utimensat(AT_FDCWD, target, both, 0 if follow else NOFOLLOW))


def refuse(code):
    raise OSError(code, os.strerror(code))


class Peer(Tree):
    """The local directory, with the contract of the mount."""

    def __init__(self, root):
        super().__init__(root)
        self.sizes = {}  # mapping: a descriptor that tells how long the file is

    def room(self, name):
        """Bytes of the mapping that can be touched."""
        if name not in self.maps:
            return 0
        m = self.maps[name]
        return min(m.length, os.fstat(self.sizes[name]).st_size - m.off)

    def do_map(self, name, handle, how, off, length):
        super().do_map(name, handle, how, off, length)
        self.sizes[name] = os.dup(self.fd(handle))

    def do_unmap(self, name):
        super().do_unmap(name)
        os.close(self.sizes.pop(name))

    def new_name(self, word):
        path = self.path(word)
        os.stat(os.path.dirname(path) + b"/")
        try:
            os.lstat(path)
        except FileNotFoundError:
            return
        refuse(errno.EEXIST)

    def do_link(self, a, b):
        os.lstat(self.path(a))
        self.new_name(b)
        refuse(errno.EPERM)

    def do_mknod(self, word, kind, mode):
        if kind in SPECIAL:
            self.new_name(word)
            refuse(errno.EPERM)
        super().do_mknod(word, kind, mode)

    def do_setxattr(self, word):
        os.stat(self.path(word))
        refuse(errno.EOPNOTSUPP)

    do_getxattr = do_listxattr = do_setxattr

    def do_tmpfile(self, word):
        os.close(os.open(self.path(word), os.O_DIRECTORY | os.O_RDONLY))
        refuse(errno.EOPNOTSUPP)

    def do_fallocate(self, handle, mode, off, size):
        fd = self.fd(handle)
        if mode in ("COLLAPSE", "INSERT"):
            called(libc.fallocate(fd, FALLOC["KEEP"], 0, 0) if int(size) == 0 else 0)
            os.pwrite(fd, b"", 0)  # EBADF
            refuse(errno.EOPNOTSUPP)
        called(libc.fallocate(fd, falloc_mode(mode), int(off), int(size)))
