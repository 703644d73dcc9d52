"""JUDGE: one plain function a check. Trusted: nothing here imports torch, a probe or student code.

A check asks a probe what it sees (`student.observe`), compares in numpy, and either returns
(passed) or calls `fail` with the id of the misconception it recognised. Its docstring's first
line is the name students read; its points stand in rubric.toml.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

PARTS = ("data", "model", "training", "accuracy")  # the order of reports
TODOS = {  # what each TODO asks for: the file and the function
    1: ("data.py", "make_transform"),
    2: ("data.py", "make_loaders"),
    3: ("model.py", "DigitClassifier.__init__"),
    4: ("model.py", "DigitClassifier.forward"),
    5: ("train.py", "train_one_epoch"),
    6: ("train.py", "evaluate"),
    7: ("train.py", "fit"),
}
MODULES = ("test_1_data", "test_2_model", "test_3_training", "test_4_accuracy")


@dataclass(frozen=True)
class Check:
    """One thing that is judged. `calls` names what of the student's it calls, as "module.name"."""

    id: str
    part: str
    todo: int
    calls: tuple[str, ...]
    function: Callable[..., None]

    @property
    def title(self) -> str:
        return (self.function.__doc__ or self.id).strip().splitlines()[0].rstrip(".")


@dataclass(frozen=True)
class Finding:
    """What a check recognised: the id of an entry in hints.toml and the facts its text is filled with."""

    id: str
    facts: dict[str, Any] = field(default_factory=dict)
    todo: int | None = None  # where the fault is, when that is not the check's own TODO
    share: float = 0.0  # how much of the check's points is earned all the same, 0..1


class Failed(Exception):
    """Raised by `fail`: the check has found something."""

    def __init__(self, finding: Finding):
        super().__init__(finding.id)
        self.finding = finding


def fail(finding_id: str, *, todo: int | None = None, share: float = 0.0, **facts: Any) -> NoReturn:
    """End the check with a finding. `facts` fill the placeholders of its hint ({name} in hints.toml)."""
    shown = {name: readable(fact) for name, fact in facts.items()}
    if "got" in shown and shown["got"] == shown.get("expected"):  # four digits do not show the difference
        shown |= {name: readable(facts[name], digits=8) for name in ("got", "expected")}
    raise Failed(Finding(finding_id, shown, todo, share))


def readable(fact: Any, digits: int = 4) -> Any:
    """A number as a person would write it: at most four significant digits, no numpy types."""
    if hasattr(fact, "item") and getattr(fact, "ndim", 0) == 0:
        fact = fact.item()
    if isinstance(fact, bool) or not isinstance(fact, float):
        return fact
    if not math.isfinite(fact):
        return str(fact)
    return f"{fact:.{digits}g}"


def check(check_id: str, *, part: str, todo: int, calls: tuple[str, ...]) -> Callable[..., Any]:
    """Declare a function as a check; it keeps being a plain function."""
    assert part in PARTS

    def declare(function: Callable[..., None]) -> Callable[..., None]:
        function.declared_check = Check(check_id, part, todo, calls, function)  # type: ignore[attr-defined]
        return function

    return declare


def all_checks() -> list[Check]:
    """Every check, in report order: data, model, training, accuracy; inside a part as written."""
    found = []
    for name in MODULES:
        module = importlib.import_module(f"grader.checks.{name}")
        found += [v.declared_check for v in vars(module).values() if hasattr(v, "declared_check")]
    return found
