"""The Classroom 50 bundle and the Gradescope harness, run as those services run them, and `publish` on its own."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from grader.authoring import archives, contents, release
from grader.contract import WEEK
from grader.engine import reports
from grader.engine.reports import classroom50 as classroom50_form
from grader.engine.reports import gradescope, terminal
from grader.engine.reports.words import practice_notice
from grader.engine.result import CheckResult, Result
from grader.engine.worker.tiers import ESSENTIAL

ROOT = Path(__file__).resolve().parents[1]
GIVEN = {  # what Classroom 50's runner sets
    "CLASSROOM": "ml-2026",
    "ASSIGNMENT": "digits",
    "ASSIGNMENT_TYPE": "individual",
    "SUBMISSION_TAG": "submit/2026-06-01T14-32-05Z-a1b2c3d",
    "USERNAME": "alice",
    "OWNER": "alice",
    "COMMIT_URL": "https://github.com/ORG/ml-2026-week3-alice/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/ORG/ml-2026-week3-alice/releases/tag/submit",
    "REVIEW_URL": "https://github.com/ORG/ml-2026-week3-alice/compare/0...a1b2c3d",
    "PAGES_BASE_URL": "https://org.github.io/classroom50",
}


def make(out: Path, target: str) -> Path:
    assert release.run(argparse.Namespace(out=out, target=target, dry_run=False, overwrite=False)) == 0
    return out


@pytest.fixture(scope="module")
def classroom50(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("classroom50") / "out", "classroom50")


@pytest.fixture(scope="module")
def bundle(classroom50, tmp_path_factory, week) -> Path:
    """Packed and unpacked again, as publish-pages and runner.py do it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(classroom50 / "autograders" / week, arcname=week)
    assert len(packed.getvalue()) < 10 * 1024 * 1024
    folder = tmp_path_factory.mktemp("runtime")
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        tar.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return folder / week


def checkout(folder: Path, template: Path, *solved: str) -> Path:
    shutil.copytree(template, folder)
    for name in solved:
        shutil.copy(ROOT / "solution" / name, folder / "assignment" / name)
    return folder


