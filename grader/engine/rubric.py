"""Reads what a teacher edits: rubric.toml, with points, thresholds and limits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.engine.contract import Contract
from grader.engine.printable import listed
from grader.engine.result import FULL_MARKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMITS = (
    "import_seconds",
    "check_seconds",
    "stall_seconds",
    "run_seconds",
    "output_bytes",
    "file_bytes",
    "memory_bytes",
)
MAY_BE_ZERO = ("experiments",)  # limits of which 0 means: not at all
VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")


class BadRubric(ValueError):
    """A file that a teacher edits says something it should not; the message says what and where."""


@dataclass(frozen=True)
class Tier:
    """What the check measures, as a fraction, from which on `points` are earned."""

    at: float
    points: int


@dataclass(frozen=True)
class Rubric:
    points: Mapping[str, int]
    tiers: tuple[Tier, ...]
    limits: Mapping[str, float]
    visibility: Mapping[str, str] = field(default_factory=dict)  # of checks and parts on Gradescope; "default" too


def limits_of(contract: Contract) -> tuple[str, ...]:
    """The names under [limits]; the check that takes long has one of its own."""
    return (*LIMITS, *([f"{contract.part_of(contract.long)}_seconds", "experiments"] if contract.long else []))


def load_rubric(contract: Contract, path: Path | None = None) -> Rubric:
    """Raises BadRubric. path: another rubric.toml than the week's."""
    path = path or contract.rubric_path
    raw = load_toml(path)
    ids, tables = list(contract.check), ["points", "limits", "visibility", contract.part_of(contract.tiered)]
    if unknown := [name for name in raw if name not in tables]:
        raise BadRubric(f"{path}: has an unknown [{unknown[0]}]; it knows {listed([f'[{n}]' for n in tables if n])}.")
    if flat := [name for name in tables if not isinstance(raw.get(name, {}), dict)]:
        raise BadRubric(f"{path}: {flat[0]} must be a table, [{flat[0]}].")
    points = raw.get("points", {})
    missing, unknown = [i for i in ids if i not in points], [i for i in points if i not in ids]
    if missing or unknown:
        raise BadRubric(f"{path}: [points] lacks {missing} and has unknown {unknown}; there is one line per check.")
    if odd := [name for name, p in points.items() if type(p) is not int or p < 0]:
        raise BadRubric(f"{path}: points are whole numbers, 0 or more; {odd[0]} has {points[odd[0]]}.")
    limited, names = raw.get("limits", {}), limits_of(contract)
    missing, unknown = [n for n in names if n not in limited], [n for n in limited if n not in names]
    if missing or unknown:
        raise BadRubric(f"{path}: [limits] lacks {missing} and has unknown {unknown}.")
    if sum(points.values()) != FULL_MARKS:
        raise BadRubric(f"{path}: the points sum to {sum(points.values())}, they must sum to {FULL_MARKS}.")
    try:
        limits = {name: float(limited[name]) for name in names}
    except (TypeError, ValueError) as error:
        raise BadRubric(f"{path}: [limits] are numbers ({error}).") from error
    if low := [name for name, value in limits.items() if not (value > 0 or (value == 0 and name in MAY_BE_ZERO))]:
        raise BadRubric(f"{path}: [limits] are numbers above 0; {low[0]} is {limits[low[0]]:g}.")
    tiers = tiers_in(raw, path, contract, points) if contract.tiered else ()
    return Rubric({i: points[i] for i in ids}, tiers, limits, visibility_in(raw, path, contract))


def tiers_in(raw: Mapping[str, Any], path: Path, contract: Contract, points: Mapping[str, int]) -> tuple[Tier, ...]:
    """The tiers of the one check that earns its points in steps, [<its part>] tiers. Raises BadRubric."""
    table, top = f"[{contract.part_of(contract.tiered)}]", points[contract.tiered]
    try:
        tiers = tuple(Tier(float(t["at"]), int(t["points"])) for t in raw[table.strip("[]")]["tiers"])
    except (KeyError, TypeError, ValueError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise BadRubric(f"{path}: {table} tiers is not a list of {{ at = ..., points = ... }}: {why}.") from error
    if wrong := [t.at for t in tiers if not 0 < t.at < 1]:
        raise BadRubric(f"{path}: {table} a tier is a fraction between 0 and 1, such as 0.84; one is {wrong[0]:g}.")
    rising = all(a.at < b.at and a.points < b.points for a, b in zip(tiers, tiers[1:]))
    if not tiers or not rising:
        seen = ", ".join(f"{t.points} points from {t.at:g}" for t in tiers) or "none"
        raise BadRubric(f"{path}: {table} tiers must rise, in `at` and in `points`; there are: {seen}.")
    if tiers[-1].points != top:
        raise BadRubric(f"{path}: the highest tier must earn the points of {contract.tiered}, {top}.")
    return tiers


def visibility_in(raw: Mapping[str, Any], path: Path, contract: Contract) -> dict[str, str]:
    """The optional table [visibility]: {check id, part or "default": one of VISIBILITIES}. Raises BadRubric."""
    visibility = raw.get("visibility", {})
    known = {"default", *contract.part_names, *contract.check}
    for name, value in visibility.items():
        if name not in known:
            raise BadRubric(f"{path}: [visibility] has an unknown {name}; use a check, a part, or default.")
        if value not in VISIBILITIES:
            raise BadRubric(f"{path}: [visibility] {name} is one of {', '.join(VISIBILITIES)}.")
    return dict(visibility)


def load_toml(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return raw
    except FileNotFoundError as error:
        raise BadRubric(f"{path} is missing.") from error
    except OSError as error:
        raise BadRubric(f"{path} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRubric(f"{path} is not valid TOML: {error}.") from error
