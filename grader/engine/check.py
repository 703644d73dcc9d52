"""What a check is: a plain function that takes `student`, and what it finds.

A check asks a probe what it sees (`student.observe`), compares in numpy, and either returns (passed) or calls `fail`
with the id of the misconception it recognised. Its docstring's first line is the name students read; its points stand
in rubric.toml. Checks are trusted: they import no probe, no student code and nothing that only probes need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from grader.engine.student import Student
    from grader.engine.worker.raised import Raised


@dataclass(frozen=True)
class Check:
    """One thing that is judged. `calls` names what of the student's it calls, as "module.name".

    begin: starts its observation before its turn, for the check that takes long
    """

    id: str
    part: str
    todo: int
    calls: tuple[str, ...]
    function: Callable[[Student], None]
    begin: Callable[[Student], None] | None = None

    @property
    def title(self) -> str:
        return (self.function.__doc__ or self.id).strip().splitlines()[0].rstrip(".")


@dataclass(frozen=True)
class Finding:
    """What a check recognised: the id of an entry in hints/ and the facts its text is filled with."""

    id: str
    facts: dict[str, Any] = field(default_factory=dict)
    todo: int | None = None  # where the fault is, when that is not the check's own TODO
    share: float = 0.0  # how much of the check's points is earned all the same, 0..1


class Failed(Exception):
    """Raised by `fail`: the check has found something."""

    def __init__(self, finding: Finding, raised: Raised | None = None):
        super().__init__(finding.id)
        self.finding, self.raised = finding, raised


class Waits(Exception):
    """Raised by `waits_for`: what was seen gives nothing to judge."""


def waits_for(what: str) -> NoReturn:
    """End the check as `blocked`. `what` is the end of "This waits until ..."; another check names the fault."""
    raise Waits(what)


class GraderTrouble(RuntimeError):
    """Something of the grader's own is missing or damaged; the message is one sentence. Never the student's fault."""


def only_where(seen: Callable[[Student], None]) -> Callable[[Callable[[Student], None]], Callable[[Student], None]]:
    """Let a check pass only where there was something to judge: `seen` ends it when there was not.

    It has the last word, after the check's own: so a fault that has a name keeps it. What such a fault leaves of the
    points is earned only where there was something to judge, too.
    """

    def declare(function: Callable[[Student], None]) -> Callable[[Student], None]:
        @wraps(function)
        def both(student: Student) -> None:
            try:
                function(student)
            except Failed as found:
                if found.finding.share:
                    try:
                        seen(student)
                    except Exception:
                        raise Failed(replace(found.finding, share=0.0), found.raised) from None
                raise
            seen(student)

        return both

    return declare


def fail(
    finding_id: str, *, todo: int | None = None, share: float = 0.0, came_from: Raised | None = None, **facts: Any
) -> NoReturn:
    """End the check with a finding. `facts` fill the placeholders of its hint ({name} in hints/).

    came_from: what the student's code raised, where the finding comes from that: its line is shown
    """
    shown = {name: readable(fact) for name, fact in facts.items()}
    texts = [name for name, text in shown.items() if isinstance(text, str)]
    alike = [a for a in texts if any(shown[a] == shown[b] and facts[a] != facts[b] for b in texts)]
    shown |= {name: readable(facts[name], figures=8) for name in alike}  # four figures do not show the difference
    raise Failed(Finding(finding_id, shown, todo, share), came_from)


def readable(fact: Any, figures: int = 4) -> Any:
    """A number as a person would write it: at most four significant figures, no numpy types."""
    if hasattr(fact, "item") and getattr(fact, "ndim", 0) == 0:
        fact = fact.item()
    if isinstance(fact, bool) or not isinstance(fact, float):
        return fact
    if not math.isfinite(fact):
        return str(fact)
    return f"{fact:.{figures}g}"


def check(
    check_id: str,
    *,
    part: str,
    todo: int,
    calls: tuple[str, ...],
    begin: Callable[[Student], None] | None = None,
) -> Callable[[Callable[[Student], None]], Callable[[Student], None]]:
    """Declare a function as a check; it keeps being a plain function."""

    def declare(function: Callable[[Student], None]) -> Callable[[Student], None]:
        function.declared_check = Check(check_id, part, todo, calls, function, begin)  # type: ignore[attr-defined]
        return function

    return declare
