"""What needs a human, as class.html names it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from grader.classroom.counting import spread
from grader.classroom.grades import REJECTED
from grader.classroom.page.attention import attention
from grader.contract import WEEK
from grader.engine.rubric import load_rubric
from grader.engine.submission.manifest import CHANGED
from tests.made_class import made_class
from tests.made_rows import TIERS, row


def test_what_needs_a_human_is_named_and_nothing_else():
    note = f"{CHANGED} (changed: grader/rubric.toml). It was not used."
    rows = [
        row("fine", "passed", "failed one", accuracy=0.95),
        row("fresh", "todo", "todo"),
        row("nothing"),
        row("ours", "passed", "grader_error ours The worker ended"),
        replace(row("encrypted"), status=REJECTED, notes=("the archive is encrypted",)),
        row("slip", "crashed syntax-error Python cannot read it", "blocked waits-for"),
        row("killed", "failed one It returns None", "crashed process-killed Ended by SIGSEGV.", notes=(note,)),
        row("half", "passed", "crashed out-of-memory It used up the memory."),
        row("lucky", "passed", "passed", accuracy=0.901, notes=tuple(spread([0.888, 0.901]))),
        row("unlucky", "passed", "passed", accuracy=0.889, notes=("a.py", *spread([0.889, 0.88, 0.87]))),
        row("near", "passed", "passed", accuracy=0.8888),
        row("changed", "passed", "passed", notes=("another note", note)),
    ]
    unusual = row("unusual", "passed", accuracy=0.95)
    recorded = {"accuracy": {**unusual.result.recorded["accuracy"], "remarks": ["holds-much"]}}
    rows.append(replace(unusual, result=replace(unusual.result, recorded=recorded)))
    groups = attention(rows, [("x.rar", "it cannot be opened")], WEEK, TIERS)
    told = [[(case.row.id if case.row else "", case.what, case.note) for case in group.cases] for group in groups]
    assert told == [
        [("ours", "Check 1: The worker ended", "")],
        [("encrypted", "", "the archive is encrypted")],
        [("", "", "x.rar: it cannot be opened")],
        [
            ("killed", "Ended by SIGSEGV. 0 of 20 points. Files of the grader were changed too.", note),
            ("half", "It used up the memory. 10 of 20 points.", ""),
        ],
        [("fresh", "", "")],
        [("slip", "Python cannot read it", "")],
        [("near", "88.88 %, 1.12 below 90 %: 20 points instead of 30", "")],
        [
            ("lucky", "88.8 %, 90.1 %. The best earns 30 points for its accuracy", ""),
            ("unlucky", "88.9 %, 88.0 %, 87.0 %. The best earns 20 points for its accuracy", ""),
        ],
        [("changed", "", note)],
        [
            (
                "unusual",
                "the files hold far more than a solution needs: look for stored answers or a stored network.",
                "",
            )
        ],
    ]
    advice = {case.row.id: group.advice for group in groups for case in group.cases if case.row}
    assert "--seeds 3" in advice["near"] and "--seeds" not in advice["unlucky"]
    assert attention([row("fine", "passed")], [], WEEK, TIERS) == ()


@pytest.mark.parametrize(("accuracy", "said"), [
    (0.699, "69.90 %, 0.10 below 70 %: 0 points instead of 10"), (0.68, "68.00 %, 2.00 below 70 %: 0 points"),
    (0.67, ""), (0.7, ""), (0.845, ""), (0.9, ""), (0.91, ""), (None, ""),
])  # fmt: skip
def test_only_those_just_below_a_tier_are_near_it(accuracy, said):
    groups = attention([row("a", "passed", accuracy=accuracy)], [], WEEK, TIERS)
    assert [case.what[: len(said)] for group in groups for case in group.cases] == ([said] if said else [])


def test_whoever_has_no_points_is_listed_once():
    rows = made_class(300)
    groups = attention(rows, [], WEEK, load_rubric(WEEK).tiers)
    listed = Counter(case.row.id for group in groups for case in group.cases)
    none = [one.id for one in rows if one.score == 0]
    assert len(none) > 5 and {listed[id] for id in none} == {1}
