"""The one engine: runs checks on a submission and says what was found.

`grade` does a whole run. A host that runs the checks one by one (pytest) uses `Run` itself.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone

from grader.engine import VERSION
from grader.engine.asking import Asking
from grader.engine.check import Check, Failed, Finding, GraderTrouble
from grader.engine.contract import Contract
from grader.engine.endings import NotSeen, ProtocolBroken, asked, finding_of
from grader.engine.hints import Hint, load_hints
from grader.engine.keys import Key, installation_key
from grader.engine.own_lines import own_lines, without_lines
from grader.engine.printable import clean, one_line
from grader.engine.result import CheckResult, Result, Status
from grader.engine.rubric import Rubric, load_rubric
from grader.engine.run_folders import private_folder
from grader.engine.student import Notes, Student
from grader.engine.submission.manifest import grader_digest
from grader.engine.submission.read import Submission
from grader.engine.wording import as_an_invitation, check_result, point_to_cause, todo_of
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.trusted.start import OnProgress, Server, start

# What comes of an answer of another shape than a probe gives: somebody else than the probe wrote it
ODD_ANSWER = (TypeError, AttributeError, IndexError, KeyError, ValueError)

OnResult = Callable[[CheckResult], None]


def start_server(contract: Contract, kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server with what the week's probes need imported; for one run or for many."""
    return start(kind, private_folder(), isolation, surroundings(contract))


def surroundings(contract: Contract) -> Surroundings:
    """What a worker must know of a week."""
    return Surroundings(
        runtime=contract.module(contract.runtime),
        preload=tuple(map(contract.module, contract.preload)),
        code=(str(contract.folder / "__init__.py"), str(contract.folder / "probes")),
        hidden=str(contract.rubric_path),
    )


