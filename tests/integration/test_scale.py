# SPDX-License-Identifier: Apache-2.0
"""Many names: what they cost in requests and memory.  Times are for
contrib/bench."""

import os
import re
import subprocess

from bench_memory import peak
from bench_scale import database_bytes, seed, seed_tree
from conftest import over_all_servers
from mount import wait_until

NAME = re.compile(r"/f\d{4}$")


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


def test_a_tree_takes_little_memory(folder_mount, tmp_path):
    """As contrib/bench tree with 1,000,000; by several threads at once, which is
    what else makes memory large."""
    names = 10_000
    seed_tree(tmp_path / "bucket" / "tree", names)
    folder_mount.mount(metadata_ttl="1h")
    before = peak(folder_mount.pid())
    finds = [
        subprocess.Popen(
            ["find", folder_mount / "tree", "-size", "1"], stdout=subprocess.PIPE
        )
        for _ in range(8)
    ]
    for find in finds:
        assert find.communicate()[0].count(b"\n") == names
        assert find.returncode == 0
    grown = peak(folder_mount.pid()) - before
    print(f"{grown / names:.0f} bytes of memory for each name")
    assert grown < 1300 * names, f"{grown // names} bytes for each name"
    folder_mount.umount()
    rows = database_bytes(folder_mount)
    print(f"{rows / names:.0f} bytes of database for each name")
    assert rows < 400 * names, f"{rows // names} bytes for each name"


def deletes(proxy):
    """By many and by one, since the beginning: the probe's, too."""
    kinds = [r.commit() for r in proxy.requests()]
    return kinds.count("delete-many"), kinds.count("delete")


@over_all_servers
def test_a_tree_is_deleted_by_few_requests(mounts, s3_bucket, proxy, s3_server):
    """As long as that gives up no condition: versitygw heeds none in them."""
    count = 300
    keeps = {} if s3_server.name == "minio" else {"conflict": "overwrite"}
    m = mounts(s3_bucket, **keeps).mount()
    for folder in ("old/a", "old/b"):
        (m / folder).mkdir(parents=True)
        for i in range(count):
            (m / folder / f"f{i:03}").write_bytes(b"x")
    (m / "stays").write_bytes(b"x")
    m.sync(m.path, timeout=300)
    before = deletes(proxy)
    subprocess.run(["rm", "-r", m / "old"], check=True)
    m.sync(m.path, timeout=300)
    many, single = (a - b for a, b in zip(deletes(proxy), before, strict=True))
    # A worker may be faster than rm at first; folders' markers go alone.
    assert 1 <= many <= 40, (many, single)
    assert single <= 40, (many, single)
    assert s3_bucket.keys() == ["stays"]


def test_no_condition_is_given_up_for_fewer_requests(s3_mount, s3_bucket, proxy):
    s3_mount.mount()
    before = deletes(proxy)
    (s3_mount / "old").mkdir()
    for i in range(40):
        (s3_mount / "old" / f"f{i:03}").write_bytes(b"x")
    s3_mount.sync(s3_mount.path)
    s3_bucket.put("old/f020", b"theirs")
    for i in range(40):
        (s3_mount / "old" / f"f{i:03}").unlink()
    s3_mount.sync(s3_mount.path)
    assert deletes(proxy)[0] == before[0]
    assert s3_bucket.keys() == ["old/f020"]


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


def fill(folder, count):
    folder.mkdir()
    for i in range(count):
        (folder / f"f{i:04}").write_bytes(b"%d" % i)


def changes(proxy, since):
    """(what, key) of all that changed a file's object since so many requests, in
    the order of their ends."""
    log = sorted((r for r in proxy.requests()[since:] if r.done), key=lambda r: r.end)
    return [(r.commit(), r.key) for r in log if r.commit() and NAME.search(r.key)]


def test_a_folder_rename_goes_on_after_a_kill(s3_mount, s3_bucket, proxy):
    """At once here, whatever is in it; in the bucket copies by the server, oldest
    first, then deletes, newest first. What is done stays done."""
    count = 300
    m = s3_mount.mount(upload_delay="0s", metadata_ttl="1h")
    fill(m / "old", count)
    m.sync(timeout=300)
    since = len(proxy.requests())

    def seen(what):
        """Numbers of the files so changed, in order."""
        made = changes(proxy, since)
        return [int(key[-4:]) for kind, key in made if kind in what]

    copied, deleted = ("copy", "complete"), ("delete",)
    os.rename(m / "old", m / "new")
    assert len(os.listdir(m / "new")) == count
    assert not (m / "old").exists()
    for what in (copied, deleted):
        wait_until(lambda what=what: len(seen(what)) > count // 3, 120, what)
        m.kill9()
        m.detach()
        m.mount()
    m.sync(timeout=300)
    names = [f"f{i:04}" for i in range(count)]
    assert s3_bucket.keys() == [f"new/{n}" for n in names]
    assert all(s3_bucket.get(f"new/{n}") == b"%d" % int(n[1:]) for n in names[::20])
    kinds = [kind for kind, key in changes(proxy, since)]
    assert set(kinds[kinds.index("delete") :]) == {"delete"}
    # No more is done twice than was under way at a kill, and sent is no body.
    for what, order in ((copied, range(count)), (deleted, range(count)[::-1])):
        done = seen(what)
        assert count <= len(done) <= count + 20, len(done)
        place = {n: i for i, n in enumerate(dict.fromkeys(done))}
        assert all(abs(place[n] - i) <= 16 for i, n in enumerate(order))
    assert proxy.body_bytes("/new/") == 0


def test_a_tree_is_removed_by_one_request_each(s3_mount, s3_bucket, proxy):
    """In order, each with its condition; where the server heeds none of a DELETE
    the one before it asks."""
    count = 1000
    m = s3_mount.mount(upload_delay="0s", metadata_ttl="1h")
    fill(m / "tree", count)
    m.sync(timeout=300)
    since = len(proxy.requests())
    subprocess.run(["rm", "-r", m / "tree"], check=True)
    m.sync(timeout=300)
    assert s3_bucket.keys() == []
    done = proxy.requests()[since:]
    deletes = [r for r in done if r.method == "DELETE" and r.key.startswith("tree/f")]
    assert len(deletes) == count
    assert all("if-match" in r.headers for r in deletes)
    others = [r for r in done if r.key not in {d.key for d in deletes}]
    heads = [r for r in done if r.method == "HEAD"]
    assert len(heads) < count + 20
    assert len(others) < 20, [(r.method, r.target) for r in others]
