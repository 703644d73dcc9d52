"""`python -m grader try CHECK DIR`: one check in this process, with the engine's own Student, open to a debugger."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from grader.__main__ import main
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.check import Check
from grader.engine.front import try_check
from grader.engine.run import Run
from grader.engine.servers import surroundings
from grader.engine.submission.read import read
from grader.engine.worker.in_process import InProcessServer

ROOT = Path(__file__).resolve().parents[1]
FORWARD = "return self.output(x)  # (B, 10)"


def submission(folder: Path, *changes: tuple[str, str, str]) -> Path:
    """The reference with some texts replaced: (file, old, new)."""
    files = corpus.reference()
    for name, old, new in changes:
        assert files[name].count(old) == 1
        files[name] = files[name].replace(old, new)
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_it_says_what_a_run_says(tmp_path, graded, capsys):
    """Status, finding and message of one seed, as the engine gives them with student code in a child."""
    folder = submission(tmp_path / "work", ("train.py", "        optimizer.zero_grad()\n", ""))
    usual = next(c for c in graded(folder, seed=7, parts=["training"]).checks if c.id == "fresh-gradients")
    assert main(["try", "fresh-gradients", str(folder), "--seed=7"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("Student code runs unprotected") and "--seed=7@" in told
    assert f"{usual.id}, {usual.title}: failed" in told and f"{usual.finding} at {usual.place}" in told
    assert usual.message in told and usual.hint in told


def test_the_debugger_works_in_the_files_that_were_handed_in(tmp_path):
    folder = submission(tmp_path / "work", ("model.py", FORWARD, f"breakpoint()\n        {FORWARD}"))
    command = [sys.executable, "-m", "grader", "try", "raw-scores", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, input="p 'typed', x.shape\nq\n", capture_output=True, text=True, timeout=120
    )  # fmt: skip
    assert f"{folder / 'model.py'}(" in done.stdout and "('typed', torch.Size([" in done.stdout, done.stdout
    assert done.returncode == 130 and done.stderr == "Stopped.\n" and "raw-scores" not in done.stdout


def test_an_exception_that_a_probe_looks_at_is_shown_whole(tmp_path, capsys):
    line = "scores = model(images)  # (B, 10)\n        loss"
    folder = submission(tmp_path / "work", ("train.py", line, "scores = network_of_mine\n        loss"))
    assert main(["try", "step", str(folder)]) == 1
    told = capsys.readouterr().out
    assert told.count("Traceback (most recent call last):") == told.count("NameError: name 'network_of_mine'") - 1 == 1
    assert "probing.py" in told and "in train_one_epoch" in told and "name-unknown at TODO 5" in told


def test_bad_input_is_one_sentence(tmp_path, capsys):
    for check, folder, more, told in (
        ("raw-score", ROOT / "solution", [], "Did you mean raw-scores?"),
        ("raw-scores", tmp_path / "nowhere", [], "There is no folder"),
        ("raw-scores", ROOT / "solution", ["--seed=seven"], "is not a seed"),
        ("raw-scores", ROOT / "solution", [f"--key={tmp_path / 'nowhere'}"], "cannot be read"),
    ):
        assert main(["try", check, str(folder), *more]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and told in shown.err and len(shown.err.splitlines()) == 1


def with_a_slip(student) -> None:
    """A check with a slip of its own"""
    student.observe("model.construct")
    {}["x"]


def test_a_slip_in_a_check_is_shown_with_its_line(capsys):
    week = replace(WEEK)
    slip = replace(WEEK.check["builds"], function=with_a_slip)
    vars(week)["checks"] = tuple(slip if check.id == slip.id else check for check in WEEK.checks)  # as it keeps them
    status = try_check.run(Namespace(check="builds", submission=ROOT / "solution", seed="1", key=None), week)
    told = capsys.readouterr().out
    assert status != 0 and '{}["x"]' in told and "KeyError: 'x'" in told and str(Path(__file__)) in told


@pytest.mark.parametrize("check", [c for c in WEEK.checks if c.id != WEEK.long], ids=lambda check: check.id)
def test_the_reference_passes_here_as_well(check: Check):
    server = InProcessServer(surroundings(WEEK), ROOT / "solution")
    run = Run(read(ROOT / "solution", WEEK, 64_000), server, seed=3)
    try:
        assert run.check(check).status == "passed", [repr(error) for error in server.caught]
    finally:
        run.close()
        server.close()


def test_files_are_taken_from_where_they_lie(tmp_path):
    folder = submission(tmp_path / "work")
    assert try_check.folder_of(read(folder, WEEK, 64_000)) == folder.resolve()
    repository = tmp_path / "repository"
    repository.mkdir()
    inner = folder.rename(repository / WEEK.work)
    assert try_check.folder_of(read(repository, WEEK, 64_000)) == inner.resolve()
