"""One request to a worker and what came of it, seen from the trusted side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grader.engine.worker.channel import BODY_LIMIT, BadFrame, Decoder, Frame
from grader.engine.worker.raised import Raised
from grader.engine.worker.trusted import family
from grader.engine.worker.trusted.reserve import RESERVE
from grader.engine.worker.walls.limits import Caps

ENDINGS = ("answer", "raised", "untouched", "missing-name", "missing-file", "memory", "failed", "refused")
FRAMES_LIMIT = 20_000
GRACE = 2.0  # seconds for a child to end after its answer, and for prints to arrive after its end
START_SECONDS = 300.0  # for a worker to import its libraries on a slow, cold machine
MOST_PROCESSES = Caps().processes  # of a job, also where the system sets no limit (root in the tier practice)
LOOK_SECONDS = 1.0  # between two looks at what a whole job takes and does
PATIENCE_AT_IMPORT = 3  # how many times longer nothing may happen while a file is imported
KEPT_PRINTS = 16_000  # bytes of student prints kept for the report: the last ones


@dataclass(frozen=True)
class Limits:
    """CPU seconds of the student's process and all it starts; wall seconds are four times that.

    stall_seconds: wall seconds in which nothing of it may run; while a file is imported three times that
    """

    import_seconds: float = 60
    probe_seconds: float = 30
    output_bytes: int = 4_000_000
    memory_bytes: int = 2_000_000_000  # of one process; three times that for all it starts
    stall_seconds: float = 10
    answer_bytes: int = BODY_LIMIT  # of all arrays in an answer


@dataclass(frozen=True)
class Request:
    """What a worker is asked to do. `needs`: "light" or "full", as the week's runtime warms workers up."""

    probe: str  # "package.module:function"
    needs: str
    stage: str  # the folder with the submitted files
    home: str  # a folder the student code may write in
    seed: int
    reads: tuple[str, ...] = ()  # other files and folders it may read
    arguments: dict[str, Any] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    package: str = ""  # the name under which the files are a package too
    limits: Limits = Limits()
    fresh: bool = False  # asked of a process that no student code has been in, where some are used again

    def values(self) -> dict[str, Any]:
        """The request as the values of a frame."""
        plain: dict[str, Any] = {
            "probe": self.probe,
            "needs": self.needs,
            "stage": self.stage,
            "home": self.home,
            "seed": self.seed,
            "reads": list(self.reads),
            "memory_bytes": int(self.limits.memory_bytes),
            "stand_ins": list(self.stand_ins),
            "given": list(self.given),
            "package": self.package,
            "cpu_seconds": int(self.limits.import_seconds + self.limits.probe_seconds) + 5,
        }
        return plain | {f"argument:{name}": value for name, value in self.arguments.items()}


@dataclass(frozen=True)
class Outcome:
    """How a request ended.

    kind: one of ENDINGS; or "died" (no answer; `status` is the exit status), "timeout", "output" (printed too
    much), "protocol" (bytes that are no answer), "cancelled" (we stopped it) or "lost" (the worker broke: our fault);
    or, where nothing was asked, "file" (it cannot be read) and "deleted" (the run's folder was damaged).
    `importing` names the file whose import had begun and not ended, if any.
    """

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    importing: str = ""
    prints: str = ""
    seconds: float = 0.0
    detail: str = ""
    computed: float = 0.0  # CPU seconds under the limit that was in force at the end, where that limit ended it
    trace: str = ""  # stacks of exceptions that ended in the grader's own code there, as the child tells

    @property
    def raised(self) -> Raised | None:
        error = self.values.get("error")
        return error if isinstance(error, Raised) else None


def check_ending(frame: Frame, begun: bool) -> None:
    """Raise BadFrame unless an ending has what its kind needs: student code can send one of its own making."""
    values = frame.values
    texts = {"missing-name": ("module", "name"), "missing-file": ("module",), "refused": ("why",)}
    fine = all(isinstance(values.get(name), str) for name in texts.get(frame.kind, ()))
    if frame.kind == "untouched":
        fine = type(values.get("todo")) is int and 0 < values["todo"] < 100
    elif frame.kind == "missing-name":
        fine = fine and isinstance(values.get("found"), list)
    elif frame.kind in ("raised", "failed"):
        fine = isinstance(values.get("error"), Raised)
    if not fine or (frame.kind == "refused") == begun:
        raise BadFrame(f"an ending of the kind {frame.kind} is malformed")


