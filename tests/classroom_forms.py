"""One class, laid out in each form in which classes arrive: exports, clones, folders, loose files, archives.

make("Canvas", students, folder) -> the path that a teacher gives on the command line
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=timezone.utc)
NOTEBOOK = "week3.ipynb"


@dataclass(frozen=True)
class Student:
    """key: a user name; files: {name: bytes}, or one notebook. late: as a system with a due date would mark it."""

    key: str
    name: str
    email: str
    files: Mapping[str, bytes]
    submitted_at: datetime = NOON
    late: bool = False

    @property
    def sortable(self) -> str:
        """As Canvas writes it: "Lovelace, Ada" without what is no letter or digit, small."""
        first, _, last = self.name.rpartition(" ")
        return "".join(c for c in f"{last}{first}".lower() if c.isalnum())


Tree = dict[str, tuple[bytes, datetime]]  # {path: (content, when it was written)}


def number(place: int) -> int:
    """The number that a system has for the student at this place of the list."""
    return 4100 + place


def below(folder: str, student: Student) -> Tree:
    return {f"{folder}{name}": (content, student.submitted_at) for name, content in student.files.items()}


def together(trees: Sequence[Tree]) -> Tree:
    return {path: entry for tree in trees for path, entry in tree.items()}


# ---- ways to write a tree


def written(tree: Tree, folder: Path) -> Path:
    for path, (content, time) in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, (time.timestamp(), time.timestamp()))
    return folder


def zipped(tree: Tree) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, (content, time) in tree.items():
            archive.writestr(zipfile.ZipInfo(path, time.astimezone().timetuple()[:6]), content)
    return packed.getvalue()


def tarred(tree: Tree) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, (content, time) in tree.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(content), time.timestamp()
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def file(content: bytes, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


# ---- the forms


def clones(students: Sequence[Student], folder: Path) -> Path:
    for student in students:
        place = written(below("assignment/", student), folder / "clones" / student.key)
        time = student.submitted_at.isoformat()
        who = {f"GIT_{role}_{field}": "x" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
        environment = os.environ | who | {"GIT_AUTHOR_DATE": time, "GIT_COMMITTER_DATE": time}
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "work"]):
            subprocess.run(["git", *command], cwd=place, env=environment, check=True, capture_output=True)
        os.utime(place / "assignment" / next(iter(student.files)))  # a clone's files are as old as the clone
    return folder / "clones"


def folders(students: Sequence[Student], folder: Path) -> Path:
    return written(together([below(f"{s.key}/assignment/", s) for s in students]), folder / "class")


def bare_folders(students: Sequence[Student], folder: Path) -> Path:
    return written(together([below(f"{s.key}/", s) for s in students]), folder / "class")


def nested(students: Sequence[Student], folder: Path) -> Path:
    """In folders that say nothing, around the class and in each student's folder; macOS left its traces."""
    trees = [below(f"autumn/week 3/{s.key}/hand-in/my work/", s) for s in students]
    tree = together(trees)
    tree |= {f"autumn/week 3/__MACOSX/{path}": (b"\0", NOON) for path in ("._data.py", "x/._model.py")}
    tree |= {f"autumn/week 3/{s.key}/.ipynb_checkpoints/data.py": (b"old = 1\n", NOON) for s in students}
    return written(tree | {"autumn/week 3/.DS_Store": (b"\0", NOON)}, folder / "given")


def misnamed(students: Sequence[Student], folder: Path) -> Path:
    """Each student's files have names that are only nearly right, one way for each kind of mistake."""
    ways: list[Callable[[str, Student], str]] = [
        lambda name, s: f"{s.key}_{name}",
        lambda name, s: f"{name.rpartition('.')[0]} (1).py",
        lambda name, s: f"{name.rpartition('.')[0].upper()}.py",
        lambda name, s: f"{name}.txt",
    ]
    tree: Tree = {}
    for place, student in enumerate(students):
        for name, content in student.files.items():
            other = name if name.endswith(".ipynb") else ways[place % len(ways)](name, student)
            tree[f"{student.key}/{other}"] = (content, student.submitted_at)
    return written(tree, folder / "class")


def sections(students: Sequence[Student], folder: Path) -> Path:
    half = len(students) // 2
    parts = {"monday": students[:half], "friday": students[half:]}
    trees = [below(f"{section}/{s.key}/", s) for section, ones in parts.items() for s in ones]
    return written(together(trees), folder / "course")


