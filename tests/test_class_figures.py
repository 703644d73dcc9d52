"""The figures of class.html on made-up rows with known answers: misconceptions, where students stand, points."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from grader.classroom.grades import REJECTED
from grader.classroom.page import figures, scores
from grader.classroom.page.private import Quiet, own_places
from grader.contract import WEEK
from grader.engine.result import CheckResult, Result
from tests.made_rows import HINTS, TIERS, hint, row

# -- what the class misunderstood --------------------------------------------------------------------------------------


def test_misconceptions_are_ranked_by_first_causes_and_what_followed_is_apart():
    rows = [
        row("anna", "passed", "failed one", "failed two"),
        row("bela", "failed two", "failed one"),
        row("cora", "todo", "failed two"),  # what is begun comes before what is not
        row("dora", "passed", "crashed one"),
        row("emil", "blocked waits-for", "timeout two", "failed one", "failed one"),
        row("fred", "passed", "passed"),
        row("gina", "todo", "todo"),  # a skeleton has not begun
        row("hugo"),
        row("ines", "passed", "grader_error ours", "failed three"),
    ]
    quiet = Quiet(rows, own_places(WEEK, HINTS))
    found = figures.misconceptions(rows, {"one": hint("one", "A one"), "two": hint("two", "A two")}, quiet)
    assert [(m.id, [r.id for r in m.first], [r.id for r in m.followed]) for m in found] == [
        ("two", ["bela", "cora", "emil"], ["anna"]),
        ("one", ["anna", "dora"], ["bela", "emil"]),
        ("three", ["ines"], []),
    ]
    assert [m.share for m in found] == [3 / 7, 2 / 7, 1 / 7]
    assert [m.rank for m in found] == [1, 2, 3]
    assert [(m.title, m.why) for m in found] == [
        ("A two", "Because of two"),
        ("A one", "Because of one"),
        ("three", ""),  # no hint knows it
    ]
    assert (found[0].cause, found[0].look, found[0].question) == ("Its cause", "train.py.", "Its question?")


def test_who_share_a_count_share_a_rank():
    rows = [row(f"s{n}", f"failed {finding}") for n, finding in enumerate("aabbcdd")]
    found = figures.misconceptions(rows, {}, Quiet(rows))
    assert [(m.id, m.rank) for m in found] == [("a", 1), ("b", 1), ("d", 1), ("c", 4)]


def test_the_example_is_the_most_frequent_wording_and_names_nobody():
    title = {"one": hint("one", "A heading")}
    told = ["A heading. 3 of 4", "A heading. 2 of 4", "A heading. 2 of 4"]
    rows = [row(f"s{n}", f"failed one {text}") for n, text in enumerate(told)]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "2 of 4"
    rows = [
        row("a", "failed one A heading. Anna's file", name="Anna Y"),
        row("b", "failed one A heading. B's file", name="Cem"),
    ]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "B's file"
    rows = [row("a-77", "failed one A heading. Müller of A-77", name="Anna Müller", keys={"email": "am@x.org"})]
    assert figures.misconceptions(rows, title, Quiet(rows))[0].sentence == "[...] of [...]"


@pytest.mark.parametrize(("messages", "title"), [
    (["data.py is missing. Seen."], "data.py is missing"),
    (["data.py is missing. Seen.", "data.py is missing. Other."], "data.py is missing"),
    (["data.py is missing. Seen.", "train.py is missing. Seen."], "A file is missing"),
    (["Something else"], "A file is missing"),
])  # fmt: skip
def test_a_heading_has_its_facts_where_all_have_the_same(messages, title):
    assert figures.title_of("file-missing", HINTS["file-missing"], messages) == title


def test_where_students_stand():
    rows = [
        row("done", "passed", "passed"), row("wrong", "passed", "failed one"), row("next", "passed", "todo"),
        row("fresh", "todo", "todo"), row("none"), replace(row("bad"), status=REJECTED),
        row("ours", "passed", "grader_error"),
    ]  # fmt: skip
    stand = figures.standing(rows, WEEK)
    names = {step.todo: ([r.id for r in step.stuck], [r.id for r in step.ahead]) for step in stand.steps}
    assert names == {1: ([], []), 2: (["wrong"], ["next"]), **{n: ([], []) for n in range(3, 8)}}
    rest = [[r.id for r in group] for group in (stand.complete, stand.untouched, stand.nothing, stand.unknown)]
    assert rest == [["done"], ["fresh"], ["none"], ["bad", "ours"]]
    assert stand.steps[1].place == "TODO 2, make_loaders in data.py"


# -- points ------------------------------------------------------------------------------------------------------------


def test_a_check_is_judged_only_where_it_could_be():
    rows = [row("a", "passed", "failed one"), row("b", "passed", "failed one 5"), row("c", "passed", "blocked one"),
            row("d", "passed", "todo"), row("e", "passed", "passed"), row("f", "passed", "crashed one"),
            row("g", "passed", "grader_error"), row("h", "todo", "todo"), row("i")]  # fmt: skip
    _, second = scores.checks(rows, WEEK)
    assert (second.passed, second.judged, second.blocked, second.not_begun, second.trouble) == (1, 4, 1, 1, 1)
    assert second.pass_rate == 1 / 4
    assert second.difficulty == 1 - (0 + 0.5 + 1 + 0) / 4
    assert second.too_few and second.discrimination is None, "all have the same points elsewhere"


def test_discrimination_is_the_correlation_with_the_rest_and_its_interval():
    done = ["passed passed passed", "passed passed failed", "failed passed failed", "failed failed failed"] * 10
    rows = [
        row(f"s{n}", *[one + (" x" if one == "failed" else "") for one in line.split()]) for n, line in enumerate(done)
    ]
    first = scores.checks(rows, WEEK)[0]
    # own 1 1 0 0, rest 2 1 1 0: covariance 1/4 over deviations 1/2 and sqrt(1/2)
    assert first.discrimination.r == pytest.approx(0.25 / (0.5 * math.sqrt(0.5)))
    z, half = math.atanh(first.discrimination.r), 1.96 / math.sqrt(40 - 3)
    assert (first.discrimination.low, first.discrimination.high) == pytest.approx(
        (math.tanh(z - half), math.tanh(z + half))
    )
    assert not first.too_few
    assert all(check.too_few for check in scores.checks(rows[:29], WEEK))


@pytest.mark.parametrize(
    ("points", "bin"), [(0, 0), (1, 1), (5, 1), (6, 2), (10, 2), (11, 3), (15, 3), (16, 4), (19, 4), (20, 5)]
)
def test_points_of_a_part_fall_into_bins(class_row, points, bin):
    check = CheckResult("a", "A", WEEK.part_names[0], 1, "failed", points, 20)
    one = replace(class_row("a", 5), result=Result("", 0.0, 1, {}, {}, (check,)))
    first, second, *_ = scores.parts([one, class_row("b")], WEEK)
    assert first.counts == tuple(int(n == bin) for n in range(6))
    assert (first.students, first.mean, first.median, first.max_score) == (1, points, points, 20)
    assert (second.students, second.mean, second.median) == (0, None, None)


def test_the_whole_and_the_accuracy_beside_it(class_row):
    rows = [class_row("a", 0), class_row("b", 9), class_row("c", 10), class_row("d", 99), class_row("e", 100),
            class_row("f", 50, status="not final"), class_row("g")]  # fmt: skip
    spread, whole = scores.whole(rows), figures.overview(rows)
    assert spread.counts == (2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    assert (whole.listed, whole.handed_in, whole.graded, whole.complete) == (7, 6, 5, 1)
    assert (whole.mean, whole.median, whole.lowest, whole.highest) == (43.6, 10, 0, 100)
    bands = scores.bands([(0.3, 40), (0.7, 50), (0.75, 60), (0.95, 100), (1.0, 90)], TIERS)
    assert [(b.low, b.students, b.median, b.lowest, b.highest) for b in bands] == [
        (0.0, 1, 40, 40, 40), (0.7, 2, 55, 50, 60), (0.84, 0, None, None, None), (0.9, 2, 95, 90, 100),
    ]  # fmt: skip
