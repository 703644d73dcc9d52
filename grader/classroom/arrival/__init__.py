"""Finds the submissions of a class however they arrive: exports, clones, folders, loose files, notebooks, archives.

`arrive` is the door. nodes: what is there; archives: opens them safely; works: the files of one submission; exports:
whose something is; classes: where one student ends and the next begins; laying_out: where the grader reads it.
"""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from grader.classroom.arrival import laying_out, times
from grader.classroom.arrival.archives import Unpacker
from grader.classroom.arrival.classes import Classes, Split, Unit
from grader.classroom.arrival.nodes import A_CLASS, ARCHIVE, FOLDER, Disk, Node, gathered
from grader.classroom.arrival.works import LONG_AGO, Unusable, Work, Works, at_once, numbered
from grader.engine.contract import Contract
from grader.engine.printable import listed, one_line

MARK = ".arrival"  # in a folder that this made
PACKED_ANEW, PACKING = ("Canvas", "Moodle"), timedelta(minutes=15)
UNPACKED = ".unpacked"  # in there, until all is laid out


class NoSubmissions(ValueError):
    """Nothing of what was given can be graded; the message is one sentence.

    unusable: as in Arrival
    """

    def __init__(self, message: str, unusable: Sequence[tuple[str, str]] = ()):
        super().__init__(message)
        self.unusable = tuple(unusable)


@dataclass(frozen=True)
class Arrived:
    """One student's work, as it was handed in.

    id: unique in the class, and a name that a folder can have on every system
    name: as a person writes it, "" if unknown
    source: a folder or a notebook that engine.submission.read.read() takes
    keys: what gradebooks may match by: "email", "username", "canvas_id", "participant" (Moodle's), "sid",
    "submission_id" (Gradescope's)
    submitted_at: with a time zone, as the export says, else of a clone's commit, else of the newest file; None where
    every file has the time at which the export was made
    late: where the export itself says so, else None
    kind: for the sentence that says what was taken: "Canvas", "Moodle", "folders", "notebooks"
    where: in what was given, as one reads it: "monday/Ada Lovelace_123_assignsubmission_file"
    notes: what was odd, as "data-1.py was taken as data.py"
    """

    id: str
    name: str
    source: Path
    keys: Mapping[str, str]
    submitted_at: datetime | None
    late: bool | None
    kind: str
    where: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arrival:
    """A class. taken: sorted by id; unusable: (what, one sentence why) of everything that cannot be graded."""

    taken: tuple[Arrived, ...]
    unusable: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """One submission of a student, maybe not the only one."""

    unit: Unit
    work: Work
    time: datetime | None
    notes: tuple[str, ...]


def arrive(paths: Sequence[Path], into: Path, contract: Contract) -> Arrival:
    """The submissions in files, folders and archives. What cannot be used is told, and everything else goes on.

    into: a new or empty folder, or one that this made before; it is emptied, and gets a folder for each student whose
    files cannot be read where they lie. The same input gives the same ids.
    Raises NoSubmissions, and OSError where `into` cannot be written or holds other things.
    """
    prepare(into, paths)
    try:
        works = Works(contract)
        given, missing = root(paths, into, contract)
        split = Classes(works).split(given)
        arrival = settle(split, works, into, contract)
    finally:
        shutil.rmtree(into / UNPACKED, ignore_errors=True)
    unusable = (*missing, *arrival.unusable)
    if not arrival.taken:
        raise NoSubmissions(f"No submission was found in {listed(paths[:3])}{because(unusable)}.", unusable)
    return Arrival(arrival.taken, unusable)


def prepare(into: Path, paths: Sequence[Path]) -> None:
    """Make or empty our folder. Raises OSError for one with things in it that are not ours, or that are given."""
    for path in paths:
        if path.resolve().is_relative_to(into.resolve()):
            raise OSError(f"{path} lies in {into}, where submissions are laid out: give what students handed in.")
    if into.is_dir() and any(into.iterdir()) and not (into / MARK).is_file():
        raise OSError(f"{into} is not empty and was not made for submissions: choose another folder.")
    into.mkdir(parents=True, exist_ok=True)
    (into / MARK).write_bytes(b"")
    for old in into.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old.name != MARK:
            old.unlink()


def root(paths: Sequence[Path], into: Path, contract: Contract) -> tuple[Node, list[tuple[str, str]]]:
    """(all that was given as one node, what is not there)"""
    disk, found, missing = Disk(Unpacker(into / UNPACKED), into), dict[str, Node](), list[tuple[str, str]]()
    for path in dict.fromkeys(path.resolve() for path in paths):
        name = path.parent.name if path.name == contract.work and path.parent.name else path.name
        try:
            found[str(path)] = disk.node(path, name)
        except OSError as error:
            there = f"It cannot be opened: {error.strerror}." if path.exists() else "There is no such file or folder."
            missing.append((one_line(str(path)), there))
    names = [node.name for node in found.values()]
    for place, node in found.items():
        node.label = place if names.count(node.name) > 1 else ""
    if len(found) == 1 and (only := next(iter(found.values()))).kind in (FOLDER, ARCHIVE):
        only.limits = A_CLASS
        return only, missing
    around = Path(next(iter(found), ".")).parent.name
    return gathered(around, {node.label or node.name: node for node in found.values()}), missing


