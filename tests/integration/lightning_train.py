#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real Lightning, as its users write it, told what to do on stdin.

Each line is a run, {"root": DIR, "epochs": N, "ckpt": null|"last"|PATH, ...};
each answer a line {"digest": ..., "epoch": ...} or {"error": ...}.  The digest
covers parameters and optimizer state, so two runs that end equal say the same.
Each finished epoch is a line {"finished": N} before the answer.
{"save": [PATH...], "width": N, "rounds": N} times Lightning's save of one
checkpoint to each path in turn: {"seconds": {PATH: [...]}, "size": ...}.  The
last path is on a plain disk.
"""

import hashlib
import json
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import lightning.pytorch as pl  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch.callbacks import Callback, ModelCheckpoint  # noqa: E402
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from benchlib import MIB, warm_memory  # noqa: E402

torch.set_num_threads(1)


def say(**what):
    print(json.dumps(what), flush=True)


class Model(pl.LightningModule):
    """width fixes the size of a checkpoint: about 12 * 33 * width bytes."""

    def __init__(self, width=64):
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(32, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)
        )

    def loss(self, batch):
        return torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])

    def training_step(self, batch, _):
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-3)


def data():
    generator = torch.Generator().manual_seed(1)
    rows = TensorDataset(
        torch.randn(32, 32, generator=generator),
        torch.randn(32, 1, generator=generator),
    )
    return DataLoader(rows, batch_size=8)


class Pace(Callback):
    """Tells of each epoch, and takes its time for one."""

    def __init__(self, seconds):
        self.seconds = seconds

    def on_train_start(self, trainer, _):
        self.began = trainer.current_epoch

    def on_train_epoch_start(self, *_):
        time.sleep(self.seconds)

    def on_train_epoch_end(self, trainer, _):
        say(finished=trainer.current_epoch)


def digest_of(**states):
    """SHA-256 over names and values of states, in the order given; of what is
    spread over ranks, all together ask for the whole."""
    total = hashlib.sha256()

    def feed(name, value):
        total.update(name.encode())
        if torch.is_tensor(value):
            if hasattr(value, "full_tensor"):
                value = value.full_tensor()
            total.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            for k in sorted(value, key=str):
                feed(f"{name}.{k}", value[k])
        elif isinstance(value, list | tuple):
            for i, v in enumerate(value):
                feed(f"{name}.{i}", v)
        else:
            total.update(repr(value).encode())

    for name, state in states.items():
        feed(name, state)
    return total.hexdigest()


def digest(trainer, model):
    """Parameters and optimizer state."""
    optimizer = trainer.optimizers[0].state_dict()
    return digest_of(model=model.state_dict(), optimizer=optimizer)


def run(root, epochs, ckpt=None, width=64, pace=0.0, limit=None):
    pl.seed_everything(7, verbose=False)
    model = Model(width)
    save = ModelCheckpoint(
        dirpath=f"{root}/checkpoints",
        filename="{epoch}",
        monitor="val_loss",
        save_top_k=2,
        save_last=True,
    )
    own = Pace(pace)
    trainer = pl.Trainer(
        default_root_dir=root,
        max_epochs=epochs,
        accelerator="cpu",
        devices=1,
        logger=[CSVLogger(root, name="csv"), TensorBoardLogger(root, name="tb")],
        callbacks=[save, own],
        log_every_n_steps=1,
        limit_train_batches=limit,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    began = time.monotonic()
    trainer.fit(model, data(), data(), ckpt_path=ckpt)
    return {
        "digest": digest(trainer, model),
        "began": own.began,
        "epoch": trainer.current_epoch,
        "seconds": round(time.monotonic() - began, 3),
    }


def save(paths, width, rounds):
    """Seconds of each save, the paths taking turns; what a path held goes
    before its turn, the disk is quiet when it begins, and there is warm memory
    for two copies: Lightning's temporary file is one."""
    model = Model(width)
    trainer = pl.Trainer(
        max_steps=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data())
    seconds = {p: [] for p in paths}
    size, block = 0, os.urandom(MIB)
    for i in range(rounds):
        for path in paths[:: -1 if i % 2 else 1]:
            Path(path).unlink(missing_ok=True)
            time.sleep(1.5)  # a mount syncs and deletes within a second
            os.sync()
            warm_memory(Path(paths[-1]).parent, 2 * size, block)
            began = time.monotonic()
            trainer.save_checkpoint(path)
            seconds[path].append(round(time.monotonic() - began, 4))
            size = Path(path).stat().st_size
    return {"seconds": seconds, "size": size}


def main():
    say(ready=pl.__version__, torch=torch.__version__)
    for line in sys.stdin:
        try:
            todo = json.loads(line)
            if "save" in todo:
                say(**save(todo["save"], todo["width"], todo["rounds"]))
            else:
                say(**run(**todo))
        except BaseException as e:
            traceback.print_exc()
            say(error=f"{type(e).__name__}: {e}")


if __name__ == "__main__":
    main()
