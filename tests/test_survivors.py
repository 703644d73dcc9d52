"""Nothing of a submission survives the judge, however the judge ends and whatever the submission does about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not run: promised on Linux only")

# gives up the signal that would end it with its parent (PR_SET_PDEATHSIG), and goes on in a session of its own
CLINGS = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
for number in range(1, 65):
    if number not in (9, 19):
        signal.signal(number, signal.SIG_IGN) if number not in (32, 33) else None
open("here", "w").close()
print("HERE", flush=True)
"""
LOOP = "while True:\n    pass\n"
CROWD = "if os.fork() == 0:\n    os.setsid()\n    while True:\n        if os.fork() != 0:\n            os._exit(0)\n"
JUDGE = """
import sys
from pathlib import Path
from grader.contract import WEEK
from grader.engine.run import grade
from grader.engine.servers import start_server
from grader.engine.submission.read import read
server = start_server(WEEK, sys.argv[1])
print("GRADING", flush=True)
result = grade(read(Path(sys.argv[2]), WEEK, 64_000), server, parts=["model"])
server.close()
print("ENDED", {check.status for check in result.checks}, flush=True)
"""


def started(tmp_path: Path, worker: str, code: str) -> subprocess.Popen[bytes]:
    folder, temporary = tmp_path / "work", tmp_path / "temporary"
    folder.mkdir()
    temporary.mkdir()
    (folder / "model.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-c", JUDGE, worker, str(folder)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, start_new_session=True)


def of_this_run(tmp_path: Path) -> list[psutil.Process]:
    """Every process whose home lies in this run's temporary folder, wherever it hangs in the tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(tmp_path / "temporary") in process.environ().get("HOME", "") and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            pass
    return found


def gone(tmp_path: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while of_this_run(tmp_path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("worker", ["fork", "spawn"])
@pytest.mark.parametrize("code", [CLINGS + LOOP, CLINGS + CROWD + LOOP], ids=["one", "a crowd that forks itself"])
def test_a_killed_judge_leaves_nothing(tmp_path, worker, code):
    judge = started(tmp_path, worker, code)
    assert judge.stdout is not None and judge.stdout.readline() == b"GRADING\n"
    deadline = time.monotonic() + 90
    while not any((tmp_path / "temporary").glob("*/home/*/here")) and time.monotonic() < deadline:
        # confined children write into folders that are seen by nobody else: then time must do
        if worker == "fork" and busy(tmp_path):
            break
        time.sleep(0.2)
    os.kill(judge.pid, signal.SIGKILL)
    judge.wait()
    assert gone(tmp_path, 10), of_this_run(tmp_path)


def busy(tmp_path: Path) -> bool:
    """Whether a process below the worker has computed for more than a second: it is in the endless loop."""
    for process in of_this_run(tmp_path):
        try:
            times = process.cpu_times()
            if process.parent() is not None and time.time() - process.create_time() > 1 and times.user > 1.0:
                names = {parent.pid for parent in process.parents()}
                if len(names & {p.pid for p in of_this_run(tmp_path)}) >= 2:
                    return True
        except psutil.Error:
            pass
    return False


@pytest.mark.parametrize("worker", ["fork", "spawn"])
def test_a_crowd_does_not_outlive_a_run_that_ends_by_itself(tmp_path, worker):
    judge = started(tmp_path, worker, CLINGS + CROWD + "class DigitClassifier:\n    pass\n")
    output = judge.communicate(timeout=200)[0].decode()
    assert "ENDED" in output and "grader_error" not in output
    assert gone(tmp_path, 10), of_this_run(tmp_path)
