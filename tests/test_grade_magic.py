"""`%grade` in a notebook: which cells it takes, what it says, how it ends. A shell of our own stands for IPython's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest

import grader
from grader.contract import WEEK
from grader.engine.front import notebook
from grader.engine.run_folders import PREFIX
from grader.engine.submission.read_notebook import Tagged
from grader.engine.submission.run_cells import Document, Picked, exercises, pick

ROOT = Path(__file__).resolve().parents[1]
SOLUTION = {path.stem: path.read_text("utf-8") for path in (ROOT / "tests" / "base").glob("*.py")}
FIT = "def fit(model, train_loader, val_loader):\n    return {}"
OTHER_FIT = FIT.replace("{}", "dict()")
STUB = 'def fit(model):\n    raise NotImplementedError("TODO 7: fit")'
RENAMED = FIT.replace("fit", "fit_it")
EVALUATE = "def evaluate(model, loader):\n    return 0.0, 0.0"


# -- which cells are taken ---------------------------------------------------------------------------------------


def page(*sources: str, saved_at: float | None = 100.0) -> Document:
    return Document("week3.ipynb", [Tagged(source, ("train.py",)) for source in sources], saved_at)


def answer(picked: Picked | None, name: str = "fit") -> str:
    """The last definition of a function among the cells that were picked."""
    assert picked is not None
    found = [cell for cell in picked.cells if f"def {name}" in cell.source and "train.py" in cell.tags]
    return found[-1].source


TAKEN = {  # history, document, times, the answer that is taken, words in the notes, words that must not be there
    "the last run": ([FIT, OTHER_FIT], None, {}, OTHER_FIT, "TODO 7 in [2]", "Changed"),
    "run and then saved": ([FIT, OTHER_FIT], page(OTHER_FIT), {OTHER_FIT: 50}, OTHER_FIT, "in [2]", "Changed"),
    "run and not saved yet": ([OTHER_FIT], page(STUB), {}, OTHER_FIT, "TODO 7 in [1]", "Changed"),
    "an older run is saved": ([FIT, OTHER_FIT], page(FIT), {}, OTHER_FIT, "in [2]", "Changed"),
    "saved half-way to what was run": ([OTHER_FIT], page(FIT), {OTHER_FIT: 150}, OTHER_FIT, "in [1]", "Changed"),
    "changed and saved, not run": ([FIT], page(OTHER_FIT), {FIT: 50}, FIT, "Changed in week3.ipynb", "Not run"),
    "changed on the page, not run": ([FIT], page(OTHER_FIT, saved_at=None), {FIT: 50}, FIT, "Changed on the page", ""),
    "never run, but saved": ([EVALUATE], page(FIT, EVALUATE), {}, FIT, "taken from week3.ipynb: TODO 7.", "Changed"),
    "nothing run, but saved": (["1 + 1"], page(FIT), {}, FIT, "Nothing was run since the kernel started", "Changed"),
    "never run, and saved as the stub": ([EVALUATE], page(STUB), {}, STUB, "TODO 6 in [1]", "taken from"),
    "never run, nothing saved": ([EVALUATE], None, {}, 'NotImplementedError("TODO 7: fit")', "Not found in what", ""),
    "never run, in a page of stubs": ([EVALUATE], page(STUB), {}, STUB, "started: TODO 7. If your answer is there", ""),
    "renamed": ([FIT, RENAMED], None, {}, FIT, "In [2] you ran fit_it, which looks like fit under another name.", ""),
    "renamed, and gone from the page": ([FIT, RENAMED], page(RENAMED), {}, RENAMED, "TODO 7 in [2]", "another name"),
    "a helper of another kind": (
        [FIT, "def mean(a):\n    return sum(a) / len(a)"],
        None,
        {},
        FIT,
        "in [1]",
        "another name",
    ),
    "an answer under another name, below the stub": (
        [
            STUB,
            "def fit_model(model, loader):\n    for images, labels in loader:\n        model(images)\n    return {}",
        ],
        None,
        {},
        STUB,
        "In [2] you ran fit_model. Is that your answer to TODO 7?",
        "",
    ),
    "defined anew by quite another cell": (
        [
            "\n".join([FIT[:-9], *(f"    step_{n} = model({n})" for n in range(40)), "    return {}"]),
            "def fit():\n    pass",
        ],
        None,
        {},
        "def fit():\n    pass",
        "fit was defined in [1], and anew in [2] by quite another cell.",
        "",
    ),
    "a stub after the answer": (
        [FIT, STUB],
        None,
        {},
        STUB,
        "TODO 7 is unfinished in what ran last, [2], and was not in [1].",
        "",
    ),
    "a syntax error": ([FIT, "def fit(model:\n  return"], None, {}, "def fit(model:\n  return", "TODO 7 in [2]", ""),
    "run in a cell of its own, beside the stub": (
        [FIT],
        page(STUB, FIT),
        {},
        FIT,
        "fit was taken from a cell of your own: that of TODO 7 is still unfinished. Move your answer there.",
        "Changed",
    ),
    "saved in a cell of its own, beside the stub": (["1 + 1"], page(STUB, FIT), {}, FIT, "Move your answer there.", ""),
    "timed": (["%%time\n" + FIT], None, {}, "%%time\n" + FIT, "TODO 7 in [1]", ""),
    "handed to something else": ([FIT, "%%writefile train.py\n" + OTHER_FIT], None, {}, FIT, "TODO 7 in [1]", ""),
    "wrapped": ([FIT, "fit = timed(fit)"], None, {}, FIT, "TODO 7 in [1]", ""),
    "with blanks at the ends": ([FIT + "\n\n"], page(FIT + " "), {}, FIT, "TODO 7 in [1]", "Changed"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_source_that_was_run_last_is_taken(name):
    history, document, times, wanted, said, unsaid = TAKEN[name]
    picked = pick(WEEK, ["", *history], document, times)
    assert wanted in answer(picked)
    notes = " ".join(picked.notes)
    assert said in notes and (not unsaid or unsaid not in notes), notes


def test_without_anything_run_or_saved_there_is_nothing_to_grade():
    assert pick(WEEK, ["", "1 + 1", "x = 3"], None) is None
    assert pick(WEEK, [""], page("print(1)")) is None


def test_one_cell_may_hold_two_exercises_and_one_of_them_be_run_again():
    picked = pick(WEEK, ["", f"{FIT}\n\n{EVALUATE}", OTHER_FIT], None)
    assert [cell.source for cell in picked.cells if cell.tags][-1] == OTHER_FIT, "what was run later comes later"
    assert answer(picked, "evaluate").startswith(FIT)


def test_helpers_of_other_cells_come_along_and_old_answers_do_not():
    picked = pick(WEEK, ["", "import math\nRATE = 0.1", FIT, OTHER_FIT, "RATE = 0.2"], None)
    loose = [cell.source for cell in picked.cells if not cell.tags]
    assert loose == ["import math\nRATE = 0.1", "RATE = 0.2"]


def test_what_is_found_nowhere_reads_as_still_to_do():
    for exercise in exercises(WEEK):
        compile(exercise.stub(), "stub", "exec")
        assert exercise.stub().count('raise NotImplementedError("TODO ') == len(exercise.todos)


# -- the magic ---------------------------------------------------------------------------------------------------


class Shell:
    """As much of IPython's shell as the magic needs. published: (data, whether it was written over) in order."""

    def __init__(self, *sources: str, kernel: bool = True):
        self.history_manager = types.SimpleNamespace(input_hist_raw=["", *sources])
        self.user_ns: dict[str, object] = {}
        self.kernel = object() if kernel else None
        self.display_pub = self.events = self
        self.published: list[tuple[dict[str, str], bool]] = []
        self.magics: dict[str, object] = {}

    def register_magic_function(self, function, kind, name):
        self.magics[name] = function

    def register(self, event, function):
        assert event == "pre_run_cell"

    def publish(self, data, metadata, transient, update):
        self.published.append((data, update))

    @property
    def last(self) -> dict[str, str]:
        return self.published[-1][0]


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    """A temporary folder of its own: what tests beside this one have in theirs was not left behind here."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def grade(monkeypatch, tmp_path):
    """grade(shell, line): what `%grade` shows at its end, from another folder than the repository's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)

    shells: list[Shell] = []

    def run(shell: Shell, line: str = "") -> dict[str, str]:
        if shell not in shells:
            grader.load_ipython_extension(shell)
            shells.append(shell)
        shell.magics["grade"](line)
        return shell.last

    yield run
    for shell in shells:
        shell.magics["grade"].__self__.stop()


