"""`python -m grader watch`: which checks run again, what is shown, and real sessions in a pseudo-terminal."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.result import CheckResult, Result
from grader.engine.run import Kept
from grader.engine.seen import Seen
from grader.engine.submission.read import Submission, read
from grader.engine.watching import saves
from grader.engine.watching.order import in_order
from grader.engine.watching.page import Page
from grader.engine.watching.reuse import may_stand, reached
from grader.engine.watching.saves import Saves
from grader.engine.watching.screen import frame
from grader.engine.watching.session import Begun, Ended, Event, Judged, NotGraded, Session
from grader.engine.watching.shown import Shown, asked, heard, hinted, step_words, turned

try:
    from tests.watched import Watched
except ImportError:  # they are for Unix
    Watched = None  # type: ignore[assignment, misc]

ROOT = Path(__file__).resolve().parents[1]
SOLVED = corpus.reference()
SKELETON = {name: (ROOT / "assignment" / name).read_text(encoding="utf-8") for name in SOLVED}
SOFTMAX = SOLVED["model.py"].replace("self.output(x)  #", "self.output(x).softmax(dim=1)  #")
ENDLESS = SOLVED["model.py"].replace("        return self.out", "        while x.ndim: x = x\n        return self.out")
MODEL_ALONE = {**SKELETON, "model.py": SOLVED["model.py"]}


def laid_out(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


# -- which checks run, and in which order


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def first_todos(before: dict[str, str], now: dict[str, str]) -> list[int]:
    """The TODOs of the checks in their order, each once."""
    return list(dict.fromkeys(c.todo for c in in_order(WEEK.checks, WEEK, encoded(before), encoded(now))))


def test_the_function_that_changed_is_checked_first_and_then_its_file():
    now = SOLVED | {"train.py": SOLVED["train.py"].replace("model.eval()", "model.train()")}
    order = first_todos(SOLVED, now)
    assert order[0] == 6 and set(order[:3]) == {5, 6, 7}


def test_accuracy_comes_last_whatever_changed():
    for name in SOLVED:
        now = SOLVED | {name: SOLVED[name] + "\nMORE = 1\n"}
        assert in_order(WEEK.checks, WEEK, encoded(SOLVED), encoded(now))[-1].id == WEEK.long


def test_comments_are_no_change_of_a_function_and_a_helper_is_one_of_its_file():
    now = SOLVED | {"train.py": "# mine\n" + SOLVED["train.py"] + "\n\ndef helper():\n    pass\n"}
    assert set(first_todos(SOLVED, now)[:3]) == {5, 6, 7}


def test_without_an_earlier_run_the_order_is_that_of_any_run():
    assert in_order(WEEK.checks, WEEK, {}, encoded(SOLVED)) == WEEK.in_run_order(WEEK.checks)


# -- what need not run again


def submission(files: dict[str, str]) -> Submission:
    return Submission("work", Path("work"), WEEK, encoded(files))


def kept(check: str, reached: tuple[str, ...], status: str = "passed") -> Kept:
    return Kept(Seen(check, status), frozenset(reached), {}, {}, "", ())  # type: ignore[arg-type]


def test_a_verdict_stands_while_all_that_its_check_reaches_has_the_same_bytes():
    then, now = submission(SOLVED), submission(SOLVED | {"train.py": SOLVED["train.py"] + "\n"})
    assert may_stand(kept("transform", ("data",)), then, now)
    assert may_stand(kept("gradients", ("model",)), then, now)
    assert not may_stand(kept("step", ("train",)), then, now)
    assert not may_stand(kept(WEEK.long, ("train", "model", "data")), then, now)


@pytest.mark.parametrize("status", ["crashed", "timeout", "blocked", "grader_error"])
def test_what_may_have_been_the_machines_doing_runs_again(status):
    assert not may_stand(kept("transform", ("data",), status), submission(SOLVED), submission(SOLVED))


@pytest.mark.parametrize("line", [
    "from data import make_transform", "import data", "import assignment.data", "from assignment import data",
    "from . import data", "def later():\n    from data import make_loaders",
])  # fmt: skip
def test_an_import_reaches_its_file_and_what_that_imports(line):
    there = submission({"data.py": "import train", "model.py": line, "train.py": "import torch"})
    assert reached(["model"], there) == {"model.py", "data.py", "train.py"}


@pytest.mark.parametrize("line", [
    "open('data.py')", "exec('')", "eval('1')", "__import__('data')", "import importlib", "from pathlib import Path",
    "import os", "import sys", "import numpy as np\nnp.loadtxt('data.py')", "import torch\ntorch.load('x')",
    "from torch import load", "import inspect", "f.__globals__", "getattr(f, 'x')", "def broken(:", "\0",
])  # fmt: skip
def test_code_that_could_reach_more_reaches_everything(line):
    assert reached(["model"], submission({**SOLVED, "model.py": line})) == set(SOLVED)


def test_what_the_solution_reaches_is_what_it_imports():
    assert reached(["data"], submission(SOLVED)) == {"data.py"}
    assert reached(["model"], submission(SOLVED)) == {"model.py"}


# -- the session


class Heard:
    """Takes a session's events, and waits for one."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait(self, number: int, *kinds: type) -> Event:
        def found() -> list[Event]:
            return [event for event in self.events if event.number == number and isinstance(event, kinds)]

        with self.changed:
            assert self.changed.wait_for(found, 120), self.events[-3:]
            return found()[0]


