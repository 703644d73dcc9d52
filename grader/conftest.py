"""One sentence where pytest is not the one of the environment that the assignment was installed in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.hasplugin("grader.plugin"):
        raise pytest.UsageError(
            f"The environment of the assignment is not active, this is the pytest of {sys.executable}. Activate it "
            f"(see README.md), or run `pip install -e .` in {ROOT}; then run `pytest grader/` again."
        )
