"""The release: complete, without a trace of the solution, careful with what is there, and ready to run when cloned."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.authoring import release
from grader.authoring.build import read_solution
from grader.authoring.contents import with_run_seconds
from grader.authoring.handout import context, render
from grader.authoring.markers import leaks, solution_lines
from grader.contract import WEEK
from grader.engine.submission import manifest

ROOT = Path(__file__).resolve().parents[1]


def make(out: Path, target: str = "github", root: Path = ROOT, **options: bool) -> int:
    flags = {"dry_run": False, "overwrite": False} | options
    return release.run(argparse.Namespace(out=out, target=target, **flags), root=root)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("release") / "student"
    assert make(out) == 0
    return out


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# ---- what is in it


def test_everything_a_student_needs_is_there(made, week):
    expected = f"""README.md LICENSE pyproject.toml grader_entry_point.py .gitignore .gitattributes MANIFEST.sha256
        .devcontainer/devcontainer.json .github/workflows/grading.yml .github/workflows/grade.yml
        assignment/README.md assignment/data.py assignment/model.py assignment/train.py assignment/{week}.ipynb
        assignment/plots.py assignment/digits/README.md assignment/digits/MNIST/raw/t10k-images-idx3-ubyte
        grader/plugin.py grader/rubric.toml grader/engine/worker/beside_student/child.py grader/engine/publish.py"""
    assert set(expected.split()) <= set(files_of(made))
    devcontainer = json.loads((made / ".devcontainer/devcontainer.json").read_text(encoding="utf-8"))
    assert "-e ." in devcontainer["postCreateCommand"]
    for path, content in files_of(made).items():
        if not path.startswith("grader/") and b"\0" not in content:
            assert not re.search(rb"\{%|\{\{ ?\w+ ?\}\}(?<!github)", content.replace(b"${{", b"")), path


def test_no_trace_of_the_teachers_side(made):
    paths = files_of(made)
    rooms = ("solution/", "templates/", "tests/", "grader/authoring/", "grader/corpus/", "docs/", ".ci/")
    assert not [p for p in paths if p.startswith(rooms) or "__pycache__" in p or p.endswith(("selftest.py", ".pyc"))]
    assert not (set(p.name for p in (ROOT / "grader").rglob("*selftest*")) & {Path(p).name for p in paths})


def test_no_line_of_the_solution_is_in_it(made):
    """Outside grader/ none at all. The grader trains networks itself, so single lines that every PyTorch program
    has are in it; no function of the solution can be put together from one of its files."""
    solutions = read_solution(ROOT)
    texts = {path: content for path, content in files_of(made).items() if b"\0" not in content}
    assert leaks(solutions, {p: c for p, c in texts.items() if not p.startswith("grader/")}) == []
    assert b"BEGIN SOLUTION" not in b"".join(texts.values())
    for name in WEEK.files:
        lines = solution_lines(name, solutions[name])
        for path, content in texts.items():
            shared = {line for line in lines if line in content.decode("utf-8")}
            assert len(shared) < 0.6 * len(lines), (path, name, shared)


def test_the_manifest_holds_every_file(made):
    hashes = manifest.loads((made / manifest.NAME).read_text(encoding="utf-8"))
    contents = files_of(made)
    assert set(hashes) == set(contents) - {manifest.NAME}
    assert all(manifest.digest(contents[path]) == value for path, value in hashes.items())
    if shutil.which("sha256sum"):
        (made / "assignment" / "data.py").write_bytes(contents["assignment/data.py"] + b"# work\n")
        done = subprocess.run(["sha256sum", "--check", "--quiet", manifest.NAME], cwd=made, capture_output=True)
        (made / "assignment" / "data.py").write_bytes(contents["assignment/data.py"])
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "target",
    [
        "github",
        *(pytest.param(name, marks=pytest.mark.corpus) for name in ("github-classroom", "classroom50", "gradescope")),
    ],
)
def test_releasing_twice_changes_nothing(target, tmp_path, capsys):
    assert make(tmp_path / "out", target) == 0
    before = files_of(tmp_path / "out")
    assert make(tmp_path / "out", target, dry_run=True) == 0
    assert "Nothing would change." in capsys.readouterr().out
    assert make(tmp_path / "again", target) == 0
    assert files_of(tmp_path / "again") == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


# ---- over an older release


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    assert make(tmp_path / "out", dry_run=True) == 0
    assert "create: assignment/data.py" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_files_of_others_stay(made, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(made, out)
    old = manifest.loads((out / manifest.NAME).read_text(encoding="utf-8"))
    for name, content in {"grader/old.py": b"ours\n", "grader/older.py": b"ours\n"}.items():
        (out / name).write_bytes(content)
        old[name] = manifest.digest(content)
    (out / "grader/older.py").write_bytes(b"edited since\n")
    (out / "syllabus.md").write_text("mine\n", encoding="utf-8")
    (out / "grader/rubric.toml").write_bytes(b"an older rubric\n")
    old["grader/rubric.toml"] = manifest.digest(b"an older rubric\n")
    (out / manifest.NAME).write_text(manifest.dumps(old), encoding="utf-8")

    assert make(out, dry_run=True) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "update: MANIFEST.sha256",
        "update: grader/rubric.toml",
        "remove: grader/old.py",
        "no longer made, but edited, so it stays: grader/older.py",
    ]
    assert make(out) == 0
    assert files_of(out) == files_of(made) | {"syllabus.md": b"mine\n", "grader/older.py": b"edited since\n"}


def test_work_and_edits_are_not_overwritten_unasked(made, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(made, out)
    (out / "assignment" / "model.py").write_text("# a student's work\n", encoding="utf-8")
    (out / "grader" / "rubric.toml").unlink()
    assert make(out) == 1
    assert "edited or not ours: assignment/model.py" in capsys.readouterr().out
    assert not (out / "grader" / "rubric.toml").exists(), "nothing was written"
    assert make(out, overwrite=True) == 0
    assert files_of(out) == files_of(made)


def test_a_folder_that_is_no_release_is_left_as_it_is(tmp_path):
    (tmp_path / "README.md").write_text("mine\n", encoding="utf-8")
    assert make(tmp_path) == 1
    assert files_of(tmp_path) == {"README.md": b"mine\n"}


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_release_never_writes_through_a_link(tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "grader").symlink_to(tmp_path / "elsewhere")
    assert make(tmp_path / "out", overwrite=True) == 2
    assert "is a link" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_failure_leaves_nothing_half_made(tmp_path, monkeypatch, capsys):
    written = []

    def failing(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) > 5:
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr(release, "write_bytes", failing)
    assert make(tmp_path / "out") == 2
    assert list(tmp_path.iterdir()) == []
    assert "No space left" in capsys.readouterr().err


def test_a_release_for_somebody_else_is_not_replaced(made, tmp_path, capsys):
    """Nor is a file. What students get and what a service wants never share a folder by mistake."""
    before = files_of(made)
    assert make(made, "gradescope") == 2
    assert "holds a release for github; choose another folder for gradescope" in capsys.readouterr().err
    assert files_of(made) == before
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    assert make(tmp_path / "notes.txt") == 2
    assert "is a file" in capsys.readouterr().err


def test_without_a_repository_of_the_course_a_release_says_what_does_not_work_yet(tmp_path, capsys):
    for name in ("solution", "templates", "grader", "assignment", ".github"):
        shutil.copytree(ROOT / name, tmp_path / "own" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "grader_entry_point.py", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "own")
    settings = tmp_path / "own" / "templates" / "course.toml"
    unnamed = 'repository = "https://github.com/YOUR-COURSE/digits"'
    settings.write_text(re.sub(r"(?m)^repository = .*$", unnamed, settings.read_text("utf-8")), encoding="utf-8")
    assert make(tmp_path / "out", root=tmp_path / "own") == 0
    assert "names no repository on GitHub yet" in capsys.readouterr().out
    (book,) = (tmp_path / "out").rglob("*.ipynb")
    assert "YOUR-COURSE" not in book.read_text("utf-8") and "clone" not in book.read_text("utf-8")


def test_a_notebook_fetches_the_repository_that_the_course_names():
    values = context(ROOT)
    assert values["fetched"] == "" and "clone" not in render(ROOT, "notebook.py.j2", values)
    named = render(ROOT, "notebook.py.j2", values | {"fetched": "https://git.example.org/ml/week3"})
    assert '"clone", "--depth", "1", "https://git.example.org/ml/week3", "week3"]' in named


def test_not_into_this_repository(capsys):
    assert make(ROOT) == 2 and make(ROOT.parent) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_the_limit_of_a_whole_run_is_never_raised():
    assert with_run_seconds(b"a = 1\nrun_seconds = 1_800 # wall\n", 480) == b"a = 1\nrun_seconds = 480 # wall\n"
    assert with_run_seconds(b"run_seconds = 300\n", 480) == b"run_seconds = 300\n"


# ---- from a clone (tests/test_door.py installs and runs it)


def test_git_keeps_every_file_byte_by_byte(made, tmp_path):
    source, clone = tmp_path / "source", tmp_path / "clone"
    shutil.copytree(made, source)
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-q", "-m", "release"]):
        subprocess.run(["git", *arguments], cwd=source, check=True)
    subprocess.run(["git", "clone", "-q", str(source), str(clone)], check=True)
    assert files_of(clone) == files_of(made)
