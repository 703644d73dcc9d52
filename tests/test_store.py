"""The store of finished runs, and the one way to run many: what is kept, who is refused, and what ends when."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from grader.engine.many import executor, store
from grader.engine.many.executor import each_done, jobs_that_fit, threads
from grader.engine.many.judging import OtherGrader, code_digest, demand_same
from grader.engine.many.store import CannotKeep, Store, read_told
from grader.engine.many.warm import Stopped, Warm

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def kept(tmp_path):
    made = Store(tmp_path / "out" / "runs.sqlite")
    yield made
    made.close()


def test_what_is_put_is_had_again(kept):
    pictures = {"images": np.arange(12, dtype=np.uint8).reshape(3, 2, 2), "none": np.zeros((0, 28))}
    kept.put("one", {"score": 93, "name": "ü\u2028x\ud800"}, pictures)
    kept.put("two", {})
    kept.put("two", {"score": 1})
    told, evidence = kept.get("one")
    assert told == {"score": 93, "name": "ü\u2028x\ud800"} and list(evidence) == list(pictures)
    assert all(np.array_equal(evidence[name], pictures[name]) for name in pictures)
    assert kept.get("two") == ({"score": 1}, {}) and kept.get("three") is None
    assert "one" in kept and "three" not in kept
    assert kept.told() == read_told(kept.path) == {"one": told, "two": {"score": 1}}


def test_several_threads_may_use_it(kept):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (kept.put(str(n), {"n": n}), kept.get(str(n // 2))), range(40)))
    assert {told["n"] for told in kept.told().values()} == set(range(40))


def test_earlier_runs_can_be_set_aside(kept):
    kept.put("one", {"n": 1})
    kept.set_aside()
    assert (kept.told(), kept.told("before")) == ({}, {"one": {"n": 1}})
    kept.set_aside()  # nothing was run in between
    assert kept.told("before") == {"one": {"n": 1}}
    kept.put("two", {"n": 2})
    kept.set_aside()
    assert (kept.told(), kept.told("before")) == ({}, {"two": {"n": 2}})


def test_a_second_run_in_the_same_folder_is_refused(kept):
    with pytest.raises(CannotKeep, match="Another run is writing to .*out now; wait until it has ended, or give"):
        Store(kept.path)
    kept.put("one", {})
    kept.close()
    Store(kept.path).close()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "runs.sqlite"
    path.write_bytes(b"this is no database, whatever it is called" * 100)
    for _ in range(2):  # the lock is given back
        with pytest.raises(CannotKeep, match="runs.sqlite is damaged .*: move it away"):
            Store(path)
    with pytest.raises(CannotKeep, match="cannot be read as a file of finished runs"):
        read_told(path)
    path.unlink()
    made = Store(path)
    for n in range(4):
        made.put(str(n), {"n": "x" * 10_000})
    made.close()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(CannotKeep, match="runs.sqlite is damaged"):
        Store(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CannotKeep, match="file cannot be written .*give another --out"):
        Store(tmp_path / "file" / "runs.sqlite")
    Store(tmp_path / "runs.sqlite").close()
    assert "give another --out" in store.sentence(
        tmp_path / "runs.sqlite", sqlite3.OperationalError("attempt to write a readonly database")
    )


def test_a_full_disk_loses_nothing_that_is_kept(kept):
    kept.put("one", {"n": 1})
    pages = kept.file.execute("PRAGMA page_count").fetchone()[0]
    kept.file.execute(f"PRAGMA max_page_count = {pages}")  # what SQLite says of a full disk, it says of this
    with pytest.raises(CannotKeep, match="takes no more results .*: make room on the disk and start again"):
        kept.put("two", {"n": "x" * 100_000})
    assert kept.told() == {"one": {"n": 1}}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_kill_leaves_whole_runs(tmp_path):
    path = tmp_path / "runs.sqlite"
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom grader.engine.many.store import Store\n"
        "made = Store(Path(sys.argv[1]))\nn = 0\n"
        "while True:\n    made.put(str(n), {'n': n}, {'a': np.full(5000, n)}); n += 1; print(n, flush=True)\n"
    )
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        said = [process.stdout.readline() for _ in range(5)]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        made = Store(path)  # nobody holds the lock, and what was half written is gone
        assert set(map(str, range(int(said[-1])))) <= set(made.told())
        assert all((made.get(key)[1]["a"] == told["n"]).all() for key, told in made.told().items())
        made.close()


# -- many at once --------------------------------------------------------------------------------------------


def test_each_done_gives_results_and_exceptions_and_hands_out_no_more_than_it_should():
    out, most, lock = 0, 0, threading.Lock()

    def tasks():
        nonlocal out, most
        for n in range(20):
            with lock:
                out += 1
                most = max(most, out)
            yield n

    def work(n):
        if n == 7:
            raise ValueError(n)
        return n * n

    found = {}
    with ThreadPoolExecutor(2) as pool:
        for task, result in each_done(pool, work, tasks(), 3):
            found[task] = result
            with lock:
                out -= 1
    assert most <= 3 and isinstance(found.pop(7), ValueError)
    assert found == {n: n * n for n in range(20) if n != 7}


def test_leaving_cancels_what_was_not_begun():
    begun, go = [], threading.Event()

    def work(n):
        begun.append(n)
        go.wait(30)

    with ThreadPoolExecutor(1) as pool:
        results = each_done(pool, work, range(10), 10)
        with pytest.raises(KeyboardInterrupt):
            threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
            next(results)
        go.set()
    assert begun == [0]


class Fake:
    """A server whose gradings last until it is closed."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        assert not self.closed.is_set()
        self.closed.set()


