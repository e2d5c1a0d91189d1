# SPDX-License-Identifier: Apache-2.0
"""Writers that die, leave something half done, or go on for too long: what is
not finished is not published, and never thrown away."""

import errno
import io
import os
import signal
import subprocess
import sys
import zipfile

import pytest

from mount import is_mounted, program, wait_until
from writer import Writer

MIB = 1 << 20
root = pytest.mark.root


@pytest.fixture
def writers():
    """writers(PATH, FLAGS): one that ends with the test at the latest."""
    made = []

    def make(*args, **more):
        made.append(Writer(*args, **more))
        return made[-1]

    yield make
    for w in made:
        w.end()


@pytest.fixture
def mnt(s3_bucket, mounts, passthrough):
    return mounts(
        s3_bucket, passthrough=passthrough, upload_delay="0s", metadata_ttl="1h"
    ).mount()


def state(mnt, name):
    return mnt.status(mnt / name)["state"]


def wait_for_state(mnt, name, *wanted):
    wait_until(
        lambda: state(mnt, name) in wanted,
        what=f"{name} to be {wanted}, not {state(mnt, name)}",
    )


def test_a_writer_begins_another_program(mnt):
    """Its file is closed by that, while the kernel holds a lock which those wait
    for who look at the process below /proc."""
    script = (
        "import os, sys; fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT); "
        "os.write(fd, b'data'); os.execv('/bin/true', ['true'])"
    )
    with subprocess.Popen([sys.executable, "-c", script, mnt / "f"]) as writer:
        try:
            wait_until(lambda: writer.poll() is not None, what="the end of the writer")
        finally:
            if writer.returncode is None:  # nothing else gets it out of there
                subprocess.run(["umount", "-f", mnt.path], check=False)
    assert writer.returncode == 0
    assert (mnt / "f").read_bytes() == b"data"
    assert state(mnt, "f") not in ("torn", "unfinished")


# ---- writers that are killed


@pytest.mark.parametrize("sig", ["KILL", "TERM", "SEGV", "ABRT"])
def test_a_killed_writer_leaves_the_old_checkpoint(mnt, s3_bucket, writers, sig):
    """What it was about to replace stays; its bytes are kept, and said to be."""
    (mnt / "last.ckpt").write_bytes(b"whole" * 1000)
    (mnt / "other").write_bytes(b"x")
    mnt.sync()
    # no core file of it beside the tests
    limit = ["prlimit", "--core=0"]
    for name in ("last.ckpt", "new.ckpt", "other"):
        w = writers(mnt / name, prefix=limit)
        assert w("write", "h", 100_000) == 0
        assert w.kill(getattr(signal, f"SIG{sig}")) < 0
        wait_for_state(mnt, name, "torn")
    said = mnt.sync(status=1).stderr
    assert s3_bucket.keys() == ["last.ckpt", "other"]
    assert s3_bucket.get("last.ckpt") == b"whole" * 1000
    assert s3_bucket.get("other") == b"x"
    assert (mnt / "new.ckpt").read_bytes() == b"h" * 100_000
    for name in ("last.ckpt", "new.ckpt", "other"):
        assert f"not in the bucket: {name} (torn" in said
        assert mnt.log.read_text().count(f"{name}: its writer was killed") == 1
    # whole again: what was torn is no longer in its way
    (mnt / "last.ckpt").write_bytes(b"next" * 1000)
    for name in ("new.ckpt", "other"):
        (mnt / name).unlink()
    mnt.sync()
    assert s3_bucket.keys() == ["last.ckpt"]
    assert s3_bucket.get("last.ckpt") == b"next" * 1000


def test_the_log_of_a_killed_job_is_published(mnt, s3_bucket, writers):
    w = writers(mnt / "train.log")
    assert w("write", "l", 1000) == 0
    assert w.kill(signal.SIGKILL) < 0
    wait_until(lambda: s3_bucket.keys() == ["train.log"], what="the log")
    assert s3_bucket.get("train.log") == b"l" * 1000
    mnt.sync()


def test_who_exits_with_a_file_open_has_finished_it(mnt, s3_bucket, writers):
    """Not closed, but the process was not killed either."""
    w = writers(mnt / "a.ckpt")
    assert w("write", "a", 1000) == 0
    w.send("exit", 3)
    assert w.process.wait(30) == 3
    mnt.sync()
    assert s3_bucket.get("a.ckpt") == b"a" * 1000


def test_threads_of_who_exits_were_not_killed(mnt, s3_bucket):
    """exit() ends all other threads by a signal that nobody sent."""
    code = """if True:
        import os, sys, threading
        fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"t" * 1000)
        for _ in range(8):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        os._exit(0)
    """
    for i in range(20):
        subprocess.run([sys.executable, "-c", code, mnt / f"{i}.ckpt"], check=True)
    mnt.sync()
    assert len(s3_bucket.keys()) == 20


# ---- files that are cut short


def a_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("archive/data.pkl", os.urandom(50_000))
        z.writestr("archive/data/0", os.urandom(50_000))
    return out.getvalue()


