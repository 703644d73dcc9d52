"""report.html: whole, safe to open, and showing what was found."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from grader.engine.reports import github, html
from grader.sections import page as page_sections
from grader.sections import plots
from tests.made_results import each_result  # noqa: F401 - the fixture `result`
from tests.read_pages import Page


def test_the_page_is_whole_and_holds_nothing_that_runs_or_loads(result):
    text = html.report(result)
    page = Page(text)
    assert not page.open and len(text.encode("utf-8")) < 1_500_000
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href"):
            assert value.startswith(("data:image/png;base64,", "data:,", "#", "https://docs.p")), (tag, value[:80])
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text
    shown = "".join(page.texts)
    assert not any(c in text for c in "\x00\x1b\u202e\ud800") and f"Score {result.score} of {result.max_score}" in shown


def test_headings_come_in_order(result):
    levels = [int(tag[1]) for tag in Page(html.report(result)).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:]))


def test_the_page_shows_what_was_found(real_results):
    page = html.report(real_results["accuracy"])
    reached = f"Test accuracy: {int(100 * real_results['accuracy'].recorded['accuracy']['test'])}"
    for part in ("How it learnt", reached, "What it mistakes for what", "Its most confident mistakes"):
        assert part in page
    assert page.count('alt="An image of ') == 25 and page.count('alt="Image ') == 8
    assert (
        "deviation" in page and "they are turned because" in page.lower() and "What the first layer looks for" in page
    )
    skeleton = html.report(real_results["skeleton"])
    assert "that is how it starts" in skeleton and "How it learnt" not in skeleton and "<img" not in skeleton
    wrong = html.report(real_results["training"])
    assert "NameError" in wrong and "train.py, line" in wrong and wrong.index("Next step") < wrong.index("All checks")


def test_the_page_folds_what_passed_and_says_the_next_step_once(real_results):
    page = html.report(real_results["model"])
    passed = [check.title for check in real_results["model"].checks if check.status == "passed"]
    folded = "".join(re.findall(r"<details><summary>\d+ checks? passed</summary>.*?</details>", page, re.DOTALL))
    assert passed and all(folded.count(title) == page.count(title) == 1 for title in passed)
    step = real_results["model"].next_step
    assert page.count(html.linked(step.message, ())) == 1 and page.count('<a href="#next">next step</a>') == 1


def test_every_report_of_full_marks_says_how_to_hand_in(real_results):
    full = real_results["reference"]
    assert "commit and push" in html.report(full) and "commit and push" in github.step_summary(full)
    part = real_results["data"]
    part = replace(part, checks=tuple(c for c in part.checks if c.status == "passed"))
    assert "runs the rest" in html.report(part) and "hand in" not in html.report(part)


STROKES = np.repeat(np.repeat(np.random.default_rng(0).normal(size=(20, 7, 7)), 4, axis=1), 4, axis=2)
NOISE = np.random.default_rng(1).normal(size=(20, 28, 28))


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        (STROKES, 16),
        (np.concatenate([NOISE, STROKES[:5]]), 5),
        (NOISE, 0),
        (STROKES[:, :3, :3], 0),
        (np.full((20, 28, 28), np.nan), 0),
        (np.zeros((20, 28, 28)), 0),
    ],
    ids=["strokes", "few strokes", "noise", "small filters", "nan", "zeros"],
)
def test_weights_are_shown_only_where_there_is_something_to_see(weights, shown):
    found = page_sections.first_layer({"first_layer": weights.astype(np.float32)})
    assert (found["count"] if found else 0) == shown


@pytest.mark.parametrize(
    ("at", "labelled"),
    [((0.7, 0.84, 0.9), (0.9, 0.84, 0.7)), ((0.9, 0.91, 0.92), (0.92,)), ((0.8, 0.87, 0.9, 0.95), (0.95, 0.9, 0.8))],
)
def test_labels_of_thresholds_have_room(at, labelled):
    assert tuple(tier["at"] for tier in plots.apart([{"at": one, "points": 5} for one in at])) == labelled


def test_the_same_result_gives_the_same_page(real_results):
    assert html.report(real_results["accuracy"]) == html.report(real_results["accuracy"])


@pytest.mark.parametrize(
    "name, value",
    [
        ("worst_images", np.zeros((3, 500, 500), np.uint8)),
        ("worst_true", np.zeros(2, np.int64)),
        ("worst_sureness", np.full(25, np.nan)),
        ("sample_images", np.full((8, 1, 28, 28), np.inf, np.float32)),
        ("sample_images", np.zeros((8, 28, 28), np.float32)),
        ("sample_labels", np.array([b"x"], dtype="S1")),
        ("first_layer", np.zeros((4, 3, 3), np.float32)),
        ("first_layer", np.zeros((0, 3, 3), np.float32)),
        ("first_layer", np.array([[["<b>"]]])),
    ],
)
def test_odd_evidence_is_left_out(real_results, name, value):
    result = real_results["accuracy"]
    assert not Page(html.report(replace(result, evidence={**result.evidence, name: value}))).open


@pytest.mark.parametrize(
    "odd",
    [
        {"training": {"train_loss": [float("nan"), "x", 1e300, -1e300], "val_loss": None}},
        {"training": {"val_accuracy": [90.0] * 2000, "train_loss": [], "val_loss": [0.0] * 2000}},
        {"accuracy": {"test": 0.0, "floor": 0.9, "tiers": []}},
        {"confusion": [[0] * 10] * 10},
        {"confusion": [["<b>"]]},
        {"training": {}, "accuracy": None, "confusion": None},
    ],
)
def test_odd_numbers_do_not_break_the_page(real_results, odd):
    result = replace(real_results["accuracy"], evidence={}, recorded=odd)
    assert not Page(html.report(result)).open
