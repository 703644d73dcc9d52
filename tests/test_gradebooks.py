"""`--fill`: one column of the teacher's own gradebook, and not a byte beside it. tests/gradebooks has one of each."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.classroom import sheets
from grader.classroom.gradebooks import BadGradebook, fill
from grader.classroom.gradebooks.book import number
from grader.classroom.sheets import Sheet

DATA = Path(__file__).parent / "gradebooks"


def cells(path: Path, sheet: Sheet | None = None) -> list[list[str]]:
    """The file as the csv module reads it."""
    sheet = sheet or sheets.read(path)
    text = path.read_bytes().removeprefix(sheet.mark).decode(sheet.encoding)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=sheet.delimiter))


def differences(before: Path, after: Path) -> dict[tuple[int, int], tuple[str, str]]:
    """{(row, column): (old, new)}; all else is the same for the csv module, and the bytes between are too."""
    sheet = sheets.read(before)
    old, new = cells(before, sheet), cells(after, sheet)
    assert [len(row) for row in old] == [len(row) for row in new]
    found = {(r, c): (a, new[r][c]) for r, row in enumerate(old) for c, a in enumerate(row) if a != new[r][c]}
    patched = before.read_bytes()
    for (r, c), (_, text) in sorted(found.items(), reverse=True):
        cell = sheets.read(before).rows[r][c]
        start = len(sheet.mark) + len(sheet.text[: cell.start].encode(sheet.encoding))
        end = len(sheet.mark) + len(sheet.text[: cell.end].encode(sheet.encoding))
        quote = '"' if sheet.text.startswith('"', cell.start, cell.end) else ""
        patched = patched[:start] + f"{quote}{text}{quote}".encode(sheet.encoding) + patched[end:]
    assert patched == after.read_bytes()
    return found


def class_of(class_row) -> list:
    return [
        class_row("anna", 74, "Anna Müller", sid="20231", username="anna", email="anna@example.edu", participant="501"),
        class_row("ben", 81, "Ben Okafor", sid="20232", email="Ben@Example.edu", username="ben", participant="502"),
        class_row(
            "chloe", 0, "Chloé Diaz", sid="20233", username="chloe", email="chloe@example.edu", participant="503"
        ),
        class_row("sam", 88, "Sam Lee"),
        class_row("wei", 50, "Wei Zhou", canvas_id="1006"),
        class_row("zed", 12, '=HYPERLINK("http://evil")'),
        class_row("ned", None, "Ned Nothing"),
    ]


# ---- each system


def test_canvas(class_row, tmp_path):
    done = fill(DATA / "canvas.csv", class_of(class_row), "Week 3: digits", tmp_path)
    assert done.path == tmp_path / "canvas.csv" and done.system == "Canvas"
    assert differences(DATA / "canvas.csv", done.path) == {(3, 7): ("", "74"), (4, 7): ("60.00", "81")}
    assert done.filled == ("anna", "ben") and done.changed == ("ben: 60.00 -> 81",)
    assert done.kept == ("chloe (EX)", "wei (N/A)")
    assert done.missing_in_file == ("zed", "ned") and done.missing_in_class == (), "Canvas' own one"
    assert done.ambiguous == (
        "line 8, Sam Lee (more than one has this name)", "line 9, Sam Lee (more than one has this name)",
        "sam of this class",
    )  # fmt: skip
    told = "\n".join(done.sentences)
    for said in ("ben: 60.00 -> 81", "chloe (EX)", "not in the file: zed; ned", "Sam Lee"):
        assert said in told
    assert "HYPERLINK" not in done.path.read_text("utf-8")
    assert fill(DATA / "canvas.csv", class_of(class_row), "week 3", tmp_path).column == done.column, "how it begins"


def test_canvas_says_what_it_would_do_otherwise(class_row, tmp_path):
    rows = class_of(class_row)
    done = fill(DATA / "canvas.csv", rows, "Week 2 (4711)", tmp_path)
    assert any("counts to 50 points in Canvas, and these scores to 100" in one for one in done.sentences)
    done = fill(DATA / "canvas.csv", rows, "Notes", tmp_path)
    assert any("Canvas makes a new assignment" in one for one in done.sentences)


def test_canvas_with_first_and_last_names_semicolons_and_many_students(class_row, tmp_path):
    file = tmp_path / "big.csv"
    lines = [f"Last{n};First{n};{n};user{n};A;" for n in range(260)]
    head = "LastName;FirstName;ID;SIS Login ID;Section;Week 3 (12)\n    Points Possible;;;;;100,00\n"
    file.write_text(head + "\n".join(lines), encoding="utf-8-sig")
    rows = [class_row("x", 70, "First7 Last7"), class_row("y", 71, username="USER8")]
    done = fill(file, rows, None, tmp_path / "filled")
    assert differences(file, done.path) == {(9, 5): ("", "70"), (10, 5): ("", "71")}
    assert done.path.read_bytes().startswith(b"\xef\xbb\xbf") and not done.path.read_bytes().endswith(b"\n")
    assert any("from 250 students on" in one for one in done.sentences)


def test_moodle_import_file(class_row, tmp_path):
    done = fill(DATA / "moodle_grades.csv", class_of(class_row), "Week 3: digits", tmp_path)
    assert differences(DATA / "moodle_grades.csv", done.path) == {
        (1, 7): ("-", "74"), (2, 7): ("60.00", "81"), (4, 7): ("-", "88")
    }  # fmt: skip
    assert done.missing_in_class == ("Tina Teacher",), "enrolled, and no row is ever added"
    assert done.kept[0].startswith('chloe ("Email address" is empty, and Moodle would give the grade to the student in')
    assert any('identify users by "Email address"' in one for one in done.sentences)


def test_moodle_worksheet(class_row, tmp_path):
    done = fill(DATA / "moodle_worksheet.csv", class_of(class_row), None, tmp_path)
    assert differences(DATA / "moodle_worksheet.csv", done.path) == {(1, 4): ("", "74"), (2, 4): ("60.00", "81")}
    assert done.kept == ("chloe (Moodle says that the grade cannot be changed)",)
    assert done.missing_in_class == ("Nobody Else",)


def test_moodle_worksheet_in_another_language(class_row, tmp_path):
    rows = [class_row("x", 60, participant="502"), class_row("y", 74, participant="501")]
    done = fill(DATA / "moodle_worksheet_de.csv", rows, None, tmp_path)
    assert done.column == "Bewertung"
    assert differences(DATA / "moodle_worksheet_de.csv", done.path) == {(1, 4): ("", "74")}, "60,00 is 60 already"
    assert done.filled == ("y", "x") and not done.changed


def test_blackboard(class_row, tmp_path):
    done = fill(DATA / "blackboard.xls", class_of(class_row), None, tmp_path)
    assert done.column == "Week 3 [Total Pts: 100 Score] |1344236", "the only one that counts to 100 and is no total"
    assert differences(DATA / "blackboard.xls", done.path) == {
        (1, 8): ("Needs Grading", "74"), (2, 8): ("60", "81"), (3, 8): ("", "0")
    }  # fmt: skip
    assert done.changed == ("ben: 60 -> 81",) and '"81"\t'.encode("utf-16-le") in done.path.read_bytes()


def test_any_table_that_says_who_is_who(class_row, tmp_path):
    done = fill(DATA / "plain.csv", class_of(class_row), "punkte", tmp_path)
    assert differences(DATA / "plain.csv", done.path) == {(1, 4): ("", "74"), (2, 4): ("60,0", "81")}
    assert done.path.read_bytes().count(b"\r\n") == 3 and "Müller".encode("cp1252") in done.path.read_bytes()


def test_a_row_that_ends_early_is_made_long_enough(class_row, tmp_path):
    file = tmp_path / "in" / "grades.csv"
    file.parent.mkdir()
    file.write_bytes(b"id,section,note,score\r\na,A\r\n\r\nb,B,,5\r\n")
    done = fill(file, [class_row("a", 9), class_row("b", 5)], "score", tmp_path)
    assert done.path.read_bytes() == b"id,section,note,score\r\na,A,,9\r\n\r\nb,B,,5\r\n"


# ---- who is who


def test_the_key_that_matches_most_comes_first_then_the_others(class_row, tmp_path):
    file = tmp_path / "in" / "g.csv"
    file.parent.mkdir()
    file.write_text("sid,email,name,score\n1,,Ann,\n2,,Bob,\n3,C@x.org,Cy,\n,d@x.org,Dee,\n,,Eva,\n", encoding="utf-8")
    rows = [class_row(name, n, sid=str(n)) for n, name in enumerate("abc", 1)]
    rows += [class_row("d", 4, email="D@x.org"), class_row("e", 5, "Eva")]
    done = fill(file, rows, None, tmp_path)
    assert [row[-1] for row in cells(done.path)] == ["score", "1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    "lines, keys, filled",  # filled: the score column of these lines
    [
        (["1,,", "1,,"], [{"sid": "1"}], ["", ""]),  # the same student twice in the file
        (["1,,"], [{"sid": "1"}, {"sid": "1"}], [""]),  # two of the class with one key
        (["1,a@x.org,", ",b@x.org,"], [{"sid": "1", "email": "b@x.org"}], ["", ""]),  # its keys name two lines
        (["a,,Ann Lee"], [{"id": "a", "name": "Bob Roe"}], [""]),  # the same user name in another system
        (["1,a@x.org,Ann"], [{"email": "b@x.org", "name": "Ann"}], [""]),  # a namesake
        (["1,,Ann", "2,,Ann"], [{"name": "Ann"}, {"sid": "2"}], ["", "50"]),  # which Ann, though one is known
    ],
)
def test_what_is_not_clear_is_never_filled(class_row, tmp_path, lines, keys, filled):
    file = tmp_path / "in" / "g.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["sid,email,name,score", *[f"{line}," for line in lines], "9,z@x.org,Zed,"]), "utf-8")
    rows = [class_row(**{"id": f"s{n}", "score": 50, **one}) for n, one in enumerate(keys)]
    done = fill(file, [*rows, class_row("zed", 60, sid="9")], "score", tmp_path)
    assert [row[3] for row in cells(done.path)[1:]] == [*filled, "60"]
    assert len(done.ambiguous) == len(lines) + len(keys) - 2 * filled.count("50")
    assert not done.missing_in_class and not done.missing_in_file


def test_who_has_no_score_is_left_blank_and_listed(class_row, tmp_path):
    file = tmp_path / "in" / "g.csv"
    file.parent.mkdir()
    file.write_text("id,score\na,\nb,7\nc,\nd,\n", encoding="utf-8")
    rows = [
        class_row("a", 70, status="not final"),
        class_row("b"),
        class_row("c", status="rejected"),
        class_row("d", 1),
    ]
    done = fill(file, rows, None, tmp_path)
    assert done.path.read_text("utf-8") == "id,score\na,\nb,7\nc,\nd,1\n"
    assert done.without_score == ("a (not final)", "b (nothing handed in)", "c (rejected)")


# ---- bad input: one sentence, and nothing is written


@pytest.mark.parametrize(
    "file, column, said",
    [
        ("canvas.csv", "Weak 3", 'no column "Weak 3"; say --column with one of "Notes", "Week 2'),
        ("canvas.csv", "Current Score", "read only"),
        ("canvas.csv", "Final Grade project", 'leaves out every column with "Final Grade"'),
        ("canvas.csv", "SIS User ID", "no column"),
        ("moodle_grades.csv", None, "2 columns could be meant"),
        ("moodle_grades.csv", "Course total (Real)", "calculates"),
        ("moodle_grades.csv", "Assignment: Week 3: digits (Percentage)", "holds no points"),
        ("moodle_worksheet.csv", "Maximum Grade", "holds the maximum"),
        ("blackboard.xls", "Total", "calculates"),
        ("blackboard.xls", "Essay", "shows Letter"),
        ("blackboard.xls", "Availability", "ends with no number"),
        ("gradescope.csv", None, "takes no scores back"),
        ("classroom50_scores.csv", None, "scores.json"),
        ("plain.csv", None, '2 columns could be meant; say --column with one of "sep_id" and "Punkte"'),
        ("missing.csv", None, "cannot be read"),
        ("classroom50_scores.json", None, "first line"),
    ],
)
def test_a_column_or_file_that_takes_no_grades(class_row, tmp_path, file, column, said):
    with pytest.raises(BadGradebook, match=said) as error:
        fill(DATA / file, class_of(class_row), column, tmp_path)
    assert file in str(error.value) and "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "is empty"),
        (b"name,score\nAnn,\n", "needs a first line in which one column is called id"),
        (b"id|score\na|\n", "separated by commas, semicolons or tabs"),
        (b"id,score\n", "names no student"),
        (b'id,"score\na,1\nb,2\n', "line 1"),
        (b"id,score\nq,\n", "nobody of this class"),
        (b"id,score,score\na,,\n", "2 columns could be meant"),
        (b"id,section\na,A\n", "has no column for these grades"),
        (b'"Username","W [Total Pts: 1,000 Score] |7"\na,\n', "counts to 1000 points, these scores to 100"),
        (b"id,score\n\x81,\n", "encoding"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel workbook"),
        (b"id,score\nid\0,1\n", "encoding"),
    ],
)
def test_a_gradebook_that_is_none(class_row, tmp_path, content, said):
    (tmp_path / "book.csv").write_bytes(content)
    with pytest.raises(BadGradebook, match=said) as error:
        fill(tmp_path / "book.csv", [class_row("a", 50)], None, tmp_path / "filled")
    assert "book.csv" in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "filled").exists()


def test_a_title_that_two_columns_have(class_row, tmp_path):
    (tmp_path / "book.csv").write_text("id,score,Score\na,,\n", encoding="utf-8")
    with pytest.raises(BadGradebook, match='2 columns "score"'):
        fill(tmp_path / "book.csv", [class_row("a", 50)], "score", tmp_path / "filled")


def test_the_teachers_file_is_never_written_over(class_row, tmp_path):
    (tmp_path / "book.csv").write_text("id,score\na,\n", encoding="utf-8")
    with pytest.raises(BadGradebook, match="written over"):
        fill(tmp_path / "book.csv", [class_row("a", 50)], None, tmp_path)
    assert (tmp_path / "book.csv").read_text("utf-8") == "id,score\na,\n"


# ---- the bytes


TEXTS = st.text(st.sampled_from('ab",;\t\n 0ü'), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('a0",\r\n ;ü'), max_size=60))
def test_cells_are_what_the_csv_module_reads(text):
    try:
        rows = list(sheets.split(text, ","))
    except sheets.NeverClosed:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
        return
    assert [[cell.text for cell in row] for row in rows] == [r for r in csv.reader(io.StringIO(text, newline="")) if r]
    spans = [(cell.start, cell.end) for row in rows for cell in row]
    assert all(a <= b for a, b in spans) and all(x[1] < y[0] for x, y in zip(spans, spans[1:]))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(TEXTS, min_size=4, max_size=4), min_size=1, max_size=6),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    last=st.booleans(),
)
def test_only_the_filled_cells_change(tmp_path_factory, rows, quoting, end, delimiter, encoding, last):
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([list("wxyz"), *rows])
    text = stream.getvalue() if last else stream.getvalue().removesuffix(end)
    path = tmp_path_factory.mktemp("sheet") / "sheet.csv"
    path.write_bytes(text.encode(encoding))
    sheet = sheets.read(path)
    assert sheet.delimiter == delimiter and sheet.titles == ("w", "x", "y", "z")
    assert [[cell.text for cell in row] for row in sheet.rows] == [row for row in cells(path) if row]
    assert sheet.filled(2, {}) == path.read_bytes()
    (path.parent / "new.csv").write_bytes(sheet.filled(2, {row: "74" for row in range(1, len(rows) + 1, 2)}))
    changed = differences(path, path.parent / "new.csv")
    assert set(changed) == {(row, 2) for row in range(1, len(rows) + 1, 2)}
    assert {new for _, new in changed.values()} <= {"74"}


@pytest.mark.parametrize(
    "text, value",
    [
        ("74", 74),
        ("74.00", 74),
        ("74,0", 74),
        ("1,234", 1.234),
        ("1.234,5", 1234.5),
        ("-", None),
        ("B", None),
        ("", None),
    ],
)
def test_numbers_have_any_sign_before_their_decimals(text, value):
    assert number(text) == value
