"""What the messages of Python and its libraries mean: one table, hints/causes*.toml, for grader and handout.

A row is a finding of its own. Its texts are those of the finding it stands on ("raises", or "syntax-error" for what
Python cannot read), with the row's own in their place: `means` is the cause.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from grader.engine.rubric import BadRubric, load_toml

NAMES = "causes*.toml"  # beside the files of hints, in the order of their names
SYNTAX = ("SyntaxError", "IndentationError", "TabError")
OWN_TEXTS = ("title", "seen", "look", "question", "why", "docs", "todo", "file")
LINE = 500  # characters of a line that are looked at
PATTERNS = ("message", "line", "function", "source")


@dataclass(frozen=True)
class Error:
    """An exception that a row may fit: its type and message, the student's own line that it came from and the function
    around that, the text of that file, and whether it was being imported."""

    type: str
    message: str
    line: str = ""
    function: str = ""
    source: str = ""
    importing: bool = False


@dataclass(frozen=True)
class Cause:
    """One row. It fits an error whose type, message, line and all else that it names fit; the first that fits is told.

    types: names of exceptions, () for any; message: a pattern found in the message
    line, function, source: patterns found in the student's own line, its function's name and one line of its file
    ("" for any); in `source` WORD is what the first group of `message` matched
    anywhere: whether it fits without a line of the student's own, because no code but theirs can bring it about
    importing: whether it fits only while a file is imported (True), only later (False), or whenever (None)
    means: the cause, for grader and handout; {word} and {other} are the first two groups of `message`
    shown: how the handout shows the message, "" to leave the row out there
    base: the finding whose texts it takes over; texts: its own in their place
    """

    id: str
    types: tuple[str, ...]
    message: str
    means: str
    line: str = ""
    function: str = ""
    source: str = ""
    anywhere: bool = False
    importing: bool | None = None
    shown: str = ""
    base: str = "raises"
    texts: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, error: Error) -> dict[str, str] | None:
        """The facts {word, other} where it fits an error, else None."""
        if self.types and error.type not in self.types or self.importing not in (None, error.importing):
            return None
        if not error.line and not self.anywhere and error.type not in SYNTAX:
            return None
        found = re.search(self.message, error.message)
        if found is None or not re.search(self.line, error.line) or not re.search(self.function, error.function):
            return None
        word, other = ([one or "" for one in found.groups()] + ["", ""])[:2]
        source = self.source.replace("WORD", re.escape(word))
        if source and not any(re.search(source, line[:LINE]) for line in error.source.splitlines()):
            return None  # line by line, because a pattern that may cross lines takes minutes in a hostile file
        return {"word": word, "other": other}


def cause_of(folder: Path, error: Error) -> tuple[Cause, dict[str, str]] | None:
    """The first row of the table in `folder` that fits, and its facts."""
    for cause in load_causes(folder):
        if (facts := cause.fits(error)) is not None:
            return cause, facts
    return None


@cache
def load_causes(folder: Path) -> tuple[Cause, ...]:
    """The table in a folder of hints, () where there is none. Raises BadRubric."""
    paths = sorted(folder.glob(NAMES))
    return tuple(cause_in(path, name, row) for path in paths for name, row in load_toml(path).items())


def cause_in(path: Path, name: str, row: Any) -> Cause:
    """One row of the file. Raises BadRubric."""
    where = f"{path}: [{name}]"
    if not isinstance(row, dict):
        raise BadRubric(f"{where} must be a table with message and means.")
    known = ("types", "importing", "anywhere", "means", "shown", "base", *PATTERNS, *OWN_TEXTS)
    if unknown := [key for key in row if key not in known]:
        raise BadRubric(f"{where} has an unknown {unknown[0]}; the fields are {', '.join(known)}.")
    if not str(row.get("means", "")).strip():
        raise BadRubric(f"{where} lacks means, or it is empty.")
    for key in PATTERNS:
        try:
            re.compile(str(row.get(key, "")))
        except re.error as error:
            raise BadRubric(f"{where} has a {key} that is no regular expression: {error}.") from error
    types = tuple(row.get("types", ()))
    return Cause(
        id=name,
        types=types,
        means=" ".join(str(row["means"]).split()),
        importing=row.get("importing"),
        anywhere=row.get("anywhere", False),
        shown=str(row.get("shown", "")),
        base=str(row.get("base", "syntax-error" if types and set(types) <= set(SYNTAX) else "raises")),
        texts={key: row[key] for key in OWN_TEXTS if key in row},
        **{key: str(row.get(key, "")) for key in PATTERNS},
    )
