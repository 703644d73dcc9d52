"""grades.csv and Classroom 50's overrides: what a class got, in a table and in the file that keeps it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest

from grader.classroom.grades import Row, table
from grader.classroom.overrides import BadScores, overrides
from grader.contract import WEEK
from grader.engine.sections import NO_SECTIONS

SCORES = Path(__file__).parent / "gradebooks" / "classroom50_scores.json"
AT = datetime(2026, 12, 3, 10, 0, tzinfo=timezone(timedelta(hours=1)))

# what classroom50's schemas/scores-v1.schema.json asks of an entry
TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
TIME = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$"}
RECORD = {
    "schema": {"const": "classroom50/result/v1"}, "assignment_type": {"enum": ["individual", "group"]},
    "classroom": TEXT, "owner": TEXT, "submission": {"type": "string", "pattern": "^submit/"},
    "commit": TEXT, "release": TEXT, "review": TEXT, "datetime": TIME, "score": COUNT, "max-score": COUNT,
    "tests": {"type": "array", "items": {"type": "object", "required": ["test-name", "passed", "score", "max-score"]}},
}  # fmt: skip
ENTRY = {
    "type": "object",
    "required": ["owner", "submissions"],
    "properties": {
        "owner": TEXT,
        "override": {"type": "boolean"},
        "submissions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": list(RECORD), "properties": RECORD},
        },
    },
}


def read(rows: list[Row], week=WEEK) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table(rows, week), newline="")))


def test_a_row_says_what_a_student_got(class_row):
    row = class_row("anna", 60, "Anna Müller", email="a@example.edu")
    row = replace(
        row,
        late=True,
        submitted_at=AT,
        notes=("took the newest of 2", "renamed Data.py"),
        result=replace(row.result, recorded={"accuracy": {"test": 0.91239, "floor": 0.9, "tiers": [], "remarks": []}}),
    )
    (cells,) = read([row])
    parts = {"data": "25", "model": "25", "training": "10", "accuracy": "0"}
    assert cells == {
        "id": "anna", "name": "Anna Müller", "score": "60", "max_score": "100", **parts, "status": "graded",
        "final": "yes", "test_accuracy": "0.9124", "first_finding": "training-is-wrong", "late": "yes",
        "submitted_at": "2026-12-03T09:00:00Z", "seed": "7", "digest": "dddddddd",
        "notes": "took the newest of 2; renamed Data.py",
    }  # fmt: skip
    assert list(cells) == [
        "id", "name", "score", "max_score", *WEEK.part_names, "status", "final", "test_accuracy", "first_finding",
        "late", "submitted_at", "seed", "digest", "notes",
    ]  # fmt: skip


def test_no_score_is_no_zero(class_row):
    final, ours, nothing = read([class_row("a", 0), class_row("b", 70, status="not final"), class_row("c")])
    assert (final["score"], final["final"], final["status"]) == ("0", "yes", "graded")
    assert (ours["score"], ours["final"], ours["status"]) == ("", "no", "not final")
    assert (ours["data"], ours["model"]) == ("", "25"), "our trouble was in one part"
    assert (nothing["score"], nothing["final"], nothing["late"], nothing["max_score"]) == ("", "", "", "")
    assert nothing["status"] == "nothing handed in" and nothing["test_accuracy"] == ""


def test_another_week_has_its_own_columns(class_row):
    other = replace(WEEK, parts=WEEK.parts[:2], run_order=("data", "model"), sections=NO_SECTIONS,
                    files={"data.py": ("data",), "model.py": ("model",)}, todos=WEEK.todos[:4])  # fmt: skip
    (cells,) = read([class_row("a", 60)], other)
    assert [name for name in cells if name in WEEK.part_names] == ["data", "model"]
    assert "test_accuracy" not in cells


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\x1b[0m="])
def test_no_cell_is_a_formula_or_two_lines(class_row, start):
    hostile = f'{start}HYPERLINK("http://evil.example")\nsecond, line \ud800'
    row = replace(class_row(hostile, 60, hostile), notes=(hostile,), digest=hostile, status=hostile)
    written = table([row], WEEK)
    written.encode("utf-8")
    assert len(written.splitlines()) == 2
    (cells,) = read([row])
    for name in ("id", "name", "notes", "digest", "status"):
        assert cells[name].startswith(("'=", "'+", "'-", "'@")), (name, cells[name])


# ---- Classroom 50's scores.json


def entries(told: str, slug: str = "week3") -> dict[str, dict]:
    found = json.loads(told)["assignments"][slug]["entries"]
    for entry in found:
        jsonschema.validate(entry, ENTRY)
    return {entry["owner"]: entry for entry in found}


def test_overrides_go_into_the_teachers_scores(class_row):
    rows = [class_row("anna-m", 74), class_row("ben", 60, username="BenOk"), class_row("chloe", 0), class_row("dan"),
            class_row("eve", 50, status="not final")]  # fmt: skip
    done = overrides(rows, "cs", "week3", AT, SCORES)
    found = entries(done.text)
    assert list(found) == ["Anna-M", "BenOk", "chloe"] and all(entry["override"] is True for entry in found.values())
    newest, earlier = found["Anna-M"]["submissions"]
    assert (newest["score"], newest["max-score"], newest["owner"]) == (74, 100, "Anna-M")
    assert newest["datetime"] == "2099-01-01T00:00:01Z", "the newest counts, and a commit can be dated ahead"
    assert found["BenOk"]["submissions"][0]["datetime"] == "2026-12-03T09:00:00Z"
    before = json.loads(SCORES.read_text("utf-8"))
    after = json.loads(done.text)
    assert earlier == before["assignments"]["week3"]["entries"][0]["submissions"][0]
    assert found["Anna-M"]["note"] == "spoke to her"
    assert after["assignments"]["hello"] == before["assignments"]["hello"]
    assert after["assignments"]["week3"]["collected_at"] == "2026-12-02T00:00:00Z"
    assert any("dan (nothing handed in), eve (not final)" in sentence for sentence in done.sentences)


def test_overriding_again_replaces_the_override(class_row, tmp_path):
    first = overrides([class_row("anna-m", 74)], "cs", "week3", AT, SCORES)
    (tmp_path / "scores.json").write_text(first.text, encoding="utf-8")
    again = overrides([class_row("anna-m", 80)], "cs", "week3", AT, tmp_path / "scores.json")
    assert [s["score"] for s in entries(again.text)["Anna-M"]["submissions"]] == [80, 70]


def test_entries_alone_where_there_is_no_scores_json(class_row):
    done = overrides([class_row("anna", 74, github="anna-m")], "cs", "week3", AT, None)
    assert list(entries(done.text)) == ["anna-m"] and json.loads(done.text)["schema"] == "classroom50/scores/v1"


def test_a_new_assignment_is_said(class_row):
    done = overrides([class_row("anna", 74)], "cs", "weak3", AT, SCORES)
    assert any('no assignment "weak3" yet, it has "hello" and "week3"' in sentence for sentence in done.sentences)


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "is no scores.json"),
        ('{"schema": "classroom50/result/v1"}', "is no scores.json"),
        ('{"schema": "classroom50/scores/v1", "assignments": []}', "is damaged"),
        ('{"schema": "classroom50/scores/v1", "assignments": {"a": {"type": "individual"}}}', "is damaged"),
        (
            '{"schema": "classroom50/scores/v1", "assignments": {"a": {"type": "individual", "entries": [{}]}}}',
            "is damaged",
        ),
    ],
)
def test_a_scores_json_that_is_none(tmp_path, content, said):
    if content is not None:
        (tmp_path / "scores.json").write_text(content, encoding="utf-8")
    with pytest.raises(BadScores, match=said) as error:
        overrides([], "cs", "week3", AT, tmp_path / "scores.json")
    assert str(error.value).count("\n") == 0
