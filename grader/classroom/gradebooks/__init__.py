"""Fills one column of the gradebook that a teacher exported; every other byte of the file stays as it was.

No system takes a file that somebody made up: lines that it does not know stop an import, a title that it does not
know becomes a new column. So the teacher's own file is matched and filled, and what does not match is listed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grader.classroom import people, sheets
from grader.classroom.gradebooks import blackboard, canvas, moodle, plain
from grader.classroom.gradebooks.book import BadGradebook, Column, Gradebook, chosen, number
from grader.classroom.grades import Row
from grader.classroom.people import Matching
from grader.classroom.sheets import BadSheet, Sheet
from grader.engine.printable import one_line
from grader.engine.submission.safe_files import write_bytes

__all__ = ["BadGradebook", "Filled", "fill", "recognised"]

# the first that knows a file has it
SYSTEMS: tuple[Callable[[Sheet], Gradebook | None], ...] = (
    canvas.read,
    blackboard.read,
    plain.no_way_back,
    moodle.worksheet,
    moodle.grades,
    plain.read,
)


@dataclass(frozen=True)
class Filled:
    """What became of a gradebook. path: the filled file. sentences: all of it in words, for the teacher.

    filled: ids of students whose score stands in it. changed: "id: 60 -> 74" where another grade stood there
    without_score: "id (why)" of students in the file who have no score. kept: the same of cells that stay
    missing_in_file: ids of this class that the file does not have; missing_in_class: the other way round
    ambiguous: lines of the file, and ids, of which nobody can say who they are
    """

    path: Path
    system: str
    column: str
    filled: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    without_score: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    missing_in_file: tuple[str, ...] = ()
    missing_in_class: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def sentences(self) -> tuple[str, ...]:
        system = self.system[:1].upper() + self.system[1:]
        told = [f'{system}: {len(self.filled)} scores stand in "{one_line(self.column, 80)}" of {self.path}.']
        for what, names in (
            ("Another grade stood there before: ", self.changed),
            ("No score yet, so nothing was filled in: ", self.without_score),
            ("Left as it was: ", self.kept),
            ("In this class, but not in the file: ", self.missing_in_file),
            ("In the file, but not in this class: ", self.missing_in_class),
            ("Not filled in, because nobody can say who it is: ", self.ambiguous),
        ):
            if names:
                told.append(f"{what}{'; '.join(one_line(name, 200) for name in names)}.")
        return (*told, *self.warnings)


def fill(file: Path, rows: Sequence[Row], column: str | None, out: Path) -> Filled:
    """Write a copy of the gradebook `file` into `out`, under its own name, with the scores in one column.

    column: its title, or the title without what the system adds to it; None takes the only one that fits
    Raises BadGradebook, and OSError where `out` cannot be written.
    """
    try:
        sheet = sheets.read(file)
    except BadSheet as error:
        raise BadGradebook(str(error)) from error
    book = recognised(sheet)
    if book.refused:
        raise BadGradebook(book.refused)
    path = out / file.name
    if path.exists() and os.path.samefile(path, file):
        raise BadGradebook(f"{file} would be written over: choose another folder for the filled file.")
    most = max((row.result.max_score for row in rows if row.result is not None), default=None)
    target = chosen(book, column, most, sheet.name)
    lines = list(book.people)
    found = people.match([book.people[line] for line in lines], [row.person for row in rows])
    if rows and not found.pairs:
        raise BadGradebook(nobody(sheet, book, rows))
    told, texts = filled_in(sheet, book, target, {lines[one]: rows[other] for one, other in found.pairs.items()})
    write_bytes(path, sheet.filled(target.place, texts))
    return Filled(
        path,
        book.system,
        target.title,
        **told,
        **unmatched(sheet, book, rows, found),
        warnings=warnings(book, target, most),
    )


def demand_fillable(file: Path) -> None:
    """Raises BadGradebook for a file that could not be filled whoever is in the class."""
    try:
        book = recognised(sheets.read(file))
    except BadSheet as error:
        raise BadGradebook(str(error)) from error
    if book.refused:
        raise BadGradebook(book.refused)


def recognised(sheet: Sheet) -> Gradebook:
    """Raises BadGradebook for a table in which nothing says who is who, or nobody stands."""
    book = next((book for system in SYSTEMS if (book := system(sheet)) is not None), None)
    if book is None:
        names = ", ".join(f'"{one_line(title, 40)}"' for title in sheet.titles[:8])
        told = "cells separated by commas, semicolons or tabs, and " if len(sheet.titles) == 1 else ""
        raise BadGradebook(
            f"{sheet.name} is no gradebook or list of a class: it needs {told}a first line in which one column is "
            f"called id, username, email, sid, or as Canvas, Moodle or Blackboard call it; its first line is {names}."
        )
    if not book.people:
        raise BadGradebook(f"{sheet.name} names no student: below its first line there is nothing.")
    return book


def filled_in(
    sheet: Sheet, book: Gradebook, target: Column, rows: Mapping[int, Row]
) -> tuple[dict[str, tuple[str, ...]], dict[int, str]]:
    """({field of Filled: what goes there}, {row of the sheet: its new cell}) of those who are in both."""
    filled: list[str] = []
    changed: list[str] = []
    without: list[str] = []
    kept: list[str] = []
    texts: dict[int, str] = {}
    for line, row in rows.items():
        old = sheet.at(line, target.place)
        if row.score is None:
            without.append(f"{row.name or row.id} ({row.status})")
        elif line in book.locked:
            kept.append(f"{row.id} ({book.locked[line]})")
        elif re.fullmatch(book.kept, old):
            kept.append(f"{row.id} ({old})")
        else:
            filled.append(row.id)
            if number(old) != row.score:
                texts[line] = str(row.score)
                changed += [f"{row.id}: {old} -> {row.score}"] if not re.fullmatch(book.no_grade, old) else []
    lists = {"filled": filled, "changed": changed, "without_score": without, "kept": kept}
    return {name: tuple(found) for name, found in lists.items()}, texts


def unmatched(sheet: Sheet, book: Gradebook, rows: Sequence[Row], found: Matching) -> dict[str, tuple[str, ...]]:
    """{field of Filled: who goes there} of those who are not in both."""
    lines = list(book.people)
    left = [n for n in range(len(lines)) if n not in found.pairs]
    others = set(range(len(rows))) - set(found.pairs.values())
    unclear = [f"line {sheet.line(lines[n])}, {people.called(book.people[lines[n]])} ({found.unclear[n]})"
               for n in left if n in found.unclear]  # fmt: skip
    unclear += [f"{rows[n].id} of this class" for n in sorted(others & found.unclear_other)]
    return {
        "missing_in_file": tuple(rows[n].id for n in sorted(others - found.unclear_other)),
        "missing_in_class": tuple(people.called(book.people[lines[n]]) for n in left if n not in found.unclear),
        "ambiguous": tuple(unclear),
    }


def warnings(book: Gradebook, target: Column, most: int | None) -> tuple[str, ...]:
    told = [target.warning] if target.warning else []
    if target.most is not None and most is not None and target.most != most:
        told.append(
            f'"{target.title}" counts to {target.most:g} points in {book.system}, and these scores to {most}: change '
            "the points there before the upload."
        )
    return tuple(one_line(sentence, 500) for sentence in (*told, *book.advice))


def nobody(sheet: Sheet, book: Gradebook, rows: Sequence[Row]) -> str:
    there = shown(next(iter(book.people.values())).items())
    here = shown(rows[0].person.items())
    return (
        f"{sheet.name} has nobody of this class, or nobody can say who is who: its first student is {there}, "
        f"and the first one here is {here}; a roster with the keys of both helps (--roster)."
    )


def shown(keys: Iterable[tuple[str, str]]) -> str:
    return one_line(", ".join(f"{people.WORDS[kind]} {text}" for kind, text in keys), 150)
