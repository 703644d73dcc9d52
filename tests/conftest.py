"""What most tests share: one warm worker, and a short way from files to a result."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from grader.authoring.course import load_course
from grader.classroom.grades import Row
from grader.contract import WEEK
from grader.engine.keys import APPLICATION, LENGTH, NAME
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Rubric, Tier, load_rubric
from grader.engine.run import grade
from grader.engine.servers import start_server
from grader.engine.submission.read import read
from grader.engine.worker.trusted.start import Server

Grade = Callable[..., Result]
LONG = ("corpus", "attacks")  # markers of long runs: only when asked for with -m


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--one-in", type=int, default=1, help="run one in N tests, every day another part of them")


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job: tests of Ctrl-C would wait
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left: list[pytest.Item] = []
    if not config.option.markexpr:
        left = [item for item in items if any(item.get_closest_marker(name) for name in LONG)]
    if (every := config.option.one_in) > 1:
        today = datetime.now(timezone.utc).toordinal() % every
        left += [item for number, item in enumerate(items) if number % every != today]
    if left:
        gone = set(left)
        items[:] = [item for item in items if item not in gone]
        config.hook.pytest_deselected(items=list(gone))


@pytest.fixture(scope="session", autouse=True)
def same_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A key that is the same in every session, here and in every process that tests start: runs can be repeated."""
    place = tmp_path_factory.mktemp("data")
    (place / APPLICATION).mkdir()
    (place / APPLICATION / NAME).write_text("5e" * LENGTH, encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(place))
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The warm worker of this system's default kind."""
    started = start_server(WEEK)
    yield started
    started.close()


@pytest.fixture(scope="session")
def spawned() -> Iterator[Server]:
    """The portable worker."""
    started = start_server(WEEK, "spawn")
    yield started
    started.close()


@pytest.fixture(scope="session")
def worth() -> Callable[..., int]:
    """worth("model", "raw-scores"): the points of parts and checks in the rubric as it is. worth(): all of them."""
    points, parts = load_rubric(WEEK).points, {check.id: check.part for check in WEEK.checks}
    return lambda *of: sum(p for name, p in points.items() if not of or name in of or parts[name] in of)


@pytest.fixture(scope="session")
def week() -> str:
    """The name of the week as it is: "week3"."""
    return f"week{load_course(WEEK.root)['week']}"


@pytest.fixture(scope="session")
def quick() -> Rubric:
    """The rubric with short limits, for submissions that never end."""
    rubric = load_rubric(WEEK)
    limits = dict(rubric.limits) | {"import_seconds": 4, "check_seconds": 4, "accuracy_seconds": 60, "stall_seconds": 3}
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
        submission = read(folder, WEEK, 64_000)
        return grade(submission, options.pop("server", server), rubric, **({"seed": 1} | options))

    return run


@pytest.fixture(scope="session")
def real_results(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """Results of real runs that reports are tested with: the reference, a skeleton, and one fault in each part."""
    from grader.corpus import entries as corpus

    def of(folder: str, name: str) -> dict[str, str]:
        return corpus.source_of(corpus.load(corpus.ROOT / "tests" / folder / f"{name}.toml"))

    rubric = load_rubric(WEEK)
    top = rubric.points[WEEK.tiered]
    steep = replace(rubric, tiers=(Tier(0.3, top // 3), Tier(0.999, top)))  # all but the last step is within reach
    submissions: dict[str, tuple[dict[str, str], list[str] | None]] = {
        "reference": (corpus.reference(), None),
        "skeleton": ({n: (corpus.ROOT / "assignment" / n).read_text("utf-8") for n in corpus.SUBMITTED}, None),
        "data": (of("chaffs", "no-scaling"), ["data", "model"]),
        "model": (of("chaffs", "softmax-output"), ["model"]),
        "training": (of("broken", "half-done"), ["training"]),
        "accuracy": (corpus.reference(), None),
    }
    results = {}
    for name, (files, parts) in submissions.items():
        folder = tmp_path_factory.mktemp(name)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        asked = steep if name == "accuracy" else rubric
        results[name] = grade(read(folder, WEEK, 64_000), server, asked, seed=1, parts=parts)
    return results


@pytest.fixture(scope="session")
def class_row() -> Callable[..., Row]:
    """class_row("anna", 74, email=...): a student with that score out of 100, None for one who handed in nothing."""

    def row(id: str, score: int | None = None, name: str = "", status: str = "", **keys: str) -> Row:
        if score is None:
            return Row(id, name, keys, **({"status": status} if status else {}))
        parts, share = WEEK.part_names, 100 // len(WEEK.part_names)
        checks = []
        for n, part in enumerate(parts):
            points = min(max(score - n * share, 0), share) if part != parts[-1] else max(score - n * share, 0)
            worth = share if part != parts[-1] else 100 - n * share
            wrong = None if points == worth else f"{part}-is-wrong"
            end = "passed" if wrong is None else "failed"
            checks.append(CheckResult(f"check-{n}", f"Check {n}", part, 1, end, points, worth, finding=wrong))
        if status == "not final":
            checks[0] = replace(checks[0], status="grader_error", score=0, finding=None)
        result = Result("2026-12-02T08:00:00Z", 1.0, 7, {"name": id, "digest": "d" * 8}, {}, tuple(checks))
        return Row(id, name, keys, result, status or "graded", seed=7, digest="d" * 8)

    return row
