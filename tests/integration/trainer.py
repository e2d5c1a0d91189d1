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


class Trainer:
    """lightning_train.py, by LIGHTNING_PYTHON; env: added to its environment."""

    def __init__(self, env=None):
        self.process = subprocess.Popen(
            [os.environ["LIGHTNING_PYTHON"], str(HERE / "lightning_train.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.next("ready")

    def _read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, *names):
        """The next line that has one of the names."""
        while True:
            line = self.lines.get(timeout=180)
            assert line is not None, "the trainer ended"
            if any(n in line for n in names):
                return line

    def start(self, root, epochs=EPOCHS, **how):
        self.tell(root=str(root), epochs=epochs, **how)

    def tell(self, **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def run(self, root, epochs=EPOCHS, **how):
        self.start(root, epochs, **how)
        answer = self.next("digest", "error")
        assert "error" not in answer, answer
        return answer

    def end(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.wait()
