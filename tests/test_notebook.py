"""`--submission=week3.ipynb`: the tagged cells are the submission, whatever else a notebook holds."""

from __future__ import annotations

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


def test_imports_of_any_cell_serve_every_file(tmp_path):
    """In a notebook one import is enough for all cells below; the extra cell's other lines do not run."""
    book = {"cells": [
        code("import math\nprint('no')"), code("x = math.pi", "data.py"), code("y = math.e", "model.py"),
        code("z = 1", "train.py"),
    ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
    files = read(saved(tmp_path, book), WEEK, LIMIT).files
    assert all(b"import math" in content and b"print" not in content for content in files.values())


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


def test_what_a_cell_raises_is_told_without_line_numbers_nobody_could_find(tmp_path, graded):
    book = solved()
    cell = next(c for c in book["cells"] if "def train_one_epoch" in "".join(c["source"]))
    cell["source"] = "".join(cell["source"]).replace("model.train()", "model.train()\n    wieght + 1")
    result = graded(saved(tmp_path / "work", book), parts=("training",))
    step = result.next_step
    assert "train.py, in train_one_epoch: wieght + 1" in step.message, step.message


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


@pytest.mark.parametrize("broken", [
    "", "{", "[]", "null", '{"cells": 3}', '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}', b"\xff\xfe\x00",
    '{"cells": [{"cell_type": "code"}], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
])  # fmt: skip
def test_a_broken_notebook_is_one_sentence(tmp_path, broken):
    with pytest.raises(NoSubmission, match="notebook"):
        read(saved(tmp_path, broken), WEEK, LIMIT)


def test_a_notebook_without_tags_has_no_files(tmp_path):
    book = solved()
    for cell in book["cells"]:
        cell["metadata"] = {}
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
    shutil.copytree(ROOT / "assignment", folder, ignore=shutil.ignore_patterns("__pycache__", "plots"))
    book = nbformat.reads(json.dumps(solved()), as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    accuracy = re.search(r"test accuracy (0\.\d+)", printed)
    assert accuracy is not None and float(accuracy[1]) > 0.85, printed
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
