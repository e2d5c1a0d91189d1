# SPDX-License-Identifier: Apache-2.0
"""ckptfs recover on real mounts: each state made as a job and a server make it,
listed, and decided about."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from buckets import assert_same
from mount import program, wait_until

TORN = b"PK\x03\x04" + os.urandom(1000)  # a zip file that ends too soon


def kept(mnt, *args):
    """{path: state} of what recover lists."""
    done = mnt.run("recover", "list", mnt.path, "--json", *args)
    answer = json.loads(done.stdout)
    assert answer["status"] == 0
    return {k["path"]: k["state"] for k in answer["kept"]}


def entry(mnt, path):
    done = mnt.run("recover", "list", mnt / path, "--json")
    (one,) = json.loads(done.stdout)["kept"]
    return one


def recover(mnt, act, *args, status=0):
    return mnt.run("recover", act, *args, status=status)


def write_and_wait(path, data):
    """A process that has written data to path and keeps it open."""
    code = """if True:
        import sys
        f = open(sys.argv[1], "wb")
        f.write(sys.stdin.buffer.read())
        f.flush()
        print("written", flush=True)
        sys.stdin.close()
        import signal
        signal.pause()
    """
    p = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    p.stdin.write(data)
    p.stdin.close()
    assert p.stdout.readline() == b"written\n"
    return p


def end(p):
    p.kill()
    p.wait()
    p.stdout.close()


def crash(mnt, path, data):
    """The daemon, then the writer are killed with path open; mounted again."""
    writer = write_and_wait(path, data)
    mnt.kill9()
    end(writer)
    mnt.detach()
    mnt.mount()


def test_unfinished(mnt, bucket):
    (mnt / "old.bin").write_bytes(b"old")
    mnt.sync()
    crash(mnt, mnt / "new.bin", b"half of it")
    crash(mnt, mnt / "old.bin", b"half anew")
    assert kept(mnt) == {"new.bin": "unfinished", "old.bin": "unfinished"}
    assert (mnt / "old.bin").read_bytes() == b"old"
    one = entry(mnt, "old.bin")
    assert (one["shown"], one["size"]) == (False, len("half anew"))
    assert one["why"] == "it was open when the daemon stopped"
    text = recover(mnt, "list", mnt.path).stdout
    assert text.startswith(f"{mnt.path}\nID ")
    assert "(not under its name) it was open when the daemon stopped" in text
    assert (mnt / "old.bin").stat().st_size == 3
    done = recover(mnt, "publish", mnt / "old.bin", mnt / "new.bin")
    assert done.stdout.count("goes to the bucket as it is") == 2
    # the kernel knows no other size or bytes any more
    assert (mnt / "old.bin").stat().st_size == len("half anew")
    assert (mnt / "old.bin").read_bytes() == b"half anew"
    mnt.sync()
    assert kept(mnt) == {}
    assert bucket.get("old.bin") == b"half anew"
    assert_same(bucket, mnt.path)


def test_torn(mnt, bucket):
    (mnt / "d").mkdir()
    (mnt / "d/model.pt").write_bytes(TORN)
    writer = write_and_wait(mnt / "d/killed.ckpt", b"not all of it")
    os.kill(writer.pid, signal.SIGSEGV)
    end(writer)
    wait_until(lambda: len(kept(mnt)) == 2, what="both are torn")
    assert kept(mnt) == {"d/killed.ckpt": "torn", "d/model.pt": "torn"}
    # a good version supersedes it, and it is still there
    (mnt / "d/model.pt").write_bytes(b"whole")
    mnt.sync("d/model.pt")
    mnt.umount(status=1)
    mnt.mount()
    one = entry(mnt, "d/model.pt")
    assert (one["state"], one["shown"], one["size"]) == ("torn", False, len(TORN))
    done = recover(mnt, "retry", mnt / "d/model.pt", status=1)
    assert "the store did not refuse it" in done.stderr
    recover(mnt, "publish", mnt / "d")
    mnt.sync()
    assert bucket.get("d/model.pt") == TORN
    assert bucket.get("d/killed.ckpt") == b"not all of it"
    assert_same(bucket, mnt.path)
    assert kept(mnt) == {}


def test_conflict(mnt, bucket):
    (mnt / "a").write_bytes(b"first")
    mnt.sync()
    bucket.put("a", b"theirs")
    (mnt / "a").write_bytes(b"ours")
    wait_until(lambda: kept(mnt) == {"a": "conflict"}, what="a conflict")
    assert bucket.get("a") == b"theirs"
    assert (mnt / "a").read_bytes() == b"ours"
    mnt.sync(status=1)
    recover(mnt, "publish", mnt / "a")
    mnt.sync()
    assert bucket.get("a") == b"ours"


def test_parked(s3_mount, s3_bucket, proxy, passthrough):
    mnt = s3_mount.mount(passthrough=passthrough)
    proxy.fault("status", method="PUT", code=403, count=-1, path="refused")
    (mnt / "refused").write_bytes(b"x")
    (mnt / "behind").write_bytes(b"y")
    wait_until(lambda: kept(mnt) == {"refused": "parked"}, what="it is parked")
    mnt.sync(status=1)
    recover(mnt, "retry", mnt.path)
    wait_until(lambda: kept(mnt) == {"refused": "parked"}, what="parked again")
    mnt.discard()
    mnt.mount()
    assert kept(mnt) == {"refused": "parked"}
    proxy.heal()
    recover(mnt, "retry", mnt / "refused")
    mnt.sync()
    assert s3_bucket.get("refused") == b"x"
    assert s3_bucket.get("behind") == b"y"
    assert kept(mnt) == {}


def test_held_by_an_orphan(mnt, bucket):
    """Closed, but mapped: it is nobody's to decide until that ends."""
    code = """if True:
        import mmap, signal, sys
        f = open(sys.argv[1], "w+b")
        f.truncate(4096)
        m = mmap.mmap(f.fileno(), 4096)
        f.close()
        m[0:3] = b"one"
        print("mapped", flush=True)
        signal.pause()
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(mnt / "a")], stdout=subprocess.PIPE
    )
    assert writer.stdout.readline() == b"mapped\n"
    mnt.kill9()
    mnt.detach()
    mnt.mount()
    try:
        if mnt.status()["io"] != "passthrough":
            # its mapping went with the daemon: what was closed is final
            assert kept(mnt) == {}
            return
        assert kept(mnt) == {"a": "unfinished"}
        done = recover(mnt, "publish", mnt / "a", status=1)
        assert "still has it mapped or open" in done.stderr
    finally:
        end(writer)
    recover(mnt, "publish", mnt / "a")
    mnt.sync()
    assert bucket.get("a") == b"one".ljust(4096, b"\0")


def test_discard(mnt, bucket):
    (mnt / "old.bin").write_bytes(b"old")
    mnt.sync()
    crash(mnt, mnt / "new.bin", b"half of it")
    crash(mnt, mnt / "old.bin", b"half anew")
    (mnt / "cut.pt").write_bytes(TORN)
    # asked first, and without a terminal nothing is done
    done = recover(mnt, "discard", mnt / "new.bin", status=1)
    assert "10) would be lost; its name goes, too" in done.stderr
    assert "say --yes" in done.stderr
    assert len(kept(mnt)) == 3
    assert (mnt / "new.bin").stat().st_size == len("half of it")
    done = recover(mnt, "discard", mnt / "new.bin", "--yes")
    assert done.stdout.endswith("is thrown away\n")
    # the kernel was told
    wait_until(lambda: not (mnt / "new.bin").exists(), 5, "the name is gone")
    assert sorted(os.listdir(mnt.path)) == ["cut.pt", "old.bin"]
    recover(mnt, "discard", mnt.path, "--yes")
    assert kept(mnt) == {}
    assert os.listdir(mnt.path) == ["old.bin"]
    assert (mnt / "old.bin").read_bytes() == b"old"
    assert (mnt / "old.bin").stat().st_size == 3
    mnt.sync()
    assert_same(bucket, mnt.path)
    blobs = Path(mnt.status()["cache"]["dir"]) / "blobs"
    wait_until(
        lambda: sum(p.is_file() for p in blobs.rglob("*")) == 1, what="room is free"
    )


def test_discard_asks_at_a_terminal(folder_mount):
    mnt = folder_mount.mount()
    (mnt / "cut.pt").write_bytes(TORN)
    for answer, left in ((b"n\n", 1), (b"\n", 1), (b"y\n", 0)):
        near, far = pty.openpty()
        p = subprocess.Popen(
            [program(), "recover", "discard", str(mnt / "cut.pt")],
            env=mnt.env,
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(near, answer)
        _, err = p.communicate(timeout=60)
        os.close(near)
        os.close(far)
        assert b"Throw away this version? [y/N]" in err
        assert p.returncode == left
        assert len(kept(mnt)) == left


def test_what_the_bucket_has_shows_after_a_discard(mnt, bucket):
    (mnt / "a").write_bytes(b"first")
    mnt.sync()
    bucket.put("a", b"theirs")
    (mnt / "a").write_bytes(b"ours")
    wait_until(lambda: kept(mnt) == {"a": "conflict"}, what="a conflict")
    assert (mnt / "a").read_bytes() == b"ours"
    recover(mnt, "discard", mnt / "a", "--yes")
    wait_until(lambda: (mnt / "a").read_bytes() == b"theirs", what="theirs shows")
    assert bucket.get("a") == b"theirs"


def test_export(mnt, bucket, tmp_path):
    data = os.urandom(3 << 20)
    (mnt / "d").mkdir()
    (mnt / "d/old.bin").write_bytes(b"old")
    mnt.sync()
    crash(mnt, mnt / "d/old.bin", data)
    done = recover(mnt, "export", mnt / "d/old.bin", tmp_path / "out")
    assert done.stdout.endswith(f"is copied to {tmp_path}/out\n")
    assert (tmp_path / "out").read_bytes() == data
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o644
    # never over something, and into a folder by its name
    done = recover(mnt, "export", mnt / "d/old.bin", tmp_path / "out", status=1)
    assert "export to another name" in done.stderr
    (tmp_path / "folder").mkdir()
    recover(mnt, "export", mnt / "d/old.bin", tmp_path / "folder")
    assert (tmp_path / "folder/old.bin").read_bytes() == data
    done = recover(mnt, "export", mnt / "d", tmp_path / "no", status=1)
    assert "nothing is kept there" in done.stderr
    assert not (tmp_path / "no").exists()
    # it is still there, and nothing else has changed
    assert kept(mnt) == {"d/old.bin": "unfinished"}
    assert (mnt / "d/old.bin").read_bytes() == b"old"
    # into the mount itself
    recover(mnt, "export", mnt / "d/old.bin", mnt / "copy")
    mnt.sync()
    assert bucket.get("copy") == data


def test_bytes_that_are_gone_are_not_half_exported(folder_mount, tmp_path):
    mnt = folder_mount.mount()
    (mnt / "cut.pt").write_bytes(TORN)
    with (mnt / "cut.pt").open("rb"):
        pass
    one = entry(mnt, "cut.pt")
    blob = Path(mnt.status()["cache"]["dir"]) / one["where"]
    os.truncate(blob, 100)
    done = recover(mnt, "export", mnt / "cut.pt", tmp_path / "out", status=1)
    assert "some of its bytes are gone" in done.stderr
    blob.unlink()
    done = recover(mnt, "export", mnt / "cut.pt", tmp_path / "out", status=1)
    assert "some of its bytes are gone" in done.stderr
    assert not (tmp_path / "out").exists()
    assert entry(mnt, "cut.pt")["why"] == "its bytes are gone from the cache disk"
    recover(mnt, "discard", mnt / "cut.pt", "--yes")


def test_without_a_mount(s3_mount, s3_bucket, proxy, tmp_path):
    """The bucket is away, the mount gone: what its cache has is still had."""
    mnt = s3_mount.mount()
    (mnt / "sent").write_bytes(b"sent")
    (mnt / "cut.pt").write_bytes(b"whole")
    mnt.sync()
    proxy.fault("status", code=503, count=-1)
    (mnt / "queued").write_bytes(b"queued")
    (mnt / "cut.pt").write_bytes(TORN)
    options = ["-o", mnt.option_string()]
    done = mnt.run("recover", "list", mnt.source, *options, status=1)
    assert f"mounted on {mnt.path} already" in done.stderr
    mnt.discard()
    sent = len(proxy.requests())

    def offline(*args, status=0):
        return mnt.run("recover", *args, *options, status=status)

    done = offline("list", mnt.source, "--all", "--json")
    found = {k["path"]: k["state"] for k in json.loads(done.stdout)["kept"]}
    assert found == {"queued": "queued", "cut.pt": "torn"}
    at = ["--source", mnt.source]
    offline("export", *at, "queued", tmp_path / "queued")
    assert (tmp_path / "queued").read_bytes() == b"queued"
    done = offline("publish", *at, "cut.pt", status=2)
    assert "mount s3://" in done.stderr
    offline("export", *at, "cut.pt", "queued", tmp_path, status=1)
    assert (tmp_path / "cut.pt").read_bytes() == TORN
    offline("discard", *at, "cut.pt", "--yes")
    assert "nothing waits" in offline("list", mnt.source).stdout
    assert len(proxy.requests()) == sent
    proxy.heal()
    mnt.mount()
    mnt.sync()
    assert s3_bucket.get("queued") == b"queued"
    assert s3_bucket.get("cut.pt") == b"whole"
    assert_same(s3_bucket, mnt.path)
    # nothing is made where there is nothing
    other = tmp_path / "other"
    done = mnt.run("recover", "list", mnt.source, "-o", f"cache_dir={other}", status=1)
    assert "has no cache here" in done.stderr
    assert not other.exists()


def test_what_is_asked_wrongly_is_said(folder_mount, tmp_path):
    mnt = folder_mount.mount()
    (mnt / "a").write_bytes(b"x")
    mnt.sync()
    done = recover(mnt, "publish", mnt / "a", status=1)
    assert "nothing is kept there that waits for a word" in done.stderr
    assert recover(mnt, "list", mnt.path).stdout == (
        f"{mnt.path}\nnothing waits for a word\n"
    )
    assert "list, " in recover(mnt, "reject", mnt.path, status=2).stderr
    assert "which PATH?" in recover(mnt, "publish", status=2).stderr
    assert "in no mount" in recover(mnt, "retry", tmp_path, status=1).stderr
    assert "for list" in recover(mnt, "retry", mnt / "a", "--json", status=2).stderr
    crash(mnt, mnt / "b", b"one")
    writer = write_and_wait(mnt / "b", b"two")
    mnt.kill9()
    end(writer)
    mnt.detach()
    mnt.mount()
    done = recover(mnt, "publish", mnt / "b", status=1)
    assert done.stderr.count("several versions of this name are kept") == 2
    ids = [
        k["id"]
        for k in json.loads(recover(mnt, "list", mnt.path, "--json").stdout)["kept"]
    ]
    recover(mnt, "publish", mnt / "b", "--id", ids[1])
    assert (mnt / "b").read_bytes() == b"two"
    # other tests' mounts, too, which may be on their way out
    assert str(mnt.path) in recover(mnt, "list", status=None).stdout
    said = recover(mnt, "list", "--json", status=None).stdout
    mounts = json.loads(said)["mounts"]
    assert str(mnt.path) in [m["mountpoint"] for m in mounts]
    mnt.umount()
