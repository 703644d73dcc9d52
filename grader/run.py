"""The one engine: runs checks on a submission and says what was found.

`grade` does a whole run. A host that runs the checks one by one (pytest) uses `Run` itself.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from grader import __version__
from grader import digits as run_digits
from grader.checks import Check, Failed, Finding, all_checks
from grader.folders import private_folder
from grader.manifest import grader_digest
from grader.outcomes import NotSeen, ProtocolBroken, finding_of, is_fatal, without_lines
from grader.probe_table import address, modules_of, needs_of
from grader.result import CheckResult, Result
from grader.rubric import Hint, Rubric, load_hints, load_rubric
from grader.student import Student
from grader.submission import GIVEN, Submission
from grader.summing_up import as_an_invitation, check_result, own_lines, point_to_cause, todo_of
from grader.text import clean
from grader.worker.confine import missing
from grader.worker.job import Job, Limits, Outcome, Request
from grader.worker.server import OnProgress, Server, start

RUN_ORDER = ("model", "training", "data", "accuracy")  # what needs the least imported first, the longest last
# What comes of an answer of another shape than a probe gives: somebody else than the probe wrote it
ODD_ANSWER = (TypeError, AttributeError, IndexError, KeyError, ValueError)
PRELOAD = ("grader.probes.model",)
ACCURACY_PROBE = "accuracy.train_and_score"

OnResult = Callable[[CheckResult], None]


def start_server(kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server with what the probes need imported; for one run or for many."""
    return start(kind, private_folder(), isolation, PRELOAD)


