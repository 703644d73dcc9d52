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
from grader.engine.front import ahead
from grader.engine.hints import load_hints
from grader.engine.keys import BadKey, Key, installation_key, read_key
from grader.engine.printable import one_line
from grader.engine.result import Result
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.run import Run
from grader.engine.run_folders import sweep_stale
from grader.engine.servers import start_server
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
        key = read_key(config.invocation_params.dir / options.key) if options.key else installation_key()
        seed = seed_in(options.seed, key) if options.seed else None
        pool = contract.pool(config.invocation_params.dir / options.pool) if options.pool else None
    except (NoSubmission, BadRubric, BadKey, BadSeed, GraderTrouble) as error:
        raise no_score(config, str(error)) from error
    if options.worker == "fork" and not sys.platform.startswith("linux"):
        raise pytest.UsageError("--worker=fork works on Linux only; leave it out.")
    try:
        isolation = None if options.isolation == "best" else options.isolation
        server = ahead.taken(config) or start_server(contract, options.worker, isolation)
    except NotConfined as error:
        advice = " Leave --isolation=confined out to run in practice mode."
        raise no_score(config, f"This run was to be confined. {error}", advice) from error
    return Run(submission, server, rubric, hints, seed=seed, key=key, pool=pool)


def no_score(config: pytest.Config, reason: str, advice: str = "") -> pytest.UsageError:
    """The end of a run that cannot begin. The reason goes to --report too, for whoever publishes it."""
    if config.option.report:
        reports.write_no_score(config.invocation_params.dir / config.option.report, reason)
    return pytest.UsageError(one_line(reason, 1000) + advice)


class BadSeed(ValueError):
    """--seed is no seed, or belongs to another key; the message is one sentence."""


def seed_in(text: str, key: Key) -> int:
    """The seed in "123" or in "123@FINGERPRINT", as it is printed at the end of a run with -v. Raises BadSeed."""
    number, _, fingerprint = text.partition("@")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise BadSeed(f"--seed={text} is not a seed; write it as it was printed, such as --seed=123@{key.fingerprint}.")
    if fingerprint and fingerprint != key.fingerprint:
        raise BadSeed(
            f"The seed {number} was used with the key {fingerprint}, and this installation has {key.fingerprint}: "
            f"give that key with --key=FILE, or --seed={number} alone for a run with other inputs."
        )
    return int(number)


class Host:
    """Runs each collected check through the engine, and ends the run with its reports."""

    def __init__(self, config: pytest.Config, run: Run):
        self.config, self.run, self.contract = config, run, run.contract
        self.checks: list[Check] = []
        self.result: Result | None = None
        self.going_on = self.contract.live.waiting
        self.run.asking.on_progress = self.show_progress
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
        # Without a selection all checks are expected, whether they were collected or not.
        option = self.config.option
        narrowed = option.markexpr or option.keyword or option.deselect or option.ignore or option.ignore_glob
        if narrowed or any("::" in str(a) or str(a).endswith(".py") for a in self.config.args):
            self.checks = [c for c in known.values() if c.id in selected]
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
            pytest.fail(f"[{result.status}] " + "\n".join(result.texts), pytrace=False)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if int(exitstatus) not in (0, 1) or not self.checks:
            return
        self.result = self.run.result(self.checks)
        if self.config.option.report:
            reports.write(self.result, self.config.invocation_params.dir / self.config.option.report)
        if not self.result.final:
            session.exitstatus = TROUBLE

    def show_progress(self, numbers: Mapping[str, Any]) -> None:
        if words := self.contract.live.told(numbers):
            self.going_on = words
            self.on_change()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.run.server.close()
            self.run.close()