def test_each_thread_has_a_server_of_its_own_and_closing_ends_what_runs():
    started = []

    def start(kind, isolation):
        assert (kind, isolation) == ("fork", "confined")
        started.append(Fake())
        return started[-1]

    warm = Warm(start, "fork", "confined")
    both = threading.Barrier(3)

    def work(n):
        def grade(server):
            if n < 2:
                both.wait(10)
            server.closed.wait(30)
            return server

        return warm.do(grade, lambda found: False)

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(work, n) for n in range(2)]
        both.wait(10)
        before = time.monotonic()
        warm.close()
        assert all(isinstance(one.exception(10), Stopped) for one in running)
        assert time.monotonic() - before < 5
        assert isinstance(pool.submit(work, 2).exception(10), Stopped)  # nothing is started any more
    assert len(started) == 2 and all(server.closed.is_set() for server in started)


def test_trouble_is_tried_again_once_with_a_fresh_server():
    started, given = [], []
    warm = Warm(lambda kind, isolation: started.append(Fake()) or started[-1])
    with threads(1, warm) as pool:
        for bad in (0, 1, 2):
            given.clear()
            work = lambda server, bad=bad: given.append(server) or len(given) <= bad  # noqa: E731
            got = pool.submit(warm.do, work, lambda found: found).result()
            assert got is (bad == 2) and len(given) == min(bad + 1, 2) and len(set(given)) == len(given)
    assert len(started) == 3 and all(server.closed.is_set() for server in started)


def start_nothing(kind, isolation):
    return Fake()


def test_pickled_it_is_the_one_of_the_process_it_arrives_in():
    warm = Warm(start_nothing, "fork", None)
    there = pickle.loads(pickle.dumps(warm))
    assert there is pickle.loads(pickle.dumps(warm)) is not warm and there.kind == "fork"
    assert there is not pickle.loads(pickle.dumps(Warm(start_nothing, "spawn", None)))


def test_as_many_jobs_as_cores_and_memory_allow(monkeypatch):
    free = [64 << 30]
    monkeypatch.setattr(executor.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free[0]}))
    cores = jobs_that_fit(1 << 30)
    assert 1 <= cores <= (os.cpu_count() or 1)
    free[0] = 1 << 29
    assert jobs_that_fit(1 << 30) == 1


def test_another_grader_is_refused():
    folder = ROOT / "grader"
    demand_same(folder, code_digest(folder))
    with pytest.raises(OtherGrader, match="another version of the grader .*bring the same one there"):
        demand_same(folder, "0" * 24)
