"""What a run found: plain frozen data, to and from score.json (schema grader/score/v1, score.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

SCHEMA = "grader/score/v1"
FRAME_LIMIT = 20
STATUSES = ("passed", "failed", "todo", "blocked", "timeout", "crashed", "grader_error")


class BadScore(ValueError):
    """A score.json that is not one; the message says what is wrong."""


@dataclass(frozen=True)
class CheckResult:
    """One check of a run. message: what was seen, in a sentence or two. hint: cause, where to look, a question."""

    id: str
    title: str
    part: str
    todo: int
    status: str
    score: int
    max_score: int
    finding: str | None = None
    message: str = ""
    hint: str = ""
    seconds: float = 0.0
    frames: tuple[Mapping[str, Any], ...] = ()  # {file, line, function, text}, outermost first; line 0: the whole file


@dataclass(frozen=True)
class Result:
    """Everything a report needs. evidence holds arrays for pictures; it travels in evidence.npz."""

    started_at: str
    seconds: float
    seed: int
    submission: Mapping[str, Any]  # name, digest, notes
    grader: Mapping[str, Any]  # version, digest, isolation, measures, worker
    checks: tuple[CheckResult, ...]
    training: Mapping[str, list[float]] | None = None
    accuracy: Mapping[str, Any] | None = None  # test, floor, tiers
    confusion: list[list[int]] | None = None
    prints: str = ""  # the tail of what student code printed in the first check that did not pass
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def score(self) -> int:
        return sum(check.score for check in self.checks)

    @property
    def max_score(self) -> int:
        return sum(check.max_score for check in self.checks)

    @property
    def parts(self) -> list[dict[str, Any]]:
        """[{name, score, max_score}] in report order."""
        names = list(dict.fromkeys(check.part for check in self.checks))
        return [
            {
                "name": name,
                "score": sum(c.score for c in self.checks if c.part == name),
                "max_score": sum(c.max_score for c in self.checks if c.part == name),
            }
            for name in names
        ]

    @property
    def next_step(self) -> CheckResult | None:
        """The first check, in report order, that the student can do something about."""
        open_checks = [c for c in self.checks if c.status not in ("passed", "grader_error")]
        actionable = [c for c in open_checks if c.status != "blocked"]
        return next(iter(actionable or open_checks), None)

    @property
    def untouched(self) -> bool:
        """True for a skeleton fresh from the box."""
        return bool(self.checks) and all(check.status == "todo" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "started_at": self.started_at,
            "seconds": self.seconds,
            "seed": self.seed,
            "submission": dict(self.submission),
            "grader": dict(self.grader),
            "score": self.score,
            "max_score": self.max_score,
            "parts": self.parts,
            "checks": [asdict(check) | {"frames": [dict(f) for f in check.frames]} for check in self.checks],
            "training": None if self.training is None else dict(self.training),
            "accuracy": None if self.accuracy is None else dict(self.accuracy),
            "confusion": self.confusion,
            "prints": self.prints,
        }

    def dumps(self) -> str:
        return json.dumps(self.to_json(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, raw: Any) -> Result:
        """Raises BadScore. Nothing in the file is trusted to be of the right kind."""
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise BadScore(f"this is no score.json of schema {SCHEMA}")
        try:
            checks = tuple(check_from_json(entry) for entry in raw["checks"])
            result = cls(
                started_at=expect(raw, "started_at", str),
                seconds=float(expect(raw, "seconds", (int, float))),
                seed=expect(raw, "seed", int),
                submission=expect(raw, "submission", dict),
                grader=expect(raw, "grader", dict),
                checks=checks,
                training=curves_from_json(raw.get("training")),
                accuracy=accuracy_from_json(raw.get("accuracy")),
                confusion=confusion_from_json(raw.get("confusion")),
                prints=expect(raw, "prints", str),
            )
        except (KeyError, TypeError) as error:
            raise BadScore(f"score.json lacks or has a wrong {error}") from error
        if (raw.get("score"), raw.get("max_score")) != (result.score, result.max_score):
            raise BadScore("the total in score.json is not the sum of its checks")
        return result


def expect(raw: dict[str, Any], key: str, kind: Any) -> Any:
    if not isinstance(raw[key], kind) or isinstance(raw[key], bool):
        raise BadScore(f"{key} in score.json is of the wrong kind")
    return raw[key]


def curves_from_json(raw: Any) -> Mapping[str, list[float]] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != {"train_loss", "val_loss", "val_accuracy"}:
        raise BadScore("training in score.json is of the wrong kind")
    if not all(isinstance(values, list) and all(map(is_number, values)) for values in raw.values()):
        raise BadScore("training in score.json holds something else than numbers")
    return raw


def accuracy_from_json(raw: Any) -> Mapping[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != {"test", "floor", "tiers"} or not isinstance(raw["tiers"], list):
        raise BadScore("accuracy in score.json is of the wrong kind")
    for tier in raw["tiers"]:
        if not isinstance(tier, dict) or set(tier) != {"at", "points"} or not all(map(is_number, tier.values())):
            raise BadScore("a tier in score.json is of the wrong kind")
    if not all(is_number(raw[key]) and 0 <= raw[key] <= 1 for key in ("test", "floor")):
        raise BadScore("accuracy in score.json is out of range")
    return raw


def confusion_from_json(raw: Any) -> list[list[int]] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or len(raw) != 10 or not all(isinstance(row, list) and len(row) == 10 for row in raw):
        raise BadScore("confusion in score.json is not 10 by 10")
    if not all(type(count) is int and count >= 0 for row in raw for count in row):
        raise BadScore("confusion in score.json holds something else than counts")
    return raw


def is_number(value: Any) -> bool:
    """A finite number: JSON as Python reads it also has nan and infinity."""
    return type(value) in (int, float) and abs(value) < float("inf")


def check_from_json(raw: Any) -> CheckResult:
    if not isinstance(raw, dict):
        raise BadScore("a check in score.json is of the wrong kind")
    texts = {key: expect(raw, key, str) for key in ("id", "title", "part", "status", "message", "hint")}
    numbers = {key: expect(raw, key, int) for key in ("todo", "score", "max_score")}
    finding = raw["finding"]
    if texts["status"] not in STATUSES or not (finding is None or isinstance(finding, str)):
        raise BadScore("a check in score.json has an unknown status or finding")
    if not 0 <= numbers["score"] <= numbers["max_score"]:
        raise BadScore("a check in score.json has more points than it can have")
    seconds = float(expect(raw, "seconds", (int, float)))
    return CheckResult(**texts, **numbers, finding=finding, seconds=seconds, frames=frames_from_json(raw))


def frames_from_json(raw: dict[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The student's own lines; a score.json without them is from before they were kept."""
    frames = raw.get("frames", [])
    if not isinstance(frames, list) or len(frames) > FRAME_LIMIT:
        raise BadScore("frames in score.json are of the wrong kind")
    for frame in frames:
        if not isinstance(frame, dict) or set(frame) != {"file", "line", "function", "text"}:
            raise BadScore("a frame in score.json is of the wrong kind")
        texts = [expect(frame, key, str) for key in ("file", "function", "text")]
        if expect(frame, "line", int) < 0 or max(map(len, texts)) > 1000:
            raise BadScore("a frame in score.json is out of range")
    return tuple(frames)
