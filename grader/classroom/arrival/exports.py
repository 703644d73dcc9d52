"""The forms in which systems hand out a class: whose a file or folder is, by its name and by what lies beside it.

Each form is a function of the folder that holds the class; it gives a Form, or None where the folder is none of its
kind. A new form is one more function.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from grader.classroom.arrival import gradescope, times
from grader.classroom.arrival.nodes import FILE, FOLDER, Node
from grader.engine.printable import listed, one_line

CANVAS = re.compile(
    r"(?:(?P<who>\w+?)_)?(?P<id>\d+|anon_[a-zA-Z0-9]{5})_(?:\d+_(?P<rest>.+)|(?P<page>(?:text|link)\.html))"
)
CANVAS_LATE = re.compile(r"(^|_)late(_|$)", re.IGNORECASE)
MOODLE = re.compile(r"(?P<name>.*?)(?:_(?P<id>\d+))?_assignsubmission_(?P<plugin>[a-z]+)(?:_(?P<rest>.*))?")
CLASSROOM = re.compile(r"(?P<prefix>.+?)(?P<fifty>_submissions_\d{4}_.*)?(?(fifty)|-submissions)")
COLLECTED, ROSTER = "collected.csv", "roster.csv"


@dataclass(frozen=True)
class Owner:
    """Whose something is. key: the same for everything of one student, and unlike every other student's.

    kind, name, keys, late, time, notes: as in Arrived
    """

    key: str
    kind: str
    name: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    late: bool | None = None
    time: datetime | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Form:
    """How a class was handed out.

    of: gives for an entry of the class's folder its owners, and its name among the owner's files: "" where it is all
    that they handed in; no owner where it belongs to nobody
    missing: (student, why) of those who are named and have nothing here
    """

    kind: str
    of: Callable[[Node], Sequence[tuple[Owner, str]]]
    missing: Sequence[tuple[str, str]] = ()


def of_collect(folder: Node) -> Form | None:
    """What `python -m grader collect` made."""
    rows = {row.get("id", "").removeprefix("'"): row for row in table(folder, COLLECTED)}
    if not rows:
        return None

    def of(node: Node) -> list[tuple[Owner, str]]:
        if node.name not in rows or node.kind != FOLDER:
            return []
        time = times.moment(rows[node.name].get("committed_at", ""))
        return [(Owner(node.name, "collect", keys={"username": node.name}, time=time), "")]

    there = {node.name for node in folder.children.values() if node.kind == FOLDER}
    reasons = {name: f"{row.get('status', '')}; {row.get('reason', '')}".strip("; ") for name, row in rows.items()}
    lacking = [(one_line(name), one_line(why)) for name, why in reasons.items() if name not in there]
    return Form("collect", of, [(name, f"was not collected: {why}.") for name, why in lacking])


def of_gradescope(folder: Node) -> Form | None:
    known = gradescope.read(folder.text(gradescope.NAME))
    if not known and not mostly(folder, lambda node: bool(re.fullmatch(r"submission_\d+", node.name))):
        return None

    def of(node: Node) -> list[tuple[Owner, str]]:
        told = known.get(node.name)
        if node.kind != FOLDER or (told is None and not node.name.startswith("submission_")):
            return []
        number = {"submission_id": node.name.removeprefix("submission_")}
        if told is None or not told.submitters:
            return [(Owner(node.name, "Gradescope", keys=number, time=told.created_at if told else None), "")]
        owners = []
        for one in told.submitters:
            keys = {"email": one.email, "sid": one.sid, **number}
            others = [other.name or other.email for other in told.submitters if other is not one]
            note = (f"handed in together with {listed(others)}",) if others else ()
            who = one.email or one.sid or (node.name if not others else f"{node.name} {one.name}")
            held = {name: value for name, value in keys.items() if value}
            owners.append((Owner(who, "Gradescope", one.name, held, None, told.created_at, note), ""))
        return owners

    there = {node.name for node in folder.children.values()}
    without = {name: one for name, one in known.items() if name not in there and one.submitters}
    missing = [(listed([s.name or s.email or s.sid for s in one.submitters]), name) for name, one in without.items()]
    return Form("Gradescope", of, [(who, f"has no folder {name} in the export.") for who, name in missing])


def of_moodle(folder: Node) -> Form | None:
    if not mostly(folder, lambda node: bool(MOODLE.fullmatch(node.name))):
        return None

    def of(node: Node) -> list[tuple[Owner, str]]:
        found = MOODLE.fullmatch(node.name)
        if found is None:
            return []
        number, name = found["id"] or "", found["name"].strip()
        keys = {"participant": number} if number else {}
        key = " ".join(part for part in (name, number) if part)
        return [(Owner(key, "Moodle", "" if name == "Participant" else name, keys), found["rest"] or found["plugin"])]

    return Form("Moodle", of)


def of_canvas(folder: Node) -> Form | None:
    if not mostly(folder, lambda node: bool(CANVAS.fullmatch(node.name))):
        return None
    marks = any(CANVAS_LATE.search(said["who"] or "") for said in map(CANVAS.fullmatch, names(folder)) if said)

    def of(node: Node) -> list[tuple[Owner, str]]:
        found = CANVAS.fullmatch(node.name)
        if found is None:
            return []
        late = bool(CANVAS_LATE.search(found["who"] or ""))
        who = CANVAS_LATE.sub("", found["who"] or "")
        keys = {"canvas_id": found["id"]} if found["id"].isdigit() else {}
        key = "_".join(part for part in (who, found["id"]) if part)
        return [(Owner(key, "Canvas", "", keys, late if marks else None), found["rest"] or found["page"])]

    return Form("Canvas", of)


def of_nbgrader(folder: Node) -> Form | None:
    if folder.stem != "submitted" or not mostly(folder, lambda node: node.kind == FOLDER):
        return None

    def of(node: Node) -> list[tuple[Owner, str]]:
        return [(Owner(node.name, "nbgrader", keys={"username": node.name}), "")] if node.kind == FOLDER else []

    return Form("nbgrader", of)


def of_classroom(folder: Node) -> Form | None:
    """What `gh teacher download` makes for Classroom 50, and `gh classroom clone` made for GitHub Classroom."""
    named = CLASSROOM.fullmatch(folder.stem)
    start = f"{named['prefix']}-".casefold() if named else ""
    places = [node for node in folder.children.values() if node.kind != FILE]
    fit = [node for node in places if node.name.casefold().startswith(start)]
    if named is None or not fit or 2 * len(fit) < len(places):
        return None
    kind = "Classroom 50" if named["fifty"] else "GitHub Classroom"
    roster = {row.get("username", "").casefold(): row for row in table(folder, ROSTER)}

    def of(node: Node) -> list[tuple[Owner, str]]:
        if node.kind == FILE or not node.name.casefold().startswith(start):
            return []
        user = node.stem[len(start) :]
        row = roster.get(user.casefold(), {})
        keys = {"username": user, **({"email": row["email"]} if row.get("email") else {})}
        name = " ".join(filter(None, (row.get("first_name"), row.get("last_name"))))
        return [(Owner(user, kind, name, keys), "")]

    return Form(kind, of)


FORMS = (of_collect, of_gradescope, of_moodle, of_canvas, of_classroom, of_nbgrader)


def form_of(folder: Node) -> Form | None:
    """The form of a folder that holds a class as some system hands it out."""
    return next((form for find in FORMS if (form := find(folder)) is not None), None)


def mostly(folder: Node, fits: Callable[[Node], bool]) -> bool:
    """Whether at least half of what lies in a folder is so, and something."""
    inside = [node for node in folder.children.values() if node.name not in (COLLECTED, ROSTER, gradescope.NAME)]
    return bool(inside) and 2 * sum(map(fits, inside)) >= len(inside)


def names(folder: Node) -> list[str]:
    return [node.name for node in folder.children.values()]


def table(folder: Node, name: str) -> list[dict[str, str]]:
    """The rows of a CSV file in a folder; [] for none."""
    try:
        rows = csv.DictReader(io.StringIO(folder.text(name), newline=""))
        return [{str(key): value for key, value in row.items() if isinstance(value, str)} for row in rows]
    except csv.Error:
        return []


BY_NAME = ("folders", "clones", "archives", "loose files", "notebooks", "files")  # kinds of no system


def by_name(node: Node, kind: str) -> Owner:
    """The owner of something that is only named after its student."""
    who = re.sub(r"(?<=\S) ?\(\d{1,2}\)$", "", node.stem)  # a browser's mark of a second download
    if "@" in who:
        return Owner(who, kind, keys={"email": who})
    is_name = bool(re.search(r"\w[ ,]+\w", who))
    return Owner(who, kind, who if is_name else "", {} if is_name else {"username": who})
