#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A program that writes checkpoints as a training job does.

    train.py DIR [--steps N] [--shards N] [--size BYTES] [--keep N] [--pause S]

Step N is step-N/shard-i-of-n, then step-N/complete with their checksums; then
`latest` names it, last.ckpt is overwritten in place and steps older than the
newest --keep are deleted, each one's marker first.  Started again it goes on
behind the step that `latest` names, after checking every shard of it.  The
bytes follow from step and shard alone, so --verify can tell what DIR must
hold after the last step.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path


def content(step, name, size):
    # Not secrets: bytes that compress badly and can be made again.
    return random.Random(f"{step}/{name}").randbytes(size)


def folder(root, step):
    return root / f"step-{step:06d}"


def shard_names(args):
    return [f"shard-{i}-of-{args.shards}" for i in range(args.shards)]


def marker(args, step):
    sums = {
        n: hashlib.sha256(content(step, n, args.size)).hexdigest()
        for n in shard_names(args)
    }
    return json.dumps({"step": step, "shards": sums}, sort_keys=True).encode()


def save(args, step):
    """The step's files; seconds until the last one was closed."""
    began = time.monotonic()
    where = folder(args.dir, step)
    where.mkdir(exist_ok=True)
    for name in shard_names(args):
        (where / name).write_bytes(content(step, name, args.size))
    (where / "complete").write_bytes(marker(args, step))
    (args.dir / "latest").write_text(f"{step}\n")
    # As Lightning does: a temporary elsewhere, moved over what is there.
    fd, temporary = tempfile.mkstemp()
    with os.fdopen(fd, "wb") as f:
        f.write(content(step, "last", args.size))
    shutil.move(temporary, args.dir / "last.ckpt")
    remove_old(args, step)
    return time.monotonic() - began


def remove_old(args, step):
    for old in sorted(args.dir.glob("step-*")):
        number = int(old.name.partition("-")[2])
        if step - args.keep < number <= step:
            continue
        (old / "complete").unlink(missing_ok=True)
        shutil.rmtree(old)


def resume(args):
    """The step that `latest` names, proven whole; 0 without one."""
    latest = args.dir / "latest"
    if not latest.exists():
        return 0
    step = int(latest.read_text())
    stored = json.loads((folder(args.dir, step) / "complete").read_bytes())
    for name, digest in stored["shards"].items():
        data = (folder(args.dir, step) / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            sys.exit(f"step {step} is marked complete, but {name} is damaged")
    return step


def expected(args):
    """{name: bytes} of DIR after the last step."""
    want = {
        "latest": f"{args.steps}\n".encode(),
        "last.ckpt": content(args.steps, "last", args.size),
    }
    for step in range(max(1, args.steps - args.keep + 1), args.steps + 1):
        where = folder(Path(), step)
        want[str(where / "complete")] = marker(args, step)
        for name in shard_names(args):
            want[str(where / name)] = content(step, name, args.size)
    return want


def verify(args):
    """Whether DIR holds what it must and no more (our hidden folder apart)."""
    want = expected(args)
    have = {
        str(p.relative_to(args.dir))
        for p in args.dir.rglob("*")
        if p.is_file()
        and p.relative_to(args.dir).parts[0] not in (".ckptfs", ".sgwtmp")
    }
    wrong = [f"missing: {n}" for n in sorted(want.keys() - have)]
    wrong += [f"not written: {n}" for n in sorted(have - want.keys())]
    wrong += [
        f"differs: {n}"
        for n in sorted(want.keys() & have)
        if (args.dir / n).read_bytes() != want[n]
    ]
    print("\n".join(wrong) or f"{len(want)} files, all as they were written")
    return 1 if wrong else 0


def train(args):
    args.dir.mkdir(parents=True, exist_ok=True)
    done = resume(args)
    print(
        f"train: {'resuming behind' if done else 'starting at'} step {done}", flush=True
    )
    for step in range(done + 1, args.steps + 1):
        time.sleep(args.pause)  # the training
        seconds = save(args, step)
        print(f"train: step {step} saved in {seconds:.3f} s", flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dir", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--keep", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--verify", action="store_true")
    args = parser.parse_args()
    return verify(args) if args.verify else train(args)


if __name__ == "__main__":
    sys.exit(main())
