# SPDX-License-Identifier: Apache-2.0
"""Many names: what they cost in requests and memory.  Times are for
contrib/bench."""

import os
import subprocess

from bench_memory import peak
from bench_scale import seed

MIB = 1 << 20
ROOT = os.geteuid() == 0


def ls(path, *options):
    return subprocess.run(
        ["ls", *options, path], capture_output=True, check=True, text=True
    ).stdout.splitlines()


def test_a_listing_takes_little_memory(folder_mount, tmp_path):
    """Some hundred bytes for each name, also while they are merged."""
    names = 20_000
    seed(tmp_path / "bucket" / "dir", names)
    folder_mount.mount(metadata_ttl="1h")
    before = peak(folder_mount.pid())
    assert len(ls(folder_mount / "dir", "-f")) == names + 2
    grown = peak(folder_mount.pid()) - before
    assert grown < 1500 * names, f"{grown // names} bytes for each name"


def test_a_long_listing_asks_for_few_objects(mounts, s3_bucket, proxy):
    """Others' names take size and time from the listing; who opens a file gets
    what its object says, and a link is one."""
    count = 400
    writer = mounts(s3_bucket, "writer", upload_delay="0s").mount()
    (writer / "dir").mkdir()
    for i in range(count):
        (writer / "dir" / f"f{i:03}").write_bytes(b"x" * i)
        os.chmod(writer / "dir" / f"f{i:03}", 0o600)
        os.utime(writer / "dir" / f"f{i:03}", (1e9, 1e9))
    (writer / "dir" / "zlink").symlink_to("f007")
    writer.umount()
    m = mounts(s3_bucket, "reader", metadata_ttl="1h").mount()
    lines = ls(m / "dir", "-l")[1:]
    assert len(lines) == count + 1
    sizes = {line.split()[8]: int(line.split()[4]) for line in lines}
    assert all(sizes[f"f{i:03}"] == i for i in range(count))
    assert len(proxy.requests("HEAD", "/dir/")) < 300
    first, last = m / "dir" / "f000", m / "dir" / f"f{count - 1}"
    assert (first.stat().st_mode & 0o777, first.stat().st_mtime) == (0o600, 1e9)
    with last.open("rb") as f:
        st = os.fstat(f.fileno())
        assert (st.st_mode & 0o777, st.st_mtime) == (0o600, 1e9)
        assert f.read() == b"x" * (count - 1)
    assert (m / "dir" / "zlink").read_bytes() == b"x" * 7
    assert os.readlink(m / "dir" / "zlink") == "f007"
