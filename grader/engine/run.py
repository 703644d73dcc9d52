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
from typing import Any

import numpy as np

from grader.engine import VERSION, trouble
from grader.engine.asking import Asking, Interrupted
from grader.engine.cell_words import lines_in_cells
from grader.engine.check import Check, Failed, Finding, GraderTrouble, Waits
from grader.engine.contract import Contract, Pool
from grader.engine.endings import NotSeen, ProtocolBroken, finding_of, malformed, waits_until_done
from grader.engine.hints import Hint, load_hints
from grader.engine.keys import Key, installation_key
from grader.engine.own_lines import own_lines, quote_of
from grader.engine.printable import one_line, own_prints
from grader.engine.result import CheckResult, Result, Status
from grader.engine.rubric import Rubric, load_rubric
from grader.engine.run_folders import private_folder, remove_folder
from grader.engine.seen import Record, Seen, in_words, told
from grader.engine.student import Inputs, Notes, Student
from grader.engine.submission.manifest import grader_digest
from grader.engine.submission.read import Submission
from grader.engine.trouble import stack_of
from grader.engine.wording import FAULTS, todo_of
from grader.engine.worker.raised import Raised
from grader.engine.worker.trusted.start import OnProgress, Server

# What comes of an answer of another shape than a probe gives: somebody else than the probe wrote it
ODD_ANSWER = (TypeError, AttributeError, IndexError, KeyError, ValueError, ArithmeticError)
NO_ANSWER = (OSError, MemoryError)  # what no answer can lead to

BUNDLED = "bundled"  # in a result: the run's data are those that everybody has

OnResult = Callable[[CheckResult], None]


@dataclass(frozen=True)
class Kept:
    """All that one check left in a run, for another run that need not ask again.

    reached: the modules of the student's that its probes import
    """

    seen: Seen
    reached: frozenset[str]
    recorded: Mapping[str, Any]
    evidence: Mapping[str, Any]
    prints: str
    traces: tuple[str, ...]


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


