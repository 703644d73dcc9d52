"""What GitHub shows of a result: the step summary, annotations, outputs."""

from __future__ import annotations

import re
from pathlib import Path

from grader.engine.reports import github
from grader.engine.reports.words import practice_notice
from tests.made_results import each_result  # noqa: F401 - the fixture `result`
from tests.read_pages import markup_of

ROOT = Path(__file__).resolve().parents[1]


def test_the_step_summary_holds_no_markup_of_a_submission(result):
    text = github.step_summary(result)
    heading = text.splitlines()[2 if practice_notice(result) else 0]  # a notice stands above it
    assert len(text.encode("utf-8")) < 1 << 20 and heading == f"# Score {result.score}/{result.max_score}"
    assert not any(c in text for c in "\x00\x1b\u202e\r")
    outside = markup_of(text)
    for markup in ("<script", "<img", "](", "\n@", " @teacher", " #1 ", "http://evil", "]]>"):
        assert markup not in outside
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [heading]


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
