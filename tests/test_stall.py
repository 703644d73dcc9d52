"""A job in which nothing runs any more is not waited for; one that works, or naps, is left alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Rubric, load_rubric
from grader.engine.run import Run
from grader.engine.submission.read import read
from grader.engine.worker.channel import encode
from grader.engine.worker.trusted import family
from grader.engine.worker.trusted.family import Pulse, Rest
from grader.engine.worker.trusted.job import Job, Limits, Request
from grader.engine.worker.trusted.start import Server

LINUX = sys.platform.startswith("linux")
BEGIN = "        x = self.flatten(images)  # (B, 784)\n"


def files(head: str = "", forward: str = "") -> dict[str, str]:
    """The reference with lines before everything in model.py, or at the beginning of forward."""
    made = corpus.reference()
    assert made["model.py"].count(BEGIN) == 1
    made["model.py"] = head + made["model.py"].replace(BEGIN, forward + BEGIN)
    return made


def stalls_after(seconds: float) -> Rubric:
    rubric = load_rubric(WEEK)
    return replace(rubric, limits=dict(rubric.limits) | {"stall_seconds": seconds})


@pytest.fixture(params=["fork", "spawn"])
def tier(request) -> Server:
    if request.param == "fork" and not LINUX:
        pytest.skip("not run: there is no fork tier here")
    return request.getfixturevalue("server" if request.param == "fork" else "spawned")


def first(result: Result, check: str) -> CheckResult:
    return next(c for c in result.checks if c.id == check)


@pytest.fixture
def judged(tier, tmp_path) -> Callable[..., CheckResult]:
    """judged(files, rubric, check id): what one check alone finds."""

    def judge(made: dict[str, str], rubric: Rubric, name: str) -> CheckResult:
        for file, text in made.items():
            (tmp_path / file).write_text(text, encoding="utf-8")
        run = Run(read(tmp_path, WEEK, 64_000), tier, rubric, seed=1)
        try:
            return run.check(WEEK.check[name])
        finally:
            run.close()

    return judge


WAITS = {
    "sleeps": "import time\ntime.sleep(10_000)\n",
    "closes-everything-and-sleeps": "import os, time\nos.closerange(0, 1000)\ntime.sleep(10_000)\n",
    "lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
    "process": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(10_000)'])\n",
}


@pytest.mark.parametrize("name", WAITS)
def test_an_import_that_waits_for_ever_is_stopped_and_named(name, tier, graded):
    if name == "closes-everything-and-sleeps" and tier.kind == "spawn":
        pytest.skip("without its answer pipe a portable worker has ended at once")
    result = graded(files(head=WAITS[name]), stalls_after(1), server=tier, parts=["model"])
    found = first(result, "builds")
    assert (found.status, found.finding) == ("timeout", "waits-for-ever"), found
    assert "Importing model.py" in found.message
    assert "?" not in found.message and result.seconds < 60  # today's limits would have waited for 240 s
    assert {c.status for c in result.checks[1:]} == {"blocked"}
    assert "waits without end" not in found.message and "waits until" in first(result, "registered").message


def test_a_function_that_waits_for_ever_is_stopped_and_named(tier, graded):
    waits = files(forward="        import time\n        time.sleep(10_000)\n")
    result = graded(waits, stalls_after(3), server=tier, parts=["model"])
    assert first(result, "builds").status == "passed"
    found = first(result, "score-shape")
    assert (found.status, found.finding) == ("timeout", "waits-for-ever") and result.seconds < 60, found
    assert "waits without end" in first(result, "non-linear").message


def test_an_endless_loop_is_told_after_its_own_time_and_the_long_training_does_not_go_on_in_it(graded, quick):
    """The accuracy check does not call train_one_epoch itself: its child runs into the same loop inside fit."""
    made = corpus.reference()
    loop = "    for images, labels in loader:\n"
    made["train.py"] = made["train.py"].replace(loop, "    while True:\n        pass\n" + loop, 1)
    long = replace(quick, limits=dict(quick.limits) | {"accuracy_seconds": 10_000})
    result = graded(made, long, parts=["training", "accuracy"])
    found = first(result, "step")
    assert (found.status, found.finding) == ("timeout", "timeout"), found
    assert "After 4 s it had not answered" in found.message or "After 5 s it" in found.message, found.message
    last = first(result, "test-accuracy")
    assert last.status == "blocked" and "endless or very slow" in last.message, last


def test_what_tells_progress_is_not_hurried(monkeypatch):
    used = [0.0]
    monkeypatch.setattr(Job, "cpu", lambda self: used[0])
    monkeypatch.setattr(family, "members", lambda pid: [])
    job = Job(Request("p:f", "light", "", "", 1, limits=Limits(probe_seconds=1000)), None)
    job.feed(encode("started", {"measures": []}) + encode("imported", {}))
    job.hurry(0.05)
    for epoch in range(1, 4):
        used[0] += 0.04
        time.sleep(0.06)
        assert job.exceeded() == "", epoch
        job.feed(encode("progress", {"epoch": epoch}))
    used[0] += 0.06
    time.sleep(0.06)
    assert job.exceeded() == "timeout"


@pytest.mark.corpus
def test_naps_are_no_stall(judged):
    """The first four calls of forward, each of which sleeps for longer than half the time that is allowed."""
    nap = (
        "        import time\n        kind = type(self)\n        kind.naps = getattr(kind, 'naps', 0) + 1\n"
        "        time.sleep(1.8 if kind.naps <= 4 else 0)\n"
    )
    found = judged(files(forward=nap), stalls_after(3), "score-shape")
    assert found.status == "passed" and found.seconds > 5, found


WORKS = """import subprocess, sys
subprocess.run([sys.executable, "-c", "import time\\nend = time.time() + 7\\nwhile time.time() < end: pass"])
"""


def test_who_waits_for_a_process_that_works_is_no_stall(judged):
    """As a DataLoader waits for its workers: this process sleeps, another one below it computes."""
    found = judged(files(head=WORKS), stalls_after(1), "builds")
    assert found.status == "passed" and found.seconds > 5, found


# -- looks at real processes -------------------------------------------------------------------------------------


@pytest.fixture
def process() -> Iterator[object]:
    """process(code): a running Python."""
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> list[psutil.Process]:
        started.append(
            subprocess.Popen([sys.executable, "-c", f"print(1, flush=True)\n{code}"], stdout=subprocess.PIPE)
        )
        started[-1].stdout.read(1)  # type: ignore[union-attr]
        return [psutil.Process(started[-1].pid)]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def never(still: float, dozing: float) -> bool:
    return False


def rests(members: list[psutil.Process], seconds: float, until: Callable[..., bool] = never) -> tuple[float, float]:
    """What looks every quarter of a second find after some time, or as soon as it is what is waited for: on a busy
    machine a look may come just when the process waits for a core."""
    rest, end, found = Rest(), time.monotonic() + seconds, (0.0, 0.0)
    while time.monotonic() < end:
        found = rest.look(members, time.monotonic())
        if until(*found):
            break
        time.sleep(0.25)
    return found


def test_a_sleeping_process_is_still_and_a_working_one_is_not(process):
    still, _ = rests(process("import time\ntime.sleep(1000)"), 60, lambda still, _: still > 1.5)
    assert still > 1.5
    still, dozing = rests(process("while True: pass"), 3)
    assert still < 1.5 and dozing < 1.5


@pytest.mark.skipif(not LINUX, reason="not run: only Linux counts the nanoseconds of a thread")
def test_one_that_only_asks_again_and_again_dozes(process):
    """As a DataLoader does that waits for a worker that hangs."""
    asks = process("import time\nwhile True: time.sleep(0.9)")
    still, dozing = rests(asks, 60, lambda _, dozing: dozing > 2.5)
    assert still < 2.5 < dozing
    work = "import time\nwhile True:\n    time.sleep(0.9)\n    sum(range(300_000))"
    _, dozing = rests(process(work), 4)
    assert dozing < 2


def test_elsewhere_the_time_and_the_switches_of_a_process_tell(process, monkeypatch):
    monkeypatch.setattr(family, "TASKS", Path("/not/there"))
    assert rests(process("import time\ntime.sleep(1000)"), 60, lambda still, _: still > 1.5)[0] > 1.5
    assert max(rests(process("while True: pass"), 3)) < 1.5
    assert max(rests(process("import time\nwhile True: time.sleep(0.01)"), 3)) < 1.5


# -- what is no stall --------------------------------------------------------------------------------------------


def pulses(monkeypatch, *found: Pulse | None) -> None:
    left = list(found)
    monkeypatch.setattr(family, "pulse", lambda members: left.pop(0))


ASLEEP = Pulse({1: 5}, 5e-9, awake=False, exact=True)


def test_a_disk_a_new_thread_or_an_end_is_no_rest(monkeypatch):
    for other in (replace(ASLEEP, awake=True), replace(ASLEEP, marks={1: 5, 2: 0}), None):
        pulses(monkeypatch, ASLEEP, ASLEEP, other, ASLEEP)
        rest = Rest()
        assert [rest.look([], now)[0] for now in (0.0, 2.0, 4.0, 6.0)] == [0, 2, 0, 2 if other and other.awake else 0]


def test_time_in_which_nobody_looked_does_not_count(monkeypatch):
    """The machine slept, or this process was stopped."""
    pulses(monkeypatch, *[ASLEEP] * 4)
    rest = Rest()
    assert [rest.look([], now)[0] for now in (0.0, 2.0, 1000.0, 1002.0)] == [0, 2, 0, 2]


def test_a_child_whose_answer_is_being_read_waits_for_us(monkeypatch):
    for name in ("memory", "cpu"):
        monkeypatch.setattr(family, name, lambda members: 0)
    monkeypatch.setattr(family, "pulse", lambda members: ASLEEP if members else None)
    monkeypatch.setattr(family, "members", lambda pid: [object()])
    reading, go_on = threading.Event(), threading.Event()

    def slowly(numbers: object) -> None:
        reading.set()
        go_on.wait()

    job = Job(Request("p:f", "light", "", "", 1, limits=Limits(stall_seconds=0.05)), slowly)
    job.feed(encode("started", {"measures": []}) + encode("imported", {}))
    reader = threading.Thread(target=job.feed, args=(encode("progress", {"epoch": 1}),))
    reader.start()
    reading.wait()
    try:
        for _ in range(5):
            assert job.look() == ""
            time.sleep(0.05)
    finally:
        go_on.set()
        reader.join()
    looks = []
    for _ in range(5):
        looks.append(job.look())
        time.sleep(0.05)
    assert looks[-1] == "timeout" and job.stalled
