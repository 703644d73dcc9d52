"""The asking half of a run: stages the submission, puts questions to the worker, and remembers how each ended."""

from __future__ import annotations

import errno
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grader.engine.check import Check
from grader.engine.contract import TRYING
from grader.engine.endings import NotSeen, is_fatal
from grader.engine.probe_index import ProbeIndex
from grader.engine.rubric import Rubric
from grader.engine.run_folders import KeptFiles
from grader.engine.submission.manifest import digest, handed_out
from grader.engine.submission.read import Submission
from grader.engine.worker.channel import BODY_LIMIT
from grader.engine.worker.tiers import missing
from grader.engine.worker.trusted.job import START_SECONDS, Job, Limits, Outcome, Request
from grader.engine.worker.trusted.start import OnProgress, Server

# bytes: the arrays of an answer of the check that takes long, and of another (the solution's largest: 6.6 and 4.5 MB).
# Both are kept while the run lasts, because several checks read one answer
LARGE_ANSWER, ANSWER = BODY_LIMIT, 32 << 20
# what goes wrong with our own files by no doing of a submission's
OURS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
ANSWERING = 2.0  # CPU seconds beyond an experiment's own, in which it says what came out
WALL_FACTOR = 4  # wall seconds that an experiment may take, in times of its CPU seconds


DELETED = "the run's folder was deleted, and deleted again"


class Interrupted(BaseException):
    """The run was stopped from another thread: what its checks would say is no verdict. No check may catch it."""


