# SPDX-License-Identifier: Apache-2.0
"""copy_file_range(2) where the cache disk can share blocks, and where it cannot."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from buckets import assert_same

MIB = 1 << 20
pytestmark = [
    pytest.mark.root,
    pytest.mark.parametrize("bucket", ["file"], indirect=True),
]


@pytest.fixture(params=["xfs", "ext4"])
def disk(request, tmp_path):
    """A file system of its own: its kind, and where it is."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    flags = {"xfs": ["-m", "reflink=1"], "ext4": ["-F"]}[request.param]
    folder.mkdir()
    with image.open("wb") as f:
        f.truncate(512 * MIB)
    subprocess.run([f"mkfs.{request.param}", "-q", *flags, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield request.param, folder
    subprocess.run(["umount", "-l", folder], check=True)


def shared(blob):
    """Bytes of it that it shares with others."""
    done = subprocess.run(
        ["filefrag", "-v", "-b1", "-s", blob],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = re.findall(r"^ *\d+: .* (\d+): .*shared", done.stdout, re.M)
    return sum(int(n) for n in rows)


def blobs_of(mnt):
    """Of more than a MiB."""
    top = Path(mnt.status()["cache"]["dir"]) / "blobs"
    files = [p for p in top.rglob("*") if p.is_file()]
    return [p for p in files if p.stat().st_size > MIB]


@pytest.mark.parametrize("state", ["new", "published"])
def test_a_copied_range_shares_its_blocks(disk, bucket, mounts, passthrough, state):
    """Of whole blocks; either side is then changed without the other."""
    kind, folder = disk
    m = mounts(
        bucket,
        passthrough=passthrough,
        cache_dir=folder / "cache",
        cache_min_free="1M",
    ).mount()
    data = bytearray(os.urandom(8 * MIB + 100))
    (m / "from").write_bytes(data)
    if state == "published":
        m.sync()
    src = os.open(m / "from", os.O_RDONLY)
    dst = os.open(m / "to", os.O_RDWR | os.O_CREAT)
    while os.copy_file_range(src, dst, len(data)):
        pass
    found = [shared(blob) for blob in blobs_of(m)]
    assert len(found) == 2
    if kind == "xfs":
        assert min(found) >= 8 * MIB, found
    else:
        assert max(found) == 0
    assert (m / "to").read_bytes() == data
    os.pwrite(dst, b"x" * 100, MIB)
    os.close(dst)
    os.close(src)
    with (m / "from").open("r+b") as f:
        f.seek(2 * MIB)
        f.write(b"y" * 100)
    m.sync()
    assert_same(bucket, m.path)
    copy = bytearray(data)
    copy[MIB : MIB + 100] = b"x" * 100
    data[2 * MIB : 2 * MIB + 100] = b"y" * 100
    assert (m / "to").read_bytes() == copy
    assert (m / "from").read_bytes() == data
    m.umount()
