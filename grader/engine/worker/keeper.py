"""The keeper (Linux): stands between the judge and a worker, and sees that nothing survives either of them.

Student code can give up the signal that would end it with its parent. So each worker has a small process above it that
runs nothing of a student's: it holds one end of a pipe whose other end only the judge has. When that closes, however
the judge ended, or when the worker ends, everything below is killed. Where the system permits it the worker is the
first process of a namespace: the kernel then kills all others in it at once, and nobody in there can name the keeper.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import NoReturn

from grader.engine.worker.walls.libc import libc
from grader.engine.worker.walls.limits import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, prctl
from grader.engine.worker.walls.namespaces import CLONE_NEWIPC, CLONE_NEWPID

MOST_DESCRIPTORS = 4096
END_SECONDS = 5.0  # how long a crowd that keeps forking is hunted


def available() -> bool:
    """Whether this system has what a keeper needs: process descriptors and subreapers, both Linux."""
    return sys.platform.startswith("linux") and hasattr(os, "pidfd_open")


def guard(judge: int, apart: bool) -> None:
    """Fork. Returns in the child, which goes on as the worker; the parent stays behind as its keeper.

    judge: the reading end of the pipe to the judge. apart: whether the worker should be the first process of a
    namespace. Call it before there are threads.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_DUMPABLE, 0)
    if apart:
        try:
            # for children only, and shared memory of System V that dies with them; refused to everybody but root
            libc("unshare", CLONE_NEWPID | CLONE_NEWIPC)
        except OSError:
            pass
    keeper = os.getpid()
    worker = os.fork()
    if worker == 0:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getpid() != 1 and os.getppid() != keeper:  # it died before the call
            os._exit(1)
        os.close(judge)
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):  # or the judge would wait for the ends of pipes that are open here
        if number != judge:
            os.dup2(nothing, number)
    os.closerange(3, judge)
    os.closerange(judge + 1, MOST_DESCRIPTORS)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the judge, whose end is what counts here
    keep(worker, judge)


def keep(worker: int, judge: int) -> NoReturn:
    """Wait for the end of the one or the other; kill what is left; end as the worker did."""
    watched = select.poll()
    watched.register(judge, select.POLLIN | select.POLLHUP)
    descriptor = os.pidfd_open(worker)
    watched.register(descriptor, select.POLLIN)
    while not watched.poll(None):
        pass
    status = end_of(worker)
    if status is None:
        os.kill(worker, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    end_all()
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(max(status, 0))


def end_of(worker: int) -> int | None:
    """The exit status of the worker as os.waitstatus_to_exitcode gives it, None while it runs."""
    pid, status = os.waitpid(worker, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def end_all() -> None:
    """Kill until nothing is left below this process. What loses its parent becomes a child of this subreaper.

    Whole groups where it can be: the kernel lets no fork slip through a signal to a group.
    """
    deadline, own = time.monotonic() + END_SECONDS, os.getpgrp()
    while time.monotonic() < deadline:
        for pid in children_of(os.getpid()):
            try:
                group = os.getpgid(pid)
                os.killpg(group, signal.SIGKILL) if group != own else os.kill(pid, signal.SIGKILL)
            except OSError:
                pass  # it has ended, or belongs to another user by now
        if not reap():
            return


def children_of(pid: int) -> list[int]:
    """The direct children, from one small file: fast enough to catch those that fork and end."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(number) for number in file.read().split()]
    except OSError:
        return []


def reap() -> bool:
    """Collect what has ended; whether there is anything left to wait for."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