def settle(split: Split, works: Works, into: Path, contract: Contract) -> Arrival:
    """One submission for each student, under an id of its own."""
    students: dict[str, list[Unit]] = {}
    for unit in split.units:
        students.setdefault(unicodedata.normalize("NFC", unit.owner.key), []).append(unit)
    unusable, counts = list(split.unusable), dict[str, Found]()
    for key, units in students.items():
        found, failed = list[Found](), list[tuple[str, str]]()
        for unit in units:
            try:
                found.append(look(unit, works, into))
            except Unusable as why:
                failed.append((unit.where, str(why)))
        if found:
            counts[key] = that_counts(found, failed)
        else:
            unusable += failed
    forget_packing(counts)
    taken, names = [], laying_out.ids(counts)
    for key, one in counts.items():
        try:
            taken.append(arrived(names[key], one, into, contract, len(names[key]) > len(laying_out.short(key))))
        except Unusable as why:
            unusable.append((one.unit.where, str(why)))
    told = [(what, why if why[:1].isupper() else f"It {why}") for what, why in dict.fromkeys(unusable)]
    return Arrival(tuple(sorted(taken, key=lambda one: one.id)), tuple(told))


def look(unit: Unit, works: Works, into: Path) -> Found:
    """Raises Unusable."""
    work, notes = works.chosen(unit.node)
    time = unit.owner.time or times.moment(work.home.text("timestamp.txt"))  # nbgrader writes that file
    if time is None and work.home.depth == 0 and (clone := clone_around(work.home, unit.node)) is not None:
        time = times.of_clone(clone, into / UNPACKED / "git")
    return Found(unit, work, time or work.time, (*unit.owner.notes, *notes))


def forget_packing(counts: dict[str, Found]) -> None:
    """Some systems give every file the time at which the export was made, which is no student's: it is left out."""
    made_then = {key: one for key, one in counts.items() if one.unit.owner.kind in PACKED_ANEW and is_loose(one)}
    times = [one.time for one in made_then.values() if one.time is not None]
    if len(times) > 1 and max(times) - min(times) < PACKING:
        counts.update({key: replace(one, time=None) for key, one in made_then.items()})


def is_loose(one: Found) -> bool:
    """Whether its files lie in the export itself, not in an archive that the student made."""
    return one.work.nodes[0].depth == min(node.depth for node in one.unit.node.children.values())


def clone_around(home: Node, whole: Node) -> Path | None:
    """The git repository in which the files lie, as far up as the student's own folder."""
    if home.tree is None or whole.gathered or whole.depth:
        return None
    inner = [place for place in (home.place, *home.place.parents) if place.is_relative_to(whole.place)]
    return next((place for place in inner if (place / ".git").is_dir()), None)


def that_counts(found: Sequence[Found], failed: Sequence[tuple[str, str]]) -> Found:
    """The newest of one student's submissions; without an order in time, the last one that was given."""
    ordered = sorted(found, key=lambda one: one.time or LONG_AGO)
    newest, others = ordered[-1], ordered[:-1]
    if others and at_once(others[-1].time, newest.time):
        newest = next(one for one in reversed(found) if one is newest or at_once(one.time, newest.time))
        others = [one for one in found if one is not newest]
        why = "their times do not say which is newer, so the last one counts"
    else:
        why = "the newer one counts" if len(found) == 2 else "the newest one counts"
    notes = [f"another could not be used: {what} {why}" for what, why in failed]
    if others:
        names = listed([one.unit.where for one in others[:5]])
        rest = f"the other was {names}" if len(others) == 1 else f"the others were {names}"
        notes.insert(0, f"{numbered(len(found))} submissions: {why}, {newest.unit.where}; {rest}")
    work, borrowed = newest.work, dict[str, Found]()
    if work.notebook is None:  # who corrects one file often hands in that one alone
        for one in sorted(others, key=lambda one: one.time or LONG_AGO):
            borrowed |= {file: one for file in one.work.files if file not in work.files}
    if borrowed:
        named = listed([f"{file} of {one.unit.where}" for file, one in borrowed.items()])
        notes.insert(1, f"what the newer one lacks was taken from before: {named}")
        work = replace(work, files={**work.files, **{file: one.work.files[file] for file, one in borrowed.items()}})
    return Found(newest.unit, work, newest.time, (*notes, *newest.notes))


def arrived(id: str, one: Found, into: Path, contract: Contract, is_suffixed: bool) -> Arrived:
    """Raises Unusable."""
    owner = one.unit.owner
    source = laying_out.source(one.work, one.unit.node, contract, into / id)
    clash = f"the id {id} has a suffix: another student's name gives the same folder" if is_suffixed else ""
    notes = tuple(one_line(note) for note in (*([clash] if clash else []), *one.notes))
    keys = {name: one_line(value) for name, value in owner.keys.items()}
    return Arrived(
        id, one_line(owner.name), source, keys, one.time, owner.late, owner.kind, one_line(one.unit.where), notes
    )


def because(unusable: Sequence[tuple[str, str]]) -> str:
    """The first reason why nothing can be graded, as the end of a sentence without its full stop."""
    if not unusable:
        return ": nothing in it could be a student's work"
    what, why = unusable[0]
    more = f", and {len(unusable) - 1} more cannot be used" if len(unusable) > 1 else ""
    return f": {what} {why[3:]}".rstrip(".") + more if why.startswith("It ") else f" ({what}: {why.rstrip('.')}{more})"