class Run:
    """One run: a submission, its staged files, its seed, and what has been found so far."""

    def __init__(
        self,
        submission: Submission,
        server: Server,
        rubric: Rubric | None = None,
        hints: Mapping[str, Hint] | None = None,
        seed: int | None = None,
        on_progress: OnProgress | None = None,
    ):
        self.submission, self.server = submission, server
        self.rubric = rubric or load_rubric()
        self.hints = hints if hints is not None else load_hints()
        self.seed = secrets.randbits(48) if seed is None else seed
        self.on_progress = on_progress
        self.started, self.started_at = time.monotonic(), datetime.now(timezone.utc)
        self.deadline = self.started + self.rubric.limits["run_seconds"]
        self.folder = private_folder()
        submission.stage(self.folder / "stage")
        (self.folder / "home").mkdir()
        self.results: dict[str, CheckResult] = {}
        self.recorded: dict[str, Any] = {}
        self.memory: dict[str, Any] = {}
        self.prints: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.asking = threading.Lock()
        self.broken_files: dict[str, NotSeen] = {}  # file -> how its import ended
        self.fatal: dict[str, NotSeen] = {}  # function -> how it ended a child (timeout, memory, output, death)
        self.beginning: threading.Thread | None = None
        self._secret: run_digits.SecretDigits | None = None

    # -- the digits of the run -------------------------------------------------------------------------------

    @property
    def secret_digits(self) -> run_digits.SecretDigits:
        if self._secret is None:
            self._secret = run_digits.secret(run_digits.load(), self.seed)
        return self._secret

    # -- asking ----------------------------------------------------------------------------------------------

    def begin(self, checks: Sequence[Check]) -> None:
        """Start the long work: the accuracy check's training runs while the other checks do."""
        for check in checks:
            if check.part == "accuracy" and not self.submission.problems:
                self.beginning = threading.Thread(target=self.begin_training, args=(check,), daemon=True)
                self.beginning.start()

    def begin_training(self, check: Check) -> None:
        """In a thread of its own: making the digits takes as long as the worker needs to import torch."""
        try:
            root = Student(self, check).secret_root()
            self.request(ACCURACY_PROBE, {"root": root})
        except (OSError, run_digits.DigitsDamaged):
            pass  # the accuracy check meets it again, and reports it

    def observe(self, check: Check, probe: str, arguments: Mapping[str, Any]) -> Outcome:
        """The outcome of a probe. Raises NotSeen at once where the answer is known to be out of reach."""
        for module in modules_of(probe):
            if problem := self.submission.problems.get(f"{module}.py"):
                raise NotSeen(Outcome("file", detail=problem, importing=module))
        known = [self.broken_files.get(m) for m in modules_of(probe)[:1]] + [self.fatal.get(c) for c in check.calls]
        known += [e for m in modules_of(probe)[1:] if (e := self.broken_files.get(m)) and is_fatal(e.outcome)]
        for earlier in filter(None, known):
            raise NotSeen(earlier.outcome, blocked=True)
        job = self.request(probe, arguments)
        outcome = job.wait(max(0.0, self.deadline - time.monotonic()))
        if outcome is None:
            job.cancel()
            outcome = Outcome("timeout", detail="run")
        return outcome

    def request(self, probe: str, arguments: Mapping[str, Any]) -> Job:
        """The job that answers a question; asked once. The training's thread asks too, hence the lock."""
        with self.asking:
            return self.submit(probe, arguments)

    def submit(self, probe: str, arguments: Mapping[str, Any]) -> Job:
        key = repr((probe, sorted((n, digest_of(a)) for n, a in arguments.items())))
        if key not in self.jobs:
            long = probe == ACCURACY_PROBE
            limits = self.rubric.limits
            home = self.folder / "home" / str(len(self.jobs))
            home.mkdir()
            request = Request(
                probe=address(probe),
                needs=needs_of(probe),
                stage=str(self.folder / "stage"),
                home=str(home),
                seed=self.training_seed,
                reads=tuple(a for a in arguments.values() if isinstance(a, str) and a.startswith(str(self.folder))),
                arguments=dict(arguments),
                stand_ins=tuple(self.broken_files),
                given=GIVEN,
                limits=Limits(
                    limits["import_seconds"],
                    limits["accuracy_seconds" if long else "check_seconds"],
                    int(limits["output_bytes"]),
                    int(limits["memory_bytes"]),
                ),
            )
            self.jobs[key] = self.server.submit(request, self.on_progress if long else None)
        return self.jobs[key]

    @property
    def measures(self) -> list[str]:
        """What confined every child of this run that ran student code."""
        told = [set(job.measures) for job in self.jobs.values() if job.measures is not None]
        return sorted(set.intersection(*told) if told else self.server.measures())

    @property
    def isolation(self) -> str:
        return "practice" if self.server.isolation == "practice" or missing(self.measures) else "confined"

    @property
    def training_seed(self) -> int:
        """The seed student code gets: derived from the run's, and of no use to find it."""
        text = f"training {self.seed}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1

    # -- judging ---------------------------------------------------------------------------------------------

    def check(self, check: Check) -> CheckResult:
        """Run one check. Only our own fault ends as grader_error; nothing is raised for the student's."""
        start = time.monotonic()
        status, finding, raised = "passed", None, None
        student = Student(self, check)
        try:
            if check.part == "accuracy" and self.beginning is not None:
                self.beginning.join()
            check.function(student)
        except Failed as failed:
            status, finding = "failed", failed.finding
        except NotSeen as ending:
            status, finding = self.judge(check, ending)
            raised = ending.outcome.raised
        except ProtocolBroken as error:
            status, finding = "crashed", Finding("answer-malformed", {"detail": str(error)})
        except (KeyboardInterrupt, SystemExit):
            raise
        except run_digits.DigitsDamaged as error:
            status, finding = "grader_error", Finding("grader-broken", {"detail": str(error)})
        except Exception as error:
            if student.answered and isinstance(error, ODD_ANSWER):
                detail = f"it could not be read: {type(error).__name__}"
                status, finding = "crashed", Finding("answer-malformed", {"detail": detail})
            else:
                status = "grader_error"
                finding = Finding("grader-broken", {"detail": f"{type(error).__name__}: {error}"})
        quiet = status in ("passed", "grader_error")
        frames = () if quiet else own_lines(self.submission, todo_of(check, finding), raised)
        points, seconds = self.rubric.points[check.id], time.monotonic() - start
        self.results[check.id] = check_result(check, points, status, finding, self.hints, seconds, frames)
        return self.results[check.id]

    def judge(self, check: Check, ending: NotSeen) -> tuple[str, Finding | None]:
        """The status and finding for an observation that gave no answer; remembers what must not be tried again."""
        if self.submission.is_notebook:
            ending = NotSeen(without_lines(ending.outcome), ending.blocked)
        outcome = ending.outcome
        status, finding = finding_of(check, ending)
        if not ending.blocked:
            if outcome.importing and outcome.kind != "file":
                self.broken_files.setdefault(outcome.importing, ending)
            if is_fatal(outcome):
                if not outcome.importing:
                    for name in check.calls:
                        self.fatal.setdefault(name, ending)
                self.give_up_training()
        return status, finding

    def give_up_training(self) -> None:
        """Stop the accuracy check's child when it is bound to run into what has just ended another one."""
        if self.beginning is not None:
            self.beginning.join()
        for job in self.jobs.values():
            if job.request.probe != address(ACCURACY_PROBE) or job.outcome is not None:
                continue
            calls = next(check.calls for check in all_checks() if check.part == "accuracy")
            if any(name in self.fatal for name in calls) or any(
                (ending := self.broken_files.get(module)) and is_fatal(ending.outcome)
                for module in modules_of(ACCURACY_PROBE)
            ):
                job.cancel()

    # -- the end ---------------------------------------------------------------------------------------------

    def result(self, checks: Sequence[Check]) -> Result:
        """Everything found, in report order. A check that never ran counts as grader_error and earns nothing."""
        missed = Finding("grader-broken", {"detail": "the check did not run"})
        done = [
            self.results.get(check.id)
            or check_result(check, self.rubric.points[check.id], "grader_error", missed, self.hints, 0.0)
            for check in checks
        ]
        done = as_an_invitation(point_to_cause(done))
        first = next((c for c in done if c.status in ("failed", "crashed", "timeout")), None)
        return Result(
            started_at=self.started_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round(time.monotonic() - self.started, 2),
            seed=self.seed,
            submission={
                "name": clean(self.submission.name),
                "digest": self.submission.digest,
                "notes": [clean(note) for note in self.submission.notes],
            },
            grader={
                "version": __version__,
                "digest": grader_digest(),
                "isolation": self.isolation,
                "measures": self.measures,
                "worker": self.server.kind,
            },
            checks=tuple(done),
            training=self.recorded.get("training"),
            accuracy=self.recorded.get("accuracy"),
            confusion=self.recorded.get("confusion"),
            prints=clean(self.prints.get(first.id, ""))[-2000:] if first else "",
            evidence=self.recorded.get("evidence", {}),
        )

    def close(self) -> None:
        """Stop what still runs and remove the run's folder."""
        for job in self.jobs.values():
            if job.outcome is None:
                job.cancel()
        shutil.rmtree(self.folder, ignore_errors=True)


def grade(
    submission: Submission,
    server: Server,
    rubric: Rubric | None = None,
    seed: int | None = None,
    on_result: OnResult | None = None,
    on_progress: OnProgress | None = None,
    parts: Sequence[str] | None = None,
) -> Result:
    """Grade one submission with a warm server. parts: only these (default all)."""
    checks = [check for check in all_checks() if parts is None or check.part in parts]
    run = Run(submission, server, rubric, seed=seed, on_progress=on_progress)
    try:
        run.begin(checks)
        for check in in_run_order(checks):
            result = run.check(check)
            if on_result is not None:
                on_result(result)
        return run.result(checks)
    finally:
        run.close()


def in_run_order(checks: Sequence[Check]) -> list[Check]:
    return sorted(checks, key=lambda check: RUN_ORDER.index(check.part))


def digest_of(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"{hashlib.sha256(argument.tobytes()).hexdigest()} {argument.shape} {argument.dtype}"
    return repr(argument)
