# SPDX-License-Identifier: Apache-2.0
"""The record of a disk's writes is read as dm-log-writes writes it."""

import os

import pytest

from logwrites import DISCARD, ENTRY, MAGIC, MARK, SUPER, Record

UNIT = 512


def entry(sector, sectors, flags=0, text=b""):
    head = ENTRY.pack(sector, sectors, flags, len(text)) + text
    return head.ljust(UNIT, b"\0")


@pytest.fixture
def record(tmp_path):
    """Two writes to one place, a mark between them, a discard and a mark."""
    entries = [
        entry(1, 2) + b"a" * 2 * UNIT,
        entry(0, 0, MARK, b"7\0"),
        entry(2, 1) + b"b" * UNIT,
        entry(0, 2, DISCARD),
        entry(0, 0, MARK, b"12\0"),
    ]
    path = tmp_path / "log"
    head = SUPER.pack(MAGIC, 1, len(entries), UNIT).ljust(UNIT, b"\0")
    path.write_bytes(head + b"".join(entries) + b"left from before" * UNIT)
    return Record(path)


def test_the_marks(record):
    assert record.marks() == [(2, "7"), (5, "12")]


@pytest.mark.parametrize(
    ("n", "want"),
    [(0, "...."), (1, ".aa."), (2, ".aa."), (3, ".ab."), (4, "00b."), (5, "00b.")],
)
def test_the_disk_after_some_of_the_writes(record, tmp_path, n, want):
    path = tmp_path / "disk"
    path.write_bytes(b"." * 4 * UNIT)
    with path.open("r+b") as disk:
        for i in range(n):
            record.apply(i, i + 1, disk.fileno())
    assert os.path.getsize(path) == 4 * UNIT
    letters = path.read_bytes().replace(b"\0", b"0")[::UNIT]
    assert letters.decode() == want


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(bytes(4096))
    with pytest.raises(AssertionError, match="no log of writes"):
        Record(path)
