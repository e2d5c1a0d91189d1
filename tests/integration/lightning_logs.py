# SPDX-License-Identifier: Apache-2.0
"""TensorBoard's writer and Lightning's CSVLogger, kept open and told what to do."""

import json
import sys

from lightning.pytorch.loggers import CSVLogger
from torch.utils.tensorboard import SummaryWriter


def main():
    print(json.dumps({"ready": True}), flush=True)
    board = csv = None
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "open":
            board = SummaryWriter(f"{told['root']}/board")
            csv = CSVLogger(told["root"], name="csv", version=0)
        elif told["do"] == "step":
            board.add_scalar("loss", 1 / told["n"], told["n"])
            board.flush()
            csv.log_metrics({"loss": 1 / told["n"]}, step=told["n"])
            csv.save()
        else:
            board.close()
            csv.finalize("success")
        print(json.dumps({"answer": True}), flush=True)


main()
