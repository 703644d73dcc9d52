"""Starting and ending worker processes, on every system."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from grader.engine.worker import keeper

KEEPER_SECONDS = 8.0  # for a keeper to kill what is below it; see keeper.END_SECONDS


class ServerFailed(RuntimeError):
    """The worker itself did not start or has died: never the student's fault."""


def bootstrap(call: str) -> list[str]:
    """The command of a worker: isolated from PYTHON* variables and the current folder.

    `grader` is this copy, whichever is installed. After that its folder comes last on the path: nothing else that lies
    there may stand in for a library.
    """
    root = str(Path(__file__).resolve().parents[3])
    ours = f"import sys; sys.path.insert(0, {root!r}); import grader; sys.path.append(sys.path.pop(0))"
    return [sys.executable, "-I", "-X", "utf8", "-c", f"{ours}; {call}"]


class Worker:
    """A worker process, below a keeper where the system has what one needs: then nothing survives the judge."""

    def __init__(self, call: str, apart: bool, pass_fds: tuple[int, ...] = (), **options: Any):
        """call: Python that runs the worker. apart: in a process namespace of its own, where that can be had.

        options: of subprocess.Popen.
        """
        self.lifeline: int | None = None
        if keeper.available():
            theirs, self.lifeline = os.pipe()
            call = f"from {keeper.__name__} import guard; guard({theirs}, {apart}); {call}"
            pass_fds = (*pass_fds, theirs)
        if pass_fds:
            options["pass_fds"] = pass_fds
        self.process = subprocess.Popen(bootstrap(call), **options)
        self.pid = self.process.pid
        if self.lifeline is not None:
            os.close(theirs)

    def end(self) -> None:
        """End it and everything below it, and wait until that is done."""
        if self.lifeline is not None:
            os.close(self.lifeline)  # the keeper sees it and kills, which no crowd below it can prevent
            self.lifeline = None
            try:
                self.process.wait(KEEPER_SECONDS)
                return
            except subprocess.TimeoutExpired:
                pass  # stopped, perhaps: then it is killed like anything else
        kill_family(self.pid)
        self.process.wait()


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, however deep and closed: student code may have nested a thousand, or taken away
    its own right to enter them."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:  # before Python 3.13
        pass
    if os.path.lexists(folder):
        flatten(folder)
        shutil.rmtree(folder, ignore_errors=True)


def flatten(folder: Path) -> None:
    """Open every folder below to its owner and bring it to the top level, without recursion and without long paths."""
    waiting = [str(folder)]
    for number in itertools.count():
        if number == len(waiting):
            return
        try:
            below = [entry.path for entry in os.scandir(waiting[number]) if entry.is_dir(follow_symlinks=False)]
            for path in below:
                here = os.path.join(folder, secrets.token_hex(8))
                os.chmod(path, 0o700)
                os.rename(path, here)
                waiting.append(here)
        except OSError:
            pass  # what cannot be moved stays where it is


def kill_family(pid: int) -> None:
    """Kill a process and all below it, the root last, so that no child escapes to a new parent unseen.

    Its group is stopped first, where it leads one: else a crowd that forks grows while it is counted.
    """
    signal_group(pid, "SIGSTOP")
    try:
        root = psutil.Process(pid)
        members = [*root.children(recursive=True), root]
    except psutil.Error:
        signal_group(pid, "SIGKILL")  # of a leader that has ended, too
        return
    for member in members:
        try:
            member.kill()
        except psutil.Error:
            pass
    signal_group(pid, "SIGKILL")


def signal_group(pid: int, name: str) -> None:
    """Send a signal to the group that this process leads: the kernel lets no fork slip through. POSIX only."""
    if hasattr(os, "killpg") and pid != os.getpgrp():
        try:
            os.killpg(pid, getattr(signal, name))
        except OSError:
            pass  # it leads none, or all of it has ended
