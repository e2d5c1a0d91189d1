#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lightning's other ways to a checkpoint, as its users write them, told which
on stdin.

Each line is a call of a function that serve() is given, {"do": NAME, ...};
each answer a line {"answer": ...} or {"error": ...}.
"""

import errno
import gc
import json
import os
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.pytorch.callbacks import (
    Callback,
    Checkpoint,
    ModelCheckpoint,
    OnExceptionCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import (
    AsyncCheckpointIO,
    CheckpointIO,
    TorchCheckpointIO,
)
from lightning.pytorch.strategies import SingleDeviceStrategy

from lightning_train import Model, data, digest, digest_of, say


class Renaming(CheckpointIO):
    """A user's own: a temporary beside the file is synced and replaces it; a
    load maps the file."""

    def __init__(self):
        self.calls = Counter()

    def save_checkpoint(self, checkpoint, path, storage_options=None):  # noqa: ARG002
        self.calls["save"] += 1
        folder, temporary = os.path.dirname(path), f"{path}.tmp"
        os.makedirs(folder, exist_ok=True)
        with open(temporary, "wb") as f:
            torch.save(checkpoint, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    def load_checkpoint(self, path, map_location=None, weights_only=None):
        self.calls["load"] += 1
        return torch.load(
            path, map_location=map_location, weights_only=bool(weights_only), mmap=True
        )

    def remove_checkpoint(self, path):
        self.calls["remove"] += 1
        os.unlink(path)


class Straight(TorchCheckpointIO):
    """XLACheckpointIO's calls: torch.save onto the path, whatever is there."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):  # noqa: ARG002
        get_filesystem(path).makedirs(os.path.dirname(path), exist_ok=True)
        torch.save(checkpoint, path)


class Newest(Checkpoint):
    """A user's own callback: the newest two epochs, and a file that names the
    last."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def name(self, epoch):
        return f"mine-{epoch}.ckpt"

    def on_train_epoch_end(self, trainer, _):
        epoch = trainer.current_epoch
        trainer.save_checkpoint(self.folder / self.name(epoch))
        (self.folder / "newest").write_text(self.name(epoch))
        trainer.strategy.remove_checkpoint(self.folder / self.name(epoch - 2))


class EvaluatedModel(Model):
    def test_step(self, batch, _):
        self.log("test_loss", self.loss(batch))

    def predict_step(self, batch, _):
        return self.net(batch[0])


class HookedModel(Model):
    loaded = None

    def on_save_checkpoint(self, checkpoint):
        checkpoint["of_model"] = {"epoch": self.current_epoch, "t": torch.arange(9)}

    def on_load_checkpoint(self, checkpoint):
        of_model = checkpoint["of_model"]
        self.loaded = [of_model["epoch"], of_model["t"].tolist()]


class Begin(Callback):
    """Which epoch training began with: a "last" that is not found is none."""

    def on_train_start(self, trainer, _):
        self.epoch = trainer.current_epoch


class HookedCallback(Callback):
    def __init__(self):
        self.saves = 0
        self.loaded = []

    def state_dict(self):
        return {"saves": self.saves}

    def load_state_dict(self, state):
        self.loaded.append(state)

    def on_save_checkpoint(self, trainer, _, checkpoint):
        self.saves += 1
        checkpoint["of_callback"] = trainer.global_step

    def on_load_checkpoint(self, *args):
        self.loaded.append(args[2]["of_callback"])


class Data(pl.LightningDataModule):
    """Counts the batches it gave for training."""

    def __init__(self):
        super().__init__()
        self.batches = 0
        self.loaded = None

    def train_dataloader(self):
        return data()

    def val_dataloader(self):
        return data()

    def on_before_batch_transfer(self, batch, _):
        self.batches += self.trainer.training
        return batch

    def state_dict(self):
        return {"batches": self.batches}

    def load_state_dict(self, state):
        self.loaded = dict(state)
        self.batches = state["batches"]


class Stop(Callback):
    """Ends training as its third epoch begins: by an exception, or by the
    SIGTERM somebody sends when asked to."""

    def __init__(self, how):
        self.how = how

    def on_train_batch_start(self, trainer, *_):
        if self.how == "exception" and trainer.current_epoch == 2:
            raise ArithmeticError("the loss is not a number")

    def on_train_epoch_end(self, trainer, _):
        if self.how == "sigterm" and trainer.current_epoch == 1:
            say(waiting=os.getpid())
            while not trainer.received_sigterm:
                time.sleep(0.01)


def cases(root):
    """{name: what fit() does otherwise}; tell: what else it answers, asked
    with the model."""
    checkpoints = f"{root}/checkpoints"
    io, callback, rows = Renaming(), HookedCallback(), Data()
    on_exception = OnExceptionCheckpoint(checkpoints)
    custom = {"tell": lambda _: io.calls}
    strategy = SingleDeviceStrategy(torch.device("cpu"), checkpoint_io=io)
    # Lightning removes a file while its own thread may be at it: keep all
    everything = {"save_top_k": -1}
    return {
        "plain": {},
        "link": {"save_last": "link"},
        "torch": {"plugins": [TorchCheckpointIO()]},
        "custom": {"plugins": [io], **custom},
        "strategy": {"strategy": strategy, **custom},
        "async": {"plugins": [AsyncCheckpointIO()], **everything},
        "async-custom": {"plugins": [AsyncCheckpointIO(io)], **everything, **custom},
        "straight": {"plugins": [Straight()]},
        "hooks": {
            "model": HookedModel,
            "callbacks": [callback],
            "rows": [rows],
            "tell": lambda model: [model.loaded, callback.loaded, rows.loaded],
        },
        "own": {"save": Newest(checkpoints)},
        "exception": {"callbacks": [on_exception, Stop("exception")]},
        "sigterm": {"callbacks": [on_exception, Stop("sigterm")]},
        "after": {"callbacks": [on_exception]},
    }


def trainer_for(root, devices=1, **how):
    return pl.Trainer(
        default_root_dir=root,
        accelerator="cpu",
        devices=devices,
        logger=CSVLogger(root, name="csv"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **how,
    )


def checkpoint_callback(root, save_top_k=2, save_last=True, mode="min"):
    return ModelCheckpoint(
        dirpath=f"{root}/checkpoints",
        filename="{epoch}",
        monitor="val_loss",
        mode=mode,
        save_top_k=save_top_k,
        save_last=save_last,
    )


def fit(case, root, epochs, ckpt=None):
    pl.seed_everything(7, verbose=False)
    how = cases(root)[case]
    tell = how.pop("tell", lambda _: None)
    model = how.pop("model", Model)()
    keep = {k: how.pop(k) for k in ("save_top_k", "save_last") if k in how}
    save = how.pop("save", None) or checkpoint_callback(root, **keep)
    rows = how.pop("rows", [data(), data()])
    begin = Begin()
    callbacks = [save, begin, *how.pop("callbacks", [])]
    trainer = trainer_for(root, max_epochs=epochs, callbacks=callbacks, **how)
    # its own checkpoints may hold more than tensors
    trainer.fit(model, *rows, ckpt_path=ckpt, weights_only=False)
    return {
        "digest": digest(trainer, model),
        "began": begin.epoch,
        "epoch": trainer.current_epoch,
        "told": tell(model),
    }


def job(**how):
    """fit() in a process of its own: how that ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        fit(**how)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)


