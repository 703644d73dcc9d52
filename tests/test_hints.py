"""Every finding has a complete hint that its facts fill, an example that shows it, and gives no solution away."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from grader.authoring.build import read_solution
from grader.authoring.course import placeholders
from grader.authoring.findings import namings
from grader.authoring.markers import leaks
from grader.contract import WEEK
from grader.corpus.entries import load
from grader.engine.check import Check, Finding
from grader.engine.hints import LINKS, TEXTS, Hint, load_hints
from grader.engine.rubric import load_toml
from grader.engine.wording import check_result

ROOT = Path(__file__).resolve().parents[1]
HINTS = load_hints(WEEK)
NAMINGS, NOT_FOLLOWED = namings()
LONGEST = 420  # characters of one text: more is too much for a beginner
LINES = 700  # of one file of hints
# Findings that no submission of tests/ can have: the tests in these files bring them about in their own ways
ACTED_OUT = ("test_bad_input.py", "test_isolation.py", "test_run_folders.py", "test_stall.py")


def test_every_finding_can_be_followed_to_its_facts():
    assert NOT_FOLLOWED == ()


def test_findings_and_hints_are_the_same():
    named = {naming.finding for naming in NAMINGS}
    assert (named - set(HINTS), set(HINTS) - named) == (set(), set()), "(named without a hint, hints nobody names)"


def test_every_fact_that_a_hint_shows_is_filled_in_wherever_the_finding_is_named():
    shown = {finding: placeholders(WEEK.hints_path, hint) for finding, hint in HINTS.items()}
    lacking = [(n.finding, n.place, lack) for n in NAMINGS if (lack := shown[n.finding] - n.facts)]
    assert not lacking


def slips(hint: Hint) -> list[str]:
    """What is wrong with the texts of a hint."""
    found = [f"{name} is too long for a beginner" for name in TEXTS if len(getattr(hint, name)) >= LONGEST]
    if not hint.question.rstrip('"').endswith("?"):
        found.append("the question is none")
    if hint.title.endswith(".") or ". " in hint.title:
        found.append("a title is a heading; the report puts the full stop")
    if hint.look.endswith((".", "?", ":")):
        found.append("the report puts a full stop behind look")
    if "https://" in " ".join(getattr(hint, name) for name in TEXTS):
        found.append(f"an address belongs in {LINKS}")
    if re.match(r"(\w+\.py|TODO \d)", hint.look):
        found.append("the report puts the place in front of look")
    if not all(name.isidentifier() for name in placeholders(WEEK.hints_path, hint)):
        found.append("a {placeholder} is one word")
    return found


def test_hints_are_complete_short_and_well_formed():
    assert not {hint.id: found for hint in HINTS.values() if (found := slips(hint))}


def test_files_of_hints_are_short_enough_to_find_something_and_every_link_is_used():
    files = sorted(WEEK.hints_path.glob("*.toml"))
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert max(lengths.values()) <= LINES, lengths
    links = load_toml(WEEK.hints_path / LINKS)
    read = {links[name] for todo in WEEK.todos for name in todo.read}
    assert set(links.values()) == ({hint.docs for hint in HINTS.values()} | read) - {""}


def test_no_hint_contains_a_line_of_the_solution():
    assert leaks(read_solution(ROOT), {path.name: path.read_bytes() for path in WEEK.hints_path.glob("*.toml")}) == []


def examples() -> set[str]:
    """The findings that some submission, state or message of tests/ shows, and those that a test acts out."""
    entries = [path for kind in ("chaffs", "broken", "attacks") for path in (ROOT / "tests" / kind).glob("*.toml")]
    named = {finding for entry in map(load, entries) for finding in (*entry.findings, *entry.also)}
    trees = [ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8")) for name in ACTED_OUT]
    tables = [load_toml(path) for path in (ROOT / "tests" / "states").glob("*.toml")]
    rows = [row for table in tables for row in (*table.get("state", ()), *table.get("message", ()))]
    named |= {row["finding"] for row in rows if "finding" in row}
    return named | {str(n.value) for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant)}


def test_every_finding_has_an_example():
    assert set(HINTS) - examples() == set()


def test_an_example_names_findings_that_exist():
    kinds = {kind: sorted((ROOT / "tests" / kind).glob("*.toml")) for kind in ("chaffs", "broken", "attacks")}
    unknown = {p.name: set(load(p).findings) - set(HINTS) for paths in kinds.values() for p in paths}
    statuses = {"crashed"}  # a chaff may name a status instead
    assert not {name: found - statuses for name, found in unknown.items() if found - statuses}


CHECK = Check("any", WEEK.part_names[0], 2, (f"{WEEK.todo[2].file.removesuffix('.py')}.any",), lambda student: None)


@pytest.mark.parametrize(("finding", "fields", "place", "todo"), [
    (Finding("f"), {}, "data.py, TODO 2: the {a}. https://x.org", 2),
    (Finding("f", {"a": "loop"}), {}, "data.py, TODO 2: the loop. https://x.org", 2),
    (Finding("f", {"a": "loop"}), {"docs": ""}, "data.py, TODO 2: the loop.", 2),
    (Finding("f", {"a": "loop"}, todo=5), {"todo": 4}, "train.py, TODO 5: the loop. https://x.org", 5),
    (Finding("f", {"a": "loop"}), {"todo": 4}, "model.py, TODO 4: the loop. https://x.org", 4),
    (Finding("f", {"a": "loop"}), {"file": "model.py"}, "model.py: the loop. https://x.org", 2),
    (Finding("f", {"a": "loop"}), {"file": ""}, "the loop. https://x.org", 2),
    (Finding("f", {"a": "loop", "file": "train.py"}), {"file": "{file}"}, "train.py: the loop. https://x.org", 2),
    (Finding("f", {"a": "loop", "file": "train.py"}), {}, "train.py: the loop. https://x.org", 2),
    (Finding("f", {"a": "loop", "file": "data.py"}), {}, "data.py, TODO 2: the loop. https://x.org", 2),
])  # fmt: skip
def test_the_report_says_where_to_look(finding, fields, place, todo):
    hint = Hint("f", "Title", "Seen", "Cause", "the {a}", "Why?", "So", **({"docs": "https://x.org"} | fields))
    result = check_result(WEEK, CHECK, 4, "failed", finding, {"f": hint}, 0.0)
    assert result.message == "Title. Seen"
    assert result.hint.splitlines() == ["Cause", f"Look here: {place.replace('{a}', '?')}", "Why?"]
    assert result.todo == todo


def test_checks_are_declared_once_and_point_to_their_todo():
    checks = WEEK.checks
    assert len({check.id for check in checks}) == len(checks)
    assert {check.todo for check in checks} == set(WEEK.todo)
    assert all(check.title and len(check.title) < 100 for check in checks)
