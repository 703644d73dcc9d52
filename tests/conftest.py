"""What most tests share: one warm worker, and a short way from files to a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.result import Result
from grader.rubric import Rubric, load_rubric
from grader.run import Server, grade, start_server
from grader.submission import read

Grade = Callable[..., Result]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The warm worker of this system's default kind."""
    started = start_server()
    yield started
    started.close()


@pytest.fixture(scope="session")
def spawned() -> Iterator[Server]:
    """The portable worker."""
    started = start_server("spawn")
    yield started
    started.close()


@pytest.fixture(scope="session")
def quick() -> Rubric:
    """The rubric with short limits, for submissions that never end."""
    rubric = load_rubric()
    limits = dict(rubric.limits) | {"import_seconds": 4, "check_seconds": 4, "accuracy_seconds": 60}
    return replace(rubric, limits=limits)


@pytest.fixture
def graded(server: Server, tmp_path: Path) -> Grade:
    """graded({"model.py": text, ...}) or graded(folder): the result, with the shared worker."""

    def run(what: dict[str, str] | Path, rubric: Rubric | None = None, **options: Any) -> Result:
        folder = what if isinstance(what, Path) else tmp_path / "submission"
        if isinstance(what, dict):
            folder.mkdir(exist_ok=True)
            for name, text in what.items():
                (folder / name).write_text(text, encoding="utf-8")
        submission = read(folder, 64_000)
        return grade(submission, options.pop("server", server), rubric, **({"seed": 1} | options))

    return run
