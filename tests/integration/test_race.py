# SPDX-License-Identifier: Apache-2.0
"""What is much slower than usual is asked for again over another connection, and
the first answer counts."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from buckets import assert_same
from mount import wait_until

MIB = 1 << 20


@pytest.fixture
def warm(s3_mount):
    """A mount that knows how long the server takes, and whose time limit is
    far off: what ends before is no retry."""
    m = s3_mount.mount(
        http_timeout="40s", upload_delay="0s", part_size="5M", metadata_ttl="1h"
    )
    for i in range(3):
        (m / f"w{i}").write_bytes(os.urandom(6 * MIB))
    m.sync()
    m.run("evict", m.path)
    for i in range(3):
        (m / f"w{i}").read_bytes()
    return m


def test_a_read_that_hangs(warm, proxy):
    data = os.urandom(6 * MIB)
    (warm / "f").write_bytes(data)
    warm.sync()
    warm.run("evict", warm / "f")
    before = len(proxy.requests("GET", "/f$"))
    hang = proxy.fault("hang", method="GET", path="/f$")
    began = time.monotonic()
    assert (warm / "f").read_bytes() == data
    assert time.monotonic() - began < 15
    assert hang.hits == 1
    asked = proxy.requests("GET", "/f$")[before:]
    ranges = [r.headers["range"] for r in asked]
    assert len(ranges) == len(set(ranges)) + 1  # that one twice, all others once
    assert warm.status()["totals"]["retries"] == 0


def test_at_most_one_racer(warm, proxy):
    """Nothing answers at all: two requests for the bytes, and no more."""
    data = os.urandom(6 * MIB)
    (warm / "f").write_bytes(data)
    warm.sync()
    warm.run("evict", warm / "f")
    hang = proxy.fault("hang", method="GET", path="/f$", count=-1)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((warm / "f").read_bytes)
        wait_until(lambda: hang.hits == 2, what="the racer")
        # others go on, and take as long as a second racer would
        for i in range(3):
            proxy.fault("hang", method="GET", path=rf"/w{i}$")
            warm.run("evict", warm / f"w{i}")
            (warm / f"w{i}").read_bytes()
        assert hang.hits == 2
        proxy.heal()
        proxy.break_connections()
        assert read.result() == data


def test_a_part_is_not_raced(warm, s3_bucket, proxy):
    """The one that lost could reach the server after its upload was aborted."""
    slow = proxy.fault("delay", method="PUT", path=r"/f\?.*part", count=-1, seconds=3)
    (warm / "f").write_bytes(os.urandom(6 * MIB))
    warm.sync()
    assert slow.hits == 2
    assert_same(s3_bucket, warm.path)


def test_what_changes_the_bucket_is_not_raced(warm, s3_bucket, proxy):
    """A commit, a small put, a delete: slow ones are waited for."""
    slow = proxy.fault("delay", method="PUT|POST|DELETE", count=-1, seconds=3)
    (warm / "f").write_bytes(b"small")
    (warm / "w0").unlink()
    warm.sync()
    assert slow.hits == 2
    assert proxy.commits(r"/(f|w0)$")[-2:] == [("put", "f"), ("delete", "w0")]
    assert_same(s3_bucket, warm.path)
