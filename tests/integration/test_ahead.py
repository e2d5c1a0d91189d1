# SPDX-License-Identifier: Apache-2.0
"""What listings do not tell of others' objects is asked side by side."""

import os

import pytest

COUNT = 100


@pytest.fixture
def far(s3_bucket, proxy):
    """Objects of another writer, and a server that takes its time."""
    s3_bucket.put_many({f"d/f{i:03}": b"%d" % i for i in range(COUNT)})
    proxy.fault("delay", method="HEAD", path="/d/", seconds=0.02, count=-1)
    return proxy


def asked(proxy):
    """HEADs of the objects: how many, of how many, and how many at once."""
    heads = [r for r in proxy.requests("HEAD") if r.key.startswith("d/")]
    turns = sorted([(r.start, 1) for r in heads] + [(r.end, -1) for r in heads])
    now = most = 0
    for _, turn in turns:
        now += turn
        most = max(most, now)
    return len(heads), len({r.key for r in heads}), most


def test_who_walks_through_a_folder_waits_for_few(s3_mount, far):
    m = s3_mount.mount(metadata_ttl="1h")
    for entry in sorted(os.scandir(m / "d"), key=lambda e: e.name):
        assert entry.stat().st_size == len(str(int(entry.name[1:])))
    count, files, at_once = asked(far)
    assert count == files == COUNT
    assert at_once >= 8


def test_a_prefetch_waits_for_few(s3_mount, far):
    m = s3_mount.mount(metadata_ttl="1h")
    m.run("prefetch", m / "d")
    count, files, at_once = asked(far)
    assert count == files == COUNT
    assert at_once >= 8
    for i in range(COUNT):
        assert (m / f"d/f{i:03}").read_bytes() == b"%d" % i