@pytest.fixture(scope="module")
def session() -> Iterator[tuple[Session, Heard]]:
    heard = Heard()
    made = Session(WEEK, heard, seed=1)
    yield made, heard
    made.close()


def test_a_second_run_is_the_same_and_runs_nothing_that_has_not_changed(session, tmp_path):
    session, heard = session
    folder = laid_out(tmp_path / "work", {**MODEL_ALONE, "model.py": SOFTMAX})
    first = heard.wait(session.ask(lambda: read(folder, WEEK, 64_000)), Ended)
    (folder / "train.py").write_text(SKELETON["train.py"] + "# more\n", encoding="utf-8")
    number = session.ask(lambda: read(folder, WEEK, 64_000))
    second = heard.wait(number, Ended)
    assert isinstance(first, Ended) and isinstance(second, Ended)
    assert [(c.id, c.status, c.message) for c in first.result.checks] == [
        (c.id, c.status, c.message) for c in second.result.checks
    ]
    begun = heard.wait(number, Begun)
    assert isinstance(begun, Begun) and {WEEK.check[name].part for name in begun.to_run} == {"training", "accuracy"}
    afresh = heard.wait(session.ask(lambda: read(folder, WEEK, 64_000), afresh=True), Begun)
    assert isinstance(afresh, Begun) and len(afresh.to_run) == len(WEEK.checks)


def test_a_run_is_ended_at_once_and_the_newest_files_are_graded(session, tmp_path):
    session, heard = session
    folder = laid_out(tmp_path / "work", {**MODEL_ALONE, "model.py": ENDLESS})
    number = session.ask(lambda: read(folder, WEEK, 64_000))
    heard.wait(number, Begun)
    time.sleep(1)  # it may have come to the loop
    (folder / "model.py").write_text(SOLVED["model.py"], encoding="utf-8")
    ended = heard.wait(session.ask(lambda: read(folder, WEEK, 64_000)), Ended)
    assert isinstance(ended, Ended)
    assert {check.status for check in ended.result.checks if check.part == "model"} == {"passed"}
    assert not [event for event in heard.events if event.number == number and isinstance(event, Ended)]


