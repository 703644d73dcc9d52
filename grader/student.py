"""What a check is handed: a way to ask probes, to draw inputs, and to leave evidence for the reports."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from grader import digits as run_digits
from grader.checks import Check
from grader.outcomes import NotSeen, ProtocolBroken
from grader.rubric import Rubric
from grader.worker.job import Outcome

if TYPE_CHECKING:
    from grader.run import Run


class Answer(dict[str, Any]):
    """What a probe returned. Asking for a value that raised instead ends the check as `crashed`."""

    def __init__(self, outcome: Outcome):
        super().__init__(outcome.values)
        self._outcome = outcome

    def __missing__(self, name: str) -> Any:
        raise ProtocolBroken(f"the answer lacks {name}")

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if hasattr(value, "frames"):
            raise NotSeen(Outcome("raised", {"error": value}, prints=self._outcome.prints))
        return value

    def raised(self, name: str) -> Any:
        """The exception that stands in the place of a value, or None."""
        value = self.get(name)
        return value if hasattr(value, "frames") else None


class Student:
    """What a check is handed: ask probes, draw inputs, leave evidence for the reports."""

    def __init__(self, run: Run, check: Check):
        self._run, self._check = run, check
        self.answered = False

    @property
    def rubric(self) -> Rubric:
        return self._run.rubric

    def observe(self, probe: str, **arguments: Any) -> Answer:
        """Run a probe beside the student's code, or take its earlier answer to the same question."""
        outcome = self._run.observe(self._check, probe, arguments)
        self._run.prints[self._check.id] = outcome.prints
        if outcome.kind != "answer":
            raise NotSeen(outcome)
        self.answered = True
        return Answer(outcome)

    def rng(self, name: str) -> np.random.Generator:
        """Random numbers of this run; the same name gives the same numbers."""
        return np.random.default_rng([self._run.seed, 2, *name.encode()])

    def digits(
        self, train_images: np.ndarray, train_labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray
    ) -> str:
        """Write uint8 images and labels as IDX files; returns a root for torchvision.datasets.MNIST(root)."""
        key = hashlib.sha256(b"".join(a.tobytes() for a in (train_images, train_labels, test_images, test_labels)))
        root = self._run.folder / f"digits-{key.hexdigest()[:12]}"
        if not root.exists():
            run_digits.write_idx(root, train_images, train_labels, test_images, test_labels)
        return str(root)

    @property
    def secret_digits(self) -> run_digits.SecretDigits:
        return self._run.secret_digits

    def secret_root(self) -> str:
        shown = self.secret_digits.shown
        return self.digits(shown.train_images, shown.train_labels, shown.test_images, shown.test_labels)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once a run: for inputs and readings that several checks share."""
        if name not in self._run.memory:
            self._run.memory[name] = make()
        return self._run.memory[name]

    def record(self, **found: Any) -> None:
        """Leave training=, accuracy=, confusion= for the result, or evidence={name: array}."""
        self._run.recorded.update(found)
