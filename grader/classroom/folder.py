"""The output folder of a class: which course it belongs to, its secret, what is kept, and a folder for each student."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from grader.classroom.looks import Looked
from grader.engine import reports, trouble
from grader.engine.contract import Contract
from grader.engine.keys import BadKey, Key, make_key, read_key
from grader.engine.many.store import CannotKeep, Store
from grader.engine.printable import one_line
from grader.engine.result import Result
from grader.engine.rubric import load_toml
from grader.engine.submission.safe_files import write_text

OURS = ".grading"  # in the output folder: what is not for the students
ABOUT, KEY, RESULTS, SUBMISSIONS = "course.json", "key", "results.sqlite", "submissions"
STUDENTS = "students"
REPORTS = ("report.html", "summary.md", "evidence.npz", trouble.NAME)


class NotOurs(ValueError):
    """The output folder holds something else; the message is one sentence."""


class Folder:
    """Raises NotOurs, CannotKeep when it is opened; CannotKeep from all methods."""

    def __init__(self, out: Path, contract: Contract):
        self.out, self.own = out, out / OURS
        about = course(contract)
        try:
            if out.exists() and not out.is_dir():
                raise NotOurs(f"{out} is a file; give another --out.")
            if out.is_dir() and not self.own.is_dir() and any(out.iterdir()):
                raise NotOurs(f"{out} is not empty and was not made by batch; give another --out.")
            demand_same_course(self.own / ABOUT, about)
            self.store = Store(self.own / RESULTS)
            if not (self.own / ABOUT).exists():
                write_text(self.own / ABOUT, json.dumps(about, indent=2) + "\n")
        except CannotKeep:
            raise
        except OSError as error:
            raise unwritable(out, error) from error

    @property
    def submissions(self) -> Path:
        """Where what was handed in is unpacked."""
        return self.own / SUBMISSIONS

    def secret(self) -> Key:
        """The key of this folder, made at first use. Raises BadKey too."""
        path = self.own / KEY
        try:
            return read_key(path) if path.exists() else make_key(path)
        except OSError as error:
            raise BadKey(f"The key {path} cannot be written ({error.strerror}); give another --out.") from error

    def kept(self, key: str) -> Looked | None:
        found = self.store.get(key)
        return None if found is None else Looked(*found)

    def keep(self, key: str, looked: Looked) -> None:
        self.store.put(key, looked.told, looked.evidence)

    def place(self, student: str) -> Path:
        return self.out / STUDENTS / student

    def write(self, student: str, result: Result) -> None:
        """The student's folder, unless it stands there already as it should be."""
        digest = hashlib.sha256(result.dumps().encode("ascii")).hexdigest()
        known, place = self.store.get(f"written {student}"), self.place(student)
        stands = known is not None and known[0] == {"digest": digest}
        if stands and all((place / name).is_file() for name in ("score.json", "report.html")):
            return
        try:
            reports.write(result, place)
        except OSError as error:
            raise unwritable(place, error) from error
        self.store.put(f"written {student}", {"digest": digest})

    def write_no_score(self, student: str, reason: str) -> None:
        """Say why there is none. Reports of before would be sent back as if they were of now, so they go."""
        place = self.place(student)
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name in REPORTS:
                (place / name).unlink(missing_ok=True)
            reports.write_no_score(place, reason)
        except OSError as error:
            raise unwritable(place, error) from error

    def close(self) -> None:
        self.store.close()


def unwritable(place: Path, error: OSError) -> CannotKeep:
    return CannotKeep(
        f"{place} cannot be written ({error.strerror or error}): make room, or give another --out, and start again; "
        "what is finished is kept."
    )


def course(contract: Contract) -> dict[str, object]:
    """Which course and week this is, as templates/course.toml says. Raises BadRubric."""
    path = contract.root / "templates" / "course.toml"
    told = load_toml(path) if path.is_file() else {}
    return {"course": told.get("course", contract.root.name), "week": told.get("week", 0)}


def demand_same_course(path: Path, about: dict[str, object]) -> None:
    """Raises NotOurs where a folder has the results of another course or week."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        there = {}
    if there != about:
        told = " ".join(f"{there.get(name)!r}" if name == "course" else f"week {there.get(name)}" for name in about)
        raise NotOurs(
            f"{path.parent.parent} holds the results of {one_line(told, 200)}, and this is {about['course']!r} week "
            f"{about['week']}: give another --out."
        )
