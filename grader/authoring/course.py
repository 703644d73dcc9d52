"""Reads templates/course.toml and hints/ with a teacher's slips in mind: what would go wrong later is said here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from string import Formatter
from typing import Any

from grader.authoring.findings import namings
from grader.contract import WEEK
from grader.engine.hints import Hint, load_hints
from grader.engine.rubric import BadRubric, load_toml

TEXTS = ("course", "title", "due", "repository", "install")
KNOWN = (*TEXTS, "week", "isolation", "links", "videos", "todos", "parts", "data")
PART_TEXTS = ("minutes", "objective")
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
ISOLATION = ("best", "confined")  # what a teacher may ask of the services that grade
UNNAMED = "YOUR-COURSE/"  # in course.toml as it comes: no repository is named yet


def load_course(root: Path) -> dict[str, Any]:
    """templates/course.toml. Raises BadRubric when a template would miss something or say something odd."""
    path = root / "templates" / "course.toml"
    course = load_toml(path)
    if unknown := [name for name in course if name not in KNOWN]:
        raise BadRubric(f"{path}: has an unknown {unknown[0]}; it knows {', '.join(KNOWN)}.")
    for name in TEXTS:
        one_line(path, name, course.get(name))
    if type(course.get("week")) is not int or course["week"] < 0:
        raise BadRubric(f"{path}: week is a whole number, such as week = 3.")
    if not re.fullmatch(r"https://[^\s/@]+/\S+", course["repository"]):
        raise BadRubric(
            f"{path}: repository is {course['repository']!r}; it must be the web address of a repository, "
            "https://github.com/OWNER/NAME, because students without an account fetch it too."
        )
    if course["repository"].startswith("https://github.com/") and not GITHUB.fullmatch(course["repository"]):
        raise BadRubric(
            f"{path}: repository is {course['repository']!r}; on GitHub it is https://github.com/OWNER/NAME, no more."
        )
    isolation = course.get("isolation", ISOLATION[0])
    if isolation not in ISOLATION:
        raise BadRubric(f'{path}: isolation is {isolation!r}; write isolation = "best" or isolation = "confined".')
    tables = {"todos": [str(number) for number in WEEK.todo], "links": links_used(root), "parts": list(WEEK.part_names)}
    for name, keys in tables.items():
        require(path, f"[{name}]", course.get(name), keys)
        if name != "links" and (unknown := [key for key in course[name] if key not in keys]):
            raise BadRubric(f"{path}: [{name}] has {unknown[0]}, which grader/contract.py does not have.")
    for number, invitation in course["todos"].items():
        one_line(path, f"[todos] {number}", invitation)
    for name, address in course["links"].items():
        web_address(path, f"[links] {name}", address)
    for name in WEEK.part_names:
        require(path, f"[parts.{name}]", course["parts"][name], PART_TEXTS)
        for key in PART_TEXTS:
            one_line(path, f"[parts.{name}] {key}", course["parts"][name][key])
    videos = course.get("videos", [])
    if not isinstance(videos, list):
        raise BadRubric(f"{path}: every video is a table of its own, [[videos]].")
    for number, video in enumerate(videos, start=1):
        where = f"[[videos]], number {number},"
        if not isinstance(video, dict):
            raise BadRubric(f"{path}: {where} is no table; write [[videos]], and below it title and url.")
        require(path, where, video, ("title", "url"))
        one_line(path, f"{where} title", video["title"])
        web_address(path, f"{where} url", video["url"])
    return course | {"videos": videos, "isolation": isolation}


def links_used(root: Path) -> list[str]:
    """The names of [links] that templates ask for."""
    texts = [template_text(path) for path in sorted((root / "templates").rglob("*.j2"))]
    return sorted({name for text in texts for name in re.findall(r"\blinks\.(\w+)", text)})


def template_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadRubric(f"{path} is not UTF-8; save it as UTF-8.") from error


def one_line(path: Path, where: str, text: Any) -> None:
    """Raises BadRubric unless it is a text that fits into a heading, a table or a comment."""
    if not isinstance(text, str) or not text.strip():
        raise BadRubric(f'{path}: {where} is missing or no text; write {where.split()[-1]} = "...".')
    if len(text.splitlines()) > 1:
        raise BadRubric(f"{path}: {where} has more than one line; it stands in one line for students.")


def web_address(path: Path, where: str, address: Any) -> None:
    if not isinstance(address, str) or not re.fullmatch(r"https?://[^\s<>()\"']+", address):
        raise BadRubric(f"{path}: {where} is {address!r}; it must be a web address that begins with https://.")


def require(path: Path, where: str, table: Any, keys: Iterable[str]) -> None:
    if not isinstance(table, dict):
        raise BadRubric(f"{path}: {where} is missing.")
    if missing := [key for key in keys if key not in table]:
        raise BadRubric(f"{path}: {where} lacks {', '.join(missing)}.")


def slug_of(course: dict[str, Any]) -> str:
    """ "owner/name" of the course's repository on GitHub, or "" while course.toml names none there."""
    found = GITHUB.fullmatch(course["repository"])
    return found[1] if found and not found[1].startswith(UNNAMED) else ""


def load_known_hints(root: Path) -> None:
    """hints/. Raises BadRubric when an entry is missing, or shows a {fact} that some check does not give it."""
    path = root / "grader" / "hints"
    hints, (named, lost) = load_hints(WEEK, path), namings()
    ids = {naming.finding for naming in named}
    if missing := sorted(ids - set(hints)):
        unknown = sorted(set(hints) - ids)
        other = f" (unknown there: {', '.join(unknown)})" if unknown else ""
        raise BadRubric(f"{path}: a check names [{missing[0]}], and there is no such entry{other}.")
    shown = {finding: placeholders(path, hint) for finding, hint in hints.items()}
    if not lost and (idle := sorted(set(hints) - ids)):
        raise BadRubric(f"{path}: no check names [{idle[0]}]; rename it as the check does, or remove it.")
    for naming in named:
        if unknown := sorted(shown[naming.finding] - naming.facts):
            given = ", ".join(f"{{{fact}}}" for fact in sorted(naming.facts)) or "nothing"
            about = f"{path}: [{naming.finding}] has {{{unknown[0]}}}"
            raise BadRubric(f"{about}, which {naming.place} does not fill in; it fills in {given}.")


def placeholders(path: Path, hint: Hint) -> set[str]:
    """The facts that a hint shows. Raises BadRubric for a brace without its partner, and for more than a name."""
    try:
        fields = [field for text in hint.texts for field in Formatter().parse(text) if field[1] is not None]
    except ValueError as error:
        raise BadRubric(f"{path}: [{hint.id}] has a brace without its partner ({error}).") from error
    if odd := [name for _, name, form, conversion in fields if form or conversion or not str(name).isidentifier()]:
        raise BadRubric(f"{path}: [{hint.id}] has {{{odd[0]}}} with more than a name in its braces; write {{name}}.")
    return {str(name) for _, name, _, _ in fields}