@pytest.mark.skipif(sys.platform != "linux", reason="how to find the worker's processes is for Linux")
def test_a_worker_that_has_died_is_replaced(session, tmp_path):
    session, heard = session
    folder = laid_out(tmp_path / "work", MODEL_ALONE)
    heard.wait(session.ask(lambda: read(folder, WEEK, 64_000)), Ended)
    for worker in psutil.Process(session.warm.servers[0].worker.pid).children(recursive=True):
        worker.kill()
    ended = heard.wait(session.ask(lambda: read(folder, WEEK, 64_000), afresh=True), Ended)
    assert isinstance(ended, Ended) and ended.result.final


def test_no_submission_is_a_sentence(session, tmp_path):
    session, heard = session
    event = heard.wait(session.ask(lambda: read(tmp_path / "none", WEEK, 64_000)), NotGraded)
    assert isinstance(event, NotGraded) and "There is no folder" in event.why and not event.ours


def test_a_fault_of_ours_is_called_ours(session):
    session, heard = session

    def broken() -> Submission:
        raise RuntimeError("the reader broke")

    event = heard.wait(session.ask(broken), NotGraded)
    assert isinstance(event, NotGraded) and event.ours and "the reader broke" in event.why
    assert "fault of the grader, not yours" in heard_by(Shown("work"), event).trouble


def heard_by(shown: Shown, *events: Event) -> Shown:
    for event in events:
        shown = heard(shown, event)
    return shown


# -- what is shown


def result_of(statuses: dict[str, str]) -> Result:
    """A result in which these checks have another status than passed."""
    checks = []
    for check in WEEK.checks:
        status, todo = statuses.get(check.id, "passed"), WEEK.todo[check.todo]
        checks.append(
            CheckResult(
                id=check.id,
                title=check.title,
                part=check.part,
                todo=check.todo,
                status=status,  # type: ignore[arg-type]
                score=5 if status == "passed" else 0,
                max_score=5,
                finding=None if status in ("passed", "todo") else f"{check.id}-finding",
                message="" if status in ("passed", "todo") else "It is odd. It was seen.",
                hint="" if status in ("passed", "todo") else "The usual cause.\nLook here.\nWhy?",
                place=f"TODO {check.todo}, {todo.name} in {todo.file}",
            )
        )
    return Result("2026-01-01T00:00:00Z", 1.0, 1, {"name": "work"}, {}, tuple(checks))


def drawn(shown: Shown, height: int = 40, width: int = 96) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, highlight=False)
    lines = frame(shown, WEEK, console, height)
    assert len(lines) <= height or shown.view == "all"
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def ended(result: Result, whys: dict[str, str] | None = None) -> Ended:
    return Ended(1, result, 3, 0.5, whys or {})


WRONG = result_of({"step": "failed", "fit-learns": "todo", "fit-history": "todo", WEEK.long: "todo"})
RIGHT = result_of({"fit-learns": "todo", "fit-history": "todo", WEEK.long: "todo"})


def test_hints_come_one_by_one_and_only_when_they_are_asked_for():
    shown = heard_by(Shown("work"), ended(WRONG))
    texts = [step_words(shown)[1]]
    for _ in range(4):
        shown = hinted(shown)
        texts.append(step_words(shown)[1])
    assert texts[:4] == [
        ["It is odd. It was seen."],
        ["It is odd. It was seen.", "The usual cause."],
        ["It is odd. It was seen.", "The usual cause.", "Look here."],
        ["It is odd. It was seen.", "The usual cause.", "Look here.", "Why?"],
    ]
    assert texts[4] == texts[3] and "last hint" in shown.note


def test_hints_that_were_asked_for_stay_until_the_finding_is_another():
    shown = hinted(heard_by(Shown("work"), ended(WRONG)))
    assert "The usual cause." in drawn(heard_by(asked(shown), ended(WRONG)))
    other = result_of({"transform": "failed", "step": "failed"})
    assert "The usual cause." not in drawn(heard_by(asked(shown), ended(other)))


