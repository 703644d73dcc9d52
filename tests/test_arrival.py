"""Where classes come from: every form gives the same submissions, and bad input one sentence each."""

from __future__ import annotations

import functools
import io
import json
import os
import re
import shutil
import struct
import sys
import tarfile
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from grader.classroom.arrival import Arrival, Arrived, NoSubmissions, archives, arrive, gradescope, laying_out, nodes
from grader.contract import WEEK
from grader.engine.submission import safe_files
from grader.engine.submission.read import read
from tests.classroom_forms import FORMS, NOON, NOTEBOOK, Student, file, known_by, make, tarred, written, zipped

LIMIT = 64_000


def code(student: str) -> dict[str, bytes]:
    """Submitted files that are some student's and nobody else's."""
    return {name: f'"""{name} of {student}"""\n'.encode() for name in WEEK.files}


def notebook(student: str) -> bytes:
    """A notebook with one exercise cell for each file."""
    cells = [
        {"cell_type": "code", "source": f"# {student}\nx = 1", "metadata": {"tags": [name]}, "outputs": []}
        for name in WEEK.files
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def student(
    key: str, name: str, minutes: int = 0, files: dict[str, bytes] | None = None, late: bool = False
) -> Student:
    return Student(key, name, f"{key}@uni.example", files or code(key), NOON + timedelta(minutes=minutes), late)


CLASS = [
    student("ada", "Ada Lovelace"),
    student("grace", "Grace Brewster Hopper", 7),
    student("kurt", "Kurt Gödel", 14, late=True),
    student("emmy-n", "Emmy Noether", 21),
    student("sofia", "Sofia Kovalevskaya", 28, {NOTEBOOK: notebook("sofia")}),
    student("alan", "Alan Turing", 35, {name: code("alan")[name] for name in ["data.py", "model.py"]}),
]


def submitted(one: Arrived) -> dict[str, bytes]:
    """What the grader reads at the place that was found, as {name: bytes}."""
    if one.source.suffix == ".ipynb":
        return {NOTEBOOK: one.source.read_bytes()}
    return dict(read(one.source, WEEK, LIMIT, one.id, ahead=False).files)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_class(form, tmp_path):
    if form == "clones" and shutil.which("git") is None:
        pytest.skip("not run: git is not installed")
    given = make(form, CLASS, tmp_path / "given")
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert arrival.unusable == ()
    known = FORMS[form].known_by
    found = {getattr(one, known, "") or one.keys[known]: one for one in arrival.taken}
    expected = {known_by(form, place, student): student for place, student in enumerate(CLASS)}
    assert {key: submitted(one) for key, one in found.items()} == {key: dict(s.files) for key, s in expected.items()}
    assert {key: one.submitted_at.replace(microsecond=0) for key, one in found.items()} == {
        key: student.submitted_at for key, student in expected.items()
    }
    assert [one.id for one in arrival.taken] == sorted({one.id for one in arrival.taken})
    assert arrive([given], tmp_path / "into", WEEK) == arrival, "the same once more"


# ---- who is who


def laid(tree: dict[str, bytes], place: Path, minutes: dict[str, int] | None = None) -> Path:
    """A folder, or a .zip or .tgz, with these files; minutes: {start of a path: after noon}."""
    late = {path: next((m for start, m in (minutes or {}).items() if path.startswith(start)), 0) for path in tree}
    entries = {path: (content, NOON + timedelta(minutes=late[path])) for path, content in tree.items()}
    if place.suffix == ".zip":
        return file(zipped(entries), place)
    return file(tarred(entries), place) if place.suffix == ".tgz" else written(entries, place)


def work(who: str, folder: str = "") -> dict[str, bytes]:
    return {f"{folder}{name}": content for name, content in code(who).items()}


def one(arrival: Arrival, id: str) -> Arrived:
    return next(one for one in arrival.taken if one.id == id)


def ids(arrival: Arrival) -> list[str]:
    return [one.id for one in arrival.taken]


@pytest.mark.parametrize(
    "tree, id",
    [
        (work("ada"), "ada"),
        (work("ada", "assignment/"), "ada"),
        (work("ada", "ada/"), "ada"),
        ({"week3.ipynb": notebook("ada")}, "ada"),
        (work("ada", "ada/week 3/final/"), "ada"),
        (work("ada", "ada_"), "ada"),
    ],
)
@pytest.mark.parametrize("place", ["ada", "ada.zip", "ada.tgz"])
def test_one_submission_alone(tmp_path, place, tree, id):
    arrival = arrive([laid(tree, tmp_path / "given" / place)], tmp_path / "into", WEEK)
    assert ids(arrival) == [id] and arrival.unusable == ()
    assert all(content in tree.values() for content in submitted(arrival.taken[0]).values())


def test_several_paths_are_one_class(tmp_path):
    given = [
        laid(work("ada"), tmp_path / "a" / "ada"),
        laid(work("kurt"), tmp_path / "a" / "kurt" / "assignment"),
        laid(work("grace"), tmp_path / "b" / "grace.zip"),
        laid({"emmy.ipynb": notebook("emmy")}, tmp_path / "c") / "emmy.ipynb",
        *sorted(laid(work("alan", "alan_"), tmp_path / "d").iterdir()),
    ]
    arrival = arrive(given, tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "alan", "emmy", "grace", "kurt"] and arrival.unusable == ()
    assert submitted(one(arrival, "kurt")) == code("kurt") and submitted(one(arrival, "alan")) == code("alan")


def test_two_classes_at_once(tmp_path):
    first, second = make("Moodle", CLASS[:3], tmp_path / "1"), make("Canvas", CLASS[3:], tmp_path / "2")
    assert [one.kind for one in arrive([first, second], tmp_path / "into", WEEK).taken].count("Moodle") == 3


def test_of_two_submissions_the_newer_counts(tmp_path):
    first = laid(work("ada, first", "ada/") | work("kurt", "kurt/"), tmp_path / "day1")
    second = laid(work("ada, second", "ada/") | work("grace", "grace/"), tmp_path / "day2", {"": 60})
    for given in ([first, second], [second, first]):
        arrival = arrive(given, tmp_path / "into", WEEK)
        assert ids(arrival) == ["ada", "grace", "kurt"]
        assert submitted(one(arrival, "ada")) == code("ada, second")
        told = "two submissions: the newer one counts, day2/ada; the other was day1/ada"
        assert one(arrival, "ada").notes == (told,)


@pytest.mark.parametrize("corrected", ["ID/train.py", "ID/assignment/train.py", "more/ID/train.py", "ID.zip"])
@pytest.mark.parametrize("form", ["Canvas", "Canvas, unpacked", "Moodle", "folders"])
def test_a_corrected_file_given_beside_the_class_is_that_students(tmp_path, form, corrected):
    """What is not in it is taken from before."""
    students = [*CLASS, *(replace(CLASS[-1], key=f"more-{n}", name=f"More {n}") for n in range(9))]
    whole = make(form, students, tmp_path / "class")
    before = arrive([whole], tmp_path / "into", WEEK)
    who = before.taken[0].id
    tree = {
        "train.py" if corrected.endswith(".zip") else corrected.removeprefix("more/").partition("/")[2]: b"# mended"
    }
    place = tmp_path / corrected.replace("ID", who)
    given = laid(tree, place if place.suffix == ".zip" else tmp_path / corrected.split("ID")[0] / who, {"": 10**6})
    given = tmp_path / "more" if corrected.startswith("more/") else given
    for paths in ([whole, given], [given, whole]):
        arrival = arrive(paths, tmp_path / "into", WEEK)
        assert ids(arrival) == ids(before) and arrival.unusable == ()
        files = submitted(one(arrival, who))
        assert files["train.py"] == b"# mended" and len(files) == len(WEEK.files)
        assert any("taken from before: data.py of " in note for note in one(arrival, who).notes)


def test_what_is_nobodys_does_not_make_a_class_one_students(tmp_path):
    export = make("Canvas, unpacked", CLASS, tmp_path / "class")
    (export / "train.py").write_bytes(b"# whose?")
    arrival = arrive([export], tmp_path / "into", WEEK)
    assert len(arrival.taken) == len(CLASS) and [what for what, _ in arrival.unusable] == ["train.py"]
    (tmp_path / "train.py").write_bytes(b"# whose?")
    (export / "train.py").unlink()
    arrival = arrive([export, tmp_path / "train.py"], tmp_path / "into", WEEK)
    assert len(arrival.taken) == len(CLASS) and "Nobody can say whose it is" in arrival.unusable[0][1]


def test_a_student_with_two_versions_is_not_a_class(tmp_path):
    trees = [work(f"{who} {version}", f"{who}/{version}/") for who in ("ada", "kurt") for version in ("old", "new")]
    tree = {path: content for one in trees for path, content in one.items()} | work("emmy", "emmy/")
    arrival = arrive([laid(tree, tmp_path / "class", {"ada/new": 9, "kurt/old": 9})], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "emmy", "kurt"]
    assert submitted(one(arrival, "ada")) == code("ada new") and submitted(one(arrival, "kurt")) == code("kurt old")
    assert one(arrival, "ada").notes == ("two submissions: the newer one counts, new; not old",)


def test_which_version_counts_is_not_guessed(tmp_path):
    tree = work("ada 1", "ada/v1/") | work("ada 2", "ada/v2/") | work("emmy", "emmy/")
    arrival = arrive([laid(tree, tmp_path / "class")], tmp_path / "into", WEEK)
    assert ids(arrival) == ["emmy"]
    told = "It holds several submissions (v1 and v2), and nothing says which one counts: keep one, or give it alone"
    assert arrival.unusable == (("ada", f"{told} if it is a class."),)


def test_what_was_not_begun_does_not_compete(tmp_path):
    skeleton = {name: (WEEK.root / "assignment" / name).read_bytes() for name in WEEK.files}
    book = next((WEEK.root / "assignment").glob("*.ipynb")).read_bytes()
    solved = book.replace(b'raise NotImplementedError(\\"TODO 1', b'(\\"TODO 1')
    tree = {f"ada/fresh/{name}": content for name, content in skeleton.items()} | work("ada", "ada/mine/")
    tree |= {"kurt/week3.ipynb": book, "kurt/week3 (1).ipynb": solved} | work("emmy", "emmy/")
    arrival = arrive([laid(tree, tmp_path / "class")], tmp_path / "into", WEEK)
    assert submitted(one(arrival, "ada")) == code("ada")
    assert one(arrival, "ada").notes == ("two submissions: the fuller one counts, mine; not fresh",)
    assert one(arrival, "kurt").source.read_bytes() == solved


def test_a_second_download_is_the_same_student(tmp_path):
    given = laid(work("emmy", "emmy/") | {"kurt.ipynb": notebook("kurt")}, tmp_path / "class")
    laid(work("ada, first"), given / "ada.zip")
    laid(work("ada, second"), given / "ada (1).zip", {"": 60})
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "emmy", "kurt"] and submitted(one(arrival, "ada")) == code("ada, second")


