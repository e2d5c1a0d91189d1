# SPDX-License-Identifier: Apache-2.0
"""The judge of power cuts refuses what breaks a promise."""

import pytest

from powercut_model import BucketModel, Journal, Wrong, judge_ahead, judge_tree

ONE, TWO, THREE = (["file", f"digest {n}"] for n in (1, 2, 3))
OPS = [
    ["mkdir", "d", None],
    ["save", "d/a", ONE[1]],
    ["save", "b", TWO[1]],
    ["rename", "d", "e"],
    ["unlink", "b", None],
]


def journal(ops=OPS, promised=0, fsynced=()):
    j = Journal(["B", *op] for op in ops)
    j.promised, j.fsynced = promised, set(fsynced)
    return j


def wrong(words, call, *args):
    with pytest.raises(Wrong, match=words):
        call(*args)


def test_each_prefix_is_right_and_nothing_else_is():
    trees = [
        {},
        {"d": "dir"},
        {"d": "dir", "d/a": ONE},
        {"d": "dir", "d/a": ONE, "b": TWO},
        {"e": "dir", "e/a": ONE, "b": TWO},
        {"e": "dir", "e/a": ONE},
    ]
    for p, tree in enumerate(trees):
        assert judge_tree({}, journal(promised=p), tree, []) == p
    wrong("no prefix", judge_tree, {}, journal(), {"d": "dir", "b": TWO}, [])
    wrong("no prefix", judge_tree, {}, journal(), {"d": "dir", "d/a": TWO}, [])
    wrong("no prefix", judge_tree, {}, journal(), trees[1] | {"x": ONE}, [])


def test_a_promise_is_one():
    wrong(
        "3 .* promised, 2",
        judge_tree,
        {},
        journal(promised=3),
        {"d": "dir", "d/a": ONE},
        [],
    )
    assert journal_of("B", "B", "F").promised == 1
    assert journal_of("B", "B", "S", "B").promised == 2
    assert journal_of("B", "R").published == 1


def journal_of(*words):
    return Journal([w, "save", "x", w] if w == "B" else [w] for w in words)


def test_only_the_file_being_written_may_be_unfinished():
    half = {"d": "dir", "d/a": THREE}
    assert judge_tree({}, journal(), half, ["d/a"]) == 1
    wrong("no prefix", judge_tree, {}, journal(), half, [])
    wrong("no prefix", judge_tree, {}, journal(), {"d": "dir", "b": THREE}, ["b"])


def test_what_was_appended_later_may_be_unfinished_in_the_same_boot():
    base, ops = {"log": ONE}, [["save", "b", TWO[1]], ["append", "log", THREE[1]]]
    grown = {"log": THREE}
    wrong("no prefix", judge_tree, base, journal(ops), grown, ["log"])
    assert judge_tree(base, journal(ops), grown, ["log"], True) == 0
    wrong("no prefix", judge_tree, base, journal(ops), grown, [], True)
    wrong("no prefix", judge_tree, base, journal(ops), {"log": TWO}, ["log"], True)


def test_what_was_fsynced_and_is_unfinished_is_whole():
    whole = {"d": "dir", "d/a": ONE}
    j = journal(OPS[:2], promised=1, fsynced=[1])
    assert judge_tree({}, j, whole, ["d/a"]) == 2
    wrong("fsynced", judge_tree, {}, j, {"d": "dir", "d/a": THREE}, ["d/a"])
    wrong("fsynced", judge_tree, {}, j, {"d": "dir"}, [])


AHEAD = [
    ["save", "a", ONE[1]],
    ["mkdir", "d", None],
    ["save", "a", TWO[1]],
    ["save", "d/b", ONE[1]],
]


@pytest.mark.parametrize(
    ("objects", "tree", "p"),
    [
        ({"a": ONE}, {"a": ONE}, 1),  # as the disk has it
        ({"a": TWO}, {"a": TWO}, 1),
        ({"a": TWO, "d/b": ONE}, {"a": ONE, "d": "dir", "d/b": ONE}, 2),
    ],
)
def test_the_bucket_may_be_ahead_of_a_disk_that_failed(objects, tree, p):
    shown = {"objects": objects, "folders": ["d"] * ("d/b" in objects)}
    what = found(tree, shown)
    assert judge_ahead({}, journal(AHEAD, promised=p), *what) == p
    wrong("none of", judge_ahead, {}, journal(AHEAD, promised=p + 2), *what)


def found(tree, bucket, unfinished=()):
    return {"tree": tree, "unfinished": unfinished}, bucket


def test_what_the_bucket_shows_excuses_nothing_older():
    shown = {"objects": {"a": ONE}, "folders": []}
    tree = {"a": ONE, "d": "dir", "d/b": ONE}
    wrong("none of", judge_ahead, {}, journal(AHEAD, promised=3), *found(tree, shown))
    j = journal(AHEAD, promised=3, fsynced=[3])
    tree = {"a": TWO, "d": "dir"}
    wrong("fsynced", judge_ahead, {}, j, *found(tree, shown))


def test_what_the_disk_lost_left_the_line():
    ops = [["save", "a", ONE[1]], ["save", "b", TWO[1]]]
    wrong("without a", bucket(ops), {"b": TWO})
    assert BucketModel({}, ops, ["a"]).judge({"b": TWO}) == 2


def bucket(ops, base=None):
    return BucketModel(base or {}, ops).judge


def test_the_bucket_shows_nothing_without_what_was_before():
    judge = bucket(OPS[:4])
    assert judge({}) == 0
    assert judge({"d/a": ONE}) == 2
    assert judge({"d/a": ONE, "b": TWO}) == 3
    wrong("nobody wrote", judge, {"d/a": THREE})
    wrong("nobody wrote", judge, {"x": ONE})
    wrong("without d/a", bucket(OPS[:3]), {"b": TWO})


def test_the_bucket_deletes_nothing_before_its_successor():
    ops = [["save", "new", TWO[1]], ["unlink", "old", None]]
    judge = bucket(ops, {"old": ONE})
    assert judge({"old": ONE, "new": TWO}) == 1
    assert judge({"new": TWO}) == 2
    wrong("without new", judge, {})
    wrong("not deleted", bucket(ops[:1], {"old": ONE}), {"new": TWO})


def test_an_older_version_shows_only_while_it_is_overwritten_twice():
    ops = [["save", "last", TWO[1]], ["save", "x", ONE[1]]]
    wrong("still that of", bucket(ops, {"last": ONE}), {"last": ONE, "x": ONE})
    ops.append(["save", "last", THREE[1]])
    assert bucket(ops, {"last": ONE})({"last": ONE, "x": ONE}) == 2
    assert bucket(ops, {"last": ONE})({"last": TWO, "x": ONE}) == 2
