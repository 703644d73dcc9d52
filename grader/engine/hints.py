"""Reads what a teacher edits: hints/, with one entry per finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from grader.engine.contract import Contract
from grader.engine.rubric import BadRubric, load_toml

HINT_FIELDS = ("title", "seen", "cause", "look", "question", "why")


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


def load_hints(contract: Contract, folder: Path | None = None) -> dict[str, Hint]:
    """{finding id: hint} of all files in hints/. Raises BadRubric. folder: another one than the week's."""
    folder = folder or contract.hints_path
    hints: dict[str, Hint] = {}
    for path in sorted(folder.glob("*.toml")):
        for finding, texts in load_toml(path).items():
            if (
                not isinstance(texts, dict)
                or set(texts) != set(HINT_FIELDS)
                or not all(str(t).strip() for t in texts.values())
            ):
                raise BadRubric(f"{path}: [{finding}] needs exactly {', '.join(HINT_FIELDS)}, and none of them empty.")
            if finding in hints:
                raise BadRubric(f"{path}: [{finding}] stands in another file of hints/ too; keep one of them.")
            hints[finding] = Hint(finding, **{k: " ".join(str(v).split()) for k, v in texts.items()})
    if not hints:
        raise BadRubric(f"{folder} holds no hints: one .toml file for each part.")
    return hints
