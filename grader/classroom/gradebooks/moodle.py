"""Moodle, twice: the file of Grades, Export, which its import takes back, and an assignment's offline worksheet."""

from __future__ import annotations

import re
from collections.abc import Mapping

from grader.classroom import people
from grader.classroom.gradebooks.book import Column, Gradebook, holds_points, number, persons
from grader.classroom.people import Person
from grader.classroom.sheets import Sheet

IDENTIFIES = ("username", "email", "sid", "id")  # one of them, the teacher chooses which at the import
ITEM = re.compile(r"(?s)(?:[^:]+: )?(?P<short>.*?)(?: \((?P<shows>Real|Percentage|Letter)\))?")
NO_ITEM = ("Institution", "Department", "Last downloaded from this course", "Suspended")
# the word before the number of a participant, in the languages in which it is known: "Participant 12345"
PARTICIPANT = re.compile(r"(?i)(part[ie]cip|teilnehm|deelnem|deltag|delt[aä]k|uczestn|účastn)\D*\d+")


def grades(sheet: Sheet) -> Gradebook | None:
    """The file of Grades, Export, in English; None for another file."""
    titles = sheet.titles
    kinds = people.kinds(titles)
    of_moodle = "Last downloaded from this course" in titles or any(title.endswith(" (Real)") for title in titles)
    named = [kind for kind in IDENTIFIES if kind in kinds]
    if not of_moodle or not named:
        return None
    students = persons(sheet, kinds)
    known = max(named, key=lambda kind: sum(kind in who for who in students.values()))
    # Moodle gives the grade of a row without it to the student of the row before
    told = f'"{titles[kinds[known]]}" is empty, and Moodle would give the grade to the student in the line before'
    locked = {row: told for row, who in students.items() if known not in who}
    columns = [
        item(place, title) for place, title in enumerate(titles) if place not in kinds.values() and title not in NO_ITEM
    ]
    advice = f'In Moodle\'s import identify users by "{titles[kinds[known]]}", and map only the column that was filled.'
    return Gradebook("Moodle", students, tuple(columns), locked, advice=(advice,))


def item(place: int, title: str) -> Column:
    """A column of Grades, Export: "Assignment: Week 3 (Real)"."""
    found = ITEM.fullmatch(title)
    assert found is not None  # the pattern fits every title
    refused = ""
    if re.fullmatch(r"[^:]* total( \(\w+\))?", title):
        refused = "Moodle calculates it from other grades."
    elif found["shows"] in ("Percentage", "Letter"):
        refused = f'it holds no points; export with the grade display type "Real", not "{found["shows"]}".'
    elif title.startswith("Feedback: "):
        refused = "it is for words."
    return Column(place, title, found["short"], refused=refused)


def worksheet(sheet: Sheet) -> Gradebook | None:
    """An assignment's "Download grading worksheet", in any language; None for another file."""
    titles = sheet.titles
    first = [sheet.at(row, 0) for row in range(1, len(sheet.rows))]
    if len(titles) < 5 or not first or not all(PARTICIPANT.fullmatch(text) for text in first):
        return None
    kinds = {kind: place for kind, place in people.kinds(titles[1:4]).items() if kind in ("email", "username", "sid")}
    kinds = {"participant": 0, "name": 1} | {kind: place + 1 for kind, place in kinds.items()}
    students = persons(sheet, kinds)
    maximum = next((n for n in range(2, len(titles)) if same_number(sheet, students, n) is not None), None)
    columns = []
    for place in range(2, len(titles)):
        if place in kinds.values():
            continue
        for_grades = titles[place] == "Grade" or place + 1 == maximum  # the maximum stands right of the grade
        most = same_number(sheet, students, place + 1) if for_grades else None
        refused = "it holds the maximum." if place == maximum else ""
        if for_grades and "Scale" in titles:
            refused = "this assignment is graded with a scale: set its grade type to points in Moodle."
        unknown = maximum is None and "Grade" not in titles and holds_points(sheet, students, place)
        columns.append(Column(place, titles[place], titles[place], most, refused, likely=for_grades or unknown))
    return Gradebook("Moodle's worksheet", students, tuple(columns), locked(sheet, students))


def same_number(sheet: Sheet, students: Mapping[int, Person], place: int) -> float | None:
    """The number above 0 that stands in a column for all of at least two students, None where there is no such."""
    found = {number(sheet.at(row, place)) for row in students}
    only = next(iter(found)) if len(found) == 1 else None
    return only if only is not None and only > 0 and len(students) > 1 else None


def locked(sheet: Sheet, students: Mapping[int, Person]) -> dict[int, str]:
    place = sheet.titles.index("Grade can be changed") if "Grade can be changed" in sheet.titles else None
    if place is None:
        return {}
    return {row: "Moodle says that the grade cannot be changed" for row in students if sheet.at(row, place) == "No"}
