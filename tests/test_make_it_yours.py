"""What docs/make-it-yours.md promises a teacher: another course without touching Python in grader/."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.engine.many.store import read_told
from grader.engine.rubric import load_rubric

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def own_course(tmp_path) -> Path:
    """A copy of this repository for a teacher to change."""
    root = tmp_path / "own"
    for name in ("solution", "templates", "grader", "assignment", ".github"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "grader_entry_point.py", "LICENSE"):
        shutil.copy(ROOT / name, root)
    return root


def edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text, count=1, flags=re.MULTILINE | re.DOTALL)
        assert count == 1, pattern
    path.write_text(text, encoding="utf-8")


def test_who_works_in_the_courses_own_assignment_is_graded_as_a_student_is(own_course):
    """What lies in assignment/ there need not be what was handed out."""
    edit(
        own_course / "assignment" / "data.py",
        (r"raise NotImplementedError\(.TODO 1.*?\n", "return transforms.ToTensor()\n"),
    )
    command = [sys.executable, "-m", "pytest", "grader/", "-m", "data"]
    done = subprocess.run(command, cwd=own_course, capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert "TODO 1 done: 4 points" in done.stdout and "Next step: TODO 2" in done.stdout, done.stdout + done.stderr


CNN = '''        # BEGIN SOLUTION
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 6 * 6, 10),
        )
        # END SOLUTION
'''  # fmt: skip


AS_CNN = (
    (r"        # BEGIN SOLUTION\n.*?# END SOLUTION\n", CNN),
    (r"        # BEGIN SOLUTION\n        (?!self\.layers).*?# END SOLUTION\n",
     "        # BEGIN SOLUTION\n        return self.layers(images)\n        # END SOLUTION\n"),
)  # fmt: skip


@pytest.mark.corpus
def test_a_teacher_makes_it_theirs_without_touching_python_in_grader(own_course, tmp_path):
    """What docs/make-it-yours.md describes: points, thresholds, limits, visibility, hints, texts, week, network."""
    points, tiers = load_rubric(WEEK).points, load_rubric(WEEK).tiers
    quick = sorted((check.id for check in WEEK.checks if check.part in ("data", "model")), key=points.__getitem__)
    poor, rich, lowest = quick[0], quick[-1], tiers[0]
    edit(
        own_course / "grader" / "rubric.toml",
        (rf"^{poor} = \d+$", f"{poor} = {points[poor] + 1}"),
        (rf"^{rich} = \d+$", f"{rich} = {points[rich] - 1}"),
        (rf"at = {lowest.at:.2f}", f"at = {lowest.at - 0.01:.2f}"),
        (r"^check_seconds = \d+", "check_seconds = 45"),
        (r"(\n\[visibility\].*)?\Z", '\n[visibility]\naccuracy = "after_published"\n'),
    )
    edit(
        own_course / "templates" / "course.toml",
        (r"^course = .*?$", 'course = "Digits & Networks"'),
        (r"^week = \d+$", "week = 55"),
        (r"^title = .*?$", 'title = "Read the digits"'),
        (r"^repository = .*?$", 'repository = "https://github.com/our-school/week5"'),
        (r"^\[\[videos\]\]\ntitle = .*?$", '[[videos]]\ntitle = "Our own lecture"'),
    )
    edit(
        own_course / "grader/hints/general.toml",
        (r"^\[file-missing\]\ntitle = .*?$", '[file-missing]\ntitle = "Where is {file}?"'),
    )
    edit(own_course / "solution" / "model.py", *AS_CNN)
    out = tmp_path / "released"
    command = [sys.executable, "-m", "grader"]
    for arguments in (["build"], ["release", str(out), "--for", "github"]):
        done = subprocess.run([*command, *arguments], cwd=own_course, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    handout = (out / "assignment" / "README.md").read_text(encoding="utf-8")
    for text in (
        "# Week 55: Read the digits",
        "Digits & Networks",
        "Our own lecture",
        f"| {100 * lowest.at - 1:.10g} % | {lowest.points} |",
        "45 s for a check",
    ):
        assert text in handout, text
    assert [path.name for path in (out / "assignment").glob("*.ipynb")] == ["week55.ipynb"]
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "our-school/week5/blob/main/assignment/week55.ipynb" in readme
    assert "uses: our-school/week5/.github/workflows/grade.yml@main" in (
        out / ".github" / "workflows" / "grading.yml"
    ).read_text(encoding="utf-8")
    assert "Conv2d" not in (out / "assignment" / "model.py").read_text(encoding="utf-8")
    # The new rubric, hints and visibility are what a run and its reports use, and the new network passes.
    grading = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "--rootdir",
        ".",
        "grader/",
        "-m",
        "model or data",
    ]
    done = subprocess.run(
        [*grading, f"--submission={own_course / 'solution'}", f"--report={tmp_path / 'reports'}"],
        cwd=out, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0 and re.search(r"Score (\d+)/\1 ", done.stdout), done.stdout + done.stderr
    reported = {c["id"]: c["max_score"] for c in json.loads((tmp_path / "reports/score.json").read_text())["checks"]}
    assert (reported[poor], reported[rich]) == (points[poor] + 1, points[rich] - 1)
    shutil.copy(own_course / "solution" / "model.py", tmp_path / "reports")
    done = subprocess.run(
        [*grading, f"--submission={tmp_path / 'reports'}"], cwd=out, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1 and "Where is data.py?" in done.stdout


@pytest.mark.corpus
def test_the_corpus_stands_whatever_solution_says(own_course, tmp_path):
    """selftest and calibrate go on, judge the course's own network too, and name what does not fit, for it alone."""
    for name in ("base", "wheats", "chaffs"):
        shutil.copytree(ROOT / "tests" / name, own_course / "tests" / name)
    edit(own_course / "solution" / "model.py", *AS_CNN)
    edit(own_course / "tests" / "wheats" / "logsoftmax-output.toml", (r'^old = "', 'old = "no such line '))
    edit(own_course / "tests" / "chaffs" / "softmax-output.toml", (r"\A", 'parts = ["a-part-of-before"]\n'))
    names = ("solution", "logsoftmax-output", "softmax-output", "sigmoid-output")
    command = [sys.executable, "-m", "grader", "selftest", *names, "--parts", "model", "--seeds", "1"]
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'out'}"], cwd=own_course, capture_output=True, text=True, timeout=300
    )
    report = (tmp_path / "out" / "selftest.md").read_text("utf-8").replace("\\", "")
    assert done.returncode == 1
    rows = read_told(tmp_path / "out" / "runs.sqlite").values()
    assert {row["entry"]: row["score"] < row["max_score"] for row in rows} == {
        "solution": False,
        "sigmoid-output": True,
    }
    assert "logsoftmax-output: model.py has 0 times" in report and "softmax-output: the contract has no part" in report
    code = "import sys; from grader.corpus import calibrate; "
    code += "sys.argv[1:] = ['--wheats', 'logsoftmax-output', 'elu-deep']; "
    code += "p = calibrate.argparse.ArgumentParser(); calibrate.add_arguments(p); "
    code += "print(list(calibrate.solutions(p.parse_args())))"
    done = subprocess.run([sys.executable, "-c", code], cwd=own_course, capture_output=True, text=True, timeout=60)
    assert done.stdout == "['solution', '(reference)', 'elu-deep']\n", done.stderr
    assert done.stderr.startswith("Left out: logsoftmax-output: model.py has 0 times")


def test_the_page_for_teachers_names_what_there_is_to_change():
    page = (ROOT / "docs" / "make-it-yours.md").read_text(encoding="utf-8")
    for name in re.findall(r"^\[?(\w+)(?: =|\])", (ROOT / "grader/rubric.toml").read_text("utf-8"), re.MULTILINE):
        if name.endswith(("_seconds", "_bytes")) or name in ("points", "accuracy", "limits"):
            assert name in page, name
    for name in ("course", "week", "title", "due", "repository", "install", "links", "videos", "todos", "parts"):
        assert f"`{name}`" in page or f"`[{name}" in page or f"`[[{name}" in page, name
