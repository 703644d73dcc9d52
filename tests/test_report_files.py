"""What is written into a folder can be read again, and what is damaged there does no harm."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from grader.contract import WEEK
from grader.engine import reports
from grader.engine.reports import html
from grader.engine.result import BadScore, Result
from grader.sections import plots
from tests.made_results import SCORE


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
