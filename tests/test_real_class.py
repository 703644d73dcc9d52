"""A class of real submissions through `batch`: every row says what it should, in whatever form the class arrives."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from grader.__main__ import main
from tests.classroom_forms import FORMS, make
from tests.made_submissions import Row, made_submissions

COUNT = 16
SAME = ("score", "status", "final", "test_accuracy", "first_finding", "digest", "seed")


def table(out: Path) -> list[dict[str, str]]:
    with (out / "grades.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def fits(row: dict[str, str], expected: Row) -> bool:
    """Whether a row of grades.csv says what is known of the submission."""
    score, found = int(row["score"] or -1), row["first_finding"]
    if expected.kind == "right":
        return score >= 70 and not (set(found.split()) - {"accuracy-below-tier"})
    if expected.kind == "wrong":
        return score < 100 and any(one in found for one in expected.findings)
    if expected.kind in ("half done", "notebook"):
        return score >= 70 if expected.todo is None else 0 <= score < 100 and not found
    return 0 <= score < 100


@pytest.mark.corpus
def test_every_form_gives_the_same_rows(tmp_path, capsys):
    made = list(made_submissions(COUNT, seed=1))
    students, out = [student for student, _ in made], tmp_path / "out"
    first: list[tuple[str, ...]] = []
    for form in FORMS:
        if form == "clones" and shutil.which("git") is None:
            continue
        given = make(form, students, tmp_path / form)
        main(["batch", str(given), "--out", str(out)])
        rows = table(out)
        assert len(rows) == COUNT, form
        told = sorted(tuple(row[name] for name in SAME) for row in rows)
        first = first or told
        assert told == first, form
    for student, expected in made:
        row = next(row for row in rows if row["id"] == student.key)
        assert fits(row, expected), (expected, row)
