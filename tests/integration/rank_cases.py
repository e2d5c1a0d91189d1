#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the ranks of a job do together, over gloo: each is such a process, and
all are told the same, as lightning_cases.py is.

RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT come from the
environment, as torchrun sets them.
"""

import ctypes
import os
import shutil
import threading
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from lightning.fabric.utilities.distributed import is_shared_filesystem
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from lightning_cases import Begin, checkpoint_callback, serve, trainer_for
from lightning_train import Model, data, digest, digest_of

CLONE_FS, CLONE_NEWNS = 0x200, 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


class ShardedModel(Model):
    def configure_model(self):
        fully_shard(self.net, mesh=self.device_mesh["data_parallel"])


def fit_sharded(root, epochs, ckpt=None):
    """Lightning with parameters and optimizer state spread over the ranks: a
    checkpoint is a folder."""
    pl.seed_everything(7, verbose=False)
    model, begin = ShardedModel(), Begin()
    trainer = trainer_for(
        root,
        max_epochs=epochs,
        devices=dist.get_world_size(),
        strategy=ModelParallelStrategy(process_group_backend="gloo"),
        use_distributed_sampler=False,
        callbacks=[checkpoint_callback(root), begin],
    )
    trainer.fit(model, data(), data(), ckpt_path=ckpt)
    return {"digest": digest(trainer, model), "began": begin.epoch}


def state_after(steps):
    """A sharded model and its optimizer after so many steps: themselves, and
    their state for dcp."""
    torch.manual_seed(7)
    net = torch.nn.Linear(32, 8)
    fully_shard(net, mesh=init_device_mesh("cpu", (dist.get_world_size(),)))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.ones(4, 32)).square().mean().backward()
        optimizer.step()
    model_state, optimizer_state = get_state_dict(net, optimizer)
    state = {"model": model_state, "optimizer": optimizer_state, "steps": steps}
    return net, optimizer, state


def dcp_save(root):
    """Into a new folder, over that, and by a thread into another one."""
    digests = {}
    for steps, name in ((1, "sync"), (2, "sync"), (3, "async")):
        *_, state = state_after(steps)
        if name == "sync":
            dcp.save(state, checkpoint_id=f"{root}/{name}")
        else:
            dcp.async_save(state, checkpoint_id=f"{root}/{name}").result()
        digests[name] = digest_of(**state)
    return digests


def dcp_load(root):
    digests = {}
    for name in ("sync", "async"):
        net, optimizer, state = state_after(0)
        dcp.load(state, checkpoint_id=f"{root}/{name}")
        set_state_dict(
            net,
            optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
        )
        model_state, optimizer_state = get_state_dict(net, optimizer)
        digests[name] = digest_of(
            model=model_state, optimizer=optimizer_state, steps=state["steps"]
        )
    return digests


def consolidate(root):
    """One file of what all ranks saved, written by rank 0 and mapped by all."""
    if dist.get_rank() == 0:
        dcp_to_torch_save(f"{root}/sync", f"{root}/one.pt")
    dist.barrier()
    return digest_of(**torch.load(f"{root}/one.pt", mmap=True))


class Ranks:
    """What is_shared_filesystem() asks of a strategy."""

    barrier = staticmethod(dist.barrier)

    @property
    def world_size(self):
        return dist.get_world_size()

    @property
    def is_global_zero(self):
        return dist.get_rank() == 0

    def broadcast(self, value):
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def reduce_boolean_decision(self, decision, all=True):
        decisions = [None] * dist.get_world_size()
        dist.all_gather_object(decisions, decision)
        return min(decisions) if all else max(decisions)


def in_namespace_of_its_own(do):
    """A thread has its own mounts; what it returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = []

    def mount(source, target, flags):
        args = (source.encode(), target.encode(), None, flags, None)
        assert libc.mount(*args) == 0, os.strerror(ctypes.get_errno())

    def run():
        assert libc.unshare(CLONE_FS | CLONE_NEWNS) == 0
        mount("none", "/", MS_REC | MS_PRIVATE)
        answer.append(do(mount))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer[0]


def is_shared(roots, at):
    """Each rank has another one of these folders at the same path."""

    def ask(mount):
        mount(str(roots[dist.get_rank()]), str(at), MS_BIND)
        return is_shared_filesystem(Ranks(), at)

    return in_namespace_of_its_own(ask)


def shard(step, rank):
    generator = torch.Generator().manual_seed(100 * step + rank)
    return {"step": step, "exp_avg": torch.randn(20_000, generator=generator)}


def deepspeed_names(step, rank):
    """{file: content} of one rank; the model is rank 0's."""
    names = {f"zero_pp_rank_{rank}_mp_rank_00_optim_states.pt": shard(step, rank)}
    if rank == 0:
        names["mp_rank_00_model_states.pt"] = {"module": shard(step, 99)}
    return names


def deepspeed_save(root, step):
    """DeepSpeed's calls: every rank straight onto its own paths, then rank 0
    alone the script and `latest`, each over what is there."""
    root, rank, tag = Path(root), dist.get_rank(), f"global_step{step}"
    (root / tag).mkdir(parents=True, exist_ok=True)
    for name, content in deepspeed_names(step, rank).items():
        torch.save(content, root / tag / name)
    dist.barrier()
    if rank == 0:
        shutil.copyfile(__file__, root / "zero_to_fp32.py")
        os.chmod(root / "zero_to_fp32.py", 0o744)
        with open(root / "latest", "w") as f:
            f.write(tag)
    dist.barrier()


def deepspeed_load(root):
    """The tag, and whether each rank found what it had saved."""
    root, rank = Path(root), dist.get_rank()
    tag = (root / "latest").read_text()
    step = int(tag.removeprefix("global_step"))
    found = [
        digest_of(it=torch.load(root / tag / name)) == digest_of(it=content)
        for name, content in deepspeed_names(step, rank).items()
    ]
    return [tag, all(found)]


if __name__ == "__main__":
    dist.init_process_group("gloo")
    serve(
        fit_sharded,
        dcp_save,
        dcp_load,
        consolidate,
        is_shared,
        deepspeed_save,
        deepspeed_load,
    )