def by_hand(root, epochs):
    """trainer.save_checkpoint: anew, over a larger and a smaller file, of
    weights alone; and a folder of them removed."""
    pl.seed_everything(7, verbose=False)
    model = Model()
    trainer = trainer_for(root, max_epochs=epochs, enable_checkpointing=False)
    trainer.fit(model, data())
    for name, weights_only in (
        ("hand/deep/full.ckpt", True),
        ("hand/deep/full.ckpt", False),
        ("hand/weights.ckpt", False),
        ("hand/weights.ckpt", True),
        ("scrap/deep/full.ckpt", False),
    ):
        trainer.save_checkpoint(f"{root}/{name}", weights_only)
    trainer.strategy.remove_checkpoint(f"{root}/scrap")
    return digest_of(model=model.state_dict())


def weights(ckpt):
    """What by_hand() says, of the model in a checkpoint."""
    return digest_of(model=Model.load_from_checkpoint(ckpt).state_dict())


def evaluation(trainer, model, ckpt):
    how = {"ckpt_path": ckpt, "verbose": False}
    return {
        **trainer.validate(model, data(), **how)[0],
        **trainer.test(model, data(), **how)[0],
        "predicted": digest_of(it=trainer.predict(model, data(), ckpt_path=ckpt)),
    }


def best(root, epochs):
    """The best is the first epoch, whose loss is the largest."""
    pl.seed_everything(7, verbose=False)
    model, save = EvaluatedModel(), checkpoint_callback(root, mode="max")
    trainer = trainer_for(root, max_epochs=epochs, callbacks=[save])
    trainer.fit(model, data(), data())
    return {
        "path": save.best_model_path,
        "score": save.best_model_score.item(),
        "now": trainer.validate(model, data(), verbose=False)[0]["val_loss"],
        **evaluation(trainer, model, "best"),
    }


def evaluate(root, ckpt):
    """By a trainer that never trained; its own files go below root."""
    return evaluation(trainer_for(root), EvaluatedModel(), ckpt)


def save_to(root, path):
    """Whether a checkpoint can be written to path."""
    trainer = trainer_for(root, max_epochs=1, enable_checkpointing=False)
    trainer.fit(Model(), data())
    try:
        trainer.save_checkpoint(path)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "saved"


def serve(*functions):
    do = {f.__name__: f for f in functions}
    say(ready=pl.__version__)
    for line in sys.stdin:
        todo = json.loads(line)
        try:
            say(answer=do[todo.pop("do")](**todo))
        except Exception as e:
            traceback.print_exc()
            say(error=f"{type(e).__name__}: {e}")
        gc.collect()  # a trainer is a cycle, and may have a checkpoint mapped


if __name__ == "__main__":
    serve(fit, job, by_hand, weights, best, evaluate, save_to)
