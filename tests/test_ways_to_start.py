"""Every way to start the grader works, or says one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

from grader.contract import WEEK

ROOT = WEEK.root
HERE = f"Your work is graded with `pytest grader/`, in the folder {ROOT}."
SENTENCES = [
    (["-m", "pytest", "assignment"], ".", 4, HERE),
    (["-m", "pytest", "assignment/week3.ipynb"], ".", 4, HERE),
    (["-m", "pytest"], "assignment", 4, HERE),
    (["-m", "pytest", "Grader/"], ".", 4, HERE),
    (
        ["-m", "pytest", "grader/", "--sumbission=assignment"],
        ".",
        4,
        "There is no option --sumbission. Did you mean --sub",
    ),
    (["-m", "pytest", "grader/", "--submision", "assignment"], ".", 4, "Did you mean --submission?"),
    (["-m", "pytest", "grader/", "--all-hint"], ".", 4, "Did you mean --all-hints?"),
    (["-m", "pytest", "-p", "no:grader", "grader/"], ".", 4, "The environment of the assignment is not active"),
    (["-m", "pytest", "-p", "no:grader", "grader/", "--submission=solution"], ".", 4, "is not active"),
    (["-m", "grader"], ".", 2, "Your work is graded with `pytest grader/`"),
    (["-S", "-m", "grader"], ".", 2, "The environment of the assignment is not active"),
    (["grader"], ".", 2, "Your work is graded with `pytest grader/`"),
]


def run(arguments: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT / folder, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


@pytest.mark.parametrize(("arguments", "folder", "status", "told"), SENTENCES, ids=lambda value: str(value)[:50])
def test_what_cannot_be_graded_is_one_sentence(arguments, folder, status, told):
    done = run(arguments, folder)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == status and told in said and len(said.splitlines()) == 1, said


def test_bare_pytest_in_the_folder_of_the_grader_grades_and_x_leaves_nothing_out():
    done = run(["-m", "pytest", "-x", "-m", "model"], "grader")
    assert done.returncode == 1 and "Next step: TODO 3" in done.stdout, done.stdout + done.stderr
    assert "more finding" not in done.stdout


def test_what_is_left_out_by_name_is_not_missed():
    left_out = ("1_data", "3_training", "4_accuracy")
    done = run(["-m", "pytest", "grader/", *(f"--ignore=grader/checks/test_{name}.py" for name in left_out)], ".")
    assert done.returncode == 1 and "Next step: TODO 3" in done.stdout and "Score 0/20" in done.stdout, done.stdout
