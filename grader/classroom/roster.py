"""A roster: the names of a class and who handed in nothing. Any table that says who is who is one, a gradebook too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grader.classroom import people, sheets
from grader.classroom.gradebooks import BadGradebook, recognised
from grader.classroom.grades import NOTHING, Row
from grader.classroom.people import Person
from grader.classroom.sheets import BadSheet, Sheet
from grader.engine.printable import one_line

AS_ID = ("id", "username", "github", "email", "sid", "canvas_id", "participant")  # the first that a line has
LONGEST = 10_000  # characters of a sentence that may name a whole class
STAFF = ("teacher", "instructor", "ta", "head-ta", "head_ta", "assistant", "staff", "admin", "owner", "designer")


class BadRoster(ValueError):
    """The roster cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Roster:
    """students: {line of the file: who it is}, each student once. sentences: what was left out, and why."""

    name: str
    students: Mapping[int, Person]
    sentences: tuple[str, ...] = ()


def read(path: Path) -> Roster:
    """Raises BadRoster."""
    try:
        sheet = sheets.read(path)
        found = recognised(sheet).people
    except (BadSheet, BadGradebook) as error:
        raise BadRoster(str(error)) from error
    staff = {row for row in found if role(sheet, row) in STAFF}
    students: dict[int, Person] = {}
    names = ", ".join(people.called(found[row]) for row in sorted(staff))
    sentences = [f"{path.name}: left out as staff: {names}."] if staff else []
    for row, person in found.items():
        line = sheet.line(row)
        if row in staff:
            continue
        if not set(person) - {"name"}:
            sentences.append(
                f"{path.name}, line {line}: {people.called(person)} has a name only, so nothing can match."
            )
        else:
            before = next((n for n, other in students.items() if set(keys(other)) & set(keys(person))), None)
            if before is not None:
                told = (
                    "the first counts" if students[before] == person else "they are not the same; correct one of them"
                )
                sentences.append(f"{path.name}: {people.called(person)} stands in lines {before} and {line}: {told}.")
            if before is None or students[before] != person:
                students[line] = person
    if not students:
        raise BadRoster(f"{path.name} names no student: no line has more than a name.")
    return Roster(path.name, students, tuple(one_line(sentence, LONGEST) for sentence in sentences))


def role(sheet: Sheet, row: int) -> str:
    """What a column called role says, in small letters; "" where there is none, as in most rosters."""
    titles = [title.casefold() for title in sheet.titles]
    return sheet.at(row, titles.index("role")).casefold() if "role" in titles else ""


def keys(person: Person) -> list[tuple[str, str]]:
    """(kind, text to compare) of what names nobody else, the ids of choice first."""
    return [(kind, people.comparable(kind, person[kind])) for kind in AS_ID if kind in person]


def applied(roster: Roster, rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """(the rows with the roster's names and keys, then one for everybody who handed in nothing; what is to be said)."""
    lines = list(roster.students)
    found = people.match([roster.students[line] for line in lines], [row.person for row in rows])
    of_row = {other: roster.students[lines[one]] for one, other in found.pairs.items()}
    new = [known(row, of_row[n]) if n in of_row else row for n, row in enumerate(rows)]
    sentences = list(roster.sentences)
    for n, line in enumerate(lines):
        person = roster.students[line]
        if n in found.unclear:
            told = f"nobody can say which submission is of {people.called(person)}: {found.unclear[n]}."
            sentences.append(f"{roster.name}, line {line}: {told}")
        elif n not in found.pairs:
            new.append(absent(person, {row.id for row in new}))
    if strangers := [row.id for n, row in enumerate(rows) if n not in of_row and n not in found.unclear_other]:
        sentences.append(f"Not in {roster.name}: {', '.join(strangers)}.")
    if unclear := [rows[n].id for n in sorted(found.unclear_other)]:
        sentences.append(f"{roster.name} does not say clearly who these are: {', '.join(unclear)}.")
    return new, tuple(one_line(sentence, LONGEST) for sentence in sentences)


def known(row: Row, person: Person) -> Row:
    """A row with the roster's name, and the keys that it did not have yet."""
    keys = {**others(person), **row.keys}
    if (own := person.get("id", row.id)) != row.id:
        keys.setdefault("sid", own)  # the roster's own id for somebody who is called something else here
    return replace(row, name=person.get("name") or row.name, keys=keys)


def absent(person: Person, taken: set[str]) -> Row:
    """A row for who handed in nothing, with an id that no other row has where the roster gives one."""
    ids = [person[kind] for kind in AS_ID if kind in person]
    free = next((one for one in ids if one not in taken), f"{ids[0]} ({len(taken) + 1})")
    return Row(free, person.get("name", ""), others(person), status=NOTHING)


def others(person: Person) -> dict[str, str]:
    """What systems call a person, besides its id and name."""
    return {kind: text for kind, text in person.items() if kind not in ("id", "name")}
