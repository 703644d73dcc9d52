"""A student's copy of the grader beside their work: what differs from the course's own is named."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import pytest

from grader.authoring import release
from grader.engine.submission import manifest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("release") / "student"
    assert release.run(argparse.Namespace(out=out, target="github", dry_run=False, overwrite=False)) == 0
    return out


def test_a_copy_as_it_was_released_needs_no_note(made):
    assert manifest.notes(made, ROOT) == []
    assert manifest.notes(made / "assignment", made) == []


def test_what_differs_is_named(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "grader" / "rubric.toml").write_text("easier = true\n", encoding="utf-8")
    (copy / "grader" / "checks" / "conftest.py").write_text("", encoding="utf-8")
    (copy / "grader" / "engine" / "printable.py").unlink()
    (copy / "grader_entry_point.py").write_text("pass\n", encoding="utf-8")
    (copy / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    [note] = manifest.notes(copy / "assignment", made)
    assert "changed grader/rubric.toml, grader_entry_point.py, pyproject.toml" in note
    assert "added grader/checks/conftest.py" in note and "missing grader/engine/printable.py" in note
    [note] = manifest.notes(copy, ROOT)
    assert "grader/rubric.toml" in note and "pyproject.toml" not in note, "the teacher's own settings are others"


def test_windows_line_ends_are_no_change(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    for path in (copy / "grader").rglob("*.*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert manifest.notes(copy, made) == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_are_named_and_not_followed(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    shutil.rmtree(copy / "grader")
    (copy / "grader").symlink_to(made / "grader")
    [note] = manifest.notes(copy, made)
    assert "a link instead of a file: grader" in note and "missing" not in note


def test_a_grader_folder_of_another_kind_is_no_copy(made, tmp_path):
    (tmp_path / "grader").mkdir()
    (tmp_path / "grader" / "notes.txt").write_text("mine", encoding="utf-8")
    assert manifest.notes(tmp_path, made) == []


def test_a_manifest_cannot_point_outside():
    value = "0" * 64
    lines = [
        f"{value}  ../secret",
        f"{value}  /etc/passwd",
        f"# {value}  assignment/data.py",
        "nonsense",
        f"{value}  a b",
    ]
    assert manifest.loads("\n".join(lines)) == {"assignment/data.py": value, "a b": value}
