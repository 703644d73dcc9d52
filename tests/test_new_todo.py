"""A TODO, a file and a part more: contract, checks, probes, hints, points and the course's texts, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from grader.contract import WEEK
from grader.engine.many.store import read_told
from grader.engine.rubric import load_rubric

ROOT = Path(__file__).resolve().parents[1]
FUNCTION = '''

def best_epoch(history) -> int:
    """Return the epoch, counted from 1, with the highest validation accuracy."""
    # BEGIN SOLUTION
    accuracies = history["val_accuracy"]
    return 1 + accuracies.index(max(accuracies))
    # END SOLUTION
'''
CHECK = '''

@check("best-epoch", part="{part}", todo=8, calls=("{module}.best_epoch",))
def test_best_epoch(student: Student) -> None:
    """The best epoch is found"""
    found = student.observe("{probe}.best", accuracies=[0.2, 0.9, 0.4]).number("epoch")
    if found == 1:
        fail("epochs-from-zero", found=found, expected=2)
'''
PROBE = '''

@probe("{module}")
def best(student: Any, accuracies: Any) -> dict[str, Any]:
    """Which epoch is called the best."""
    return {{"epoch": int(student.function("{module}", "best_epoch")({{"val_accuracy": accuracies}}))}}
'''
HINT = """
[epochs-from-zero]
title = "Epochs are counted from 0"
seen = "best_epoch said {found}; expected {expected}."
cause = "The usual cause: the place in a list counts from 0."
look = "the number that is returned"
question = "Which number does a person give the first epoch?"
why = "People count from one."
"""
LAST_TODO = '        Todo(7, "train.py", "fit", read=("optimizers",)),\n'
LAST_PART = '        Part("accuracy", "the whole pipeline on secret digits", "test_4_accuracy"),\n'
INVITATION = "\n[todos]\n", '\n[todos]\n8 = "look for the highest number."\n'


def todo_more(root: Path) -> None:
    """TODO 8 in train.py, judged in the part that is there: what docs/grow-it.md says, to the letter."""
    for file, language, text in steps():
        if file == "grader/rubric.toml":
            points_for_it(root / file)
        elif language == "diff":
            lines = text.splitlines()
            old = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
            change(root / file, (old, "".join(f"{line[1:]}\n" for line in lines)))
        else:
            add(root / file, f"\n\n{text}")


def steps() -> list[tuple[str, str, str]]:
    """(file, language, text) of each block in the section: a paragraph that names a file, and a block."""
    page = (ROOT / "docs" / "grow-it.md").read_text(encoding="utf-8")
    section = page[page.index("## A TODO 8") : page.index("## Another data set")]
    found = []
    for paragraph, language, text in re.findall(r"\n\n(\*\*\d[^\n]+)\n\n```(\w+)\n(.*?)```", section, re.DOTALL):
        found += [(file, language, text) for file in re.findall(r"`([\w-]+/[\w./-]+\.(?:py|toml))`", paragraph)]
    assert len(found) == 7
    return found


def part_more(root: Path) -> None:
    """TODO 8 in a file of its own, judged in a part of its own."""
    change(
        root / "grader/contract.py",
        (LAST_TODO, LAST_TODO + '        Todo(8, "history.py", "best_epoch"),\n'),
        ('        "train.py": (', '        "history.py": ("history",),\n        "train.py": ('),
        (LAST_PART, LAST_PART + '        Part("history", "what a history tells", "test_5_history"),\n'),
        ('"data", "accuracy"),\n    long', '"data", "history", "accuracy"),\n    long'),
    )
    add(root / "solution/history.py", '"""Part 5: what a history tells."""' + FUNCTION)
    imports = "from grader.engine.check import check, fail\nfrom grader.engine.student import Student\n"
    add(
        root / "grader/checks/test_5_history.py",
        imports + CHECK.format(part="history", module="history", probe="history"),
    )
    imports = "from typing import Any\n\nfrom grader.engine.worker.beside_student.probing import probe\n"
    add(root / "grader/probes/history.py", imports + PROBE.format(module="history"))
    add(root / "grader/hints/history.toml", HINT)
    points_for_it(root / "grader/rubric.toml")
    change(root / "templates/course.toml", INVITATION)
    add(root / "templates/course.toml", '[parts.history]\nminutes = "5"\nobjective = "Read a history."\n')


def points_for_it(path: Path) -> None:
    """Two points, from the check that has most of them (and no tiers)."""
    points = load_rubric(WEEK, path).points
    richest = max((name for name in points if name != WEEK.tiered), key=points.__getitem__)
    old, new = f"\n{richest} = {points[richest]}\n", f"\n{richest} = {points[richest] - 2}\nbest-epoch = 2\n"
    change(path, (old, new))


def change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, (path, old)
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def add(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


VARIANTS = [
    pytest.param((todo_more, "training", "train.py"), id="todo"),
    pytest.param((part_more, "history", "history.py"), id="part", marks=pytest.mark.corpus),
]


@pytest.fixture(scope="module", params=VARIANTS)
def course(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """(root, part, file) of a copy of this repository with TODO 8, built and released beside itself as "released"."""
    root = tmp_path_factory.mktemp("course") / "own"
    for name in (
        "solution",
        "templates",
        "grader",
        "assignment",
        ".github",
        "tests/base",
        "tests/chaffs",
        "tests/wheats",
    ):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "plots"))
    for name in ("pyproject.toml", "grader_entry_point.py", "LICENSE"):
        shutil.copy(ROOT / name, root)
    more: Callable[[Path], None]
    more, part, file = request.param
    more(root)
    for command in (["build"], ["build", "--check"], ["release", "../released", "--for", "github"]):
        done = run("-m", "grader", *command, cwd=root)
        assert done.returncode == 0, done.stdout + done.stderr
    return root, part, file


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB", "COV_"))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, encoding="utf-8", timeout=300)


def graded(root: Path, submission: Path, reports: Path, *arguments: str) -> dict:
    """score.json of a run through the front door."""
    settings = ("-c", "pyproject.toml", "--rootdir", ".", "grader/", "--seed=1")
    done = run("-m", "pytest", *settings, f"--submission={submission}", f"--report={reports}", *arguments, cwd=root)
    assert (reports / "score.json").is_file(), done.stdout + done.stderr
    score = json.loads((reports / "score.json").read_text("utf-8"))
    jsonschema.validate(score, json.loads((root / "grader" / "score.schema.json").read_text("utf-8")))
    assert "PytestUnknownMarkWarning" not in done.stdout + done.stderr
    return score


def test_what_students_get_has_it(course, week):
    root, part, file = course
    released = root.parent / "released"
    handout = (released / "assignment/README.md").read_text("utf-8")
    row = next(line for line in handout.splitlines() if line.startswith(f"| **{part}** |"))
    assert (f"| {file} | " in row) and ("5, 6, 7 and 8" in row if part == "training" else "| 8 |" in row)
    assert "Eight small functions" in handout and f"| {part} | The best epoch is found | 8 | 2 |" in handout
    assert 'raise NotImplementedError("TODO 8: best_epoch")' in (released / "assignment" / file).read_text("utf-8")
    cells = json.loads((released / "assignment" / f"{week}.ipynb").read_text("utf-8"))["cells"]
    assert [c["metadata"]["tags"] for c in cells if "# TODO 8: look" in "".join(c["source"])] == [["exercise", file]]
    front = (released / "README.md").read_text("utf-8")
    assert "eight TODOs" in front and ("four files" in front) == (part == "history")
    assert "accuracies.index" not in handout + (released / "assignment" / f"{week}.ipynb").read_text("utf-8")
    assert part in run("-m", "grader", "selftest", "--help", cwd=root).stdout


def test_the_skeleton_is_all_to_do(course, tmp_path):
    released = course[0].parent / "released"
    score = graded(released, released / "assignment", tmp_path)
    assert [check for check in score["checks"] if check["status"] != "todo"] == [] and score["score"] == 0
    assert [check["todo"] for check in score["checks"] if check["id"] == "best-epoch"] == [8]


WHOLE = "dataclass-and-match"  # a wheat with a train.py of its own
ITSELF = ("-k", "best_epoch")  # its check and no other


def test_the_solution_passes(course, tmp_path):
    root, part, _ = course
    score = graded(root, root / "solution", tmp_path, *ITSELF)
    assert [(c["id"], c["part"], c["status"], c["score"]) for c in score["checks"]] == [
        ("best-epoch", part, "passed", 2)
    ]


def test_a_wrong_one_is_named(course, tmp_path):
    root, _, file = course
    work = tmp_path / "work"
    shutil.copytree(root / "solution", work)
    change(work / file, ("return 1 + accuracies", "return accuracies"))
    score = graded(root, work, tmp_path / "reports", *ITSELF)
    named = [(check["id"], check["finding"], check["place"]) for check in score["checks"]]
    assert named == [("best-epoch", "epochs-from-zero", f"TODO 8, best_epoch in {file}")]


def test_the_corpus_goes_along(course, tmp_path):
    """A wheat that replaces the whole of train.py, and a chaff of it: what they do not know comes from solution/."""
    out = tmp_path / "out"
    done = run("-m", "grader", "selftest", WHOLE, "accuracy-percent", "--seeds", 1, "--out", out, cwd=course[0])
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["entry"]: row for row in read_told(out / "runs.sqlite").values()}
    assert rows[WHOLE]["failed"] == {} and course[1] in rows[WHOLE]["parts"]
    assert rows["accuracy-percent"]["first"] == "accuracy-in-percent"


def test_a_method_that_the_corpus_cannot_know_is_named_once(course, tmp_path):
    """A method of a class cannot be put beside it: one sentence says where to add it."""
    root = tmp_path / "own"
    shutil.copytree(course[0], root, ignore=shutil.ignore_patterns("__pycache__"))
    change(
        root / "grader/contract.py",
        ("    ),\n    parts=(", '        Todo(9, "model.py", "DigitClassifier.best"),\n    ),\n    parts=('),
    )
    done = run("-m", "grader", "selftest", "accuracy-percent", "--out", tmp_path / "out", cwd=root)
    told = "tests/base: model.py has no DigitClassifier.best, TODO 9 of the contract; add it."
    assert done.returncode == 2 and told in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
