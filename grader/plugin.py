"""Binds pytest to the engine: `pytest grader/ --submission=DIR`.

Loaded by grader_entry_point.py, and not a conftest.py: pytest must know these options before it looks at its command
line, or the value of --submission would count as a test path and its conftest.py would run here. Inert unless grader/
is collected.
"""

from __future__ import annotations

import difflib
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from grader.engine.front.pytest_session import Host

GRADER = Path(__file__).resolve().parent
ROOT = GRADER.parent
GRADING = pytest.StashKey[bool]()
WORK = "assignment"  # beside grader/, the folder that a student gets
OPTIONS = ("--submission", "--report", "--seed", "--key", "--pool", "--isolation", "--worker", "--all-hints")
# options of pytest with which no test is run
ONLY_SHOWN = ("collectonly", "help", "version", "markers", "showfixtures", "show_fixtures_per_test")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    group = parser.getgroup("grader", "grading (pytest grader/)")
    group.addoption("--submission", metavar="DIR", help="a folder with the submitted files, or a notebook")
    group.addoption("--report", metavar="DIR", help="write score.json, summary.md and the other reports there")
    group.addoption("--seed", help="the run's seed; without it a fresh one is drawn, which -v prints")
    group.addoption("--key", metavar="FILE", help="the key that goes with the seed (default: this installation's own)")
    group.addoption(
        "--pool", metavar="DIR", help="draw the run's data from this folder of yours, for a score of record"
    )
    tiers = "demand a tier of isolation (default: best, what can be had)"
    group.addoption("--isolation", choices=("best", "practice", "confined"), help=tiers)
    group.addoption("--worker", choices=("fork", "spawn"), help="how student code is run (default: fork on Linux)")
    group.addoption("--all-hints", action="store_true", help="show every finding, not only the next step")
    config: pytest.Config | None = pluginmanager.getplugin("pytestconfig")
    if config is not None:
        start_ahead(config, parser)


def start_ahead(config: pytest.Config, parser: pytest.Parser) -> None:
    """Start the worker now where it is plain that grader/ will run. What is wrong is said later, in its place."""
    known, unknown = parser.parse_known_and_unknown_args(list(map(str, config.invocation_params.args)))
    paths = [(config.invocation_params.dir / str(path).split("::")[0]).resolve() for path in known.file_or_dir]
    if paths != [GRADER] or any(getattr(known, name, False) for name in ONLY_SHOWN):
        return
    if known.isolation not in (None, "best") or known.worker == "fork" and not sys.platform.startswith("linux"):
        return
    try:
        from grader.contract import WEEK
        from grader.engine.front import ahead
        from grader.engine.worker.processes import ServerFailed
    except (ImportError, ValueError):
        return
    end_on_request()
    try:
        ahead.begin(config, WEEK, known.worker)
    except (OSError, ServerFailed):
        pass


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, Any, Any]:
    """Before any conftest.py is loaded, and before pytest begins to capture output."""
    paths = paths_to_collect(early_config, parser, args)
    if any(GRADER in (path, *path.parents) for path in paths):
        refuse_misspelt(parser, args)
    guard(early_config, paths)
    return (yield)


def refuse_misspelt(parser: pytest.Parser, args: list[str]) -> None:
    """An option that nobody knows: the one that is meant, before its value counts as a test path."""
    unknown = [argument.partition("=")[0] for argument in parser.parse_known_and_unknown_args(args)[1]]
    for name in (name for name in unknown if name.startswith("--") and len(name) > 2):
        close = difflib.get_close_matches(name, OPTIONS, 1)
        meant = f"Did you mean {close[0]}?" if close else f"The grader's own are {', '.join(OPTIONS)}."
        raise pytest.UsageError(f"There is no option {name}. {meant}")


def paths_to_collect(config: pytest.Config, parser: pytest.Parser, args: list[str]) -> list[Path]:
    """The test paths of the command line; without any, those of the settings when pytest runs beside them."""
    known, unknown = parser.parse_known_and_unknown_args(args)
    given = [*known.file_or_dir, *(argument for argument in unknown if not argument.startswith("-"))]
    start = config.invocation_params.dir
    if not given and start == config.rootpath:
        given = config.getini("testpaths")
    elif not given and (start == GRADER or GRADER in start.parents):
        given = [start]
    return [(start / str(path).split("::")[0]).resolve() for path in given]