def test_after_a_success_nobody_is_moved_on_and_the_idea_can_be_read():
    shown = heard_by(Shown("work"), ended(WRONG, {"step": "Because gradients add up."}))
    shown = heard_by(asked(shown, ("train.py",)), ended(RIGHT))
    screen = drawn(shown)
    assert "TODO 5 done" in screen and "When you are ready: TODO 7, fit in train.py" in screen
    assert "Next step" not in screen and "Because gradients" not in screen
    shown = hinted(shown)
    assert "Because gradients add up." in drawn(shown) and "Next step" not in drawn(shown)
    assert "Next step: TODO 7, fit in train.py" in drawn(hinted(shown))


def test_a_save_is_seen_at_once_and_the_verdicts_as_they_come():
    shown = asked(heard_by(Shown("work"), ended(RIGHT)), ("train.py",))
    assert "train.py saved. Checking ..." in drawn(shown)
    step = next(check for check in WRONG.checks if check.id == "step")
    shown = heard_by(shown, Begun(2, submission(SOLVED), ("step", "fit-history"), 19), Judged(2, step, WRONG))
    screen = drawn(shown)
    assert "Checking ... 1 of 2: " in screen and "No longer passes: " in screen and "Next step: TODO 5" in screen


def test_while_the_long_check_runs_what_it_said_before_is_not_told():
    """It may be wrong now: the rest is, and the rest passes."""
    old = result_of({WEEK.long: "failed", "step": "crashed"})
    shown = asked(heard_by(Shown("work", WEEK.long), ended(old)), ("train.py",))
    step = next(check for check in RIGHT.checks if check.id == "step")
    now = result_of({WEEK.long: "blocked"})
    shown = heard_by(shown, Begun(2, submission(SOLVED), ("step", WEEK.long), 19), Judged(2, step, now))
    screen = drawn(shown)
    assert "Everything that was checked so far passes." in screen and "being checked" in screen
    assert "Next step" not in screen and "When you are ready" not in screen and "Well done" not in screen
    shown = hinted(shown)
    assert shown.note == "There is nothing to hint at yet: wait for the check that runs."
    shown = heard_by(shown, ended(result_of({})))
    assert "Everything here passes." in drawn(shown) and shown.note == ""


def test_what_is_wrong_with_a_function_that_was_begun_is_said_at_once():
    """Nobody is told to begin it when they are ready."""
    broken = result_of({"step": "crashed", "evaluate-accuracy": "blocked"})
    shown = heard_by(Shown("work"), ended(broken, {"step": "Python reads a whole file."}))
    shown = heard_by(asked(shown, ("train.py",)), ended(result_of({"evaluate-accuracy": "failed"})))
    screen = drawn(shown)
    assert "TODO 5 done" in screen and "Next step: TODO 6" in screen and "When you are ready" not in screen


def test_who_waits_is_told_for_what():
    shown = heard_by(asked(heard_by(Shown("work"), ended(WRONG))), Begun(2, submission(SOLVED), ("fit-learns",), 20))
    assert ", for " not in drawn(replace(shown, silent=2))
    title = WEEK.check["fit-learns"].title
    assert f"Checking ... 0 of 1: {title}, for 12 s" in drawn(replace(shown, silent=12), width=200)


@pytest.mark.parametrize("height, width", [(24, 80), (16, 50), (12, 40)])
def test_the_newest_hint_is_seen_however_small_the_window(height, width):
    shown = heard_by(Shown("work"), ended(RIGHT))
    shown = heard_by(asked(shown), ended(WRONG))
    shown = replace(shown, result=replace(shown.result, prints="\n".join(map(str, range(30)))))
    for hint in ("The usual cause.", "Look here.", "Why?"):
        shown = hinted(shown)
        assert hint in drawn(shown, height, width)


