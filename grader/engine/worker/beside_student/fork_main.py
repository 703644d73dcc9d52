"""The warm server on Linux: imports the libraries once, then forks a child for every probe. It never runs student code.

Two of it run: the light one, ready when the week's runtime is warm for "light", forks the full one, which goes on to
warm up the rest. Each listens on its own control socket:

    in   "fork ID" with two descriptors: the child's end of the answer socket, and where its prints go
    in   "kill ID"
    out  "measures A,B,..."   once, from the light one: what a child was seen to be confined by
    out  "ready"        once
    out  "pid ID PID"
    out  "exit ID STATUS"   STATUS as from os.waitstatus_to_exitcode

The server is the reaper of everything its children leave behind, and kills it.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

import psutil

from grader.engine.worker.beside_student import child
from grader.engine.worker.channel import Decoder, Frame
from grader.engine.worker.keeper import children_of
from grader.engine.worker.processes import kill_family, remove_tree, signal_group
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.tiers import NotConfined
from grader.engine.worker.walls import namespaces
from grader.engine.worker.walls.confine import FIRST_UID, SHARED_MEMORY, Policy, code_paths, confine
from grader.engine.worker.walls.libc import libc
from grader.engine.worker.walls.limits import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, Caps, prctl
from grader.engine.worker.walls.seccomp import make_filter

ANSWERS = 3  # the answer socket's number in a child; 0, 1 and 2 are its only other descriptors
MOST_DESCRIPTORS = 4096
LOOK_SECONDS = 1.0  # between two looks for processes that belong to no job
SWEEPING = 0.5  # seconds, at most, that one look may take
SYSTEM_CALLS = b""  # the filter every child loads; made once


def main(light_fd: int, full_fd: int, surroundings: Surroundings, tier: str) -> None:
    """tier: "best" or "practice"; what `confined` needs is tried once, in a fork, and told at once."""
    global SYSTEM_CALLS
    light, full = socket.socket(fileno=light_fd), socket.socket(fileno=full_fd)
    die_with_parent()
    prctl(PR_SET_DUMPABLE, 0)  # nobody else's process of this user looks into this one
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    SYSTEM_CALLS = make_filter() if tier != "practice" else b""
    code_paths(surroundings.code)  # found once, kept for every child
    light.send(f"measures {','.join(try_out(tier, surroundings))}".encode("ascii"))
    runtime = importlib.import_module(surroundings.runtime)
    runtime.warm("light")
    for name in surroundings.preload:
        __import__(name)
    gc.freeze()  # shared pages stay shared: the collector does not write into what is here already
    if os.fork() == 0:
        light.close()
        die_with_parent()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        runtime.warm("full")
        gc.freeze()
        Server(full, set(), surroundings, runtime).serve()
    full.close()
    spared = set(own_children())
    Server(light, spared, surroundings, runtime).serve()


def try_out(tier: str, surroundings: Surroundings) -> list[str]:
    """What confines a child on this system, found out by confining one."""
    read, write = os.pipe()
    server = os.getpid()
    home, stage = os.path.abspath("tried-home"), os.path.abspath("tried-stage")  # what it is for a submission
    for folder in (home, stage):
        os.makedirs(folder, exist_ok=True)
    pid = fork_apart()
    if pid == 0:
        try:
            host_pid = apart(server)
            names = confine(policy_of(surroundings, tier, home, (stage,), Caps()), host_pid, server, SYSTEM_CALLS)
            os.write(write, ",".join(names).encode("ascii"))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(write)
    with open(read, "rb") as pipe:
        told = pipe.read().decode("ascii")
    os.waitpid(pid, 0)
    return told.split(",") if told else []


def fork_apart() -> int:
    """os.fork(), into a process namespace of its own where this process may make one and come back."""
    try:
        home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return os.fork()
    made = False
    try:
        if os.geteuid() == 0:
            libc("setns", home, namespaces.CLONE_NEWPID)  # refused to all but real root: then below
            libc("unshare", namespaces.CLONE_NEWPID)
            made = True
    except OSError:
        pass
    try:
        pid = os.fork()
        if pid and made:
            libc("setns", home, namespaces.CLONE_NEWPID)
        return pid
    finally:
        os.close(home)


def apart(server: int) -> int:
    """In a fork: into a process namespace of its own, if it is not in one yet. Returns the id the server sees.

    Whoever may not make one for its child needs a second fork: the process in between only waits, and ends as
    its child did. The child is the first process of the namespace; when it ends the kernel kills all others there.
    """
    host_pid = int(os.readlink("/proc/self"))
    if os.getpid() == 1:
        return host_pid
    try:
        libc("unshare", namespaces.CLONE_NEWPID)
    except OSError:
        return host_pid
    between = os.getpid()
    pid = os.fork()
    if pid == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        return between
    os.closerange(0, 64)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        prctl(PR_SET_DUMPABLE, 0)
        os.kill(between, -status)
    os._exit(max(status, 0))


def own_children() -> list[int]:
    """The children of this process, which has one thread. psutil would look at every process there is."""
    own = os.getpid()
    if os.path.exists(f"/proc/{own}/task/{own}/children"):
        return children_of(own)
    return [child.pid for child in psutil.Process().children()]


def group_of(pid: int) -> int:
    """0 when it has ended."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def forget_shared_memory(uid: int) -> None:
    """Remove what a job's own user has left in /dev/shm, where that folder is not its own. For root."""
    for path in Path(SHARED_MEMORY).glob("*"):
        try:
            if path.lstat().st_uid == uid:
                remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError:
            pass  # it has gone