def test_files_in_folders_of_their_own_come_together(tmp_path):
    tree = {f"ada/{name.removesuffix('.py')}/{name}": content for name, content in code("ada").items()}
    arrival = arrive([laid(tree | work("emmy", "emmy/"), tmp_path / "class")], tmp_path / "into", WEEK)
    assert submitted(one(arrival, "ada")) == code("ada")


def test_what_was_renamed_is_said(tmp_path):
    tree = {f"ada/{name}": content for name, content in code("ada").items()} | work("emmy", "emmy/")
    tree["ada/data (1).py"] = tree.pop("ada/data.py")
    arrival = arrive([laid(tree, tmp_path / "class")], tmp_path / "into", WEEK)
    assert one(arrival, "ada").notes == ("data (1).py was taken as data.py",)
    assert submitted(one(arrival, "ada")) == code("ada") and one(arrival, "emmy").notes == ()


def test_a_file_of_the_right_name_beats_a_copy_of_it(tmp_path):
    tree = work("ada", "ada/") | {"ada/data (1).py": b"copy = 1\n", "ada/tools/make_model.py": b"tool = 1\n"}
    arrival = arrive([laid(tree | work("emmy", "emmy/"), tmp_path / "class")], tmp_path / "into", WEEK)
    assert submitted(one(arrival, "ada")) == code("ada")


