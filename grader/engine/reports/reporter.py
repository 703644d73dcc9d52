"""What the reporter of GitHub Classroom's old workflows reads, and .github/classroom/autograding.json.

classroom-resources/autograding-grading-reporter (v1) takes, for each name in its input `runners`, the base64 of this
dict from the variable NAME_RESULTS. It adds up the `score` of every test, failed ones too; a missing one gives NaN.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from grader.engine.printable import clean, one_line
from grader.engine.result import Result

TIMEOUT_MINUTES = 15


def report(result: Result) -> dict[str, Any]:
    """The dict, version 1. Every number in it is an integer."""
    passed = all(check.status == "passed" for check in result.checks)
    return {
        "version": 1,
        "status": "error" if not result.final else "pass" if passed else "fail",
        "max_score": result.max_score,
        "tests": [
            {
                "name": one_line(check.title, 200),
                "status": {"passed": "pass", "grader_error": "error"}.get(check.status, "fail"),
                "score": check.score,
                "message": clean("\n".join(check.texts))[:2000],
                "test_code": "",
                "filename": "",
                "line_no": 0,
                "duration": round(1000 * check.seconds),
            }
            for check in result.checks
        ],
    }


def encoded(result: Result) -> str:
    """The dict as base64 of UTF-8 JSON, as the reporter takes it; "" without a score, which it would add up to one."""
    if not result.final:
        return ""
    return base64.b64encode(json.dumps(report(result)).encode("utf-8")).decode("ascii")


def autograding_json(
    parts: dict[str, int], setup: str = "pip install -e .", run: str = "pytest grader/ -m {part}"
) -> dict[str, Any]:
    """.github/classroom/autograding.json for education/autograding: one test per part.

    That runner knows only passed (all of a test's points) and failed (none), so partial points need the reporter
    above. Timeouts are in minutes. parts: {name: points}.
    """
    return {
        "tests": [
            {
                "name": part.capitalize(),
                "setup": setup,
                "run": run.format(part=part),
                "input": "",
                "output": "",
                "comparison": "included",
                "timeout": TIMEOUT_MINUTES,
                "points": points,
            }
            for part, points in parts.items()
        ]
    }
