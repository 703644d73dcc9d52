"""Tests read the configuration: some of them, run in a copy in which everything is changed that a teacher may change.

All of them: see tests/reconfigured.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.corpus

ROOT = Path(__file__).resolve().parents[1]
RUN = ("test_authoring.py", "test_contract.py", "test_hints.py", "test_skeleton_states.py")


def test_they_pass_after_a_teachers_changes(tmp_path):
    root = tmp_path / "other"
    subprocess.run([sys.executable, ROOT / "tests" / "reconfigured.py", root], check=True, capture_output=True)
    tests = [f"tests/{name}" for name in RUN]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests], cwd=root, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "# Week 55: Read what people write" in (root / "assignment" / "README.md").read_text(encoding="utf-8")
