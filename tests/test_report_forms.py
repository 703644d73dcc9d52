"""The forms of a result that other systems read, against what each of them documents."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.reports import classroom50, github, gradescope, html, markdown, reporter
from grader.engine.result import BadScore, Result
from grader.engine.rubric import BadRubric, load_rubric
from tests.made_results import SCORE, each_result  # noqa: F401 - the fixture `result`
from tests.read_pages import markup_of

ROOT = Path(__file__).resolve().parents[1]
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
