"""The engine knows no week: an untouched copy of it builds, grades and releases another one, in tests/second_week/."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from grader.corpus.entries import Entry, load_all, source_of

ROOT = Path(__file__).resolve().parents[1]
WEEK = ROOT / "tests" / "second_week"
GENERIC = (
    "grader_entry_point.py", "LICENSE", ".github/workflows/grade.yml",
    "grader/__init__.py", "grader/__main__.py", "grader/plugin.py", "grader/engine", "grader/authoring",
    "templates/repository", "templates/classroom50", "templates/gradescope",
)  # fmt: skip
CHAFFS = {entry.name: entry for entry in load_all("chaffs", WEEK)}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second week's own repository: what is generic from here, everything else from tests/second_week/."""
    root = tmp_path_factory.mktemp("course")
    for name in GENERIC:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, root / name)
    shutil.copytree(WEEK, root, dirs_exist_ok=True)
    done = run("-m", "grader", "build", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "GITHUB", "COV_"))}
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, encoding="utf-8", timeout=300)


def graded(root: Path, reports: Path, *arguments: str) -> tuple[int, dict, str]:
    """(exit status, score.json, what was printed) of a run through the front door."""
    settings = ("-c", "pyproject.toml", "--rootdir", ".")
    done = run("-m", "pytest", *settings, "grader/", f"--report={reports}", "--seed=1", *arguments, cwd=root)
    assert (reports / "score.json").is_file(), done.stdout + done.stderr
    score = json.loads((reports / "score.json").read_text("utf-8"))
    jsonschema.validate(score, json.loads((root / "grader" / "score.schema.json").read_text("utf-8")))
    return done.returncode, score, done.stdout


def test_build_makes_a_skeleton_that_is_all_to_do(course, tmp_path):
    assert run("-m", "grader", "build", "--check", cwd=course).returncode == 0
    made = {path.name for path in (course / "assignment").iterdir()}
    assert made == {"line.py", "README.md", "week1.ipynb"}
    assert "the two functions of line.py" in (course / "assignment" / "README.md").read_text("utf-8")
    status, score, printed = graded(course, tmp_path / "reports")
    assert (status, score["score"], {check["status"] for check in score["checks"]}) == (1, 0, {"todo"})
    assert "Begin with TODO 1, predict in line.py" in printed


def test_the_solution_gets_everything(course, tmp_path):
    status, score, printed = graded(course, tmp_path / "reports", "--submission=solution")
    assert (status, score["score"], score["max_score"]) == (0, 100, 100), printed
    assert [part["name"] for part in score["parts"]] == ["prediction", "fitting"]
    assert set(score) & {"training", "accuracy", "confusion"} == set()


@pytest.mark.corpus
def test_the_portable_worker_gives_the_same(course, tmp_path):
    _, score, printed = graded(course, tmp_path / "reports", "--submission=solution", "--worker=spawn")
    assert score["score"] == 100, printed


def test_a_part_can_be_chosen(course, tmp_path):
    status, score, printed = graded(course, tmp_path / "reports", "--submission=solution", "-m", "fitting")
    assert (status, score["score"], [check["id"] for check in score["checks"]]) == (0, 60, ["fits"])
    assert "only fitting" in printed


@pytest.mark.corpus
@pytest.mark.parametrize("entry", CHAFFS.values(), ids=CHAFFS)
def test_a_wrong_solution_is_named(course, tmp_path, entry: Entry):
    work = tmp_path / "work"
    work.mkdir()
    right = {"line.py": (WEEK / "solution" / "line.py").read_text("utf-8")}
    for name, text in source_of(entry, right).items():
        (work / name).write_text(text, encoding="utf-8")
    status, score, _ = graded(course, tmp_path / "reports", f"--submission={work}")
    findings = [check["finding"] for check in score["checks"] if check["finding"]]
    assert (status, findings) == (1, list(entry.findings))
    assert 0 < score["score"] < 100
    assert "?" not in next(check["message"] for check in score["checks"] if check["finding"])
    page = (tmp_path / "reports" / "report.html").read_text("utf-8")
    assert f"Score {score['score']} of 100" in page


def test_the_schema_is_this_weeks_and_no_other(course):
    schema = json.loads((course / "grader" / "score.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["parts"]["items"]["properties"]["name"] == {"enum": ["prediction", "fitting"]}
    assert schema["properties"]["checks"]["items"]["properties"]["todo"] == {"enum": [1, 2]}
    ours = json.loads((ROOT / "grader" / "score.schema.json").read_text("utf-8"))
    assert set(ours["properties"]) - set(schema["properties"]) == {"training", "accuracy", "confusion"}


def test_the_notebook_is_graded(course, tmp_path):
    book = json.loads((course / "assignment" / "week1.ipynb").read_text("utf-8"))
    solution = (WEEK / "solution" / "line.py").read_text("utf-8")
    exercises = [cell for cell in book["cells"] if "line.py" in cell["metadata"].get("tags", [])]
    exercises[0]["source"] = solution
    for cell in exercises[1:]:
        cell["source"] = ""
    (tmp_path / "week1.ipynb").write_text(json.dumps(book), encoding="utf-8")
    _, score, printed = graded(course, tmp_path / "reports", f"--submission={tmp_path / 'week1.ipynb'}")
    assert score["score"] == 100, printed


@pytest.mark.corpus
@pytest.mark.parametrize("target", ["github", "classroom50", "gradescope"])
def test_a_release_is_made(course, tmp_path, target):
    out = tmp_path / "released"
    done = run("-m", "grader", "release", out, "--for", target, cwd=course)
    assert done.returncode == 0, done.stderr
    assert (out / "MANIFEST.sha256").is_file()


@pytest.mark.corpus
def test_the_skeleton_of_a_release_waits_for_its_student(course, tmp_path):
    out = tmp_path / "released"
    done = run("-m", "grader", "release", out, "--for", "github", cwd=course)
    assert done.returncode == 0, done.stderr
    held = {path.name for path in (out / "grader").iterdir()}
    assert not held & {"authoring", "corpus", "classroom"} and {"engine", "contract.py", "checks", "probes"} <= held
    status, score, printed = graded(out, tmp_path / "reports")
    assert (status, score["score"], {check["status"] for check in score["checks"]}) == (1, 0, {"todo"}), printed
    assert score["submission"]["notes"] == []
    (out / "assignment" / "line.py").write_bytes((WEEK / "solution" / "line.py").read_bytes())
    assert graded(out, tmp_path / "reports")[1]["score"] == 100
