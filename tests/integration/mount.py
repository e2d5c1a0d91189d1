# SPDX-License-Identifier: Apache-2.0
"""A mount under test: the program as a user runs it, and its end."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def program():
    return os.environ.get("CKPTFS", str(TOP / "build" / "ckptfs"))


def process_start(pid):
    """The kernel's start time of pid, None once it is gone (or a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def wait_until(check, timeout=30.0, what="condition", every=0.02):
    """Wait until check() is true and return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        if result := check():
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(every)


class Failed(AssertionError):
    """A command of ckptfs ended with another status than asked for."""


class Mount:
    """source mounted at path, with its cache in cache_dir.

    mount() and what follows may be repeated; end() is for the teardown: the
    mount is gone after it, whatever happened, and a daemon that survives its
    unmount is an error.
    """

    def __init__(self, source, path, cache_dir, env=None, **options):
        self.source = source
        self.path = Path(path)
        self.cache_dir = Path(cache_dir)
        self.options = options
        self.log = self.cache_dir.with_name(self.cache_dir.name + ".log")
        self.env = {k: v for k, v in os.environ.items() if not _ours(k)}
        self.env.update(env or {})
        self.prefix = []  # a command that runs the daemon, such as prlimit
        self.pids = {}  # pid: start time, of every daemon this mount has had
        self.path.mkdir(parents=True, exist_ok=True)
        self.cache_dir.mkdir(parents=True, exist_ok=True)

    def __truediv__(self, name):
        return self.path / name

    def option_string(self, **more):
        options = {"cache_dir": self.cache_dir, "log_file": self.log}
        options.update(self.options)
        options.update(more)
        return ",".join(
            name if value is True else f"{name}={value}"
            for name, value in options.items()
            if value is not None
        )

    def run(self, *args, timeout=120, status=0):
        """ckptfs ARGS: its completed process, whose status must be `status`
        (None: whichever)."""
        done = subprocess.run(
            [program(), *map(str, args)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if status is not None and done.returncode != status:
            raise Failed(
                f"ckptfs {' '.join(map(str, args))}: status {done.returncode}, "
                f"not {status}\n{done.stdout}{done.stderr}{self.log_tail()}"
            )
        return done

    def log_tail(self, lines=40):
        if not self.log.exists():
            return ""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n-- log\n" + "\n".join(text)

    def mount(self, status=0, **more):
        """Mount, and return when it is usable."""
        # The daemon must not hold a pipe of ours open: output to a file.
        out = self.cache_dir.with_name(self.cache_dir.name + ".out")
        cmd = [*self.prefix, program(), "mount", self.source, str(self.path)]
        cmd += ["-o", self.option_string(**more)]
        with out.open("w") as f:
            done = subprocess.run(
                cmd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=f,
                stderr=subprocess.STDOUT,
                timeout=60,
            )
        self.said = out.read_text()
        if done.returncode != status:
            raise Failed(
                f"{' '.join(cmd)}: status {done.returncode}, not {status}\n"
                f"{self.said}{self.log_tail()}"
            )
        if status == 0:
            assert is_mounted(self.path), f"not a mount: {self.path}"
            self.saw(self.pid())
        return self

    def status(self, *paths):
        """`ckptfs status --json` of the mount, or of paths."""
        args = [str(p) for p in paths] or [str(self.path)]
        return json.loads(self.run("status", *args, "--json").stdout)

    def pid(self):
        status = self.status()
        return status["pid"] if "pid" in status else status["mounts"][0]["pid"]

    def sync(self, *paths, timeout=60, status=0):
        targets = [self.path / p for p in paths] or [self.path]
        return self.run(
            "sync", *targets, "--timeout", timeout, timeout=timeout + 30, status=status
        )

    def umount(self, status=0, timeout=120):
        """`ckptfs umount`: drained, unmounted, and the daemon has ended."""
        done = self.run("umount", self.path, timeout=timeout, status=status)
        if done.returncode == 0:
            self.wait_for_daemons()
            assert not is_mounted(self.path)
        return done

    def remount(self, **more):
        self.umount()
        return self.mount(**more)

    def saw(self, pid):
        """A daemon of this mount; it may be gone by now."""
        if start := process_start(pid):
            self.pids[pid] = start

    def alive(self):
        return [p for p, start in self.pids.items() if process_start(p) == start]

    def wait_for_daemons(self, timeout=10):
        wait_until(lambda: not self.alive(), timeout, f"end of daemons {self.alive()}")

    def kill9(self):
        """Kill the daemon as the out-of-memory killer would; it is gone."""
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):  # by itself meanwhile
                os.kill(pid, signal.SIGKILL)
        # It ends only once the disk has done what a thread waits for.
        self.wait_for_daemons(60)

    def detach(self):
        """The mount point is an ordinary folder again, the hard way."""
        while is_mounted(self.path):
            subprocess.run(
                ["fusermount3", "-u", "-z", str(self.path)],
                check=False,
                capture_output=True,
                timeout=30,
            )

    def discard(self):
        """End it at once, with whatever is not in the bucket."""
        self.kill9()
        self.detach()

    def end(self):
        """For the teardown: returns what went wrong, or None."""
        problem = None
        if self.alive() and is_mounted(self.path):
            try:
                self.umount(timeout=60, status=None)
            except (subprocess.TimeoutExpired, AssertionError) as e:
                problem = f"umount: {e}"
        self.detach()
        if self.alive() and not problem:
            with contextlib.suppress(AssertionError):
                self.wait_for_daemons(30)
            if self.alive():
                problem = f"the daemon {self.alive()} outlives its mount"
        self.discard()
        return problem


OURS = ("AWS_", "CKPTFS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_", "AZURE_")


def _ours(name):
    return name.startswith(OURS) and name not in ("CKPTFS_TOOLS",)


def is_mounted(path):
    """Also true of a dead mount, which os.path.ismount cannot look at."""
    encoded = str(path).replace(" ", "\\040")
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == encoded for line in f)
