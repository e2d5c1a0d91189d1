#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measurements: the mount against the disk its cache lies on, and against the
tools that copy to a bucket.

Sides take turns in one run; the median of the rounds counts, and every round is
shown.  Only ratios, and processor time, mean something on a busy machine.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench_memory import memory
from bench_names import names
from bench_save import lightning_save, save
from bench_scale import cold, list_names, small, tree
from bench_transfer import transfer
from benchlib import show

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text):
    unit = UNITS.get(text[-1:].upper())
    return int(text[:-1]) * unit if unit else int(text)


BENCHES = {
    "save": save,
    "lightning-save": lightning_save,
    "transfer": transfer,
    "names": names,
    "memory": memory,
    "list": list_names,
    "tree": tree,
    "small": small,
    "cold": cold,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", choices=BENCHES, metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=size, help="bytes, or with K, M, G")
    parser.add_argument("--count", type=int, help="files or objects")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure")
    args = parser.parse_args()
    results = []
    for name in args.names:
        work = Path(tempfile.mkdtemp(prefix="ckptfs-bench-", dir=args.dir))
        try:
            results += BENCHES[name](work, args)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        print(json.dumps(results, indent=1))
    else:
        for r in results:
            show(r)
    return 0


if __name__ == "__main__":
    sys.exit(main())
