#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Libraries below the frameworks at work: file_cases.py CASE DIR.

What is left in DIR follows from CASE alone.  A DIR of fsspec's may be a URL.
"""

import signal
import subprocess
import sys
import tempfile
import zipfile

import fsspec
import h5py
import numpy as np

MIB = 1 << 20


def find(fs, folder):
    """Names below folder, as seen from it."""
    top = fs._strip_protocol(folder)
    return [name.removeprefix(f"{top}/") for name in fs.find(folder)]


def write_with_fsspec(fs, root):
    fs.makedirs(f"{root}/d/e/f", exist_ok=True)
    fs.pipe(
        {
            f"{root}/d/one": b"1" * 1000,
            f"{root}/d/e/two": b"2" * 2000,
            f"{root}/d/e/f/three": b"",
        }
    )
    assert find(fs, f"{root}/d") == ["e/f/three", "e/two", "one"]
    assert len(fs.glob(f"{root}/d/**/t*")) == 2
    assert fs.du(f"{root}/d") == 3000
    assert fs.info(f"{root}/d/one")["type"] == "file"
    assert fs.isdir(f"{root}/d/e")
    assert not fs.exists(f"{root}/d/none")
    with fs.open(f"{root}/d/one", "ab") as f:
        f.write(b"+")
    with fs.open(f"{root}/d/one", "r+b") as f:
        f.seek(10)
        f.write(b"!!")
    assert fs.cat_file(f"{root}/d/one", 8, 14) == b"11!!11"
    assert fs.size(f"{root}/d/one") == 1001
    fs.touch(f"{root}/d/two-times")
    fs.touch(f"{root}/d/two-times")
    fs.touch(f"{root}/d/one", truncate=False)
    assert [fs.size(f"{root}/d/{n}") for n in ("two-times", "one")] == [0, 1001]


def transactions(fs, root):
    with fs.transaction:
        for name in ("first", "second"):
            with fs.open(f"{root}/d/{name}", "wb") as f:
                f.write(name.encode() * 1000)
        assert not fs.exists(f"{root}/d/first")
    assert fs.cat(f"{root}/d/second") == b"second" * 1000
    try:
        with fs.transaction:
            with fs.open(f"{root}/d/first", "wb") as f:
                f.write(b"never")
            raise KeyError
    except KeyError:
        pass
    assert fs.cat(f"{root}/d/first") == b"first" * 1000


def copies_and_moves(fs, root):
    fs.cp(f"{root}/d", f"{root}/copy", recursive=True)
    assert find(fs, f"{root}/copy") == find(fs, f"{root}/d")
    fs.mv(f"{root}/copy/e/two", f"{root}/copy/moved")
    fs.mv(f"{root}/copy/e", f"{root}/copy/folder")
    assert fs.isfile(f"{root}/copy/folder/f/three")
    assert not fs.exists(f"{root}/copy/e")
    fs.mv(f"{root}/copy/moved", f"{root}/d/one")
    assert fs.cat(f"{root}/d/one") == b"2" * 2000
    with tempfile.TemporaryDirectory() as elsewhere:
        fs.get(f"{root}/d/", f"{elsewhere}/d", recursive=True)
        fs.put(f"{elsewhere}/d/", f"{root}/back", recursive=True)
    assert find(fs, f"{root}/back") == find(fs, f"{root}/d")
    fs.symlink(fs._strip_protocol(f"{root}/d/one"), f"{root}/back/soft")
    assert fs.cat(f"{root}/back/soft") == b"2" * 2000
    fs.rm(f"{root}/back/soft")


def removals(fs, root):
    fs.mkdir(f"{root}/empty")
    fs.rmdir(f"{root}/empty")
    fs.rm(f"{root}/copy", recursive=True)
    fs.rm([f"{root}/back/first", f"{root}/back/e"], recursive=True)
    fs.rm_file(f"{root}/back/second")
    assert find(fs, f"{root}/back") == ["one", "two-times"]
    assert find(fs, f"{root}/d") == [
        *("e/f/three", "e/two", "first", "one", "second", "two-times")
    ]


def use_fsspec(root):
    fs, _ = fsspec.url_to_fs(root)
    write_with_fsspec(fs, root)
    transactions(fs, root)
    copies_and_moves(fs, root)
    removals(fs, root)
    with fsspec.open(f"{root}/opened.gz", "wt", compression="gzip") as f:
        f.write("text\n" * 1000)
    with fsspec.open(f"{root}/opened.gz", "rt", compression="gzip") as f:
        assert f.read() == "text\n" * 1000
    # gzip has the time of writing in its head
    fs.rm(f"{root}/opened.gz")


def arrays():
    """Larger than a part of an upload, and small ones."""
    random = np.random.default_rng(7)
    large = random.random((12, MIB // 8))
    return {"large": large, "small": np.arange(10), "empty": np.zeros((0, 3))}


def write_zips(root):
    """Each goes back to what it wrote: the head of a member, the directory."""
    np.savez(f"{root}/over.npz", first=np.ones(1000))
    np.savez(f"{root}/over.npz", **arrays())
    np.savez_compressed(f"{root}/small.npz", small=arrays()["small"])
    when = (2020, 1, 1, 0, 0, 0)
    with zipfile.ZipFile(f"{root}/a.zip", "w") as z:
        with z.open(zipfile.ZipInfo("large", when), "w", force_zip64=True) as f:
            for row in arrays()["large"]:
                f.write(row.tobytes())
        with z.open(zipfile.ZipInfo("small", when), "w", force_zip64=True) as f:
            f.write(b"small")
    with zipfile.ZipFile(f"{root}/a.zip", "a") as z:
        z.writestr(zipfile.ZipInfo("added", when), b"added")


def read_zips(root):
    with np.load(f"{root}/over.npz") as found:
        want = arrays()
        assert set(found.files) == set(want)
        for name, array in want.items():
            assert np.array_equal(found[name], array), name
    with np.load(f"{root}/small.npz") as found:
        assert np.array_equal(found["small"], arrays()["small"])
    with zipfile.ZipFile(f"{root}/a.zip") as z:
        assert z.namelist() == ["large", "small", "added"]
        assert z.testzip() is None
        assert z.read("large") == arrays()["large"].tobytes()


def other_process_opens(path, mode, then="pass"):
    code = f"import h5py, os, signal; f = h5py.File({path!r}, {mode!r}); {then}"
    cmd = [sys.executable, "-c", code]
    return subprocess.run(cmd, stderr=subprocess.DEVNULL).returncode


def write_h5(root):
    """Written, locked meanwhile, changed in place; a holder that is killed
    leaves no lock."""
    path = f"{root}/w.h5"
    random = np.random.default_rng(7)
    with h5py.File(path, "w") as f:
        for i in range(8):
            f.create_dataset(f"l{i}/k", data=random.random((256, 256)))
        assert other_process_opens(path, "r") == 1, "not locked"
    with h5py.File(path, "a") as f:
        f["l2/k"][:10] = 0
        f.create_dataset("x", data=np.zeros(1000))
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    assert other_process_opens(path, "r", kill) == -signal.SIGKILL
    assert other_process_opens(path, "r+") == 0


def read_h5(root):
    random = np.random.default_rng(7)
    with h5py.File(f"{root}/w.h5", "r") as f:
        for i in range(8):
            want = random.random((256, 256))
            if i == 2:
                want[:10] = 0
            assert np.array_equal(f[f"l{i}/k"], want), i
        assert f["x"].shape == (1000,)


if __name__ == "__main__":
    cases = {
        "fsspec": use_fsspec,
        "read-h5": read_h5,
        "read-zips": read_zips,
        "write-h5": write_h5,
        "write-zips": write_zips,
    }
    cases[sys.argv[1]](sys.argv[2])
