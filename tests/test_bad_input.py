"""Bad input gets one clear sentence and a result, never a stack of ours."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grader import digits
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.check import GraderTrouble
from grader.engine.result import Result
from grader.engine.rubric import load_toml
from grader.engine.run import grade
from grader.engine.submission.read import read

BROKEN = corpus.load_all("broken")
EXAMPLES = Path(__file__).parent / "broken"
PARTS = {"data.py": ["data"], "model.py": ["model"], "train.py": ["training"]}
FATAL = {"endless-loop-at-import", "endless-loop-in-evaluate", "endless-printing"}


def touched(entry: corpus.Entry) -> str:
    return next(iter([*entry.files, *(file for file, _, _ in entry.patches)]))


def status_of(entry: corpus.Entry) -> str:
    return str(load_toml(EXAMPLES / f"{entry.name}.toml")["status"])


def first_problem(result: Result) -> tuple[str, str | None]:
    check = next(c for c in result.checks if c.status not in ("passed", "todo"))
    return check.status, check.finding


@pytest.mark.parametrize("entry", BROKEN, ids=lambda entry: entry.name)
def test_each_broken_submission_gets_its_status_and_finding(entry, graded, quick):
    result = graded(corpus.source_of(entry), quick, parts=PARTS[touched(entry)])
    assert first_problem(result) == (status_of(entry), entry.findings[0])
    shown = "\n".join(check.message + check.hint for check in result.checks)
    assert (
        "Traceback" not in shown
        and "grader/" not in shown
        and "?" not in result.checks[0].message.partition(" Did you mean")[0]
    )
    assert not any(check.status == "grader_error" for check in result.checks)


def test_a_fault_stays_where_it_is(graded):
    """model.py does not import; data and training keep what they earn."""
    result = graded(corpus.source_of(corpus.load(EXAMPLES / "syntax-error.toml")))
    points = {part["name"]: part["score"] for part in result.parts}
    assert (points["data"], points["model"], points["accuracy"]) == (20, 0, 0)
    assert points["training"] >= 25  # all but the check that puts the loop together with the model
    assert {check.status for check in result.checks if check.part == "model"} == {"crashed", "blocked"}


def test_missing_files_are_named(graded, tmp_path):
    result = graded({"data.py": corpus.reference()["data.py"]}, parts=["data", "model"])
    points = {part["name"]: part["score"] for part in result.parts}
    assert points == {"data": 20, "model": 0}
    assert first_problem(result) == ("failed", "file-missing")
    assert "model.py" in next(c for c in result.checks if c.part == "model").message


def test_a_file_that_is_not_text(graded, tmp_path):
    folder = tmp_path / "bytes"
    folder.mkdir()
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "model.py").write_bytes("# Zahlenpr\u00fcfer\n".encode("latin-1") + b"x = 1\n")
    assert first_problem(graded(folder, parts=["model"])) == ("crashed", "not-utf8")
    (folder / "model.py").write_bytes(b"x = 1\x00\n")
    assert first_problem(graded(folder, parts=["model"])) == ("crashed", "not-utf8")


def test_a_file_that_the_system_does_not_open(server, tmp_path, monkeypatch):
    really_open = os.open

    def refuse(path, *args, **options):
        if str(path).endswith(".py"):
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, *args, **options)

    for name, text in corpus.reference().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("grader.engine.submission.safe_files.os.open", refuse)
        submission = read(tmp_path, WEEK, 64_000)
    assert first_problem(grade(submission, server, seed=1, parts=["model"])) == ("failed", "file-unreadable")


def test_what_has_not_answered_when_the_run_s_time_is_over(graded, quick):
    hurried = replace(quick, limits=dict(quick.limits) | {"run_seconds": 0.001})
    result = graded(corpus.reference(), hurried, parts=["model"])
    assert first_problem(result) == ("timeout", "run-timeout")
    assert result.score == 0 and all(check.status != "grader_error" for check in result.checks)


def test_what_is_damaged_on_our_side_is_never_the_students(graded, monkeypatch):
    def damaged():
        raise GraderTrouble("a file of the digits is damaged")

    monkeypatch.setattr(digits, "load", damaged)
    result = graded(corpus.reference(), parts=["accuracy"])
    assert first_problem(result) == ("grader_error", "grader-broken")
    assert "This is not your fault: a file of the digits is damaged." in result.checks[0].message


def test_too_big_and_linked_files_are_refused(graded, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "model.py").write_text("x = 1\n" * 40_000, encoding="utf-8")
    assert first_problem(graded(folder, parts=["model"])) == ("failed", "file-too-big")
    (folder / "model.py").unlink()
    if sys.platform == "win32":
        pytest.skip("links need rights on Windows")
    (folder / "model.py").symlink_to("/etc/hostname")
    assert first_problem(graded(folder, parts=["model"])) == ("failed", "file-not-regular")
    (folder / "model.py").unlink()
    os.mkfifo(folder / "model.py")
    assert first_problem(graded(folder, parts=["model"])) == ("failed", "file-not-regular")


def test_the_students_own_line_is_shown_and_none_of_ours(graded):
    result = graded(corpus.source_of(corpus.load(EXAMPLES / "half-done.toml")), parts=["training"])
    message, quote = result.checks[0].message, result.checks[0].quote
    assert "NameError" in message and "Did you mean: 'images'?" in message
    where, line, marks = quote.splitlines()
    assert where.startswith("train.py, line ") and line.startswith(" " * 12 + "scores = model(image)")
    assert marks == " " * line.index("image") + "^^^^^" or sys.version_info < (3, 11)


def test_prints_are_kept_and_capped(graded):
    files = corpus.reference()
    files["model.py"] = files["model.py"].replace(
        "        x = self.flatten(images)", "        print('seen', images.shape)\n        raise ValueError('no')"
    )
    result = graded(files, parts=["model"])
    assert "seen torch.Size" in result.prints and len(result.prints) <= 2000


def test_odd_folder_names_do_not_matter(graded, tmp_path):
    folder = tmp_path / "Übung 3 – Zoë's (final)"
    folder.mkdir()
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    result = graded(folder, parts=["model"])
    assert result.score == result.max_score > 0
