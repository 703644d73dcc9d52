"""What a check is handed: a way to ask probes, to draw inputs, and to leave evidence for the reports."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grader.engine.answer import Answer
from grader.engine.asking import Asking
from grader.engine.check import Check
from grader.engine.contract import Pool
from grader.engine.endings import NotSeen
from grader.engine.rubric import Rubric

Rng = Callable[[str], np.random.Generator]  # random numbers of this run, by name


@dataclass
class Inputs:
    """What is drawn from a seed and tells nothing of a submission: runs with the same seed, key and pool may share it.

    folder: those on disk, which probes may read; made: the others, by name
    making: held while something is made, because checks may run in several threads
    """

    folder: Path
    made: dict[str, Any] = field(default_factory=dict)
    making: threading.RLock = field(default_factory=threading.RLock)  # type: ignore[valid-type, unused-ignore]


@dataclass
class Notes:
    """What the checks of one run leave for each other and for the reports.

    memory: readings that several checks share; recorded: what goes into score.json, by name
    evidence: arrays for pictures; prints: {check id: what student code printed while it was observed}
    failed: the ids of the checks that named a fault so far
    answered: whether anything that student code may have written has been seen
    pool: data of the teacher's own that this run draws from
    """

    memory: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, np.ndarray] = field(default_factory=dict)
    prints: dict[str, str] = field(default_factory=dict)
    answered: bool = False
    failed: list[str] = field(default_factory=list)
    pool: Pool | None = None


class Student:
    """A submission as one check sees it."""

    def __init__(self, check: Check, asking: Asking, notes: Notes, rubric: Rubric, rng: Rng, inputs: Inputs):
        self._check, self._asking, self._notes, self._inputs = check, asking, notes, inputs
        self.rubric, self._rng = rubric, rng
        self.recorded: dict[str, Any] = {}  # what this check has left for the reports
        self.evidence: dict[str, np.ndarray] = {}
        self.traces: list[str] = []  # what the grader's own code stopped with beside the student's, as children tell

    def observe(self, probe: str, **arguments: Any) -> Answer:
        """Run a probe beside the student's code, or take its earlier answer to the same question."""
        outcome = self._asking.observe(self._check, probe, arguments)
        self._notes.prints[self._check.id] = outcome.prints
        if outcome.trace and outcome.trace not in self.traces:
            self.traces.append(outcome.trace)
        if outcome.kind != "answer":
            raise NotSeen(outcome)
        self._notes.answered = True
        return Answer(outcome.values, outcome.prints)

    def experiment(self, probe: str, limit: float, **arguments: Any) -> Answer | None:
        """Try something for better words: the answer of a probe in a fresh child, None when none came in time.

        What comes of it chooses a finding, and never a status or points. limit: CPU seconds, all that it gets.
        """
        outcome = self._asking.experiment(self._check, probe, limit, arguments)
        return Answer(outcome.values) if outcome.kind == "answer" else None

    def begin(self, probe: str, **arguments: Any) -> None:
        """Ask now and do not wait: `observe` with the same arguments takes the answer later."""
        self._asking.begin(self._check, probe, arguments)

    @property
    def faults(self) -> tuple[str, ...]:
        """The checks of this run that have named a fault before this one."""
        return tuple(self._notes.failed)

    @property
    def packed_bytes(self) -> int:
        """Size of the submitted files once they are compressed: how much they say, in whatever words."""
        return len(zlib.compress(b"\n".join(self._asking.submission.files.values()), 9))

    @property
    def elapsed(self) -> float:
        """Wall seconds that this run has taken so far."""
        return time.monotonic() - self._asking.opened

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers of this run; the same name gives the same numbers."""
        return self._rng(name)

    @property
    def pool(self) -> Pool | None:
        """What the contract's `open_pool` gave for this run; None for the data that everybody has."""
        return self._notes.pool

    def folder(self, name: str) -> Path:
        """A folder for inputs on disk, the same for runs that draw the same: a probe that gets its path may read it."""
        return self._inputs.folder / name

    def drawn(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` draws with `rng`, made once: for inputs, whatever the submission is."""
        with self._inputs.making:
            if name not in self._inputs.made:
                self._inputs.made[name] = make()
            return self._inputs.made[name]

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once per run: for readings that several checks share."""
        if name not in self._notes.memory:
            self._notes.memory[name] = make()
        return self._notes.memory[name]

    def record(self, evidence: Mapping[str, np.ndarray] | None = None, **found: Any) -> None:
        """Leave something for the reports: entries of score.json by name, and arrays for pictures."""
        self.recorded.update(found)
        self.evidence.update(evidence or {})
        self._notes.recorded.update(found)
        self._notes.evidence.update(evidence or {})
