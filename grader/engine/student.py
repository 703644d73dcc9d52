"""What a check is handed: a way to ask probes, to draw inputs, and to leave evidence for the reports."""

from __future__ import annotations

import time
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
class Notes:
    """What the checks of one run leave for each other and for the reports.

    memory: inputs and readings that several checks share; recorded: what goes into score.json, by name
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

    def __init__(
        self, check: Check, asking: Asking, notes: Notes, rubric: Rubric, rng: Callable[[str], np.random.Generator]
    ):
        self._check, self._asking, self._notes = check, asking, notes
        self.rubric, self._rng = rubric, rng
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
        """A folder of this run for inputs on disk: a probe that gets its path as an argument may read it."""
        return self._asking.folder / name

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once per run: for inputs and readings that several checks share."""
        if name not in self._notes.memory:
            self._notes.memory[name] = make()
        return self._notes.memory[name]

    def record(self, evidence: Mapping[str, np.ndarray] | None = None, **found: Any) -> None:
        """Leave something for the reports: entries of score.json by name, and arrays for pictures."""
        self._notes.recorded.update(found)
        self._notes.evidence.update(evidence or {})
