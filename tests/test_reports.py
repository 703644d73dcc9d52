"""Every form of a result, against what its reader documents, with texts a hostile submission could put into it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from markdown_it import MarkdownIt  # comes with rich

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine import reports
from grader.engine.reports import cell, classroom50, github, gradescope, html, markdown, reporter
from grader.engine.reports.words import practice_notice, progress_words
from grader.engine.result import BadScore, Result
from grader.engine.rubric import BadRubric, load_rubric
from grader.sections import page as page_sections
from grader.sections import plots

ROOT = Path(__file__).resolve().parents[1]
SCORE = json.loads((ROOT / "grader" / "score.schema.json").read_text("utf-8"))
NAMES = ("reference", "skeleton", "data", "model", "training", "accuracy")
HOSTILE = (
    "\x1b[31m\x1b]0;t\x07<script>alert(1)</script><img src=x onerror=alert(1)>](javascript:alert(1)) ]]> `` ``` ~~~\n"
    '::set-output name=score::100\n::error::x\r##[error]y\r\n=HYPERLINK("http://evil.example")\n|a|b|\n# Heading\n'
    "@teacher #1 \u202egnp.exe\x00 {{ 7*7 }} {% raw %} &amp; </pre></style></details> %0A::notice::z \ud800 "
    + "A"
    * 100_000
)
INTEGER = {"type": "integer", "minimum": 0}
TEXT = {"type": "string", "minLength": 1}


def shape(required: dict, optional: dict | None = None, more: bool = False) -> dict:
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": more}


CLASSROOM50 = shape(
    {
        "schema": {"const": "classroom50/result/v1"},
        "classroom": TEXT,
        "assignment": TEXT,
        "assignment_type": {"enum": ["individual", "group"]},
        "owner": TEXT,
        "submission": {"type": "string", "pattern": "^submit/"},
        **{name: TEXT for name in ("commit", "release", "review")},
        "datetime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        "score": INTEGER,
        "max-score": INTEGER,
        "tests": {
            "type": "array",
            "items": shape(
                {"test-name": TEXT, "passed": {"type": "boolean"}, "score": INTEGER, "max-score": INTEGER}, more=True
            ),
        },
    },
    {"graded_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}},
)
PASS = {"enum": ["pass", "fail", "error"]}
REPORTER = shape(
    {
        "version": {"const": 1},
        "status": PASS,
        "max_score": INTEGER,
        "tests": {
            "type": "array",
            "items": shape(
                {
                    "name": TEXT,
                    "status": PASS,
                    "score": INTEGER,
                    "message": {"type": "string"},
                    "test_code": {"type": "string"},
                    "filename": {"const": ""},
                    "line_no": {"const": 0},
                    "duration": INTEGER,
                }
            ),
        },
    }
)
VISIBILITY = {"enum": ["visible", "hidden", "after_due_date", "after_published"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
GRADESCOPE = shape(
    {"score": {"type": "number"}, "tests": {"type": "array"}},
    {
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        **{name: FORMAT for name in ("output_format", "test_output_format", "test_name_format")},
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "tests": {
            "type": "array",
            "items": shape(
                {"score": {"type": "number"}, "max_score": {"type": "number"}, "name": TEXT},
                {
                    "status": {"enum": ["passed", "failed"]},
                    "name_format": FORMAT,
                    "number": TEXT,
                    "output": {"type": "string"},
                    "output_format": FORMAT,
                    "tags": {"type": "array", "items": TEXT},
                    "visibility": VISIBILITY,
                    "extra_data": {"type": "object"},
                },
            ),
        },
    },
)
RUNNER = {
    "CLASSROOM": "intro-ml",
    "ASSIGNMENT": "week3",
    "SUBMISSION_TAG": "submit/2026-11-20T10-20-30Z-0a1b2c3",
    "COMMIT_URL": "https://github.com/o/r/commit/0a1b2c3",
    "RELEASE_URL": "https://github.com/o/r/releases/tag/x",
    "OWNER": "student",
}


def markup_of(text: str) -> str:
    """Markdown without its fenced blocks and without the characters that a backslash makes plain (CommonMark 2.4)."""
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\\[!-/:-@\[-`{-~]", "", outside)


def poisoned(result: Result) -> Result:
    """The result with hostile text wherever a submission could put some, and more."""
    frame = {"file": HOSTILE[:900], "line": 3, "function": HOSTILE[:900], "text": HOSTILE[:900]}
    checks = tuple(
        replace(
            check, title=HOSTILE, message=HOSTILE, hint=HOSTILE, finding=HOSTILE, frames=(frame,),
            status="failed" if check.status == "passed" else check.status, score=0,
        )
        for check in result.checks
    )  # fmt: skip
    submission = {"name": HOSTILE, "digest": HOSTILE, "notes": [HOSTILE]}
    grader = {"version": HOSTILE, "digest": HOSTILE, "isolation": HOSTILE, "worker": HOSTILE}
    return replace(result, checks=checks, submission=submission, grader=grader, prints=HOSTILE, started_at=HOSTILE)


@pytest.fixture(scope="session", params=[*NAMES, "hostile"])
def result(request, real_results) -> Result:
    return poisoned(real_results["accuracy"]) if request.param == "hostile" else real_results[request.param]


class Page(HTMLParser):
    """The elements and texts of a page; complains about what is not closed."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


