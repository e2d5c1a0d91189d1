# SPDX-License-Identifier: Apache-2.0
"""What only the bucket has: what a reader of it costs, in requests."""

import os

from mount import wait_until

GIB = 1 << 30


def test_the_first_byte_of_a_large_file_costs_a_round_trip(
    versitygw, s3_mount, s3_bucket, proxy
):
    """10 GiB, of which hardly anything has come by then."""
    s3_bucket.put("f", b"begin")
    os.truncate(versitygw.data / s3_bucket.name / "f", 10 * GIB)
    mnt = s3_mount.mount()
    assert (mnt / "f").stat().st_size == 10 * GIB
    proxy.limit(down=32 << 20)
    before = len(proxy.requests())
    with (mnt / "f").open("rb", buffering=0) as f:
        assert f.read(5) == b"begin"
        asked = proxy.requests()[before:]
    mnt.discard()
    heads = [r for r in asked if r.method == "HEAD"]
    gets = [r for r in asked if r.method == "GET" and r.key == "f"]
    assert len(heads) <= 1
    assert len(asked) == len(heads) + len(gets)
    # No range was waited for before another was asked for.
    ends = [r.end for r in gets if r.end]
    assert max(r.start for r in gets) <= min(ends, default=float("inf"))
    assert sum(r.received for r in gets) < GIB
    wait_until(lambda: not mnt.alive(), what="its end")