def left_behind() -> list[Path]:
    return [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if (path / "notebook.ipynb").exists()]


def test_what_was_run_is_graded_and_shown(grade):
    shown = grade(Shell("x = 1", "import torch\nfrom torch import nn", SOLUTION["model"]), "model")
    assert "Score 20/20" in shown["text/plain"] and "20 of 20" in shown["text/html"], shown
    assert "TODO 3 and 4 in [3]" in shown["text/plain"]
    assert left_behind() == []


def test_a_fault_is_told_by_its_cell_with_the_other_cells_still_stubs(grade):
    shell = Shell(SOLUTION["model"].replace("return self.output(x)", "return self.output(x).softmax(dim=1)"))
    shown = grade(shell, "model")
    assert "Next step: TODO 4, forward" in shown["text/plain"], shown["text/plain"]
    assert "Look here: the cell of TODO 4: the end of forward" in " ".join(shown["text/plain"].split())
    assert "model.py" not in shown["text/plain"] + shown["text/html"]
    lines = [data["text/plain"] for data, _ in shell.published[:-1]]
    assert all(line.startswith("Grading: ") for line in lines) and "model 3 of 7 checked" in " ".join(lines)
    assert [update for _, update in shell.published] == [False, *[True] * len(lines)], "one place, written over"