class Run:
    """One run: a submission, its seed, and what has been found so far.

    inputs: shared with earlier runs of the same seed, key and pool
    """

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
        inputs: Inputs | None = None,
    ):
        self.contract: Contract = submission.contract
        self.submission, self.server = submission, server
        self.rubric = rubric or load_rubric(self.contract)
        self.hints = hints if hints is not None else load_hints(self.contract)
        self.seed = secrets.randbits(48) if seed is None else seed
        self.key = key or installation_key()
        self.started, self.started_at = time.monotonic(), datetime.now(timezone.utc)
        self.folder = private_folder()
        self.inputs = inputs or Inputs(self.folder)
        deadline = self.started + self.rubric.limits["run_seconds"]
        student_seed = self.key.number(self.seed, "student")  # what student code sees tells nothing about the run
        self.asking = Asking(submission, server, self.rubric, student_seed, self.folder, deadline, self.inputs.folder)
        self.asking.on_progress = on_progress
        self.notes = Notes(pool=pool)
        self.seen: dict[str, Seen] = {}
        self.results: dict[str, CheckResult] = {}  # the same in words, while the run is going on
        self.traces: dict[str, tuple[str, ...]] = {}  # check -> stacks of what our own code stopped with
        self.students: dict[str, Student] = {}  # check -> what it was handed
        self.known_good: Run | None = None  # opened when it is asked for the first time
        self.beginning: threading.Thread | None = None

    # -- judging ---------------------------------------------------------------------------------------------

    def begin(self, checks: Sequence[Check]) -> None:
        """Start the long work: what the long check observes runs while the other checks do."""
        for check in checks:
            if check.begin is not None and not self.submission.problems and not self.asking.still_to_do(check):
                self.beginning = threading.Thread(target=self.begin_one, args=(check,), daemon=True)
                self.beginning.start()

    def begin_one(self, check: Check) -> None:
        """In a thread of its own: making the inputs takes as long as the worker needs to warm up."""
        assert check.begin is not None
        try:
            check.begin(self.student(check))
        except (OSError, GraderTrouble, NotSeen, Interrupted):
            pass  # the check meets it again in its turn, and reports it

    def student(self, check: Check) -> Student:
        def rng(name: str) -> np.random.Generator:
            return self.key.rng(self.seed, name)

        return Student(check, self.asking, self.notes, self.rubric, rng, self.inputs)

    def check(self, check: Check) -> CheckResult:
        """Run one check. Only our own fault ends as grader_error; nothing is raised for the student's."""
        start = time.monotonic()
        verdict = self.look(check)
        if verdict.may_be_ours and verdict.finding and verdict.status != "grader_error" and self.is_ours(check):
            what = verdict.finding.facts.get("error") or verdict.finding.facts.get("detail") or verdict.finding.id
            ours = broken(f"{what}; the grader's own solution stops there too")
            verdict = Verdict("grader_error", ours, traces=verdict.traces)
        verdict = self.spare_stubs(check, verdict)
        status, finding = verdict.status, verdict.finding
        quiet = status in ("passed", "grader_error")
        frames = () if quiet else own_lines(self.submission, todo_of(check, finding, self.hints), verdict.raised)
        quote = "" if quiet or status == "blocked" else quote_of(self.submission, verdict.raised)
        seen = Seen(check.id, status, finding, frames, quote, time.monotonic() - start)
        self.asking.go_on()
        return self.note(seen, verdict.traces)

    def note(self, seen: Seen, traces: tuple[str, ...]) -> CheckResult:
        result = in_words(seen, self.submission, self.rubric, self.hints)
        if seen.status in FAULTS:
            self.notes.failed.append(seen.check)
        self.seen[seen.check], self.results[seen.check], self.traces[seen.check] = seen, result, traces
        return result

    def kept(self, check: Check) -> Kept:
        """What a check has left in this run."""
        student, reached = self.students[check.id], frozenset(self.asking.reached.get(check.id, ()))
        prints = self.notes.prints.get(check.id, "")
        return Kept(self.seen[check.id], reached, student.recorded, student.evidence, prints, self.traces[check.id])

    def take(self, kept: Kept) -> CheckResult:
        """Let what a check left in another run stand for it in this one."""
        self.notes.recorded.update(kept.recorded)
        self.notes.evidence.update(kept.evidence)
        self.notes.prints[kept.seen.check] = kept.prints
        return self.note(kept.seen, kept.traces)

    def spare_stubs(self, check: Check, verdict: Verdict) -> Verdict:
        """A function in which nothing is written yet is not accused: it is still to do, and others wait for it. Nor is
        what needs all functions, while one is a stub."""
        if check.id == self.contract.consequence and verdict.status in FAULTS and self.submission.stubs:
            return Verdict("todo")
        todo = todo_of(check, verdict.finding, self.hints)
        code = self.submission.strays.get(todo) if verdict.status in FAULTS else None
        if code is None or not code.empty:
            return verdict
        return Verdict("todo") if todo == check.todo else Verdict("blocked", waits_until_done(todo))

    def look(self, check: Check) -> Verdict:
        """Run a check's function, and say what it means how that ended."""
        student = self.students[check.id] = self.student(check)
        try:
            if check.begin is not None and self.beginning is not None:
                self.beginning.join()
            check.function(student)
        except Failed as failed:
            return Verdict("failed", failed.finding, failed.raised, traces=tuple(student.traces))
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
            self.asking.go_on()
        return self.known_good.look(check).may_be_ours

    def judge(self, check: Check, ending: NotSeen) -> tuple[Status, Finding | None]:
        """The status and finding for an observation that gave no answer."""
        if self.submission.is_notebook:
            ending = NotSeen(lines_in_cells(ending.outcome, self.submission), ending.blocked)
        if not ending.blocked and self.beginning is not None:
            self.beginning.join()  # what was begun ahead may have to be given up
        self.asking.remember(check, ending)
        return finding_of(self.submission, check, ending)

    # -- the end ---------------------------------------------------------------------------------------------

    def result(self, checks: Sequence[Check]) -> Result:
        """Everything found, in report order."""
        return told(self.record(checks), self.submission, self.rubric, self.hints)

    def record(self, checks: Sequence[Check]) -> Record:
        """Everything seen, in report order. A check that never ran counts as grader_error and earns nothing."""
        missed = Finding("grader-broken", {"detail": "the check did not run"})
        seen = tuple(self.seen.get(check.id) or Seen(check.id, "grader_error", missed) for check in checks)
        first = next((one.check for one in seen if one.status in FAULTS), "")
        return Record(
            started_at=self.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round(time.monotonic() - self.started, 2),
            seed=self.seed,
            submission={
                "name": one_line(self.submission.name),
                "digest": self.submission.digest,
                "notes": [one_line(note, 2000) for note in self.submission.notes],
                **({"notebook": True} if self.submission.is_notebook else {}),
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
            seen=seen,
            recorded=dict(self.notes.recorded),
            prints=own_prints(self.notes.prints.get(first, ""), self.folder.name)[-2000:],
            evidence=self.notes.evidence,
            trouble=trouble.page(self.results, self.traces),
        )

    def stop(self) -> None:
        """End what runs, from any thread. A check that is going on ends with Interrupted; `close` comes after it."""
        self.asking.stop()
        if self.known_good is not None:
            self.known_good.asking.stop()

    def close(self) -> None:
        """Stop what still runs and remove the run's folder."""
        if self.known_good is not None:
            self.known_good.close()
        self.asking.close()
        if self.asking.stopped and self.beginning is not None:
            self.beginning.join()  # it may be writing inputs that other runs share
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
    rubric, hints = rubric or load_rubric(submission.contract), load_hints(submission.contract)
    record = look_at(submission, server, rubric, seed, on_result, on_progress, parts, key, pool, hints)
    return told(record, submission, rubric, hints)


def look_at(
    submission: Submission,
    server: Server,
    rubric: Rubric | None = None,
    seed: int | None = None,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
    parts: Sequence[str] | None = None,
    key: Key | None = None,
    pool: Pool | None = None,
    hints: Mapping[str, Hint] | None = None,
) -> Record:
    """A whole run, without points and words: see `grade`."""
    contract = submission.contract
    checks = [check for check in contract.checks if parts is None or check.part in parts]
    run = Run(submission, server, rubric, hints, seed, on_progress, key, pool)
    try:
        run.begin(checks)
        for check in contract.in_run_order(checks):
            result = run.check(check)
            if on_result is not None:
                on_result(result)
        return run.record(checks)
    finally:
        run.close()
