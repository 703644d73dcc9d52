"""Another data set, as docs/grow-it.md has it: its names reach everything that students read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from grader.digits import write_idx
from grader.engine.rubric import load_toml

pytestmark = pytest.mark.corpus

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "grow-it.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|toml)\n(.*?)```", PAGE[PAGE.index("## Another data set") :], re.DOTALL)


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A copy of this repository with bright squares in ten places for pictures, after the page's steps 1 and 2."""
    root = tmp_path_factory.mktemp("course") / "own"
    for name in ("solution", "templates", "grader", "assignment", ".github"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "plots"))
    for name in ("pyproject.toml", "grader_entry_point.py", "LICENSE"):
        shutil.copy(ROOT / name, root)
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, 11_000).astype(np.uint8)
    images = rng.integers(0, 40, (len(labels), 28, 28)).astype(np.uint8)
    for image, label in zip(images, labels):
        down, right = 4 + 4 * (label // 2), 6 + 11 * (label % 2)
        image[down : down + 4, right : right + 6] += 200
    write_idx(root / "fashion", images[:9_000], labels[:9_000], images[9_000:], labels[9_000:])
    (language, code), (_, table) = BLOCKS
    assert language == "python"
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
    settings = root / "templates" / "course.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r"(?ms)^\[data\]\n.*?(?=^\[links\])", lambda _: f"{table}\n", text), encoding="utf-8")
    return root


def run(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", timeout=300)


def test_it_is_refused_until_build_records_it_and_then_reaches_everything(course, tmp_path):
    """One walk, in the order of the page."""
    names = load_toml(course / "templates" / "course.toml")["data"]["classes"]
    unrecorded = run(course, "-m", "grader", "release", "../released", "--for", "gradescope")
    assert unrecorded.returncode == 2 and "grader/digits.toml is out of date" in unrecorded.stderr
    assert run(course, "-m", "grader", "build", "--check").returncode == 1
    refused = run(course, "-m", "pytest", "grader/", "--submission=solution", "-m", "model")
    assert refused.returncode == 4 and "was changed" in refused.stdout + refused.stderr

    built = run(course, "-m", "grader", "build")
    assert built.returncode == 0 and "is other than before; grader/digits.toml records it" in built.stdout, built.stderr
    assert load_toml(course / "grader" / "digits.toml")["classes"] == names
    handout = (course / "assignment" / "README.md").read_text(encoding="utf-8")
    assert "0 is T-shirt, 1 is Trousers" in handout
    page = (course / "assignment" / "digits" / "README.md").read_text(encoding="utf-8")
    assert "From Fashion-MNIST" in page and "| 9 | Ankle boot | " in page and "7,996 for training" in page
    assert (course / "assignment" / "digits" / "classes.txt").read_text("utf-8").splitlines() == names

    done = run(course, "-m", "pytest", "grader/", "--submission=solution", "-m", "accuracy", f"--report={tmp_path}")
    score = json.loads((tmp_path / "score.json").read_text(encoding="utf-8"))
    assert done.returncode in (0, 1) and score["accuracy"]["test"] > 0.2, done.stdout + done.stderr
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'<th scope="row">{name}</th>' in report and f'<th scope="col">{name}</th>' in report for name in names)
    assert '<td></td><th scope="col">0</th>' not in report

    released = run(course, "-m", "grader", "release", "../released", "--for", "github")
    assert released.returncode == 0, released.stderr
    recorded = course.parent / "released" / "grader" / "digits.toml"
    assert recorded.read_bytes() == (course / "grader" / "digits.toml").read_bytes()
    for name in ("README.md", "LICENSE"):  # nobody is told that the pictures are another's
        assert not re.search(r"(?<!-)MNIST|LeCun|CC BY", (course.parent / "released" / name).read_text("utf-8")), name
    assert "the pictures: Fashion-MNIST" in (course.parent / "released" / "README.md").read_text("utf-8")


def test_students_see_the_names_in_their_own_pictures(course, monkeypatch):
    """What assignment/plots.py takes for ticks and titles."""
    run(course, "-m", "grader", "build")
    code = "import plots; print(plots.class_names()[9], plots.show_digits(plots.FOLDER.parent / 'digits').name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=course / "assignment", capture_output=True, text=True)
    assert done.stdout == "Ankle boot digits.png\n", done.stderr
