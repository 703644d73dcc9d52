"""On the way from stub to solution: each function solved alone earns its own points, and the next step is sensible."""

from __future__ import annotations

import ast

import pytest

from grader.authoring.markers import student_version
from grader.contract import WEEK
from grader.corpus import entries as corpus

FUNCTIONS = {
    1: ("data.py", "make_transform"),
    2: ("data.py", "make_loaders"),
    3: ("model.py", "__init__"),
    4: ("model.py", "forward"),
    5: ("train.py", "train_one_epoch"),
    6: ("train.py", "evaluate"),
    7: ("train.py", "fit"),
}
EARNED = {  # what must pass when just these TODOs are solved
    (1,): {"transform"},
    (3,): {"builds"},
    (3, 4): {"builds", "score-shape", "registered", "gradients", "non-linear", "raw-scores", "independent"},
    (5,): {"step", "fresh-gradients", "train-mode", "mean-loss"},  # judges the half that is there
    (6,): {"evaluate-accuracy", "evaluate-clean"},
    (5, 6): {"step", "fresh-gradients", "train-mode", "mean-loss", "evaluate-accuracy", "evaluate-clean"},
    (7,): {"fit-history", "fit-learns"},
    (1, 2): {"transform", "batches", "preparation", "splits", "reshuffle"},
    (6, 1): {"transform", "evaluate-accuracy", "evaluate-clean"},
}


def span(text: str, name: str) -> tuple[int, int]:
    """First and last line (from 1) of the function called `name`."""
    found = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == name)
    return found.lineno, found.end_lineno or found.lineno


def solved(todos: tuple[int, ...]) -> dict[str, str]:
    """The skeleton with the reference's code for these TODOs."""
    invitations = {str(number): "your turn." for number in WEEK.todo}
    files = {name: student_version(name, text, invitations) for name, text in corpus.reference().items()}
    for todo in todos:
        file, name = FUNCTIONS[todo]
        whole = corpus.reference()[file]
        first, last = span(whole, name)
        body = whole.splitlines()[first - 1 : last]
        lines = files[file].splitlines()
        first, last = span(files[file], name)
        lines[first - 1 : last] = body
        files[file] = "\n".join(lines) + "\n"
    return files


@pytest.mark.parametrize("todos", EARNED, ids=str)
def test_solved_functions_earn_their_points_and_the_rest_waits(todos, graded):
    result = graded(solved(todos))
    passed = {check.id for check in result.checks if check.status == "passed"}
    assert passed == EARNED[todos]
    assert {check.status for check in result.checks if check.id not in passed} <= {"todo", "blocked"}
    first_open = next(number for number in FUNCTIONS if number not in todos)
    assert result.next_step is not None
    if todos in ((1,), (3, 4), (1, 2), (5, 6)):
        assert result.next_step.todo == first_open
    assert result.next_step.todo not in todos


def test_everything_but_fit_leaves_only_fit_and_the_accuracy(graded, worth):
    result = graded(solved((1, 2, 3, 4, 5, 6)))
    assert result.score == worth("data", "model", "training") - worth("fit-history", "fit-learns")
    assert result.next_step is not None and result.next_step.todo == 7
