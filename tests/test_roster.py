"""`--roster`: names for a class and who handed in nothing, from whatever table a teacher has."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.classroom import roster
from grader.classroom.roster import BadRoster

DATA = Path(__file__).parent / "gradebooks"


def given(tmp_path: Path, text: str, encoding: str = "utf-8") -> roster.Roster:
    (tmp_path / "roster.csv").write_bytes(text.encode(encoding))
    return roster.read(tmp_path / "roster.csv")


def test_classroom_50s_roster(class_row):
    found = roster.read(DATA / "classroom50_roster.csv")
    rows, said = roster.applied(found, [class_row("Anna-M", 74, username="anna-m"), class_row("stranger", 3)])
    assert [(row.id, row.name, row.status) for row in rows] == [
        ("Anna-M", "Anna Müller", "graded"),
        ("stranger", "", "graded"),
        ("benok", "Ben Okafor", "nothing handed in"),
        ("chloe", "Chloé Diaz", "nothing handed in"),
    ]
    assert rows[0].keys == {"username": "anna-m", "email": "anna@example.edu"}
    assert rows[2].score is None and rows[2].keys["email"] == "ben@example.edu"
    assert any(one.endswith("left out as staff: Grace Hopper.") for one in said)
    assert any(one == "Not in classroom50_roster.csv: stranger." for one in said)


@pytest.mark.parametrize(
    "file, ids",
    [
        ("canvas.csv", ["anna", "ben@example.edu", "chloe", "sam.lee", "sam.lee2", "wei"]),
        (
            "moodle_grades.csv",
            ["anna@example.edu", "BEN@example.edu", "20233", "sam.lee@example.edu", "tina@example.edu"],
        ),
        ("blackboard.xls", ["anna", "ben", "chloe"]),
        ("gradescope.csv", ["anna@example.edu", "ben@example.edu"]),
        ("moodle_worksheet_de.csv", ["anna@example.edu", "ben@example.edu"]),
    ],
)
def test_an_exported_gradebook_is_a_roster(file, ids):
    rows, _ = roster.applied(roster.read(DATA / file), [])
    assert [row.id for row in rows] == ids
    assert rows[0].name == "Anna Müller"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_and_delimiters(tmp_path, encoding, delimiter):
    text = "SIS User ID,E-Mail Address,Last Name,First Name\r\n0042,ä@example.edu,Müller,Zoë\r\n"
    found = given(tmp_path, text.replace(",", delimiter), encoding)
    assert list(found.students.values()) == [{"sid": "0042", "email": "ä@example.edu", "name": "Zoë Müller"}]


def test_every_key_matches_and_case_does_not_count(tmp_path, class_row):
    found = given(tmp_path, "id,github,email,name\n1,,A@X.org,Ann\n2,BOB,,Bob\n3,,,Cy\n4,,,Dee\n")
    rows = [class_row("x", 1, email="a@x.ORG"), class_row("bob", 2), class_row("3", 3), class_row("d", 4, sid="4")]
    done, said = roster.applied(found, rows)
    assert [row.name for row in done] == ["Ann", "Bob", "Cy", "Dee"] and not said
    assert done[0].keys["sid"] == "1", "the roster's own id is kept: a gradebook may know it"


def test_nothing_is_guessed(tmp_path, class_row):
    found = given(tmp_path, "id,name,email\n1,Sam Lee,a@x.org\n2,Sam Lee,b@x.org\n3,Ida Roe,c@x.org\n")
    rows = [class_row("first", 5, "Sam Lee"), class_row("second", 6, "Ida Roe", email="other@x.org")]
    done, said = roster.applied(found, rows)
    assert done == rows, "nobody is said to have handed in nothing who may have"
    told = " ".join(said)
    assert "line 2: nobody can say which submission is of Sam Lee: more than one has this name" in told
    assert "Ida Roe: a student with the same name has another e-mail address" in told
    assert "does not say clearly who these are: first, second" in told


def test_a_student_who_stands_there_twice(tmp_path, class_row):
    found = given(tmp_path, "id,name\na,Ann\na,Ann\nb,Bob\nb,Bert\n")
    rows, said = roster.applied(found, [class_row("a", 1), class_row("b", 2)])
    assert [row.name for row in rows] == ["Ann", ""]
    assert "Ann stands in lines 2 and 3: the first counts" in said[0]
    assert "Bert stands in lines 4 and 5: they are not the same" in said[1]


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (b"name,section\nAnn,A\n", "id, username, email"),
        (b"id|email\n1|a@x.org\n", "separated by commas, semicolons or tabs"),
        (b"id,name\n", "names no student"),
        (b"id,name\n,Ann\n", "no line has more than a name"),
        (b"id,name\n1,\x81\x8d\n", "encoding"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        (b'id,name\n1,"Ann\n2,Bob\n', "line 2"),
        (b"\xff\xfei\0d\0\xd8", "encoding"),
    ],
)
def test_a_roster_that_is_none(tmp_path, content, said):
    path = tmp_path / "roster.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadRoster, match=said) as error:
        roster.read(path)
    assert "roster.csv" in str(error.value) and "\n" not in str(error.value)
