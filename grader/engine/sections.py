"""What a week adds to the reports: its own entries in score.json, and what is said and drawn of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

Recorded = Mapping[str, Any]  # what checks left with student.record(name=...), by name
Evidence = Mapping[str, np.ndarray]  # arrays they left for pictures, by name
FOR_THE_TEACHER = "For the teacher (no points are taken for this)"  # the heading of `text` that only a teacher needs


class Sections(Protocol):
    """schema: {key of score.json: its JSON Schema}; such a key is null where nothing was recorded.

    style: CSS for `html`.
    """

    @property
    def schema(self) -> Mapping[str, Any]: ...

    @property
    def style(self) -> str: ...

    def read(self, raw: Mapping[str, Any]) -> Recorded:
        """The week's entries of a score.json from anywhere. Raises BadScore."""

    def headline(self, recorded: Recorded) -> str:
        """Half a line beside the score, "" for nothing."""

    def passed(self, recorded: Recorded) -> str:
        """What to do when everything passes, "" for nothing."""

    def remarks(self, recorded: Recorded) -> list[str]:
        """What costs the student no points, and is worth a look once everything passes."""

    def numbers(self, recorded: Recorded) -> Mapping[str, float | None]:
        """Columns for a table with a row a student: the same names for every run, None for what was not recorded."""

    def text(self, recorded: Recorded) -> list[tuple[str, str]]:
        """(heading, plain lines) for reports in words."""

    def html(self, recorded: Recorded, evidence: Evidence) -> str:
        """Sections of report.html below the checks, escaped."""


class NoSections:
    """A week that adds nothing."""

    schema: Mapping[str, Any] = {}
    style = ""

    def read(self, raw: Mapping[str, Any]) -> Recorded:
        return {}

    def headline(self, recorded: Recorded) -> str:
        return ""

    def passed(self, recorded: Recorded) -> str:
        return ""

    def remarks(self, recorded: Recorded) -> list[str]:
        return []

    def numbers(self, recorded: Recorded) -> Mapping[str, float | None]:
        return {}

    def text(self, recorded: Recorded) -> list[tuple[str, str]]:
        return []

    def html(self, recorded: Recorded, evidence: Evidence) -> str:
        return ""


NO_SECTIONS = NoSections()


def strict(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON Schema of an object with these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": required | (optional or {}),
    }
