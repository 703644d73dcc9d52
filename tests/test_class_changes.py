"""What changed in a class since the page before."""

from __future__ import annotations

import json

import pytest

from grader.classroom.page import changes as since
from grader.classroom.page.page import write
from grader.contract import WEEK
from tests.made_rows import NOW, THEN


def test_changes_say_who_moved_and_which_misconceptions_went(tmp_path):
    found = since.changes(NOW, since.summary(THEN), {})
    assert [(m.row.id, m.before, m.now) for m in found.moves] == [("a", 10, 20), ("b", 10, 0)]
    assert ([r.id for r in found.arrived], found.same) == (["d"], 1)
    assert [(s.id, s.before, s.now) for s in found.shifts] == [("one", 2, 0), ("two", 0, 1)]


def test_the_second_page_in_a_folder_says_what_changed_and_says_so_when_written_again(tmp_path):
    first = write(THEN, [], WEEK, tmp_path).read_text("utf-8")
    assert "This is the first time" in first
    second = write(NOW, [], WEEK, tmp_path).read_text("utf-8")
    assert "2 scores changed" in second and "1 handed in for the first time" in second
    assert write(NOW, [], WEEK, tmp_path).read_text("utf-8") == second, "the same run again is no change"
    told = json.loads((tmp_path / "class.json").read_text("utf-8"))
    assert told["schema"] == "grader/class/v1" and told["now"]["scores"] == {"a": 20, "b": 0, "c": 20, "d": 10}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.html", "class.json"]


BAD = '{"at": 1, "students": "x", "mean": 2, "findings": [], "scores": 5}'


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"schema": "x"}', '{"schema": "grader/class/v1"}',
    f'{{"schema": "grader/class/v1", "before": null, "now": {BAD}}}',
])  # fmt: skip
def test_a_damaged_summary_is_said_and_replaced(tmp_path, text):
    (tmp_path / "class.json").write_text(text, encoding="utf-8")
    page = write(NOW, [], WEEK, tmp_path).read_text("utf-8")
    assert "cannot be compared with: it is damaged" in page
    assert since.read(tmp_path / "class.json")[0] == since.summary(NOW)
