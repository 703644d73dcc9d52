"""A fault of the grader's own costs nobody points where that can be shown, and leaves its stack behind everywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine import reports, trouble
from grader.engine.contract import Contract
from grader.engine.run import Run, grade
from grader.engine.run_folders import private_folder, remove_folder
from grader.engine.servers import surroundings
from grader.engine.submission.read import read
from grader.engine.worker import processes
from grader.engine.worker.trusted.start import Server, start

ROOT = Path(__file__).resolve().parents[1]
LINUX = sys.platform.startswith("linux")
WITHOUT = replace(WEEK, known_good=dict)  # what a student's copy knows: it has no solution

# Faults of ours, put into the probes of a worker before it serves: {what it stands for: lines}
SABOTAGE = """
import grader.probes.model as probes

first, original = probes.construct, probes.reach

def construct(student):
    return {}["x"]

def reach(*arguments):  # called inside `attempt`: what it raises travels as a value
    return None + 1

construct.modules = first.modules
probes.construct, probes.reach = construct, reach
"""


@pytest.fixture(scope="module", params=["fork", "spawn"])
def sabotaged(request, tmp_path_factory) -> Iterator[Server]:
    """A server whose probes `construct` and `learn` have a fault."""
    if request.param == "fork" and not LINUX:
        pytest.skip("not run: there is no fork tier here")
    folder = tmp_path_factory.mktemp("sabotage")
    (folder / "sabotage.py").write_text(SABOTAGE, encoding="utf-8")
    plain = processes.bootstrap
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "bootstrap", lambda call: plain(f"sys.path.append({str(folder)!r}); {call}"))
        told = surroundings(WEEK)
        told = replace(told, preload=(*told.preload, "sabotage"))
        server = start(request.param, private_folder(), None, told, remove_folder)
        yield server
        server.close()


@pytest.fixture
def opened(tmp_path) -> Iterator[Callable[..., Run]]:
    """opened(server, contract, model=text): a run of the reference, with files changed."""
    runs = []

    def open_run(server: Server, contract: Contract = WEEK, **changes: str) -> Run:
        folder = tmp_path / f"work{len(runs)}"
        folder.mkdir()
        for name, text in (corpus.reference() | {f"{n}.py": t for n, t in changes.items()}).items():
            (folder / name).write_text(text, encoding="utf-8")
        runs.append(Run(read(folder, contract, 64_000), server, seed=1))
        return runs[-1]

    yield open_run
    for run in runs:
        run.close()


def told(run: Run) -> str:
    return trouble.page(run.results, run.traces)


# -- a fault in a probe ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["builds", "gradients"])
def test_a_probe_that_fails_for_a_good_solution_too_is_our_fault(name, sabotaged, opened):
    check = replace(WEEK.check[name], function=without_ready(WEEK.check[name].function))
    run = opened(sabotaged)
    found = run.check(check)
    assert (found.status, found.finding, found.score) == ("grader_error", "grader-broken", 0), found
    error = {"builds": "KeyError", "gradients": "TypeError"}[name]
    assert error in found.message and "own solution" in found.message and "?" not in found.message
    assert f"== {name}: grader_error" in told(run) and "Traceback" in told(run) and error in told(run)


@pytest.mark.parametrize("name", ["builds", "gradients"])
def test_in_a_students_copy_it_reads_as_before_and_the_stack_is_kept(name, sabotaged, opened):
    check = replace(WEEK.check[name], function=without_ready(WEEK.check[name].function))
    run = opened(sabotaged, WITHOUT)
    found = run.check(check)
    assert (found.status, found.finding) == ("crashed", "answer-odd"), found.message
    where = {"builds": "in construct", "gradients": "in reach"}[name]
    assert where in told(run) and "Traceback" not in found.message + found.hint


def without_ready(function: Callable[..., None]) -> Callable[..., None]:
    """The check alone, without what it asks of the model first, which has a fault here as well."""

    def alone(student: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            if function is WEEK.check["gradients"].function:
                patch.setitem(unwrap(function).__globals__, "ready", lambda student: None)
            function(student)

    return alone


def test_the_result_of_such_a_run_is_not_final_and_carries_the_stacks(sabotaged, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    result = grade(read(folder, WEEK, 64_000), sabotaged, seed=1, parts=["model"])
    assert {check.status for check in result.checks} == {"grader_error"}
    assert result.trouble.count("KeyError: 'x'") == 7
    reports.write(result, tmp_path / "out")
    assert (tmp_path / "out" / "trouble.txt").read_text(encoding="utf-8") == result.trouble
    assert "Traceback" not in (tmp_path / "out" / "score.json").read_text(encoding="utf-8")
    assert reports.read(tmp_path / "out", WEEK.sections).trouble == result.trouble
    reports.write(replace(result, trouble=""), tmp_path / "out")  # one of an earlier run would belong to another score
    assert not (tmp_path / "out" / "trouble.txt").exists()


def test_what_a_submission_did_to_an_interpreter_is_not_taken_for_our_fault(spawned, opened):
    """It breaks a probe where the portable worker does not look; a good solution is asked in a fresh process."""
    breaks = "import grader.probes.model as probes\nprobes.own_functions = None\n"
    run = opened(spawned, model=breaks + corpus.reference()["model.py"])
    found = run.check(WEEK.check["builds"])
    assert (found.status, found.finding) == ("crashed", "answer-odd"), found
    assert run.known_good is not None and "NoneType" in told(run)


def test_what_student_code_gives_back_is_still_its_own(server, opened):
    """A wrong answer stops our code as well, but not for a good solution; its message stays what it was."""
    run = opened(server, model="import torch\n\n\ndef DigitClassifier(width):\n    return 3\n")
    found = run.check(WEEK.check["builds"])
    assert found.status == "failed" and run.known_good is not None and told(run) == ""


# -- a fault in a check ------------------------------------------------------------------------------------------


def faulty(error: str, only: str = "") -> Callable[..., None]:
    """A check that looks at an answer and then stops in our own code. only: for a submission that says this."""

    def function(student: Any) -> None:
        """has a fault"""
        seen = student.observe("model.construct")
        if not only or only in seen["defines"]:
            {"KeyError": lambda: {}["x"], "OverflowError": lambda: int(float("inf")), "AssertionError": refuse}[error]()

    return function


def refuse() -> None:
    raise AssertionError("refused")


@pytest.mark.parametrize("error", ["KeyError", "OverflowError", "AssertionError"])
def test_a_check_that_fails_for_a_good_solution_too_is_our_fault(error, server, opened):
    check = replace(WEEK.check["builds"], function=faulty(error))
    run = opened(server)
    found = run.check(check)
    assert (found.status, found.finding) == ("grader_error", "grader-broken")
    assert "test_traces.py" in told(run) and error in told(run)


@pytest.mark.parametrize("error", ["KeyError", "OverflowError", "AssertionError"])
def test_an_answer_that_stops_a_check_is_not_our_fault(error, server, opened):
    """Whatever a submission makes our code stop with, it does not get "could not be judged" for it."""
    odd = corpus.reference()["model.py"] + "\n    def odd(self):\n        pass\n"
    check = replace(WEEK.check["builds"], function=faulty(error, only="odd"))
    run = opened(server, model=odd)
    found = run.check(check)
    assert (found.status, found.finding, found.score) == ("crashed", "answer-malformed", 0), found
    assert "DigitClassifier" in found.message and "?" not in found.message
    assert "model.py" in found.hint and error in told(run)
    assert opened(server).check(check).status == "passed"


def test_without_a_good_solution_an_odd_answer_counts_as_one_and_names_the_function(server, opened):
    run = opened(server, WITHOUT)
    found = run.check(replace(WEEK.check["builds"], function=faulty("KeyError")))
    assert (found.status, found.finding) == ("crashed", "answer-malformed")
    assert "DigitClassifier" in found.message and "?" not in found.message and "KeyError" in told(run)
    other = run.check(replace(WEEK.check["registered"], function=faulty("AssertionError")))
    assert other.status == "grader_error"


def test_what_goes_wrong_before_any_answer_is_always_ours(server, opened):
    def function(student: Any) -> None:
        {}["x"]

    found = opened(server, WITHOUT).check(replace(WEEK.check["builds"], function=function))
    assert found.status == "grader_error" and "KeyError" in found.message


# -- the child's word --------------------------------------------------------------------------------------------

FRAME = """
import json, os, struct
def tell(kind, values, raised={}):
    text = json.dumps({"kind": kind, "values": values, "arrays": [], "raised": raised}).encode()
    os.write(3, struct.pack(">4sII", b"GRD1", len(text), 0) + text)