class Asking:
    """One submission, staged, and the worker that answers for it.

    deadline: time.monotonic() after which nothing is waited for any more
    inputs: the folder of what probes may read, the run's own by default
    """

    def __init__(
        self,
        submission: Submission,
        server: Server,
        rubric: Rubric,
        student_seed: int,
        folder: Path,
        deadline: float,
        inputs: Path | None = None,
    ):
        self.submission, self.server, self.limits = submission, server, rubric.limits
        self.contract, self.probes = submission.contract, ProbeIndex.of(submission.contract)
        self.student_seed, self.folder, self.deadline = student_seed, folder, deadline
        self.inputs = inputs or folder
        self.opened = time.monotonic()
        submission.stage(folder / "stage")
        self.kept = KeptFiles(folder)
        self.kept.keep(folder / "stage")
        out = handed_out(self.contract.root, self.contract.work, self.contract.files)
        self.untouched = {name for name, content in submission.files.items() if out.get(name) == digest(content)}
        self.fresh = False  # ask only processes that no student code has been in
        self.losses = 0  # how often files of ours had to be put back
        self.on_progress: OnProgress | None = None  # of the check that takes long
        self.jobs: dict[str, Job] = {}  # the last that was asked a question
        self.asked: dict[Job, int] = {}  # all of them, and the losses before
        self.settled: dict[Job, Outcome] = {}  # what came of those that a check has waited for
        self.ahead: list[tuple[Check, str, Job]] = []  # what was asked before its turn: (check, probe, job)
        self.asking = threading.Lock()
        self.broken_files: dict[str, NotSeen] = {}  # module -> how its import ended
        self.endless: NotSeen | None = None  # the first that reached its limit of time
        self.fatal: dict[str, NotSeen] = {}  # function -> how it ended a child (timeout, memory, output, death)
        self.reached: dict[str, set[str]] = {}  # check -> the modules that its probes import
        self.stopped = False

    def observe(self, check: Check, probe: str, arguments: Mapping[str, Any]) -> Outcome:
        """The outcome of a probe. Raises NotSeen at once where the answer is known to be out of reach."""
        modules = self.reach(check, probe)
        if todo := self.still_to_do(check):
            raise NotSeen(Outcome("untouched", {"todo": todo}))
        for module in modules:
            if problem := self.submission.problems.get(f"{module}.py"):
                raise NotSeen(Outcome("file", detail=problem, importing=module))
        known = [self.broken_files.get(m) for m in modules[:1]] + [self.fatal.get(c) for c in check.calls]
        known += [e for m in modules[1:] if (e := self.broken_files.get(m)) and is_fatal(e.outcome)]
        for earlier in filter(None, known):
            raise NotSeen(earlier.outcome, blocked=True)
        job = self.request(check, probe, arguments)
        if job not in self.settled:
            outcome = self.wait(job)
            if self.lost_files(job, outcome):
                job = self.request(check, probe, arguments, again=job)
                outcome = self.wait(job)
                if self.lost_files(job, outcome):
                    outcome = replace(outcome, kind=self.destroyed, detail=DELETED)
            self.settled[job] = outcome
        if self.endless and job.patience and self.settled[job].kind == "timeout":  # that is why it was ended
            raise NotSeen(self.endless.outcome, blocked=True)
        return self.settled[job]

    def still_to_do(self, check: Check) -> int:
        """The first TODO that a check calls in a file that is as it was handed out, 0 for none: no need to ask."""
        called = {tuple(name.split(".")) for name in check.calls}
        waiting = [todo for todo in self.contract.todos if todo.file in self.untouched]
        own = [t.number for t in waiting if (t.file.removesuffix(".py"), t.function.split(".")[0]) in called]
        return min(own, default=0)

    def experiment(self, check: Check, probe: str, seconds: float, arguments: Mapping[str, Any]) -> Outcome:
        """The outcome of a probe in a fresh child, or `timeout` as soon as its own time or the run's is over."""
        self.reach(check, probe)
        if self.on_progress is not None:
            self.on_progress({TRYING: 1})
        with self.asking:
            job = self.submit(False, check.part, probe, arguments, True, seconds)
            self.asked[job] = self.losses
        ends = min(self.deadline, time.monotonic() + START_SECONDS)
        while (outcome := job.wait(0.2)) is None:
            if "imported" in job.passed:
                ends = min(ends, time.monotonic() + WALL_FACTOR * (seconds + ANSWERING))
            if time.monotonic() > ends:
                job.cancel()
                return Outcome("timeout", detail="experiment")
        self.go_on()
        return outcome

    def wait(self, job: Job) -> Outcome:
        """The outcome of a job, or `timeout` when the run's time is over."""
        outcome = job.wait(max(0.0, self.deadline - time.monotonic()))
        if outcome is None:
            job.cancel()
            outcome = Outcome("timeout", detail="run")
        self.go_on()
        return outcome

    def lost_files(self, job: Job, outcome: Outcome) -> bool:
        """Whether something that the run had laid out was deleted since a job was asked, which may have missed it."""
        if outcome.detail == "run":
            return False
        with self.asking, self.laying_out():
            self.put_back()
            return self.losses > self.asked[job] or not Path(job.request.home).is_dir()

    def put_back(self) -> None:
        with self.laying_out():
            if self.kept.missing():
                self.losses += 1
                self.kept.put_back()

    @property
    def destroyed(self) -> str:
        """The kind of ending where the run's folder was damaged: its own doing, unless it could not have done that."""
        return "lost" if self.isolation == "confined" else "deleted"

    @contextmanager
    def laying_out(self) -> Iterator[None]:
        """What the next child needs: something in the run's folder may be in the way of it (a link, a file, a mode)."""
        try:
            yield
        except OSError as error:
            if not self.asked or error.errno in OURS:  # nothing of the student's has run, or could have done this
                raise
            raise NotSeen(Outcome(self.destroyed, detail=f"{DELETED} ({type(error).__name__})")) from error

    def begin(self, check: Check, probe: str, arguments: Mapping[str, Any]) -> None:
        """Ask now what the check will ask in its turn."""
        self.ahead.append((check, probe, self.request(check, probe, arguments)))

    def request(self, check: Check, probe: str, arguments: Mapping[str, Any], again: Job | None = None) -> Job:
        """The job that answers a question; asked once. What is begun ahead asks from a thread, hence the lock.

        again: the job whose answer does not count, to ask anew in a fresh child
        """
        key = repr((probe, sorted((n, digest_of(a)) for n, a in arguments.items())))
        with self.asking:
            if self.jobs.get(key) is again:
                fresh = self.fresh or again is not None
                job = self.submit(check.id == self.contract.long, check.part, probe, arguments, fresh)
                self.jobs[key], self.asked[job] = job, self.losses
            return self.jobs[key]

    def submit(
        self, long: bool, part: str, probe: str, arguments: Mapping[str, Any], fresh: bool, seconds: float = 0
    ) -> Job:
        """seconds: a limit for this question alone."""
        self.go_on()
        self.put_back()
        home = self.folder / "home" / f"{len(self.asked)}-{secrets.token_hex(8)}"
        with self.laying_out():
            home.mkdir(parents=True)
        reads = tuple(a for a in arguments.values() if isinstance(a, str) and a.startswith(str(self.inputs)))
        for path in reads:
            self.kept.keep(Path(path))
        request = Request(
            probe=self.probes.address(probe),
            needs=self.probes.needs_of(probe),
            stage=str(self.folder / "stage"),
            home=str(home),
            seed=self.student_seed,
            reads=reads,
            arguments=dict(arguments),
            stand_ins=tuple(self.broken_files),
            given=self.contract.given,
            package=self.contract.work,
            limits=Limits(
                self.limits["import_seconds"],
                seconds + ANSWERING if seconds else self.limits[f"{part}_seconds" if long else "check_seconds"],
                int(self.limits["output_bytes"]),
                int(self.limits["memory_bytes"]),
                self.limits["stall_seconds"],
                LARGE_ANSWER if long or seconds else ANSWER,
            ),
            fresh=fresh,
        )
        return self.server.submit(request, self.on_progress if long else None)

    def remember(self, check: Check, ending: NotSeen) -> None:
        """Keep what must not be tried again, and stop what is bound to run into it."""
        outcome = ending.outcome
        if ending.blocked or outcome.kind in ("lost", "refused"):  # no doing of the submission's
            return
        if outcome.importing and outcome.kind != "file":
            self.broken_files.setdefault(outcome.importing, ending)
        if is_fatal(outcome):
            if not outcome.importing:
                for name in check.calls:
                    self.fatal.setdefault(name, ending)
            if outcome.kind == "timeout" and outcome.detail != "run":
                self.endless = self.endless or ending
                for _, _, job in self.ahead:  # it may run into the same, with twenty times as much time to wait
                    job.hurry(self.limits["check_seconds"])
            self.give_up_what_is_ahead()

    def give_up_what_is_ahead(self) -> None:
        """Stop the long check's child when it is bound to run into what has just ended another one."""
        for check, probe, job in self.ahead:
            broken = [e for m in self.probes.modules_of(probe) if (e := self.broken_files.get(m))]
            doomed = any(name in self.fatal for name in check.calls) or any(is_fatal(e.outcome) for e in broken)
            if doomed and job.outcome is None:
                job.cancel()

    @property
    def measures(self) -> list[str]:
        """What confined every child of this run that ran student code."""
        told = [set(job.measures) for job in self.asked if job.measures is not None]
        return sorted(set.intersection(*told) if told else self.server.measures())

    @property
    def isolation(self) -> str:
        return "practice" if self.server.isolation == "practice" or missing(self.measures) else "confined"

    def reach(self, check: Check, probe: str) -> tuple[str, ...]:
        """The modules that a probe imports; noted as what the check can reach."""
        modules = self.probes.modules_of(probe)
        self.reached.setdefault(check.id, set()).update(modules)
        return modules

    def stop(self) -> None:
        """End what runs, from any thread. Who asks or waits gets Interrupted; `close` waits for the last of it."""
        with self.asking:
            self.stopped = True
            running = list(self.asked)
        for job in running:
            job.end("cancelled")

    def go_on(self) -> None:
        """Raises Interrupted when the run was stopped."""
        if self.stopped:
            raise Interrupted

    def close(self) -> None:
        """Stop what still runs."""
        for job in self.asked:
            if job.outcome is None or self.stopped:
                job.cancel()


def digest_of(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"{hashlib.sha256(argument.tobytes()).hexdigest()} {argument.shape} {argument.dtype}"
    return repr(argument)