def die_with_parent() -> None:
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


class Server:
    """Forks on request, reports every exit, kills what a child leaves behind."""

    def __init__(self, control: socket.socket, spared: set[int], surroundings: Surroundings, runtime: Any):
        self.control, self.spared, self.pid = control, spared, os.getpid()
        self.surroundings, self.runtime = surroundings, runtime
        self.jobs: dict[int, str] = {}  # pid -> id
        self.swept = time.monotonic()
        self.wake_read, self.wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> NoReturn:
        self.control.send(b"ready")
        while True:
            ready, _, _ = select.select(
                [self.control.fileno(), self.wake_read], [], [], LOOK_SECONDS if self.jobs else None
            )
            if self.wake_read in ready:
                try:
                    os.read(self.wake_read, 4096)
                except BlockingIOError:
                    pass
            self.reap()
            if self.jobs and time.monotonic() > self.swept + LOOK_SECONDS:
                self.sweep()  # a job may start others beside itself (CLONE_PARENT), where nobody counts them
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
        pid = fork_apart()
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
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.dup2(prints, 1)
            os.dup2(prints, 2)
            os.dup2(answers, ANSWERS)
            os.closerange(ANSWERS + 1, MOST_DESCRIPTORS)  # nothing of the server's stays open
            run_request(socket.socket(fileno=ANSWERS), self.pid, self.surroundings, self.runtime)
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
                if os.geteuid() == 0:
                    forget_shared_memory(FIRST_UID + pid)
                self.control.send(f"exit {job} {os.waitstatus_to_exitcode(status)}".encode())
            elif pid in self.spared:  # the full server: without it this one is of no use
                self.end()
        if ended:
            self.sweep()

    def sweep(self) -> None:
        """Kill orphans: they come to this process, because it is their subreaper, and belong to no running job.

        One that cannot be collected now (somebody else traces it) is left for the next time.
        """
        self.swept = time.monotonic()
        while time.monotonic() < self.swept + SWEEPING:
            orphans = [pid for pid in own_children() if pid not in self.jobs and pid not in self.spared]
            if not orphans:
                return
            for group in {group_of(orphan) for orphan in orphans} - {0, os.getpgrp(), *self.jobs}:
                signal_group(group, "SIGKILL")  # what is left of a job that has ended, at once
            for orphan in orphans:
                kill_family(orphan)
            if not any([collected(orphan) for orphan in orphans]):  # all of them are asked
                time.sleep(0.001)

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


def collected(pid: int) -> bool:
    """Whether a child has ended, and nothing of it is left now."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def policy_of(surroundings: Surroundings, tier: str, home: str, reads: tuple[str, ...], caps: Caps) -> Policy:
    return Policy(tier, home, reads, caps, surroundings.code, surroundings.hidden)


def run_request(answers: socket.socket, server: int, surroundings: Surroundings, runtime: Any) -> None:
    """Read the one request, confine this process, run it, and end without any clean-up of the interpreter."""
    child.settle_streams()
    decoder = Decoder()
    frames: list[Frame] = []
    while not frames:
        data = answers.recv(1 << 20)
        if not data:
            os._exit(71)
        frames = decoder.feed(data)
    values = frames[0].values
    host_pid = apart(server) if values["isolation"] != "practice" else os.getpid()
    caps = Caps(cpu_seconds=values["cpu_seconds"], memory_bytes=values["memory_bytes"])
    reads = (values["stage"], *values["reads"])
    policy = policy_of(surroundings, values["isolation"], values["home"], reads, caps)
    try:
        measures = confine(policy, host_pid, server, SYSTEM_CALLS)
    except NotConfined as error:
        answers.sendall(child.refusal(str(error)))
        os._exit(0)
    child.settle_home(values["home"])
    child.run(frames[0], answers.sendall, runtime, measures)
    os._exit(0)