class Run:
    """One run: a submission, its seed, and what has been found so far."""

    def __init__(
        self,
        submission: Submission,
        server: Server,
        rubric: Rubric | None = None,
        hints: Mapping[str, Hint] | None = None,
        seed: int | None = None,
        on_progress: OnProgress | None = None,
        key: Key | None = None,
    ):
        self.contract: Contract = submission.contract
        self.submission, self.server = submission, server
        self.rubric = rubric or load_rubric(self.contract)
        self.hints = hints if hints is not None else load_hints(self.contract)
        self.seed = secrets.randbits(48) if seed is None else seed
        self.key = key or installation_key()
        self.started, self.started_at = time.monotonic(), datetime.now(timezone.utc)
        self.folder = private_folder()
        deadline = self.started + self.rubric.limits["run_seconds"]
        training_seed = self.key.number(self.seed, "student")  # what student code sees tells nothing about the run
        self.asking = Asking(submission, server, self.rubric, training_seed, self.folder, deadline)
        self.asking.on_progress = on_progress
        self.notes = Notes()
        self.results: dict[str, CheckResult] = {}
        self.beginning: threading.Thread | None = None

    # -- judging ---------------------------------------------------------------------------------------------

    def begin(self, checks: Sequence[Check]) -> None:
        """Start the long work: what the long check observes runs while the other checks do."""
        for check in checks:
            if check.begin is not None and not self.submission.problems:
                self.beginning = threading.Thread(target=self.begin_one, args=(check,), daemon=True)
                self.beginning.start()

    def begin_one(self, check: Check) -> None:
        """In a thread of its own: making the inputs takes as long as the worker needs to warm up."""
        assert check.begin is not None
        try:
            check.begin(self.student(check))
        except (OSError, GraderTrouble):
            pass  # the check meets it again in its turn, and reports it

    def student(self, check: Check) -> Student:
        return Student(check, self.asking, self.notes, self.rubric, lambda name: self.key.rng(self.seed, name))

    def check(self, check: Check) -> CheckResult:
        """Run one check. Only our own fault ends as grader_error; nothing is raised for the student's."""
        start = time.monotonic()
        status: Status = "passed"
        finding, raised = None, None
        student = self.student(check)
        try:
            if check.begin is not None and self.beginning is not None:
                self.beginning.join()
            check.function(student)
        except Failed as failed:
            status, finding = "failed", failed.finding
        except NotSeen as ending:
            status, finding = self.judge(check, ending)
            raised = ending.outcome.raised
        except ProtocolBroken as error:
            status, finding = "crashed", Finding("answer-malformed", asked(check) | {"detail": str(error)})
        except (KeyboardInterrupt, SystemExit):
            raise
        except GraderTrouble as error:
            status, finding = "grader_error", Finding("grader-broken", {"detail": str(error)})
        except Exception as error:
            if student.answered and isinstance(error, ODD_ANSWER):
                detail = f"it could not be read: {type(error).__name__}"
                status, finding = "crashed", Finding("answer-malformed", asked(check) | {"detail": detail})
            else:
                status = "grader_error"
                finding = Finding("grader-broken", {"detail": f"{type(error).__name__}: {error}"})
        quiet = status in ("passed", "grader_error")
        frames = () if quiet else own_lines(self.submission, todo_of(check, finding, self.hints), raised)
        points, seconds = self.rubric.points[check.id], time.monotonic() - start
        result = check_result(self.contract, check, points, status, finding, self.hints, seconds, frames)
        self.results[check.id] = result
        return result

    def judge(self, check: Check, ending: NotSeen) -> tuple[Status, Finding | None]:
        """The status and finding for an observation that gave no answer."""
        if self.submission.is_notebook:
            ending = NotSeen(without_lines(ending.outcome), ending.blocked)
        if not ending.blocked and self.beginning is not None:
            self.beginning.join()  # what was begun ahead may have to be given up
        self.asking.remember(check, ending)
        return finding_of(self.contract, check, ending)

    # -- the end ---------------------------------------------------------------------------------------------

    def result(self, checks: Sequence[Check]) -> Result:
        """Everything found, in report order. A check that never ran counts as grader_error and earns nothing."""
        missed = Finding("grader-broken", {"detail": "the check did not run"})
        done = [
            self.results.get(check.id)
            or check_result(self.contract, check, self.rubric.points[check.id], "grader_error", missed, self.hints, 0.0)
            for check in checks
        ]
        done = as_an_invitation(point_to_cause(done, self.contract.consequence))
        first = next((c for c in done if c.status in ("failed", "crashed", "timeout")), None)
        return Result(
            started_at=self.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round(time.monotonic() - self.started, 2),
            seed=self.seed,
            submission={
                "name": one_line(self.submission.name),
                "digest": self.submission.digest,
                "notes": [one_line(note, 2000) for note in self.submission.notes],
            },
            grader={
                "version": VERSION,
                "digest": grader_digest(self.contract.folder),
                "isolation": self.asking.isolation,
                "measures": self.asking.measures,
                "worker": self.server.kind,
                "key": self.key.fingerprint if self.key.kept else None,
            },
            checks=tuple(done),
            recorded=dict(self.notes.recorded),
            prints=clean(self.notes.prints.get(first.id, ""))[-2000:] if first else "",
            evidence=self.notes.evidence,
            sections=self.contract.sections,
        )

    def close(self) -> None:
        """Stop what still runs and remove the run's folder."""
        self.asking.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def grade(
    submission: Submission,
    server: Server,
    rubric: Rubric | None = None,
    seed: int | None = None,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
    parts: Sequence[str] | None = None,
    key: Key | None = None,
) -> Result:
    """Grade one submission with a warm server. parts: only these (default all). key: default the installation's."""
    contract = submission.contract
    checks = [check for check in contract.checks if parts is None or check.part in parts]
    run = Run(submission, server, rubric, seed=seed, on_progress=on_progress, key=key)
    try:
        run.begin(checks)
        for check in contract.in_run_order(checks):
            result = run.check(check)
            if on_result is not None:
                on_result(result)
        return run.result(checks)
    finally:
        run.close()