def test_no_letter_is_lost_in_a_narrow_window():
    for width in range(40, 97):
        rows = drawn(heard_by(Shown("work"), ended(WRONG)), 60, width)
        assert " ".join(WEEK.check["fit-learns"].title.split()) in " ".join(re.sub(r"\b[05]/5\b", "", rows).split()), (
            width
        )


def test_what_was_not_run_again_is_said():
    assert "3 not run again: unchanged." in drawn(heard_by(Shown("work"), ended(RIGHT)))


@pytest.mark.parametrize("height, width", [(40, 96), (24, 80), (12, 40), (6, 40), (3, 20), (1, 10)])
def test_a_frame_fits_into_any_terminal(height, width):
    shown = heard_by(Shown("work"), ended(WRONG))
    for _ in range(3):
        shown = hinted(shown)
    screen = drawn(shown, height, width)
    assert "q" in screen.splitlines()[-1] or height < 4
    if height >= 12:
        assert "Next step: TODO 5" in screen


def test_everything_can_be_shown_and_the_keys_explained():
    shown = heard_by(Shown("work"), ended(result_of({"step": "failed", "transform": "failed"})))
    everything = drawn(turned(shown, "all"))
    assert everything.count("The usual cause.") == 2
    assert "ends this" in drawn(turned(shown, "help"))
    assert turned(turned(shown, "help"), "help").view == "step"


def test_a_page_that_cannot_be_written_is_said_and_written_once_it_can(tmp_path):
    (tmp_path / "report").write_text("in the way", encoding="utf-8")
    page = Page(tmp_path / "report")
    page.draw(WRONG)
    assert page.now() is None and page.problem.startswith(f"{tmp_path / 'report'} cannot be written: ")
    (tmp_path / "report").unlink()
    page.draw(RIGHT)
    assert page.now() == page.path and page.path.is_file() and page.problem == ""
    page.close()


# -- saves


@pytest.mark.parametrize("how", ["told", "looked"])
def test_saves_are_seen_however_they_are_made(how, tmp_path, monkeypatch):
    if how == "looked":
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    seen: list[tuple[str, ...]] = []
    folder = laid_out(tmp_path / "work", SKELETON)
    watching = Saves(folder, WEEK, seen.append)
    try:

        def after(change: Callable[[], object]) -> tuple[str, ...]:
            count = len(seen)
            change()
            deadline = time.monotonic() + 60
            while len(seen) == count and time.monotonic() < deadline:
                time.sleep(0.01)
            return seen[-1]

        assert after(lambda: (folder / "data.py").write_text("a = 1")) == ("data.py",)
        (folder / "beside").write_text("a = 2")
        assert after(lambda: os.replace(folder / "beside", folder / "data.py")) == ("data.py",)
        assert after(lambda: (folder / "model.py").unlink()) == ("model.py",)
        assert after(lambda: (folder / "model.py").write_text("b = 1")) == ("model.py",)
        folder.rename(tmp_path / "away")
        deadline = time.monotonic() + 60
        while watching.known and time.monotonic() < deadline:
            time.sleep(0.01)
        assert watching.known == {}
        count = len(seen)
        (tmp_path / "away").rename(folder)
        while len(seen) == count and time.monotonic() < deadline + 60:
            time.sleep(0.01)
        assert after(lambda: (folder / "train.py").write_text("c = 1")) == ("train.py",)
        count = len(seen)
        (folder / "data.py").touch()
        time.sleep(0.5)
        assert len(seen) == count  # the same content is no save
    finally:
        watching.close()


def test_a_file_that_is_being_written_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(saves, "SETTLE_SECONDS", 30.0)
    folder = laid_out(tmp_path / "work", SKELETON)
    watching = Saves(folder, WEEK, lambda names: None)
    try:
        (folder / "data.py").write_text("")
        threading.Timer(0.3, lambda: (folder / "data.py").write_text("a = 1")).start()
        assert len(watching.settled()[folder / "data.py"]) == 64
    finally:
        watching.close()


# -- without a terminal


