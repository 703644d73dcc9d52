"""What a teacher gets of a class: grades.csv, class.html, the gradebook with its column filled, overrides."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from grader.classroom import gradebooks, grades, overrides, roster
from grader.classroom.collect import BadTime, moment, now
from grader.classroom.gradebooks.book import BadGradebook
from grader.classroom.grades import Row
from grader.classroom.page import page
from grader.classroom.page.attention import attention
from grader.classroom.roster import Roster
from grader.contract import WEEK
from grader.engine.printable import listed
from grader.engine.rubric import load_rubric
from grader.engine.submission.safe_files import write_bytes, write_text

GRADES, FILLED, JPLAG_SKELETON = "grades.csv", "filled", "skeleton"


class BadOption(ValueError):
    """An option that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class HandedBack:
    """sentences: what was made, for the teacher; undone: what was asked for and could not be made, and why"""

    sentences: tuple[str, ...]
    undone: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What was asked for beside the grades, read before anything is graded."""

    due: datetime | None = None
    roster: Roster | None = None
    fill: Path | None = None
    column: str | None = None
    classroom50: tuple[str, str] | None = None  # classroom, assignment
    scores: Path | None = None
    jplag: Path | None = None
    anonymous: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--due", metavar="TIME", help="such as 2026-12-01T23:59:59+01:00: says who was late; nothing is taken off")
    add("--roster", type=Path, metavar="FILE", help="a list of the class: gives names, and shows who handed in nothing")
    add("--fill", type=Path, metavar="FILE", help="a gradebook that you exported: one column of a copy is filled")
    add("--column", metavar="TITLE", help="with --fill: which one")
    add("--overrides", metavar="CLASSROOM/ASSIGNMENT", help="scores of record for Classroom 50's scores.json")
    add("--scores", type=Path, metavar="FILE", help="with --overrides: the scores.json that you have")
    add("--export-jplag", type=Path, metavar="DIR", help="lays the files out for JPlag and Dolos")
    add("--anonymous", action="store_true", help="class-anonymous.html beside class.html, without names")


def wishes(args: argparse.Namespace) -> Wishes:
    """Raises BadOption, BadRoster, BadGradebook."""
    for option, wants in (("column", "fill"), ("scores", "overrides")):
        if getattr(args, option) is not None and getattr(args, wants) is None:
            raise BadOption(f"--{option} goes with --{wants}; give both, or leave it out.")
    classroom50 = None
    if args.overrides is not None:
        classroom, slash, assignment = args.overrides.partition("/")
        if not (classroom and slash and assignment):
            raise BadOption(f"--overrides={args.overrides} should be CLASSROOM/ASSIGNMENT, such as ml-2026/week3.")
        classroom50 = classroom, assignment
    try:
        due = moment(args.due) if args.due else None
    except BadTime as error:
        raise BadOption(str(error).replace("--before", "--due")) from error
    if args.fill is not None:
        gradebooks.demand_fillable(args.fill)
    jplag = args.export_jplag
    if jplag is not None and jplag.exists() and not (jplag.is_dir() and not any(jplag.iterdir())):
        raise BadOption(f"{jplag} is not an empty folder: give --export-jplag a new one.")
    try:
        read = roster.read(args.roster or args.fill) if args.roster or args.fill else None
    except roster.BadRoster:
        if args.roster:
            raise
        read = None  # a gradebook that says less than who is who
    return Wishes(due, read, args.fill, args.column, classroom50, args.scores, jplag, args.anonymous)


def hand_back(
    rows: Sequence[Row],
    unusable: Sequence[tuple[str, str]],
    sources: Mapping[str, Mapping[str, bytes]],
    wished: Wishes,
    out: Path,
) -> HandedBack:
    """Write everything into the output folder. What one thing cannot do is a sentence, and the others are done.

    sources: {id: its files}. Raises OSError.
    """
    said, undone = list[str](), list[str]()
    rows = [with_late(row, wished.due) for row in rows]
    if late := [row.name or row.id for row in rows if row.late]:
        said.append(f"Late: {len(late)} of {len(rows)} ({listed(late)}).")
    if wished.roster is not None:
        rows, told = roster.applied(wished.roster, rows)
        said += told
    write_text(out / GRADES, grades.table(rows, WEEK))
    texts = {
        name: {file: content.decode("utf-8", "replace") for file, content in files.items()}
        for name, files in sources.items()
    }
    page.write(rows, unusable, WEEK, out, wished.anonymous, None, texts)
    if groups := attention(rows, unusable, WEEK, load_rubric(WEEK).tiers):
        counts = "; ".join(f"{group.title}: {len(group.cases)}" for group in groups)
        said.append(f"For you to look at, on top of {out / page.NAME}: {counts}.")
    if wished.fill is not None:
        try:
            said += gradebooks.fill(wished.fill, rows, wished.column, out / FILLED).sentences
        except BadGradebook as error:
            undone.append(f"The gradebook was not filled: {error}")
            (out / FILLED / wished.fill.name).unlink(
                missing_ok=True
            )  # of an earlier run: it would look like this one's
    if wished.classroom50 is not None:
        try:
            made = overrides.overrides(rows, *wished.classroom50, now(), wished.scores)
        except overrides.BadScores as error:
            undone.append(f"The overrides were not made: {error}")
        else:
            write_text(out / FILLED / "scores.json", made.text)
            said += [*made.sentences, f"The overrides are in {out / FILLED / 'scores.json'}."]
    if wished.jplag is not None:
        export(sources, wished.jplag)
        said.append(
            f"For JPlag: java -jar jplag.jar -l python3 -bc {JPLAG_SKELETON} {wished.jplag}. "
            f"For Dolos: dolos run -l python {wished.jplag}/*/*.py."
        )
    return HandedBack(tuple(said), tuple(undone))


def with_late(row: Row, due: datetime | None) -> Row:
    """Late, as the due date says; without one, as the arrival says."""
    if due is None or row.submitted_at is None:
        return row
    late = row.submitted_at > due
    at, after = (
        row.submitted_at.astimezone(due.tzinfo),
        timedelta(seconds=int((row.submitted_at - due).total_seconds())),
    )
    note = (f"handed in {at:%Y-%m-%d %H:%M}, late by {after}",) if late else ()
    return replace(row, late=late, notes=(*row.notes, *note))


def export(sources: Mapping[str, Mapping[str, bytes]], folder: Path) -> None:
    """One folder a student, and what everybody was given beside them. Raises OSError."""
    given = {name: path.read_bytes() for name in WEEK.files if (path := WEEK.root / WEEK.work / name).is_file()}
    for name, files in {**sources, JPLAG_SKELETON: given}.items():
        for file, content in files.items():
            write_bytes(folder / name / file, content)