def loose(students: Sequence[Student], folder: Path) -> Path:
    tree: Tree = {}
    for student in students:
        for name, content in student.files.items():
            own = f"{student.key}.ipynb" if name.endswith(".ipynb") else f"{student.key}_{name}"
            tree[own] = (content, student.submitted_at)
    return written(tree, folder / "loose")


def zips(students: Sequence[Student], folder: Path) -> Path:
    for student in students:
        file(zipped(below("week3/assignment/", student)), folder / "zips" / f"{student.key}.zip")
    return folder / "zips"


def class_zip(students: Sequence[Student], folder: Path) -> Path:
    return file(zipped(together([below(f"class/{s.key}/", s) for s in students])), folder / "class.zip")


def class_of_tars(students: Sequence[Student], folder: Path) -> Path:
    """A tar of the class, in it a tar of each student, and in that one a zip."""
    inner = [{f"{s.key}.tgz": (tarred({"my.zip": (zipped(below("w/", s)), NOON)}), NOON)} for s in students]
    return file(tarred(together(inner)), folder / "class.tar.gz")


def classroom50(students: Sequence[Student], folder: Path) -> Path:
    start = "cs-week3"
    tree = together([below(f"{start}-{s.key}/assignment/", s) for s in students])
    tree["roster.csv"] = (b"username,first_name,last_name,email,section,github_id,role\n", NOON)
    for student in students:
        first, _, last = student.name.rpartition(" ")
        row = f"{student.key},{first},{last},{student.email},,1,student\n"
        tree["roster.csv"] = (tree["roster.csv"][0] + row.encode(), NOON)
    tree |= {"scores.csv": (b"username,score\n", NOON), f"{start}-{students[0].key}/result.json": (b"{}", NOON)}
    return written(tree, folder / f"{start}_submissions_2026_12_02_T_08_00_00")


def github_classroom(students: Sequence[Student], folder: Path) -> Path:
    return written(together([below(f"week3-{s.key}/assignment/", s) for s in students]), folder / "week3-submissions")


def gradescope_tree(students: Sequence[Student]) -> Tree:
    told = "---\n"
    for place, student in enumerate(students):
        time = f"{student.submitted_at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}.123456000 Z"
        name = f"'{student.name}'" if ":" in student.name else student.name
        told += (
            f"submission_{number(place)}:\n  :submitters:\n  - :name: {name}\n    :sid: '00{number(place)}'\n"
            f"    :email: {student.email}\n  :created_at: {time}\n  :score: 0.0\n  :status: processed\n  :results:\n"
            "    tests:\n    - name: x\n      output: |\n        submission_1:\n          :submitters:\n"
            "  :history:\n  - :submitters: []\n    :created_at: 2020-01-01 00:00:00.000000000 Z\n    :id: 1\n"
        )
    tree = together([below(f"submission_{number(n)}/", s) for n, s in enumerate(students)])
    return tree | {"submission_metadata.yml": (told.encode(), NOON)}


def gradescope(students: Sequence[Student], folder: Path) -> Path:
    tree = {f"assignment_1_export/{path}": entry for path, entry in gradescope_tree(students).items()}
    return file(zipped(tree), folder / "submissions.zip")


def gradescope_folder(students: Sequence[Student], folder: Path) -> Path:
    return written(gradescope_tree(students), folder / "assignment_1_export")


def canvas_tree(students: Sequence[Student]) -> Tree:
    """The second file was uploaded a second time, which gave it a number; the first upload is there too."""
    tree: Tree = {}
    for place, student in enumerate(students):
        start = f"{student.sortable}_{'LATE_' if student.late else ''}{number(place)}"
        for attachment, (name, content) in enumerate(student.files.items(), start=10 * place + 70_001):
            if attachment % 10 == 2:
                tree[f"{start}_{attachment}_{name}"] = (b"first = 'upload'\n", NOON)
                name = name.replace(".py", "-1.py")
            tree[f"{start}_{attachment + 5}_{name}"] = (content, student.submitted_at)
    return tree


def canvas(students: Sequence[Student], folder: Path) -> Path:
    return file(zipped(canvas_tree(students)), folder / "submissions.zip")


def canvas_folder(students: Sequence[Student], folder: Path) -> Path:
    return written(canvas_tree(students), folder / "submissions")