def guard(config: pytest.Config, paths: list[Path]) -> None:
    """Note whether grader/ is collected, and refuse to run it beside other tests or under somebody else's settings."""
    ours = [path for path in paths if path == GRADER or GRADER in path.parents]
    others = [path for path in paths if path not in ours]
    config.stash[GRADING] = bool(ours)
    if strange := [path for path in others if any(map(looks_like_grader, (path, *path.parents)))]:
        raise pytest.UsageError(
            f"{strange[0]} belongs to another grader than {GRADER}: run pytest for one of them at a time; "
            f"if this is the only one that you named, run `pip install -e .` in the folder that holds it."
        )
    if not ours:
        if lost := [path for path in paths or [config.invocation_params.dir] if is_no_test(path)]:
            raise pytest.UsageError(
                f"There are no tests in {lost[0]}. Your work is graded with `pytest grader/`, in the folder {ROOT}."
            )
        if config.known_args_namespace.submission:
            raise pytest.UsageError("--submission goes with `pytest grader/`, and grader/ comes first.")
        return
    if others:
        raise pytest.UsageError(
            f"{others[0]} cannot be run together with grader/: write --submission={others[0]} to grade it, "
            f"or leave grader/ out to run its tests."
        )
    if config.rootpath != ROOT or config.inipath != ROOT / "pyproject.toml":
        raise pytest.UsageError(
            f"pytest took its settings from {config.inipath or config.rootpath}, not from the grader's own "
            f"folder {ROOT}: run it there, and write --submission=DIR with the equals sign."
        )
    # Nothing of the student's prints in this process, and progress must be seen at once.
    config.known_args_namespace.capture = "no"


def is_no_test(path: Path) -> bool:
    """The folder of a student's work beside grader/, something in it, or a misspelt grader/."""
    beside = path.parent == ROOT and not path.exists()
    return beside or ROOT / WORK in (path, *path.parents)


def looks_like_grader(path: Path) -> bool:
    """grader/ of another repository: to be refused with a sentence, not collected unguarded."""
    return path.name == "grader" and (path / "plugin.py").is_file() and (path / "rubric.toml").is_file()


@pytest.hookimpl(trylast=True)  # after pytest's own terminal reporter is there to be replaced
def pytest_configure(config: pytest.Config) -> None:
    if not config.stash.get(GRADING, False):
        return
    for stream in (sys.stdout, sys.stderr):  # a name or a print may hold what this terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    config.option.maxfail = 0  # -x: where checks are left out there is no score
    try:
        from grader.contract import WEEK
        from grader.engine.front.calm_reporter import CalmReporter
        from grader.engine.front.pytest_session import Host, open_run
    except ValueError as contradiction:  # of the table, which says where
        raise pytest.UsageError(f"grader/{contradiction}") from contradiction
    except ModuleNotFoundError as missing:
        raise pytest.UsageError(
            f"{missing.name} is not installed for {sys.executable}: run `pip install -e .` in the folder {ROOT}."
        ) from missing

    for part in WEEK.parts:  # so that `-m PART` is known to pytest
        config.addinivalue_line("markers", f"{part.name}: {part.title}")
    if any(getattr(config.option, name, False) for name in ONLY_SHOWN):
        return
    end_on_request()
    host = Host(config, open_run(config, WEEK))
    config.pluginmanager.register(host, "grader-host")
    standard = config.pluginmanager.getplugin("terminalreporter")
    if standard is not None:
        config.pluginmanager.unregister(standard)
        config.pluginmanager.register(CalmReporter(config, host), "terminalreporter")


def end_on_request() -> None:
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


def interrupt(*_: Any) -> None:
    """A request to end is treated like Ctrl-C: no process and no folder stay behind."""
    raise KeyboardInterrupt


def pytest_unconfigure(config: pytest.Config) -> None:
    host: Host | None = config.pluginmanager.getplugin("grader-host")
    if host is not None:
        host.close()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make `-m PART` work: a check's part is its marker."""
    declared = getattr(getattr(item, "obj", None), "declared_check", None)
    if declared is not None:
        item.add_marker(declared.part)
