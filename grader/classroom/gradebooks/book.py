"""What one system's file is to us: who its lines are, and which columns can take a grade."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from grader.classroom import people
from grader.classroom.people import Person
from grader.classroom.sheets import Sheet
from grader.engine.printable import listed, one_line


class BadGradebook(ValueError):
    """The file cannot be filled; the message is one sentence."""


@dataclass(frozen=True)
class Column:
    """title: as it stands in the file. short: what the teacher called it, without what the system adds.

    most: the points it counts to, None where the file does not say
    refused: why no grade can go in, "" where one can; likely: whether it looks like one for grades
    warning: what the teacher has to know before the upload
    """

    place: int
    title: str
    short: str
    most: float | None = None
    refused: str = ""
    likely: bool = True
    warning: str = ""


@dataclass(frozen=True)
class Gradebook:
    """people: {row of the sheet: who it is}. locked: {row: why it can take no grade}. columns: those for no key.

    refused: why this file is never filled; advice: what to know at the upload
    no_grade: cells that hold no grade yet; kept: cells that stay as they are
    """

    system: str
    people: Mapping[int, Person]
    columns: tuple[Column, ...]
    locked: Mapping[int, str] = field(default_factory=dict)
    refused: str = ""
    advice: tuple[str, ...] = ()
    no_grade: str = r"-?"
    kept: str = r"(?!)"


def persons(sheet: Sheet, kinds: Mapping[str, int], header: int = 1) -> dict[int, Person]:
    """{row: who it is} of all rows after the header that say anything of it."""
    found: dict[int, Person] = {}
    for row in range(header, len(sheet.rows)):
        if one := people.person({kind: sheet.at(row, column) for kind, column in kinds.items()}):
            found[row] = one
    return found


def number(text: str) -> float | None:
    """A number in a cell, whichever sign it has before its decimals: 74, 74.00, 74,00, 1.234,5; None for no number."""
    if not re.fullmatch(r"[+-]?\d[\d.,]*", text):
        return None
    whole, _, decimals = re.sub(r"[.,](?=.*[.,])", "", text).replace(",", ".").partition(".")
    return float(f"{whole}.{decimals or 0}")


def holds_points(sheet: Sheet, rows: Mapping[int, Person], column: int) -> bool:
    """Whether every cell of these rows is a number or says that there is none yet."""
    return all(sheet.at(row, column) in ("", "-") or number(sheet.at(row, column)) is not None for row in rows)


def chosen(book: Gradebook, asked: str | None, most: int | None, file: str) -> Column:
    """The column to fill. asked: a title, what the teacher called it, or how only one begins; most: the points a score
    can have.

    Raises BadGradebook: no such column, one that takes no grade, or more than one that could be meant.
    """
    if asked is not None:
        return asked_for(book, asked, file)
    able = [column for column in book.columns if column.likely and not column.refused]
    fitting = [column for column in able if column.most in (None, most)]
    if len(fitting) == 1:
        return fitting[0]
    if len(candidates := fitting or able) > 1:
        told = f"{len(candidates)} columns could be meant; say --column with one of {titles(candidates)}."
        raise BadGradebook(f"{file}: {told}")
    if able:
        told = f"{titles(able)} counts to {able[0].most:g} points, these scores to {most}"
        raise BadGradebook(f"{file}: {told}; change the points in {book.system}, or name it with --column.")
    raise BadGradebook(f"{file} has no column for these grades: make the assignment in {book.system} and export again.")


def asked_for(book: Gradebook, asked: str, file: str) -> Column:
    wanted = plain(asked)
    found = [column for column in book.columns if plain(column.title) == wanted]
    found = found or [column for column in book.columns if plain(column.short) == wanted]
    found = [column for column in found if not column.refused] or found
    able = [column for column in book.columns if not column.refused]
    begins = re.compile(re.escape(wanted) + r"\b")
    if not found and len(longer := [column for column in able if begins.match(plain(column.title))]) == 1:
        found = longer
    if not found:
        told = f"say --column with one of {titles(able)}" if able else "and no other that takes a grade"
        raise BadGradebook(f'{file} has no column "{one_line(asked, 80)}"; {told}.')
    if len(found) > 1:
        raise BadGradebook(
            f'{file} has {len(found)} columns "{one_line(asked, 80)}": give them different names in {book.system} and '
            "export again, or say --column with the whole title."
        )
    if found[0].refused:
        raise BadGradebook(f'{file}: no grade can go into "{one_line(found[0].title, 80)}": {found[0].refused}')
    return found[0]


def plain(title: str) -> str:
    return " ".join(title.split()).casefold()


def titles(columns: tuple[Column, ...] | list[Column]) -> str:
    names = [one_line(column.title, 80) for column in columns]
    return listed(names[:12] + ([f"{len(names) - 12} more"] if len(names) > 12 else []), '"')
