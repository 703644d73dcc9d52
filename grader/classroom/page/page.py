"""Writes class.html, the page a teacher opens on the projector and at the desk, and class.json beside it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import SystemRandom
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from grader.classroom.grades import Row, part_score
from grader.classroom.page import changes as since
from grader.classroom.page import drawings, figures, scores
from grader.classroom.page.attention import Case, Group, attention
from grader.classroom.page.changes import Summary
from grader.classroom.page.private import Quiet, own_places
from grader.classroom.page.similar import Files, similar
from grader.engine.contract import Contract
from grader.engine.hints import Hint, links_of, load_hints
from grader.engine.reports.html import environment, look
from grader.engine.rubric import BadRubric, load_rubric, load_toml
from grader.engine.submission.safe_files import write_text

HERE = Path(__file__).resolve().parent
NAME, ANONYMOUS = "class.html", "class-anonymous.html"
STUDENTS = "students"  # the folder beside the page with one folder a student, and report.html in it
IN_SIGHT = 10  # misconceptions that are not folded away
SHORT = 60  # characters of what stands in columns


@dataclass(frozen=True)
class Shown:
    """How the page shows a student. alias: "student 12"; the others are "" where names are left out."""

    alias: str
    name: str = ""
    email: str = ""
    report: str = ""


def write(
    rows: Sequence[Row],
    unusable: Sequence[tuple[str, str]],
    contract: Contract,
    folder: Path,
    anonymous: bool = False,
    before: Summary | None = None,
    sources: Mapping[str, Files] | None = None,
) -> Path:
    """Writes class.html and class.json into a folder, whole or not at all; gives back the path of the page.

    unusable: (what arrived, why it could not be used)
    anonymous: one more page beside it, class-anonymous.html, without names, ids and addresses
    before: the run to compare with; None: the one that class.json in the folder tells of, if there is one
    sources: {id of a row: its files}, to look for similar ones; None: this is not done
    Raises BadRubric and OSError.
    """
    now, problem = since.summary(rows), ""
    if before is None:
        try:
            before = since.earlier(folder / since.NAME, now)
        except since.BadSummary as error:
            problem = str(error)
    write_text(folder / NAME, render(rows, unusable, contract, False, before, sources, problem))
    if anonymous:
        write_text(folder / ANONYMOUS, render(rows, unusable, contract, True, before, sources, problem))
    write_text(folder / since.NAME, since.dumps(now, before))
    return folder / NAME


def render(
    rows: Sequence[Row],
    unusable: Sequence[tuple[str, str]],
    contract: Contract,
    anonymous: bool = False,
    before: Summary | None = None,
    sources: Mapping[str, Files] | None = None,
    problem: str = "",
) -> str:
    """The text of class.html; the arguments are those of `write`. problem: why nothing can be said about changes."""
    hints, tiers = load_hints(contract), load_rubric(contract).tiers
    if anonymous:
        rows = SystemRandom().sample(rows, len(rows))  # not even an order may tell who somebody is
    quiet = Quiet(rows, own_places(contract, hints))
    causes = figures.misconceptions(rows, hints, quiet)
    points, whole = scores.points_of(rows, contract), figures.overview(rows)
    links, shown = links_of(hints), people(rows, anonymous)
    script = (HERE / "class.js").read_text(encoding="utf-8")
    return template().render(
        course=course(contract),
        overview=whole,
        people=shown,
        anonymous=anonymous,
        groups=[shown_group(group, quiet) for group in attention(rows, unusable, contract, tiers)],
        causes=[cause for cause in causes if cause.first],
        only_followed=[cause for cause in causes if not cause.first],
        in_sight=IN_SIGHT,
        whole=scores.whole(rows),
        parts=scores.parts(rows, contract),
        shares=scores.SHARES,
        standing=figures.standing(rows, contract),
        checks=scores.checks(rows, contract),
        enough=scores.ENOUGH,
        correlated=whole.began >= scores.ENOUGH,
        accuracy=scores.accuracy_name(contract),
        bands=scores.bands(points, tiers) if points else (),
        scatter=drawings.scatter(points, tiers, whole.max_score, scores.accuracy_name(contract)),
        columns=drawings.columns,
        similar=similar(rows, sources, skeleton(contract)) if sources is not None else None,
        students=students(rows, contract, shown, hints, quiet),
        part_names=contract.part_names,
        changes=since.changes(rows, before, hints) if before is not None else None,
        problem=problem,
        title_of=lambda finding: figures.short_title(finding, hints),
        quiet=quiet,
        links=links,
        look=Markup(look()),
        style=Markup((HERE / "class.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=Markup(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")),
    )


@cache
def template() -> jinja2.Template:
    made = environment(HERE)
    made.filters.update(percent=percent, number=number, time=time, shown=shown_as, standing=at_step)
    return made.get_template("class.html.j2")


def shown_as(id: str, people: Mapping[str, Shown]) -> Shown:
    return people[id]


def at_step(step: figures.Step) -> int:
    return len(step.stuck) + len(step.ahead)


def percent(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, digits: int = 1) -> str:
    """A number with at most so many digits behind the point."""
    return "" if value is None else f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def time(text: str) -> str:
    """A time of a result, as people read it."""
    return text.replace("T", " ").replace("Z", " UTC")


def course(contract: Contract) -> dict[str, str]:
    """The name of the course and of the week, as far as the repository says them; without it the page does too."""
    path = contract.root / "templates" / "course.toml"
    try:
        told = load_toml(path) if path.exists() else {}
    except BadRubric:
        told = {}
    week = f"Week {told['week']}" if "week" in told else ""
    title = ": ".join(text for text in (week, str(told.get("title", ""))) if text)
    return {"course": str(told.get("course", "")), "title": title or "The class"}


def skeleton(contract: Contract) -> Files:
    """The files as students get them; what this copy of the repository has of them."""
    paths = [contract.root / contract.work / name for name in contract.files]
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()}


def people(rows: Sequence[Row], anonymous: bool) -> dict[str, Shown]:
    """{id: how the page shows that student}. The numbers follow no list, and without names chance alone: whoever knows
    the ids of a class could work out any other order."""
    if anonymous:
        return {row.id: Shown(f"student {n}") for n, row in enumerate(rows, 1)}
    mixed = sorted((row.id for row in rows), key=lambda id: hashlib.sha256(id.encode("utf-8", "replace")).digest())
    alias = {id: f"student {n}" for n, id in enumerate(mixed, 1)}
    of = {row.id: row for row in rows}
    return {id: Shown(alias[id], of[id].name or id, of[id].keys.get("email", ""), report(of[id])) for id in mixed}


def report(row: Row) -> str:
    """The address of a student's report beside the page, "" where nothing was graded."""
    return f"{STUDENTS}/{quote(row.id, safe='')}/report.html" if row.result is not None else ""


