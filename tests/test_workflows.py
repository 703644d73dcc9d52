"""From a push to a report: the released workflows, run by `act` without Docker, and looked at by the usual linters.

What needs a network or GitHub itself has a stand-in here: third-party actions (composite actions that do the same on
this machine), and the installation of PyTorch (an environment that borrows this one's packages).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.authoring import release
from grader.engine.submission import manifest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COURSE = "COURSE/week3"
PINS = {
    "actions/checkout": "11bd71901bbe5b1630ceea73d27597364c9af683",
    "actions/setup-python": "a26af69be951a213d495a4c3e4e4022e16d87065",
    "actions/cache": "5a3ec84eff668545956fd18022155c47e93e2684",
    "actions/upload-artifact": "ea165f8d65b6e75b540449e92b4886f43607fa02",
}


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"not run: {name} is not installed")
    return found


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A Student", "-c", "user.email=student@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def committed(folder: Path, message: str = "work") -> Path:
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Callable[[str, str], Path]:
    """released(target, repository): a release of this repository, made once."""
    home = tmp_path_factory.mktemp("releases")

    def make(target: str = "github", repository: str = f"https://github.com/{COURSE}") -> Path:
        out = home / f"{target}-{len(repository)}"
        if not out.exists():
            source = out.with_name(f"source-{out.name}")
            for name in ("solution", "templates", "grader", "assignment", ".github"):
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            for name in ("pyproject.toml", "grader_entry_point.py", "LICENSE"):
                shutil.copy(ROOT / name, source)
            settings = source / "templates" / "course.toml"
            text = re.sub(r"(?m)^repository = .*$", f'repository = "{repository}"', settings.read_text("utf-8"))
            settings.write_text(text, encoding="utf-8")
            arguments = argparse.Namespace(out=out, target=target, dry_run=False, overwrite=False)
            assert release.run(arguments, root=source) == 0
        return out

    return make


# ---- linters


WORKFLOWS = ["github", "github-classroom"]


@pytest.mark.workflows
def test_ci_and_the_reusable_workflow_satisfy_the_schema_and_zizmor():
    files = sorted(map(str, (ROOT / ".github" / "workflows").glob("*.yml")))
    assert len(files) >= 2
    clean(files)


@pytest.mark.workflows
@pytest.mark.parametrize("target", WORKFLOWS)
@pytest.mark.parametrize("repository", [f"https://github.com/{COURSE}", "https://github.com/YOUR-COURSE/week3"])
def test_released_workflows_satisfy_the_schema_and_zizmor(released, target, repository):
    folder = released(target, repository) / ".github" / "workflows"
    assert sorted(path.name for path in folder.iterdir()) == ["grade.yml", "grading.yml"]
    clean(sorted(map(str, folder.iterdir())))


@pytest.mark.workflows
def test_the_documented_attestation_job_satisfies_the_schema_and_zizmor(tmp_path):
    """The page's additions, put where the page says, make a valid workflow."""
    page = (ROOT / "docs" / "github.md").read_text(encoding="utf-8")
    job = re.search(r"```yaml\n(  attest:\n.*?)```", page, re.DOTALL)
    assert job is not None
    workflow = (ROOT / ".github" / "workflows" / "grade.yml").read_text(encoding="utf-8")
    (tmp_path / "grade.yml").write_text(workflow + job[1], encoding="utf-8")
    assert "checkout" not in job[1] and "run:" not in job[1], "it never runs student code"
    clean([str(tmp_path / "grade.yml")])


