"""`--submission=week3.ipynb`: the tagged cells are the submission, whatever else a notebook holds."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from grader.authoring import build
from grader.authoring.course import load_course
from grader.authoring.handout import context, render
from grader.authoring.make_notebook import notebook
from grader.contract import WEEK
from grader.engine.submission.read import NoSubmission, read

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 64_000


def solved() -> dict:
    """The notebook with the reference in its exercise cells."""
    solutions = {
        name: re.sub(r"(?m)^\s*#{1,3} ?(BEGIN|END) SOLUTION\n", "", text)
        for name, text in build.read_solution(ROOT).items()
        if name in WEEK.files
    }
    return json.loads(notebook(render(ROOT, "notebook.py.j2", context(ROOT)), solutions))


def filled() -> dict:
    """The notebook as it is handed out, with the reference in the place of each stub: one cell for each exercise."""
    book = json.loads((ROOT / "assignment" / f"week{load_course(ROOT)['week']}.ipynb").read_text("utf-8"))
    answers = {}
    for name, text in build.read_solution(ROOT).items():
        if name in WEEK.files:
            text = re.sub(r"(?m)^\s*#{1,3} ?(BEGIN|END) SOLUTION\n", "", text)
            answers |= {
                node.name: ast.get_source_segment(text, node) for node in ast.parse(text).body if is_exercise(node)
            }
    for cell in book["cells"]:
        if "exercise" in cell["metadata"].get("tags", []):
            name = re.search(r"(?:def|class) (\w+)", "".join(cell["source"]))[1]
            cell["source"] = answers[name]
    return book


def is_exercise(node: ast.stmt) -> bool:
    names = {todo.function.split(".")[0] for todo in WEEK.todos}
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names


def cell_of(book: dict, name: str) -> dict:
    """The cell that defines a function or class."""
    return next(c for c in book["cells"] if re.search(rf"(def|class) {name}\b", "".join(c["source"])))


def code(source: str, *tags: str, **more) -> dict:
    metadata = {"tags": list(tags)} if tags else {}
    return {
        "cell_type": "code", "id": f"x{zlib.crc32((source + str(tags)).encode())}", "metadata": metadata,
        "source": source, "execution_count": None, "outputs": [], **more,
    }  # fmt: skip


def saved(folder: Path, book: dict | str | bytes, name: str = "week3.ipynb") -> Path:
    folder.mkdir(exist_ok=True)
    content = json.dumps(book) if isinstance(book, dict) else book
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return folder / name


def test_magics_plots_outputs_and_extra_cells_do_no_harm(tmp_path, graded):
    """A notebook as it comes from Colab: everything that is not an exercise is in it, and gets all points."""
    book = solved()
    picture = {"output_type": "display_data", "data": {"image/png": "iVBOR" * 20_000}, "metadata": {}}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": 7, "outputs": [picture]}
        if "train.py" in cell["metadata"].get("tags", []):
            cell["source"] = ["%%time\n", "%matplotlib inline\n", "!pip install tqdm\n", *cell["source"]]
    book["cells"][2:2] = [
        code("%load_ext autoreload\n%autoreload 2\nimport google.colab\nfrom google.colab import drive"),
        code("this is not Python ("),
        code("raise SystemExit('an extra cell ran')"),
        code("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
        code("make_loaders?"),
        {"cell_type": "raw", "id": "raw", "metadata": {}, "source": "raw"},
    ]
    result = graded(saved(tmp_path / "work", book))
    assert result.score == 100, [(c.id, c.status, c.message) for c in result.checks if c.status != "passed"]
    assert result.submission["notes"][0] == "Graded: the exercise cells of week3.ipynb."


def test_characters_at_which_only_texts_break_leave_a_cell_whole(tmp_path):
    """A form feed, U+0085 and U+2028 in comments, as pasted text has them: to Python they end no line."""
    source = "def make_transform():\n    # one\u2028two\x0cthree\x85four\n    return 7"
    book = {"cells": [code(source, "data.py")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    names: dict = {}
    exec(read(saved(tmp_path, book), WEEK, LIMIT).files["data.py"].decode(), names)
    assert names["make_transform"]() == 7


def test_imports_of_any_cell_serve_every_file(tmp_path):
    """In a notebook one import is enough for all cells below; the extra cell's other lines do not run."""
    book = {"cells": [
        code("import math\nprint('no')"), code("x = math.pi", "data.py"), code("y = math.e", "model.py"),
        code("z = 1", "train.py"),
    ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    files = read(saved(tmp_path, book), WEEK, LIMIT).files
    assert all(b"import math" in content and b"print" not in content for content in files.values())


def test_values_stand_below_what_they_are_computed_from(tmp_path):
    """MEAN, STD of a cell of the course, a value of the student's own made of them, and an answer that uses it."""
    cells = [
        code("MEAN, STD = 0.1, 0.3", "data.py"),
        code("steps = (MEAN, STD)\ndef unused():\n    return steps"),
        code("def make_transform():\n    return steps", "data.py"),
    ]
    book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    text = read(saved(tmp_path, book), WEEK, 64_000).files["data.py"].decode()
    names: dict = {}
    exec(text, names)
    assert names["make_transform"]() == (0.1, 0.3) and "import MEAN" not in text


def test_what_untagged_cells_define_is_there_for_exercises_that_use_it(tmp_path, graded, worth):
    """A helper, a value and `display` in cells of one's own; what is made by running the notebook stays out."""
    book = solved()
    at = next(i for i, c in enumerate(book["cells"]) if "train.py" in c["metadata"].get("tags", []))
    book["cells"][at:at] = [
        code("rate = 1.0\n\ndef scaled(loss):\n    return rate * loss\n\nprint(scaled(1), images.shape)"),
        code("def never_used():\n    return unknown\nmodel = DigitClassifier()\nhistory = fit(model, [], [])"),
    ]
    cell = next(c for c in book["cells"] if "def train_one_epoch" in "".join(c["source"]))
    cell["source"] = re.sub(r"\.backward\(\)", ".mul(scaled(ONE)).backward()", "".join(cell["source"])) + "\ndisplay(7)"
    other = next(c for c in book["cells"] if "def make_transform" in "".join(c["source"]))
    other["source"] = "ONE = 1.0\n\n" + "".join(other["source"])
    submission = read(saved(tmp_path / "work", book), WEEK, LIMIT)
    text = submission.files["train.py"].decode()
    assert "def scaled" in text and "rate = 1.0" in text, text
    assert "never_used" not in text and "history = fit" not in text and "print" not in text.split("def train_one")[0]
    result = graded(saved(tmp_path / "work", book), parts=("training",))
    assert result.score == worth("training"), [
        (c.id, c.status, c.message) for c in result.checks if c.status != "passed"
    ]


TOLD_OF_CELLS = [  # (function, text in its cell, put in its place, part, place of the next step, in its words)
    ("train_one_epoch", "model.train()", "model.train()\n    wieght + 1", "training",
     "TODO 5, train_one_epoch", "The cell of TODO 5, line 18, in train_one_epoch wieght + 1"),
    ("evaluate", "total_loss, total_correct", "total_loss, total_correct ((", "training",
     "the cell of TODO 6, which cannot be run", "The cell of TODO 6, line 10"),
    ("DigitClassifier", "x = self.flatten(images)", "x = self.flatten(imges)", "model",
     "TODO 4, forward", "The cell of TODO 3 and 4, line "),
    ("make_loaders", "def make_loaders", "1 / 0\n\ndef make_loaders", "data",
     "the cell of TODO 2, which cannot be run", "The cell of TODO 2, line 1 1 / 0"),
    ("fit", "def fit", "def fitt", "training", "TODO 7, fit", "The code of TODO 5, 6 and 7 has no fit."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "part", "place", "words"), TOLD_OF_CELLS, ids=lambda value: value[:12])
def test_messages_name_the_cell_and_the_line_in_it(name, old, new, part, place, words, tmp_path, graded):
    book = filled()
    cell = cell_of(book, name)
    assert old in cell["source"]
    cell["source"] = cell["source"].replace(old, new, 1)
    result = graded(saved(tmp_path / "work", book), parts=(part,))
    step = result.next_step
    assert step.place == place and words in " ".join(f"{step.message} {step.quote}".split()), step
    told = " ".join(text for check in result.checks for text in (check.place, check.message, check.hint, check.quote))
    assert not [file for file in WEEK.files if file in told], told
    assert {frame["file"] for check in result.checks for frame in check.frames} <= {"week3.ipynb"}


@pytest.mark.parametrize("cell", [
    "-" * 90_000 + "1", "(" * 90_000, "a" + ".a" * 45_000, "[" * 150 + "]" * 150, "x = " + "1+" * 40_000 + "1",
    "if 1:\n" * 1 + "".join(" " * n + "if 1:\n" for n in range(1, 90)), "x = 'a' * 10**10\n" * 50_000,
    "import " + ",".join(f"a{n}" for n in range(8_000)), "f'" + "{" * 5_000,
])  # fmt: skip
def test_a_cell_made_to_hurt_whoever_reads_it_does_not(tmp_path, cell):
    """Notebooks are read where scores are made: no cell may end, stall or bloat that process."""
    book = solved()
    book["cells"] += [code(cell), code(cell, "data.py"), *(code(f"y{n} = [" + "1," * 9_000 + "]") for n in range(5))]
    started = time.monotonic()
    submission = read(saved(tmp_path, book), WEEK, LIMIT)
    assert time.monotonic() - started < 20 and "model.py" in submission.files


def test_a_magic_in_a_block_keeps_the_block(tmp_path):
    book = solved() | {"cells": [code("for i in range(2):\n    %timeit i\nvalue = 10 % 3\n", "data.py")]}
    text = read(saved(tmp_path, book), WEEK, LIMIT).files["data.py"].decode()
    compile(text, "data.py", "exec")
    assert "    pass  # %timeit i" in text and "value = 10 % 3" in text


def test_a_line_of_python_that_begins_as_a_magic_does_is_kept(tmp_path):
    lines = ["%matplotlib inline", "value = (10", "    % 3)", "same = (value", "    != 1)", "!pip list", "value?"]
    book = solved() | {"cells": [code("\n".join(lines) + "\n", "data.py")]}
    text = read(saved(tmp_path, book), WEEK, LIMIT).files["data.py"].decode()
    compile(text, "data.py", "exec")
    assert "10\n    % 3)" in text and "value\n    != 1)" in text
    assert text.count("pass  # ") == 3


@pytest.mark.parametrize("broken", [
    "", "{", "[]", "null", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', b"\xff\xfe\x00",
    '{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
])  # fmt: skip
def test_a_broken_notebook_is_one_sentence(tmp_path, broken):
    with pytest.raises(NoSubmission, match="notebook"):
        read(saved(tmp_path, broken), WEEK, LIMIT)


def test_cells_that_lost_their_tags_are_known_by_what_they_define(tmp_path, graded, worth):
    book = solved()
    for cell in book["cells"]:
        cell["metadata"] = {}
    result = graded(saved(tmp_path / "work", book), parts=("model",))
    assert result.score == worth("model") and any("From cells of your own" in n for n in result.submission["notes"])


def test_a_notebook_without_the_exercises_has_no_files(tmp_path):
    book = solved() | {"cells": [code("x = 1")]}
    assert set(read(saved(tmp_path, book), WEEK, LIMIT).problems.values()) == {"file-missing"}


# ---- a folder with both


def untouched(folder: Path) -> Path:
    shutil.copytree(ROOT / "assignment", folder, ignore=shutil.ignore_patterns("digits", "__pycache__", "plots"))
    return folder


def test_the_notebook_counts_when_the_files_are_untouched(tmp_path):
    folder = untouched(tmp_path / "assignment")
    assert read(folder, WEEK, LIMIT).files["data.py"] == (folder / "data.py").read_bytes(), (
        "as long as neither is begun"
    )
    saved(folder, solved())
    for place in (folder, tmp_path):
        submission = read(place, WEEK, LIMIT)
        assert submission.notes[0] == "Graded: the exercise cells of week3.ipynb."
        assert b"NotImplementedError" not in submission.files["train.py"]
    shutil.copy(ROOT / "solution" / "data.py", folder)
    notes = read(folder, WEEK, LIMIT).notes
    assert not any("exercise cells" in note for note in notes), "begun in the files"
    assert any("week3.ipynb has answers too" in note for note in notes)


def test_a_notebook_alone_is_a_submission(tmp_path):
    saved(tmp_path / "handed-in", solved())
    assert set(read(tmp_path / "handed-in", WEEK, LIMIT).files) == {"data.py", "model.py", "train.py"}


def test_a_broken_notebook_beside_untouched_files_is_a_note(tmp_path):
    folder = untouched(tmp_path / "assignment")
    saved(folder, '{"data.py"')
    submission = read(folder, WEEK, LIMIT)
    assert any("not a readable notebook" in note for note in submission.notes)
    assert submission.files["data.py"] == (folder / "data.py").read_bytes()


def test_the_front_door_takes_a_notebook(tmp_path, worth):
    path = saved(tmp_path, solved())
    command = [sys.executable, "-m", "pytest", "grader/", f"--submission={path}", "-m", "model"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0 and f"Score {worth('model')}/{worth('model')}" in done.stdout, done.stdout + done.stderr


@pytest.mark.notebook
def test_the_solved_notebook_runs_from_top_to_bottom(tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="not run: nbclient is not installed")
    pytest.importorskip("ipykernel", reason="not run: ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat")
    folder = tmp_path / "assignment"
    for room in ("assignment", "grader"):  # as in a student's repository: the notebook loads the grader beside it
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "plots"))
    book = nbformat.reads(json.dumps(filled()), as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    accuracy = re.search(r"test accuracy (0\.\d+)", printed)
    assert accuracy is not None and float(accuracy[1]) > 0.85, printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    reports = [output["data"] for output in outputs if "graded" in output.get("data", {}).get("text/html", "")]
    assert len(reports) == 4 and "Score 100/100" in reports[-1]["text/plain"], reports[-1:]
