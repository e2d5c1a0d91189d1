# SPDX-License-Identifier: Apache-2.0
"""Many at once on the same few names, while uploads go on: what is read is
whole, and mount and bucket agree in the end.  Made to be run under
ThreadSanitizer, too."""

import contextlib
import errno
import mmap
import os
import random
import threading

KIB = 1 << 10
MIB = 1 << 20


def at_once(*jobs):
    """Run all of them side by side; what went wrong in any of them."""
    wrong = []

    def run(job):
        try:
            job()
        except Exception as e:
            wrong.append(repr(e))

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def content(seed, size):
    """A version of a file; a mixture of two is none."""
    word = b"%015d\n" % seed
    return word * (size // len(word))


def assert_whole(data):
    assert data == data[:16] * (len(data) // 16), "a mixture of versions"


def assert_same(bucket, mnt):
    keys = bucket.keys()
    assert keys == sorted(os.listdir(mnt.path))
    for key in keys:
        assert bucket.get(key) == (mnt / key).read_bytes(), key


@contextlib.contextmanager
def gone():
    """A name may be gone by then; one that two others replaced meanwhile is
    stale, for the kernel looks it up anew only once."""
    try:
        yield
    except OSError as e:
        if e.errno not in (errno.ENOENT, errno.ESTALE):
            raise


def test_names_come_go_and_move(mnt, bucket):
    """Written anew, replaced, renamed, read, listed and deleted by eight."""
    names = [f"f{i}" for i in range(4)]

    def job(me):
        drawn = random.Random(me)

        def write_and_replace(name, turn):
            temporary = mnt / f"w{me}"
            temporary.write_bytes(content(me * 1000 + turn, drawn.choice((KIB, MIB))))
            temporary.rename(mnt / name)

        def read(name, _):
            assert_whole((mnt / name).read_bytes())

        def delete(name, _):
            (mnt / name).unlink()

        def move(name, _):
            (mnt / name).rename(mnt / drawn.choice(names))

        def look(name, _):
            os.listdir(mnt.path)
            (mnt / name).stat()

        turns = (write_and_replace, write_and_replace, read, read, delete, move, look)
        for turn in range(40):
            with gone():
                drawn.choice(turns)(drawn.choice(names), turn)

    at_once(*(lambda me=me: job(me) for me in range(8)))
    mnt.sync()
    assert_same(bucket, mnt)


def test_one_name_is_written_over_and_read(mnt, bucket):
    """In place, by handles of one and of many, while others hold it open."""
    (mnt / "log").write_bytes(b"")
    (mnt / "f").write_bytes(content(0, MIB))

    def append(me):
        for turn in range(20):
            with (mnt / "log").open("ab", buffering=0) as f:
                f.write(b"%015d\n" % (me * 1000 + turn))

    def rewrite():
        for turn in range(20):
            with (mnt / "f").open("r+b", buffering=0) as f:
                f.write(content(turn, MIB))

    def read():
        for _ in range(20):
            with (mnt / "f").open("rb", buffering=0) as f:
                assert len(f.read(2 * MIB)) == MIB
                assert os.lseek(f.fileno(), 0, os.SEEK_HOLE) == MIB
                os.fstat(f.fileno())

    at_once(lambda: append(1), lambda: append(2), rewrite, read, read)
    lines = (mnt / "log").read_bytes().splitlines()
    assert sorted(lines) == [
        b"%015d" % (me * 1000 + i) for me in (1, 2) for i in range(20)
    ]
    assert (mnt / "f").read_bytes() == content(19, MIB)
    mnt.sync()
    assert_same(bucket, mnt)


def test_a_file_is_opened_while_it_is_copied_to(mnt, bucket):
    """Who opens it takes no descriptor from the copy."""
    data = os.urandom(16 * MIB)
    (mnt / "from").write_bytes(data)
    copied = threading.Event()

    def copy():
        try:
            with (mnt / "from").open("rb") as a, (mnt / "to").open("wb") as b:
                for _ in range(6):
                    done = 0
                    while done < len(data):
                        left = len(data) - done
                        n = os.copy_file_range(a.fileno(), b.fileno(), left, done, done)
                        assert n > 0
                        done += n
        finally:
            copied.set()

    def look():
        while not copied.is_set():
            with gone(), (mnt / "to").open("r+b"):
                pass

    at_once(copy, look, look)
    assert (mnt / "to").read_bytes() == data
    mnt.sync()
    assert_same(bucket, mnt)


def test_an_upload_is_overtaken_by_the_next_version(mnt, bucket):
    """Opened for writing, cut and deleted while its parts are on their way."""

    def job(me):
        path = mnt / f"f{me}"
        for turn in range(3):
            path.write_bytes(content(turn, 17 * MIB))
            with path.open("r+b", buffering=0) as f:
                f.write(content(turn + 10, MIB))
                f.truncate(9 * MIB)
            if turn == 1:
                path.unlink()

    at_once(*(lambda me=me: job(me) for me in range(2)))
    mnt.sync()
    assert bucket.keys() == ["f0", "f1"]
    want = content(12, MIB) + content(2, 8 * MIB)
    assert bucket.get("f0") == bucket.get("f1") == want
    assert_same(bucket, mnt)


def test_who_reads_what_was_just_written_holds_nothing_up(mnt, bucket):
    """Opened, or mapped, before its writer has closed it, and kept."""
    for i in range(20):
        name = mnt / f"read{i}"
        with name.open("wb") as f:
            f.write(b"x" * 5000)
            f.flush()
            fd = os.open(name, os.O_RDONLY)
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
            (mnt / "latest").write_bytes(b"%d" % i)
            mnt.sync()
            assert bucket.get(f"read{i}") == m[:]
            assert bucket.get("latest") == b"%d" % i
        os.close(fd)
