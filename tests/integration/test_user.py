# SPDX-License-Identifier: Apache-2.0
"""What is different for who is not root; the lane `user` of contrib/check runs
this as an ordinary user, through fusermount3."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from buckets import DirBucket, assert_same
from mount import TOP, is_mounted, program, wait_until

MIB = 1 << 20
NONE = "no passthrough"


def assert_said_once(said, log, warnings):
    """At the mount, in the log and in status, with what would give it."""
    assert said.count(NONE) == 1, said
    assert log.count(NONE) == 1, log
    assert "the kernel refuses" not in log
    assert [NONE in w for w in warnings] == [True], warnings
    for text in (said, log, warnings[0]):
        assert "root alone (CAP_SYS_ADMIN" in text


@pytest.mark.user
def test_that_there_is_no_passthrough_is_said_once(folder_mount):
    folder_mount.mount()
    for name in ("f", "g"):
        (folder_mount / name).write_bytes(b"x" * 5000)
        assert (folder_mount / name).read_bytes() == b"x" * 5000
    status = folder_mount.status()
    assert status["io"] == "ordinary"
    assert (status["opens"]["passthrough"], status["opens"]["cached"]) == (0, 4)
    folder_mount.umount()
    log = folder_mount.log.read_text()
    assert_said_once(folder_mount.said, log, status["warnings"])


@pytest.mark.user
def test_who_asks_for_no_passthrough_hears_nothing_of_it(folder_mount):
    folder_mount.mount(passthrough="off")
    (folder_mount / "f").write_bytes(b"x")
    assert folder_mount.status()["warnings"] == []
    folder_mount.umount()
    assert folder_mount.said == ""
    assert NONE not in folder_mount.log.read_text()


CONTAINER = """
cd "$1" && mkdir mnt cache bucket
set -- "$2" mount "file://$1/bucket" "$1/mnt" -o cache_dir="$1/cache,log_file=$1/log"
"$@" 2>said || exit
echo hello >mnt/f
"$1" status mnt --json >status
"$1" umount mnt || exit
! "$@,passthrough=on" 2>refused
"""


@pytest.mark.root
def test_the_root_of_a_container_has_no_passthrough():
    """The kernel offers it to him all the same, and then refuses each file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [TOP / "contrib/lib/namespace", folder]
        command += ["unshare", "--user", "--map-root-user", "--mount"]
        command += ["sh", "-c", CONTAINER, "sh", folder, program()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        status = json.loads((folder / "status").read_text())
        assert status["io"] == "ordinary"
        texts = [(folder / f).read_text() for f in ("said", "log")]
        assert_said_once(*texts, status["warnings"])
        refused = (folder / "refused").read_text()
        assert "passthrough=on, but there is none" in refused


@pytest.mark.user
def test_a_job_goes_on_after_its_daemon_was_killed(s3_mount, s3_bucket, proxy):
    """Mount, save, kill -9, mount over the dead mount, resume, unmount."""
    s3_mount.mount(upload_delay="0s", part_size="8M")
    data = os.urandom(40 * MIB)
    (s3_mount / "run").mkdir()
    (s3_mount / "run/old.ckpt").write_bytes(data[:MIB])
    s3_mount.sync()
    proxy.fault("status", code=503, count=-1)
    (s3_mount / "run/new.ckpt").write_bytes(data)
    (s3_mount / "run/old.ckpt").unlink()
    os.symlink("new.ckpt", s3_mount / "run/last.ckpt")
    s3_mount.kill9()
    assert is_mounted(s3_mount.path)
    proxy.heal()
    s3_mount.mount()
    assert (s3_mount / "run/last.ckpt").read_bytes() == data
    st = (s3_mount / "run/new.ckpt").stat()
    assert (st.st_uid, st.st_gid) == (os.geteuid(), os.getegid())
    s3_mount.sync()
    assert_same(s3_bucket, s3_mount.path)
    s3_mount.umount()
    assert not is_mounted(s3_mount.path)


@pytest.mark.user
@pytest.mark.parametrize("how", ["umount", "fusermount3"])
def test_other_ways_to_unmount(folder_mount, how):
    folder_mount.mount()
    (folder_mount / "f").write_bytes(b"x")
    command = ["umount"] if how == "umount" else ["fusermount3", "-u"]
    subprocess.run([*command, folder_mount.path], check=True, timeout=30)
    assert not is_mounted(folder_mount.path)
    folder_mount.wait_for_daemons(30)
    folder_mount.mount()
    assert (folder_mount / "f").read_bytes() == b"x"


@pytest.mark.user
def test_words_that_fusermount3_does_not_know(folder_mount):
    folder_mount.mount(noatime=True, nodiratime=True, nosuid=True, user="me")
    folder_mount.umount()


SLOW_FUSERMOUNT = """#!/bin/sh
"{real}" "$@" || exit
: >"{folder}/unmounted"
read -r word <"{folder}/go"
"""


def device_of(path):
    """The number of the file system there, as mountinfo tells it."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == str(path):
            return words[2]
    return None


def mounted_devices():
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[2] for line in lines}


@pytest.mark.user
def test_the_next_mount_of_the_same_number_is_none_of_ours(
    folder_mount, tmp_path, mounts
):
    """The kernel gives a number that became free to the next file system: it
    was told as a copy of the mount in another name space."""
    fake = tmp_path / "bin/fusermount3"
    fake.parent.mkdir()
    fake.write_text(
        SLOW_FUSERMOUNT.format(real=shutil.which("fusermount3"), folder=tmp_path)
    )
    fake.chmod(0o755)
    os.mkfifo(tmp_path / "go")
    folder_mount.mount()
    number = device_of(folder_mount.path)
    env = dict(folder_mount.env, PATH=f"{fake.parent}:{os.environ['PATH']}")
    with subprocess.Popen(
        [program(), "umount", folder_mount.path],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as umount:
        wait_until((tmp_path / "unmounted").exists, 30)
        for n in range(100):  # somebody else's may have it before ours
            if number in mounted_devices():
                break
            bucket = DirBucket(tmp_path / f"bucket{n}")
            mounts(bucket, f"other{n}").mount()
        assert number in mounted_devices()
        (tmp_path / "go").write_text("go\n")
        said = umount.communicate(timeout=60)[0]
    assert umount.returncode == 0, said