def in_a_pipe(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "grader", "watch", str(folder), "--report", str(folder.parent / "report")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, text=True, encoding="utf-8", **pipes)


def test_in_a_pipe_there_are_plain_lines_and_closed_input_ends_it(tmp_path):
    folder = laid_out(tmp_path / "work", {**MODEL_ALONE, "model.py": SOFTMAX})
    with in_a_pipe(folder, {"PYTHONIOENCODING": "utf-8"}) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "Watching work\n"
        verdict = process.stdout.readline()
        assert "Next step: TODO 4" in verdict and "\x1b" not in verdict
        (folder / "model.py").write_text(SOLVED["model.py"], encoding="utf-8")
        assert process.stdout.readline() == "model.py saved. Checking ...\n"
        assert "TODO 4 done: " in process.stdout.readline()
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with in_a_pipe(tmp_path / "none", {}) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and out.count("\n") == 1 and "There is no folder" in out


# -- in a terminal

in_terminal = pytest.mark.skipif(Watched is None, reason="not run: no pseudo-terminal, or no pexpect and pyte")


class Place:
    """A folder to work in, and one for everything temporary."""

    def __init__(self, folder: Path):
        self.work, self.temporary = folder / "work", folder / "temporary"
        self.temporary.mkdir(parents=True)
        self.report = folder / "report"

    def watched(self, files: dict[str, str], **options: Any) -> Watched:
        laid_out(self.work, files)
        environment = {"TMPDIR": str(self.temporary), **options.pop("environment", {})}
        return Watched(self.work, ["--report", str(self.report)], environment=environment, **options)

    def left(self) -> list[str]:
        """Runs' folders that are still there."""
        return [path.name for path in self.temporary.glob("grader-run-*")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def family(session: Watched) -> list[psutil.Process]:
    root = psutil.Process(session.process.pid)
    return [root, *root.children(recursive=True)]


def ends_clean(place: Place, members: list[psutil.Process]) -> bool:
    gone, alive = psutil.wait_procs(members, timeout=30)
    return not alive and not place.left()


@in_terminal
def test_a_student_works_in_it(place):
    """Edit, save by renaming, two saves at once, hints, a syntax error and back, a deleted file and back, a resize."""
    with place.watched({**SKELETON, "model.py": SOLVED["model.py"]}) as session:
        assert "Next step: TODO 1" in session.until_done()

        session.save("model.py", SOFTMAX)
        session.until("model.py saved. Checking ...")
        screen = session.until_done()
        assert "No longer passes: Scores are raw numbers" in screen and "not run again: unchanged" in screen
        assert "Next step: TODO 4, forward in model.py" in screen and "Usually softmax" not in screen
        session.press("h")
        assert "What does the loss do" not in session.until("Usually softmax is applied")
        session.press("a")
        session.until("What does the loss do with the scores it gets?")
        session.press("?")
        session.until("ends this")

        session.save_by_renaming("model.py", SOLVED["model.py"])
        screen = session.until_done()
        assert "TODO 4 done: " in screen and "When you are ready: TODO 1" in screen
        session.press("h")
        session.until("Softmax twice is not softmax")

        session.save("model.py", SOFTMAX)
        time.sleep(0.05)
        (session.folder / "model.py").write_text(SOLVED["model.py"] + "# again\n", encoding="utf-8")
        session.until(lambda text: "Checked: " in text and "probabilities" not in text and "20/20" in text)

        session.save("model.py", SOLVED["model.py"].replace("(nn.Module):", "(nn.Module)"))
        assert "model.py" in session.until("expected ':'")
        session.save("model.py", SOLVED["model.py"])
        session.until(lambda text: "Checked: " in text and "20/20" in text)

        session.settle()
        (session.folder / "model.py").unlink()
        session.until(lambda text: "Checked: " in text and "model.py is missing" in text)
        session.save("model.py", SOLVED["model.py"])
        session.until(lambda text: "Checked: " in text and "20/20" in text)

        session.resize(24, 60)
        screen = session.until(lambda text: re.search(r"^h next hint .*\n.*q quit$", text, re.MULTILINE) is not None)
        assert max(map(len, screen.splitlines())) <= 60

        members = family(session)
        session.press("q")
        assert session.wait_for_end() == 0 and ends_clean(place, members)
    assert "Score" in (place.report / "report.html").read_text(encoding="utf-8")


@in_terminal
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM), pytest.param(signal.SIGTERM, marks=pytest.mark.corpus)],
)
def test_whatever_ends_it_nothing_is_left(number, place):
    with place.watched({**MODEL_ALONE, "model.py": ENDLESS}) as session:
        session.until(lambda text: re.search(r"Model +\d+ +[1-9]", text) is not None)  # a check is going on
        members = family(session)
        assert len(members) > 2
        if number == signal.SIGINT:
            session.press("\x03")
        else:
            session.signal(number)
        assert session.wait_for_end() == {signal.SIGINT: 130}.get(number, 128 + number)
        assert ends_clean(place, members)
        assert session.process.ptyproc.getecho()  # the terminal is as it was


