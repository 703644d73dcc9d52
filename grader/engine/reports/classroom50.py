"""What Classroom 50 reads: result.json, release-body.md, and the status and summary lines of its runner.

The shape is checked by `validate_result` in runner.py of foundation50/classroom50, and again when scores are
collected. The runner stamps owner, assignment_type, datetime and graded_at itself; they are here so that the file
is complete without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from grader.engine.printable import one_line
from grader.engine.reports.github import shortened
from grader.engine.reports.markdown import summary
from grader.engine.result import Result

SCHEMA = "classroom50/result/v1"
TAG = re.compile(r"submit/(\d{4}-\d\d-\d\d)T(\d\d)[-:](\d\d)[-:](\d\d)Z")
BODY_BYTES = 100_000  # a release's text may have 125,000 characters


class NotClassroom50(KeyError):
    """The environment lacks what Classroom 50's runner gives to an autograder; the message names it."""


def result_json(result: Result, environment: Mapping[str, str]) -> dict[str, Any]:
    """result.json. environment: what the runner gave (CLASSROOM, ASSIGNMENT, SUBMISSION_TAG, ...).

    Raises NotClassroom50.
    """
    missing = [n for n in ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL") if not environment.get(n)]
    if missing:
        raise NotClassroom50(f"Classroom 50's runner sets {', '.join(missing)}; it is missing here")
    commit = environment["COMMIT_URL"]
    return {
        "schema": SCHEMA,
        "classroom": environment["CLASSROOM"],
        "assignment": environment["ASSIGNMENT"],
        "assignment_type": environment.get("ASSIGNMENT_TYPE") or "individual",
        "owner": environment.get("OWNER") or environment.get("USERNAME") or "unknown",
        "submission": environment["SUBMISSION_TAG"],
        "commit": commit,
        "release": environment.get("RELEASE_URL") or commit,
        "review": environment.get("REVIEW_URL") or commit,
        "datetime": submitted_at(environment["SUBMISSION_TAG"]) or result.started_at,
        "graded_at": result.started_at,
        "score": result.score,
        "max-score": result.max_score,
        "tests": tests(result),
    }


def tests(result: Result) -> list[dict[str, Any]]:
    """Each check as Classroom 50 keeps it in result.json and in scores.json."""
    return [
        {
            "test-name": one_line(f"{check.part.capitalize()}: {check.title}", 200),
            "passed": check.status == "passed",
            "score": check.score,
            "max-score": check.max_score,
            "status": check.status,
            "finding": one_line(check.finding or "", 100) or None,
            "message": one_line(check.message, 1000),
        }
        for check in result.checks
    ]


def submitted_at(tag: str) -> str:
    """The instant in a submission tag (submit/2026-02-02T10-20-30Z-...), "" when there is none."""
    found = TAG.match(tag)
    return f"{found[1]}T{found[2]}:{found[3]}:{found[4]}Z" if found else ""


def release_body(result: Result) -> str:
    """release-body.md: Markdown for the release of the submission."""
    return shortened(summary(result), BODY_BYTES)


def outputs(result: Result) -> str:
    """The lines status= and summary= for $GITHUB_OUTPUT.

    "success" when all checks pass, "failure" when one does not, "error" when the grader itself had trouble.
    """
    passed = sum(check.status == "passed" for check in result.checks)
    status = "error" if not result.final else "success" if passed == len(result.checks) else "failure"
    score = f"{result.score}/{result.max_score}" if result.final else "no score"
    return f"status={status}\nsummary={score} ({passed}/{len(result.checks)} checks pass)\n"
