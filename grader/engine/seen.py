"""What a run saw, before points and words are put to it: it can be kept, and worded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from grader.engine.cell_words import in_cells
from grader.engine.check import Finding
from grader.engine.contract import Contract
from grader.engine.hints import Hint, links_of, load_links
from grader.engine.result import CheckResult, Result, Status
from grader.engine.rubric import Rubric
from grader.engine.submission.read import Submission
from grader.engine.wording import (
    as_an_invitation,
    check_result,
    named_once,
    point_to_cause,
    shown,
    with_reading,
)


@dataclass(frozen=True)
class Seen:
    """How one check ended. frames and quote: the student's own lines, see CheckResult."""

    check: str
    status: Status
    finding: Finding | None = None
    frames: tuple[Mapping[str, Any], ...] = ()
    quote: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        told = asdict(self)
        if self.finding is not None:
            told["finding"]["facts"] = {name: shown(fact) for name, fact in self.finding.facts.items()}
        return told

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Seen:
        finding = Finding(**raw["finding"]) if raw["finding"] else None
        return cls(**{**raw, "finding": finding, "frames": tuple(raw["frames"])})


@dataclass(frozen=True)
class Record:
    """A whole run, but for points and words. The fields are those of Result."""

    started_at: str
    seconds: float
    seed: int
    submission: Mapping[str, Any]
    grader: Mapping[str, Any]
    seen: tuple[Seen, ...]
    recorded: Mapping[str, Any] = field(default_factory=dict)
    prints: str = ""
    trouble: str = ""
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All but the evidence, which is arrays."""
        plain = {name: getattr(self, name) for name in ("started_at", "seconds", "seed", "prints", "trouble")}
        tables = {name: dict(getattr(self, name)) for name in ("submission", "grader", "recorded")}
        return plain | tables | {"seen": [one.to_json() for one in self.seen]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], evidence: Mapping[str, np.ndarray]) -> Record:
        """What to_json gave. Raises KeyError, TypeError for anything else."""
        return cls(**{**raw, "seen": tuple(map(Seen.from_json, raw["seen"]))}, evidence=evidence)


def in_words(seen: Seen, submission: Submission, rubric: Rubric, hints: Mapping[str, Hint]) -> CheckResult:
    """One check with its points and its words."""
    contract, check, points = submission.contract, submission.contract.check[seen.check], rubric.points[seen.check]
    result = check_result(
        contract, check, points, seen.status, seen.finding, hints, seen.seconds, seen.frames, seen.quote
    )
    return in_cells(result, submission) if submission.is_notebook else result


def told(record: Record, submission: Submission, rubric: Rubric, hints: Mapping[str, Hint]) -> Result:
    """The result of a run: every check in words, and the last look over all of them."""
    contract: Contract = submission.contract
    links = load_links(contract.hints_path)
    done = [in_words(seen, submission, rubric, hints) for seen in record.seen]
    done = named_once(done, contract, hints)
    done = as_an_invitation(point_to_cause(done, contract.consequence), submission.is_begun)
    done = with_reading(done, contract, links)
    return Result(
        started_at=record.started_at,
        seconds=record.seconds,
        seed=record.seed,
        submission=record.submission,
        grader=record.grader,
        checks=tuple(done),
        recorded=record.recorded,
        prints=record.prints,
        evidence=record.evidence,
        links=tuple(sorted({*links_of(hints), *links.values()})),
        trouble=record.trouble,
        sections=contract.sections,
    )