# -- report.html ----------------------------------------------------------------------------------------------------


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


# -- GitHub ---------------------------------------------------------------------------------------------------------


def test_the_step_summary_holds_no_markup_of_a_submission(result):
    text = github.step_summary(result)
    heading = text.splitlines()[2 if practice_notice(result) else 0]  # a notice stands above it
    assert len(text.encode("utf-8")) < 1 << 20 and heading == f"# Score {result.score}/{result.max_score}"
    assert not any(c in text for c in "\x00\x1b\u202e\r")
    outside = markup_of(text)
    for markup in ("<script", "<img", "](", "\n@", " @teacher", " #1 ", "http://evil", "]]>"):
        assert markup not in outside
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [heading]


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


def test_every_annotation_is_one_command_of_ours(result):
    lines = github.annotations(result).splitlines()
    parsed = [re.fullmatch(r"::(error|warning|notice) ((?:[a-z]+=[^:,\r\n]*,?)*)::(.*)", line) for line in lines]
    assert all(parsed)
    kinds = [match[1] for match in parsed]
    assert max(kinds.count(kind) for kind in kinds) <= 10
    assert lines[-2] == f"::notice title=Autograding complete::Points {result.score}/{result.max_score}"
    report = f'{{"totalPoints":{result.score},"maxPoints":{result.max_score}}}'
    assert lines[-1] == f"::notice title=Autograding report::{report}"
    for match in parsed:
        properties = dict(pair.split("=", 1) for pair in match[2].split(",") if pair)
        assert set(properties) <= {"title", "file", "line"}
        assert re.fullmatch(r"assignment/\w+\.py", properties.get("file", "assignment/a.py"))
        assert "\x1b" not in match[3] and not re.search(r"%(?!25|0A|0D)", match[3])


def test_annotations_sit_on_the_students_own_line(real_results):
    lines = github.annotations(real_results["training"]).splitlines()
    assert lines[0].startswith("::error ") and "file=assignment/train.py,line=" in lines[0]
    number = int(re.search(r"line=(\d+)", lines[0])[1])
    (folder,) = {check.frames[-1]["text"] for check in real_results["training"].checks if check.status == "crashed"}
    assert "model(image)" in folder and number > 1
    stub = github.annotations(real_results["skeleton"]).splitlines()
    source = (ROOT / "assignment" / "data.py").read_text("utf-8").splitlines()
    line = next(i for i, text in enumerate(source, 1) if text.startswith("def make_transform"))
    assert len(stub) == 3 and stub[0].startswith("::notice ") and f"file=assignment/data.py,line={line}::" in stub[0]
    assert len(github.annotations(real_results["reference"]).splitlines()) == 2


def test_outputs_are_numbers_only(result):
    passed = "true" if result.score == result.max_score else "false"
    expected = f"score={result.score}\nmax_score={result.max_score}\npassed={passed}\nfinal=true\n"
    assert github.outputs(result) == expected


