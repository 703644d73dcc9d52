"""A run's folders belong to it for as long as it lives, and to nobody afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine import run_folders
from grader.engine.check import Check
from grader.engine.run import Run
from grader.engine.servers import start_server
from grader.engine.submission.read import read
from grader.engine.worker.processes import remove_tree
from grader.engine.worker.trusted.start import Server

ROOT = Path(__file__).resolve().parents[1]
LINUX = sys.platform.startswith("linux")
APART = ["unshare", "--pid", "--fork", "--mount-proc"]
LOOP = "from grader.engine.run_folders import sweep_stale\nwhile True:\n    sweep_stale()\n"
SWEEP = "from grader.engine.run_folders import sweep_stale; sweep_stale()"


@pytest.fixture(scope="module")
def practice() -> Iterator[Server]:
    started = start_server(WEEK, isolation="practice")
    yield started
    started.close()


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """A temporary folder for runs that no other run on this machine uses."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def in_python(code: str, apart: bool = False, **options) -> subprocess.CompletedProcess[str]:
    command = [*(APART if apart else []), sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


def can_be_apart() -> bool:
    return LINUX and shutil.which("unshare") is not None and in_python("pass", apart=True).returncode == 0


# -- whose folder it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True], ids=["same-namespace", "namespace-of-its-own"])
def test_another_grader_leaves_the_folder_of_a_live_run_alone(temporary, apart):
    if apart and not can_be_apart():
        pytest.skip("not run: no process namespace can be made here")
    folder = run_folders.private_folder()
    (folder / "stage").mkdir()
    assert folder.parent == temporary
    done = in_python(SWEEP, apart)
    assert done.returncode == 0, done.stderr
    assert (folder / "stage").is_dir()
    run_folders.remove_folder(folder)
    assert not folder.exists()


@pytest.mark.parametrize("apart", [False, True], ids=["same-namespace", "namespace-of-its-own"])
def test_what_a_killed_run_left_is_swept(temporary, apart):
    if apart and not can_be_apart():
        pytest.skip("not run: no process namespace can be made here")
    die = "os.kill(os.getpid(), signal.SIGKILL); os._exit(1)"  # the first of a namespace cannot kill itself
    in_python(
        "import os, signal; from grader.engine.run_folders import private_folder; "
        f"(private_folder() / 'stage').mkdir(); {die}",
        apart,
    )
    (left,) = temporary.iterdir()
    assert (left / "stage").is_dir()
    run_folders.sweep_stale()
    assert not list(temporary.iterdir())


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="not run: only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_touched(temporary):
    folder = temporary / f"{run_folders.PREFIX}stranger"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    link = temporary / f"{run_folders.PREFIX}link"
    (temporary / "elsewhere").mkdir()
    link.symlink_to(temporary / "elsewhere")
    run_folders.sweep_stale()
    assert folder.is_dir() and not list(folder.iterdir())
    assert link.is_symlink() and not list((temporary / "elsewhere").iterdir())


def test_a_sweep_never_takes_a_folder_that_is_just_being_made(temporary):
    sweeper = subprocess.Popen([sys.executable, "-c", LOOP], cwd=ROOT)
    try:
        time.sleep(1.0)  # until it sweeps
        kept = [run_folders.private_folder() for _ in range(300)]
        assert sweeper.poll() is None
        time.sleep(0.2)
        assert [folder for folder in kept if not (folder / run_folders.LOCK).exists()] == []
    finally:
        sweeper.kill()
        sweeper.wait()
    for folder in kept:
        run_folders.remove_folder(folder)
    assert not list(temporary.iterdir())


def test_a_run_and_a_server_let_go_of_their_folders(temporary, tmp_path):
    server = start_server(WEEK, isolation="practice")
    run = new_run(server, tmp_path / "work")
    assert len(list(temporary.iterdir())) == 2
    run.close()
    server.close()
    assert not list(temporary.iterdir()) and not [f for f in run_folders.HELD if f.parent == temporary]


# -- a folder that is gone when a probe ends ---------------------------------------------------------------------


def new_run(server: Server, folder: Path, **changes: str) -> Run:
    folder.mkdir()
    for name, text in (corpus.reference() | {f"{n}.py": t for n, t in changes.items()}).items():
        (folder / name).write_text(text, encoding="utf-8")
    return Run(read(folder, WEEK, 64_000), server, seed=1)


@contextmanager
def meanwhile(step: Callable[[], bool]) -> Iterator[None]:
    """Repeat a step in a thread until it returns True, or the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set() and not step():
            time.sleep(0.005)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def takes_away(run: Run, what: str) -> Callable[[], bool]:
    """Deletes once what a run has laid out, while its first probe is at work."""

    def step() -> bool:
        if not any(job.passed for job in run.asking.asked):
            return False
        shutil.rmtree(run.folder / what)
        return True

    return step


@pytest.fixture
def opened(request, server, practice, tmp_path) -> Iterator[Callable[..., Run]]:
    """opened(tier, model=text): a run of the reference with files changed, closed at the end."""
    runs = []

    def open_run(tier: str, **changes: str) -> Run:
        runs.append(new_run(practice if tier == "practice" else server, tmp_path / f"work{len(runs)}", **changes))
        return runs[-1]

    yield open_run
    for run in runs:
        run.close()
        assert not run.folder.exists()


def checks(*names: str) -> list[Check]:
    return [WEEK.check[name] for name in names]


SLOW = "import time\ntime.sleep(0.7)\n" + corpus.reference()["model.py"]
SLOW_DATA = corpus.reference()["data.py"].replace(
    "    transform = make_transform()\n", "    import time\n    time.sleep(0.7)\n    transform = make_transform()\n"
)


@pytest.mark.parametrize("tier", ["practice", "default"])
@pytest.mark.parametrize("what", ["stage", "home", "."])
def test_what_somebody_deletes_once_costs_nothing(what, tier, opened):
    run = opened(tier, model=SLOW)
    with meanwhile(takes_away(run, what)):
        found = [run.check(check) for check in checks("builds", "registered")]
    assert [(c.id, c.status, c.message) for c in found if c.status != "passed"] == []
    assert len(run.asking.asked) == len(run.asking.jobs) + 1  # one question was asked again
    assert (run.folder / "stage").is_dir() and run.folder in run_folders.HELD
    assert in_python(SWEEP).returncode == 0 and run.folder.is_dir()  # it is held again
    assert run.folder.stat().st_mode & 0o77 in (0, 0o11)  # closed to others as before


@pytest.mark.parametrize("tier", ["practice", "default"])
def test_digits_that_vanish_while_they_are_read_are_laid_out_again(tier, opened):
    run = opened(tier, data=SLOW_DATA)
    (check,) = checks("batches")

    def step() -> bool:
        reading = [job for job in list(run.asking.asked) if job.request.probe.endswith(":loaders")]
        if not any("imported" in job.passed for job in reading):
            return False
        for folder in run.folder.glob("digits-*"):
            shutil.rmtree(folder)
        return True

    with meanwhile(step):
        found = run.check(check)
    assert (found.status, found.score) == ("passed", found.max_score), found
    assert len(run.asking.asked) == len(run.asking.jobs) + 1


def test_the_long_check_is_asked_again_although_another_has_put_its_files_back(opened):
    run = opened("practice", train=corpus.reference()["train.py"].replace("epochs=10", "epochs=1"))
    quick, long = checks("builds", "test-accuracy")
    run.begin([long])
    while not any("imported" in job.passed for job in list(run.asking.asked)):
        time.sleep(0.01)
    shutil.rmtree(run.folder / "stage")
    assert run.check(quick).status == "passed" and run.check(long).score > 0
    asked = [job.request.probe.partition(":")[2] for job in run.asking.asked]
    assert [probe for probe in asked if probe != "devices"][:3] == ["train_and_score", "construct", "train_and_score"]


def test_who_deletes_them_again_and_again_has_done_it(opened, tmp_path):
    """In practice a submission can; its home lies in the run's folder."""
    deletes = "import os, shutil\nshutil.rmtree(os.path.join(os.getcwd(), '..', '..', 'stage'), True)\n"
    run = opened("practice", model=deletes + corpus.reference()["model.py"])
    first, second = (run.check(check) for check in checks("builds", "registered"))
    assert (first.status, first.finding) == ("crashed", "folder-deleted"), first
    assert "?" not in first.message and "DigitClassifier" in first.message
    assert second.status == "blocked" and len(run.asking.asked) == 2


def test_it_is_our_trouble_where_the_submission_could_not_have_done_it(server, opened):
    if server.isolation != "confined":
        pytest.skip("not run: this system cannot confine")
    run = opened("default", model=SLOW)

    def step() -> bool:
        shutil.rmtree(run.folder / "stage", ignore_errors=True)
        return False

    with meanwhile(step):
        found = run.check(*checks("builds"))
    assert (found.status, found.finding) == ("grader_error", "grader-broken"), found
    assert not run.asking.fatal and not run.asking.broken_files  # nothing of it is held against the submission


def test_a_folder_is_removed_however_deep_it_is(tmp_path):
    folder, here = tmp_path / "deep", os.getcwd()
    folder.mkdir()
    os.chdir(folder)
    try:
        for _ in range(2500):
            os.mkdir("a")
            os.chdir("a")
        Path("file").write_text("x", encoding="utf-8")
    finally:
        os.chdir(here)
    remove_tree(folder)
    assert not folder.exists()
