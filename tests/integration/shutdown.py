# SPDX-License-Identifier: Apache-2.0
"""Power cuts of this machine's own file systems: the cache lies on a disk image
mounted by loop, which is shut down under the daemon at a random moment.

    shutdown.py --fs ext4|xfs [--cuts N] [--seed S] WORK

A shutdown (GOINGDOWN of XFS, SHUTDOWN of ext4) drops what is not on the disk: the
data in the page cache, and by two cuts of three the journal in memory, too.  Then
the file system is mounted anew.  Daemon and job are stopped before it, so that
none of them sees it, as with a power cut; unlike there the boot is the same, and
recovery has to find out by itself that the page cache is gone.  Promises and
judges are those of powercut.py.  The bucket is a folder, which loses nothing.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

from mount import is_mounted, program, wait_until
from powercut import Boot, Chain, make_disk, options_of, parse, parser, run

SHUTDOWN = 0x8004587D  # the same number for both, _IOR('X', 125, __u32)
LOG_FLUSHED, LOG_DROPPED = 1, 2
PR_SET_CHILD_SUBREAPER = 36


def mount_disk(image, folder):
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)


def unmount(folder, *flags):
    """Whether it is unmounted: not while a process that ends has it."""
    done = subprocess.run(["umount", *flags, folder], capture_output=True)
    return done.returncode == 0


def state_of(path):
    return path.read_text().rpartition(")")[2].split()[0]


def children():
    """All descendants of this process, {pid: state}.  Others are not looked at: to
    read of a process may take as long as what that waits for."""
    found, new = {}, [os.getpid()]
    while new:
        tasks = list(Path(f"/proc/{new.pop()}/task").glob("*/children"))
        for path in tasks:
            with contextlib.suppress(OSError):
                for pid in path.read_text().split():
                    found[int(pid)] = state_of(Path(f"/proc/{pid}/stat"))
                    new.append(int(pid))
    return found


def threads(pid):
    """The states of all threads."""
    states = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.add(state_of(path))
    return states


def all_stand():
    """None of them gets any further: it stands, or waits in the kernel for one
    that does, or for the disk."""
    alive = [pid for pid, state in children().items() if state not in "ZX"]
    for pid in alive:
        os.kill(pid, signal.SIGSTOP)
    return all(threads(pid) <= set("TDZX") for pid in alive)


class Loop(Boot):
    """The cache's file system, from a mount to its shutdown."""

    same_boot = True

    def __init__(self, args, work, boot):
        super().__init__(work, boot)
        for name in ("cache", "mnt", "bucket"):
            (work / name).mkdir(exist_ok=True)
        self.cache, self.mnt = work / "cache", work / "mnt"
        mount_disk(work / "disk", self.cache)
        self.fd = os.open(self.cache, os.O_RDONLY)
        env = dict(
            os.environ,
            CKPTFS=program(),
            CUT_HOST=str(work),
            CUT_MOUNT=str(self.mnt),
            CUT_BUCKET=str(work / "bucket"),
            CUT_CACHE=str(self.cache / "cache"),
        )
        options = options_of(
            args, boot, cache_dir=self.cache / "cache", log_file=work / "daemon.log"
        )
        job = Path(__file__).with_name("powercut_job.py")
        with (work / f"job.{boot}.out").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-B", job, str(boot), options],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def stopped(self):
        if self.process.poll() is None:
            return None
        return f"the job ended by itself, see job.{self.boot}.out"

    def cut(self):
        wait_until(all_stand, what=f"nobody runs: {children()}", every=0.001)
        how = LOG_FLUSHED if self.boot % 3 == 2 else LOG_DROPPED
        fcntl.ioctl(self.fd, SHUTDOWN, struct.pack("I", how))
        os.close(self.fd)
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(reaped, what=f"the end of {children()}")
        while is_mounted(self.mnt):
            unmount(self.mnt, "-l")
        wait_until(lambda: unmount(self.cache), what="the disk is unmounted")

    @staticmethod
    def make(args, work):
        make_disk(work / "disk", args.fs)


def reaped():
    """No descendant is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


def main():
    p = parser()
    p.add_argument("--fs", choices=["ext4", "xfs"], required=True)
    args = parse(p)
    # A daemon becomes a child of ours, not of the first process.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return run(Chain(args, args.work, Loop))


if __name__ == "__main__":
    sys.exit(main())
