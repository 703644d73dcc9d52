"""Where a system forbids namespaces (Ubuntu 24.04 to ordinary users, Docker to everybody): what still holds, what is
said, and what a teacher who demands `confined` is told."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.engine.worker.walls import confine, landlock

ROOT = Path(__file__).resolve().parents[1]
ORDINARY = ["tests/ordinary_user.py", "tests/no_namespaces.py"]
CONTAINER = ["tests/no_namespaces.py", "--container"]

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0,
        reason="not run: it takes root on Linux to forbid this",
    ),
]
TRIES = """
import os, socket

def tried(name, step):
    try:
        step()
        print(name, "WORKED")
    except OSError:
        print(name, "refused")

tried("read /etc/passwd:", lambda: open("/etc/passwd").read())
tried("list /:", lambda: os.listdir("/"))
tried("write beside:", lambda: open("mine.txt", "w").write("x"))
tried("ask the parent:", lambda: os.kill(os.getppid(), 0))
tried("memory of the parent:", lambda: open(f"/proc/{os.getppid()}/mem", "rb"))
raise ValueError("the prints above are the answer")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user reaches; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


def grade(how: list[str], submission: Path, reports: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *how, "-m", "pytest", "-c", "pyproject.toml", "--rootdir", ".", "grader/"]
    command += ["-m", "model", f"--submission={submission}", f"--report={reports}", *options]
    environment = os.environ | {"TMPDIR": "/tmp"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def score(reports: Path) -> dict:
    return json.loads((reports / "score.json").read_text(encoding="utf-8"))


def test_an_ordinary_user_is_graded_and_every_report_begins_with_practice(folder):
    done = grade(ORDINARY, ROOT / "solution", folder / "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    result = score(folder / "reports")
    assert (result["score"], result["max_score"], result["grader"]["isolation"]) == (20, 20, "practice")
    words = "Isolation: practice (the graded code was not kept from: files"
    assert words not in done.stdout, "in the terminal only -v says it"
    summary = (folder / "reports" / "summary.md").read_text(encoding="utf-8")
    assert summary.splitlines()[0].replace("\\", "").startswith(words)
    page = (folder / "reports" / "report.html").read_text(encoding="utf-8")
    header = page[page.index("<header>") : page.index("<h1>")]
    assert words in header


def test_landlock_still_holds_what_it_holds(folder):
    if landlock.version() < 6:
        pytest.skip("not run: this kernel's Landlock does not keep signals in")
    work = folder / "work"
    shutil.copytree(ROOT / "solution", work, ignore=shutil.ignore_patterns("__pycache__"))
    (work / "model.py").write_text(TRIES, encoding="utf-8")
    done = grade(ORDINARY, work, folder / "reports")
    assert done.returncode == 1, done.stdout + done.stderr
    result = score(folder / "reports")
    assert {"signals", "memory of others", "no new privileges", "no privileges"} <= set(result["grader"]["measures"])
    prints = result["prints"]
    assert prints.count("refused") == 4 and "write beside: WORKED" in prints and prints.count("WORKED") == 1, prints


def test_who_demands_confined_gets_no_score_and_a_sentence(folder):
    done = grade(ORDINARY, ROOT / "solution", folder / "reports", "--isolation=confined")
    said = "This run was to be confined. The isolation tier confined is not available here (files"
    assert done.returncode == 4 and said in done.stdout + done.stderr
    assert "Leave --isolation=confined out" in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in (folder / "reports").iterdir()] == ["no-score.txt"]
    publish = [sys.executable, "-m", "grader", "publish", str(folder / "reports"), "--for", "github"]
    summary = folder / "summary"
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(summary)}
    told = subprocess.run(publish, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)
    assert told.returncode == 3 and "Points" not in told.stdout
    assert "::error title=No score::The grader could not finish, so there is no score." in told.stdout
    assert f"The reason: {said}" in told.stdout
    assert "tell your teacher" in summary.read_text(encoding="utf-8")


def test_root_in_a_container_is_confined_where_the_network_can_be_refused(folder):
    done = grade(CONTAINER, ROOT / "solution", folder / "reports")
    assert done.returncode == 0, done.stdout + done.stderr
    result = score(folder / "reports")
    assert result["score"] == 20
    possible = landlock.version() and importlib.util.find_spec("pyseccomp")
    assert result["grader"]["isolation"] == ("confined" if possible else "practice"), result["grader"]["measures"]


def test_what_a_job_leaves_in_shared_memory_is_removed_where_everybody_shares_it(folder):
    left = Path("/dev/shm") / f"left-{os.getpid()}"
    work = folder / "work"
    shutil.copytree(ROOT / "solution", work, ignore=shutil.ignore_patterns("__pycache__"))
    deep = f"import os\nos.mkdir({str(left)!r})\nos.chdir({str(left)!r})\n"
    deep += "for _ in range(1500):\n    os.mkdir('a')\n    os.chdir('a')\n"
    (work / "model.py").write_text(f"{deep}raise ValueError('WRITTEN')\n", encoding="utf-8")
    grade(CONTAINER, work, folder / "reports")
    assert "WRITTEN" in (folder / "reports" / "score.json").read_text("utf-8") and not left.exists()


def test_root_stays_root_where_another_user_could_not_reach_the_interpreter(folder):
    closed = folder / "closed"
    (closed / "lib").mkdir(parents=True)
    closed.chmod(0o700)
    run = folder / "grader-run-1"
    (run / "home").mkdir(parents=True)
    run.chmod(0o700)
    assert confine.can_reach(["/usr", str(run / "home")])
    assert not confine.can_reach(["/usr", str(closed / "lib")])
