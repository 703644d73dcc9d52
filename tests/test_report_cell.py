"""The report below a notebook's cell, and what it says is reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.contract import WEEK
from grader.engine.reports import cell
from grader.engine.reports.words import progress_words
from tests.made_results import each_result  # noqa: F401 - the fixture `result`
from tests.read_pages import Page

REACHED = {  # what is done, and what is said of it; the rest is still to do
    "": "",
    "1": "TODO 1 done: {1} points. Next: TODO 2.",
    "12": "The part data is complete: {1+2} points. Well done! Next: TODO 3.",
    "123": "TODO 3 done: {3} points. Next: TODO 4.",
    "2": "",  # the next step is TODO 1, and nothing before it is done
}


@pytest.mark.parametrize("done", REACHED)
def test_a_todo_that_is_done_and_a_part_that_is_complete_are_said(done, real_results):
    skeleton = real_results["skeleton"]
    checks = [
        replace(check, status="passed", score=check.max_score) if str(check.todo) in done else check
        for check in skeleton.checks
    ]
    worth = {str(n): sum(c.max_score for c in checks if c.todo == n) for n in WEEK.todo} | {
        "1+2": sum(c.max_score for c in checks if c.todo in (1, 2))
    }
    said = REACHED[done]
    for name, points in worth.items():
        said = said.replace(f"{{{name}}}", str(points))
    result = replace(skeleton, checks=tuple(checks))
    assert progress_words(result) == said
    if said:
        assert said in " ".join(cell.text(result).split()) and said in cell.html(result)


def test_the_report_below_a_cell_holds_no_markup_of_a_submission(result):
    for all_hints in (False, True):
        text = cell.html(result, all_hints)
        page = Page(text)
        assert not page.open and not {"script", "img", "iframe", "object", "form", "base"} & set(page.tags)
        assert not any(name.startswith("on") for _, name, _ in page.attributes)
        assert all(value.startswith("https://docs.p") for _, name, value in page.attributes if name in ("src", "href"))
        assert not any(c in text + cell.text(result, all_hints) for c in "\x00\x1b\u202e\ud800")
