"""Client of the fork server (Linux): one fresh child for every request."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grader.engine.worker.channel import encode
from grader.engine.worker.processes import ServerFailed, Worker, remove_tree
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.tiers import missing
from grader.engine.worker.trusted.job import GRACE, START_SECONDS, Job, Request
from grader.engine.worker.trusted.reserve import RESERVE
from grader.engine.worker.walls.limits import clean_environment


class Line:
    """The control socket to one of the two servers, and the jobs it runs."""

    def __init__(self, control: socket.socket):
        self.control, self.jobs = control, dict[str, Job]()
        self.exits: dict[str, int] = {}
        self.changed = threading.Condition()
        self.ready = self.dead = False
        self.measures: tuple[str, ...] | None = None  # what a child is confined by here, as the server tried it
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        while True:
            try:
                message = self.control.recv(1024)
            except OSError:
                message = b""
            with self.changed:
                if not message:
                    self.dead = True
                elif message == b"ready":
                    self.ready = True
                elif message.startswith(b"measures "):
                    self.measures = tuple(filter(None, message[9:].decode("ascii").split(",")))
                else:
                    verb, number, value = message.decode("ascii").split()
                    if verb == "exit":
                        self.exits[number] = int(value)
                    elif number in self.jobs:
                        self.jobs[number].pid = int(value)
                self.changed.notify_all()
            if not message:
                return

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def send(self, text: str, descriptors: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self.control, [text.encode("ascii")], list(descriptors))
        except OSError:
            with self.changed:
                self.dead = True
                self.changed.notify_all()


class ForkServer:
    """Starts the server process and hands it requests; many may run at once. At the end `remove` removes `home`.

    isolation: "practice" for limits only; otherwise each child gets what the system has, up to `confined`.
    """

    kind = "fork"

    def __init__(
        self,
        home: Path,
        surroundings: Surroundings,
        isolation: str | None = None,
        remove: Callable[[Path], None] = remove_tree,
    ):
        self.numbers, self.asked = 0, isolation
        wanted = "practice" if isolation == "practice" else "best"
        self.log = (home / "worker.log").open("wb")
        ours_light, theirs_light = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours_full, theirs_full = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # before numpy starts a thread: only a process without any may enter a user namespace
        enter = "from grader.engine.worker.walls.namespaces import enter_user_namespace; enter_user_namespace(); "
        call = (
            ("" if wanted == "practice" else enter) + "from grader.engine.worker.beside_student.fork_main import main; "
            "from grader.engine.worker.surroundings import Surroundings; "
            f"main({theirs_light.fileno()}, {theirs_full.fileno()}, {surroundings!r}, {wanted!r})"
        )
        self.worker = Worker(
            call,
            False,  # each child gets a namespace of its own
            (theirs_light.fileno(), theirs_full.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            env=clean_environment(home),
            cwd=home,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end the worker
        )
        theirs_light.close()
        theirs_full.close()
        self.light, self.full = Line(ours_light), Line(ours_full)
        self.home, self.remove = home, remove

    def measures(self) -> tuple[str, ...]:
        """What confines the children of this server; waits for the answer. Raises ServerFailed."""
        line = self.light
        with line.changed:
            line.changed.wait_for(lambda: line.measures is not None or line.dead, START_SECONDS)
        if line.measures is None:
            raise ServerFailed(self.why())
        return line.measures

    @property
    def isolation(self) -> str:
        """The tier of this server's children: "confined" where every essential measure holds, else "practice"."""
        if self.asked == "practice" or missing(self.measures()):
            return "practice"
        return "confined"

    def submit(self, request: Request, on_progress: Callable[[dict[str, Any]], None] | None = None) -> Job:
        """Start a request at once; a "light" one goes to whichever server is ready."""
        job = Job(request, on_progress)
        line = self.full if request.needs == "full" or self.full.ready else self.light
        job.on_end = line.wake
        self.numbers += 1
        threading.Thread(target=self.supervise, args=(job, line, str(self.numbers)), daemon=True).start()
        return job

    def supervise(self, job: Job, line: Line, number: str) -> None:
        try:
            with RESERVE.room_for(job):
                self.run(job, line, number)
        except Exception as error:
            job.end("lost", detail=f"{type(error).__name__}: {error}")
        finally:
            job.finish()

    def run(self, job: Job, line: Line, number: str, attempts: int = 3) -> None:
        with line.changed:
            if not line.changed.wait_for(lambda: line.ready or line.dead or job.outcome, START_SECONDS) or line.dead:
                raise ServerFailed(self.why())
        if job.outcome is not None:
            return
        ours, theirs = socket.socketpair()
        prints_read, prints_write = os.pipe()
        line.jobs[number] = job
        line.send(f"fork {number}", (theirs.fileno(), prints_write))
        theirs.close()
        os.close(prints_write)
        readers = [
            threading.Thread(target=read_frames, args=(job, ours), daemon=True),
            threading.Thread(target=read_prints, args=(job, prints_read), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            tier = "practice" if self.asked == "practice" else "best" if missing(self.measures()) else "confined"
            ours.sendall(encode("request", job.request.values() | {"isolation": tier}))
        except OSError:
            pass  # it has died already; its exit says how
        kind = self.watch(job, line, number)
        with line.changed:
            if number not in line.exits and not line.dead:
                line.send(f"kill {number}")
                line.changed.wait_for(lambda: number in line.exits or line.dead, START_SECONDS)
            status = line.exits.pop(number, None)
            line.jobs.pop(number, None)
        for reader in readers:  # all writers are dead, so both reach the end
            reader.join(GRACE)
        ours.close()
        if kind == "ended":
            kind = job.own_ending
        unbegun = kind == "refused" or (kind == "died" and job.clock is None)  # student code had not begun to run
        if unbegun and not line.dead:  # once the server is gone, so is the folder
            why = str(job.final.values) if job.final is not None else job.prints.text()
            with (self.home / "attempts.log").open("a", encoding="utf-8") as log:
                log.write(f"{number}: {kind} {status} {why}\n")
            if attempts > 1:
                job.again()
                self.run(job, line, f"{number}+", attempts - 1)
                return
        if kind == "died" and (line.dead or job.clock is None):
            kind = "lost"
        job.end(kind, status, detail=job.bad)

    def watch(self, job: Job, line: Line, number: str) -> str:
        """Wait until the child has ended or must be ended; says which."""
        answered: float | None = None
        while True:
            with line.changed:
                if number in line.exits or line.dead:
                    return "ended"
                line.changed.wait(0.1)
                if number in line.exits or line.dead:
                    return "ended"
            if job.outcome is not None:
                return "cancelled"
            if job.final is not None:
                answered = answered or time.monotonic()
                if time.monotonic() - answered > GRACE:
                    return job.final.kind
            elif why := job.over():
                return why

    def why(self) -> str:
        self.log.flush()
        tail = (self.home / "worker.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        return f"the worker process has ended: {tail.strip() or 'no message'}"

    def close(self) -> None:
        """End the server and everything below it."""
        for line in (self.light, self.full):
            line.control.close()
        self.worker.end()
        self.log.close()
        self.remove(self.home)


def read_frames(job: Job, connection: socket.socket) -> None:
    while True:
        try:
            data = connection.recv(1 << 20)
        except OSError:
            return
        if not data:
            return
        job.feed(data)


def read_prints(job: Job, descriptor: int) -> None:
    with open(descriptor, "rb", buffering=0) as pipe:
        while data := pipe.read(1 << 16):
            job.prints.add(data)  # past the limit too: whoever watches the job kills it in a moment
