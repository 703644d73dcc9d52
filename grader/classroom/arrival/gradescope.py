"""Reads Gradescope's submission_metadata.yml: who handed in what, and when.

The file is YAML as Ruby writes it. Only the few keys that are needed are read, by their place in the text; the rest,
which holds whatever an autograder printed, is passed over.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime

from grader.classroom.arrival import times

NAME = "submission_metadata.yml"
SUBMISSION = re.compile(r"^['\"]?([^\s:'\"#][^:'\"\n]*)['\"]?:[ \t]*$", re.MULTILINE)
KEY = re.compile(r"^ {1,4}:?(submitters|created_at):[ \t]*(.*)$", re.MULTILINE)
FIELD = re.compile(r"^[ ]*(-[ ]+)?:?(name|sid|email):[ \t]*(.*)$")


@dataclass(frozen=True)
class Submitter:
    name: str = ""
    sid: str = ""
    email: str = ""


@dataclass(frozen=True)
class Submission:
    """submitters: more than one for a group."""

    submitters: tuple[Submitter, ...]
    created_at: datetime | None


def read(text: str) -> dict[str, Submission]:
    """{folder: submission}; what is not in the form that Gradescope writes is left out."""
    pieces = SUBMISSION.split(text.replace("\r\n", "\n"))
    return {folder.strip(): submission(block) for folder, block in zip(pieces[1::2], pieces[2::2])}


def submission(block: str) -> Submission:
    """What stands below one folder's name: the first of each key, as the history repeats them further down."""
    submitters: list[dict[str, str]] = []
    created: datetime | None = None
    seen: set[str] = set()
    for key in KEY.finditer(block):
        if key[1] in seen:
            continue
        seen.add(key[1])
        if key[1] == "created_at":
            created = times.moment(value(key[2]))
            continue
        for line in block[key.end() :].splitlines()[1:]:
            found = FIELD.match(line)
            if found is None:
                break
            if found[1] or not submitters:
                submitters.append({})
            submitters[-1][found[2]] = value(found[3])
    return Submission(tuple(Submitter(**one) for one in submitters), created)


def value(text: str) -> str:
    """A YAML scalar on one line."""
    text = text.strip()
    if text[:1] == text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        try:
            return str(json.loads(re.sub(r"\\x([0-9a-fA-F]{2})", r"\\u00\1", text)))
        except ValueError:
            return text[1:-1]
    return "" if text in ("null", "~", "[]") else text
