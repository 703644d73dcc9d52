"""Canvas: Grades, Export. What it takes back was read from its own gradebook_importer.rb."""

from __future__ import annotations

import re

from grader.classroom.gradebooks.book import Column, Gradebook, number, persons
from grader.classroom.people import Person
from grader.classroom.sheets import Sheet

KINDS = {"ID": "canvas_id", "SIS User ID": "sid", "SIS Login ID": "username"}
DROPPED = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
MANY = 250  # students
NEW = "has no number at its end: Canvas makes a new assignment of it, unless one has exactly this title."


def read(sheet: Sheet) -> Gradebook | None:
    """None for a file that is not Canvas's."""
    titles = sheet.titles
    one_name = len(titles) > 3 and "Student" in titles[0] and "ID" in titles[1]
    if not one_name and not (len(titles) > 4 and titles[:2] == ("LastName", "FirstName") and "ID" in titles[2]):
        return None
    section = next((place for place, title in enumerate(titles[:9]) if "Section" in title), None)
    if section is None:
        return None
    kinds = {KINDS[title]: place for place, title in enumerate(titles[:section]) if title in KINDS}
    kinds |= {"name": 0} if one_name else {"last_name": 0, "first_name": 1}
    maxima = next((row for row in range(1, len(sheet.rows)) if "Points Possible" in sheet.at(row, 0)), None)
    students = {row: who for row, who in persons(sheet, kinds).items() if row != maxima and not is_test(who)}
    columns = [column(sheet, place, maxima) for place in range(section + 1, len(titles))]
    advice = f"Canvas wants only the columns that changed from {MANY} students on: delete the other assignments' first."
    return Gradebook(
        "Canvas", students, tuple(columns), advice=(advice,) if len(students) >= MANY else (), kept=r"(?i)EX|N/A"
    )


def is_test(who: Person) -> bool:
    """Whether it is the student that Canvas makes for the teacher to look through, who stands in every export."""
    return who.get("name") == "Test Student" and "sid" not in who


def column(sheet: Sheet, place: int, maxima: int | None) -> Column:
    """maxima: the row with the points possible, None where there is none."""
    title = sheet.titles[place]
    short = re.sub(r"\s*\(\d+\)$", "", title)
    possible = sheet.at(maxima, place) if maxima is not None else ""
    refused = ""
    if re.search(r"read\s+only", possible):
        refused = "Canvas marks it as read only."
    elif found := DROPPED.search(title):
        refused = f'Canvas leaves out every column with "{found[0]}" in its title: rename the assignment, export again.'
    has_number = short != title
    warning = "" if has_number else f'"{title}" {NEW}'
    return Column(place, title, short, number(possible), refused, likely=has_number, warning=warning)
