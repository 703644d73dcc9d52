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
PART_TEXTS = ("minutes", "objective")
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
ISOLATION = ("best", "confined")  # what a teacher may ask of the services that grade
UNNAMED = "YOUR-COURSE/"  # in course.toml as it comes: no repository is named yet


def load_course(root: Path) -> dict[str, Any]:
    """templates/course.toml. Raises BadRubric when a template would miss something or say something odd."""
    path = root / "templates" / "course.toml"
    course = load_toml(path)
    for name in TEXTS:
        if not isinstance(course.get(name), str) or not course[name].strip():
            raise BadRubric(f'{path}: {name} is missing or no text; write {name} = "...".')
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
    for name in WEEK.part_names:
        require(path, f"[parts.{name}]", course["parts"][name], PART_TEXTS)
    videos = course.get("videos", [])
    if not isinstance(videos, list):
        raise BadRubric(f"{path}: every video is a table of its own, [[videos]].")
    for video in videos:
        require(path, "[[videos]]", video, ("title", "url"))
    return course | {"videos": videos, "isolation": isolation}


def links_used(root: Path) -> list[str]:
    """The names of [links] that templates ask for."""
    texts = [path.read_text(encoding="utf-8") for path in (root / "templates").rglob("*.j2")]
    return sorted({name for text in texts for name in re.findall(r"\blinks\.(\w+)", text)})


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
    hints, (named, _) = load_hints(WEEK, path), namings()
    ids = {naming.finding for naming in named}
    if missing := sorted(ids - set(hints)):
        unknown = sorted(set(hints) - ids)
        other = f" (unknown there: {', '.join(unknown)})" if unknown else ""
        raise BadRubric(f"{path}: a check names [{missing[0]}], and there is no such entry{other}.")
    shown = {finding: placeholders(path, hint) for finding, hint in hints.items()}
    for naming in named:
        if unknown := sorted(shown[naming.finding] - naming.facts):
            given = ", ".join(f"{{{fact}}}" for fact in sorted(naming.facts)) or "nothing"
            about = f"{path}: [{naming.finding}] has {{{unknown[0]}}}"
            raise BadRubric(f"{about}, which {naming.place} does not fill in; it fills in {given}.")


def placeholders(path: Path, hint: Hint) -> set[str]:
    """The facts that a hint shows. Raises BadRubric for a brace without its partner."""
    try:
        return {name for text in hint.texts for _, name, _, _ in Formatter().parse(text) if name is not None}
    except ValueError as error:
        raise BadRubric(f"{path}: [{hint.id}] has a brace without its partner ({error}).") from error
