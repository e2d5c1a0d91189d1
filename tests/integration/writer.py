# SPDX-License-Identifier: Apache-2.0
"""Another process that writes to a file, call by call, until it is killed.

As a program: writer.py PATH FLAGS opens PATH and does what the lines of its
standard input say, each answered by 0 or an errno.
"""

import mmap
import os
import subprocess
import sys
import threading

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Writer:
    """w("write", "x", 1000): 0, or the errno; prefix: a command before it."""

    def __init__(self, path, flags=NEW, prefix=()):
        self.process = subprocess.Popen(
            [*prefix, sys.executable, __file__, str(path), str(flags)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.opened = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, f"the writer has ended: {self.process.wait()}"
        return int(line)

    def send(self, *words):
        """As a call, but does not wait for the answer."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")

    def __call__(self, *words):
        self.send(*words)
        return self._answer()

    def kill(self, sig):
        """Its status once the signal has ended it."""
        self.process.send_signal(sig)
        return self.process.wait(30)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def forked(fd, *, closes):
    """A child that inherits the file and ends, closing it first or not."""
    pid = os.fork()
    if pid == 0:
        if closes:
            os.close(fd)
        os._exit(0)
    os.waitpid(pid, 0)


class Calls:
    def __init__(self, path, flags):
        self.fd = os.open(path, flags, 0o644)
        self.map = None

    def write(self, letter, count):
        write_all(self.fd, letter.encode() * int(count))

    def fsync(self):
        os.fsync(self.fd)

    def close(self):
        os.close(self.fd)

    def child(self, how):
        forked(self.fd, closes=how == "closes")

    def mmap(self, length):
        self.map = mmap.mmap(self.fd, int(length))

    def store(self, letter, at, count):
        self.map[int(at) : int(at) + int(count)] = letter.encode() * int(count)

    def munmap(self):
        self.map.close()

    def writes_on(self):
        """A thread writes from now on; the process has others, too."""

        def go_on():
            while True:
                os.write(self.fd, b"o" * 1000)

        threading.Thread(target=go_on, daemon=True).start()

    def grow(self):
        """Take memory, without end."""
        taken = []
        while True:
            taken.append(b"g" * (1 << 20))

    def exit(self, status):
        os._exit(int(status))


def main(path, flags):
    try:
        calls = Calls(path, int(flags))
        print(0, flush=True)
    except OSError as e:
        print(e.errno, flush=True)
        return
    for line in sys.stdin:
        verb, *args = line.split()
        try:
            getattr(calls, verb)(*args)
            print(0, flush=True)
        except OSError as e:
            print(e.errno, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
