"""What the pytest plugin does once grader/ is collected: hosts a Run, and reports calmly instead of in red."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter
from rich.console import RenderableType
from rich.live import Live

from grader import reports
from grader.checks import Check, all_checks
from grader.digits import DigitsDamaged, load
from grader.folders import sweep_stale
from grader.reports import terminal
from grader.reports.words import isolation_words
from grader.result import Result
from grader.rubric import BadRubric, load_hints, load_rubric
from grader.run import Run, in_run_order, start_server
from grader.submission import NoSubmission, read
from grader.worker.confine import NotConfined

ROOT = Path(__file__).resolve().parents[1]
TROUBLE = 3  # exit status when a check ended as grader_error


def open_run(config: pytest.Config) -> Run:
    """Read the submission and start the worker at once; what is wrong ends pytest with one sentence (exit 4)."""
    options = config.option
    sweep_stale()
    try:
        rubric = load_rubric()
        hints = load_hints()
        load()
        path = Path(options.submission) if options.submission else ROOT / "assignment"
        submission = read(config.invocation_params.dir / path, int(rubric.limits["file_bytes"]))
    except (NoSubmission, BadRubric, DigitsDamaged) as error:
        raise pytest.UsageError(str(error)) from error
    if options.worker == "fork" and not sys.platform.startswith("linux"):
        raise pytest.UsageError("--worker=fork works on Linux only; leave it out.")
    try:
        server = start_server(options.worker, isolation=options.isolation)
    except NotConfined as error:
        raise pytest.UsageError(f"{error} Leave --isolation=confined out to run in practice mode.") from error
    return Run(submission, server, rubric, hints, seed=options.seed)


class Host:
    """Runs each collected check through the engine, and ends the run with its reports."""

    def __init__(self, config: pytest.Config, run: Run):
        self.config, self.run = config, run
        self.checks: list[Check] = []
        self.result: Result | None = None
        self.training = ""
        self.run.on_progress = self.show_epoch
        self.on_change: Any = lambda: None
        self.closed = False

    @pytest.fixture
    def student(self) -> None:
        """Checks ask for it by name; the engine hands them the real one."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = {check.id: check for check in all_checks()}
        ours = [item for item in items if self.check_of(item) is not None]
        order = [check.id for check in in_run_order(list(known.values()))]
        ours.sort(key=lambda item: order.index(self.check_of(item).id))  # type: ignore[union-attr]
        items[:] = ours + [item for item in items if item not in ours]
        selected = {self.check_of(item).id for item in ours}  # type: ignore[union-attr]
        parts = {known[name].part for name in selected}
        # Without a selection all checks are expected, whether they were collected or not.
        narrowed = bool(self.config.option.markexpr or self.config.option.keyword)
        if narrowed or any("::" in str(a) or str(a).endswith(".py") for a in self.config.args):
            self.checks = [c for c in known.values() if c.id in selected and c.part in parts]
        else:
            self.checks = list(known.values())
        backstop = self.run.rubric.limits["run_seconds"] + 120
        for item in ours:
            item.add_marker(pytest.mark.timeout(backstop))

    def check_of(self, item: pytest.Item) -> Check | None:
        return getattr(getattr(item, "obj", None), "declared_check", None)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:
            self.run.begin(self.checks)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        check = self.check_of(pyfuncitem)
        if check is None:
            return None
        result = self.run.check(check)
        pyfuncitem.user_properties += [("points", result.score), ("max_points", result.max_score)]
        self.on_change()
        if result.status != "passed":
            pytest.fail(f"[{result.status}] {result.message}\n{result.hint}".strip(), pytrace=False)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if int(exitstatus) not in (0, 1) or not self.checks:
            return
        self.result = self.run.result(self.checks)
        if self.config.option.report:
            reports.write(self.result, self.config.invocation_params.dir / self.config.option.report)
        if any(check.status == "grader_error" for check in self.result.checks):
            session.exitstatus = TROUBLE

    def show_epoch(self, numbers: Mapping[str, Any]) -> None:
        epoch = numbers.get("epoch")
        if type(epoch) is int and 0 < epoch < 100_000:
            self.training = f"training on secret digits, epoch {epoch}"
            self.on_change()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.run.server.close()
            self.run.close()


class CalmReporter(TerminalReporter):  # type: ignore[misc]  # final, but made to be replaced like this
    """In the place of pytest's own terminal reporter: a live line a part, then the report."""

    def __init__(self, config: pytest.Config, host: Host):
        super().__init__(config, sys.stdout)
        self.host, self.console = host, terminal.console()
        self.live: Live | None = None
        self.told: set[str] = set()
        host.on_change = self.refresh

    def refresh(self) -> None:
        picture = terminal.progress(self.host.checks, self.host.run.results, self.host.training)
        if self.console.is_terminal:
            if self.live is None:
                self.live = Live(picture, console=self.console, transient=True, auto_refresh=False)
                self.live.start()
            self.live.update(picture, refresh=True)
            return
        done = self.host.run.results
        for part in {check.part for check in self.host.checks} - self.told:
            own = [check for check in self.host.checks if check.part == part]
            if own and all(check.id in done for check in own):
                self.told.add(part)
                self.console.print(f"checked: {part}", style="dim")

    def show(self, report: RenderableType) -> None:
        """Print the report; where it goes to a file or a log, without the spaces that fill up a line."""
        if self.console.is_terminal:
            self.console.print(report, markup=False)
            return
        with self.console.capture() as captured:
            self.console.print(report, markup=False)
        for line in captured.get().splitlines():
            self.console.print(line.rstrip(), markup=False, soft_wrap=True)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    # -- what pytest's reporter would print and this one does not ----------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self.console.print(f"Grading {self.host.run.submission.path}")
        for note in self.host.run.submission.notes:
            self.console.print(note, style="dim", markup=False)

    def pytest_collection(self) -> None: ...

    def pytest_collection_finish(self, session: pytest.Session) -> None: ...

    def report_collect(self, final: bool = False) -> None: ...

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None: ...

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._tests_ran = True
        if report.failed and report.when != "call":
            self.stats.setdefault("error", []).append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None: ...

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Any:
        outcome = yield
        self.stop()
        if int(exitstatus) == pytest.ExitCode.NO_TESTS_COLLECTED:
            self.console.print("No check matches; the parts for -m are data, model, training, accuracy.")
        if int(exitstatus) == pytest.ExitCode.INTERRUPTED:
            done, all_of_them = len(self.host.run.results), len(self.host.checks)
            self.console.print(
                f"\nStopped after {done} of {all_of_them} checks: there is no score, and nothing is left running."
            )
        self.summary_errors()
        result = self.host.result
        if result is not None:
            self.show(terminal.report(result, self.config.option.all_hints))
            if self.config.option.report:
                page = Path(self.config.option.report) / "report.html"
                self.console.print(f"The report to open: {page}", style="dim", markup=False)
            self.console.print(f"Isolation: {isolation_words(result)}", style="dim", markup=False, soft_wrap=True)
            self.console.print(f"To repeat this run exactly: --seed={result.seed}", style="dim")
        return outcome

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.stop()

    def pytest_unconfigure(self) -> None:
        self.stop()
