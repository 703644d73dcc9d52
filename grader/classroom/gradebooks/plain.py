"""Any other table with a column that says who is who, and exports that no system takes back."""

from __future__ import annotations

from grader.classroom import people
from grader.classroom.gradebooks.book import Column, Gradebook, holds_points, persons
from grader.classroom.sheets import Sheet

NO_WAY_BACK = {  # the titles by which an export is known: what it is, and what to do instead
    ("Total Score", "Max Points", "Submission ID"): (
        "Gradescope",
        "is an export of Gradescope, which takes no scores back from a file: fill the file of the system where the "
        "grades have to be.",
    ),
    ("username", "score", "submission_tag", "override"): (
        "Classroom 50",
        "is Classroom 50's scores.csv, which it only writes: scores of your own go into its scores.json.",
    ),
}


def no_way_back(sheet: Sheet) -> Gradebook | None:
    """An export that can be read and not be filled; None for another file."""
    for titles, (system, why) in NO_WAY_BACK.items():
        if set(titles) <= set(sheet.titles):
            return Gradebook(system, persons(sheet, people.kinds(sheet.titles)), (), refused=f"{sheet.name} {why}")
    return None


def read(sheet: Sheet) -> Gradebook | None:
    """None where no column but a name says who is who."""
    kinds = people.kinds(sheet.titles)
    if not set(kinds) - {"name", "first_name", "last_name"}:
        return None
    students = persons(sheet, kinds)
    columns = [
        Column(place, title, title, likely=holds_points(sheet, students, place))
        for place, title in enumerate(sheet.titles)
        if place not in kinds.values()
    ]
    return Gradebook("the table", students, tuple(columns))
