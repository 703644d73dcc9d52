"""THE WEEK IN ONE TABLE: a straight line through points."""

from __future__ import annotations

from pathlib import Path

from grader.engine.contract import Contract, Part, Todo

WEEK = Contract(
    folder=Path(__file__).resolve().parent,
    package=__name__.rpartition(".")[0],
    files={"line.py": ("prediction", "fitting")},
    todos=(Todo(1, "line.py", "predict"), Todo(2, "line.py", "fit")),
    parts=(
        Part("prediction", "from a line to its heights", "test_1_prediction"),
        Part("fitting", "from points to their line", "test_2_fitting"),
    ),
    run_order=("prediction", "fitting"),
)
