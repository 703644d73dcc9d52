"""The one engine: runs checks on a submission and says what was found.

`grade` does a whole run. A host that runs the checks one by one (pytest) uses `Run` itself.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from grader.engine import VERSION, trouble
from grader.engine.asking import Asking
from grader.engine.check import Check, Failed, Finding, GraderTrouble, Waits
from grader.engine.contract import Contract, Pool
from grader.engine.endings import NotSeen, ProtocolBroken, finding_of, malformed
from grader.engine.hints import Hint, links_of, load_hints
from grader.engine.keys import Key, installation_key
from grader.engine.own_lines import own_lines, without_lines
from grader.engine.printable import one_line, own_prints
from grader.engine.result import CheckResult, Result, Status
from grader.engine.rubric import Rubric, load_rubric
from grader.engine.run_folders import private_folder, remove_folder
from grader.engine.student import Notes, Student
from grader.engine.submission.manifest import grader_digest
from grader.engine.submission.read import Submission
from grader.engine.trouble import stack_of
from grader.engine.wording import as_an_invitation, check_result, point_to_cause, todo_of
from grader.engine.worker.raised import Raised
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.trusted.start import OnProgress, Server, start

# What comes of an answer of another shape than a probe gives: somebody else than the probe wrote it
ODD_ANSWER = (TypeError, AttributeError, IndexError, KeyError, ValueError, ArithmeticError)
NO_ANSWER = (OSError, MemoryError)  # what no answer can lead to

BUNDLED = "bundled"  # in a result: the run's data are those that everybody has

OnResult = Callable[[CheckResult], None]


@dataclass(frozen=True)
class Verdict:
    """What came of a check. traces: the stacks of what the grader's own code stopped with, on either side."""

    status: Status
    finding: Finding | None = None
    raised: Raised | None = None
    traces: tuple[str, ...] = ()

    @property
    def may_be_ours(self) -> bool:
        return bool(self.traces) and self.status in ("failed", "crashed", "grader_error")


def start_server(contract: Contract, kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server with what the week's probes need imported; for one run or for many."""
    return start(kind, private_folder(), isolation, surroundings(contract), remove_folder)


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
        pool: Pool | None = None,
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
        student_seed = self.key.number(self.seed, "student")  # what student code sees tells nothing about the run
        self.asking = Asking(submission, server, self.rubric, student_seed, self.folder, deadline)
        self.asking.on_progress = on_progress
        self.notes = Notes(pool=pool)
        self.results: dict[str, CheckResult] = {}
        self.traces: dict[str, tuple[str, ...]] = {}  # of the checks that did not pass
        self.known_good: Run | None = None  # opened when it is asked for the first time
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
        verdict = self.look(check)
        if verdict.may_be_ours and verdict.finding and verdict.status != "grader_error" and self.is_ours(check):
            what = verdict.finding.facts.get("error") or verdict.finding.facts.get("detail") or verdict.finding.id
            ours = broken(f"{what}; the grader's own solution stops there too")
            verdict = Verdict("grader_error", ours, traces=verdict.traces)
        status, finding = verdict.status, verdict.finding
        quiet = status in ("passed", "grader_error")
        frames = () if quiet else own_lines(self.submission, todo_of(check, finding, self.hints), verdict.raised)
        points, seconds = self.rubric.points[check.id], time.monotonic() - start
        result = check_result(self.contract, check, points, status, finding, self.hints, seconds, frames)
        if status in ("failed", "crashed", "timeout"):
            self.notes.failed.append(check.id)
        self.results[check.id], self.traces[check.id] = result, verdict.traces
        return result

    def look(self, check: Check) -> Verdict:
        """Run a check's function, and say what it means how that ended."""
        student = self.student(check)
        try:
            if check.begin is not None and self.beginning is not None:
                self.beginning.join()
            check.function(student)
        except Failed as failed:
            return Verdict("failed", failed.finding, traces=tuple(student.traces))
        except Waits as waits:
            return Verdict("blocked", Finding("waits-for", {"what": str(waits)}), traces=tuple(student.traces))
        except NotSeen as ending:
            status, finding = self.judge(check, ending)
            return Verdict(status, finding, ending.outcome.raised, tuple(student.traces))
        except (KeyboardInterrupt, SystemExit):
            raise
        except GraderTrouble as error:
            return Verdict("grader_error", broken(str(error)))
        except Exception as error:
            traces = (*student.traces, stack_of(error))
            if isinstance(error, ProtocolBroken):
                return Verdict("crashed", malformed(check, str(error)), traces=traces)
            if self.notes.answered and self.may_come_of_an_answer(error):
                detail = f"it could not be read: {type(error).__name__}"
                return Verdict("crashed", malformed(check, detail), traces=traces)
            return Verdict("grader_error", broken(f"{type(error).__name__}: {error}"), traces=traces)
        return Verdict("passed")

    def may_come_of_an_answer(self, error: Exception) -> bool:
        """Whether student code may have brought a check to raise this. With a known good solution that can be tried."""
        if self.contract.known_good():
            return not isinstance(error, NO_ANSWER)
        return isinstance(error, ODD_ANSWER)

    def is_ours(self, check: Check) -> bool:
        """Whether a check stops in the grader's own code for a solution that is known to be good, too.

        What a child says of itself proves nothing: student code could say that it was our fault. This does.
        """
        if self.known_good is None:
            if not (files := dict(self.contract.known_good())):
                return False
            submission = Submission("known-good", self.folder, self.contract, files)
            self.known_good = Run(
                submission, self.server, self.rubric, self.hints, self.seed, key=self.key, pool=self.notes.pool
            )
            self.known_good.asking.deadline, self.known_good.asking.fresh = self.asking.deadline, True
        return self.known_good.look(check).may_be_ours

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
                "pool": self.notes.pool.fingerprint if self.notes.pool else BUNDLED,
            },
            checks=tuple(done),
            recorded=dict(self.notes.recorded),
            prints=own_prints(self.notes.prints.get(first.id, ""))[-2000:] if first else "",
            evidence=self.notes.evidence,
            links=links_of(self.hints),
            trouble=trouble.page(self.results, self.traces),
            sections=self.contract.sections,
        )

    def close(self) -> None:
        """Stop what still runs and remove the run's folder."""
        if self.known_good is not None:
            self.known_good.close()
        self.asking.close()
        remove_folder(self.folder)


def broken(detail: str) -> Finding:
    return Finding("grader-broken", {"detail": one_line(detail)})


def grade(
    submission: Submission,
    server: Server,
    rubric: Rubric | None = None,
    seed: int | None = None,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
    parts: Sequence[str] | None = None,
    key: Key | None = None,
    pool: Pool | None = None,
) -> Result:
    """Grade one submission with a warm server.

    parts: only these (default all). key: default the installation's. pool: default the data that everybody has.
    """
    contract = submission.contract
    checks = [check for check in contract.checks if parts is None or check.part in parts]
    run = Run(submission, server, rubric, seed=seed, on_progress=on_progress, key=key, pool=pool)
    try:
        run.begin(checks)
        for check in contract.in_run_order(checks):
            result = run.check(check)
            if on_result is not None:
                on_result(result)
        return run.result(checks)
    finally:
        run.close()
