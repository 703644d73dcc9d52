"""Scores of record for Classroom 50: entries of its scores.json that its next collection keeps as they are.

The form was read from Classroom 50's own page for overrides: the entry gets "override": true, and the score comes
as a newest submission whose tag begins with submit/manual-, so that taking the override away brings the others back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from grader.classroom.collect import BadTime, moment, utc_of
from grader.classroom.grades import Row
from grader.engine.printable import listed, one_line
from grader.engine.reports import classroom50
from grader.engine.result import Result

SCHEMA = "classroom50/scores/v1"
MANUAL = "submit/manual-"
STAYS = (
    "Classroom 50 keeps these scores from now on: a later push changes none of them until the override is taken away "
    "on its page."
)


class BadScores(ValueError):
    """The scores.json is none; the message is one sentence."""


@dataclass(frozen=True)
class Overrides:
    """text: the scores.json. sentences: what is to be said."""

    text: str
    sentences: tuple[str, ...]


def overrides(rows: Sequence[Row], classroom: str, assignment: str, at: datetime, scores: Path | None) -> Overrides:
    """classroom, assignment: their short names in Classroom 50. at: when these scores were given, with a time zone.

    scores: the teacher's scores.json, of which everything else is kept; without it the entries stand alone.
    Raises BadScores.
    """
    told = read(scores) if scores is not None else nothing_yet()
    name = scores.name if scores is not None else "scores.json"
    sentences = []
    others = list(told["assignments"])
    if others and assignment not in others:
        sentences.append(f'{name} had no assignment "{assignment}" yet, it has {listed(others[:8], chr(34))}.')
    bucket = told["assignments"].setdefault(assignment, {"type": "individual", "entries": []})
    place = {str(entry["owner"]).casefold(): n for n, entry in enumerate(bucket["entries"])}
    for row in rows:
        if row.result is None or row.score is None:
            continue
        owner = owner_of(row)
        n = place.setdefault(owner.casefold(), len(bucket["entries"]))
        if n == len(bucket["entries"]):
            bucket["entries"].append({"owner": owner, "submissions": []})
        entry = bucket["entries"][n]
        earlier = [s for s in entry["submissions"] if not str(s.get("submission")).startswith(MANUAL)]
        record = submission(row.result, classroom, bucket["type"], entry["owner"], after(earlier, at))
        bucket["entries"][n] = {**entry, "override": True, "submissions": [record, *earlier]}
    if without := [f"{row.id} ({row.status})" for row in rows if row.score is None]:
        sentences.append(f"No score yet, so no override: {', '.join(one_line(name, 200) for name in without)}.")
    if any(row.score is not None for row in rows):
        sentences.append(STAYS)
    text = json.dumps(told, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    return Overrides(text, tuple(sentences))


def owner_of(row: Row) -> str:
    """The GitHub name: Classroom 50 knows a student by nothing else."""
    return row.keys.get("github") or row.keys.get("username") or row.id


def after(submissions: Sequence[Mapping[str, Any]], at: datetime) -> datetime:
    """`at`, or a second after the newest of these: Classroom 50 takes the newest, and a student can date a commit."""
    times = [at.astimezone(timezone.utc)]
    for one in submissions:
        try:
            times.append(moment(str(one.get("datetime"))).astimezone(timezone.utc) + timedelta(seconds=1))
        except (BadTime, OverflowError):
            continue
    return max(times)


def submission(result: Result, classroom: str, kind: str, owner: str, at: datetime) -> dict[str, Any]:
    """A submission's record, with a tag that stands for no release."""
    tag = f"{MANUAL}{utc_of(at).replace(':', '-')}"
    return {
        "schema": classroom50.SCHEMA,
        "classroom": classroom,
        "assignment_type": kind,
        "owner": owner,
        "submission": tag,
        "commit": tag,
        "release": tag,
        "review": tag,
        "datetime": utc_of(at),
        "score": result.score,
        "max-score": result.max_score,
        "tests": classroom50.tests(result),
    }


def nothing_yet() -> dict[str, Any]:
    return {"schema": SCHEMA, "assignments": {}}


def read(path: Path) -> dict[str, Any]:
    """Raises BadScores for anything that Classroom 50 would not take either."""
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise BadScores(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise BadScores(
            f"{path.name} is no JSON: download CLASSROOM/scores.json again ({one_line(str(error))})."
        ) from error
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise BadScores(f'{path.name} is no scores.json of Classroom 50: its schema is not "{SCHEMA}".')
    told["assignments"] = {} if told.get("assignments") is None else told["assignments"]
    if not isinstance(told["assignments"], dict) or not all(map(is_bucket, told["assignments"].values())):
        raise BadScores(
            f"{path.name} is damaged: each assignment needs a type and a list of entries, each with an owner."
        )
    return told


def is_bucket(raw: Any) -> bool:
    entries = raw.get("entries") if isinstance(raw, dict) else None
    if not isinstance(entries, list) or not isinstance(raw.get("type"), str):
        return False
    return all(
        isinstance(entry, dict)
        and isinstance(entry.get("owner"), str)
        and isinstance(entry.get("submissions"), list)
        and all(isinstance(one, dict) for one in entry["submissions"])
        for entry in entries
    )