def test_a_cell_that_cannot_be_read_is_the_one_that_was_run(grade):
    """Its syntax error stops the cell of another TODO of the same file too."""
    transform = "def make_transform():\n    return transforms.ToTensor()"
    shown = grade(Shell(transform, "def make_loaders(root):\n    a = 1\n   b = 2\n    return a, b"), "data")
    assert "the cell of TODO 2, which cannot be run" in shown["text/plain"], shown["text/plain"]
    assert "This is the cell as you ran it in [2]." in shown["text/html"]


def test_where_no_line_can_be_written_over_only_the_end_is_shown(grade):
    shell = Shell("def DigitClassifier(:\n    pass", kernel=False)
    shown = grade(shell, "model")
    assert len(shell.published) == 1
    assert "the cell of TODO 3 and 4, which cannot be run" in shown["text/plain"], shown["text/plain"]


@pytest.mark.parametrize(("line", "history", "words"), [
    ("", ["1 + 1"], "Nothing to grade yet: run the cells of your TODOs first, then this one again."),
    ("everything", [FIT], "%grade does not know everything: it takes the parts data, model, training and accuracy"),
])  # fmt: skip
def test_what_cannot_be_graded_is_one_sentence(line, history, words, grade, monkeypatch):
    monkeypatch.setattr(notebook.Grade, "document", lambda self: None)
    shell = Shell(*history)
    assert grade(shell, line)["text/plain"].startswith(words) and len(shell.published) == 1


def test_after_a_restart_the_saved_notebook_is_graded(grade, tmp_path):
    cell = {"cell_type": "code", "id": "a", "metadata": {"tags": ["model.py"]}, "source": SOLUTION["model"],
            "execution_count": None, "outputs": []}  # fmt: skip
    book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "mine.ipynb").write_text(json.dumps(book), encoding="utf-8")
    shell = Shell("1 + 1")
    shell.user_ns["__vsc_ipynb_file__"] = str(tmp_path / "mine.ipynb")
    text = grade(shell, "model")["text/plain"]
    assert "Score 20/20" in text and "Nothing was run since the kernel started, so mine.ipynb was graded" in text


def test_on_colab_the_page_is_asked_and_nothing_is_fetched(grade, monkeypatch):
    cell = {"cell_type": "code", "metadata": {"tags": ["train.py"]}, "source": OTHER_FIT.splitlines(keepends=True),
            "execution_count": None, "outputs": []}  # fmt: skip
    asked: list[str] = []

    def blocking_request(what: str, request: str, timeout_sec: float) -> dict:
        asked.append(what)
        return {"ipynb": {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 0}}

    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    message = types.SimpleNamespace(blocking_request=blocking_request)
    monkeypatch.setitem(sys.modules, "google.colab._message", message)
    document = notebook.colab_page()
    assert document.saved_at is None and [one.source for one in document.cells] == [OTHER_FIT]
    assert asked == ["get_ipynb"]
    message.blocking_request = None
    assert notebook.colab_page() is None, "it does not answer: the run goes on without"