def test_python_files_beside_are_kept_for_the_report(tmp_path):
    tree = work("ada", "x/") | {"x/helper.py": b"help = 1\n", "x/notes.txt": b"notes", "y/other.py": b"other = 1\n"}
    arrival = arrive([laid(tree, tmp_path / "ada.zip")], tmp_path / "into", WEEK)
    assert sorted(path.name for path in arrival.taken[0].source.iterdir()) == sorted([*WEEK.files, "helper.py"])


def test_what_a_system_says_is_kept(tmp_path):
    arrival = arrive([make("Gradescope", CLASS, tmp_path / "g")], tmp_path / "into", WEEK)
    kurt = next(one for one in arrival.taken if one.name == "Kurt Gödel")
    assert kurt.keys == {"email": "kurt@uni.example", "sid": "004102", "submission_id": "4102"} and kurt.late is None
    arrival = arrive([make("Canvas", CLASS, tmp_path / "c")], tmp_path / "into", WEEK)
    assert {one.id: one.late for one in arrival.taken}["gödelkurt_4102"] is True
    assert [one.late for one in arrival.taken].count(False) == len(CLASS) - 1
    arrival = arrive([make("Canvas", CLASS[:2], tmp_path / "d")], tmp_path / "into", WEEK)
    assert {one.late for one in arrival.taken} == {None}, "no due date: the export does not say"
    arrival = arrive([make("Moodle", CLASS, tmp_path / "m")], tmp_path / "into", WEEK)
    assert one(arrival, "Kurt_Gödel_4102").keys == {"participant": "4102"}
    arrival = arrive([make("Classroom 50", CLASS, tmp_path / "5")], tmp_path / "into", WEEK)
    ada = one(arrival, "ada")
    assert ada.name == "Ada Lovelace" and ada.keys == {"username": "ada", "email": "ada@uni.example"}


