"""In the place of pytest's own terminal reporter: calm instead of red."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter
from rich.console import RenderableType
from rich.live import Live

from grader.engine import trouble
from grader.engine.contract import Pool
from grader.engine.front.pytest_session import Host
from grader.engine.keys import Key, key_path
from grader.engine.printable import one_line
from grader.engine.reports import terminal
from grader.engine.reports.words import isolation_words


class CalmReporter(TerminalReporter):  # type: ignore[misc]  # final, but made to be replaced like this
    """In the place of pytest's own terminal reporter: one live line per part, then the report."""

    def __init__(self, config: pytest.Config, host: Host):
        super().__init__(config, sys.stdout)
        self.host, self.console = host, terminal.console()
        self.live: Live | None = None
        self.told: set[str] = set()
        host.on_change = self.refresh

    def refresh(self) -> None:
        long = self.host.contract.part_of(self.host.contract.long)
        picture = terminal.progress(self.host.checks, self.host.run.results, long, self.host.going_on)
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
        for line in captured.get().split("\n"):
            self.console.print(no_command(line.rstrip()), markup=False, soft_wrap=True)

    def say(self, text: str, style: str = "dim") -> None:
        """Print a sentence that may hold somebody else's words (a path, a note): one clean line, no markup."""
        self.console.print(no_command(one_line(text, 2000)), style=style, markup=False, soft_wrap=True)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    # -- what pytest's reporter would print and this one does not ----------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self.say(f"Grading {self.host.run.submission.path}", style="")
        for note in self.host.run.submission.notes:
            self.say(note)

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
            self.console.print(f"No check matches; the parts for -m are {', '.join(self.host.contract.part_names)}.")
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
                self.say(f"The report to open: {page}")
            if result.trouble:
                if not result.final and self.host.contract.known_good():  # the course's own repository
                    for line in result.trouble.splitlines():
                        self.console.print(no_command(line), style="dim", markup=False, highlight=False, soft_wrap=True)
                self.say(trouble.line(self.config.option.report))
            if self.config.option.verbose > 0:  # score.json and report.html have it in any case
                self.say(f"Isolation: {isolation_words(result)}")
                self.say(repeat_words(self.host.run.seed, self.host.run.key, self.host.run.notes.pool))
        return outcome

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.stop()

    def pytest_unconfigure(self) -> None:
        self.stop()


def no_command(line: str) -> str:
    """A line that no workflow of GitHub takes as a command: the runner reads "::name ...::" at the start of a line,
    after any spaces, and "##[name]" anywhere (ActionCommand.cs in actions/runner)."""
    line = line.replace("##[", "# #[")
    return f"| {line}" if line.lstrip().startswith("::") else line


def repeat_words(seed: int, key: Key, pool: Pool | None = None) -> str:
    """How to have this run again: the seed, and which key it goes with."""
    if not key.kept:
        return f"This run cannot be repeated: its key could not be kept in {key_path()}."
    needed = "the key of this installation" + (f", and --pool with the same data, {pool.fingerprint}" if pool else "")
    return f"To repeat this run exactly: --seed={seed}@{key.fingerprint} (with {needed})"
