# SPDX-License-Identifier: Apache-2.0
"""Options of a mount: each has a test that fails if it is ignored, and what
is not built is refused.  The S3 server's options are in test_options_s3.py,
those of uploads and downloads in test_options_transfer.py."""

import ast
import errno
import json
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from mount import TOP, is_mounted, program, wait_until

HERE = Path(__file__).parent
NOBODY = 65534


def options_of_help():
    done = subprocess.run(
        [program(), "mount", "--help"], capture_output=True, text=True, check=True
    )
    return re.findall(r"^  ([a-z]\w+) ", done.stdout, re.MULTILINE)


def marked_options(path):
    """Names in marks `option` of the test functions of a file."""
    tree = ast.parse(path.read_text())
    tests = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    marks = [
        node
        for test in tests
        for decorator in test.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.option"
    ]
    return {ast.literal_eval(arg) for mark in marks for arg in mark.args}


def test_every_option_has_a_test():
    """Read from the files, so that it holds when only some are run."""
    known = options_of_help()
    assert len(known) > 40
    marked = set().union(*(marked_options(p) for p in HERE.glob("test_*.py")))
    assert sorted(set(known) - marked) == [], "options without a test"
    assert sorted(marked - set(known)) == [], "marks of what is no option"


# ---- what is not built


def not_built():
    """The options README says are not built."""
    text = (TOP / "README.md").read_text()
    part = text.partition("**Not built yet:**")[2]
    part = part.partition("refused, never ignored")[0].rpartition("the options")[2]
    return re.findall(r"`(\w+)`", part)


def test_readme_names_options_that_are_not_built():
    names = not_built()
    assert len(names) > 10
    assert not set(names) & set(options_of_help())


@pytest.mark.parametrize("name", not_built())
def test_what_is_not_built_is_refused(folder_mount, tmp_path, name):
    for value in ("x", True):
        folder_mount.mount(status=2, **{name: value})
        assert f"the option {name} is not built yet" in folder_mount.said
        assert not is_mounted(folder_mount.path)
    config = tmp_path / "config"
    config.write_text(f"{name} = x\n")
    folder_mount.mount(status=2, config_file=config)
    assert f"the option {name} is not built yet" in folder_mount.said
    folder_mount.env[f"CKPTFS_{name.upper()}"] = "x"
    folder_mount.mount(status=2)
    assert f"the option {name} is not built yet" in folder_mount.said


def test_an_order_that_is_not_built_is_refused(folder_mount):
    folder_mount.mount(status=2, order="exact")
    assert "strict|open|none" in folder_mount.said


# ---- where options come from


@pytest.mark.option("config_file", "file_mode", "dir_mode")
@pytest.mark.parametrize("from_env", [False, True])
def test_the_later_source_of_an_option_wins(s3_bucket, tmp_path, mounts, from_env):
    s3_bucket.put("d/f", b"x")
    config = tmp_path / "config"
    config.write_text("[mount]\n# a comment\nfile_mode = 0600\ndir_mode = 0700\n")

    def modes(name, env, **options):
        m = mounts(s3_bucket, name, **options)
        m.env.update(env)
        if from_env:
            m.env["CKPTFS_CONFIG_FILE"] = str(config)
        else:
            m.options["config_file"] = config
        m.mount()
        paths = (m / "d", m / "d/f")
        return [oct(stat.S_IMODE(p.stat().st_mode)) for p in paths]

    env = {"CKPTFS_FILE_MODE": "0640"}
    assert modes("file", {}) == ["0o700", "0o600"]
    assert modes("env", env) == ["0o700", "0o640"]
    assert modes("dash_o", env, file_mode="0604") == ["0o700", "0o604"]


def test_bad_options_in_file_and_environment_are_refused(folder_mount, tmp_path):
    config = tmp_path / "config"
    config.write_text("cache_sise = 1G\n")
    folder_mount.mount(status=2, config_file=config)
    assert str(config) in folder_mount.said
    assert "cache_size" in folder_mount.said
    folder_mount.mount(status=2, config_file=tmp_path / "missing")
    assert "missing" in folder_mount.said
    folder_mount.env["CKPTFS_CACHE_SIZE"] = "big"
    folder_mount.mount(status=2)
    assert "environment" in folder_mount.said
    assert not is_mounted(folder_mount.path)


# ---- the log


@pytest.mark.option("log_file")
def test_the_log_goes_where_log_file_says(folder_mount, tmp_path):
    log = tmp_path / "there" / "x.log"
    log.parent.mkdir()
    folder_mount.mount(log_file=log).umount()
    assert str(folder_mount.path) in log.read_text()
    assert not folder_mount.log.exists()


@pytest.mark.option("log_level")
@pytest.mark.parametrize(
    ("level", "said"), [("err", []), ("warn", ["warn"]), ("info", ["warn", "info"])]
)
def test_the_log_has_what_log_level_lets_through(folder_mount, level, said):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as cache:
        # a warning, and the line of information of every mount
        folder_mount.options.update(cache_dir=cache, volatile_cache="ok")
        folder_mount.mount(log_level=level).umount()
    text = folder_mount.log.read_text()
    assert ("power cut" in text) == ("warn" in said), text
    assert (str(folder_mount.path) in text) == ("info" in said), text


@pytest.mark.option("log_format")
def test_lines_of_the_log_are_json_if_log_format_says_so(folder_mount):
    folder_mount.mount(log_format="json").umount()
    lines = folder_mount.log.read_text().splitlines()
    assert lines
    assert all(isinstance(json.loads(line), dict) for line in lines)


