# SPDX-License-Identifier: Apache-2.0
"""How much goes at once: requests, by what the store says; bytes a second, by
what the user says while the mount is in use."""

import os
import threading
import time

import pytest

from buckets import assert_same
from mount import wait_until
from proxy import Fault

MIB = 1 << 20


class Busy(Fault):
    """SlowDown, for those who come while `most` others are served."""

    most = 2

    def matches(self, request):
        others = [r for r in self.log if r.end is None and r is not request]
        return super().matches(request) and len(others) >= self.most


def busy(proxy, **which):
    fault = Busy("status", count=-1, **which)
    fault.log = proxy.log
    proxy.faults.append(fault)
    return fault


def flow(mnt, what):
    return mnt.status()[what]["at_once"], mnt.status()[what]["most_at_once"]


def test_a_busy_store_gets_fewer_uploads_at_once(s3_mount, s3_bucket, proxy):
    s3_mount.mount(part_size="5M", upload_delay="0s")
    assert flow(s3_mount, "uploads") == (8, 8)
    proxy.limit(up=32 * MIB)
    refused = busy(proxy, method="PUT", path="partNumber")
    (s3_mount / "f").write_bytes(os.urandom(40 * MIB))
    wait_until(lambda: flow(s3_mount, "uploads")[0] <= 4, what="fewer")
    assert "uploads at once: the store asked" in s3_mount.run("status").stdout
    s3_mount.sync()
    assert_same(s3_bucket, s3_mount.path)
    assert refused.hits <= 60


def test_a_busy_store_gets_fewer_downloads_at_once(s3_mount, s3_bucket, proxy):
    data = os.urandom(40 * MIB)
    s3_bucket.put("f", data)
    s3_mount.mount()
    proxy.limit(down=32 * MIB)
    refused = busy(proxy, method="GET", path="/f$")
    reader = []
    thread = threading.Thread(
        target=lambda: reader.append((s3_mount / "f").read_bytes())
    )
    thread.start()
    wait_until(lambda: flow(s3_mount, "downloads")[0] <= 4, what="fewer")
    thread.join(60)
    assert reader == [data]
    assert refused.hits <= 60


@pytest.mark.option("upload_limit", "download_limit")
def test_limits_of_a_mount_in_use(s3_mount, s3_bucket):
    s3_bucket.put("theirs", os.urandom(6 * MIB))
    s3_mount.mount(upload_limit="64K", download_limit="64K", upload_delay="0s")
    assert s3_mount.run("limit", s3_mount.path).stdout.split() == [
        "upload=64K",
        "download=64K",
    ]
    (s3_mount / "ours").write_bytes(os.urandom(6 * MIB))
    began = time.monotonic()
    thread = threading.Thread(target=(s3_mount / "theirs").read_bytes)
    thread.start()
    wait_until(lambda: s3_mount.status()["totals"]["sent_bytes"], what="some of it")
    wait_until(lambda: s3_mount.status()["cache"]["fetched_bytes"], what="some of it")
    said = s3_mount.run("limit", s3_mount / "ours", "upload=1G", "download=none")
    assert said.stdout.split() == ["upload=1G", "download=none"]
    s3_mount.sync()
    thread.join(60)
    assert time.monotonic() - began < 30  # and not for 96 s
    assert_same(s3_bucket, s3_mount.path, mtime=False)
    status = s3_mount.status()
    assert status["uploads"]["limit_bytes_per_s"] == 1 << 30
    assert status["downloads"]["limit_bytes_per_s"] == 0
    assert "uploads at 1G/s" in s3_mount.run("status").stdout


def test_what_a_new_limit_holds_back(s3_mount):
    """None at the mount: what is under way keeps to it, too."""
    s3_mount.mount(upload_delay="0s", part_size="5M")
    s3_mount.run("limit", s3_mount.path, "upload=2M")
    began = time.monotonic()
    (s3_mount / "f").write_bytes(os.urandom(6 * MIB))
    s3_mount.sync()
    assert time.monotonic() - began > 2


@pytest.mark.parametrize(
    "words",
    [["uploads=1M"], ["upload=x"], ["1M"], ["upload=1M", "upload=2M"], ["--all"]],
)
def test_words_that_are_no_limit(s3_mount, words):
    s3_mount.mount()
    said = s3_mount.run("limit", s3_mount.path, *words, status=2).stderr
    assert "usage: ckptfs limit" in said
    assert s3_mount.status()["uploads"]["limit_bytes_per_s"] == 0