@pytest.mark.parametrize("form", ["Canvas", "Canvas, unpacked", "Canvas, a zip each", "Moodle", "Moodle, older"])
def test_when_the_export_was_made_is_not_when_work_was_handed_in(tmp_path, form):
    students = [replace(one, submitted_at=NOON + timedelta(seconds=2 * n)) for n, one in enumerate(CLASS)]
    times = {one.submitted_at for one in arrive([make(form, students, tmp_path / "x")], tmp_path / "into", WEEK).taken}
    assert times == ({one.submitted_at for one in students} if form == "Canvas, a zip each" else {None})


def test_what_a_shell_lists_is_one_class(tmp_path):
    for form in ("Gradescope, unpacked", "Canvas, unpacked", "Classroom 50", "collect"):
        given = make(form, CLASS, tmp_path / form)
        arrival = arrive(sorted(given.iterdir()), tmp_path / "into", WEEK)
        assert arrival.taken == arrive([given], tmp_path / "into", WEEK).taken, form


def test_a_group_is_one_row_each(tmp_path):
    told = "submission_7:\n  :submitters:\n" + "".join(
        f"  - :name: {s.name}\n    :sid: '{n}'\n    :email: {s.email}\n" for n, s in enumerate(CLASS[:2])
    )
    tree = work("both", "submission_7/") | {"submission_metadata.yml": told.encode()}
    tree["submission_metadata.yml"] += b"submission_8:\n  :submitters:\n  - :name: Gone Away\n    :sid: '9'\n"
    arrival = arrive([laid(tree, tmp_path / "export")], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada@uni.example", "grace@uni.example"]
    assert arrival.taken[0].notes == ("handed in together with Grace Brewster Hopper",)
    assert submitted(arrival.taken[0]) == submitted(arrival.taken[1]) == code("both")
    assert arrival.unusable == (("Gone Away", "It has no folder submission_8 in the export."),)


def test_who_was_not_collected_is_told(tmp_path):
    given = make("collect", CLASS[:2], tmp_path)
    with (given / "collected.csv").open("a", encoding="utf-8") as table:
        table.write("late-one,https://x,,,nothing before the deadline,the first commit is of 2026-12-24\n")
    [(who, why)] = arrive([given], tmp_path / "into", WEEK).unusable
    assert (who, why) == (
        "late-one",
        "It was not collected: nothing before the deadline; the first commit is of 2026-12-24.",
    )


FOR_OTHERS = {
    "Moodle": work("mallory", "Ada Lovelace_4100_assignsubmission_file/"),
    "Canvas": {f"lovelaceada_4100_7000{n}_{name}": code("mallory")[name] for n, name in enumerate(WEEK.files)},
    "nbgrader": work("mallory", "submitted/ada/week3/"),
    "folders": work("mallory", "ada/") | work("mallory", "kurt/"),
    "Gradescope": work("mallory", "submission_1/") | {
        "submission_metadata.yml": b"submission_1:\n  :submitters:\n  - :name: Ada\n    :email: ada@uni.example\n",
    },
}  # fmt: skip


@pytest.mark.parametrize("form", FOR_OTHERS)
@pytest.mark.parametrize("packed", ["mallory", "mallory.zip"])
def test_nobody_hands_in_for_somebody_else(tmp_path, form, packed):
    given = laid(work("ada", "ada/") | work("kurt", "kurt/"), tmp_path / "class")
    laid(FOR_OTHERS[form], given / packed)
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert set(ids(arrival)) <= {"ada", "kurt", "mallory"}
    assert submitted(one(arrival, "ada")) == code("ada") and one(arrival, "ada").notes == ()


def test_where_we_write_is_nobodys_submission(tmp_path):
    given = laid(work("ada", "ada/") | work("kurt", "kurt/"), tmp_path / "class")
    zipfile_of_emmy = laid(work("emmy"), given / "emmy.zip")
    for _ in range(2):
        arrival = arrive([given], given / "out" / "submissions", WEEK)
        assert ids(arrival) == ["ada", "emmy", "kurt"] and arrival.unusable == ()
    zipfile_of_emmy.unlink()
    assert ids(arrive([given], given / "out" / "submissions", WEEK)) == ["ada", "kurt"]
    assert not (given / "out" / "submissions" / "emmy").exists()


def test_a_folder_with_other_things_is_not_emptied(tmp_path):
    given = laid(work("ada"), tmp_path / "ada")
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="choose another folder"):
        arrive([given], tmp_path / "into", WEEK)
    assert (tmp_path / "into" / "thesis.txt").read_text("utf-8") == "mine"


