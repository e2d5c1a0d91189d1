# SPDX-License-Identifier: Apache-2.0
"""mount(8) and umount(8) with lines of fstab, in a mount name space where
/sbin has mount.ckptfs and /etc/fstab is the test's."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from mount import TOP, program, wait_until

pytestmark = pytest.mark.root  # name spaces, and mount(8) for everybody

NOBODY = 65534
NAMESPACE = TOP / "contrib" / "lib" / "namespace"
SETUP = r"""
set -e
mkdir "$1/sbin" "$1/home"
touch "$1/fstab"
mount --bind /sbin "$1/sbin"
mount -t tmpfs -o mode=755 tmpfs /sbin
ln -s "$1"/sbin/* /sbin
ln -s "$2" /sbin/mount.ckptfs
ln -s "$2" /sbin/ckptfs
mount --bind "$1/fstab" /etc/fstab
mount --bind "$1/home" ~root
mount -t tmpfs -o mode=755 tmpfs /run
echo ready
cat
"""


class Place:
    """A name space as a small machine of its own, with folder seen by all."""

    def __init__(self, folder):
        self.folder = folder
        # The program's own folder may be closed to others.
        self.program = shutil.copy(program(), folder / "ckptfs")
        self.keeper = subprocess.Popen(
            [NAMESPACE, folder, "sh", "-c", SETUP, "sh", folder, self.program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.keeper.stdout.readline() == b"ready\n"
        for name in ("bucket", "cache", "mnt", "run"):
            (folder / name).mkdir()
            os.chown(folder / name, NOBODY, NOBODY)
        self.mnt = folder / "mnt"
        self.source = f"file://{folder}/bucket"
        self.cache = f"cache_dir={folder}/cache,log_file={folder}/cache/log"

    def end(self):
        """With the first process of the name space all others end."""
        self.keeper.communicate(timeout=30)

    def run(self, *args, user=None, status=0, env=None):
        names = f"/proc/{self.keeper.pid}/ns"
        command = ["nsenter", f"--mount={names}/mnt"]
        command += [f"--pid={names}/pid_for_children"]
        if user is not None:
            command += ["setpriv", f"--reuid={user}", f"--regid={user}"]
            command += ["--clear-groups"]
            # as a login has it; else a folder in /tmp would stay
            command += ["env", f"XDG_RUNTIME_DIR={self.folder}/run"]
        # An output that a daemon keeps open would never end.
        with tempfile.TemporaryFile("w+") as out:
            done = subprocess.run(
                [*command, *map(str, args)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                timeout=60,
            )
            out.seek(0)
            said = out.read()
        assert done.returncode == status, (args, done.returncode, said)
        return said

    def sh(self, script, **how):
        return self.run("sh", "-c", script, **how)

    def fstab(self, options, source=None, kind="ckptfs"):
        line = f"{source or self.source} {self.mnt} {kind} {options} 0 0\n"
        (self.folder / "fstab").write_text(line)

    def mounted(self):
        """The options of the newest mount on mnt, and its source."""
        found = None
        for line in self.run("cat", "/proc/self/mountinfo").splitlines():
            fields = line.split()
            if fields[4] == str(self.mnt):
                kind, source, options = fields[-3:]
                assert kind == "fuse.ckptfs"
                found = {*fields[5].split(","), *options.split(",")}, source
        return found

    def pid(self):
        said = self.run(self.program, "status", self.mnt, "--json")
        return json.loads(said)["pid"]


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Place(folder)
        yield made
        made.end()


def test_mount_by_type(place):
    place.run("mount", "-t", "ckptfs", place.source, place.mnt, "-o", place.cache)
    assert place.mounted()[1] == place.source
    place.sh(f"echo hello >{place.mnt}/f")
    place.run(place.program, "umount", place.mnt)
    assert place.mounted() is None
    assert (place.folder / "bucket" / "f").read_text() == "hello\n"


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("defaults", {"rw"}),
        ("noauto,nofail,_netdev", {"rw"}),
        ("rw,nosuid,nodev,noexec,noatime", {"rw", "nosuid", "nodev", "noexec"}),
        ("user", {"nosuid", "nodev", "noexec"}),
        ("users,exec,suid,dev,silent", {"rw"}),
        ("owner,group,auto,async,relatime,loud,comment=mine", {"rw"}),
        ("ro,X-mount.mkdir,x-systemd.requires=network-online.target", {"ro"}),
        ("x-systemd.automount,x-systemd.mount-timeout=90,x-gvfs-hide", {"rw"}),
    ],
)
def test_words_of_fstab(place, words, flags):
    place.fstab(f"{words},{place.cache}")
    place.run("mount", place.mnt)
    assert place.mounted()[0] >= flags
    writes = "ro" not in flags
    place.sh(f"echo hello >{place.mnt}/f", status=0 if writes else 2)
    place.run("umount", place.mnt)
    assert place.mounted() is None


def test_mount_all_mounts_once(place):
    """mount(8) finds the line's source among the mounts, also where it could be
    written shorter."""
    place.fstab(f"_netdev,nofail,{place.cache}", source=f"{place.source}//")
    for _ in range(2):
        place.run("mount", "-a")
        pid = place.pid()
        place.run("mount", "-a", "-O", "_netdev")
        assert place.pid() == pid


def test_umount_does_not_wait_and_the_daemon_drains_on(place, s3_bucket, proxy):
    o = s3_bucket.options
    remote = f"endpoint_url={o['endpoint_url']},region={o['region']}"
    place.fstab(f"{remote},{place.cache}", source=f"{s3_bucket.source}/run7")
    env = dict(os.environ, **s3_bucket.env)
    place.run("mount", place.mnt, env=env)
    pid = place.pid()
    proxy.fault("status", code=503, count=-1)
    place.sh(f"echo hello >{place.mnt}/f")
    place.run("umount", place.mnt)
    assert place.mounted() is None
    place.run("kill", "-0", pid)
    assert s3_bucket.keys() == []
    proxy.heal()
    wait_until(lambda: s3_bucket.keys() == ["run7/f"], what="the upload")
    place.sh(f"while kill -0 {pid}; do sleep 0.05; done")
    # and again, where a dead mount is in the way
    place.run("mount", place.mnt, env=env)
    place.run("kill", "-9", place.pid())
    place.run("mount", place.mnt, env=env)
    assert place.sh(f"cat {place.mnt}/f") == "hello\n"


def test_credentials_of_root_at_boot(place, s3_bucket):
    """There is no environment then, not even HOME."""
    o = s3_bucket.options
    aws = place.folder / "home" / ".aws"
    aws.mkdir()
    keys = {k.lower(): v for k, v in s3_bucket.env.items() if "KEY" in k}
    lines = [f"{name} = {value}\n" for name, value in keys.items()]
    (aws / "credentials").write_text("".join(["[default]\n", *lines]))
    remote = f"endpoint_url={o['endpoint_url']},region={o['region']}"
    place.fstab(f"{remote},{place.cache}", source=s3_bucket.source)
    place.run("mount", place.mnt, env={"PATH": os.environ["PATH"]})
    place.sh(f"echo hello >{place.mnt}/f")
    place.run(place.program, "umount", place.mnt)
    assert s3_bucket.keys() == ["f"]


@pytest.mark.parametrize("word", ["user", "users,noatime,nodiratime"])
def test_an_ordinary_user_mounts_what_fstab_lets_him(place, word):
    place.fstab(f"noauto,{word},{place.cache}")
    place.run("mount", place.mnt, user=NOBODY)
    assert place.mounted()[0] >= {f"user_id={NOBODY}", "nosuid", "nodev"}
    place.sh(f"echo hello >{place.mnt}/f", user=NOBODY)
    assert place.sh(f"cat {place.mnt}/f", user=NOBODY) == "hello\n"
    place.run("umount", place.mnt, user=NOBODY)
    assert place.mounted() is None
    found = place.folder / "bucket" / "f"
    wait_until(found.exists, what="the upload")
    assert found.stat().st_uid == NOBODY


@pytest.mark.parametrize(
    ("source", "option", "status", "said"),
    [
        ("file:///no/such/folder", "rw", 32, "/no/such/folder"),
        ("ftp://host/x", "rw", 1, "s3://bucket"),
        (None, "cache_sise=1G", 1, "did you mean cache_size"),
        (None, "order=sometimes", 1, "strict|open|none"),
        (None, "remount", 1, "unmount and mount again"),
    ],
)
def test_statuses_are_those_of_mount(place, source, option, status, said):
    command = ["mount", "-t", "ckptfs", source or place.source, place.mnt]
    command += ["-o", f"{option},{place.cache}"]
    assert said in place.run(*command, status=status)
    assert place.mounted() is None


def test_a_live_mount_is_no_place_for_another(place):
    command = ["mount", "-t", "ckptfs", place.source, place.mnt, "-o", place.cache]
    place.run(*command)
    assert "mounted already" in place.run(*command, status=32)


@pytest.mark.parametrize(
    ("flags", "mounts"),
    [
        (["-n", "-v", "-s"], True),
        (["-nvs", "-t", "ckptfs"], True),
        (["-f"], False),
        (["-sfnv"], False),
    ],
)
def test_the_helpers_own_arguments(place, flags, mounts):
    helper = ["/sbin/mount.ckptfs", place.source, place.mnt]
    place.run(*helper, *flags, "-o", f"rw,{place.cache}")
    assert (place.mounted() is not None) == mounts
    place.run(*helper, "-x", status=1)


def test_as_a_type_of_fuse(place):
    place.fstab(f"noauto,_netdev,{place.cache}", kind="fuse.ckptfs")
    place.run("mount", place.mnt)
    assert place.mounted()[1] == place.source
    place.sh(f"echo hello >{place.mnt}/f")
    place.run("umount", place.mnt)


def test_an_installation_has_the_helper(tmp_path):
    """mount(8) looks for it in /sbin alone, so that is where it goes from the
    sbindir of a prefix /usr, or from sbindir=/sbin."""
    build = TOP / "build"

    def install(*settings):
        command = ["make", "-C", build, "install-exec", f"DESTDIR={tmp_path}"]
        subprocess.run([*command, *settings], check=True, capture_output=True)

    install("prefix=/usr")
    assert (tmp_path / "usr/bin/ckptfs").exists()
    helper = tmp_path / "usr/sbin/mount.ckptfs"
    assert os.readlink(helper) == "/usr/bin/ckptfs"
    install("sbindir=/sbin")
    assert os.readlink(tmp_path / "sbin/mount.ckptfs") == "/usr/local/bin/ckptfs"
