"""Reads what a teacher edits: hints/, one entry per finding, and what students read of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from grader.engine import causes
from grader.engine.contract import Contract
from grader.engine.rubric import BadRubric, load_toml

TEXTS = ("title", "seen", "cause", "look", "question", "why")
OPTIONAL = ("docs", "todo", "file")
ADDRESS = re.compile(r"https://[^\s<>()\[\]\"'`\\]+")
THAT_LINE = "that line"  # of an error: it is quoted, so nothing more is said about where to look
LINKS = "links.toml"  # beside the files of hints: {name: address of a page}


@dataclass(frozen=True)
class Hint:
    """The texts of one finding. {words in braces} are filled with the facts that the check gives.

    title: a heading, without a full stop. seen: what was seen. cause: the usual one
    look: what to look at; the report puts the file and the TODO in front, so it has no capital and no full stop
    question: what leads there, never the answer. why: the idea behind it, for the class page
    docs: the address of a page about it, or "" (in the file: a name from links.toml)
    todo: the TODO to look at, where it is not the check's own
    file: the file to look at, where no single TODO is to blame; "" where `look` says it itself
    """

    id: str
    title: str
    seen: str
    cause: str
    look: str
    question: str
    why: str
    docs: str = ""
    todo: int | None = None
    file: str | None = None

    def filled(self, field: str, facts: Mapping[str, Any]) -> str:
        """One of the texts with its facts; a fact may be empty."""
        return Formatter().vformat(getattr(self, field), (), Forgiving(facts)).replace("  ", " ").strip()

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that may hold {placeholders}."""
        return (*(getattr(self, name) for name in TEXTS), self.file or "")


class Forgiving(dict[str, Any]):
    """A missing fact is shown as "?" instead of breaking a report; a test makes sure none is missing."""

    def __missing__(self, key: str) -> str:
        return "?"


def load_hints(contract: Contract, folder: Path | None = None) -> dict[str, Hint]:
    """{finding id: hint} of all files in hints/. Raises BadRubric. folder: another one than the week's."""
    folder = folder or contract.hints_path
    links = load_links(folder)
    hints: dict[str, Hint] = {}
    files: dict[str, str] = {}
    entries: dict[str, Any] = {}
    for path in sorted(folder.glob("*.toml")):
        for finding, entry in load_toml(path).items() if path.name != LINKS and not path.match(causes.NAMES) else ():
            if finding in hints:
                raise BadRubric(f"{path}: [{finding}] stands in {files[finding]} too; keep one of them.")
            files[finding], entries[finding] = path.name, entry
            try:
                hints[finding] = hint_of(finding, entry, links, contract)
            except ValueError as error:
                raise BadRubric(f"{path}: [{finding}] {error}.") from error
    for cause in causes.load_causes(folder):
        if cause.id in hints:
            raise BadRubric(f"{folder}: the cause [{cause.id}] stands in {files[cause.id]} too; keep one of them.")
        try:
            hints[cause.id] = hint_of(cause.id, entry_of(cause, entries), links, contract)
        except ValueError as error:
            raise BadRubric(f"{folder}: the cause [{cause.id}] {error}.") from error
    if not hints:
        raise BadRubric(f"{folder} holds no hints: one .toml file for each part.")
    return hints


def entry_of(cause: causes.Cause, entries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The texts of a row of causes*.toml, those of the finding it stands on among them. Raises ValueError.

    entries: {finding: its table}, of the other files
    """
    if cause.base not in entries:
        raise ValueError(f'has base = "{cause.base}", and there is no such finding')
    base = entries[cause.base]
    if {"todo", "file"} & set(cause.texts):  # of the two only one
        base = {name: text for name, text in base.items() if name not in ("todo", "file")}
    return {**base, "look": THAT_LINE, "cause": cause.means, **cause.texts}


def links_of(hints: Mapping[str, Hint]) -> tuple[str, ...]:
    """The addresses that hints point to, each once."""
    return tuple(sorted({hint.docs for hint in hints.values() if hint.docs}))


def load_links(folder: Path) -> dict[str, str]:
    """{name: address} of the pages that hints point to; none when there is no such file. Raises BadRubric."""
    path = folder / LINKS
    links = load_toml(path) if path.exists() else {}
    rule = "must be a web address that begins with https://, without blanks, brackets and quotation marks"
    if odd := [name for name, address in links.items() if not ADDRESS.fullmatch(str(address))]:
        raise BadRubric(f"{path}: {odd[0]} {rule}.")
    return links


def hint_of(finding: str, entry: Any, links: Mapping[str, str], contract: Contract) -> Hint:
    """One entry of a file. Raises ValueError, with the end of a sentence that begins with its name."""
    if not isinstance(entry, dict):
        raise ValueError(f"must be a table with {', '.join(TEXTS)}")
    if missing := [name for name in TEXTS if not str(entry.get(name, "")).strip()]:
        raise ValueError(f"lacks {missing[0]}, or it is empty")
    if unknown := [name for name in entry if name not in (*TEXTS, *OPTIONAL)]:
        raise ValueError(f"has an unknown {unknown[0]}; the fields are {', '.join((*TEXTS, *OPTIONAL))}")
    docs, todo, file = (entry.get(name) for name in OPTIONAL)
    if docs is not None and str(docs) not in links:
        raise ValueError(f'has docs = "{docs}", which {LINKS} does not know; it knows {", ".join(links) or "none"}')
    if todo is not None and (type(todo) is not int or todo not in contract.todo):
        raise ValueError(f"has todo = {todo!r}; the TODOs are {', '.join(map(str, contract.todo))}")
    if file and "{" not in str(file) and str(file) not in contract.files:
        raise ValueError(f'has file = "{file}"; the files are {contract.listed_files}')
    if todo is not None and file is not None:
        raise ValueError("has both todo and file; keep one of them")
    title, seen, cause, look, question, why = (" ".join(str(entry[name]).split()) for name in TEXTS)
    return Hint(finding, title, seen, cause, look, question, why, links[docs] if docs else "", todo, file)
