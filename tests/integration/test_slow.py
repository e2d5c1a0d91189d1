# SPDX-License-Identifier: Apache-2.0
"""A server that does not answer, and a job that must not wait for it."""

import os
import time

WAITED = 0.5  # seconds; a listing is waited for twice as long


def seconds(call, *args):
    began = time.monotonic()
    call(*args)
    return time.monotonic() - began


def test_names_wait_once_for_a_server_that_does_not_answer(s3_mount, proxy):
    m = s3_mount.mount(negative_ttl="0s")
    os.mkdir(m / "before")
    proxy.fault("delay", method="GET", seconds=60)
    calls = []
    for i in range(10):
        calls += [
            seconds(os.mkdir, m / f"dir{i}"),
            seconds(os.symlink, "target", m / f"link{i}"),
            seconds(os.rename, m / f"link{i}", m / f"moved{i}"),
            seconds(os.unlink, m / f"moved{i}"),
        ]
    # Each of 30 new names asks whether another writer has it.  A second long
    # the first one waits, and then nobody for ten.
    waited = sum(s > WAITED for s in calls)
    proxy.heal()
    proxy.break_connections()
    assert waited <= 3, calls
