"""Many gradings at once for selftest and calibrate: several warm servers, every finished run kept in a file."""

from __future__ import annotations

import hashlib
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from grader.contract import WEEK
from grader.engine.keys import Key
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Rubric
from grader.engine.run import grade
from grader.engine.run import start_server as start_for
from grader.engine.submission.read import read
from grader.engine.worker.trusted.start import Server

# What decides a verdict; texts, reports and this room do not, so changing them keeps finished runs valid.
NOT_JUDGING = ("authoring", "corpus", "classroom", "sections", "engine/reports", "engine/front")
KEPT = "runs.jsonl"
BEFORE = "before.jsonl"
KEY = Key(hashlib.sha256(b"nothing here is a secret").digest())  # so that a run of the corpus can be repeated anywhere


class CannotKeep(OSError):
    """The output folder cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Trial:
    """One grading to do. parts: what runs; more: what runs as well when `parts` finds nothing."""

    kind: str  # "wheats", "chaffs" or "attacks"
    entry: str
    base: str  # the wheat it stands on, "" for its own base
    seed: int
    parts: tuple[str, ...]
    files: Mapping[str, str]
    more: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Digest of the submission's text."""
        return digest(*(f"{name}\0{text}" for name, text in sorted(self.files.items())))

    def key(self, grader: str) -> str:
        return digest(
            self.kind, self.entry, self.base, str(self.seed), *self.parts, "+", *self.more, self.source, grader
        )


@dataclass(frozen=True)
class Row:
    """One finished grading, as one line of runs.jsonl.

    failed: {check id: [status, finding or "", points lost]} for checks that did not pass.
    trouble: details of grader_error, which is our fault and not a verdict.
    """

    key: str
    kind: str
    entry: str
    base: str
    seed: int
    parts: list[str]
    score: int
    max_score: int
    first: str  # the finding of the next step, "" when all passed
    first_check: str
    failed: dict[str, list[Any]]
    trouble: list[str]
    accuracy: float | None
    seconds: float

    @property
    def lost(self) -> int:
        return self.max_score - self.score


def digest(*parts: str) -> str:
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:24]


def judging_digest(rubric: Path) -> str:
    """Digest of what decides a verdict: the grader's code without its teacher rooms and reports, and the rubric."""
    folder = WEEK.folder
    paths = [p for p in sorted(folder.rglob("*.py")) if not p.relative_to(folder).as_posix().startswith(NOT_JUDGING)]
    texts = [f"{p.relative_to(folder).as_posix()}\0{p.read_text(encoding='utf-8')}" for p in paths]
    return digest(*texts, rubric.read_text(encoding="utf-8"))


class Store:
    """The finished runs of an output folder: appended one by one, so an interrupted session loses none."""

    def __init__(self, folder: Path, resume: bool):
        """Without `resume`, earlier runs are set aside as before.jsonl. Raises CannotKeep."""
        self.path, self.before = folder / KEPT, folder / BEFORE
        self.lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not resume:
                self.path.replace(self.before)
            content = self.path.read_bytes() if self.path.exists() else b""
            self.file = self.path.open("a", encoding="utf-8", newline="\n")
            if content and not content.endswith(b"\n"):
                self.file.write("\n")  # the last line was torn; it must not spoil the next one
        except OSError as error:
            raise CannotKeep(
                f"The folder {folder} cannot be written ({error.strerror}); give another --out."
            ) from error
        self.rows = {row.key: row for row in rows_of(self.path)}

    def add(self, row: Row) -> None:
        with self.lock:
            self.rows[row.key] = row
            try:
                self.file.write(json.dumps(asdict(row)) + "\n")
                self.file.flush()
            except OSError as error:
                raise CannotKeep(f"{self.path} cannot be written any more ({error.strerror}).") from error

    def close(self) -> None:
        try:
            self.file.close()
        except OSError:
            pass  # the disk is full; what it would say has been said


