"""The same assertions as a plain in-process pytest: what whole_process.py compares the grader with.

python -m pytest tests/benchmarks/plain_pytest.py -c tests/benchmarks/plain.ini
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.engine.run import Run, surroundings
from grader.engine.submission.read import read
from grader.engine.worker.in_process import InProcessServer

SUBMISSION = Path(os.environ.get("SUBMISSION", WEEK.root / "solution"))


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    server = InProcessServer(surroundings(WEEK))
    started = Run(read(SUBMISSION, WEEK, 64_000), server, seed=1)
    yield started
    started.close()
    server.close()


@pytest.mark.parametrize("check", WEEK.checks, ids=lambda check: check.id)
def test_check(check, run) -> None:
    check.function(run.student(check))
