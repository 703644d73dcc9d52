"""One grading of selftest and calibrate, and what is kept of it."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from grader.contract import WEEK
from grader.engine.keys import Key
from grader.engine.many.judging import code_digest, demand_same
from grader.engine.many.store import Store
from grader.engine.many.warm import Warm
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Rubric
from grader.engine.run import grade
from grader.engine.servers import start_server as start_for
from grader.engine.submission.read import read
from grader.engine.worker.trusted.start import Server

KEPT = "runs.sqlite"
KEY = Key(hashlib.sha256(b"nothing here is a secret").digest())  # so that a run of the corpus can be repeated anywhere


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
    """One finished grading.

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
    return digest(code_digest(WEEK.folder), rubric.read_text(encoding="utf-8"))


class Runs:
    """The finished runs of an output folder: an interrupted session loses none. Raises CannotKeep.

    rows: {key: row}; before: the rows of the session before this one
    """

    def __init__(self, folder: Path, resume: bool):
        """Without `resume`, earlier runs are set aside."""
        self.store = Store(folder / KEPT)
        self.path = self.store.path
        if not resume:
            self.store.set_aside()
        self.before = list(rows_of(self.store.told("before")).values())
        self.read()

    def read(self) -> None:
        """Read all rows anew: whoever was interrupted while keeping one cannot know whether it is there."""
        self.rows = rows_of(self.store.told())

    def add(self, row: Row) -> None:
        self.store.put(row.key, asdict(row))
        self.rows[row.key] = row

    def close(self) -> None:
        self.store.close()


def rows_of(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Row]:
    """{key: row}; what another version of the grader kept in other words is skipped, and its run repeated."""
    found = {}
    for key, values in told.items():
        try:
            found[key] = Row(**values)
        except TypeError:
            continue
    return found


@dataclass(frozen=True)
class Grader:
    """Grades trials, in whatever thread or process it is called.

    grader: digest of what decides a verdict; code: that of the code alone
    """

    warm: Warm
    rubric: Rubric
    grader: str
    code: str

    def __call__(self, trial: Trial) -> Row:
        """The row of a trial. What is our fault or the worker's is tried again with a fresh one.

        Raises OtherGrader, and what Warm.do raises.
        """
        demand_same(WEEK.folder, self.code)
        return self.warm.do(lambda server: perform(trial, server, self.rubric, self.grader), in_trouble)


def in_trouble(row: Row) -> bool:
    return bool(row.trouble)


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
        accuracy=WEEK.measured(result.recorded),
        seconds=round(seconds, 2),
    )


def start_server(kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server for this week."""
    return start_for(WEEK, kind, isolation)


def seen(check: CheckResult) -> list[Any]:
    return [check.status, check.finding or "", check.max_score - check.score]


def open_trials(trials: Iterable[Trial], runs: Runs, grader: str) -> list[Trial]:
    """Those that have no finished run yet, or one that ended in trouble."""
    rows = runs.rows
    return [t for t in trials if (row := rows.get(t.key(grader))) is None or row.trouble]
