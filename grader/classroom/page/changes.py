"""What changed since an earlier run: class.json keeps what is needed to say so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.classroom.grades import NOTHING, Row
from grader.classroom.page.figures import first_cause, overview, short_title
from grader.engine.hints import Hint

SCHEMA = "grader/class/v1"
NAME = "class.json"


class BadSummary(ValueError):
    """A class.json that is not one; the message is one sentence."""


@dataclass(frozen=True)
class Summary:
    """What a run leaves for the next one.

    at: when the last of them was graded. scores: {id: score, None where there is none}, of those who handed in
    something. findings: {finding: how many have it as first cause}
    """

    at: str
    students: int
    mean: float | None
    findings: Mapping[str, int]
    scores: Mapping[str, int | None]


@dataclass(frozen=True)
class Move:
    row: Row
    before: int
    now: int


@dataclass(frozen=True)
class Shift:
    """A misconception, and how many had and have it as first cause."""

    id: str
    title: str
    before: int
    now: int


@dataclass(frozen=True)
class Changes:
    """moves: whose score changed, the largest rise first
    arrived: who had handed in nothing. same: how many have the score they had
    """

    since: str
    mean_before: float | None
    mean_now: float | None
    moves: tuple[Move, ...]
    arrived: tuple[Row, ...]
    same: int
    shifts: tuple[Shift, ...]


def summary(rows: Sequence[Row]) -> Summary:
    whole = overview(rows)
    causes = (first_cause(row.result) for row in rows)
    findings = Counter(str(cause.finding) for cause in causes if cause is not None)
    scores = {row.id: row.score for row in rows if row.status != NOTHING}
    return Summary(whole.last_graded, whole.listed, whole.mean, dict(sorted(findings.items())), scores)


def changes(rows: Sequence[Row], before: Summary, hints: Mapping[str, Hint]) -> Changes:
    now = summary(rows)
    old = before.scores
    pairs = [(row, old[row.id], row.score) for row in rows if row.id in old]
    both = [Move(row, was, is_) for row, was, is_ in pairs if was is not None and is_ is not None]
    moves = sorted((m for m in both if m.before != m.now), key=lambda m: (m.before - m.now, m.row.id))
    names = {*before.findings, *now.findings}
    shifts = [Shift(n, short_title(n, hints), before.findings.get(n, 0), now.findings.get(n, 0)) for n in names]
    return Changes(
        since=before.at,
        mean_before=before.mean,
        mean_now=now.mean,
        moves=tuple(moves),
        arrived=tuple(row for row in rows if row.status != NOTHING and row.id not in old) if old else (),
        same=len(both) - len(moves),
        shifts=tuple(sorted((s for s in shifts if s.before != s.now), key=lambda s: (s.now - s.before, s.id))),
    )


def dumps(now: Summary, before: Summary | None = None) -> str:
    """The text of class.json. before: what `now` was compared with."""
    told = {"schema": SCHEMA, "now": vars(now), "before": vars(before) if before is not None else None}
    return json.dumps(told, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def read(path: Path) -> tuple[Summary, Summary | None]:
    """(that run, the one before it) from a class.json. Raises BadSummary."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        return from_json(raw["now"]), from_json(raw["before"]) if raw["before"] is not None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadSummary(f"{path.name} cannot be compared with: it is damaged, or no file of this program.") from error


def from_json(raw: Any) -> Summary:
    """Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    return Summary(
        at=str(raw["at"]),
        students=int(raw["students"]),
        mean=None if raw["mean"] is None else float(raw["mean"]),
        findings={str(name): int(count) for name, count in raw["findings"].items()},
        scores={str(name): None if score is None else int(score) for name, score in raw["scores"].items()},
    )


def earlier(path: Path, now: Summary) -> Summary | None:
    """The run to compare with: the one in class.json, or, where that one is this one again, what it was compared with.

    None where there is no such file. Raises BadSummary.
    """
    if not path.exists():
        return None
    last, before = read(path)
    return before if same(last, now) else last


def same(one: Summary, other: Summary) -> bool:
    """Whether two runs gave the same; a time alone is no difference."""
    return (one.scores, one.findings) == (other.scores, other.findings)
