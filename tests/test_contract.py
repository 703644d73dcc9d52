"""The one table of the week: what contradicts itself is said in one sentence, and what follows from it is right."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from grader.contract import WEEK
from grader.engine.contract import LiveWords, Part, Todo
from grader.engine.front.pytest_session import Host


@pytest.mark.parametrize(("fields", "told"), [
    ({"run_order": ("model", "training", "data")}, "run_order must name every part once: data, model, training"),
    ({"run_order": (*WEEK.run_order, "extra")}, "run_order must name every part once"),
    ({"files": {**WEEK.files, "extra.py": ()}}, "extra.py needs the parts in which it runs"),
    ({"files": {**WEEK.files, "extra.py": ("extra",)}}, "extra.py needs the parts in which it runs"),
    ({"todos": (*WEEK.todos, Todo(8, "extra.py", "more"))}, "TODO 8 stands in extra.py"),
    ({"parts": (*WEEK.parts, Part("least squares", "", ""))}, "'least squares' cannot be chosen with -m"),
])  # fmt: skip
def test_a_table_that_contradicts_itself_is_refused(fields: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        replace(WEEK, **fields)
    assert str(caught.value).startswith("contract.py: ")


def test_every_todo_is_judged_in_one_part_and_every_file_belongs_somewhere():
    numbers = [todo.number for part in WEEK.part_names for todo in WEEK.todos_of(part)]
    assert sorted(numbers) == sorted(WEEK.todo)
    assert {file for part in WEEK.part_names for file in WEEK.files_of(part)} == set(WEEK.files)


def test_a_part_without_a_todo_of_its_own_has_the_files_that_run_in_it():
    assert WEEK.todos_of("accuracy") == () and WEEK.files_of("accuracy") == ("data.py", "model.py", "train.py")
    assert WEEK.files_of("model") == ("model.py",)  # its code runs in other parts too, where it is not judged


@pytest.mark.parametrize(("running", "told", "shown"), [
    ("round {round} of {all}", {"round": 3, "all": 5}, "round 3 of 5"),
    ("working", {"round": 3}, "working"),
    ("round {round}", {"epoch": 3}, "before"),
    ("round {round}", {"round": "\x1b[2J"}, "before"),  # student code can tell too
    ("round {round}", {"round": 10**9}, "before"),
    ("round {round}", {"round": 2.5}, "before"),
    ("round {round}", {"round": True}, "before"),
])  # fmt: skip
def test_the_live_picture_is_filled_with_counts_only(running: str, told: dict[str, Any], shown: str):
    contract = replace(WEEK, live=LiveWords("before", running))
    host = SimpleNamespace(contract=contract, going_on="before", on_change=lambda: None)
    Host.show_progress(host, told)  # type: ignore[arg-type]
    assert host.going_on == shown