def test_what_was_laid_out_is_not_emptied_as_input(tmp_path):
    arrive([laid(work("ada"), tmp_path / "ada.zip")], tmp_path / "into", WEEK)
    for given in (tmp_path / "into", tmp_path / "into" / "ada"):
        with pytest.raises(OSError, match="give what students handed in"):
            arrive([given], tmp_path / "into", WEEK)
    assert (tmp_path / "into" / "ada" / "data.py").is_file()


# ---- times and what Gradescope writes


def test_the_time_in_a_zip(tmp_path):
    """In UTC where the entry says so; 1980 is what programs write that know none."""
    seconds = struct.pack("<HHBi", 0x5455, 5, 1, int(NOON.timestamp()))
    for extra, expected in ((seconds, NOON), (b"", None), (b"\x55\x54\x01\x00\x01", None)):
        entry = zipfile.ZipInfo("data.py")
        entry.extra = extra
        with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
            archive.writestr(entry, b"x = 1\n")
        assert arrive([tmp_path / "ada.zip"], tmp_path / "into", WEEK).taken[0].submitted_at == expected


def test_gradescopes_metadata(tmp_path):
    told = gradescope.read(
        "---\r\nsubmission_1:\r\n  :submitters:\r\n  - :name: 'Pat O''Brien: Jr.'\r\n    :sid: \r\n"
        "    :email: pat@x.org\r\n"
        '  - :name: "Ren\\xE9 \\"R\\""\r\n    :sid: null\r\n  :created_at: 2026-12-01 04:00:00.938335000 -08:00\r\n'
        "  :history:\r\n  - :submitters:\r\n    - :name: Nobody\r\n    :created_at: 2020-01-01 00:00:00 Z\r\n"
        "submission_2:\n  :submitters: []\n  :created_at: soon\nnonsense\n"
    )
    pat, rene = told["submission_1"].submitters
    assert (pat.name, pat.sid, pat.email, rene.name, rene.sid) == ("Pat O'Brien: Jr.", "", "pat@x.org", 'René "R"', "")
    assert told["submission_1"].created_at.replace(microsecond=0) == NOON
    assert told["submission_2"] == gradescope.Submission((), None)
    assert gradescope.read("") == gradescope.read("- a\n- b\n") == {}


# ---- names


