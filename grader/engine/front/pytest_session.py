"""What the pytest plugin does once grader/ is collected: each collected check runs through the engine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from grader.engine import reports
from grader.engine.check import Check, GraderTrouble
from grader.engine.contract import Contract
from grader.engine.hints import load_hints
from grader.engine.result import Result
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.run import Run, start_server
from grader.engine.run_folders import sweep_stale
from grader.engine.submission.read import NoSubmission, read
from grader.engine.worker.tiers import NotConfined

TROUBLE = 3  # exit status when a check ended as grader_error


def open_run(config: pytest.Config, contract: Contract) -> Run:
    """Read the submission and start the worker at once; what is wrong ends pytest with one sentence (exit 4)."""
    options = config.option
    sweep_stale()
    try:
        rubric = load_rubric(contract)
        hints = load_hints(contract)
        contract.verify()
        path = Path(options.submission) if options.submission else contract.root / contract.work
        submission = read(config.invocation_params.dir / path, contract, int(rubric.limits["file_bytes"]))
    except (NoSubmission, BadRubric, GraderTrouble) as error:
        raise pytest.UsageError(str(error)) from error
    if options.worker == "fork" and not sys.platform.startswith("linux"):
        raise pytest.UsageError("--worker=fork works on Linux only; leave it out.")
    try:
        server = start_server(contract, options.worker, isolation=options.isolation)
    except NotConfined as error:
        raise pytest.UsageError(f"{error} Leave --isolation=confined out to run in practice mode.") from error
    return Run(submission, server, rubric, hints, seed=options.seed)


class Host:
    """Runs each collected check through the engine, and ends the run with its reports."""

    def __init__(self, config: pytest.Config, run: Run):
        self.config, self.run, self.contract = config, run, run.contract
        self.checks: list[Check] = []
        self.result: Result | None = None
        self.going_on = self.contract.live.waiting
        self.run.asking.on_progress = self.show_epoch
        self.on_change: Any = lambda: None
        self.closed = False

    @pytest.fixture
    def student(self) -> None:
        """Checks ask for it by name; the engine hands them the real one."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = self.contract.check
        ours = [item for item in items if self.check_of(item) is not None]
        order = [check.id for check in self.contract.in_run_order(list(known.values()))]
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
            self.going_on = f"{self.contract.live.running}, epoch {epoch}"
            self.on_change()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.run.server.close()
            self.run.close()