def a_safetensors():
    header = b'{"w":{"dtype":"U8","shape":[90000],"data_offsets":[0,90000]}}'
    return len(header).to_bytes(8, "little") + header + os.urandom(90_000)


@pytest.mark.parametrize(
    ("name", "make"), [("m.pt", a_zip), ("m.safetensors", a_safetensors)]
)
def test_what_an_exception_cut_short_is_held_back(mnt, s3_bucket, name, make):
    """The writer closes it and exits as always: the format tells."""
    data = make()
    (mnt / name).write_bytes(data)
    mnt.sync()
    code = """if True:
        import sys
        with open(sys.argv[1], "wb") as f:
            f.write(sys.stdin.buffer.read())
            raise KeyError("in the middle of a save")
    """
    cut = make()[:60_000]
    cmd = [sys.executable, "-c", code, mnt / name]
    assert subprocess.run(cmd, input=cut, stderr=subprocess.DEVNULL).returncode == 1
    wait_for_state(mnt, name, "torn")
    assert f"not in the bucket: {name} (torn" in mnt.sync(status=1).stderr
    assert s3_bucket.keys() == [name]
    assert s3_bucket.get(name) == data
    assert (mnt / name).read_bytes() == cut
    whole = make()
    (mnt / name).write_bytes(whole)
    mnt.sync()
    assert s3_bucket.get(name) == whole


# ---- forked children


@pytest.mark.parametrize("closes", ["closes", "exits"])
def test_a_childs_end_is_not_the_end_of_the_file(
    mnt, s3_bucket, proxy, writers, closes
):
    """A data loader's worker inherits the file and ends in mid-write."""
    w = writers(mnt / "f.bin")
    for _ in range(3):
        assert w("write", "f", 100_000) == 0
        assert w("child", closes) == 0
        # what is closed later is in the bucket, what is open is not
        (mnt / "beside").write_bytes(os.urandom(1000))
        mnt.run("sync", mnt / "beside")
        assert s3_bucket.keys() == ["beside"]
    assert w("close") == 0
    mnt.sync()
    assert s3_bucket.get("f.bin") == b"f" * 300_000
    assert [key for _, key in proxy.commits()].count("f.bin") == 1


def test_a_child_that_is_killed_tears_nothing(mnt, s3_bucket, writers):
    w = writers(mnt / "f.ckpt")
    assert w("write", "f", 1000) == 0
    assert w("child", "exits") == 0
    assert w("write", "g", 1000) == 0
    assert w("close") == 0
    mnt.sync()
    assert s3_bucket.get("f.ckpt") == b"f" * 1000 + b"g" * 1000


# ---- who writes on after the close


def test_f70_a_mapping_that_writes_on_is_never_published_half(
    mnt, s3_bucket, proxy, writers
):
    """Stores after the last close, before and while the body goes up."""
    name, size = "mapped", 12 * MIB
    (mnt / "before").write_bytes(b"x")
    w = writers(mnt / name, os.O_RDWR | os.O_CREAT)
    assert w("write", "a", size) == 0
    assert w("mmap", size) == 0
    assert w("close") == 0
    mnt.run("sync", mnt / "before")
    assert w("store", "b", 0, size) == 0
    (mnt / "behind").write_bytes(b"x")
    mnt.run("sync", mnt / "behind")
    assert s3_bucket.keys() == ["before", "behind"], "published while it is mapped"
    assert state(mnt, name) == "open"
    assert w("munmap") == 0
    mnt.sync()
    assert s3_bucket.get(name) == b"b" * size
    assert [key for _, key in proxy.commits()].count(name) == 1


@root
@pytest.mark.parametrize("passthrough", ["auto"], indirect=True)
def test_a_writer_and_a_mapping_outlive_the_daemon(mnt, s3_bucket, writers):
    """Past a killed daemon they go on writing: what nobody saw the end of is
    not published, also not after the next mount."""
    opened = writers(mnt / "opened")
    mapped = writers(mnt / "mapped", os.O_RDWR | os.O_CREAT)
    assert opened("write", "1", 1000) == 0
    assert mapped("write", "1", 1000) == 0
    assert mapped("mmap", 1000) == 0
    assert mapped("close") == 0
    mnt.kill9()
    assert opened("write", "2", 1000) == 0
    assert mapped("store", "2", 500, 500) == 0
    mnt.detach()
    mnt.mount()
    assert opened("write", "3", 1000) == 0
    assert mapped("store", "3", 0, 100) == 0
    said = mnt.sync(status=1).stderr
    assert "not in the bucket: opened (unfinished" in said
    assert "not in the bucket: mapped (" in said
    assert s3_bucket.keys() == []
    opened.end()
    assert mapped("munmap") == 0
    mnt.sync(status=None)
    want = b"1" * 1000 + b"2" * 1000 + b"3" * 1000
    assert (mnt / "opened").read_bytes() == want
    want = b"3" * 100 + b"1" * 400 + b"2" * 500
    assert (mnt / "mapped").read_bytes() == want
    assert s3_bucket.keys() == []


