# SPDX-License-Identifier: Apache-2.0
"""Keys of other writers that are no path, or no text: shown as they are, or left
alone and counted; never followed."""

import os
import subprocess

import pytest

from buckets import DirBucket
from mount import wait_until

LONGEST = "n" * 255
PATH = "/".join("p" * 127 for _ in range(8)) + "p"  # 1,024 bytes
SHOWN = [
    "d/seen",
    "f/below",
    "m/x",
    LONGEST,
    PATH,
    "c\x01\x1b[1m\x7f\n\r",
    "é",
    "e\u0301",
]
IN_ROOT = ["/x", "../x", "./x", "../../etc/x", "f", "n" * 256, "n" * 256 + "/x"]
IN_D = ["d//x", "d/./x", "d/../../x", "d/..", "d/.", "d///"]


def counted(mnt):
    return mnt.status()["unshown_names"]


def walk(root):
    """Relative names of all files."""
    found = []
    for top, _, names in os.walk(root):
        found += [os.path.relpath(os.path.join(top, n), root) for n in names]
    return sorted(found)


@pytest.fixture
def gcs(gcs_bucket, mounts):
    """A bucket that takes any key, and lists an object beside what is below it."""
    for key in [*SHOWN, *IN_ROOT, *IN_D, "m/", "m2/"]:
        gcs_bucket.put(key, key.encode())
    return gcs_bucket, mounts(gcs_bucket, metadata_ttl="0").mount()


def test_keys_that_are_no_path_are_counted_and_left_alone(gcs):
    bucket, m = gcs
    assert walk(m.path) == sorted(SHOWN)
    assert sorted(os.listdir(m.path)) == sorted(
        {k.partition("/")[0] for k in SHOWN} | {"m2"}
    )
    for key in SHOWN:
        assert (m / key).read_bytes() == key.encode()
    # Of the root 6: "" "." ".." "f" and the long one, a file and a folder; of d 5.
    wait_until(lambda: os.listdir(m / "d") and counted(m) >= 11, what="the count")
    assert counted(m) == 11
    assert "11 names of the bucket cannot be shown" in m.run("status", m.path).stdout
    # Not above the mount, nor out of a folder of it.
    assert not os.path.lexists(m.path.parent / "x")
    assert not os.path.lexists(m / "x")
    # What is done to all that shows leaves them where they are.
    before = set(bucket.keys())
    for top in os.listdir(m.path):
        subprocess.run(["rm", "-rf", m / top], check=False)
    m.sync()
    left = set(bucket.keys())
    assert left == before - set(SHOWN)
    assert {k for k in [*IN_ROOT, *IN_D] if not k.endswith("/")} <= left
    for key in left - {"m2/"}:
        assert bucket.get(key) == key.encode()


def test_a_folder_with_keys_that_do_not_show_moves_with_them(gcs):
    bucket, m = gcs
    (m / "d/seen").unlink()
    with pytest.raises(OSError, match="not empty"):
        (m / "d").rmdir()
    m.sync()
    (m / "d").rename(m / "e")
    m.sync()
    left = bucket.keys()
    assert not [k for k in left if k.startswith("d/")]
    for key in IN_D:
        if not key.endswith("/"):
            assert bucket.get("e" + key[1:]) == key.encode()


def test_names_that_are_no_text_are_shown_as_they_are(tmp_path, mounts):
    """Of a path too deep for a key as much as is one."""
    bucket = DirBucket(tmp_path / "bucket")
    top = os.fsencode(bucket.folder)
    names = [
        b"\xff\xfe",
        b"a\xc3",
        b"\x01\x1b[1m",
        b"l\n\t",
        b"\xed\xa0\x80",
        b"n" * 255,
    ]
    for name in names:
        with open(os.path.join(top, name), "wb") as f:
            f.write(name)
    deep = os.open(top, os.O_RDONLY)
    for _ in range(9):
        os.mkdir(b"p" * 120, dir_fd=deep)
        below = os.open(b"p" * 120, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    m = mounts(bucket, metadata_ttl="0").mount()
    path = os.fsencode(m.path)
    assert sorted(os.listdir(path)) == sorted([*names, b"p" * 120])
    for name in names:
        with open(os.path.join(path, name), "rb") as f:
            assert f.read() == name
    assert os.listdir(m / "/".join(["p" * 120] * 8)) == []
    assert counted(m) == 0
