"""Reads what a teacher edits: rubric.toml (points, thresholds, limits) and hints.toml (one entry a finding)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from grader.checks import PARTS, all_checks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
LIMITS = ("import_seconds", "check_seconds", "accuracy_seconds", "run_seconds", "output_bytes", "file_bytes",
          "memory_bytes")  # fmt: skip
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")
HINT_FIELDS = ("title", "seen", "cause", "look", "question", "why")


class BadRubric(ValueError):
    """rubric.toml or hints.toml says something it should not; the message says what and where."""


@dataclass(frozen=True)
class Tier:
    """Test accuracy (a fraction) from which `points` are earned."""

    at: float
    points: int


@dataclass(frozen=True)
class Rubric:
    points: Mapping[str, int]
    tiers: tuple[Tier, ...]
    limits: Mapping[str, float]
    visibility: Mapping[str, str] = field(default_factory=dict)  # of checks and parts on Gradescope; "default" too

    @property
    def total(self) -> int:
        return sum(self.points.values())


@dataclass(frozen=True)
class Hint:
    """The texts of one finding; {placeholders} in them are filled with the facts that were seen."""

    id: str
    title: str
    seen: str
    cause: str
    look: str
    question: str
    why: str

    def filled(self, field: str, facts: Mapping[str, Any]) -> str:
        return Formatter().vformat(getattr(self, field), (), Forgiving(facts))


class Forgiving(dict[str, Any]):
    """A missing fact is shown as "?" instead of breaking a report; a test makes sure none is missing."""

    def __missing__(self, key: str) -> str:
        return "?"


def load_rubric(path: Path = HERE / "rubric.toml") -> Rubric:
    """Raises BadRubric."""
    raw = load_toml(path)
    ids = [check.id for check in all_checks()]
    points = raw.get("points", {})
    missing, unknown = [i for i in ids if i not in points], [i for i in points if i not in ids]
    if missing or unknown:
        raise BadRubric(f"{path}: [points] lacks {missing} and has unknown {unknown}; there is one line a check.")
    if odd := [name for name, p in points.items() if type(p) is not int or p < 0]:
        raise BadRubric(f"{path}: points are whole numbers, 0 or more; {odd[0]} has {points[odd[0]]}.")
    limited = raw.get("limits", {})
    missing, unknown = [n for n in LIMITS if n not in limited], [n for n in limited if n not in LIMITS]
    if missing or unknown:
        raise BadRubric(f"{path}: [limits] lacks {missing} and has unknown {unknown}.")
    if sum(points.values()) != 100:
        raise BadRubric(f"{path}: the points sum to {sum(points.values())}, they must sum to 100.")
    try:
        tiers = tuple(Tier(float(t["at"]), int(t["points"])) for t in raw["accuracy"]["tiers"])
        limits = {name: float(raw["limits"][name]) for name in LIMITS}
    except (KeyError, TypeError, ValueError) as error:
        raise BadRubric(f"{path}: [accuracy] tiers or [limits] is no list of numbers ({error}).") from error
    if wrong := [t.at for t in tiers if not 0 < t.at < 1]:
        raise BadRubric(f"{path}: [accuracy] a tier is a fraction between 0 and 1, such as 0.84; one is {wrong[0]:g}.")
    rising = all(a.at < b.at and a.points < b.points for a, b in zip(tiers, tiers[1:]))
    if not tiers or not rising:
        seen = ", ".join(f"{t.points} points from {t.at:g}" for t in tiers) or "none"
        raise BadRubric(f"{path}: [accuracy] tiers must rise, in accuracy and in points; there are: {seen}.")
    if tiers[-1].points != points["test-accuracy"]:
        raise BadRubric(f"{path}: the highest tier must earn the points of test-accuracy, {points['test-accuracy']}.")
    if low := [name for name, value in limits.items() if not value > 0]:
        raise BadRubric(f"{path}: [limits] are numbers above 0; {low[0]} is {limits[low[0]]:g}.")
    return Rubric({i: points[i] for i in ids}, tiers, limits, visibility_in(raw, path))


def visibility_in(raw: Mapping[str, Any], path: Path) -> dict[str, str]:
    """The optional table [visibility]: {check id, part or "default": one of VISIBILITIES}. Raises BadRubric."""
    visibility = raw.get("visibility", {})
    known = {"default", *PARTS, *(check.id for check in all_checks())}
    for name, value in visibility.items():
        if name not in known:
            raise BadRubric(f"{path}: [visibility] has an unknown {name}; use a check, a part, or default.")
        if value not in VISIBILITIES:
            raise BadRubric(f"{path}: [visibility] {name} is one of {', '.join(VISIBILITIES)}.")
    return dict(visibility)


def load_hints(path: Path = HERE / "hints.toml") -> dict[str, Hint]:
    """{finding id: hint}. Raises BadRubric."""
    raw = load_toml(path)
    hints = {}
    for finding, texts in raw.items():
        if (
            not isinstance(texts, dict)
            or set(texts) != set(HINT_FIELDS)
            or not all(str(t).strip() for t in texts.values())
        ):
            raise BadRubric(f"{path}: [{finding}] needs exactly {', '.join(HINT_FIELDS)}, and none of them empty.")
        hints[finding] = Hint(finding, **{k: " ".join(str(v).split()) for k, v in texts.items()})
    return hints


def load_toml(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return raw
    except FileNotFoundError as error:
        raise BadRubric(f"{path} is missing.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRubric(f"{path} is not valid TOML: {error}.") from error
