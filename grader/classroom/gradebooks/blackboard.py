"""Blackboard: Work Offline, Download. UTF-16 and tabs, whatever the file is called (.xls, .csv)."""

from __future__ import annotations

import re

from grader.classroom import people
from grader.classroom.gradebooks.book import Column, Gradebook, number, persons
from grader.classroom.sheets import Sheet

# Week 3 [Total Pts: 100 Score] |1344236
TITLE = re.compile(
    r"(?s)(?P<short>.*?)\s*(?:\[[^\[\]:]*: ?(?P<up_to>up to )?(?P<most>[\d.,]+)? ?(?P<shows>[^\[\]]*)\])?\s*\|\s*\d+"
)


def read(sheet: Sheet) -> Gradebook | None:
    """None for a file that is not Blackboard's."""
    titles = sheet.titles
    if "Username" not in titles or not any(TITLE.fullmatch(title) for title in titles):
        return None
    kinds = {kind: place for kind, place in people.kinds(titles).items() if "|" not in titles[place]}
    students = persons(sheet, kinds)
    columns = [column(place, title) for place, title in enumerate(titles) if place not in kinds.values()]
    locked = {row: "has no user name" for row, who in students.items() if "username" not in who}
    return Gradebook("Blackboard", students, tuple(columns), locked, no_grade=r"(?i)-?|(needs grading|in progress).*")


def column(place: int, title: str) -> Column:
    found = TITLE.fullmatch(title)
    if found is None:
        refused = "its title ends with no number, so Blackboard would make a new text column of it, worth 0 points."
        return Column(place, title, title, refused=refused)
    refused = ""
    if found["up_to"]:
        refused = "Blackboard calculates it from other columns."
    elif found["shows"] in ("Letter", "Percentage", "Text", "Complete/Incomplete"):
        refused = f"it shows {found['shows']}; set its primary display to Score in Blackboard and export again."
    most = re.sub(r",(?=\d{3}\b)", "", found["most"] or "")  # 1,000
    return Column(place, title, found["short"], number(most), refused)
