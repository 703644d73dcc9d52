"""What a run found: plain frozen data, to and from score.json (schema grader/score/v1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from grader.engine.sections import NO_SECTIONS, Sections

SCHEMA = "grader/score/v1"
FULL_MARKS = 100  # what the points of a whole week sum to
FRAME_LIMIT = 20
Status = Literal["passed", "failed", "todo", "blocked", "timeout", "crashed", "grader_error"]
STATUSES: tuple[Status, ...] = get_args(Status)


class BadScore(ValueError):
    """A score.json that is not one; the message says what is wrong."""


@dataclass(frozen=True)
class CheckResult:
    """One check of a run. message: what was seen, in a sentence or two. hint: cause, where to look, a question.

    quote: the student's own line that an error came from, as lines of text: where it stands, the line, marks below it
    """

    id: str
    title: str
    part: str
    todo: int
    status: Status
    score: int
    max_score: int
    finding: str | None = None
    message: str = ""
    hint: str = ""
    quote: str = ""
    seconds: float = 0.0
    place: str = ""  # where the fault is, for people: "TODO N, the function in its file"
    frames: tuple[Mapping[str, Any], ...] = ()  # {file, line, function, text}, outermost first; line 0: the whole file

    @property
    def texts(self) -> list[str]:
        """What a report says of it, one after the other; what has several lines is to be shown as it stands."""
        return [text for text in (self.message, self.quote, *self.hint.splitlines()) if text]


@dataclass(frozen=True)
class Result:
    """Everything a report needs.

    recorded: the week's own entries of score.json, by name; sections says what reports make of them
    evidence: arrays for pictures; they travel in evidence.npz
    links: addresses that become links in reports: those of our own hints; all others stay text, whoever wrote them
    trouble: stacks of the grader's own code, for those who look after it; they travel in trouble.txt
    """

    started_at: str
    seconds: float
    seed: int
    submission: Mapping[str, Any]  # name, digest, notes
    grader: Mapping[str, Any]  # version, digest, isolation, measures, worker, key, pool
    checks: tuple[CheckResult, ...]
    recorded: Mapping[str, Any] = field(default_factory=dict)
    prints: str = ""  # the tail of what student code printed in the first check that did not pass
    evidence: Mapping[str, np.ndarray] = field(default_factory=dict)
    links: tuple[str, ...] = field(default=(), repr=False, compare=False)
    trouble: str = field(default="", compare=False)
    sections: Sections = field(default=NO_SECTIONS, repr=False, compare=False)

    @property
    def score(self) -> int:
        return sum(check.score for check in self.checks)

    @property
    def final(self) -> bool:
        """Whether `score` is a score: where the grader itself had trouble, it is only the points so far."""
        return all(check.status != "grader_error" for check in self.checks)

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
        """The first check, in report order, that the student can do something about: what is begun comes first."""
        open_checks = [c for c in self.checks if c.status not in ("passed", "grader_error")]
        begun = [c for c in open_checks if c.status not in ("todo", "blocked")]
        to_do = [c for c in open_checks if c.status == "todo"]
        return next(iter(begun or to_do or open_checks), None)

    @property
    def untouched(self) -> bool:
        """True for a skeleton in which nothing is done yet."""
        return bool(self.checks) and all(check.status == "todo" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "started_at": self.started_at,
            "seconds": self.seconds,
            "seed": self.seed,
            "submission": dict(self.submission),
            "grader": dict(self.grader),
            "final": self.final,
            "score": self.score if self.final else None,
            "points_so_far": self.score,
            "max_score": self.max_score,
            "parts": self.parts,
            "checks": [asdict(check) | {"frames": [dict(f) for f in check.frames]} for check in self.checks],
            **{key: self.recorded.get(key) for key in self.sections.schema},
            "prints": self.prints,
        }

    def dumps(self) -> str:
        return json.dumps(self.to_json(), indent=2, ensure_ascii=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, raw: Any, sections: Sections) -> Result:
        """Raises BadScore. Nothing in the file is trusted to be of the right kind."""
        if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
            raise BadScore(f"this is not a score.json of schema {SCHEMA}")
        try:
            checks = tuple(check_from_json(entry) for entry in raw["checks"])
            result = cls(
                started_at=expect(raw, "started_at", str),
                seconds=float(expect(raw, "seconds", (int, float))),
                seed=expect(raw, "seed", int),
                submission=expect(raw, "submission", dict),
                grader=expect(raw, "grader", dict),
                checks=checks,
                recorded=sections.read(raw),
                prints=expect(raw, "prints", str),
                sections=sections,
            )
        except (KeyError, TypeError) as error:
            raise BadScore(f"score.json lacks or has a wrong {error}") from error
        told = result.to_json()
        if any(key in raw and raw[key] != told[key] for key in ("final", "points_so_far")):
            raise BadScore("score.json says of its points what its checks do not")
        if (raw.get("score"), raw.get("max_score")) != (told["score"], told["max_score"]):
            raise BadScore("the total in score.json is not the sum of its checks")
        return result


def expect(raw: dict[str, Any], key: str, kind: Any) -> Any:
    if not isinstance(raw[key], kind) or isinstance(raw[key], bool):
        raise BadScore(f"{key} in score.json is of the wrong kind")
    return raw[key]


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
    place = raw.get("place", f"TODO {numbers['todo']}")  # a score.json without places is from before they were kept
    quote = raw.get("quote", "")  # and neither has one from before lines were quoted
    if not isinstance(place, str) or not isinstance(quote, str):
        raise BadScore("a place or a quote in score.json is of the wrong kind")
    more: dict[str, Any] = {"place": place, "quote": quote[:2000], "frames": frames_from_json(raw)}
    return CheckResult(**texts, **numbers, finding=finding, seconds=seconds, **more)


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
