"""The student's first hour: half-finished states, and the one sentence that each of them is told.

A state is data, in tests/states/. It begins with the assignment as it is handed out:

name = "code below the raise"
solved = [1, 2]       # these TODOs have the reference's code; default: all before the first that the state is about
code.5 = "..."        # in the place of the stub's raise line; above.5, below.5: beside the line, which stays
append."model.py" = "..."                        # at the end of a file
patch = [["train.py", "old", "new"], ...]        # `old` must occur exactly once
files."helper.py" = "..."                        # one more file, or another one in its place
remove = ["data.py"]
notebook = true       # all of this in the notebook's cells, beside untouched files; in_files: TODOs solved in those
cells = ["..."]       # more cells at its end; untag, drop: names of the cells that lost their tags, or are gone
parts = ["model"]     # default: the part that judges the TODO
says = "..."          # the first sentences of the next step, or what must occur in its words
todo = 5              # the TODO it is about
note = "..."          # what a note above the report says; waits: checks that wait
"""

from __future__ import annotations

from typing import Any

import pytest

from grader.contract import WEEK
from grader.engine.causes import Error, cause_of
from grader.engine.reports import words
from grader.engine.rubric import load_toml
from tests.student_states import FOLDER, lay_out, states


def parts_of(state: dict[str, Any]) -> list[str]:
    """The part that judges the TODO, and for a state that names none the first three."""
    number = state.get("todo") or min(
        (int(n) for kind in ("code", "above", "below") for n in state.get(kind, {})), default=0
    )
    part = next((check.part for check in WEEK.checks if check.todo == number), "")
    return state.get("parts") or ([part] if part else list(WEEK.quick_parts))


@pytest.mark.corpus
@pytest.mark.parametrize("state", states(), ids=lambda state: state["name"])
def test_a_half_finished_state_is_told_what_it_needs(state, graded, quick, tmp_path):
    result = graded(
        lay_out(state, tmp_path / "assignment"), quick if state.get("quick") else None, parts=parts_of(state)
    )
    step, told = result.next_step, words.next_step(result)
    said = "\n".join([told[0], *told[1]])
    assert state.get("note", "") in " ".join(result.submission["notes"])
    if "says" not in state:
        assert step is None or step.status == "todo", said
        return
    assert step is not None and step.todo == state["todo"], said
    assert state["says"] in said, said
    assert step.finding == state.get("finding"), said
    assert not any(check.status == "grader_error" for check in result.checks)
    waiting = {check.id for check in result.checks if check.status == "blocked"}
    assert waiting >= set(state.get("waits", ())), waiting


@pytest.mark.parametrize("row", load_toml(FOLDER / "messages.toml")["message"], ids=lambda row: row["message"][:60])
def test_a_message_is_explained_by_its_row(row):
    error = Error(**{name: value for name, value in row.items() if name != "finding"})
    found = cause_of(WEEK.hints_path, error)
    assert found is not None and found[0].id == row["finding"]


@pytest.mark.parametrize("error", [
    Error("ValueError", "nothing that anybody knows", "x = f(y)"),
    Error("RuntimeError", "stack expects each tensor to be equal size", "torch.stack(pictures)"),
    Error("TypeError", "'method' object is not iterable", "for name in names.keys:"),
    Error("AttributeError", "'bool' object has no attribute 'sum'", "(a == b).sum()"),
    Error("NameError", "name 'optimizer' is not defined. Did you mean: 'optimizers'?", "optimizer.step()", "step"),
    Error("SyntaxError", "invalid syntax", "for x y in z:", importing=True),
])  # fmt: skip
def test_no_cause_is_named_where_only_a_part_fits(error):
    found = cause_of(WEEK.hints_path, error)
    assert found is None or found[0].id in ("name-misspelt", "type-lacks-name", "method-without-brackets")


def test_the_table_is_broad():
    named = [state["name"] for state in states()]
    assert len(named) == len(set(named)) and len(named) >= 120
    assert {state.get("todo") for state in states() if "says" in state} >= set(WEEK.todo)