def test_ids_are_folders_everywhere(tmp_path):
    keys = ["CON", "nul.txt", "a" * 300, "é" * 300, "..", "x.", "a/b", "a:b", "a_b", "Ada", "ada", "🙂", "-x", "",
            "\u202egnp.exe", "e\u0301"]  # fmt: skip
    given = laying_out.ids(keys)
    assert len({id.casefold() for id in given.values()}) == len(keys)
    for id in given.values():
        assert 0 < len(id.encode()) < 200 and id[-1] not in ". " and not set(id) & set('/\\:*?"<>|\u202e')
        assert id.split(".")[0].upper() not in ("CON", "NUL")
        (tmp_path / id).mkdir()
    assert given == laying_out.ids(reversed(keys)), "the order does not matter"
    assert (given["a_b"], given["Ada"], given["ada"][:4]) == ("a_b", "Ada", "ada-"), "the plainest keeps its name"
    assert given["ada"] == laying_out.ids(["Ada", "ada", "grace"])["ada"], "others do not matter"


def test_names_that_differ_only_in_case_are_two_students(tmp_path):
    given = laid(work("Ada", "Ada/") | work("ada", "ada/") | work("kurt", "kurt/"), tmp_path / "class.zip")
    arrival = arrive([given], tmp_path / "into", WEEK)
    first, second, _ = sorted(arrival.taken, key=lambda one: one.where)
    assert submitted(first) == code("Ada") and submitted(second) == code("ada")
    assert first.id == "Ada" and second.id.startswith("ada-") and "has a suffix" in second.notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="not run: only Linux takes names that are no text")
def test_names_that_are_no_text(tmp_path):
    given = laid(work("kurt", "kurt/"), tmp_path / "class")
    odd = Path(os.fsdecode(os.fsencode(given) + b"/ad\xe4\n\x1b[31m"))
    laid(work("ada"), odd)
    arrival = arrive([given], tmp_path / "into", WEEK)
    [ada] = [one for one in arrival.taken if one.id != "kurt"]
    assert submitted(ada) == code("ada")
    for text in (ada.id, ada.name, ada.where, str(ada.source), *ada.keys.values(), *ada.notes):
        assert text.isprintable() and text.encode("utf-8") is not None


def test_names_in_zips_that_do_not_say_they_are_utf8(tmp_path):
    content = laid(work("kurt", "Kurt Gödel_2_assignsubmission_file/"), tmp_path / "x.zip").read_bytes()
    flagless = content.replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")
    assert flagless != content
    arrival = arrive([file(flagless, tmp_path / "moodle.zip")], tmp_path / "into", WEEK)
    assert [one.name for one in arrival.taken] == ["Kurt Gödel"]


# ---- bad input: one sentence each, and everything else goes on


def encrypted(content: bytes) -> bytes:
    """A zip whose entries say that they are encrypted."""
    local = re.sub(rb"(PK\x03\x04..)(.)", lambda m: m[1] + bytes([m[2][0] | 1]), content, flags=re.DOTALL)
    return re.sub(rb"(PK\x01\x02....)(.)", lambda m: m[1] + bytes([m[2][0] | 1]), local, flags=re.DOTALL)


