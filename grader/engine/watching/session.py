"""The warm session: one submission graded again and again, check by check, by one worker that stays warm.

It lives in a thread of its own. `ask` may be called at any time and from any thread: what runs is ended, and the newest
files are graded. What comes of it is told through one function, as events that carry the number of their request.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from grader.engine.asking import Interrupted
from grader.engine.check import Check, GraderTrouble
from grader.engine.contract import Contract
from grader.engine.hints import load_hints
from grader.engine.keys import Key, installation_key
from grader.engine.many.warm import Stopped, Warm
from grader.engine.printable import one_line
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import load_rubric
from grader.engine.run import Kept, Run
from grader.engine.run_folders import private_folder, remove_folder
from grader.engine.seen import Record, told
from grader.engine.servers import start_server
from grader.engine.student import Inputs
from grader.engine.submission import apart, strays
from grader.engine.submission.read import NoSubmission, Submission
from grader.engine.watching.order import in_order
from grader.engine.watching.reuse import may_stand, same_words
from grader.engine.worker.processes import ServerFailed
from grader.engine.worker.tiers import NotConfined
from grader.engine.worker.trusted.start import Server

Read = Callable[[], Submission]
END_SECONDS = 15.0  # for what runs to end with the session
AT_ONCE = 3  # checks: while one is judged here, the next are observed


@dataclass(frozen=True)
class Begun:
    """The files are read. to_run: the checks in their order; unchanged: how many others keep their verdict."""

    number: int
    submission: Submission
    to_run: tuple[str, ...]
    unchanged: int


@dataclass(frozen=True)
class Judged:
    """One check has run. standing: all that is known now, the others as they were; None while some never ran."""

    number: int
    check: CheckResult
    standing: Result | None


@dataclass(frozen=True)
class GoingOn:
    """What the check that takes long is doing."""

    number: int
    words: str


@dataclass(frozen=True)
class Ended:
    """Everything has run. whys: {check id: the idea behind its finding}"""

    number: int
    result: Result
    unchanged: int
    seconds: float
    whys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NotGraded:
    """There is nothing to grade, or the grader itself has trouble: one sentence. ours: whether it is our fault"""

    number: int
    why: str
    ours: bool = False


Event = Begun | Judged | GoingOn | Ended | NotGraded


@dataclass(frozen=True)
class Request:
    """read: gives the newest files. afresh: whether nothing is used again, neither verdicts nor inputs

    parts: only these are judged; None for all of them
    """

    number: int
    read: Read
    afresh: bool
    parts: tuple[str, ...] | None = None


class Session:
    """See above. seed and key stay the same for its whole life; kind and isolation: as `start_server` takes them.

    Raises what load_rubric, load_hints and installation_key raise.
    """

    def __init__(
        self,
        contract: Contract,
        tell: Callable[[Event], None],
        kind: str | None = None,
        isolation: str | None = None,
        seed: int | None = None,
        key: Key | None = None,
    ):
        self.contract, self.tell = contract, tell
        self.rubric, self.hints, self.key = load_rubric(contract), load_hints(contract), key or installation_key()
        self.seed = secrets.randbits(48) if seed is None else seed
        self.warm = Warm(lambda kind, isolation: start_server(contract, kind, isolation), kind, isolation)
        self.changed = threading.Condition()
        self.number = 0
        self.wanted: Request | None = None
        self.afresh = False  # owed to whoever asked for it, until a run has come to its end
        self.running: Run | None = None
        self.closed = False
        self.inputs: Inputs | None = None
        self.before: Mapping[str, bytes] = {}  # the files of the last run in which all but the long check was judged
        self.last: Record | None = None  # of the last run that came to its end
        self.verdicts: dict[str, tuple[Kept, Submission]] = {}  # check -> what it left last, and with which files
        self.thread = threading.Thread(target=self.work, name="session", daemon=True)
        self.thread.start()

    # -- from any thread -----------------------------------------------------------------------------------------

    def ask(self, read: Read, afresh: bool = False, parts: Sequence[str] | None = None) -> int:
        """Grade what `read` gives, and nothing older. Returns the number that the events will carry.

        read: called in the session's own thread; may raise NoSubmission and GraderTrouble
        parts: only these (default all)
        """
        with self.changed:
            self.number += 1
            self.afresh = self.afresh or afresh
            self.wanted = Request(self.number, read, self.afresh, None if parts is None else tuple(parts))
            self.interrupt()
            return self.number

    def close(self) -> None:
        """End everything: nothing is left running, and no folder."""
        with self.changed:
            self.closed = True
            self.interrupt()
        self.warm.close()
        self.thread.join(END_SECONDS)
        apart.dismiss()
        self.forget()

    def interrupt(self) -> None:
        if self.running is not None:
            self.running.stop()
        self.changed.notify_all()

    # -- in its own ----------------------------------------------------------------------------------------------

    def work(self) -> None:
        try:
            self.warm.server()  # warm before it is needed
            apart.make_ready(strays.__name__)
        except (NotConfined, ServerFailed, OSError) as error:
            self.tell(NotGraded(0, one_line(str(error), 1000), ours=True))
        except Stopped:
            return
        while (request := self.next_request()) is not None:
            try:
                ended = self.warm.do(partial(self.grade, request), lambda ended: not ended.result.final)
                self.afresh = False
                self.tell(ended)
            except (Interrupted, Stopped):
                continue
            except (NoSubmission, NotConfined) as error:
                self.tell(NotGraded(request.number, one_line(str(error), 1000)))
            except Exception as error:
                self.warm.drop()  # perhaps it has died: the next one gets another
                detail = str(error) if isinstance(error, GraderTrouble) else f"{type(error).__name__}: {error}"
                self.tell(NotGraded(request.number, one_line(detail, 1000), ours=True))

    def next_request(self) -> Request | None:
        """The newest, waited for; None at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.wanted is not None or self.closed)
            request, self.wanted = self.wanted, None
            return None if self.closed else request

    def grade(self, request: Request, server: Server) -> Ended:
        """One run. Raises Interrupted, and what `request.read` raises."""
        start = time.monotonic()
        if request.afresh:
            self.forget()
        submission = request.read()
        run = self.open(request, submission, server)
        try:
            return self.judge(request, run, start)
        finally:
            with self.changed:
                self.running = None
            run.close()
            if not self.closed:
                apart.make_ready(strays.__name__)

    def open(self, request: Request, submission: Submission, server: Server) -> Run:
        self.inputs = self.inputs or Inputs(private_folder())

        def progress(numbers: Mapping[str, Any]) -> None:
            if words := self.contract.live.told(numbers):
                self.tell(GoingOn(request.number, words))

        run = Run(submission, server, self.rubric, self.hints, self.seed, progress, self.key, inputs=self.inputs)
        with self.changed:
            self.running = run
            if self.wanted is not None or self.closed:
                run.stop()
        return run

    def judge(self, request: Request, run: Run, start: float) -> Ended:
        """The checks of the function that changed first, alone; then several at once; the long one at the end."""
        wanted = self.contract.part_names if request.parts is None else request.parts
        checks, submission = [check for check in self.contract.checks if check.part in wanted], run.submission
        before = {check.id: self.verdicts[check.id] for check in checks if check.id in self.verdicts}
        known = {name: found for name, found in before.items() if may_stand(*found, submission)}
        to_run = [check for check in checks if check.id not in known]
        to_run = in_order(to_run, self.contract, self.before, submission.files)
        self.tell(Begun(request.number, submission, tuple(check.id for check in to_run), len(known)))
        quick = [check for check in to_run if check.id != self.contract.long]
        self.run_all(request, run, quick[:1], 1)
        self.run_all(request, run, quick[1:], AT_ONCE)
        standing = [
            kept for kept, then in known.values() if kept.seen.status == "passed" or same_words(kept, then, submission)
        ]
        for kept in standing:
            run.take(kept)
        self.before = submission.files
        late = [check for check in checks if check.id not in run.seen]  # the long one, and what is told otherwise now
        run.begin(late)
        self.run_all(request, run, self.contract.in_run_order(late), 1)
        run.asking.go_on()
        record = run.record(checks)
        if request.parts is None:
            self.last = record
        found = told(record, submission, self.rubric, self.hints)
        return Ended(request.number, found, len(standing), time.monotonic() - start, self.whys(record))

    def run_all(self, request: Request, run: Run, checks: Sequence[Check], at_once: int) -> None:
        """Raises Interrupted."""
        with ThreadPoolExecutor(at_once) as pool:
            running = {pool.submit(run.check, check): check for check in checks}
            for done in as_completed(running):
                check, result = running[done], done.result()
                self.verdicts[check.id] = (run.kept(check), run.submission)
                self.tell(Judged(request.number, result, self.so_far(run)))

    def so_far(self, run: Run) -> Result | None:
        """What stands while a run is going on: what it has seen, and of the last one what it has not seen yet."""
        if self.last is None:
            return None
        now = run.record(self.contract.checks)
        seen = tuple(run.seen.get(before.check, before) for before in self.last.seen)
        mixed = replace(now, seen=seen, recorded={**self.last.recorded, **now.recorded}, evidence={})
        return told(mixed, run.submission, self.rubric, self.hints)

    def whys(self, record: Record) -> dict[str, str]:
        found = [one for one in record.seen if one.finding is not None and one.finding.id in self.hints]
        return {one.check: self.hints[one.finding.id].filled("why", one.finding.facts) for one in found if one.finding}

    def forget(self) -> None:
        """Use nothing again: neither verdicts nor inputs."""
        self.verdicts.clear()
        if self.inputs is not None:
            remove_folder(self.inputs.folder)
            self.inputs = None
