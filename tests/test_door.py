"""One environment, several weeks: `pytest grader/` runs the grader it names, whichever was installed.

Two weeks are released and installed with pip into an environment of their own, which borrows PyTorch and the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.authoring import release
from grader.authoring.course import load_course
from grader.contract import WEEK
from grader.engine.rubric import load_toml
from grader.engine.submission.manifest import grader_digest

ROOT = Path(__file__).resolve().parents[1]
FIRST = load_course(ROOT)["week"]
SECOND = FIRST + 1
Done = subprocess.CompletedProcess[str]
STUB = """
from pathlib import Path

def pytest_addoption(parser):
    parser.addoption("--submission")
    parser.addoption("--report")

def pytest_cmdline_main(config):
    print("loaded", Path(__file__).parents[1].name)
    return 0
"""
POISON = "import pathlib\npathlib.Path({mark!r}).touch()\nraise SystemExit('the submission ran')\n"


class Environment:
    """A fresh environment of Python, with pytest's command as pip would make it."""

    def __init__(self, folder: Path):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.packages = Path(self.python("-c", asked, cwd=folder).stdout.strip())
        borrowed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        (self.packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
        self.command = self.executable.with_name("pytest-command.py")
        self.command.write_text("import sys, pytest\nsys.exit(pytest.main())\n", encoding="utf-8")

    def python(self, *arguments: str | Path, cwd: Path) -> Done:
        command = [str(self.executable), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=300)

    def pytest(self, *arguments: str | Path, cwd: Path) -> Done:
        """`pytest ...`; unlike `python -m pytest`, it leaves the current folder off the path."""
        return self.python(self.command, *arguments, cwd=cwd)

    def install(self, folder: Path) -> None:
        """`pip install -e .`, as the handout says, without the network."""
        options = ["-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        pip = [sys.executable, "-m", "pip", "--python", str(self.executable), "install", *options, "-e", "."]
        subprocess.run(pip, cwd=folder, check=True, timeout=300)


@pytest.fixture(scope="module")
def weeks(tmp_path_factory) -> dict[int, Path]:
    """The week as this course has it and the next one, as students clone them; each notes when it is used."""
    course = tmp_path_factory.mktemp("course") / "week4"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "tests", "docs", "*.egg-info")
    shutil.copytree(ROOT, course, ignore=ignored)
    shutil.copytree(ROOT / ".github", course / ".github")
    text = (course / "templates/course.toml").read_text(encoding="utf-8")
    (course / "templates/course.toml").write_text(
        re.sub(r"(?m)^week = \d+$", f"week = {SECOND}", text), encoding="utf-8"
    )
    made = {}
    for week, root in {FIRST: ROOT, SECOND: course}.items():
        made[week] = tmp_path_factory.mktemp("students") / f"week{week}"
        options = argparse.Namespace(out=made[week], target="github", dry_run=False, overwrite=False)
        assert release.run(options, root=root) == 0
        for module in ("probes/runtime.py", "engine/publish.py"):  # a worker's, and the command line's
            with (made[week] / "grader" / module).open("a", encoding="utf-8") as file:
                file.write(f"\nimport pathlib\npathlib.Path({str(made[week])!r}, 'used').touch()\n")
    return made


@pytest.fixture(scope="module")
def first_only(weeks, tmp_path_factory) -> Environment:
    """The first is installed, and lies on the path as well, as some tools install a folder that is to be edited."""
    pytest.importorskip("setuptools", reason="not run: setuptools is not installed")
    environment = Environment(tmp_path_factory.mktemp("first") / "venv")
    environment.install(weeks[FIRST])
    (environment.packages / "edited.pth").write_text(f"{weeks[FIRST]}\n", encoding="utf-8")
    return environment


@pytest.fixture(scope="module")
def both(first_only, weeks) -> Environment:
    """The same environment, once the second is installed too."""
    (first_only.packages / "edited.pth").unlink()
    first_only.install(weeks[SECOND])
    return first_only


def used(weeks: dict[int, Path]) -> list[int]:
    """The weeks whose probes or commands were imported since the last time."""
    found = [week for week, folder in weeks.items() if (folder / "used").exists()]
    for week in found:
        (weeks[week] / "used").unlink()
    return found


def assert_graded_by(week: int, weeks: dict[int, Path], done: Done, report: Path) -> None:
    assert done.returncode == 0 and re.search(r"Score (\d+)/\1 ", done.stdout) and "only model" in done.stdout, (
        done.stdout + done.stderr
    )
    assert used(weeks) == [week], "the worker is of the same copy"
    grader = json.loads((report / "score.json").read_text(encoding="utf-8"))["grader"]
    assert grader["digest"] == grader_digest(weeks[week] / "grader")


def poisoned(folder: Path) -> tuple[Path, Path]:
    """A right submission with a grader and settings of its own, and the file that is there once any of them ran."""
    shutil.copytree(ROOT / "solution", folder, ignore=shutil.ignore_patterns("__pycache__", "digits*", "plots"))
    mark = folder.with_name("ran")
    (folder / "grader/checks").mkdir(parents=True)
    for name in ("__init__", "plugin", "contract", "conftest", "checks/__init__", "checks/test_2_model"):
        (folder / f"grader/{name}.py").write_text(POISON.format(mark=str(mark)), encoding="utf-8")
    for name in ("grader_entry_point", "conftest", "test_mine"):
        (folder / f"{name}.py").write_text(POISON.format(mark=str(mark)), encoding="utf-8")
    (folder / "grader/rubric.toml").write_text("", encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-k nothing'\n", encoding="utf-8")
    return folder, mark


# ---- real weeks in one environment


def test_a_fresh_clone_is_installed_and_graded(first_only, weeks, tmp_path):
    """Bare `pytest` will do there."""
    done = first_only.pytest(f"--report={tmp_path}", cwd=weeks[FIRST])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Score 0/100" in done.stdout and "Everything is still to do" in done.stdout
    assert used(weeks) == [FIRST]


def test_another_week_than_the_installed_one_runs_without_reinstalling(first_only, weeks, tmp_path):
    submission, mark = poisoned(tmp_path / "work")
    settings = ["-c", weeks[SECOND] / "pyproject.toml", "--rootdir", weeks[SECOND], "-m", "model"]
    asked = [
        weeks[SECOND] / "grader/checks/test_2_model.py",
        "--submission",
        submission,
        f"--report={tmp_path / 'out'}",
    ]
    assert_graded_by(SECOND, weeks, first_only.pytest(*settings, *asked, cwd=tmp_path), tmp_path / "out")
    assert not mark.exists()


def test_the_command_line_is_that_of_the_current_folder(first_only, weeks):
    done = first_only.python("-m", "grader", "--help", cwd=weeks[SECOND])
    assert done.returncode == 0 and "publish" in done.stdout and "release" not in done.stdout, done.stderr
    done = first_only.python("-m", "grader", "publish", "--help", cwd=weeks[SECOND])
    assert done.returncode == 0 and used(weeks) == [SECOND], done.stderr


def test_with_both_installed_the_path_decides(both, weeks, tmp_path):
    asked = ["-m", "model", "--worker=spawn", f"--submission={ROOT / 'solution'}", f"--report={tmp_path}"]
    assert_graded_by(FIRST, weeks, both.python("-m", "pytest", "./grader", *asked, cwd=weeks[FIRST]), tmp_path)


def test_only_the_way_in_is_installed(both, weeks, tmp_path):
    """`grader` itself is not, so that no week's takes another's place; and each has a name of its own for pip."""
    assert "No module named" in both.python("-c", "import grader", cwd=tmp_path).stderr
    installed = {path.name.split("-")[0] for path in both.packages.glob("*.dist-info")}
    assert installed == {f"week{FIRST}_digits_grader", f"week{SECOND}_digits_grader"}


def test_a_week_whose_folder_is_gone_does_not_stop_the_other(both, weeks, stub):
    moved = weeks[FIRST].rename(weeks[FIRST].with_name("moved"))
    try:
        assert both.pytest("grader", cwd=stub).stdout == "loaded stub\n"
    finally:
        moved.rename(weeks[FIRST])


# ---- what counts as the path to a grader; a stub of one says that it was loaded, and no more


@pytest.fixture(scope="module")
def stub(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stubs") / "stub"
    for name, text in {"__init__": "", "plugin": STUB, "checks/test_2_model": ""}.items():
        (folder / f"grader/{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"grader/{name}.py").write_text(text, encoding="utf-8")
    (folder / "grader/rubric.toml").touch()
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    (folder / "tests").mkdir()
    return folder


FORMS = (
    "grader",
    "grader/ -m model",
    "./grader/checks/test_2_model.py",
    "{stub}/grader/checks/test_2_model.py::test_shape",
    "-c pyproject.toml --rootdir . grader/",
    "--submission={other}/grader grader/",
    "--submission {other}/grader grader/",
    "grader --report {other}/grader --submission {other}/grader",
    "-k grader",
    "--submission {other}",
)


@pytest.mark.parametrize("form", FORMS)
def test_the_grader_on_the_command_line_is_loaded(first_only, stub, tmp_path, form):
    poisoned(tmp_path / "other")
    arguments = form.format(stub=stub, other=tmp_path / "other").split(" ")
    done = first_only.pytest(*arguments, cwd=stub)
    assert (done.stdout, done.returncode) == ("loaded stub\n", 0), done.stderr


@pytest.mark.parametrize("form", ["tests", "--submission={stub}/grader", "--submission {stub}/grader", "-k grader"])
def test_nothing_is_loaded_where_no_grader_is_collected(first_only, stub, tmp_path, form):
    arguments = form.format(stub=stub).split(" ")
    done = first_only.pytest(*arguments, cwd=stub if form == "tests" else tmp_path)
    assert "loaded stub" not in done.stdout and done.returncode in (4, 5), done.stdout + done.stderr


def test_tests_of_something_else_notice_nothing(first_only, tmp_path):
    """Another project in the same environment, with an option and a folder of the same names."""
    (tmp_path / "grader").mkdir()
    option = "def pytest_addoption(parser):\n    parser.addoption('--report')\n"
    (tmp_path / "conftest.py").write_text(option, encoding="utf-8")
    (tmp_path / "grader/test_own.py").write_text(
        "import sys\n\ndef test_own(pytestconfig):\n"
        "    assert pytestconfig.option.report == 'mine' and not hasattr(pytestconfig.option, 'submission')\n"
        "    assert not {'grader', 'grader.plugin', 'torch', 'rich'} & set(sys.modules)\n",
        encoding="utf-8",
    )
    done = first_only.pytest("grader", "--report=mine", cwd=tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


# ---- refusals, each in one sentence


def refused(done: Done) -> str:
    assert done.returncode == 4 and "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    [sentence] = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return sentence


def test_two_graders_at_once_are_refused(both, weeks, tmp_path):
    settings = ["-c", weeks[FIRST] / "pyproject.toml", "--rootdir", weeks[FIRST]]
    done = both.pytest(*settings, weeks[FIRST] / "grader", weeks[SECOND] / "grader", cwd=tmp_path)
    assert "run pytest for one of them at a time" in refused(done)
    first = f"import sys; sys.path.insert(0, {str(weeks[FIRST])!r}); import grader, pytest; sys.path.pop(0); "
    done = both.python("-c", f"{first}sys.exit(pytest.main([{str(weeks[SECOND] / 'grader')!r}]))", cwd=tmp_path)
    assert "start pytest anew" in refused(done)


def test_a_submission_named_as_a_test_path_is_refused(first_only, weeks, tmp_path):
    """`--submission=` was forgotten: its conftest.py would run in the process that judges."""
    submission, mark = poisoned(tmp_path / "work")
    settings = ["-c", "pyproject.toml", "--rootdir", "."]
    for path in (submission, submission / "test_mine.py"):
        assert f"write --submission={path}" in refused(first_only.pytest(*settings, "grader", path, cwd=weeks[FIRST]))
    assert "another grader" in refused(first_only.pytest(*settings, "grader", submission / "grader", cwd=weeks[FIRST]))
    assert not mark.exists()


# ---- names and markers


def test_a_part_is_a_marker_that_pytest_knows():
    strict = [sys.executable, "-m", "pytest", "grader/", "-W", "error", "--strict-markers"]
    done = subprocess.run([*strict, "--markers"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    for part in WEEK.parts:
        assert f"@pytest.mark.{part.name}: {part.title}" in done.stdout, done.stderr
    chosen = ["--collect-only", "-q", "-m", WEEK.part_names[-1]]
    done = subprocess.run([*strict, *chosen], cwd=ROOT, capture_output=True, text=True, timeout=300)
    count = sum(check.part == WEEK.part_names[-1] for check in WEEK.checks)
    assert done.returncode == 0 and f"{count}/{len(WEEK.checks)} tests collected" in done.stdout, done.stdout


def test_settings_name_no_part_and_the_distribution_names_its_week(weeks):
    course = load_toml(ROOT / "templates/course.toml")
    for week, folder in {course["week"]: ROOT, SECOND: weeks[SECOND]}.items():
        settings = load_toml(folder / "pyproject.toml")
        named = [line.split(":")[0] for line in settings["tool"]["pytest"]["ini_options"].get("markers", [])]
        assert not set(named) & set(WEEK.part_names)
        assert settings["project"]["name"] == f"week{week}-digits-grader"
        assert "confined" in settings["project"]["optional-dependencies"]
        assert settings["project"]["entry-points"]["pytest11"] == {"grader": "grader_entry_point"}
