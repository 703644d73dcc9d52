"""What students are given beside the TODOs: command line, pictures, and wherever their digits come from."""

from __future__ import annotations

import gzip
import importlib
import json
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from grader.authoring import build as building
from grader.authoring.handout import context, render
from grader.authoring.make_notebook import notebook
from grader.contract import WEEK
from grader.engine.submission.read_notebook import without_magics

ROOT = building.ROOT
DIGITS = ROOT / "assignment" / "digits"
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(scope="module")
def outputs() -> dict[str, bytes]:
    return building.build()


# ---- the command line


@pytest.fixture(scope="module")
def command_line() -> ModuleType:
    return given_file("command_line")


def test_an_untouched_assignment_ends_with_one_sentence(tmp_path, outputs):
    building.write(outputs, tmp_path / "assignment")
    few_digits(tmp_path / "assignment" / "digits" / "MNIST" / "raw")
    done = run(tmp_path / "assignment" / "train.py", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("TODO 1 is waiting in data.py") and done.stderr.count("\n") == 1
    done = run(tmp_path / "assignment" / "plots.py", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "assignment" / "plots" / "digits.png").is_file(), done.stderr


def test_the_solution_trains_and_draws(tmp_path):
    """Copied, so that its pictures land in the temporary folder; with a zip as Kaggle names its files."""
    shutil.copytree(ROOT / "solution", tmp_path / "solution", ignore=shutil.ignore_patterns("plots", "__pycache__"))
    archive = kaggle_zip(tmp_path)
    done = run(tmp_path / "solution" / "train.py", "--digits", archive, "--epochs", 2, "--batch-size", 16, cwd="/")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +2 +[\d.]+ +[\d.]+ +[\d.]+$", done.stdout, re.MULTILINE)
    assert "test accuracy" in done.stdout and "epoch 2:" in done.stderr  # the progress bar
    pictures = sorted(p.name for p in (tmp_path / "solution" / "plots").glob("*.png"))
    assert pictures == ["confusion.png", "curves.png", "mistakes.png"]


WRONG = {  # file, text of the solution, what stands in its place, what the program ends with
    "in a function": ("train.py", "loss.backward()", "loss.backwards()", [
        "in fit:", "in train_one_epoch:", "    loss.backwards()", "AttributeError: ", "no attribute 'backwards'",
    ]),
    "while it is read": ("data.py", "def make_transform():", "def make_transform()", [
        "data.py", "def make_transform()", "SyntaxError: expected ':'",
    ]),
    "not one of ours": ("model.py", "        super().__init__()", "        raise NotImplementedError('my own')", [
        "model.py, line ", "in __init__:", "NotImplementedError: my own",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_code_ends_in_the_students_own_lines_and_a_sentence(name, tmp_path):
    file, old, new, says = WRONG[name]
    shutil.copytree(ROOT / "solution", tmp_path / "mine", ignore=shutil.ignore_patterns("plots", "__pycache__"))
    few_digits(tmp_path / "mine" / "digits" / "MNIST" / "raw")
    text = (tmp_path / "mine" / file).read_text("utf-8")
    assert old in text
    (tmp_path / "mine" / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    done = run(Path("train.py"), cwd=tmp_path / "mine")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "site-packages" not in done.stderr, done.stderr
    places = [done.stderr.find(one) for one in [*says, "Your code stopped there. `pytest grader/` says"]]
    assert -1 not in places and places == sorted(places), (places, done.stderr)
    assert ", in main" not in done.stderr or name == "while it is read", "main is given"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--digits", "nowhere"), "There is no nowhere"),
        (("--device", "warp"), "'warp' is not there"),
        (("--epochs", "0"), "'0' is not a whole number"),
        (("--lr", "nan"), "'nan' is not a number above 0"),
    ],
)
def test_bad_options_end_with_one_sentence(monkeypatch, capsys, command_line, arguments, says):
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit) as ended, command_line.kind_endings():
        command_line.read_options()
    written = capsys.readouterr()
    assert ended.value.code == 2 and written.out == ""
    assert says in written.err and written.err.count("\n") == 1


def test_options_that_are_not_given_are_left_to_the_student(monkeypatch, command_line):
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.2"])
    options = command_line.read_options()
    assert (options.root, options.for_loaders, options.for_fit) == (str(DIGITS), {}, {"lr": 0.2})
    assert options.device in ("cpu", "cuda")


# ---- the notebook, solved

STAND_IN = """
import sys, types
for name in ("IPython", "IPython.display"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["IPython"].version_info = (9, 0)  # matplotlib looks at it
sys.modules["IPython.display"].Image = dict
"""


def test_a_solved_notebook_runs(tmp_path, outputs):
    solved = notebook(
        render(ROOT, "notebook.py.j2", context(ROOT)),
        {name: (ROOT / "solution" / name).read_text(encoding="utf-8") for name in WEEK.files},
    )
    folder = tmp_path / "assignment"
    building.write(outputs, folder)
    few_digits(folder / "digits" / "MNIST" / "raw")
    code = [c for c in json.loads(solved)["cells"] if c["cell_type"] == "code"]
    script = tmp_path / "notebook.py"
    cells = [without_magics("".join(c["source"])) for c in code]
    script.write_text(STAND_IN + "\n".join(cells), encoding="utf-8")
    done = run(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    assert len(list((folder / "plots").glob("*.png"))) == 4


# ---- where the digits come from


@pytest.fixture(scope="module")
def source() -> ModuleType:
    return given_file("digits_source")


def test_bundled_digits_are_found_from_both_folders(source):
    assert source.find_digits("bundled", ROOT / "solution") == DIGITS
    assert source.find_digits("bundled", ROOT / "assignment") == DIGITS


def dotted(name: str) -> str:
    return name.replace("-idx", ".idx")


LAYOUTS: dict[str, Callable[[str], str]] = {
    "loose": lambda name: name,
    "gz": lambda name: f"{name}.gz",
    "dotted": dotted,
    "nested": lambda name: f"archive/{name}/{name}",
    "both": lambda name: f"{name}/{name}",  # beside the dotted ones, as in the real archive
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_in_any_layout_become_a_root(tmp_path, source, layout, zipped):
    loose = tmp_path / "loose"
    few_digits(loose)
    folder = tmp_path / "Eigene Dateien ü"
    for name in IDX:
        data = (loose / name).read_bytes()
        places = [LAYOUTS[layout](name)] + ([dotted(name)] if layout == "both" else [])
        for place in places:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_bytes(gzip.compress(data) if place.endswith(".gz") else data)
    path = Path(shutil.make_archive(str(tmp_path / "archive"), "zip", folder)) if zipped else folder
    root = source.find_digits(str(path))
    assert root.parent == tmp_path
    for name in IDX:
        assert (root / "MNIST" / "raw" / name).read_bytes() == (loose / name).read_bytes()
    assert source.find_digits(str(path)) == root  # kept for the next time
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_mnist_root_is_used_where_it_is(tmp_path, source):
    few_digits(tmp_path / "MNIST" / "raw")
    for path in (tmp_path, tmp_path / "MNIST", tmp_path / "MNIST" / "raw"):
        assert source.find_digits(str(path)) == tmp_path


def test_the_full_mnist_is_downloaded_once(tmp_path, monkeypatch, source):
    datasets = pytest.importorskip("torchvision.datasets")

    def no_network(folder, download):
        raise RuntimeError("Error downloading\ntrain-images")

    monkeypatch.setattr(datasets, "MNIST", no_network)
    with pytest.raises(source.Unusable, match=r"could not be downloaded \(Error downloading train-images\)"):
        source.find_digits("full", tmp_path)
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(datasets, "MNIST", lambda folder, download: few_digits(folder / "MNIST" / "raw"))
    root = source.find_digits("full", tmp_path)
    assert root == tmp_path / "digits-full" and source.is_root(root)
    monkeypatch.setattr(datasets, "MNIST", no_network)
    assert source.find_digits("full", tmp_path) == root


def spoil_length(data: bytes) -> bytes:
    return data[:-100]


def spoil_magic(data: bytes) -> bytes:
    return b"PK" + data[2:]


def spoil_size(data: bytes) -> bytes:
    return data[:8] + struct.pack(">II", 14, 56) + data[16:]


@pytest.mark.parametrize(
    ("name", "spoil", "says"),
    [
        (IDX[0], spoil_length, "is damaged: 78,316 bytes instead of 78,416"),
        (IDX[0], spoil_magic, "its first bytes are wrong"),
        (IDX[0], spoil_size, "28 x 28"),
        (IDX[0], lambda data: b"", "its first bytes are wrong"),
        (IDX[1], lambda data: struct.pack(">HBBI", 0, 8, 1, 99) + data[8:-1], "do not belong together"),
        (IDX[1], lambda data: data[:-1] + b"\x0b", "labels above 9"),
        (IDX[2], None, "is missing"),
    ],
)
def test_spoilt_files_are_one_sentence_and_leave_nothing(tmp_path, source, name, spoil, says):
    folder = tmp_path / "mine"
    few_digits(folder)
    data = (folder / name).read_bytes()
    (folder / name).unlink()
    if spoil:
        (folder / name).write_bytes(spoil(data))
    with pytest.raises(source.Unusable, match=says) as caught:
        source.find_digits(str(folder))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("kind", ["no zip", "cut zip", "cut gz", "bundled"])
def test_damaged_archives_are_one_sentence(tmp_path, source, kind):
    if kind == "no zip":
        path = tmp_path / "archive.zip"
        path.write_text("<html>please log in</html>")
    elif kind == "cut zip":
        path = kaggle_zip(tmp_path)
        path.write_bytes(path.read_bytes()[:-500])
    elif kind == "cut gz":
        path = tmp_path / "mine"
        few_digits(path)
        (path / IDX[0]).rename(path / f"{IDX[0]}.gz")
    else:
        few_digits(tmp_path / "digits" / "MNIST" / "raw")
        (tmp_path / "digits" / "MNIST" / "raw" / IDX[3]).unlink()
        path = None
    with pytest.raises(source.Unusable, match=r"again|restore"):
        source.find_digits(str(path) if path else "bundled", tmp_path)


# ---- helpers


def given_file(name: str) -> ModuleType:
    """A module of solution/, imported as its neighbours import it."""
    sys.path.insert(0, str(ROOT / "solution"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def run(script: Path, *arguments: object, cwd: Path | str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-B", str(script), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, encoding="utf-8", timeout=180)


def few_digits(folder: Path, count: int = 100) -> None:
    """The bundled files cut to their first images."""
    folder.mkdir(parents=True)
    for name in IDX:
        head, size = (16, 784) if "images" in name else (8, 1)
        data = (DIGITS / "MNIST" / "raw" / name).read_bytes()[: head + count * size]
        (folder / name).write_bytes(data[:4] + struct.pack(">I", count) + data[8:])


def kaggle_zip(folder: Path) -> Path:
    """A zip as Kaggle serves it: each file twice, once under a dotted name and once in a folder of its name."""
    few_digits(folder / "loose")
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in IDX:
            archive.write(folder / "loose" / name, dotted(name))
            archive.write(folder / "loose" / name, f"{name}/{name}")
    shutil.rmtree(folder / "loose")
    return folder / "archive.zip"