def shown_group(group: Group, quiet: Quiet) -> dict[str, Any]:
    """said: (what, those it is said of, each with a note that stands with the names only), without names; a wording
    that many share stands there once."""
    cases = [(quiet(case.what, case.row), case) for case in group.cases if case.row is not None]
    wordings: dict[str, list[Case]] = {}
    for what, case in cases:
        wordings.setdefault(what, []).append(case)
    once = 2 * len(wordings) <= len(cases)
    said = list(wordings.items()) if once else [(what, [case]) for what, case in cases]
    short = not any(wordings) or (not once and max(map(len, wordings)) < SHORT)
    return {**vars(group), "said": said, "short": short}


def students(
    rows: Sequence[Row], contract: Contract, people: Mapping[str, Shown], hints: Mapping[str, Hint], quiet: Quiet
) -> list[dict[str, Any]]:
    """One line of the table of all students, in the order of their numbers."""
    of = {row.id: row for row in rows}
    lines = []
    for id in people:
        row = of[id]
        cause = figures.first_cause(row.result)
        step = row.result.next_step if row.result is not None else None
        lines.append(
            {
                "row": row,
                "parts": [part_score(row.result, name) for name in contract.part_names],
                "accuracy": scores.accuracy_of(row.result, contract),
                "finding": cause.finding if cause is not None else "",
                "cause": quiet(figures.heading(cause, hints), row) if cause is not None else "",
                "todo": step.todo if step is not None else None,
                "done": row.result is not None and figures.is_complete(row.result),
                "notes": "; ".join(row.notes),
            }
        )
    return lines
