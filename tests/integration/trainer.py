# SPDX-License-Identifier: Apache-2.0
"""A process that has Lightning imported and does what it is told."""

import json
import os
import queue
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).parent
EPOCHS = 4


class Program:
    """One of the programs beside this file that answer lines of JSON with such
    lines, by LIGHTNING_PYTHON; env: added to its environment."""

    def __init__(self, name, env=None):
        self.process = subprocess.Popen(
            [os.environ["LIGHTNING_PYTHON"], str(HERE / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, *names):
        """The next line that has one of the names."""
        while True:
            line = self.lines.get(timeout=180)
            assert line is not None, "the program ended"
            if any(n in line for n in names):
                return line

    def tell(self, **what):
        self.process.stdin.write(json.dumps(what, default=str) + "\n")
        self.process.stdin.flush()

    def answer(self):
        """What it says to what it was told with do=."""
        line = self.next("answer", "error")
        assert "error" not in line, line
        return line["answer"]

    def call(self, do, **how):
        self.tell(do=do, **how)
        return self.answer()

    def end(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.wait()


class Trainer(Program):
    """lightning_train.py."""

    def __init__(self, env=None):
        super().__init__("lightning_train.py", env)
        self.next("ready")

    def start(self, root, epochs=EPOCHS, **how):
        self.tell(root=root, epochs=epochs, **how)

    def run(self, root, epochs=EPOCHS, **how):
        self.start(root, epochs, **how)
        answer = self.next("digest", "error")
        assert "error" not in answer, answer
        return answer
