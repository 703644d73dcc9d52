"""`selftest --mutants`: programs one change away from a right one, and the oracle that says which do the same."""

from __future__ import annotations

import ast
from contextlib import closing
from pathlib import Path

import pytest

from grader.__main__ import main
from grader.corpus import oracle
from grader.corpus.entries import reference
from grader.corpus.mutation import mutants
from grader.engine.many.store import Store


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    return oracle.few_digits(tmp_path_factory.mktemp("digits"))


def with_change(old: str, new: str) -> dict[str, str]:
    files = reference()
    assert old in files["train.py"]
    return files | {"train.py": files["train.py"].replace(old, new)}


def test_the_oracle_parts_what_is_written_otherwise_from_what_does_something_else(digits):
    right = oracle.behaviour(reference(), digits)
    assert right
    assert (
        oracle.behaviour(with_change("optimizer.zero_grad()", "optimizer.zero_grad(set_to_none=True)"), digits) == right
    )
    assert oracle.behaviour(with_change("optimizer.step()", "optimizer.step(), optimizer.step()"), digits) != right


def test_what_does_not_end_or_stops_has_no_behaviour(digits, monkeypatch):
    assert oracle.behaviour(with_change("optimizer.zero_grad()", "optimizer.zero()"), digits) == ""
    monkeypatch.setattr(oracle, "SECONDS", 4)
    assert oracle.behaviour(with_change("optimizer.zero_grad()", "while True: pass"), digits) == ""


def test_an_answer_is_kept(tmp_path, digits, monkeypatch):
    with closing(Store(tmp_path / oracle.KEPT)) as kept:
        first = oracle.Oracle(digits, kept)(reference())
    monkeypatch.setattr(oracle, "behaviour", lambda *_: pytest.fail("asked again"))
    with closing(Store(tmp_path / oracle.KEPT)) as kept:
        assert oracle.Oracle(digits, kept)(reference()) == first


@pytest.mark.corpus
def test_mutants_are_graded_and_a_second_run_has_nothing_left_to_do(tmp_path, capsys):
    command = [
        "selftest",
        "clip-grad-norm",
        "--mutants",
        "4",
        "--jobs",
        "2",
        "--out",
        str(tmp_path / "out"),
        "--resume",
    ]
    status = main(command)
    told = capsys.readouterr().out
    assert "4 of " in told and "of 1 correct solutions" in told
    report = (tmp_path / "out" / "mutants.md").read_text(encoding="utf-8")
    assert "| operator | caught | same | differ |" in report
    assert main(command) == status
    again = capsys.readouterr().out
    assert "4 of 4 runs are finished already." in again and "to do" not in again
    assert again.splitlines()[-3:] == told.splitlines()[-3:]


def test_every_mutant_is_python_and_another_text():
    text = ast.unparse(ast.parse(reference()["train.py"]))
    found = list(mutants("reference", "train.py", text))
    assert len(found) > 50 and len({one.operator for one in found}) > 10
    for one in found:
        compile(one.text, one.file, "exec")
        assert one.text != text
