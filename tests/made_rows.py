"""Rows of a class with known answers: each says of every check how it ended."""

from __future__ import annotations

from typing import Any

from grader.classroom.grades import NOTHING, Row
from grader.contract import WEEK
from grader.engine.hints import Hint, load_hints
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Tier

HINTS = load_hints(WEEK)
TIERS = (Tier(0.7, 10), Tier(0.84, 20), Tier(0.9, 30))


def hint(id: str, title: str = "Title") -> Hint:
    return Hint(id, title, "Seen", "Cause", "there", "Why?", f"Because of {id}")


def row(id: str, *checks: str, accuracy: float | None = None, notes: tuple[str, ...] = (), **more: Any) -> Row:
    """row("anna", "passed", "failed one", "failed two Its message", ...): checks a, b, ... with 10 points each."""
    made = []
    for n, told in enumerate(checks):
        status, finding, message = [*told.split(" ", 2), "", ""][:3]
        score = 10 if status == "passed" else int(message) if status == "failed" and message.isdecimal() else 0
        made.append(
            CheckResult(
                "abcdefgh"[n], f"Check {n}", WEEK.part_names[n // 2], n + 1, status, score, 10,  # type: ignore[arg-type]
                finding=finding or None, message=message, hint="Its cause\nLook here: train.py.\nIts question?",
            )
        )  # fmt: skip
    recorded = {} if accuracy is None else {"accuracy": {"test": accuracy, "floor": 0.9, "tiers": [], "remarks": []}}
    submission = {"name": id, "digest": "d", "notes": list(notes)}
    result = Result("2026-12-02T08:00:00Z", 1.0, 7, submission, {}, tuple(made), recorded, sections=WEEK.sections)
    return Row(id, result=result if checks else None, status="graded" if checks else NOTHING, **more)


THEN = [row("a", "failed one", "passed"), row("b", "failed one", "passed"), row("c", "passed", "passed"), row("d")]
NOW = [
    row("a", "passed", "passed"),
    row("b", "failed two", "failed two"),
    row("c", "passed", "passed"),
    row("d", "passed"),
]
