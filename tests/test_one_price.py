"""One mistake, one price: a function that does not work takes the points of no other with it, but those of accuracy."""

from __future__ import annotations

import ast

import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus

FUNCTIONS = {
    1: ("data.py", "make_transform"),
    2: ("data.py", "make_loaders"),
    5: ("train.py", "train_one_epoch"),
    6: ("train.py", "evaluate"),
    7: ("train.py", "fit"),
}
BODIES = {"open": 'raise NotImplementedError("TODO {todo}")', "empty": "return None", "stops": "return [][{todo}]"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("todo", FUNCTIONS)
def test_a_function_that_does_not_work_costs_its_own_points(todo, body, graded):
    file, name = FUNCTIONS[todo]
    files = corpus.reference()
    tree = ast.parse(files[file])
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    function.body = ast.parse(BODIES[body].format(todo=todo)).body
    part = next(check.part for check in WEEK.checks if check.todo == todo)
    result = graded(files | {file: ast.unparse(tree)}, parts=[part])
    lost = {check.todo for check in result.checks if check.score < check.max_score}
    assert lost == {todo}, [(check.id, check.status, check.finding) for check in result.checks]


def test_loaders_are_judged_although_no_picture_can_be_told_from_another(graded):
    """The grader's make_transform stands in for one that leaves nothing to see; a fault of the loaders still shows."""
    files = corpus.reference()
    scaling = "            transforms.ToTensor(),"
    blank = "            lambda picture: 0 * transforms.ToTensor()(picture),"
    assert scaling in files["data.py"]
    files["data.py"] = files["data.py"].replace(scaling, blank)
    failed = {check.id for check in graded(files, parts=["data"]).checks if check.status != "passed"}
    assert failed == {"transform"}
    files["data.py"] = files["data.py"].replace("shuffle=True", "shuffle=False")
    found = {check.id: check.finding for check in graded(files, parts=["data"]).checks if check.status != "passed"}
    assert found.keys() == {"transform", "reshuffle"} and found["reshuffle"] == "train-not-reshuffled"
