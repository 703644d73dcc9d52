"""`pytest grader/` with whatever name and content a submission has: one result with plain statuses, never a stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grader.corpus import entries as corpus

ROOT = Path(__file__).resolve().parents[1]
STRICT = {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0", "LC_ALL": "C"}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names like these are for Linux")


def run(submission: str, out: Path) -> tuple[int, str]:
    """(exit status, everything printed) of one check through the front door, on a terminal that knows ASCII only."""
    command = [sys.executable, "-m", "pytest", "grader/", "-k", "builds", f"--submission={submission}"]
    done = subprocess.run([*command, f"--report={out}"], cwd=ROOT, env=os.environ | STRICT, capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def status(out: Path) -> list[str]:
    return [check["status"] for check in json.loads((out / "score.json").read_text(encoding="utf-8"))["checks"]]


def handed_in(folder: bytes) -> None:
    os.makedirs(folder)
    for name, text in corpus.reference().items():
        Path(os.fsdecode(folder), name).write_text(text, encoding="utf-8")


def nested(folder: bytes, levels: int, name: str) -> None:
    """Folders in folders, further down than any path can say."""
    inside = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=inside)
        deeper = os.open(name, os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = deeper
    os.close(inside)


def unnested(folder: bytes, name: str) -> None:
    """Take them away again: shutil.rmtree would open every level, and has not so many descriptors."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    levels = 0
    while os.path.isdir(name):
        os.chdir(name)
        levels += 1
    for _ in range(levels):
        os.chdir("..")
        os.rmdir(name)
    os.fchdir(here)
    os.close(here)


@pytest.mark.parametrize("name", [b"[/red]x", b"a\n::error title=x::y", b"\xff\x80", b"\x1b[2J", b"--help", b"x" * 255])
def test_any_name_of_a_folder(name, tmp_path):
    folder = os.fsencode(tmp_path) + b"/" + name
    handed_in(folder)
    code, printed = run(os.fsdecode(folder), tmp_path / "out")
    assert (code, status(tmp_path / "out")) == (0, ["passed"]), printed
    assert "INTERNALERROR" not in printed and "\n::error" not in printed and "\x1b[2J" not in printed


def test_odd_things_beside_the_files(tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    handed_in(folder)
    for place in (folder, folder + b"/grader"):
        os.makedirs(place, exist_ok=True)
        for name in (b"\xff.py", b"a\nb.py", b"[red].py", b"x.ipynb", b"\n::error::.ipynb", b"conftest.py"):
            Path(os.fsdecode(place + b"/" + name)).write_bytes(b"\xff{")
        nested(place, 200, "n" * 40)
    try:
        code, printed = run(os.fsdecode(folder), tmp_path / "out")
    finally:
        for place in (folder, folder + b"/grader"):
            unnested(place, "n" * 40)
    assert (code, status(tmp_path / "out")) == (0, ["passed"]), printed
    assert "INTERNALERROR" not in printed and "\n::error" not in printed


@pytest.mark.parametrize(
    "path", ["y" * 300, "z/" * 3000, "y" * 300 + ".ipynb", "no\n::error::x", "[/red]", "/dev/zero"]
)
def test_what_is_no_submission_is_told_in_one_line(path, tmp_path):
    code, printed = run(os.path.join(tmp_path, path), tmp_path / "out")
    assert code == 4 and "INTERNALERROR" not in printed and "\n::error" not in printed
    assert len([line for line in printed.splitlines() if line.strip()]) == 1, printed
    assert not (tmp_path / "out" / "score.json").exists() and any((tmp_path / "out").iterdir())


def assignments() -> str:
    return "\n".join(f"a{n} = {n}" for n in range(12_000))


@pytest.mark.parametrize("cells", [
    [(["model.py"], assignments()), (["data.py"], assignments())],
    [(["model.py"], "f0()"), *(([], f"def f{n}():\n    return f{n + 1}()") for n in range(1500))],
    [(["model.py"], "-" * 90_000 + "1")],
    [(["model.py"], "\ud800\x00\r" * 100)],
], ids=["assignments", "chain", "deep", "surrogates"])  # fmt: skip
def test_a_notebook_that_hurts_gets_a_result(cells, tmp_path):
    made = [{"cell_type": "code", "metadata": {"tags": tags}, "source": text, "outputs": []} for tags, text in cells]
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}
    (tmp_path / "week3.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    code, printed = run(str(tmp_path / "week3.ipynb"), tmp_path / "out")
    assert code == 1 and status(tmp_path / "out")[0] in ("failed", "crashed"), printed
    assert "INTERNALERROR" not in printed


@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    handed_in(os.fsencode(tmp_path / "closed"))
    (tmp_path / "closed").chmod(0)
    try:
        code, printed = run(str(tmp_path / "closed"), tmp_path / "out")
        assert code == 1 and status(tmp_path / "out") == ["failed"], printed
        code, printed = run(str(tmp_path / "closed" / "inside"), tmp_path / "out")
        assert code == 4 and "INTERNALERROR" not in printed
    finally:
        (tmp_path / "closed").chmod(0o700)
