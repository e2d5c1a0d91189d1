# SPDX-License-Identifier: Apache-2.0
"""Libraries below the frameworks, unchanged, on a mount of a real S3 server."""

import os
import subprocess
from pathlib import Path

import pytest

from published import assert_published, tree

pytestmark = pytest.mark.lightning

MIB = 1 << 20


def run(case, folder):
    program = Path(__file__).parent / "file_cases.py"
    cmd = [os.environ["LIGHTNING_PYTHON"], str(program), case, str(folder)]
    done = subprocess.run(cmd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def but_times(root):
    """What is below root, whoever wrote it when."""
    return {
        n: w if isinstance(w, str) else w[:2] + w[3:] for n, w in tree(root).items()
    }


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(s3_bucket, passthrough=passthrough).mount()


@pytest.mark.parametrize("how", ["path", "url"])
def test_fsspec(how, mnt, s3_bucket, mounts, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    for root in (local, mnt.path):
        run("fsspec", root if how == "path" else f"file://{root}")
    assert but_times(mnt.path) == but_times(local)
    assert_published(mnt, s3_bucket, mounts)


def test_s12_zips_are_patched_in_front(mnt, s3_bucket, mounts, proxy, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    for root in (local, mnt.path):
        run("write-zips", root)
    assert but_times(mnt.path) == but_times(local)
    assert_published(mnt, s3_bucket, mounts)
    # each once, and none before it was closed
    total = sum(p.stat().st_size for p in local.iterdir())
    assert proxy.body_bytes() < 1.05 * total + MIB
    mnt.umount()
    run("read-zips", mounts(s3_bucket, "cold").mount().path)


def test_s11_hdf5_is_locked_and_changed_in_place(mnt, s3_bucket, mounts, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    for root in (local, mnt.path):
        run("write-h5", root)
    mnt.sync()
    assert s3_bucket.get("w.h5") == (local / "w.h5").read_bytes()
    mnt.run("evict", mnt / "w.h5")
    run("read-h5", mnt.path)
    assert_published(mnt, s3_bucket, mounts)
