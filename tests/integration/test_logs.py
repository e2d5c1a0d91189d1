# SPDX-License-Identifier: Apache-2.0
"""A log that is appended to for long: what each publication of it costs."""

import os

import pytest

from conftest import over_all_servers
from mount import wait_until

MIB = 1 << 20
STEPS = int(os.environ.get("CKPTFS_LOG_MIB", "14"))


def published(bucket, key):
    return bucket.head(key).size if bucket.keys(key) else 0


def grow(log, bucket, steps):
    """A MiB after the other, each waited for in the bucket."""
    data = b""
    for n in range(steps):
        more = os.urandom(MIB)
        log.write(more)
        data += more
        size = len(data)
        wait_until(
            lambda size=size: published(bucket, "train.log") == size,
            60,
            f"MiB {n + 1} of the log",
            0.05,
        )
    return data


@over_all_servers
@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_log_kept_open_costs_what_it_grows_by(mounts, s3_bucket, proxy, mode):
    """Above 8 MiB what the bucket has is copied by the server."""
    m = mounts(s3_bucket, upload_interval="100ms", held_open_delay="100ms").mount()
    with (m / "train.log").open(mode + "b", buffering=0) as log:
        data = grow(log, s3_bucket, STEPS)
        assert s3_bucket.get("train.log") == data
    m.sync(m.path)
    sent = sum(r.sent for r in proxy.requests("PUT", "/train.log"))
    copies = [
        r
        for r in proxy.requests("PUT", "/train.log")
        if "x-amz-copy-source-range" in r.headers
    ]
    # The first eight each time whole, and each other byte once.
    print(f"{sent / MIB:.1f} MiB were sent of {STEPS}, with {len(copies)} copies")
    assert sent <= (36 + STEPS - 8 + 1) * MIB
    assert len(copies) >= STEPS - 8 - 1
    assert s3_bucket.get("train.log") == data
    assert not s3_bucket.uploads()
