"""Client of the portable worker: warm interpreters that serve probe after probe, with a spare warming up."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from grader.engine.worker.channel import BadFrame, Decoder, encode
from grader.engine.worker.processes import ServerFailed, Worker, remove_tree
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.trusted.job import GRACE, START_SECONDS, Job, Request
from grader.engine.worker.trusted.reserve import RESERVE
from grader.engine.worker.walls.limits import clean_environment


class Interpreter:
    """One worker process. `ready` once it has imported what it should; then one job at a time."""

    def __init__(self, home: Path, what: str, surroundings: Surroundings, changed: threading.Condition):
        self.what, self.changed = what, changed
        self.ready = self.dead = self.busy = self.used = False
        self.job: Job | None = None
        self.stray = b""
        group: dict[str, Any] = {"start_new_session": True}  # Ctrl-C in the terminal is for us
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self.worker = Worker(
            "from grader.engine.worker.beside_student.spawn_main import main; "
            f"from grader.engine.worker.surroundings import Surroundings; main({what!r}, {surroundings!r})",
            True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(home),
            cwd=home,
            bufsize=0,
            **group,
        )
        self.process = self.worker.process
        for target, pipe in ((self.read_frames, self.process.stdout), (self.read_prints, self.process.stderr)):
            threading.Thread(target=target, args=(pipe,), daemon=True).start()

    def read_frames(self, pipe: IO[bytes]) -> None:
        decoder = Decoder()
        while data := pipe.read(1 << 20):
            if self.job is not None:
                self.job.feed(data)
                continue
            try:
                frames = decoder.feed(data)
            except BadFrame:
                break
            with self.changed:
                self.ready = self.ready or any(frame.kind == "ready" for frame in frames)
                self.changed.notify_all()
        with self.changed:
            self.dead = True
            self.changed.notify_all()
        if self.job is not None:
            self.job.feed(b"")  # wakes whoever waits for it

    def read_prints(self, pipe: IO[bytes]) -> None:
        while data := pipe.read(1 << 16):
            job = self.job
            if job is None:
                self.stray = (self.stray + data)[-4000:]
            else:
                job.prints.add(data)

    def kill(self) -> None:
        self.worker.end()


class SpawnServer:
    """A small pool of interpreters. The job that takes long holds one while the checks use another.

    At the end `remove` removes `home`.
    """

    kind = "spawn"
    isolation = "practice"
    at_once = 2

    def __init__(self, home: Path, surroundings: Surroundings, remove: Callable[[Path], None] = remove_tree):
        self.home, self.surroundings, self.remove = home, surroundings, remove
        self.seen: tuple[str, ...] = ()  # the measures in force, as the last worker told
        self.changed = threading.Condition()
        self.closed = False
        # a worker dies with the thread that started it (PR_SET_PDEATHSIG), so that is one that lasts
        self.starter = ThreadPoolExecutor(1)
        self.pool = [self.start("light"), self.start("full")]

    def start(self, what: str) -> Interpreter:
        return self.starter.submit(Interpreter, self.home, what, self.surroundings, self.changed).result()

    def measures(self) -> tuple[str, ...]:
        """What limits the workers here; known once one has run."""
        return self.seen

    def submit(self, request: Request, on_progress: Callable[[dict[str, Any]], None] | None = None) -> Job:
        job = Job(request, on_progress)
        threading.Thread(target=self.supervise, args=(job,), daemon=True).start()
        return job

    def supervise(self, job: Job) -> None:
        try:
            worker = self.take(job)
        except Exception as error:
            kind = "" if isinstance(error, ServerFailed) else f"{type(error).__name__}: "
            job.end("lost", detail=f"{kind}{error}")
            worker = None
        if worker is None:
            job.end("lost", detail="the worker was closed")  # or whoever waits for it would wait for the whole run
            job.finish()
            return
        clean = False
        try:
            with RESERVE.room_for(job):
                clean = self.run(job, worker)
        except Exception as error:
            job.end("lost", detail=f"{type(error).__name__}: {error}")
        self.give_back(worker, clean)
        job.finish()

    def take(self, job: Job) -> Interpreter | None:
        """An idle interpreter; one that has imported just what the job needs is waited for while it warms up."""
        deadline = time.monotonic() + START_SECONDS
        with self.changed:
            while job.outcome is None and not self.closed:
                broken = [w for w in self.pool if w.dead and not w.busy]
                if any(not w.ready for w in broken):
                    raise ServerFailed(f"the worker process has ended: {broken[0].stray.decode('utf-8', 'replace')}")
                for worker in broken:
                    self.pool.remove(worker)
                    self.pool.append(self.start("full"))
                idle = [w for w in self.pool if not w.busy and not (job.request.fresh and w.used)]
                if not idle and job.request.fresh and all(w.used for w in self.pool):
                    self.pool.append(self.start("full"))
                fitting = [w for w in idle if w.what == job.request.needs] or idle
                for worker in fitting:
                    if worker.ready:
                        worker.busy = worker.used = True
                        return worker
                if time.monotonic() > deadline and fitting:
                    raise ServerFailed("no worker became ready in time")
                self.changed.wait(0.5)
        return None

    def run(self, job: Job, worker: Interpreter) -> bool:
        """Send the request and watch it to its end. Returns True when the worker can serve on."""
        token = f"<{secrets.token_hex(12)}>"
        worker.job, job.pid = job, worker.process.pid
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(encode("request", job.request.values() | {"end_of_prints": token}))
        except OSError:
            pass  # it has died; seen below
        kind = self.watch(job, worker)
        until = token.encode("ascii")
        clean = kind == "ended" and job.idle is True
        if not clean:
            worker.kill()
        self.settle_prints(job, until, worker)
        if kind == "ended":
            kind = job.own_ending
        self.seen = job.measures if job.measures is not None else self.seen
        job.end(kind, worker.process.poll(), until, job.bad)
        worker.job = None
        return clean

    def watch(self, job: Job, worker: Interpreter) -> str:
        while True:
            with job.changed:
                if job.idle is None and job.outcome is None and not worker.dead:
                    job.changed.wait(0.1)
            if job.idle is not None or worker.dead:
                return "ended"
            if job.outcome is not None:
                return "cancelled"
            if why := job.over():
                return why

    def settle_prints(self, job: Job, until: bytes, worker: Interpreter) -> None:
        deadline = time.monotonic() + GRACE
        while until not in job.prints.tail and time.monotonic() < deadline and worker.process.poll() is None:
            time.sleep(0.002)

    def give_back(self, worker: Interpreter, clean: bool) -> None:
        with self.changed:
            worker.busy = False
            if not clean and not self.closed:
                self.pool.remove(worker)
                # from the first replacement on, one more than are in use, so that the next is warm when it is needed
                while len(self.pool) < self.at_once + 1:
                    self.pool.append(self.start("full"))
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            pool = list(self.pool)
        for worker in pool:
            worker.kill()
        self.starter.shutdown()
        self.remove(self.home)
