"""From a push to a report: the released workflows, run by `act` without Docker, and looked at by the usual linters.

What needs a network or GitHub itself has a stand-in here: third-party actions (composite actions that do the same on
this machine), and the installation of PyTorch (an environment that borrows this one's packages).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.authoring import contents, release
from grader.engine.rubric import load_toml
from grader.engine.submission import manifest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COURSE = "COURSE/week3"
PINS = {pin["name"]: pin for pin in load_toml(ROOT / "tests" / "pins.toml")["pins"]}
NODE = 24  # the oldest on GitHub's runners since 2026-09-23


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
    clean([str(ROOT / ".github" / "dependabot.yml")], "vendor.dependabot")


@pytest.mark.workflows
@pytest.mark.parametrize("target", WORKFLOWS)
@pytest.mark.parametrize("repository", [f"https://github.com/{COURSE}", "https://github.com/YOUR-COURSE/week3"])
def test_released_workflows_satisfy_the_schema_and_zizmor(released, target, repository):
    folder = released(target, repository) / ".github" / "workflows"
    assert sorted(path.name for path in folder.iterdir()) == ["grade.yml", "grading.yml"]
    clean(sorted(map(str, folder.iterdir())))
    clean([str(folder.parent / "dependabot.yml")], "vendor.dependabot")


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


def clean(files: list[str], schema: str = "vendor.github-workflows") -> None:
    check = [tool("check-jsonschema"), "--builtin-schema", schema]
    for command in ([*check, *files], [tool("zizmor"), "--offline", "--quiet", "--no-config", *files]):
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr


# ---- pins


def refused(text: str, pins: dict[str, dict[str, str]]) -> list[str]:
    """Every `uses:` of a third-party action that the table of pins does not know as it stands there, and why."""
    odd = []
    for used in re.findall(r"uses: (.+)", text):
        action, _, tag = used.partition(" # ")
        name, _, sha = action.partition("@")
        pin = pins.get("/".join(name.split("/")[:2]))
        if name.startswith(f"{COURSE}/") or name.startswith("./"):
            continue  # the course's own reusable workflow
        if pin is None:
            odd.append(f"{name} is not in tests/pins.toml")
        elif (sha, tag) != (pin["sha"], pin["tag"]):
            odd.append(f"{used} is not {pin['sha']} # {pin['tag']}, which tests/pins.toml names")
        elif not pin["runtime"].startswith("node") or int(pin["runtime"][4:]) < NODE:
            odd.append(f"{name} {tag} runs on {pin['runtime']}, which the runners do not have any more")
    return odd


def test_every_action_is_pinned_to_a_commit_that_runs_on_todays_runners(released):
    texts = {path: path.read_text("utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")}
    texts[ROOT / "docs" / "github.md"] = (ROOT / "docs" / "github.md").read_text("utf-8")
    for target in WORKFLOWS:
        texts |= {path: path.read_text("utf-8") for path in (released(target) / ".github" / "workflows").iterdir()}
    assert sum(text.count("uses: actions/") for text in texts.values()) >= 20
    assert {str(path): refused(text, PINS) for path, text in texts.items() if refused(text, PINS)} == {}


def test_an_unknown_an_older_and_a_moved_action_are_refused():
    checkout = PINS["actions/checkout"]
    used = f"uses: actions/checkout@{checkout['sha']} # {checkout['tag']}"
    assert refused(used, PINS) == []
    old = {"actions/checkout": checkout | {"runtime": "node20"}}
    assert ["runs on node20" in why for why in refused(used, old)] == [True]
    for other in (
        "uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2",
        f"uses: actions/checkout@{checkout['sha']} # v9",
        "uses: actions/checkout@v6",
        "uses: classroom-resources/autograding-grading-reporter@d13b5912daf5042ac1b71bc38bdb4a6bcd61d8ca # v1",
    ):
        assert len(refused(other, PINS)) == 1, other


def test_the_released_repository_keeps_its_pins_alive_too(released):
    for target in WORKFLOWS:
        text = (released(target) / ".github" / "dependabot.yml").read_text("utf-8")
        assert "package-ecosystem: github-actions" in text and "interval: monthly" in text


# ---- what a push costs


@pytest.mark.parametrize("target", WORKFLOWS)
def test_only_pushes_of_work_are_graded_and_the_newest_alone(released, target):
    folder = released(target) / ".github" / "workflows"
    text = (folder / "grading.yml").read_text("utf-8")
    push = text.split("permissions:")[0]
    assert 'paths: ["assignment/**", "*.py", "*.ipynb"]' in push and "branches: [main]" in push
    assert re.search(r"^concurrency:\n  group: .*\n  cancel-in-progress: true$", text, re.MULTILINE)
    assert "!github.event.repository.is_template" in text and f"github.repository != '{COURSE}'" in text
    for path in folder.iterdir():
        jobs = path.read_text("utf-8")
        assert jobs.count("    runs-on: ") == len(re.findall(r"^    timeout-minutes: \d+$", jobs, re.MULTILINE)), path


def test_this_repositorys_own_tests_cost_a_private_one_nothing_unasked():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    condition = "if: ${{ !github.event.repository.private || github.event_name == 'workflow_dispatch' || vars.CI"
    assert text.count(condition) == text.count("    runs-on: ") >= 3 and "\n  workflow_dispatch:\n" in text


# ---- what a teacher may demand


def test_a_teacher_may_demand_confinement(released, tmp_path, capsys, week):
    source = tmp_path / "source"
    shutil.copytree(released().with_name(f"source-{released().name}"), source)
    settings = source / "templates" / "course.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace('isolation = "best"', 'isolation = "confined"'), encoding="utf-8")
    starts = {
        "github": ".github/workflows/grade.yml",
        "github-classroom": ".github/workflows/grade.yml",
        "classroom50": f"autograders/{week}/autograder.py",
    }
    for target, path in starts.items():
        arguments = argparse.Namespace(out=tmp_path / target, target=target, dry_run=False, overwrite=False)
        assert release.run(arguments, root=source) == 0
        made = (tmp_path / target / path).read_text("utf-8")
        assert made.count("--isolation=confined") == 1 and "--isolation=best" not in made
    archive = contents.gradescope(source)[f"{week}-autograder.zip"]
    with zipfile.ZipFile(io.BytesIO(archive)) as inside:
        assert b"--isolation=confined" in inside.read("run_autograder")
    settings.write_text(text.replace('isolation = "best"', 'isolation = "strict"'), encoding="utf-8")
    arguments = argparse.Namespace(out=tmp_path / "none", target="github", dry_run=False, overwrite=False)
    assert release.run(arguments, root=source) == 2
    assert 'write isolation = "best" or isolation = "confined"' in capsys.readouterr().err


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
        # act 0.2.89 leaves these empty
        text = workflow.read_text(encoding="utf-8")
        known = {"job.workflow_repository": COURSE, "job.workflow_sha": "main", "runner.environment": "github-hosted"}
        for name, value in known.items():
            assert name in text or f"'{value}'" in text, "of another Runner"
            text = text.replace(name, f"'{value}'")
        workflow.write_text(text, encoding="utf-8")
        listed = course / manifest.NAME
        hashes = manifest.loads(listed.read_text(encoding="utf-8"))
        hashes[".github/workflows/grade.yml"] = manifest.digest(text.encode())
        listed.write_text(manifest.dumps(hashes), encoding="utf-8")
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
        options += [f"{name}@{pin['sha']}={actions / name.split('/')[1]}" for name, pin in PINS.items()]
        return [part for option in options for part in ("--local-repository", option)]

    def programs(self) -> Path:
        """`python` and `uv` that install nothing from afar: the environment borrows this one's packages."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        borrowed = "\\n".join(path for path in sys.path if Path(path).name == "site-packages")
        scripts = {
            "python": f'[ "$1 $2" = "-m pip" ] && echo "$*" >> "{self.home}/asked" && exit 0\n'
            f'exec "{sys.executable}" "$@"',
            "uv": f"""
case "$1" in
venv) "{sys.executable}" -m venv --without-pip "${{@: -1}}"
      printf '{borrowed}\\n' > "$(echo "${{@: -1}}"/lib/python*/site-packages)/borrowed.pth" ;;
*)    echo "uv $*" >> "{self.home}/asked"
      [ ! -e "{self.home}/no-network" ] || {{ echo "error: could not connect" >&2; exit 2; }}
      "{sys.executable}" -m pip --python "$5/bin/python" install -q --no-deps --no-build-isolation -e "${{@: -1}}" ;;
esac""",
            "sudo": f'echo "sudo $*" >> "{self.home}/asked"\nexit 1',
        }
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\nset -e\n{script}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def push(self, student: Path, **repository: bool) -> subprocess.CompletedProcess[str]:
        """repository: what GitHub says of it in the event."""
        shutil.rmtree(self.artifacts, ignore_errors=True)
        (self.home / "asked").write_text("", encoding="utf-8")
        event = self.home / "event.json"
        event.write_text(json.dumps({"ref": "refs/heads/main", "repository": repository}), encoding="utf-8")
        committed(student)
        command = [tool("act"), "push", "-P", "ubuntu-latest=-self-hosted", "--no-skip-checkout", "--no-cache-server"]
        command += ["-e", str(event)]
        command += ["--action-cache-path", str(self.home / "cache"), *self.stand_ins(student)]
        environment = os.environ | {
            "HOME": str(self.home),
            "PATH": f"{self.programs()}{os.pathsep}{os.environ['PATH']}",
        }
        return subprocess.run(
            command, cwd=student, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=400
        )

    def asked(self) -> str:
        """What the workflow asked of pip, uv and sudo."""
        return (self.home / "asked").read_text(encoding="utf-8")

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
    assert "sudo -n sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0" in runner.asked()
    assert "install --quiet -c trusted/constraints.txt uv" in runner.asked()
    assert "--torch-backend cpu -c trusted/constraints.txt -b trusted/constraints.txt" in runner.asked()


