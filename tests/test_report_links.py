"""Links in a report: our own can be clicked, and no others."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt  # comes with rich

from grader.engine.reports import classroom50, github, gradescope, html, markdown
from tests.made_results import each_result  # noqa: F401 - the fixture `result`
from tests.read_pages import Page


def hrefs(text: str) -> list[str]:
    """Where the links of Markdown lead, as a renderer has them."""
    return [value for _, name, value in Page(MarkdownIt("commonmark").render(text)).attributes if name == "href"]


def test_links_of_our_own_hints_can_be_clicked_and_no_others(result, real_results):
    for text in (github.step_summary(result), classroom50.release_body(result)):
        assert set(hrefs(text)) <= set(result.links)
    found = real_results["model"]  # softmax at the end: its hint points to a page
    page = next(link for link in found.links if link in found.next_step.hint)
    assert page in hrefs(github.step_summary(found)) and page in hrefs(classroom50.release_body(found))
    assert f'<a href="{page}" rel="noreferrer">{page}</a>' in html.report(found)
    made = gradescope.results_json(found)
    assert page in hrefs(made["output"]) and any(page in hrefs(test["output"]) for test in made["tests"])


OURS = "https://docs.example/page.html"


@pytest.mark.parametrize(("text", "clickable"), [
    (f"look. {OURS}", 1), (f"{OURS}, and {OURS}.", 2), (f"({OURS})", 1), (f"{OURS}.", 1),
    (f"{OURS}/more", 0), (f"{OURS}?q=1", 0), (f"{OURS}.evil.example", 0), (f"{OURS}@evil.example", 0),
    (f"https://evil.example/{OURS}", 0), ("https://docs.example/", 0), ("javascript:alert(1)", 0),
    ("[a](https://evil.example)", 0), ("<https://evil.example>", 0), ("www.evil.example", 0), (f"[{OURS}](//evil)", 1),
    (f'<a href="{OURS}" onclick="x">', 1), (f"`{OURS}`", 1), (f"\n::error:: {OURS}", 1),
])  # fmt: skip
def test_only_a_whole_address_of_ours_becomes_a_link(text, clickable):
    """Whatever stands around it, and whoever wrote it, it leads to our page or nowhere."""
    made = markdown.linked(text, (OURS,))
    assert hrefs(made) == [OURS] * clickable and not made.startswith("::") and "\n" not in made
    assert html.linked(text, (OURS,)).count(f'<a href="{OURS}" rel="noreferrer">') == clickable
    assert html.linked(text, (OURS,)).count("<") == 2 * clickable
