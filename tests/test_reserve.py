"""Little memory is left on the machine: who ends, and who waits."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.rubric import load_rubric
from grader.engine.worker.trusted import family, reserve
from grader.engine.worker.trusted.job import Job, Request
from grader.engine.worker.trusted.reserve import Reserve

SHARED = """

import mmap, time
held = mmap.mmap(-1, 1_300_000_000)
for at in range(0, len(held), 4096):
    held[at] = 1
time.sleep(3)
"""


def job() -> Job:
    return Job(Request("probes.model:scores", "light", "stage", "home", 1), None)


@pytest.fixture
def machine(monkeypatch):
    """machine(True): little memory is free from now on."""

    def set_short(short: bool) -> None:
        monkeypatch.setattr(reserve, "short", lambda: short)

    set_short(True)
    return set_short


def test_shared_memory_counts_and_its_owner_ends_when_little_is_left(graded, machine):
    """1.3 GB are above the limit and below three times the limit, which is what a job may take otherwise."""
    files = corpus.reference()
    files["model.py"] += SHARED
    rubric = load_rubric(WEEK)
    rubric = replace(rubric, limits=dict(rubric.limits) | {"memory_bytes": 1_000_000_000})
    result = graded(files, rubric, parts=["model"])
    ends = {(check.status, check.finding) for check in result.checks}
    assert ("crashed", "out-of-memory") in ends, ends


def test_the_largest_job_above_its_limit_ends(machine):
    kept, one, other = Reserve(), job(), job()
    with kept.room_for(one):
        machine(False)
        with kept.room_for(other):
            machine(True)
            assert not kept.must_end(one, 500, limit=1000)
            assert kept.must_end(other, 2000, limit=1000)
            assert not kept.must_end(one, 1500, limit=1000)
            machine(False)
            assert not kept.must_end(other, 2000, limit=1000)


def test_a_new_job_waits_while_others_run(machine):
    kept, entered = Reserve(), threading.Event()

    def second() -> None:
        with kept.room_for(job()):
            entered.set()

    with kept.room_for(job()):  # nothing else runs, so it need not wait
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        assert not entered.is_set()
    assert entered.wait(2)
    thread.join()


def test_a_job_that_is_no_longer_wanted_does_not_wait(machine):
    kept, unwanted = Reserve(), job()
    unwanted.end("cancelled")
    with kept.room_for(job()), kept.room_for(unwanted):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the tables are told by /proc")
def test_the_kernels_tables_of_pages_count():
    """64 GB that are only read cost no page; the tables of them take 128 MB."""
    code = (
        "import mmap, sys; held = mmap.mmap(-1, 1 << 36, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ);"
        "print(end='.', flush=True); sys.stdin.readline();"
        "[held[at] for at in range(0, 1 << 36, 1 << 21)]; print(end='.', flush=True); sys.stdin.readline()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.read(1)
        before = family.memory(family.members(process.pid))
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.read(1)
        after = family.memory(family.members(process.pid))
        process.kill()
    assert 120_000_000 < after - before < 300_000_000
