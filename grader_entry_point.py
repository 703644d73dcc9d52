"""Finds the grader that `pytest grader/` names and loads it: all that `pip install` puts beside the libraries.

One environment can hold several weeks. Whichever was installed, the one on the command line is run: this module is
small and the same in every week, and `grader` itself is never installed, only loaded from its folder. Where pytest is
asked for something else, nothing is loaded.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

WORK = "assignment"  # the folder of a student's work, beside grader/
# options of ours, not known to pytest yet, whose value is no test path
TAKE_A_VALUE = ("--submission", "--report", "--key", "--pool", "--seed", "--isolation", "--worker")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Now, because pytest must know the grader's options before it looks for test paths and their conftest.py."""
    config: pytest.Config | None = pluginmanager.getplugin("pytestconfig")
    if config is not None and (folder := find(parser, config.invocation_params)):
        pluginmanager.register(load(folder), "grader.plugin")


def find(parser: pytest.Parser, asked: pytest.Config.InvocationParams) -> Path | None:
    """The grader/ folder that is meant: one that a test path is or lies in; without test paths, that of the current
    folder. Where a path is the folder of a student's work beside grader/, or is called almost like it, that one too: it
    says how it is started.
    """
    known, unknown = parser.parse_known_and_unknown_args(without_values(asked.args))
    paths = [*known.file_or_dir, *(argument for argument in unknown if not argument.startswith("-"))]
    for given in paths:
        path = Path(asked.dir, str(given).split("::")[0]).resolve()
        for folder in (path, *path.parents):
            if is_grader(folder):
                return folder
    here = Path(asked.dir).resolve()
    if not paths:
        near = (
            here / "grader",
            *(folder for folder in (here, *here.parents) if is_grader(folder)),
            here.parent / "grader",
        )
        return next((folder for folder in near if is_grader(folder)), None)
    for given in paths:
        path = Path(here, str(given).split("::")[0]).resolve()
        misspelt = not path.exists() and difflib.get_close_matches(path.name.lower(), ["grader"], cutoff=0.7)
        work = next((folder for folder in (path, *path.parents) if folder.name == WORK), None)
        if (of := path if misspelt else work) is not None and is_grader(of.parent / "grader"):
            return of.parent / "grader"
    return None


def without_values(arguments: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The arguments without `--submission DIR` and the like; `--submission=DIR` is no test path for anybody."""
    kept = list[str]()
    left = iter([os.fspath(argument) for argument in arguments])
    for argument in left:
        if argument in TAKE_A_VALUE:
            next(left, None)
        else:
            kept.append(argument)
    return kept


def is_grader(folder: Path) -> bool:
    return folder.name == "grader" and (folder / "plugin.py").is_file() and (folder / "rubric.toml").is_file()


def load(folder: Path) -> ModuleType:
    """grader.plugin of this folder. Raises pytest.UsageError when another `grader` is in use already."""
    sys.path.insert(0, str(folder.parent))
    try:
        package = importlib.import_module("grader")
    finally:
        sys.path.remove(str(folder.parent))  # what else lies in a student's folder must not stand in for a library
    if package.__file__ is None or not os.path.samefile(package.__file__, folder / "__init__.py"):
        raise pytest.UsageError(
            f"This process has loaded {package.__file__} as grader before: start pytest anew to grade with {folder}."
        )
    return importlib.import_module("grader.plugin")