# ---- the cache


@pytest.mark.option("cache_dir")
def test_data_waits_in_cache_dir(folder_mount):
    folder_mount.mount()
    cache = Path(folder_mount.status()["cache"]["dir"])
    assert cache.parent == folder_mount.cache_dir
    (folder_mount / "f").write_bytes(b"x" * 5000)
    blobs = [p for p in (cache / "blobs").rglob("*") if p.is_file()]
    assert [p.stat().st_size for p in blobs] == [5000]


@pytest.mark.option("cache_min_free")
def test_what_is_published_makes_room_for_cache_min_free(s3_mount, s3_bucket):
    s3_bucket.put("f", b"x" * 100_000)
    disk = os.statvfs(s3_mount.cache_dir)
    more = (disk.f_bavail * disk.f_frsize >> 30) + 64
    s3_mount.mount(ro=True, cache_min_free=f"{more}G")
    assert (s3_mount / "f").read_bytes() == b"x" * 100_000

    def evicted():
        return s3_mount.status(s3_mount / "f")["state"] == "cold"

    wait_until(evicted, what="the end of a clean copy")
    s3_mount.umount()
    # With less than what is free it stays.
    s3_mount.mount(ro=True, cache_min_free="1M")
    assert (s3_mount / "f").read_bytes() == b"x" * 100_000
    assert s3_mount.status(s3_mount / "f")["state"] == "published"


# ---- the kernel's side


@pytest.mark.option("passthrough")
@pytest.mark.parametrize("how", [pytest.param("on", marks=pytest.mark.root), "off"])
def test_passthrough_is_the_path_of_opens(folder_mount, how):
    folder_mount.mount(passthrough=how)
    (folder_mount / "f").write_bytes(b"x" * 5000)
    assert (folder_mount / "f").read_bytes() == b"x" * 5000
    status = folder_mount.status()
    assert status["io"] == ("passthrough" if how == "on" else "ordinary")
    opens = status["opens"]
    want = (2, 0) if how == "on" else (0, 2)
    assert (opens["passthrough"], opens["cached"]) == want


@pytest.fixture
def open_folder():
    """A folder that everybody may enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.option("passthrough")
def test_passthrough_on_is_refused_where_there_is_none(open_folder):
    """The kernel gives it to root alone; in a name space of its own anybody
    may open a /dev/fuse."""
    script = 'cd ~ && mkdir mnt cache bucket && exec timeout -s KILL 20 "$@"'
    options = "cache_dir=cache,passthrough=on"
    command = [TOP / "contrib/lib/namespace", "--user", "nobody"]
    command += ["--reach", Path(program()).parent, open_folder]
    command += ["sh", "-c", script, "sh", program(), "mount"]
    command += [f"file://{open_folder}/home/bucket", "mnt", "-f", "-o", options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done
    assert "passthrough=on, but there is none" in done.stderr


def as_nobody(*command):
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["setpriv", *ids, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.root
@pytest.mark.option("allow_other")
@pytest.mark.parametrize("allowed", [False, True])
def test_allow_other_lets_others_in(open_folder, folder_mount, allowed):
    folder_mount.path = open_folder
    folder_mount.mount(allow_other=allowed or None)
    (open_folder / "f").write_bytes(b"for all")
    (open_folder / "private").write_bytes(b"for me")
    (open_folder / "private").chmod(0o600)
    done = as_nobody("cat", open_folder / "f")
    assert (done.stdout == "for all") == allowed, done
    assert as_nobody("cat", open_folder / "private").stdout == ""
    assert as_nobody("touch", open_folder / "g").returncode != 0
    folder_mount.umount()


@pytest.mark.option("umask", "file_mode", "dir_mode")
@pytest.mark.parametrize(
    ("options", "modes"),
    [
        ({}, ["0o755", "0o644"]),
        ({"umask": "077"}, ["0o700", "0o600"]),
        ({"umask": "077", "file_mode": "0640"}, ["0o700", "0o640"]),
        ({"umask": "027", "dir_mode": "0711"}, ["0o711", "0o640"]),
    ],
)
def test_permissions_of_what_others_wrote(s3_mount, s3_bucket, options, modes):
    s3_bucket.put("d/f", b"x")
    s3_mount.mount(**options)
    found = [oct(stat.S_IMODE((s3_mount / p).stat().st_mode)) for p in ("d", "d/f")]
    assert found == modes


def kernel_words(path):
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            if fields[4] == str(path):
                return {*fields[5].split(","), *fields[-1].split(",")}
    return set()


@pytest.mark.root
def test_words_of_the_kernel_reach_it(folder_mount):
    words = ("noatime", "nodiratime", "noexec")
    folder_mount.mount()
    assert not kernel_words(folder_mount.path) & set(words)
    folder_mount.remount(suid=True, dev=True, **dict.fromkeys(words, True))
    assert kernel_words(folder_mount.path) >= set(words)
    assert not kernel_words(folder_mount.path) & {"nosuid", "nodev"}
    script = folder_mount / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    with pytest.raises(OSError) as e:
        subprocess.run([str(script)])
    assert e.value.errno == errno.EACCES


def test_the_later_of_ro_and_rw_wins(folder_mount):
    folder_mount.mount(ro=True, rw=True)
    (folder_mount / "f").write_bytes(b"x")
    folder_mount.umount()
