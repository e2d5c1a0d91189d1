# SPDX-License-Identifier: Apache-2.0
"""The process that runs programs of the differential test: see diff_mount.py."""

import contextlib
import os
import shutil
import sys
import traceback
from multiprocessing.connection import Connection

from diff_run import Differs, Run


class Worker:
    def __init__(self, pipe):
        self.pipe = pipe

    def control(self, verb, local, mount):
        self.pipe.send(("ask", verb, local, mount))
        return self.pipe.recv()

    def one(self, steps, local, mount, how):
        for root in (local, mount):
            os.mkdir(root)
            os.chmod(root, 0o777)  # noqa: S103 (for steps of other users)
        run = Run(self.control, steps, local, mount, **how)
        run.beat = lambda at: self.pipe.send(("step", at))
        run.run()
        for root in (local, mount):
            shutil.rmtree(root)

    def loop(self):
        while True:
            steps, local, mount, how = self.pipe.recv()
            try:
                self.one(steps, local, mount, how)
                problem = None
            except Differs as e:
                problem = str(e)
            except Exception:
                problem = traceback.format_exc()
            self.pipe.send(("done", problem))


if __name__ == "__main__":
    if os.geteuid() == 0:
        os.setgroups([])
    with contextlib.suppress(EOFError):
        Worker(Connection(int(sys.argv[1]))).loop()