def canvas_zips(students: Sequence[Student], folder: Path) -> Path:
    tree = {
        f"{s.sortable}_{'late_' if s.late else ''}{number(n)}_{70_001 + n}_week3.zip": (zipped(below("w/", s)), NOON)
        for n, s in enumerate(students)
    }
    return file(zipped(tree), folder / "submissions.zip")


def moodle(students: Sequence[Student], folder: Path) -> Path:
    trees = [below(f"{s.name}_{number(n)}_assignsubmission_file/", s) for n, s in enumerate(students)]
    text = {f"{students[0].name}_{number(0)}_assignsubmission_onlinetext/onlinetext.html": (b"<p>Done</p>", NOON)}
    return file(zipped(together(trees) | text), folder / "CS-Week 3-77.zip")


def moodle_old(students: Sequence[Student], folder: Path) -> Path:
    trees = [below(f"{s.name}_{number(n)}_assignsubmission_file_/", s) for n, s in enumerate(students)]
    return written(together(trees), folder / "export")


def moodle_flat(students: Sequence[Student], folder: Path) -> Path:
    trees = [below(f"{s.name}_{number(n)}_assignsubmission_file_", s) for n, s in enumerate(students)]
    return file(zipped(together(trees)), folder / "export.zip")


def nbgrader(students: Sequence[Student], folder: Path) -> Path:
    """The course's folder: what the teacher released and graded lies beside what was submitted."""
    tree = together([below(f"submitted/{s.key}/week3/", s) for s in students])
    for student in students:
        time = f"{student.submitted_at.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}.000001 UTC"
        tree[f"submitted/{student.key}/week3/timestamp.txt"] = (time.encode(), NOON)
        tree[f"autograded/{student.key}/week3/data.py"] = (b"graded = 1\n", NOON)
    return written(tree | {"release/week3/data.py": (b"x = 1\n", NOON)}, folder / "course")


def collected(students: Sequence[Student], folder: Path) -> Path:
    rows = "id,repository,commit,committed_at,status,reason\n"
    for s in students:
        rows += (
            f"{s.key},https://x/{s.key},abc,{s.submitted_at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ},collected,\n"
        )
    tree = together([below(f"{s.key}/assignment/", s) for s in students])
    tree[".repositories/x.git/HEAD"] = (b"x", NOON)
    return written(tree | {"collected.csv": (rows.encode(), NOON)}, folder / "collected")


@dataclass(frozen=True)
class Form:
    """make: lays a class out; kind: what arrival calls it; known_by: the field or key by which students are known."""

    make: Callable[[Sequence[Student], Path], Path]
    kind: str
    known_by: str = "id"
    has_times: bool = True


FORMS = {
    "clones": Form(clones, "clones"),
    "folders": Form(folders, "folders"),
    "bare folders": Form(bare_folders, "folders"),
    "nested folders": Form(nested, "folders"),
    "misnamed files": Form(misnamed, "folders"),
    "sections": Form(sections, "folders"),
    "loose files": Form(loose, "loose files"),
    "zips": Form(zips, "archives"),
    "a class's zip": Form(class_zip, "folders"),
    "a tar of tars of zips": Form(class_of_tars, "archives"),
    "Classroom 50": Form(classroom50, "Classroom 50"),
    "GitHub Classroom": Form(github_classroom, "GitHub Classroom"),
    "Gradescope": Form(gradescope, "Gradescope", "email"),
    "Gradescope, unpacked": Form(gradescope_folder, "Gradescope", "email"),
    "Canvas": Form(canvas, "Canvas", "canvas_id"),
    "Canvas, unpacked": Form(canvas_folder, "Canvas", "canvas_id"),
    "Canvas, a zip each": Form(canvas_zips, "Canvas", "canvas_id"),
    "Moodle": Form(moodle, "Moodle", "name"),
    "Moodle, older": Form(moodle_old, "Moodle", "name"),
    "Moodle, flat": Form(moodle_flat, "Moodle", "name"),
    "nbgrader": Form(nbgrader, "nbgrader"),
    "collect": Form(collected, "collect"),
}


def make(form: str, students: Sequence[Student], folder: Path) -> Path:
    """The same class in one of FORMS, below `folder`; what a teacher gives on the command line."""
    return FORMS[form].make(students, folder)


def known_by(form: str, place: int, student: Student) -> str:
    """What `FORMS[form].known_by` is of the student at this place of the list."""
    known = {"id": student.key, "email": student.email, "name": student.name, "canvas_id": str(number(place))}
    return known[FORMS[form].known_by]