def test_ctrl_c_ends_the_run_and_leaves_nothing_behind(grade, monkeypatch):
    started: list[subprocess.Popen] = []

    def interrupted(self, folder):
        started.append(self.process)
        self.process.stdin.write(f"{folder}\n".encode())
        self.process.stdin.flush()
        assert self.lines.get(timeout=120).startswith(b"Grading: ")
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook.Grade, "follow", interrupted)
    assert grade(Shell(SOLUTION["train"]))["text/plain"] == notebook.STOPPED
    assert started[0].returncode == 0 and left_behind() == []


def test_it_ends_as_soon_as_the_kernel_has_ended(grade):
    """However that ended: its end of the pipe closes."""
    shell = Shell(SOLUTION["model"])
    grade(shell, "model")
    process = shell.magics["grade"].__self__.process
    process.stdin.close()
    assert process.wait(60) == 0
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*"))


def test_the_next_run_has_a_warm_worker_and_runs_only_what_changed(grade):
    shell = Shell(SOLUTION["model"].replace("return self.output(x)", "return self.output(x).softmax(dim=1)"))
    assert "Next step: TODO 4" in grade(shell, "model")["text/plain"]
    first = shell.magics["grade"].__self__.process
    shell.history_manager.input_hist_raw += ["x = 1"]
    assert "was not run again" in grade(shell, "model")["text/plain"]
    shell.history_manager.input_hist_raw += [SOLUTION["model"]]
    shown = grade(shell, "model")["text/plain"]
    assert "Score 20/20" in shown and "was not run again" not in shown
    assert shell.magics["grade"].__self__.process is first


def test_a_process_that_has_ended_is_replaced(grade):
    shell = Shell(SOLUTION["model"])
    assert "Score 20/20" in grade(shell, "model")["text/plain"]
    process = shell.magics["grade"].__self__.process
    process.kill()
    process.wait()
    assert "Score 20/20" in grade(shell, "model")["text/plain"]


def test_trouble_is_one_sentence():
    told = notebook.trouble(1, "Traceback ...\nModuleNotFoundError: No module named 'rich'\n")
    assert told == "The grader needs rich, which is not installed: run `%pip install rich`, then try again."
    assert notebook.trouble(2, "rubric.toml: points sum to 99.\n") == "rubric.toml: points sum to 99."
    assert "not your fault: it ended with status -9" in notebook.trouble(-9, "")


def test_the_grader_needs_no_ipython():
    call = "import sys, grader.contract, grader.engine.front.notebook; print('IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


# -- in Jupyter's kernel -----------------------------------------------------------------------------------------


@pytest.fixture
def kernel(tmp_path):
    """run(code): the outputs of a cell. A kernel in another folder, which writes no history to disk."""
    manager_of = pytest.importorskip("jupyter_client.manager", reason="not run: ipykernel is not installed")
    pytest.importorskip("ipykernel", reason="not run: ipykernel is not installed")
    manager = manager_of.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path), extra_arguments=["--HistoryManager.enabled=False"], env=dict(os.environ))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)

    def run(code: str, stop_at: str = "") -> list[str]:
        """What it shows; interrupted when a text with `stop_at` is shown."""
        request, found = client.execute(code), []
        while True:
            message = client.get_iopub_msg(timeout=300)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return found
            text = content.get("data", {}).get("text/plain") or content.get("text") or content.get("evalue") or ""
            found += [text] if text else []
            if stop_at and stop_at in text:
                manager.interrupt_kernel()
                stop_at = ""

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.notebook
def test_in_a_kernel_it_grades_and_can_be_interrupted(kernel):
    assert kernel(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n%load_ext grader") == []
    kernel("import torch\nfrom torch import nn")
    kernel(SOLUTION["model"])
    kernel("nn.Linear = None  # what the kernel holds is not graded")
    shown = kernel("%grade model")
    assert "Score 20/20" in shown[-1], shown
    assert kernel("%grade model", stop_at="Grading: ")[-1] == notebook.STOPPED
    assert left_behind() == []
