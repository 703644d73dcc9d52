"""The processes of a job, seen from outside: the memory and CPU time they take, and whether all of them are asleep."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

TASKS = Path("/proc/self/task")  # where Linux shows the threads of a process
CHILDREN = TASKS / str(os.getpid()) / "children"  # and the children of each, where it was built to
WAKING = "RD"  # thread states of proc(5): running or ready to run, and waiting for a disk
MISSED = 5.0  # seconds between two looks after which nothing is known: this process was stopped, or the machine asleep
ADDING = 1.0  # seconds; 40 loaders' processes take 0.2
BLINKS = 1e-4  # part of the time that a thread may run which only looks again and again whether it may go on
BLINKING = 3  # how many times longer such a job is waited for than one in which nothing runs at all


def members(pid: int | None) -> list[psutil.Process]:
    """A process and all below it; [] when there is none."""
    if pid is None:
        return []
    try:
        root = psutil.Process(pid)
        below = below_in_proc(pid) if CHILDREN.exists() else root.children(recursive=True)
        return [root, *below]
    except psutil.Error:
        return []


def below_in_proc(pid: int) -> list[psutil.Process]:
    """All below a process, from the lists of children that Linux keeps: psutil would look at every process there is."""
    found: list[psutil.Process] = []
    waiting = [pid]
    while waiting:
        try:
            lists = [(task / "children").read_text("ascii") for task in Path(f"/proc/{waiting.pop()}/task").iterdir()]
        except OSError:  # it has just ended
            continue
        for child in map(int, " ".join(lists).split()):
            try:
                found.append(psutil.Process(child))
                waiting.append(child)
            except psutil.Error:
                pass
    return found


def memory(family: list[psutil.Process]) -> int:
    """Bytes of memory these processes take: shared pages count in equal parts (PSS) where the system tells.

    Those of some only where that takes longer than ADDING seconds, because they leave no time to look at all.
    """
    total, ends = 0, time.monotonic() + ADDING
    for member in family:
        if time.monotonic() > ends:
            break
        try:
            total += own_memory(member)
        except (psutil.Error, OSError):
            pass
    return total


def own_memory(process: psutil.Process) -> int:
    """Raises psutil.Error or OSError when it has ended or may not be looked at."""
    try:
        full = process.memory_full_info()
        if not full.rss and (thread := other_thread(process)):
            process, full = thread, thread.memory_full_info()
    except psutil.AccessDenied:
        info = process.memory_info()
        return max(0, int(info.rss - getattr(info, "shared", 0))) + page_tables(process.pid)
    return int(getattr(full, "pss", None) or full.uss) + page_tables(process.pid)


def other_thread(process: psutil.Process) -> psutil.Process | None:
    """On Linux, one that goes on when the first thread of a process, under whose number it is known, has ended."""
    names = os.listdir(f"/proc/{process.pid}/task") if TASKS.is_dir() else []
    return next((psutil.Process(int(name)) for name in names if int(name) != process.pid), None)


def page_tables(pid: int) -> int:
    """Bytes of the kernel's tables of a process's pages (VmPTE in proc(5)): pages that only were read cost no more
    than that. 0 where the system does not tell."""
    try:
        found = re.search(
            r"^VmPTE:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8", "replace"), re.MULTILINE
        )
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def cpu(family: list[psutil.Process]) -> float:
    """CPU seconds of these processes; what ended and was reaped counts through its parent."""
    total = 0.0
    for member in family:
        try:
            total += sum(member.cpu_times()[:4])
        except psutil.Error:
            pass
    return total


@dataclass(frozen=True)
class Pulse:
    """What changes when anything of a family runs. awake: something is about to; exact: `seconds` misses nothing."""

    marks: dict[Any, Any]
    seconds: float
    awake: bool
    exact: bool


def pulse(family: list[psutil.Process]) -> Pulse | None:
    """The pulse of a family now; None when it cannot be felt (it has just ended, or this system does not show it)."""
    try:
        if TASKS.is_dir():
            return pulse_of_threads(family) if family else None
        marks = {p.pid: (p.create_time(), p.cpu_times(), p.num_ctx_switches()) for p in family}
    except (OSError, psutil.Error, ValueError, IndexError):
        return None
    return Pulse(marks, 0.0, awake=False, exact=False) if marks else None


def pulse_of_threads(family: list[psutil.Process]) -> Pulse:
    """On Linux: the state of each thread, and the nanoseconds it has run (schedstat in proc(5)). Raises OSError."""
    ran: dict[tuple[int, str], int] = {}
    awake = False
    for member in family:
        for thread in Path(f"/proc/{member.pid}/task").iterdir():
            state = (thread / "stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
            ran[member.pid, thread.name] = int((thread / "schedstat").read_text("ascii").split()[0])
            awake = awake or state in WAKING
    return Pulse(ran, sum(ran.values()) / 1e9, awake, exact=True)


class Rest:
    """For how long nothing of a job has run, as far as looks from outside can tell."""

    def __init__(self) -> None:
        self.last: Pulse | None = None
        self.looked = self.still = self.dozing = float("-inf")
        self.ran = 0.0  # CPU seconds when it began to doze

    def look(self, family: list[psutil.Process], now: float) -> tuple[float, float]:
        """Seconds since anything ran at all, and since more ran than a look whether it may go on."""
        found, last = pulse(family), self.last
        missed = now - self.looked > MISSED
        self.last, self.looked = found, now
        if missed or found is None or last is None or found.awake or set(found.marks) != set(last.marks):
            self.still = self.dozing = now
        elif found.marks != last.marks:
            self.still = now
            if not found.exact or found.seconds - self.ran > BLINKS * (now - self.dozing):
                self.dozing = now
        if self.dozing == now and found is not None:
            self.ran = found.seconds
        return now - self.still, now - self.dozing