def rows_of(path: Path) -> list[Row]:
    """The rows of a file of runs, the last for each key; a line that is not valid is skipped, and its run repeated."""
    found = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = Row(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[row.key] = row
    return list(found.values())


def perform(trial: Trial, server: Server, rubric: Rubric, grader: str) -> Row:
    """Grade one trial."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grader-trial-") as folder:
        for name, text in trial.files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        submission = read(Path(folder), WEEK, int(rubric.limits["file_bytes"]), trial.entry)
    result = grade(submission, server, rubric, trial.seed, parts=trial.parts, key=KEY)
    if trial.more and all(check.status == "passed" for check in result.checks):
        further = grade(submission, server, rubric, trial.seed, parts=trial.more, key=KEY)
        checks = sorted([*result.checks, *further.checks], key=lambda check: WEEK.part_names.index(check.part))
        result = replace(further, checks=tuple(checks))
    return row_of(trial, result, grader, time.monotonic() - start)


def row_of(trial: Trial, result: Result, grader: str, seconds: float) -> Row:
    step = result.next_step
    return Row(
        key=trial.key(grader),
        kind=trial.kind,
        entry=trial.entry,
        base=trial.base,
        seed=trial.seed,
        parts=[part["name"] for part in result.parts],
        score=result.score,
        max_score=result.max_score,
        first=(step.finding or step.status) if step is not None else "",
        first_check=step.id if step is not None else "",
        failed={c.id: seen(c) for c in result.checks if c.status not in ("passed", "grader_error")},
        trouble=[f"{c.id}: {c.message}" for c in result.checks if c.status == "grader_error"],
        accuracy=accuracy_of(result),
        seconds=round(seconds, 2),
    )


def accuracy_of(result: Result) -> float | None:
    found = result.recorded.get("accuracy")
    return found["test"] if found else None


def start_server(kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server for this week."""
    return start_for(WEEK, kind, isolation)


def seen(check: CheckResult) -> list[Any]:
    return [check.status, check.finding or "", check.max_score - check.score]


class Pool:
    """Workers that each keep a warm server and take trials from one queue until it is empty."""

    def __init__(self, rubric: Rubric, grader: str, store: Store, start: Callable[[], Server] = start_server):
        self.rubric, self.grader, self.store, self.start = rubric, grader, store, start
        self.todo: queue.SimpleQueue[Trial] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[Row | BaseException | None] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self.servers: list[Server] = []
        self.lock = threading.Lock()

    def run(self, trials: Sequence[Trial], jobs: int, on_row: Callable[[Row], None]) -> None:
        """Do all trials; on_row is called here, in this thread, for each as it ends. Ctrl-C stops at once."""
        for trial in trials:
            self.todo.put(trial)
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(min(jobs, len(trials)))]
        for worker in workers:
            worker.start()
        running = len(workers)
        try:
            while running:
                try:
                    message = self.done.get(timeout=0.5)  # a wait without end would not see Ctrl-C on Windows
                except queue.Empty:
                    continue
                if message is None:
                    running -= 1
                elif isinstance(message, BaseException):
                    raise message
                else:
                    on_row(message)
        finally:
            self.stopping.set()
            for server in list(self.servers):  # a trial can take minutes; without its server it ends at once
                self.shut(server)
            for worker in workers:
                worker.join(10)

    def work(self) -> None:
        server = None
        try:
            server = self.open()
            while not self.stopping.is_set():
                try:
                    trial = self.todo.get_nowait()
                except queue.Empty:
                    return
                row = perform(trial, server, self.rubric, self.grader)
                if row.trouble and not self.stopping.is_set():
                    # Our fault or the worker's: a fresh worker tells which.
                    self.shut(server)
                    server = self.open()
                    row = perform(trial, server, self.rubric, self.grader)
                if self.stopping.is_set():
                    return  # what was cut short is not a verdict
                self.store.add(row)
                self.done.put(row)
        except BaseException as error:
            self.done.put(error)
        finally:
            if server is not None:
                self.shut(server)
            self.done.put(None)

    def open(self) -> Server:
        server = self.start()
        with self.lock:
            self.servers.append(server)
        return server

    def shut(self, server: Server) -> None:
        """Close a server once, whoever is first: its worker, or the session being stopped."""
        with self.lock:
            ours = server in self.servers
            if ours:
                self.servers.remove(server)
        if ours:
            server.close()


def open_trials(trials: Iterable[Trial], store: Store, grader: str) -> list[Trial]:
    """Those that have no finished run yet, or one that ended in trouble."""
    rows = store.rows
    return [t for t in trials if (row := rows.get(t.key(grader))) is None or row.trouble]