class Prints:
    """Keeps the tail of what student code printed, and counts all of it."""

    def __init__(self, limit: int):
        self.limit, self.count, self.tail = limit, 0, b""

    def add(self, data: bytes) -> None:
        self.count += len(data)
        self.tail = (self.tail + data)[-KEPT_PRINTS:]

    def clear(self) -> None:
        self.count, self.tail = 0, b""

    def text(self, until: bytes = b"") -> str:
        tail = self.tail.split(until)[0] if until else self.tail
        return tail.decode("utf-8", "replace")


class Job:
    """A running request. Fed by reader threads, watched for its limits, ended exactly once."""

    def __init__(self, request: Request, on_progress: Callable[[dict[str, Any]], None] | None):
        self.request, self.on_progress = request, on_progress
        self.decoder, self.prints = Decoder(request.limits.answer_bytes), Prints(request.limits.output_bytes)
        self.changed = threading.Condition()
        self.final: Frame | None = None
        self.outcome: Outcome | None = None
        self.importing = ""
        self.frames = 0
        self.trace = ""
        self.passed: set[str] = set()
        self.measures: tuple[str, ...] | None = None  # what confines the process, once it has said so
        self.bad = ""
        self.finished = threading.Event()  # nothing of it runs any more
        self.begun = time.monotonic()
        self.clock: float | None = None  # when the limit in force began to count
        self.cpu_at_clock = 0.0
        self.patience = 0.0  # CPU seconds that it may go on without telling progress; 0: as many as it likes
        self.moved, self.cpu_at_move = self.begun, 0.0  # when it told progress last
        self.looked = time.monotonic()
        self.rest, self.reading, self.stalled = family.Rest(), False, False
        self.stopping = False  # it has run into a limit
        self.computed = 0.0  # CPU seconds, once they have reached the limit
        self.limit = request.limits.import_seconds
        self.pid: int | None = None
        self.on_end: Callable[[], None] = lambda: None  # wakes whoever watches it
        self.idle: bool | None = None  # a long-lived worker's word that it is ready for another probe, and unchanged

    def again(self) -> None:
        """Forget what a child said that ended before any student code ran: another will be tried."""
        self.decoder, self.final, self.pid = Decoder(self.request.limits.answer_bytes), None, None
        self.prints.clear()

    def feed(self, data: bytes) -> None:
        """Bytes from the worker. Never raises: what is wrong is remembered and ends the job."""
        if self.stopping:
            return
        self.reading = True  # until this is done nobody takes what it sends
        try:
            with self.changed:
                try:
                    for frame in self.decoder.feed(data):
                        self.take(frame)
                except BadFrame as error:
                    self.bad = self.bad or str(error)
                self.changed.notify_all()
        finally:
            self.reading = False

    def take(self, frame: Frame) -> None:
        self.frames += 1
        if self.frames > FRAMES_LIMIT:
            raise BadFrame("there are far too many answers")
        if self.final is not None:
            if frame.kind == "idle":
                self.idle = frame.values.get("clean") is True
            return
        if frame.kind in ("started", "imported") and frame.kind in self.passed:
            raise BadFrame("an answer began twice")  # it would set the clock back
        if frame.kind == "started":  # comes before any student code runs, so its word counts
            self.passed.add("started")
            measures = frame.values.get("measures")
            self.measures = tuple(m for m in measures if isinstance(m, str)) if isinstance(measures, list) else ()
            self.start_clock(self.request.limits.import_seconds)
        elif frame.kind == "importing":
            self.importing = str(frame.values.get("module", ""))[:80]
        elif frame.kind == "imported":
            self.passed.add("imported")
            self.importing = ""
            self.start_clock(self.request.limits.probe_seconds)
        elif frame.kind == "trace":
            self.trace = self.trace or str(frame.values.get("text", ""))
        elif frame.kind == "progress":
            if not all(type(value) in (int, float, bool) for value in frame.values.values()):
                raise BadFrame("progress is told in numbers")
            self.moved, self.cpu_at_move = time.monotonic(), self.cpu()
            if self.on_progress is not None:
                self.on_progress(frame.values)
        elif frame.kind in ENDINGS:
            check_ending(frame, begun="started" in self.passed)
            self.final = frame
        else:
            raise BadFrame("an answer is of a kind that was not asked for")

    def start_clock(self, limit: float) -> None:
        self.clock, self.limit, self.cpu_at_clock = time.monotonic(), limit, self.cpu()
        self.moved, self.cpu_at_move = self.clock, self.cpu_at_clock

    def hurry(self, seconds: float) -> None:
        """From now on it must get on: it is ended when it computes for so many seconds without telling progress."""
        self.patience = seconds

    def cpu(self) -> float:
        return family.cpu(family.members(self.pid))

    def over(self) -> str:
        """Why the job must be stopped now, or "". Then nothing it says counts any more: it may notice how it ends."""
        why = self.exceeded()
        self.stopping = self.stopping or bool(why)
        return why

    def exceeded(self) -> str:
        """The limit it has run into, or ""."""
        if self.bad:
            return "protocol"
        if self.prints.count > self.prints.limit:
            return "output"
        if self.clock is not None:
            wall = time.monotonic() - self.clock
            if time.monotonic() - self.looked > LOOK_SECONDS and (why := self.look()):
                return why
            if wall > 4 * self.limit:
                return "timeout"
            if wall > self.limit and (computed := self.cpu() - self.cpu_at_clock) > self.limit:
                self.computed = computed
                return "timeout"
            patience = self.patience
            if 0 < patience < time.monotonic() - self.moved and self.cpu() - self.cpu_at_move > patience:
                return "timeout"
        return ""

    def look(self) -> str:
        """Look at the whole job, which costs some milliseconds; says why it must be stopped, or ""."""
        self.looked, limits = time.monotonic(), self.request.limits
        members = family.members(self.pid)
        if len(members) > MOST_PROCESSES:  # before their memory is added up: a crowd grows faster than it is looked at
            return "memory"
        used = family.memory(members)
        if used > 3 * limits.memory_bytes or RESERVE.must_end(self, used, limits.memory_bytes):
            return "memory"
        patience = limits.stall_seconds * (1 if "imported" in self.passed else PATIENCE_AT_IMPORT)
        waits_for_us = self.reading or self.final is not None
        still, dozing = self.rest.look([] if waits_for_us else members, self.looked)
        self.stalled = still > patience or dozing > family.BLINKING * patience
        return "timeout" if self.stalled else ""

    def end(self, kind: str, status: int | None = None, until: bytes = b"", detail: str = "") -> None:
        """Settle the outcome; the first call counts."""
        with self.changed:
            if self.outcome is not None:
                return
            if self.prints.count > self.prints.limit and kind != "cancelled":
                kind = "output"
            values = self.final.values if self.final is not None and kind in ENDINGS else {}
            detail = detail or ("asleep" if self.stalled and kind == "timeout" else "")
            prints, seconds = self.prints.text(until), time.monotonic() - self.begun
            computed = self.computed if kind == "timeout" else 0.0
            self.outcome = Outcome(kind, values, status, self.importing, prints, seconds, detail, computed, self.trace)
            self.changed.notify_all()
        self.on_end()

    @property
    def own_ending(self) -> str:
        """How it ended where nobody stopped it."""
        return self.final.kind if self.final is not None else "protocol" if self.bad else "died"

    def finish(self) -> None:
        """Nothing of it runs any more: let go of what it had begun to send."""
        self.decoder = Decoder(0)
        self.finished.set()

    def cancel(self) -> None:
        """Stop it, and wait until nothing of it runs any more."""
        self.end("cancelled")
        self.finished.wait(GRACE)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """The outcome, or None when it has not come within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while self.outcome is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self.changed.wait(1.0 if left is None else min(left, 1.0))  # short waits let Ctrl-C through on Windows
            return self.outcome