@pytest.mark.act
def test_a_tampered_repository_is_graded_by_the_trusted_copy(runner, student):
    (student / "grader" / "rubric.toml").write_text("[points]\ntransform = 100\n", encoding="utf-8")
    (student / "grader" / "checks" / "conftest.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    (student / "conftest.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")
    (student / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--collect-only'\n", "utf-8")
    (student / ".github" / "workflows" / "grade.yml").write_text("on: workflow_call\njobs: {}\n", encoding="utf-8")
    (student / "grader" / "engine" / "run.py").unlink()
    (student / "grader" / "engine" / "run.py").symlink_to("/etc/hostname")
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
    assert "The reason: " in done.stdout and "[points] lacks" in done.stdout, "for the teacher"


@pytest.mark.act
def test_a_failed_installation_ends_with_a_sentence_for_the_student(runner, student):
    (runner.home / "no-network").touch()
    try:
        done = runner.push(student)
    finally:
        (runner.home / "no-network").unlink()
    assert done.returncode != 0
    assert "::error title=No score::The grader could not be fetched or installed" in done.stdout
    assert "# No score" in done.stdout and "Points" not in done.stdout and "No such file" not in done.stdout


@pytest.mark.act
def test_the_repository_that_students_copy_is_not_graded(runner, student):
    done = runner.push(student, is_template=True)
    assert done.returncode == 0 and runner.asked() == "" and "Points" not in done.stdout
    git(student, "remote", "set-url", "origin", f"https://github.com/{COURSE}")
    done = runner.push(student)
    assert done.returncode == 0 and runner.asked() == "" and "Points" not in done.stdout


@pytest.mark.act
def test_github_classrooms_job_prints_the_two_notices_without_its_reporter(runner, released, tmp_path, worth):
    student = tmp_path / "student"
    shutil.copytree(released("github-classroom"), student)
    solve(student, "data.py")
    committed(student)
    git(student, "remote", "add", "origin", "https://github.com/COURSE/week3-alice")
    done = runner.push(student)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    own = [line for line in done.stdout.splitlines() if "/run-autograding-tests" in line]
    assert any(f"::notice title=Autograding complete::Points {worth('model')}/100" in line for line in own)
    assert any('Autograding report::{"totalPoints":20,"maxPoints":100}' in line for line in own)
