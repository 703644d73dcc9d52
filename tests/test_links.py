"""No link leads out of a submission: not a file's, not a folder's on the way to it, not one that comes later."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.engine.submission import manifest, safe_files
from grader.engine.submission.read import read
from grader.engine.submission.safe_files import Tree

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 64_000
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="not run: links need rights on Windows")


@pytest.fixture(params=["openat", "looking first"])
def way(request, monkeypatch):
    if request.param == "looking first":
        monkeypatch.setattr(safe_files, "HAS_OPENAT", False)
    elif not safe_files.HAS_OPENAT:
        pytest.skip("not run: this system has no openat")


def linked(folder: Path, *links: tuple[str, Path]) -> Path:
    for name, target in links:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    return folder


@pytest.mark.parametrize(
    "links",
    [
        [("assignment", ROOT / "solution")],
        [("assignment", Path("..") / "other" / "assignment")],
        [(f"assignment/{name}", ROOT / "solution" / name) for name in WEEK.files],
        [(name, ROOT / "solution" / name) for name in WEEK.files],
    ],
    ids=["folder", "another student's", "files in it", "files"],
)
def test_a_link_brings_nobody_elses_work(tmp_path, links, way):
    shutil.copytree(ROOT / "solution", tmp_path / "other" / "assignment")
    submission = read(linked(tmp_path / "mine", *links), WEEK, LIMIT)
    assert submission.files == {}
    assert set(submission.problems.values()) == {"file-not-regular"}


def test_the_folder_that_is_named_may_be_a_link_itself(tmp_path, way):
    (tmp_path / "named").symlink_to(ROOT / "solution")
    assert set(read(tmp_path / "named", WEEK, LIMIT).files) == set(WEEK.files)


def test_a_notebook_behind_a_link_is_not_taken(tmp_path, way):
    book = next((ROOT / "assignment").glob("*.ipynb"))
    solved = book.read_text("utf-8").replace('raise NotImplementedError(\\"TODO 1', '(\\"TODO 1')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / book.name).write_text(solved, encoding="utf-8")
    assert read(tmp_path / "other", WEEK, LIMIT).is_notebook
    for links in ([("assignment", tmp_path / "other")], [(book.name, tmp_path / "other" / book.name)]):
        folder = tmp_path / f"mine{len(links[0][0])}"
        submission = read(linked(folder, *links), WEEK, LIMIT)
        assert not submission.is_notebook and not submission.files


def test_paths_do_not_climb_out(tmp_path, way):
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    tree = Tree(tmp_path / "mine")
    for path in ("../secret", "deep/../../secret", str(tmp_path / "secret"), "deep/./../../secret", "a\0b"):
        assert tree.read(path, LIMIT)[0] == b"", path


def test_a_folder_exchanged_for_a_link_while_it_is_read(tmp_path, monkeypatch):
    """Between looking and opening: the descriptor of the folder that was looked at stays the one that is read."""
    if not safe_files.HAS_OPENAT:
        pytest.skip("not run: this system has no openat")
    (tmp_path / "mine" / "assignment").mkdir(parents=True)
    (tmp_path / "mine" / "assignment" / "data.py").write_text("own = 1\n", encoding="utf-8")
    original = safe_files.Place.stat

    def exchanging(self, name):
        seen = original(self, name)
        if (tmp_path / "mine" / "assignment").is_dir() and not (tmp_path / "mine" / "assignment").is_symlink():
            os.rename(tmp_path / "mine" / "assignment", tmp_path / "away")
            (tmp_path / "mine" / "assignment").symlink_to(ROOT / "solution")
        return seen

    monkeypatch.setattr(safe_files.Place, "stat", exchanging)
    content, problem = Tree(tmp_path / "mine").read("assignment/data.py", LIMIT)
    assert (content, problem) in ((b"own = 1\n", ""), (b"", "file-not-regular"), (b"", "file-missing"))


def test_what_a_report_says_of_the_graders_copy_follows_no_link(tmp_path, way):
    (tmp_path / "mine").mkdir()
    linked(tmp_path / "mine", (".github", ROOT / ".github"), ("grader", ROOT / "grader"))
    [note] = manifest.notes(tmp_path / "mine", ROOT)
    assert "a link instead of a file: grader" in note