@in_terminal
@pytest.mark.corpus
def test_a_save_during_the_accuracy_training_is_answered_at_once(place):
    with place.watched(SOLVED) as session:
        session.until("training on secret digits, epoch")
        session.save("train.py", SOLVED["train.py"].replace("        optimizer.zero_grad()\n", ""))
        screen = session.until("Next step: TODO 5")
        assert "accumulate" in screen or "gradients" in screen
        session.save("train.py", SOLVED["train.py"])
        assert "Everything passes" in session.until_done()
        members = family(session)
        session.press("q")
        assert session.wait_for_end() == 0 and ends_clean(place, members)


@in_terminal
@pytest.mark.corpus
def test_a_closed_terminal_ends_it(place):
    with place.watched(MODEL_ALONE) as session:
        session.until("Next step")
        members = family(session)
        session.close_terminal()
        assert ends_clean(place, members)


@in_terminal
@pytest.mark.corpus
def test_it_stops_and_goes_on_with_the_shell(place):
    script = 'set -m; "$@"; stty -a | grep -o -e "-*icanon"; fg; echo ended'
    with place.watched(MODEL_ALONE, shell=("bash", "-c", script, "bash")) as session:
        session.until_done()
        session.press("\x1a")
        session.until(lambda text: re.search(r"^icanon", text, re.MULTILINE) is not None)  # whole lines, as before
        session.save("model.py", SOFTMAX)
        assert "Next step: TODO 4" in session.until_done()
        session.press("q")  # without Enter
        session.until("ended")


@in_terminal
@pytest.mark.corpus
def test_a_folder_that_goes_and_comes_back(place):
    with place.watched(MODEL_ALONE) as session:
        session.until_done()
        session.settle()
        place.work.rename(place.work.with_name("away"))
        session.until("There is no folder")
        place.work.with_name("away").rename(place.work)
        session.until(lambda text: "Score 20/100" in text and "There is no" not in text)
        session.save("model.py", SOFTMAX)
        assert "Next step: TODO 4" in session.until_done()


@in_terminal
@pytest.mark.corpus
@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_any_terminal(environment, place):
    with place.watched({**MODEL_ALONE, "model.py": SOFTMAX}, environment=environment) as session:
        screen = session.until("TODO 4")
        printed = b"".join(data for _, data in session.printed)
        if "TERM" in environment:
            assert b"\x1b" not in printed
        if "NO_COLOR" in environment:
            assert b"\x1b[3" not in printed
        if "PYTHONIOENCODING" in environment:
            assert screen.isascii()


@in_terminal
@pytest.mark.corpus
def test_the_recording_on_the_pages_shows_what_is_printed_now():
    command = [sys.executable, str(ROOT / "docs" / "record_watch.py"), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
