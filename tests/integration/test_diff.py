# SPDX-License-Identifier: Apache-2.0
"""The differential test finds what it is to find: both trees are local here, and
one of them lies."""

import os

import pytest

from diff_mount import compare_bucket, entries, shrink
from diff_program import generate, parse, unparse
from diff_run import Differs, Run
from diff_tree import Tree, pattern


def lies_not(*_):
    return None


def run(tmp_path, text, lie=None, control=lies_not):
    for name in ("local", "mount"):
        (tmp_path / name).mkdir()
    steps = parse(text)
    r = Run(control, steps, tmp_path / "local", tmp_path / "mount", whole_every=1)
    if lie:
        lie(r.mount)
    r.run()


def test_a_seed_draws_the_same_program_again():
    steps = generate(7, 200)
    assert len(steps) == 200
    assert generate(7, 200) == steps != generate(8, 200)
    assert parse("# told\n" + unparse(steps)) == steps
    assert len({s[0] for seed in range(20) for s in generate(seed, 200)}) > 45


def test_equal_trees_do_not_differ(tmp_path):
    """Any program; but for what a mount refuses, both do the same."""
    refused = {"link", "mknod", "setxattr", "getxattr", "listxattr", "tmpfile"}
    for seed in range(5):
        steps = [
            s
            for s in generate(seed, 200)
            if s[0] not in refused and s[-1] != "link"
            if not {"COLLAPSE", "INSERT"} & set(s)
        ]
        (tmp_path / str(seed)).mkdir()
        run(tmp_path / str(seed), unparse(steps))


def wrong_errno(tree):
    def unlink(_):
        raise PermissionError(1, "no")

    tree.do_unlink = unlink


def lost_bytes(tree):
    real = tree.do_pwrite
    tree.do_pwrite = lambda h, off, n, seed: (
        int(n) - real(h, off, int(n) - 1, seed) + int(n) - 1
    )


def wrong_mode(tree):
    tree.do_chmod = lambda word, _: os.chmod(tree.path(word), 0o606)  # noqa: S103


def time_stays(tree):
    def chmod(word, mode):
        Tree.do_chmod(tree, word, mode)
        st = os.stat(tree.path(word))
        os.utime(tree.path(word), ns=(st.st_atime_ns, st.st_mtime_ns + 5))

    tree.do_chmod = chmod


def other_bytes(tree):
    real = tree.do_put
    tree.do_put = lambda word, n, seed, **how: real(word, n, int(seed) + 1, **how)


def no_name(tree):
    tree.do_mkdir = lambda *_: None


def false_hole(tree):
    tree.do_lseek = lambda *_: 0


def short_read(tree):
    tree.do_read = lambda *_: (b"", 0)


WRITTEN = "open h0 a RDWR|CREAT 0o644\npwrite h0 0 5000 1\n"


@pytest.mark.parametrize(
    ("lie", "text", "said"),
    [
        (wrong_errno, "put a 1 1\nunlink a\n", "on the mount .fails, EPERM"),
        (lost_bytes, WRITTEN, "size of 'h0'|size of b'a'"),
        (wrong_mode, "put a 1 1\nchmod a 0o600\n", "mode of b'a': 0o600"),
        (time_stays, "put a 1 1\nchmod a 0o600\n", "st_mtime_ns of b'a' stayed"),
        (other_bytes, "put a 100 1\n", "bytes 0 to 100 of 100"),
        (no_name, "mkdir d 0o755\n", "on the mount"),
        (false_hole, WRITTEN + "lseek h0 0 HOLE\n", "of 5000 bytes"),
        (short_read, WRITTEN + "read h0 10\n", "10 bytes, on the mount 0"),
    ],
)
def test_a_lie_is_found(tmp_path, lie, text, said):
    with pytest.raises(Differs, match=said):
        run(tmp_path, text, lie)


def test_what_the_mount_must_refuse_is_not_let_pass(tmp_path):
    with pytest.raises(Differs, match="EPERM"):
        run(tmp_path, "put a 1 1\nlink a b\n")


def test_a_bucket_that_is_not_the_tree_is_found(tmp_path):
    tree, bucket = tmp_path / "tree", tmp_path / "bucket"
    for root in (tree, bucket):
        (root / "empty").mkdir(parents=True)
        (root / "f").write_bytes(b"x")
        (root / "l").symlink_to("f")
    (tree / "local.tmp").write_bytes(b"stays")

    def said():
        return compare_bucket(*(entries(os.fsencode(r)) for r in (tree, bucket)))

    assert said() is None
    (bucket / "f").write_bytes(b"y")
    assert "other bytes" in said()
    (bucket / "f").unlink()
    assert "not in the bucket: [b'f']" in said()
    (bucket / "f").write_bytes(b"x")
    (bucket / "more").write_bytes(b"")
    assert said() is None  # what that temporary name may have been before
    (tree / "local.tmp").unlink()
    assert "only in the bucket: [b'more']" in said()
    (bucket / "more").unlink()
    (bucket / "empty").rmdir()
    assert "folders are not in the bucket" in said()
    (bucket / "empty").mkdir()
    (bucket / "gone").mkdir()
    assert "folders are only in the bucket" in said()


class FakeBench:
    """Fails at `z` if there was an `a`."""

    def run(self, steps, **_):
        words = [s[0] for s in steps]
        if "a" in words and "z" in words[words.index("a") :]:
            return f"step {words.index('z', words.index('a')) + 1}: fails"
        return None


def test_a_failure_is_shrunk_to_what_it_takes():
    steps = [(w,) for w in "bcdeafghijkzlm"]
    less, problem = shrink(FakeBench(), steps, lambda: False)
    assert less == [("a",), ("z",)]
    assert problem == "step 2: fails"


def test_what_fails_once_is_not_shrunk_to_nothing():
    steps = [("b",), ("c",)]
    assert shrink(FakeBench(), steps, lambda: False) == (steps, None)


def test_patterns_have_no_zeros():
    assert 0 not in pattern(3, 200_000) and len(pattern(3, 200_000)) == 200_000
