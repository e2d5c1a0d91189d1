# SPDX-License-Identifier: Apache-2.0
"""What all measurements share: rounds in turn, results, how they are shown."""

import os
import statistics
import time

MIB = 1 << 20
GIB = 1 << 30


def write_file(path, total, block):
    """Seconds from open to close of `total` bytes in writes of one block."""
    began = time.monotonic()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for _ in range(total // len(block)):
        os.write(fd, block)
    os.close(fd)
    return time.monotonic() - began


def read_file(path):
    """Seconds from open to the last byte, in reads of 1 MiB; and how many."""
    buffer, total = bytearray(MIB), 0
    began = time.monotonic()
    with path.open("rb", buffering=0) as f:
        while n := f.readinto(buffer):
            total += n
    return time.monotonic() - began, total


def warm_memory(folder, total, block):
    """Have the machine's host back the memory that a turn takes: where it
    takes back what lies free, a page that it must bring costs six times the
    copy, and the side that meets more of them looks slow.  A file of its own
    does it, for what a file leaves free the next one gets first."""
    path = folder / "warm"
    write_file(path, total + total // 4, block)
    path.unlink()


def rounds_of(sides, rounds, once):
    """{side: [seconds]}: once(side) for each in turn, after an unmeasured
    round that brings both sides' code and disk into their usual state.  Every
    other round goes backwards: what one side leaves behind, memory that the
    machine's host takes back for example, is the next one's to pay."""
    seconds = {name: [] for name in sides}
    names = list(sides)
    for i in range(rounds + 1):
        for name in names[:: -1 if i % 2 else 1]:
            taken = once(name)
            if i:
                seconds[name].append(round(taken, 4))
    return seconds


def result(what, total, seconds, side, base, limit=None, unit="bytes"):
    """A ratio of two sides' medians; total: of what each does."""
    medians = {s: statistics.median(seconds[s]) for s in (side, base)}
    return {
        "name": what,
        unit: total,
        "ratio": round(medians[side] / medians[base], 3),
        "limit": limit,
        "median_seconds": medians,
        "rounds": seconds,
    }


def figure(what, values, unit, limit=None):
    """The median of one side's rounds, or with a limit how it stands to it."""
    return {
        "name": what,
        "value": statistics.median(values),
        "unit": unit,
        "limit": limit,
        "rounds": values,
    }


def show(r):
    key = "ratio" if "ratio" in r else "value"
    text = f"{r['name']}: {'ratio ' if key == 'ratio' else ''}{r[key]:.3f}"
    text += f" {r['unit']}" if "unit" in r else ""
    if r["limit"] is not None:
        good = "within" if r[key] <= r["limit"] else "ABOVE"
        text += f", {good} {r['limit']:.2f}"
    print(text)
    if key == "value":
        print(f"  median of {' '.join(f'{v:.3f}' for v in r['rounds'])}")
        return
    for side, rounds in r["rounds"].items():
        taken = statistics.median(rounds)
        rate = f"{r['bytes'] / taken / MIB:7.0f} MiB/s" if "bytes" in r else ""
        if "names" in r:
            rate = f"{r['names'] / taken:7.0f} names/s"
        text = " ".join(f"{s:.3f}" for s in rounds)
        print(f"  {side:12} {rate}  median of {text} s")
