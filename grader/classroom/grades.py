"""grades.csv: what a class got, one row a student."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from grader.classroom import people, repositories
from grader.classroom.collect import utc_of
from grader.classroom.people import Person
from grader.engine.contract import Contract
from grader.engine.printable import one_line
from grader.engine.result import Result
from grader.engine.wording import FAULTS

GRADED, NOT_FINAL, REJECTED, NOTHING = "graded", "not final", "rejected", "nothing handed in"
LONGEST = 500  # characters of a cell


@dataclass(frozen=True)
class Row:
    """One student.

    keys: what other systems call the student, by kind: email, username, github, sid, canvas_id, participant
    result: None where nothing could be graded
    late: None where no due date was given or the time is not known
    submitted_at: with a time zone
    digest: of what was handed in; seed: of the run
    """

    id: str
    name: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    result: Result | None = None
    status: str = NOTHING
    late: bool | None = None
    submitted_at: datetime | None = None
    notes: tuple[str, ...] = ()
    digest: str = ""
    seed: int | None = None

    @property
    def score(self) -> int | None:
        """What counts, None where there is none: nothing was graded, or the grader itself had trouble."""
        return self.result.score if self.result is not None and self.result.final else None

    @property
    def person(self) -> Person:
        """Who it is, to be looked for in another list."""
        return people.person({**self.keys, "id": self.id, "name": self.name})


def table(rows: Sequence[Row], contract: Contract) -> str:
    """grades.csv. No cell can be taken for a formula, and each is one line."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns(contract), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = shown(row, contract)
        safe = repositories.row([one_line(cell, LONGEST) for cell in cells.values()])
        writer.writerow(dict(zip(cells, safe)))
    return stream.getvalue()


def columns(contract: Contract) -> list[str]:
    return list(shown(Row(""), contract))


def shown(row: Row, contract: Contract) -> dict[str, str]:
    """{column: its text} of one student."""
    result = row.result
    return {
        "id": row.id,
        "name": row.name,
        "score": text(row.score),
        "max_score": text(result.max_score if result else None),
        **{name: text(part_score(result, name)) for name in contract.part_names},
        "status": row.status,
        "final": text(result.final if result else None),
        **{name: text(n) for name, n in contract.sections.numbers(result.recorded if result else {}).items()},
        "first_finding": first_finding(result),
        "late": text(row.late),
        "submitted_at": utc_of(row.submitted_at) if row.submitted_at else "",
        "seed": text(row.seed),
        "digest": row.digest,
        "notes": "; ".join(row.notes),
    }


def part_score(result: Result | None, part: str) -> int | None:
    """The points of a part, None where the grader itself had trouble in it or it was not graded."""
    checks = [check for check in result.checks if check.part == part] if result else []
    if not checks or any(check.status == "grader_error" for check in checks):
        return None
    return sum(check.score for check in checks)


def first_finding(result: Result | None) -> str:
    """What the first check that went wrong found, in report order; "" where nothing was found."""
    checks = result.checks if result else ()
    return next((check.finding for check in checks if check.status in FAULTS and check.finding), "")


def text(value: float | bool | None) -> str:
    """A number or an answer as a cell has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