"""
CLAIMS = FRAME + textwrap.dedent("""
    tell("trace", {"text": "Traceback: the grader broke\\x1b[2J " + "x" * 19_000})
    tell("failed", {}, {"error": {"type": "KeyError", "message": "in the grader", "frames": [], "quote": ""}})
    os._exit(0)
""")
LACKS = FRAME + 'tell("answer", {})\nos._exit(0)\n'


@pytest.mark.skipif(not LINUX, reason="not run: there is no fork tier here")
@pytest.mark.parametrize(("text", "finding"), [(CLAIMS, "answer-odd"), (LACKS, "answer-malformed")])
def test_a_child_that_says_it_was_our_fault_is_not_believed(text, finding, server, opened):
    run = opened(server, model=text)
    found = [run.check(check) for check in WEEK.checks if check.part == "model"]
    assert (found[0].status, found[0].finding) == ("crashed", finding), found
    assert {check.status for check in found} <= {"crashed", "blocked"}
    assert not any("?" in check.message for check in found)
    assert "\x1b" not in told(run) and len(told(run)) < 7 * 21_000 + 1000
    if text is LACKS:
        assert "ProtocolBroken" in told(run)


# -- at the front door -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not LINUX, reason="not run: there is no fork tier here")
def test_the_terminal_says_where_the_stacks_are(tmp_path):
    for name, text in (corpus.reference() | {"model.py": LACKS}).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "grader/", f"--submission={tmp_path}", "-m", "model", "--worker=fork"]

    def shown(*more: str) -> str:
        done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    out = tmp_path / "out"
    assert f"{out / 'trouble.txt'} has the details for your teacher" in shown(f"--report={out}")
    assert "ProtocolBroken" in (out / "trouble.txt").read_text(encoding="utf-8")
    assert "--report=DIR keeps the details" in shown()


@pytest.mark.parametrize(("file", "old", "line"), [
    ("probes/model.py", "    pool = torch.from_numpy(images)\n", "    nothing = {}['x']  # probe\n"),
    ("checks/test_2_model.py", "    judge_registered(student)\n", "    nothing = {}['x']  # check\n"),
], ids=["probe", "check"])  # fmt: skip
def test_the_author_of_a_probe_or_check_sees_file_line_and_traceback(file, old, line, tmp_path):
    """Where the solution is, whoever runs the grader looks after it; `try` and pytest show the same place."""
    for name in ("grader", "solution", "assignment"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "plots"))
    for name in ("pyproject.toml", "grader_entry_point.py"):
        shutil.copy(ROOT / name, tmp_path)
    broken = tmp_path / "grader" / file
    before, after = broken.read_text(encoding="utf-8").split(old, 1)
    broken.write_text(before + line + old + after, encoding="utf-8")
    place = f'{broken}", line {before.count(chr(10)) + 1}, in '
    asked = "registered" if "checks" in file else "score-shape"
    commands = (
        ["-m", "grader", "try", asked, "solution"],
        ["-m", "pytest", "grader/", "--submission=solution", "-k", asked.replace("-", "_")],
    )
    for command in commands:
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 3, done.stdout + done.stderr
        assert f'\n  File "{place}' in done.stdout and "\nKeyError: 'x'" in done.stdout, done.stdout
