"""The same assertions as a plain in-process pytest: what whole_process.py compares the grader with.

python -m pytest tests/benchmarks/plain_pytest.py -c tests/benchmarks/plain.ini
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plain_checks import CHECKS, demand

from grader.contract import WEEK

SUBMISSION = Path(os.environ.get("SUBMISSION", WEEK.root / "solution"))


@pytest.mark.parametrize("check", CHECKS)
def test_check(check) -> None:
    demand(check, SUBMISSION)
