"""From a finding to what students read of a check, and the last look over all checks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grader.checks import TODOS, Check, Finding
from grader.outcomes import definition, frames_of
from grader.probes import Raised
from grader.result import CheckResult
from grader.rubric import Hint
from grader.submission import Submission
from grader.text import clean


def check_result(
    check: Check,
    points: int,
    status: str,
    finding: Finding | None,
    hints: Mapping[str, Hint],
    seconds: float,
    frames: tuple[dict[str, Any], ...] = (),
) -> CheckResult:
    """A check's result in words: the finding's hint filled with its facts, and the points that it leaves."""
    score = points if status == "passed" else 0
    message = hint = ""
    if finding is not None:
        score = score or int(round(points * finding.share))
        text = hints.get(finding.id)
        if text is not None:
            message = f"{text.filled('title', finding.facts)}. {text.filled('seen', finding.facts)}"
            cause, look, question = (text.filled(field, finding.facts) for field in ("cause", "look", "question"))
            hint = f"{cause}\nLook here: {look}\n{question}"
        else:
            message = f"{finding.id}: {dict(finding.facts)}"
    return CheckResult(
        id=check.id,
        title=check.title,
        part=check.part,
        todo=todo_of(check, finding),
        status=status,
        score=score,
        max_score=points,
        finding=finding.id if finding is not None else None,
        message=clean(message),
        hint=clean(hint),
        seconds=round(seconds, 3),
        frames=frames,
    )


def todo_of(check: Check, finding: Finding | None) -> int:
    """Where the fault is: what the finding says, else the check's own TODO."""
    return finding.todo if finding is not None and finding.todo is not None else check.todo


def own_lines(submission: Submission, todo: int, raised: Raised | None) -> tuple[dict[str, Any], ...]:
    """The student's own lines behind a finding: those an error went through, or where the TODO's function is."""
    file, function = TODOS.get(todo, ("", ""))
    found = frames_of(raised) or definition(file, function, submission.files.get(file, b""))
    if not submission.is_notebook:
        return found
    # cells have no line numbers that anything could point at
    return tuple(frame | {"file": submission.path.name, "line": 0} for frame in found[-1:])


def as_an_invitation(checks: list[CheckResult]) -> list[CheckResult]:
    """While nothing is solved, what waits for another TODO is simply still to do."""
    if any(c.status not in ("todo", "blocked") for c in checks):
        return checks
    return [replace(c, status="todo") for c in checks]


def point_to_cause(checks: list[CheckResult]) -> list[CheckResult]:
    """A low accuracy is a consequence: where a fault was named before it, the message says so."""
    causes = [c for c in checks if c.part != "accuracy" and c.status in ("failed", "crashed", "timeout")]
    if not causes:
        return checks
    cause = causes[0].message.split(". ")[0]
    note = f" The likely cause was named above: {cause}."
    return [
        replace(c, message=c.message + note) if c.part == "accuracy" and c.status == "failed" else c for c in checks
    ]
