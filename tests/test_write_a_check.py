"""The worked example in grader/README.md, followed to the letter in a copy of this repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"\n\n([^\n]+)\n\n```(?:toml|python)\n(.*?)```", re.DOTALL
)  # a paragraph that names a file, and a block
FILE = re.compile(r"`([\w-]+/[\w./-]+\.(?:py|toml))`")


def steps() -> dict[str, str]:
    """{file: what the section puts there}"""
    page = (ROOT / "grader" / "README.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page[page.index("## Write a check") :])
    return {file: text for paragraph, text in blocks for file in FILE.findall(paragraph)}


def put(path: Path, text: str) -> None:
    """At the end of the file; in rubric.toml a line in the place of the one with its name, or behind the one before."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if path.name == "rubric.toml":
        changed, new = text.splitlines()  # how many points are left there depends on the rubric as it is
        name, taken = changed.split()[0], int(new.split()[-1])
        old = int(re.search(rf"(?m)^{name} = (\d+)$", before)[1])
        after, count = re.subn(rf"^{name} = .*$", f"{name} = {old - taken}\n{new}", before, flags=re.MULTILINE)
        assert count == 1
    else:
        after = f"{before}\n\n{text}" if before else text
    path.write_text(after, encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("example") / "repository"
    for name in ("grader", "solution", "assignment", "templates", "tests/base", "tests/chaffs", "tests/wheats"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, text in steps().items():
        put(root / name, text)
    return root


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grader", *arguments],
        cwd=repository, capture_output=True, text=True, encoding="utf-8", timeout=300,
    )  # fmt: skip


def test_the_section_has_every_step():
    parts = [Path(name).parts[1] for name in steps()]
    assert parts == ["chaffs", "probes", "checks", "rubric.toml", "hints"]


def test_the_check_passes_the_reference_and_names_the_mistake(repository, tmp_path):
    done = run(repository, "try", "all-pixels", "solution")
    assert done.returncode == 0 and "all-pixels, Every part of the picture counts: passed" in done.stdout, done.stderr
    done = run(repository, "selftest", "upper-half-only", "--only", "chaffs", "--out", str(tmp_path / "out"))
    assert done.returncode == 0 and "named first" not in done.stderr, done.stdout + done.stderr
    report = (tmp_path / "out" / "selftest.md").read_text(encoding="utf-8")
    assert "1 wrong solution: 1 lose points (100.0%), and of 1 the first thing named is the mistake" in report


def test_what_a_student_reads_is_complete(repository):
    """Through the copy's own engine: the hint is found and filled, and `build` takes what was added."""
    done = run(repository, "selftest", "upper-half-only", "--files", "mine")
    assert done.returncode == 0, done.stderr
    done = run(repository, "try", "all-pixels", "mine")
    assert done.returncode == 1, done.stderr
    assert "half-unseen at TODO 4, forward in model.py" in done.stdout and "pixels in the lower half" in done.stdout
    done = run(repository, "build")
    assert done.returncode == 0, done.stderr
    assert "Every part of the picture counts" in (repository / "assignment/README.md").read_text(encoding="utf-8")