def test_without_a_final_score_no_form_holds_a_number_to_copy(real_results):
    """A grader_error leaves points so far, and nothing that a reader could take for the score."""
    full = real_results["reference"]
    broken = replace(full, checks=(replace(full.checks[0], status="grader_error", score=0), *full.checks[1:]))
    told = broken.to_json()
    jsonschema.validate(json.loads(broken.dumps()), SCORE)
    assert (told["final"], told["score"], told["points_so_far"]) == (False, None, broken.score)
    assert Result.from_json(told, WEEK.sections).final is False
    assert "score=\n" in github.outputs(broken) and "final=false" in github.outputs(broken)
    assert github.points_notices(broken) == [] and reporter.encoded(broken) == ""
    assert "status=error\nsummary=no score" in classroom50.outputs(broken)
    graded = gradescope.results_json(broken)
    assert "score" not in graded and not any("score" in test for test in graded["tests"])
    for text in (github.step_summary(broken), html.report(broken)):
        assert "No score: the grader had trouble of its own" in text and "Score 9" not in text
    for wrong in ({"score": 96}, {"final": True}, {"points_so_far": 3}):
        with pytest.raises(BadScore):
            Result.from_json(told | wrong, WEEK.sections)


# -- Classroom 50, the old reporter, Gradescope ---------------------------------------------------------------------


def test_classroom50_gets_its_shape(result):
    made = json.loads(json.dumps(classroom50.result_json(replace(result, started_at="2026-11-22T12:00:00Z"), RUNNER)))
    jsonschema.validate(made, CLASSROOM50)
    assert made["score"] == sum(t["score"] for t in made["tests"]) <= made["max-score"]
    assert all(t["score"] <= t["max-score"] for t in made["tests"])
    assert (made["datetime"], made["graded_at"]) == ("2026-11-20T10:20:30Z", "2026-11-22T12:00:00Z")
    lines = dict(line.split("=", 1) for line in classroom50.outputs(result).splitlines())
    assert set(lines) == {"status", "summary"} and lines["status"] in ("success", "failure", "error")
    assert len(classroom50.release_body(result)) < 125_000


def test_classroom50_needs_its_environment(real_results):
    with pytest.raises(classroom50.NotClassroom50, match="SUBMISSION_TAG"):
        classroom50.result_json(real_results["reference"], {k: v for k, v in RUNNER.items() if k != "SUBMISSION_TAG"})


def test_trouble_of_ours_is_not_the_students_failure(real_results):
    result = real_results["reference"]
    checks = (replace(result.checks[0], status="grader_error", score=0), *result.checks[1:])
    broken = replace(result, checks=checks)
    assert classroom50.outputs(broken).startswith("status=error\n")
    assert reporter.report(broken)["status"] == "error"


def test_the_old_reporter_gets_integers_and_partial_points(result):
    made = json.loads(base64.b64decode(reporter.encoded(result), validate=True).decode("utf-8"))
    jsonschema.validate(made, REPORTER)
    assert sum(test["score"] for test in made["tests"]) == result.score and made["max_score"] == result.max_score
    assert made["status"] == ("pass" if result.score == result.max_score else "fail")


