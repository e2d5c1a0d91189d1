# SPDX-License-Identifier: Apache-2.0
"""Python's own tests of files: what passes in a folder beside the cache passes on
a mount."""

import fnmatch
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buckets import DirBucket, assert_same
from conftest import ROOT

pytestmark = [pytest.mark.suites, pytest.mark.timeout(500)]
RUNNER = Path(__file__).with_name("python_suite.py")
MODULES = ("io", "mmap", "shutil", "os", "pathlib", "tempfile", "zipfile")
LINKS = "hard links are refused: no object has two names"
XATTRS = "user xattrs are refused: the kernel would ask for them before each write"
# The only tests that may end otherwise than beside the cache; what they then say
# names the refusal.
REFUSED = {
    "test.test_os.ExtendedAttributeTests.*": XATTRS,
    "test.test_os.LinkTests.*": LINKS,
    "test.test_os.TestScandir.test_attributes": LINKS,
    "test.test_pathlib.*.test_hardlink_to": LINKS,
    "test.test_pathlib.*.test_link_to": LINKS,
    "test.test_shutil.TestCopy.test_dont_copy_file_onto_link_to_itself": LINKS,
    "test.test_shutil.TestCopy.*xattr*": XATTRS,
}
SAID = {LINKS: "os.link", XATTRS: "no non-broken extended attribute support"}


def outcomes(module, folder):
    """What came of each test of a module in a folder, which is empty after it."""
    folder.mkdir()
    out = folder.parent.with_name(f"{folder.parent.name}.json")
    job = subprocess.Popen(
        ["/usr/bin/python3", RUNNER, f"test_{module}", out],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = job.communicate(timeout=300)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)
            job.communicate(timeout=30)
    assert job.returncode == 0, f"{module}: {said}"
    assert os.listdir(folder) == []
    return json.loads(out.read_text())


def is_refused(name, said):
    """By contract, and that is what the test says of it."""
    whys = {why for glob, why in REFUSED.items() if fnmatch.fnmatchcase(name, glob)}
    return any(SAID[why] in said for why in whys)


@pytest.mark.parametrize("module", MODULES)
def test_python_finds_no_difference(mounts, module, tmp_path):
    """Beside the cache and on both I/O paths at once."""
    mnts = {}
    for path in ("auto", "off") if ROOT else ("auto",):
        bucket = DirBucket(tmp_path / f"{path}.bucket")
        mnts[path] = mounts(bucket, path, passthrough=path, log_level="info")
        mnts[path].mount()
    (tmp_path / "local").mkdir()
    folders = [tmp_path / "local/d", *(m / "d" for m in mnts.values())]
    with ThreadPoolExecutor(len(folders)) as pool:
        local, *found = pool.map(lambda folder: outcomes(module, folder), folders)
    assert sum(said == "passed" for said in local.values()) > 30
    for path, mount in zip(mnts, found, strict=True):
        assert local.keys() == mount.keys()
        differ = {
            name: said
            for name, said in mount.items()
            if said.partition(":")[0] != local[name].partition(":")[0]
        }
        for name, said in differ.items():
            assert local[name] == "passed", (path, name, local[name])
            assert is_refused(name, said), f"{path}: {name}\n{said}"
        for glob in REFUSED:
            if glob.startswith(f"test.test_{module}."):
                assert fnmatch.filter(differ, glob), f"{path}: {glob} may go"
        mnts[path].sync()
        assert_same(DirBucket(tmp_path / f"{path}.bucket"), mnts[path].path)
