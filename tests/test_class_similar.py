"""Pairs of submissions that are more alike than the class is."""

from __future__ import annotations

import pytest

from grader.classroom.grades import Row
from grader.classroom.page.page import skeleton
from grader.classroom.page.similar import similar, tokens_of
from grader.contract import WEEK
from tests.made_class import made_sources, renamed
from tests.made_rows import row


def handed_in(count: int, seed: int = 3) -> tuple[list[Row], dict[str, dict[str, str]]]:
    rows = [row(f"s{n}", "passed") for n in range(count)]
    return rows, made_sources(rows, seed, copies=0)


def found_pairs(rows: list[Row], sources: dict[str, dict[str, str]]) -> list[set[str]]:
    return [{pair.one.id, pair.other.id} for pair in similar(rows, sources, skeleton(WEEK)).pairs]


@pytest.mark.parametrize("count", [15, 60])
def test_a_copy_with_other_names_stands_out_and_nobody_else(count):
    rows, sources = handed_in(count)
    assert found_pairs(rows, sources) == []
    copy = {name: renamed(text) for name, text in sources["s3"].items()}
    sources["s7"] = copy | {"model.py": sources["s7"]["model.py"]}  # all but the network
    assert found_pairs(rows, sources) == [{"s3", "s7"}]
    pair = similar(rows, sources, skeleton(WEEK)).pairs[0]
    assert pair.shared > 20 and pair.z > 6 and pair.examples
    for example in pair.examples:
        assert example.text in sources["s3"][example.file] and example.other_text in sources["s7"][example.file]


def test_the_same_code_is_a_group_whatever_its_names_and_comments():
    rows, sources = handed_in(20)
    for n in (5, 6):
        sources[f"s{n}"] = {name: renamed(text) for name, text in sources["s4"].items()}
    found = similar(rows, sources, skeleton(WEEK))
    assert [[r.id for r in group] for group in found.identical] == [["s4", "s5", "s6"]]
    assert not found.pairs


def test_a_small_class_a_skeleton_and_unreadable_files_are_nothing_to_look_at():
    rows, sources = handed_in(14)
    sources["s1"] = sources["s2"]
    found = similar(rows, sources, skeleton(WEEK))
    assert found.too_few and not found.pairs and not found.identical
    rows, sources = handed_in(16)
    for n in (0, 1, 2):
        sources[f"s{n}"] = dict(skeleton(WEEK))
    for n, text in enumerate(["def f(:\n  x = '''", "\0", "if x:\n   y\n  z\n", "(" * 5000, "\ud800"]):
        sources[f"s{n + 3}"] = {"train.py": text}
    found = similar(rows, sources, skeleton(WEEK))
    assert not found.pairs and not found.identical
    assert similar([], {}, {}).submissions == 0


def test_names_texts_comments_and_docstrings_do_not_count():
    one = 'def f(a):\n    """What it does."""\n    # a comment\n    return a + "x" * 128\n'
    other = "def other(name):\n\n    return name + 'longer' * 128\n"
    assert [word for word, _ in tokens_of(one)] == [word for word, _ in tokens_of(other)]
    assert [word for word, _ in tokens_of(one)] != [word for word, _ in tokens_of(one.replace("128", "64"))]


def test_a_rare_finding_in_the_same_words_raises_a_pair():
    rows, sources = handed_in(20)
    half = {"model.py": sources["s3"]["model.py"]}
    sources["s7"] |= half
    before = similar(rows, sources, skeleton(WEEK)).nearest[-1]
    for n in (3, 7):
        rows[n] = row(f"s{n}", "failed one 3 of 7 images")
    assert similar(rows, sources, skeleton(WEEK)).nearest[-1] == pytest.approx(1.25 * before)