def test_partial_points_survive_a_failed_check(real_results, worth):
    test = reporter.report(real_results["accuracy"])["tests"][-1]
    assert (test["status"], test["score"]) == ("fail", worth("test-accuracy") // 3)


def test_autograding_json_has_the_shape_of_its_runner():
    made = reporter.autograding_json({"data": 20, "model": 20, "training": 30, "accuracy": 30})
    texts = {name: {"type": "string"} for name in ("name", "setup", "run", "input", "output")}
    numbers = {"timeout": {"type": "number", "exclusiveMinimum": 0}, "points": INTEGER}
    entry = shape(texts | numbers | {"comparison": {"enum": ["exact", "included", "regex"]}})
    jsonschema.validate(made, shape({"tests": {"type": "array", "items": entry}}))
    assert sum(test["points"] for test in made["tests"]) == 100
    assert made["tests"][0]["run"] == "pytest grader/ -m data"


def test_gradescope_gets_its_shape(result):
    made = json.loads(json.dumps(gradescope.results_json(result)))
    jsonschema.validate(made, GRADESCOPE)
    assert made["score"] == sum(test["score"] for test in made["tests"]) == result.score
    assert len(made["tests"]) == len(result.checks) and len(json.dumps(made)) < 1_000_000
    for test in made["tests"]:
        assert "<script" not in markup_of(test["output"])


def test_gradescope_follows_the_rubrics_visibility(real_results):
    visibility = {"default": "after_published", "data": "visible", "splits": "hidden"}
    made = gradescope.results_json(real_results["data"], visibility)
    seen = {test["extra_data"]["id"]: test["visibility"] for test in made["tests"]}
    assert (seen["transform"], seen["splits"], seen["builds"]) == ("visible", "hidden", "after_published")
    hidden = gradescope.results_json(real_results["data"], {"transform": "hidden"})
    told = markdown.escape(real_results["data"].next_step.message[:40])
    assert told in made["output"] and told not in hidden["output"] and str(hidden["score"]) in hidden["output"]


@pytest.mark.parametrize("table", ["nothing = 'visible'", "data = 'sometimes'"])
def test_a_wrong_visibility_is_refused(tmp_path, table):
    text = (ROOT / "grader" / "rubric.toml").read_text("utf-8").split("[visibility]")[0]
    (tmp_path / "rubric.toml").write_text(f"{text}\n[visibility]\n{table}\n", encoding="utf-8")
    with pytest.raises(BadRubric, match="visibility"):
        load_rubric(WEEK, tmp_path / "rubric.toml")
    (tmp_path / "rubric.toml").write_text(f"{text}\n[visibility]\ntraining = 'hidden'\n", encoding="utf-8")
    assert load_rubric(WEEK, tmp_path / "rubric.toml").visibility == {"training": "hidden"}


# -- files ----------------------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read_again(real_results, tmp_path):
    result = real_results["accuracy"]
    reports.write(result, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"score.json", "summary.md", "evidence.npz", "report.html"}
    jsonschema.validate(json.loads((tmp_path / "score.json").read_text("utf-8")), SCORE)
    again = reports.read(tmp_path, WEEK.sections)
    assert again.to_json() == result.to_json()
    assert html.report(again) == html.report(result)
    reports.write(real_results["skeleton"], tmp_path)
    assert reports.read(tmp_path, WEEK.sections).evidence == {} and not (tmp_path / "evidence.npz").exists()


def test_a_drawing_that_fails_costs_no_score(real_results, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plots, "curves", broken)
    reports.write(real_results["accuracy"], tmp_path)
    assert reports.read(tmp_path, WEEK.sections).score == real_results["accuracy"].score
    assert "could not be drawn" in (tmp_path / "report.html").read_text("utf-8")


FRAME = {"file": "a.py", "line": 1, "function": "", "text": ""}


@pytest.mark.parametrize(
    "frames",
    [
        *(None, {}, [1], [{}], [FRAME] * 21),
        *([FRAME | odd] for odd in ({"line": -1}, {"line": True}, {"file": 1}, {"text": "x" * 5000}, {"more": 1})),
    ],
)
def test_frames_are_checked_when_read(real_results, frames):
    raw = json.loads(real_results["training"].dumps())
    Result.from_json(raw, WEEK.sections)
    raw["checks"][0]["frames"] = frames
    with pytest.raises(BadScore):
        Result.from_json(raw, WEEK.sections)


def test_damaged_evidence_is_no_evidence(real_results, tmp_path):
    reports.write(real_results["accuracy"], tmp_path)
    whole = (tmp_path / "evidence.npz").read_bytes()
    for damaged in (b"", whole[:200], b"x" * 500):
        (tmp_path / "evidence.npz").write_bytes(damaged)
        assert reports.read(tmp_path, WEEK.sections).evidence == {}
    np.savez(tmp_path / "evidence.npz", sample_images=np.array([{"a": 1}], dtype=object))
    assert reports.read(tmp_path, WEEK.sections).evidence == {}


def test_junit_carries_names_messages_and_points(tmp_path, worth):
    """JUnit is pytest's own: --junitxml, with the points as properties."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in corpus.reference().items():
        (folder / name).write_text(text.replace("self.output(x)", "self.output(x).softmax(1)"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "grader/", f"--submission={folder}", "-m", "model", "--seed=1"]
    done = subprocess.run([*command, f"--junitxml={tmp_path / 'x.xml'}"], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    cases = ElementTree.parse(tmp_path / "x.xml").getroot().findall(".//testcase")
    points = {p.get("name"): 0 for case in cases for p in case.iter("property")}
    for case in cases:
        for entry in case.iter("property"):
            points[entry.get("name")] += int(entry.get("value"))
    failed = {
        case.get("name"): case.find("failure").get("message") for case in cases if case.find("failure") is not None
    }
    assert points == {"points": worth("model") - worth("raw-scores"), "max_points": worth("model")}
    assert list(failed) == ["test_raw_scores"] and "probabilities" in failed["test_raw_scores"]


# -- what is reached -----------------------------------------------------------------------------------------------

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