def special(**kinds: bytes) -> bytes:
    """A tar with entries of these types, named after the files of the contract."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, kind in kinds.items():
            entry = tarfile.TarInfo(f"{name}.py")
            entry.type, entry.linkname = kind, "../../../etc/passwd"
            archive.addfile(entry)
    return packed.getvalue()


def plain(tree: dict[str, bytes], name: str = "x.zip") -> bytes:
    entries = {path: (content, NOON) for path, content in tree.items()}
    return tarred(entries) if name.endswith("gz") else zipped(entries)


def scratched(content: bytes) -> bytes:
    """An archive with one byte of its first file turned."""
    place = content.index(b"data.py") + len(b"data.py") + 3
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


MB = 1_000_000
NONE = "holds none of data.py, model.py and train.py, and no notebook of the assignment"
BAD = {
    "bomb, one file": ("zip", lambda: plain(work("x") | {"data.py": bytes(26 * MB)}),
                       "could not be used: data.py is larger than 25 MB."),
    "bomb, many files": ("zip", lambda: plain({f"{n}.py": bytes(20 * MB) for n in range(4)}),
                         "unpacks to more than 60 MB, which is more than one student hands in; give"),
    "bomb, what nobody needs": ("tgz", lambda: plain({"huge.bin": bytes(3 * MB)} | work("x"), "x.gz"),
                                "unpacks to more than 1 MB."),
    "too many files": ("zip", lambda: plain({f"{n}.py": b"" for n in range(2001)}), "holds more than 2,000 files, "),
    "archives in archives": ("zip", lambda: functools.reduce(lambda inner, _: plain({"x.zip": inner}), range(4), b""),
                             "lies in 3 archives, one in the other: unpack them."),
    "encrypted": ("zip", lambda: encrypted(plain(work("x"))), "data.py is encrypted: ask for it without a password."),
    "cut short": ("zip", lambda: plain(work("x"))[:-30], "is damaged: it cannot be read to its end."),
    "cut short, tar": ("tgz", lambda: plain(work("x"), "x.gz")[:-20], "is damaged: it cannot be read to its end."),
    "a byte turned": ("zip", lambda: scratched(plain(work("x"))), "data.py is damaged: it cannot be read to its end."),
    "no archive": ("zip", lambda: b"<html>Please log in</html>", "is empty or damaged: it is no zip or tar file; ask"),
    "another kind": ("zip", lambda: b"Rar!\x1a\x07\0....", "is a RAR archive and cannot be opened here; ask for"),
    "another name": ("rar", lambda: b"Rar!", "is an archive of a kind that cannot be opened here: unpack it, or ask"),
    "empty": ("zip", lambda: b"", "is an empty file; ask for it again."),
    "nothing in it": ("zip", lambda: plain({}), NONE),
    "only a report": ("zip", lambda: plain({"report.pdf": b"%PDF"}), f"{NONE}; there is report.pdf."),
    "links": ("tgz", lambda: special(data=tarfile.SYMTYPE, model=tarfile.LNKTYPE, train=tarfile.SYMTYPE),
              "could not be used: data.py is a link, and links are not followed."),
    "devices": ("tgz", lambda: special(data=tarfile.CHRTYPE, model=tarfile.FIFOTYPE),
                f"{NONE}; left out: data.py is no ordinary file."),
    "another notebook": ("zip", lambda: plain({"diary.ipynb": b"{}"}), "has no exercise of this assignment in diary"),
    "names that lead out": ("zip", lambda: plain({f"{up}{name}": b"x = 1\n" for name in WEEK.files for up in
                                                  ("../", "/", "a/../../", "..\\", "C:\\", "C:")}),
                            f"{NONE}; left out: ../data.py leads out of the archive."),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_one_bad_submission_is_one_sentence(tmp_path, monkeypatch, case):
    monkeypatch.setattr(archives, "READ_THROUGH", MB)
    monkeypatch.setattr(archives, "TIMES_PACKED", 10)
    suffix, content, expected = BAD[case]
    given = laid(work("ada", "ada/") | work("kurt", "kurt/"), tmp_path / "class")
    file(content(), given / f"mallory.{suffix}")
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "kurt"]
    [(what, why)] = arrival.unusable
    assert what == f"mallory.{suffix}" and expected in why
    assert why.startswith("It ") and why.endswith(".") and "\n" not in why
    if "more than one student" not in why:  # alone it may be a class
        with pytest.raises(NoSubmissions, match="No submission was found in .*mallory") as told:
            arrive([given / f"mallory.{suffix}"], tmp_path / "into", WEEK)
        assert "\n" not in str(told.value)
    outside = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert outside == {"class", "into"} and os.listdir(tmp_path / "into") == [".arrival"]


@pytest.mark.parametrize("case", ["cut short, tar", "a byte turned", "encrypted"])
def test_a_bad_submission_in_an_export(tmp_path, case):
    suffix, content, _ = BAD[case]
    tree = {f"{who}_{n}_1_w.{suffix}": plain(work(who), f"x.{suffix}") for n, who in enumerate(["ada", "kurt"])}
    tree[f"mallory_9_1_w.{suffix}"] = content()
    arrival = arrive([laid(tree, tmp_path / "submissions.zip")], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada_0", "kurt_1"] and len(arrival.unusable) == 1


def test_a_damaged_export_gives_what_can_be_read(tmp_path):
    tree = work("ada", "ada/") | work("kurt", "kurt/") | {"zoe/data.py": os.urandom(200_000)}
    whole = laid(tree, tmp_path / "whole.tgz").read_bytes()
    arrival = arrive([file(whole[:-100_000], tmp_path / "class.tgz")], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "kurt"]
    assert {what for what, _ in arrival.unusable} == {"zoe", "class.tgz"}


def test_members_that_lead_out_are_left_out_and_told(tmp_path):
    tree = work("ada") | {"../../evil.py": b"x = 1\n", "/evil.py": b"x = 1\n", "C:\\evil.py": b"x = 1\n"}
    given = laid(work("kurt", "kurt/"), tmp_path / "class")
    laid(tree, given / "ada.zip")
    ada = one(arrive([given], tmp_path / "into", WEEK), "ada")
    assert submitted(ada) == code("ada")
    assert ada.notes[0] == "left out: ../../evil.py leads out of the archive" and len(ada.notes) == 3
    assert not list(tmp_path.rglob("evil*"))


def test_what_nobody_hands_in_is_passed_over(tmp_path):
    tree = work("ada") | {
        f"{place}/{name}": b"not = 1\n"
        for place in ("__MACOSX/x", "venv/lib", ".git", "x/__pycache__", "lib/site-packages/x", ".idea", "grader")
        for name in WEEK.files
    }
    for place in (tmp_path / "a" / "ada.zip", tmp_path / "b" / "ada"):
        arrival = arrive([laid(tree, place)], tmp_path / "into", WEEK)
        assert ids(arrival) == ["ada"] and submitted(arrival.taken[0]) == code("ada")
        assert arrival.unusable == () and arrival.taken[0].notes == ()


@pytest.mark.skipif(sys.platform == "win32", reason="not run: links need rights on Windows")
def test_no_link_is_followed(tmp_path):
    given = laid(work("ada", "ada/") | work("kurt", "kurt/"), tmp_path / "class")
    secret = laid(work("secret"), tmp_path / "elsewhere")
    (given / "mallory").symlink_to(given / "ada")
    (given / "trudy").mkdir()
    (given / "trudy" / "assignment").symlink_to(secret)
    (given / "oscar").mkdir()
    for name in WEEK.files:
        (given / "oscar" / name).symlink_to(secret / name)
    (given / "eve.zip").symlink_to(laid(work("eve"), tmp_path / "eve.zip"))
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada", "kurt", "oscar"]
    assert submitted(one(arrival, "oscar")) == {}, "the grader says of each file that it is a link"
    assert {what: "link" in why for what, why in arrival.unusable} == dict.fromkeys(
        ["mallory", "trudy", "eve.zip"], True
    )


@pytest.mark.parametrize("given", ["nowhere", "empty", "pictures"])
def test_nothing_there(tmp_path, given):
    (tmp_path / "empty").mkdir()
    laid({"a/x.png": b"", "b/y.png": b""}, tmp_path / "pictures")
    with pytest.raises(NoSubmissions) as told:
        arrive([tmp_path / given], tmp_path / "into", WEEK)
    assert re.fullmatch(r"No submission was found in .*\.", str(told.value)) and given in str(told.value)


def test_more_files_than_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(nodes, "MOST_NAMES", 5)
    monkeypatch.setattr(safe_files, "MOST_NAMES", 5)
    given = laid(work("ada", "ada_") | work("kurt", "kurt_"), tmp_path / "class")
    [(what, why)] = arrive([given], tmp_path / "into", WEEK).unusable
    assert (what, why) == ("class", "It holds more than 5 files, and not all were read: give it in parts.")


def test_a_path_that_is_not_there_among_others(tmp_path):
    arrival = arrive([laid(work("ada"), tmp_path / "ada"), tmp_path / "kurt"], tmp_path / "into", WEEK)
    assert ids(arrival) == ["ada"]
    assert arrival.unusable == ((str(tmp_path / "kurt"), "There is no such file or folder."),)


@pytest.mark.skipif(shutil.which("git") is None, reason="not run: git is not installed")
def test_a_clones_own_settings_are_not_obeyed(tmp_path):
    given = make("clones", CLASS[:2], tmp_path)
    with (given / "ada" / ".git" / "config").open("a", encoding="utf-8") as settings:
        settings.write(f"[log]\n\tshowSignature = true\n[gpg]\n\tprogram = touch {tmp_path / 'ran'}\n[core\n")
    arrival = arrive([given], tmp_path / "into", WEEK)
    assert one(arrival, "ada").submitted_at == NOON and not (tmp_path / "ran").exists()
    shutil.rmtree(given / "ada" / ".git" / "objects")
    assert one(arrive([given], tmp_path / "into", WEEK), "ada").submitted_at is not None, "the newest file's time"
