"""The warm server on Linux: imports torch once, then forks a child for every probe. It never runs student code.

Two of it run: the light one, ready after `import torch`, forks the full one, which goes on to import torchvision
and to build an optimizer. Each listens on its own control socket:

    in   "fork ID" with two descriptors: the child's end of the answer socket, and where its prints go
    in   "kill ID"
    out  "ready"        once
    out  "pid ID PID"
    out  "exit ID STATUS"   STATUS as from os.waitstatus_to_exitcode

The server is the reaper of everything its children leave behind, and kills it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import traceback
from typing import NoReturn

import psutil

from grader.worker import child
from grader.worker.channel import Decoder, Frame
from grader.worker.limits import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, limit_self, prctl
from grader.worker.processes import kill_family


def main(light_fd: int, full_fd: int, preload: list[str]) -> None:
    light, full = socket.socket(fileno=light_fd), socket.socket(fileno=full_fd)
    die_with_parent()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    child.warm("light")
    for name in preload:
        __import__(name)
    gc.freeze()  # shared pages stay shared: the collector does not write into what is here already
    if os.fork() == 0:
        light.close()
        die_with_parent()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        child.warm("full")
        gc.freeze()
        Server(full, spared=set()).serve()
    full.close()
    spared = {p.pid for p in psutil.Process().children()}
    Server(light, spared).serve()


def die_with_parent() -> None:
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


class Server:
    """Forks on request, reports every exit, kills what a child leaves behind."""

    def __init__(self, control: socket.socket, spared: set[int]):
        self.control, self.spared = control, spared
        self.jobs: dict[int, str] = {}  # pid -> id
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> NoReturn:
        self.control.send(b"ready")
        while True:
            ready, _, _ = select.select([self.control.fileno(), self.wake_read], [], [])
            if self.wake_read in ready:
                try:
                    os.read(self.wake_read, 4096)
                except BlockingIOError:
                    pass
            self.reap()
            if self.control.fileno() in ready:
                message, descriptors, _, _ = socket.recv_fds(self.control, 1024, 2)
                if not message:
                    self.end()
                verb, _, job = message.decode("ascii").partition(" ")
                if verb == "fork":
                    self.fork(job, descriptors)
                elif verb == "kill":
                    self.kill(job)

    def fork(self, job: str, descriptors: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self.become_child(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.jobs[pid] = job
        self.control.send(f"pid {job} {pid}".encode())

    def become_child(self, answers: int, prints: int) -> NoReturn:
        """In the fork: leave everything of the server's behind, then run the request."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            die_with_parent()
            os.dup2(prints, 1)
            os.dup2(prints, 2)
            self.control.close()
            for descriptor in (prints, self.wake_read, self.wake_write):
                os.close(descriptor)
            run_request(socket.socket(fileno=answers))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)

    def reap(self) -> None:
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            job = self.jobs.pop(pid, None)
            if job is not None:
                ended = True
                self.sweep()
                self.control.send(f"exit {job} {os.waitstatus_to_exitcode(status)}".encode())
            elif pid in self.spared:  # the full server: without it this one is of no use
                self.end()
        if ended:
            self.sweep()

    def sweep(self) -> None:
        """Kill orphans: they come to this process, because it is their subreaper, and belong to no running job."""
        for _ in range(200):
            orphans = [p for p in psutil.Process().children() if p.pid not in self.jobs and p.pid not in self.spared]
            orphans = [p for p in orphans if p.pid != os.getpid()]
            if not orphans:
                return
            for orphan in orphans:
                kill_family(orphan.pid)
            for orphan in orphans:
                try:
                    os.waitpid(orphan.pid, 0)
                except ChildProcessError:
                    pass

    def kill(self, job: str) -> None:
        for pid, name in self.jobs.items():
            if name == job:
                kill_family(pid)

    def end(self) -> NoReturn:
        for pid in list(self.jobs) + list(self.spared):
            kill_family(pid)
        self.jobs.clear()
        self.sweep()
        os._exit(0)


def run_request(answers: socket.socket) -> None:
    """Read the one request, confine this process, run it, and end without any clean-up of the interpreter."""
    child.settle_streams()
    decoder = Decoder()
    frames: list[Frame] = []
    while not frames:
        data = answers.recv(1 << 20)
        if not data:
            os._exit(71)
        frames = decoder.feed(data)
    request = frames[0]
    os.chdir(request.values["home"])
    limit_self(request.values["cpu_seconds"])
    child.run(request, answers.sendall)
    os._exit(0)