def autograde(bundle: Path, cwd: Path, tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | GIVEN | {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_TOKEN": "secret-token"}
    environment |= {"GRADER_PYTHON": sys.executable, "CLASSROOM50_BUNDLE_DIR": str(bundle)} | more
    command = [sys.executable, str(bundle / "autograder.py")]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=400
    )


def allowed_only(folder: Path, patterns: list[str]) -> None:
    """What runner.py's enforce_allowed_files does: git's own ignore rules decide, and what they ignore is removed."""
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    (folder / "patterns").write_text("\n".join(patterns) + "\n", encoding="utf-8")
    listing = ["git", "ls-files", "-o", "-i", "--exclude-from=patterns"]
    for name in subprocess.run(listing, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines():
        if name != "patterns":
            (folder / name).unlink()
    (folder / "patterns").unlink()


def test_what_a_teacher_gets_for_classroom50(classroom50, week):
    settings = json.loads((classroom50 / "assignment.json").read_text(encoding="utf-8"))
    assert settings["runtime"] == json.loads((classroom50 / "runtime.json").read_text(encoding="utf-8"))
    assert settings["release_assets"] == ["report.html"]
    assert not (classroom50 / "template" / ".github").exists(), "autograde.yaml is Classroom 50's own"
    page = (classroom50 / "README.md").read_text(encoding="utf-8")
    assert all(f"--allowed-files '{pattern}'" in page for pattern in settings["allowed_files"])
    rubric = (classroom50 / "autograders" / week / "grader" / "rubric.toml").read_text(encoding="utf-8")
    assert "run_seconds = 480" in rubric
    assert not (classroom50 / "autograders" / week / "assignment" / "data.py").exists()


def test_the_bundle_grades_a_checkout(classroom50, bundle, tmp_path, worth, week):
    work = checkout(tmp_path / "work", classroom50 / "template", "data.py", "model.py")
    secret = "import os\nprint('::error::injected', os.environ.get('GITHUB_TOKEN'))\n"
    model = work / "assignment" / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + secret, encoding="utf-8")
    allowed_only(work, json.loads((classroom50 / "assignment.json").read_text(encoding="utf-8"))["allowed_files"])
    left = {p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file() and ".git" not in p.parts}
    assert left == {f"assignment/{name}" for name in ("data.py", "model.py", "train.py", f"{week}.ipynb")}
    done = autograde(bundle, work, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result, begun = json.loads((work / "result.json").read_text(encoding="utf-8")), worth("data", "model")
    assert (result["schema"], result["score"], result["max-score"]) == ("classroom50/result/v1", begun, 100)
    assert result["score"] == sum(test["score"] for test in result["tests"])
    assert all(type(t[key]) is int for t in result["tests"] for key in ("score", "max-score"))
    assert [result[key] for key in ("classroom", "assignment", "submission", "commit", "release", "review")] == [
        GIVEN[key] for key in ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "COMMIT_URL", "RELEASE_URL", "REVIEW_URL")
    ]
    assert f"# Score {begun}/100" in (work / "release-body.md").read_text(encoding="utf-8")
    output = (tmp_path / "output").read_text(encoding="utf-8")
    assert output.startswith(f"status=failure\nsummary={begun}/100")
    fence = re.search(r"::stop-commands::(\w+)\n(.*)\n::\1::", done.stdout, re.DOTALL)
    assert fence is not None and "::error::" not in done.stdout.replace(fence[2], "")
    assert "secret-token" not in done.stdout + (work / "result.json").read_text(encoding="utf-8")


def test_an_unsolved_checkout_is_a_result_too_and_a_tampered_copy_is_named(classroom50, bundle, tmp_path):
    work = checkout(tmp_path / "work", classroom50 / "template")
    (work / "grader" / "rubric.toml").write_text("[points]\n", encoding="utf-8")
    done = autograde(bundle, work, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((work / "result.json").read_text(encoding="utf-8"))["score"] == 0
    body = (work / "release-body.md").read_text(encoding="utf-8").replace("\\", "")
    assert "not the course's copy (changed grader/rubric.toml)" in body


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_in_the_place_of_the_result_is_not_followed(tmp_path):
    write_score(tmp_path / "reports")
    target = tmp_path / "target"
    target.write_text("mine", encoding="utf-8")
    (tmp_path / "result.json").symlink_to(target)
    (tmp_path / "release-body.md").symlink_to(target)
    assert run_publish(tmp_path, "classroom50", **GIVEN).returncode == 0
    assert target.read_text(encoding="utf-8") == "mine"


def test_trouble_is_no_score(classroom50, bundle, tmp_path):
    broken = tmp_path / "bundle"
    shutil.copytree(bundle, broken)
    (broken / "grader" / "rubric.toml").write_text("[points]\n", encoding="utf-8")
    work = checkout(tmp_path / "work", classroom50 / "template")
    done = autograde(broken, work, tmp_path)
    assert done.returncode not in (0, 1)
    assert not (work / "result.json").exists()


# ---- the autograder's own steps


FAKE_PIP = """
import os, sys
from pathlib import Path
if os.environ.get("FAKE") == "fails":
    raise SystemExit(1)
uv = Path(sys.argv[sys.argv.index("--target") + 1]) / "uv"
uv.mkdir(parents=True)
note = "import os, sys; open(os.environ['ASKED'], 'a').write(' '.join(sys.argv[1:]) + chr(10))"
(uv / "__init__.py").touch()
(uv / "__main__.py").write_text(note)
exec(note)
"""


@pytest.fixture
def autograder(bundle, tmp_path, monkeypatch) -> ModuleType:
    """The module, with a pip that writes down what it is asked for."""
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").touch()
    (tmp_path / "fake" / "pip" / "__main__.py").write_text(FAKE_PIP, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    spec = importlib.util.spec_from_file_location("autograder", bundle / "autograder.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_autograder_installs_the_versions_of_the_release(autograder, bundle, tmp_path):
    python = autograder.installed(tmp_path / "work" / "venv")
    assert Path(python).parts[-3] == "venv"
    versions = bundle / "constraints.txt"
    pip, venv, install = (tmp_path / "asked").read_text("utf-8").splitlines()
    assert versions.is_file() and pip.endswith(f"-c {versions} uv") and venv.startswith("venv --quiet")
    assert f"--torch-backend cpu -c {versions} -b {versions} -e {bundle}[confined]" in install


def test_a_failed_installation_is_trouble_with_a_sentence(bundle, autograder, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    done = autograde(bundle, work, tmp_path, GRADER_PYTHON="", FAKE="fails")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "::error title=No score::The grader could not be installed" in done.stdout
    told = (tmp_path / "output").read_text("utf-8")
    assert told.startswith("status=error\nsummary=The grader could not be installed") and "not your fault" in told
    assert list(work.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sudo is for Linux and macOS")
def test_only_a_hosted_runner_is_changed_for_confinement(autograder, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    sudo = tmp_path / "bin" / "sudo"
    sudo.write_text('#!/bin/sh\necho "sudo $*" >> "$ASKED"\nexit 1\n', encoding="utf-8")
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for where in ("", "self-hosted"):
        monkeypatch.setenv("RUNNER_ENVIRONMENT", where)
        autograder.let_code_be_confined()
    assert not (tmp_path / "asked").exists()
    monkeypatch.setenv("RUNNER_ENVIRONMENT", "github-hosted")
    autograder.let_code_be_confined()
    asked = (tmp_path / "asked").read_text("utf-8")
    assert asked == "sudo -n sysctl -q -w kernel.apparmor_restrict_unprivileged_userns=0\n"
    sudo.unlink()
    autograder.let_code_be_confined()  # no sudo: nothing is raised


# ---- Gradescope


@pytest.fixture(scope="module")
def autograder_zip(tmp_path_factory, week) -> Path:
    return make(tmp_path_factory.mktemp("gradescope") / "out", "gradescope") / f"{week}-autograder.zip"


def unpacked(autograder_zip: Path, root: Path) -> Path:
    with zipfile.ZipFile(autograder_zip) as archive:
        archive.extractall(root / "source")
        for entry in archive.infolist():
            (root / "source" / entry.filename).chmod(entry.external_attr >> 16)
    for name in ("submission", "results"):
        (root / name).mkdir()
    return root


def test_the_zip_for_gradescope(autograder_zip):
    with zipfile.ZipFile(autograder_zip) as archive:
        names = set(archive.namelist())
        scripts = {name: archive.read(name) for name in ("setup.sh", "run_autograder")}
    assert {"grader/engine/run.py", "pyproject.toml", "assignment/digits/MNIST/raw/t10k-labels-idx1-ubyte"} <= names
    assert not [name for name in names if name.startswith(("solution", "templates", "grader/authoring"))]
    assert all(content.startswith(b"#!/usr/bin/env bash\n") and b"\r" not in content for content in scripts.values())
    if bash := shutil.which("bash"):
        for content in scripts.values():
            assert subprocess.run([bash, "-n"], input=content).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Gradescope runs Linux")
def test_the_harness_grades_what_was_uploaded(autograder_zip, tmp_path, worth):
    root = unpacked(autograder_zip, tmp_path / "auto grader")
    rubric = root / "source" / "grader" / "rubric.toml"
    text = rubric.read_text(encoding="utf-8").split("[visibility]")[0]
    rubric.write_text(text + '\n[visibility]\nmodel = "hidden"\n', encoding="utf-8")
    for name in ("data.py", "model.py"):
        shutil.copy(ROOT / "solution" / name, root / "submission")
    shutil.copy(ROOT / "assignment" / "train.py", root / "submission")
    environment = os.environ | {"GRADER_ROOT": root.name, "GRADER_PYTHON": sys.executable}
    done = subprocess.run(
        [str(root / "source" / "run_autograder")],
        cwd=root.parent, env=environment, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    assert results["score"] == worth("data", "model") == sum(test["score"] for test in results["tests"])
    assert {t["visibility"] for t in results["tests"] if t["tags"][0] == "model"} == {"hidden"}
    assert {t["visibility"] for t in results["tests"] if t["tags"][0] == "data"} == {"visible"}


@pytest.mark.skipif(sys.platform == "win32", reason="Gradescope runs Linux")
def test_the_harness_says_when_there_is_no_score(autograder_zip, tmp_path):
    root = unpacked(autograder_zip, tmp_path)
    (root / "source" / "assignment/digits/MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01")
    environment = os.environ | {"GRADER_ROOT": str(root), "GRADER_PYTHON": sys.executable}
    subprocess.run([str(root / "source" / "run_autograder")], env=environment, capture_output=True, timeout=400)
    results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    assert "score" not in results and "no score" in results["output"]


@pytest.mark.skipif(sys.platform == "win32", reason="Gradescope runs Linux")
def test_an_image_without_the_grader_says_so(autograder_zip, tmp_path):
    root = unpacked(autograder_zip, tmp_path)
    environment = os.environ | {"GRADER_ROOT": str(root), "GRADER_PYTHON": ""}
    done = subprocess.run([str(root / "source" / "run_autograder")], env=environment, capture_output=True, timeout=60)
    assert done.returncode == 0
    results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    assert "score" not in results and "not installed" in results["output"] and "not your fault" in results["output"]


@pytest.mark.skipif(sys.platform == "win32", reason="Gradescope runs Linux")
def test_the_image_is_built_from_the_versions_of_the_release(autograder_zip, tmp_path):
    root = unpacked(autograder_zip, tmp_path)
    (root / "bin").mkdir()
    asked = root / "asked"
    note = f'#!/usr/bin/env bash\necho "$(basename "$0") $*" >> "{asked}"\n'
    make_venv = 'mkdir -p "$3/bin"\ncp "$0" "$3/bin/python"\n'
    for name, script in {"apt-get": note, "python3": note + f'[ "$2" != venv ] || {{ {make_venv} }}\n'}.items():
        (root / "bin" / name).write_text(script, encoding="utf-8")
        (root / "bin" / name).chmod(0o755)
    environment = os.environ | {"GRADER_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(root / "source" / "setup.sh")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    apt, venv, uv, grader = asked.read_text("utf-8").splitlines()
    versions = root / "source" / "constraints.txt"
    assert versions.is_file() and "libseccomp2" in apt and venv == f"python3 -m venv {root / 'venv'}"
    assert uv == f"python -m pip install --quiet -c {versions} uv"
    assert grader.endswith(f"--torch-backend cpu -c {versions} -b {versions} -e {root / 'source'}[confined]")


# ---- publish


def result(status: str = "failed") -> Result:
    checks = (
        CheckResult("transform", "One picture", "data", 1, "passed", 4, 4),
        CheckResult("step", "Steps", "training", 5, status, 2, 6, "some-finding", "seen", "look"),
    )
    grader = {"version": "0", "digest": "sha256:0", "isolation": "practice", "worker": "fork"}
    return Result("2026-06-01T00:00:00Z", 1.0, 7, {"name": "x", "digest": "sha256:0", "notes": []}, grader, checks,
                  sections=WEEK.sections)  # fmt: skip


def write_score(folder: Path, status: str = "failed") -> Path:
    folder.mkdir()
    (folder / "score.json").write_text(result(status).dumps(), encoding="utf-8")
    return folder


def run_publish(tmp_path: Path, service: str, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "grader", "publish", str(tmp_path / "reports"), "--for", service]
    command += [*([] if service == "github" else ["--into", str(tmp_path)]), *more]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(command, cwd=ROOT, env=outside | environment, capture_output=True, text=True, timeout=100)


def test_an_option_that_has_no_effect_on_a_service_is_refused(tmp_path):
    write_score(tmp_path / "reports")
    done = run_publish(tmp_path, "github", "--into", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("--into has no effect for github")


def test_publishing_to_github(tmp_path):
    write_score(tmp_path / "reports")
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = run_publish(tmp_path, "github", "--note", "A note.", "--note", " ", **files)
    assert done.returncode == 0, done.stderr
    assert "::notice title=Autograding complete::Points 6/10" in done.stdout
    output = dict(line.split("=", 1) for line in (tmp_path / "output").read_text("utf-8").splitlines())
    assert (output["score"], output["max_score"], output["passed"]) == ("6", "10", "false")
    assert output["digest"].startswith("sha256:") and len(output["digest"]) == 71
    assert "Score 6/10" in (tmp_path / "summary").read_text("utf-8")
    told = json.loads((tmp_path / "reports" / "score.json").read_text("utf-8"))
    assert told["submission"]["notes"] == ["A note."]
    assert "A note" in (tmp_path / "summary").read_text("utf-8")


def test_every_report_begins_with_practice_where_code_was_not_confined(tmp_path):
    measures = [name for name in ESSENTIAL if name != "files"]
    practice = replace(result(), grader={**result().grader, "measures": measures})
    words = "Isolation: practice (the graded code was not kept from: files)."
    reports.write(practice, tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    firsts = {
        "summary.md": (tmp_path / "summary.md").read_text("utf-8"),
        "release-body.md": classroom50_form.release_body(practice),
        "results.json": gradescope.results_json(practice)["output"],
        "results.json, next step hidden": gradescope.results_json(practice, {"default": "hidden"})["output"],
        "report.html": re.sub(r"<[^>]+>", "", page[page.index("<header>") : page.index("<h1>")]).strip(),
    }
    shown = terminal.console()
    with shown.capture() as captured:
        shown.print(terminal.report(practice), markup=False)
    assert words not in captured.get(), "in the terminal, with -v it stands at the end"
    assert {name: text.splitlines()[0].replace("\\", "").strip() for name, text in firsts.items()} == {
        name: words for name in firsts
    }
    confined = replace(result(), grader={**result().grader, "isolation": "confined"})
    assert classroom50_form.release_body(confined).startswith("# Score") and practice_notice(confined) == ""


@pytest.mark.parametrize("service", ["github", "classroom50", "gradescope"])
def test_trouble_of_the_grader_is_status_3_and_never_a_zero(tmp_path, service):
    done = run_publish(tmp_path, service, **GIVEN)  # there is no score.json
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert not (tmp_path / "result.json").exists() and "Points" not in done.stdout
    write_score(tmp_path / "reports", "grader_error")
    assert run_publish(tmp_path, service, **GIVEN).returncode == 3


@pytest.mark.parametrize("service", ["github", "classroom50", "gradescope"])
def test_why_there_is_no_score_reaches_student_and_teacher(tmp_path, service):
    reports.write_no_score(tmp_path / "reports", "This run was to be confined.\n::error::x")
    files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = run_publish(tmp_path, service, **GIVEN, **files)
    assert done.returncode == 3 and "Points" not in done.stdout
    places = {
        "github": ["summary"],
        "classroom50": ["output"],
        "gradescope": ["results.json"],
    }
    for name in places[service]:
        assert "This run was to be confined" in (tmp_path / name).read_text("utf-8")
    assert not [line for line in done.stdout.splitlines() if line.startswith("::error::")]


def test_a_score_and_a_reason_for_none_never_stand_beside_each_other(tmp_path):
    reports.write(result(), tmp_path)
    reports.write_no_score(tmp_path, "because")
    assert reports.why_no_score(tmp_path) == "because" and not (tmp_path / "score.json").exists()
    reports.write(result(), tmp_path)
    assert reports.why_no_score(tmp_path) == "" and (tmp_path / "score.json").is_file()


def test_broken_reports_are_trouble(tmp_path):
    folder = write_score(tmp_path / "reports")
    for text in ("", "{", "[]", '{"schema": "grader/score/v1"}', "\udcff"):
        (folder / "score.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert run_publish(tmp_path, "github").returncode == 3
    (folder / "score.json").write_text(result().dumps(), encoding="utf-8")
    (folder / "evidence.npz").write_bytes(b"PK no archive")
    assert reports.read(folder, WEEK.sections).dumps() == result().dumps()
    assert run_publish(tmp_path, "classroom50").returncode == 3, "outside Classroom 50's runner"


# ---- archives


def test_archives_are_the_same_bytes_each_time():
    files = {"b": b"2", "a": b"#!/bin/sh\n", "c/d": b"\0"}
    backwards = dict(reversed(files.items()))
    assert archives.tar_gz(files) == archives.tar_gz(backwards) and archives.zipped(files) == archives.zipped(backwards)
    with tarfile.open(fileobj=io.BytesIO(archives.tar_gz(files))) as tar:
        assert {m.name: m.mode for m in tar} == {"a": 0o755, "b": 0o644, "c/d": 0o644}


def test_a_bundle_that_is_too_large_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(contents, "BUNDLE_LIMIT", 100_000)
    arguments = argparse.Namespace(out=tmp_path / "out", target="classroom50", dry_run=False, overwrite=False)
    assert release.run(arguments) == 2 and "Classroom 50 takes 10" in capsys.readouterr().err
