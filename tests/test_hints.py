"""Every finding has a complete hint, every hint is used, and none gives the solution away."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from grader.authoring.course import constants, named
from grader.contract import WEEK
from grader.engine.hints import HINT_FIELDS, load_hints

ROOT = Path(__file__).resolve().parents[1]
HINTS = load_hints(WEEK)


def test_every_finding_that_is_named_has_a_hint():
    assert named() - set(HINTS) == set()


def test_every_hint_is_used():
    assert set(HINTS) - constants() == set()


@pytest.mark.parametrize("hint", HINTS.values(), ids=lambda hint: hint.id)
def test_a_hint_is_complete_short_and_well_formed(hint):
    for field in HINT_FIELDS:
        text = getattr(hint, field)
        assert text, field
        assert len(text) < 420, f"{field} is too long for a beginner"
        assert all(name is None or name.isidentifier() for _, name, _, _ in Formatter().parse(text)), field
    assert hint.question.rstrip('"').endswith("?")
    assert not hint.title.endswith("."), "a title is a heading; the report puts the full stop"


def solution_lines() -> set[str]:
    """The lines of solution regions, without comments, that say enough to give something away."""
    lines = set()
    for name in ("data.py", "model.py", "train.py"):
        text = (ROOT / "solution" / name).read_text(encoding="utf-8")
        for region in re.findall(r"# BEGIN SOLUTION\n(.*?)# END SOLUTION", text, re.DOTALL):
            bare = (line.split("  #")[0].strip() for line in region.splitlines())
            lines |= {line for line in bare if len(line) > 12 and not line.startswith(("return", "#"))}
    return lines


@pytest.mark.parametrize("hint", HINTS.values(), ids=lambda hint: hint.id)
def test_no_hint_contains_a_line_of_the_solution(hint):
    text = " ".join(getattr(hint, field) for field in HINT_FIELDS)
    assert not [line for line in solution_lines() if line in text]


def test_checks_are_declared_once_and_point_to_their_todo():
    checks = WEEK.checks
    assert len({check.id for check in checks}) == len(checks)
    assert {check.todo for check in checks} == set(WEEK.todo)
    assert all(check.title and len(check.title) < 100 for check in checks)
