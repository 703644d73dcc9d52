"""Where a submission lies in what was handed in: deeper than expected, beside others, among the release's own files."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grader.authoring import release
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.submission.read import NoSubmission, read

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 64_000


def handed_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, text in corpus.reference().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("release") / "student"
    assert release.run(argparse.Namespace(out=out, target="github", dry_run=False, overwrite=False)) == 0
    return out


@pytest.mark.parametrize("place", ["mine", "week/mine", "mine/assignment", "My Work ü/week 3"])
def test_it_is_found_one_or_two_folders_deeper_and_that_is_said(tmp_path, place):
    handed_in(tmp_path / "all" / place)
    (tmp_path / "all" / "notes.txt").write_text("mine", encoding="utf-8")
    found = read(tmp_path / "all", WEEK, LIMIT)
    assert set(found.files) == set(WEEK.files) and found.problems == {}
    assert found.notes[0] == f"The files were taken from the folder {place}/ in it."


def test_a_notebook_deeper_is_found_too(tmp_path, released):
    book = next((released / "assignment").glob("*.ipynb"))
    (tmp_path / "all" / "mine").mkdir(parents=True)
    begun = book.read_text("utf-8").replace('raise NotImplementedError(\\"TODO 1', 'print(\\"TODO 1')
    (tmp_path / "all" / "mine" / book.name).write_text(begun, encoding="utf-8")
    assert read(tmp_path / "all", WEEK, LIMIT).is_notebook


@pytest.mark.parametrize("place", ["a/b/c", ".hidden", "grader/probes", "_old"])
def test_not_deeper_than_that_and_not_where_nothing_is_handed_in(tmp_path, place):
    handed_in(tmp_path / "all" / place)
    assert set(read(tmp_path / "all", WEEK, LIMIT).problems.values()) == {"file-missing"}


def test_what_lies_nearer_counts_and_what_lies_below_it_does_not(tmp_path):
    handed_in(tmp_path / "all" / "mine")
    for old in ("old-1", "old-2"):
        handed_in(tmp_path / "all" / "mine" / old)
    assert read(tmp_path / "all", WEEK, LIMIT).notes[0].startswith("The files were taken from the folder mine/")
    assert read(tmp_path / "all" / "mine", WEEK, LIMIT).notes == ()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_to_another_place_is_not_followed(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "mine").symlink_to(handed_in(tmp_path / "elsewhere"))
    assert set(read(tmp_path / "all", WEEK, LIMIT).problems.values()) == {"file-missing"}


@pytest.mark.parametrize(("places", "told"), [
    (("alice", "bob"), "(alice, bob)"),
    (("alice/assignment", "bob/assignment", "carol"), "(alice/assignment, bob/assignment and 1 more)"),
    (("group-1/alice", "group-1/bob", "group-2/carol", "group-2/dan"), "(group-1/alice, group-1/bob and 2 more)"),
])  # fmt: skip
def test_a_folder_of_several_is_named_as_such(tmp_path, places, told):
    for place in places:
        handed_in(tmp_path / "class" / place)
    with pytest.raises(NoSubmission) as caught:
        read(tmp_path / "class", WEEK, LIMIT)
    said = str(caught.value)
    assert f"{tmp_path / 'class'} holds several submissions {told}, and one is graded at a time" in said
    assert f"write --submission={tmp_path / 'class' / places[0]}." in said


def test_at_the_front_door_a_class_gets_a_sentence_and_no_score(tmp_path):
    for name in ("alice", "bob"):
        handed_in(tmp_path / "class" / name)
    command = [sys.executable, "-m", "pytest", "grader/", f"--submission={tmp_path / 'class'}"]
    done = subprocess.run(
        [*command, f"--report={tmp_path / 'out'}"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 4 and "holds several submissions (alice, bob)" in done.stderr, done.stdout + done.stderr
    assert "Score" not in done.stdout and not (tmp_path / "out" / "score.json").exists()


# -- files of the release itself ---------------------------------------------------------------------------------


def test_the_releases_own_files_need_no_note_and_changed_ones_do(released, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(released, copy)
    for course in (ROOT, released):  # graded by the course's repository, and by a release of it
        contract = replace(WEEK, folder=course / "grader")
        assert not [note for note in read(copy, contract, LIMIT).notes if "Not used" in note]
    (copy / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-k nothing'\n", encoding="utf-8")
    (copy / "conftest.py").write_text("", encoding="utf-8")
    (copy / "assignment" / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    [note] = [note for note in read(copy, WEEK, LIMIT).notes if "Not used" in note]
    assert note.startswith("Not used: conftest.py, pyproject.toml, pytest.ini (only data.py, model.py, train.py")
