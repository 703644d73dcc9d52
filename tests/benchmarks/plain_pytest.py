"""The same assertions as a plain in-process pytest: what whole_process.py compares the grader with.

python -m pytest tests/benchmarks/plain_pytest.py -c tests/benchmarks/plain.ini
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from in_process import InProcess

from grader.contract import WEEK

SUBMISSION = Path(os.environ.get("SUBMISSION", Path(__file__).resolve().parents[2] / "solution"))


@pytest.fixture(scope="session")
def student() -> InProcess:
    return InProcess(SUBMISSION, seed=1)


@pytest.mark.parametrize("check", WEEK.checks, ids=lambda check: check.id)
def test_check(check, student) -> None:
    check.function(student)
