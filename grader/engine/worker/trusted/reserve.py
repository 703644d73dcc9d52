"""A reserve of free memory: when little is left, the largest job above its limit ends, and new ones wait.

The limits of each job allow more than a small machine has, and several jobs run at once. What is counted is the whole
machine's free memory; a container with a smaller limit of its own is not seen here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psutil

PART, MOST = 0.06, 1_000_000_000  # the reserve: this part of the machine's memory, at most so many bytes
LOOK_AGAIN = 0.2  # seconds


def short() -> bool:
    """Whether less memory is free than should be."""
    memory = psutil.virtual_memory()
    return bool(memory.available < min(MOST, PART * memory.total))


class Job(Protocol):
    """What is asked of a job here: whether it has an outcome already, and so is no longer wanted."""

    @property
    def outcome(self) -> object: ...


class Reserve:
    """The jobs that run in this process, and the bytes each used when it was last looked at."""

    def __init__(self) -> None:
        self.used: dict[Job, int] = {}
        self.changed = threading.Condition()

    @contextmanager
    def room_for(self, job: Job) -> Iterator[None]:
        """Count a job while it runs. It begins when memory is free, or nothing else runs, or it is no longer wanted."""
        with self.changed:
            while self.used and job.outcome is None and short():
                self.changed.wait(LOOK_AGAIN)
            self.used[job] = 0
        try:
            yield
        finally:
            with self.changed:
                del self.used[job]
                self.changed.notify_all()

    def must_end(self, job: Job, used: int, limit: int) -> bool:
        """Whether this job is to give its memory back: little is free, and it is above its limit and the largest."""
        with self.changed:
            if job in self.used:
                self.used[job] = used
            return used > limit and used >= max(self.used.values(), default=0) and short()


RESERVE = Reserve()