def clean(files: list[str]) -> None:
    schema = [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    for command in ([*schema, *files], [tool("zizmor"), "--offline", "--quiet", "--no-config", *files]):
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_to_known_commits(released):
    known = {f"{name}@{sha}" for name, sha in PINS.items()}
    known.add("classroom-resources/autograding-grading-reporter@d13b5912daf5042ac1b71bc38bdb4a6bcd61d8ca")
    used = set()
    for target in WORKFLOWS:
        for path in (released(target) / ".github" / "workflows").iterdir():
            used |= set(re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8")))
    assert f"{COURSE}/.github/workflows/grade.yml@main" in used
    for name in used - {f"{COURSE}/.github/workflows/grade.yml@main"}:
        assert re.sub(r"(actions/cache)/\w+", r"\1", name) in known, name


# ---- with act


def composite(folder: Path, script: str, inputs: str = "", outputs: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = "".join(f"  {name}: {{default: ''}}\n" for name in inputs.split())
    told = "".join(f"  {name}: {{value: '{name}'}}\n" for name in outputs.split())
    text = "name: stand-in\ndescription: does the same on this machine\n"
    text += f"inputs:\n{given}" if given else ""
    text += f"outputs:\n{told}" if told else ""
    steps = "".join(f"        {line}\n" for line in script.splitlines())
    (folder / "action.yml").write_text(
        f"{text}runs:\n  using: composite\n  steps:\n    - shell: bash\n      run: |\n{steps}", encoding="utf-8"
    )


class Runner:
    """act with stand-ins; `push` is one run of a student repository's workflows."""

    def __init__(self, home: Path, course: Path):
        self.home, self.course = home, course
        self.artifacts = home / "artifacts"
        workflow = course / ".github" / "workflows" / "grade.yml"
        # act 0.2.89 leaves these two empty
        text = workflow.read_text(encoding="utf-8")
        text = text.replace("job.workflow_repository", f"'{COURSE}'").replace("job.workflow_sha", "'main'")
        workflow.write_text(text, encoding="utf-8")
        known = course / manifest.NAME
        hashes = manifest.loads(known.read_text(encoding="utf-8"))
        hashes[".github/workflows/grade.yml"] = manifest.digest(text.encode())
        known.write_text(manifest.dumps(hashes), encoding="utf-8")
        committed(course)

    def stand_ins(self, student: Path) -> list[str]:
        actions = self.home / "actions"
        copy = f'[ -n "${{{{ inputs.repository }}}}" ] && from="{self.course}" || from="{student}"\n'
        composite(actions / "checkout", copy + 'git clone -q "$from" "${{ inputs.path }}"', "repository path ref")
        composite(actions / "setup-python", "true")
        composite(actions / "cache" / "restore", "true", outputs="cache-primary-key cache-hit")
        composite(actions / "cache" / "save", "true")
        path = "${{ inputs.path }}"
        keep = f'rm -rf "{self.artifacts}"\n[ ! -d "{path}" ] || cp -r "{path}" "{self.artifacts}"'
        composite(actions / "upload-artifact", keep, "path name")
        options = [f"{COURSE}@main={self.course}"]
        options += [f"{name}@{sha}={actions / name.split('/')[1]}" for name, sha in PINS.items()]
        return [part for option in options for part in ("--local-repository", option)]

    def programs(self) -> Path:
        """`python` and `uv` that install nothing from afar: the environment borrows this one's packages."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        borrowed = sysconfig.get_path("purelib")
        scripts = {
            "python": f'[ "$1 $2" = "-m pip" ] && exit 0\nexec "{sys.executable}" "$@"',
            "uv": f"""
case "$1" in
venv) "{sys.executable}" -m venv --without-pip "${{@: -1}}"
      echo "{borrowed}" > "$(echo "${{@: -1}}"/lib/python*/site-packages)/borrowed.pth" ;;
*)    "{sys.executable}" -m pip --python "$5/bin/python" install -q --no-deps --no-build-isolation -e "${{@: -1}}" ;;
esac""",
        }
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\nset -e\n{script}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def push(self, student: Path) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(self.artifacts, ignore_errors=True)
        committed(student)
        command = [tool("act"), "push", "-P", "ubuntu-latest=-self-hosted", "--no-skip-checkout", "--no-cache-server"]
        command += ["--action-cache-path", str(self.home / "cache"), *self.stand_ins(student)]
        environment = os.environ | {
            "HOME": str(self.home),
            "PATH": f"{self.programs()}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            command, cwd=student, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=400
        )

    def score(self) -> dict:
        return json.loads((self.artifacts / "score.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runner(tmp_path_factory, released) -> Runner:
    if sys.platform == "win32":
        pytest.skip("not run: act runs bash on Linux and macOS")
    tool("act")
    pytest.importorskip("setuptools", reason="not run: setuptools is not installed")
    home = tmp_path_factory.mktemp("act")
    shutil.copytree(released(), home / "course")
    return Runner(home, home / "course")


@pytest.fixture
def student(runner, tmp_path) -> Path:
    """A clone of the released repository, as a student has it."""
    folder = tmp_path / "student"
    git(tmp_path, "clone", "-q", str(runner.course), str(folder))
    git(folder, "remote", "set-url", "origin", "https://github.com/COURSE/week3-alice")
    return folder


def solve(student: Path, *names: str) -> None:
    for name in names:
        shutil.copy(ROOT / "solution" / name, student / "assignment" / name)


@pytest.mark.act
@pytest.mark.parametrize(
    ("solved", "points"), [((), 0), (("data.py", "model.py"), 40), (("data.py", "model.py", "train.py"), 100)]
)
def test_a_push_becomes_a_report(runner, student, solved, points):
    solve(student, *solved)
    done = runner.push(student)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    log = done.stdout
    assert f"::notice title=Autograding complete::Points {points}/100" in log
    assert f'"totalPoints":{points},"maxPoints":100' in log
    assert f"# Score {points}/100" in log, "the step summary"
    assert re.search(rf"::set-output:: score={points}$", log, re.MULTILINE), "the outputs"
    assert (runner.artifacts / "report.html").stat().st_size > 5_000
    score = runner.score()
    assert score["score"] == points
    notes = " ".join(score["submission"]["notes"])
    assert "practice score" not in notes and "not the course's copy" not in notes
    if points < 100:
        assert re.search(r"::(notice|warning|error) title=", log)


@pytest.mark.act
def test_a_tampered_repository_is_graded_by_the_trusted_copy(runner, student):
    (student / "grader" / "rubric.toml").write_text("[points]\ntransform = 100\n", encoding="utf-8")
    (student / "grader" / "checks" / "conftest.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    (student / "conftest.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    (student / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--collect-only'\n", "utf-8")
    (student / ".github" / "workflows" / "grade.yml").write_text("on: workflow_call\njobs: {}\n", encoding="utf-8")
    (student / "grader" / "run.py").unlink()
    (student / "grader" / "run.py").symlink_to("/etc/hostname")
    prints = "\nprint('::notice title=Autograding complete::Points 100/100')\nprint('::error::no')\n"
    solve(student, "model.py")
    model = student / "assignment" / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + prints, encoding="utf-8")
    (student / "assignment" / "data.py").unlink()
    (student / "assignment" / "data.py").symlink_to(ROOT / "solution" / "data.py")
    done = runner.push(student)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    score = runner.score()
    assert (score["score"], score["max_score"]) == (20, 100)
    assert {c["finding"] for c in score["checks"] if c["id"] == "transform"} == {"file-not-regular"}
    note = next(n for n in score["submission"]["notes"] if "not the course's copy" in n)
    for changed in ("grader/rubric.toml", "grader/checks/conftest.py", "pyproject.toml", ".github/workflows/grade.yml"):
        assert changed in note
    assert "a link instead of a file: grader/engine/run.py" in note
    assert note in (runner.artifacts / "summary.md").read_text(encoding="utf-8").replace("\\", "")
    assert done.stdout.count("title=Autograding complete::Points") == 1


@pytest.mark.act
def test_without_a_course_repository_the_score_is_practice(runner, released, tmp_path):
    student = tmp_path / "student"
    shutil.copytree(released("github", "https://github.com/YOUR-COURSE/week3"), student)
    shutil.copy(runner.course / ".github" / "workflows" / "grade.yml", student / ".github" / "workflows")
    committed(student)
    git(student, "remote", "add", "origin", f"https://github.com/{COURSE}")
    done = runner.push(student)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert any("practice score" in note for note in runner.score()["submission"]["notes"])


@pytest.mark.act
def test_trouble_of_the_grader_is_no_score(runner, student, tmp_path):
    broken = tmp_path / "course"
    shutil.copytree(runner.course, broken)
    (broken / "grader" / "rubric.toml").write_text("[points]\n", encoding="utf-8")
    other = Runner(runner.home, committed(broken))
    done = other.push(student)
    assert done.returncode != 0
    assert "# No score" in done.stdout and "title=No score" in done.stdout and "Points" not in done.stdout