def abort(path, control):
    """Break off the mount's connection, as an administrator may."""
    minor = os.minor(os.stat(path).st_dev)
    control.mkdir()
    subprocess.run(["mount", "-t", "fusectl", "none", control], check=True)
    try:
        (control / str(minor) / "abort").write_text("1")
    finally:
        subprocess.run(["umount", control], check=True)


@root
@pytest.mark.parametrize("how", ["detach", "abort"])
def test_f65_writers_at_a_forced_unmount(mnt, s3_bucket, writers, how, tmp_path):
    """umount -l lets who has a file open finish it; an abort of the connection
    breaks off: nothing half is published, and what was acknowledged is there."""
    (mnt / "closed").write_bytes(b"closed")
    w = writers(mnt / "open.ckpt")
    assert w("write", "1", 100_000) == 0
    if how == "detach":
        mnt.detach()
        assert w("write", "2", 100_000) == 0
        assert w("close") == 0
    else:
        abort(mnt.path, tmp_path / "fusectl")
        w.end()
    mnt.wait_for_daemons(60)
    mnt.detach()
    mnt.mount()
    if how == "detach":
        mnt.sync()
        assert s3_bucket.get("open.ckpt") == b"1" * 100_000 + b"2" * 100_000
    else:
        mnt.sync(status=1)
        assert state(mnt, "open.ckpt") in ("unfinished", "torn")
        assert (mnt / "open.ckpt").read_bytes() == b"1" * 100_000
        assert s3_bucket.keys() == ["closed"]
    assert s3_bucket.get("closed") == b"closed"


def test_who_dies_in_an_open_holds_nothing(s3_bucket, mounts, passthrough, proxy):
    """Killed while an open waits for the bucket: the next may take any path,
    and the file can go."""
    data = os.urandom(MIB)
    s3_bucket.put("cold", data)
    mnt = mounts(s3_bucket, passthrough=passthrough).mount()
    proxy.fault("status", method="GET", path="/cold$", count=-1)
    cmd = [sys.executable, "-c", "import sys; open(sys.argv[1], 'rb')"]
    reader = subprocess.Popen([*cmd, mnt / "cold"])
    wait_until(lambda: proxy.requests("GET", "/cold$"), what="the download")
    reader.kill()
    proxy.heal()
    assert reader.wait(60) == -signal.SIGKILL
    wait_until(lambda: mnt.status()["opens"]["now"] == 0, what="its end")
    assert (mnt / "cold").read_bytes() == data
    mnt.run("evict", mnt / "cold")
    assert (mnt / "cold").read_bytes() == data


# ---- another pid namespace


@root
def test_writers_the_daemon_cannot_see(s3_bucket, mounts, writers, passthrough):
    """A daemon in a pid namespace of its own, as in a container beside the
    job's, knows no writer: formats alone tell what is torn."""
    m = mounts(s3_bucket, passthrough=passthrough, upload_delay="0s")
    cmd = ["unshare", "--pid", "--fork", "--kill-child", program(), "mount"]
    cmd += [m.source, str(m.path), "-f", "-o", m.option_string()]
    daemon = subprocess.Popen(
        cmd, env=m.env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: is_mounted(m.path), what="the mount")
        whole, cut = a_zip(), a_zip()[:60_000]
        (m / "whole.pt").write_bytes(whole)
        (m / "cut.pt").write_bytes(cut)
        w = writers(m / "killed.ckpt")
        assert w("write", "k", 1000) == 0
        assert w.kill(signal.SIGKILL) < 0
        said = m.sync(status=1).stderr
        assert "cut.pt (torn" in said
        (warning,) = m.status()["warnings"]
        assert "writers are in another pid namespace" in warning
        assert s3_bucket.keys() == ["killed.ckpt", "whole.pt"]
        assert s3_bucket.get("whole.pt") == whole
        (m / "cut.pt").unlink()
        m.run("umount", m.path)
        assert daemon.wait(30) == 0
    finally:
        m.detach()
        daemon.kill()
        daemon.wait()


# ---- limits of the writer


def test_f23_a_writer_beyond_its_limit(mnt, s3_bucket, writers):
    """EFBIG is its own; the daemon and all others go on."""
    w = writers(mnt / "f.bin", prefix=["prlimit", f"--fsize={MIB}"])
    assert w("write", "f", MIB) == 0
    assert w("write", "f", 1) == errno.EFBIG
    assert w("close") == 0
    mnt.sync()
    assert s3_bucket.get("f.bin") == b"f" * MIB


def test_f23_a_daemon_with_a_limit_of_its_own(s3_bucket, mounts, passthrough):
    """Mounted from a shell with ulimit -f: writes fail, the daemon lives."""
    m = mounts(s3_bucket, passthrough=passthrough, upload_delay="0s")
    m.prefix = ["prlimit", f"--fsize={80 * MIB}"]
    m.mount()
    (m / "small").write_bytes(b"x")
    try:
        (m / "large").write_bytes(bytes(100 * MIB))
    except OSError as e:
        assert e.errno == errno.EFBIG
    assert m.alive()
    m.sync(status=None)
    assert s3_bucket.get("small") == b"x"
