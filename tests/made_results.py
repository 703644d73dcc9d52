"""Results for tests of reports: of real runs, and one with texts a hostile submission could put into it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from grader.engine.result import Result

ROOT = Path(__file__).resolve().parents[1]
SCORE = json.loads((ROOT / "grader" / "score.schema.json").read_text("utf-8"))
NAMES = ("reference", "skeleton", "data", "model", "training", "accuracy")
HOSTILE = (
    "\x1b[31m\x1b]0;t\x07<script>alert(1)</script><img src=x onerror=alert(1)>](javascript:alert(1)) ]]> `` ``` ~~~\n"
    '::set-output name=score::100\n::error::x\r##[error]y\r\n=HYPERLINK("http://evil.example")\n|a|b|\n# Heading\n'
    "@teacher #1 \u202egnp.exe\x00 {{ 7*7 }} {% raw %} &amp; </pre></style></details> %0A::notice::z \ud800 "
    + "A"
    * 100_000
)


def poisoned(result: Result) -> Result:
    """The result with hostile text wherever a submission could put some, and more."""
    frame = {"file": HOSTILE[:900], "line": 3, "function": HOSTILE[:900], "text": HOSTILE[:900]}
    checks = tuple(
        replace(
            check, title=HOSTILE, message=HOSTILE, hint=HOSTILE, finding=HOSTILE, frames=(frame,),
            status="failed" if check.status == "passed" else check.status, score=0,
        )
        for check in result.checks
    )  # fmt: skip
    submission = {"name": HOSTILE, "digest": HOSTILE, "notes": [HOSTILE]}
    grader = {"version": HOSTILE, "digest": HOSTILE, "isolation": HOSTILE, "worker": HOSTILE}
    return replace(result, checks=checks, submission=submission, grader=grader, prints=HOSTILE, started_at=HOSTILE)


@pytest.fixture(scope="session", params=[*NAMES, "hostile"], name="result")
def each_result(request, real_results) -> Result:
    return poisoned(real_results["accuracy"]) if request.param == "hostile" else real_results[request.param]
