"""Many tasks on an executor, and how many of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import psutil

from grader.engine.many.warm import Warm

JOB_BYTES = 1_000_000_000  # what a warm server with one grading needs at its peak; measured: 0.7 GB
LOOK_UP = 0.5  # seconds: a wait without an end would not see Ctrl-C on Windows
T = TypeVar("T")
R = TypeVar("R")


def jobs_that_fit(limit_bytes: int = JOB_BYTES) -> int:
    """How many gradings at once the processors and the free memory allow, at least 1.

    limit_bytes: what one of them needs
    """
    process = psutil.Process()
    cores = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else os.cpu_count() or 1
    return max(1, min(cores, int(psutil.virtual_memory().available // limit_bytes)))


def each_done(
    executor: Executor, work: Callable[[T], R], tasks: Iterable[T], ahead: int
) -> Iterator[tuple[T, R | BaseException]]:
    """Do all tasks; (task, what `work` gave or raised) as they end. At most `ahead` of them are handed out at once."""
    waiting: dict[Future[R], T] = {}
    left = iter(tasks)
    try:
        while True:
            for task in islice(left, ahead - len(waiting)):
                waiting[executor.submit(work, task)] = task
            if not waiting:
                return
            done, _ = wait(waiting, LOOK_UP, FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), outcome(future)
    finally:
        for future in waiting:
            future.cancel()


def outcome(future: Future[Any]) -> Any:
    try:
        return future.result()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # CancelledError too: a cluster has lost it
        return error


@contextmanager
def threads(jobs: int, warm: Warm) -> Iterator[Executor]:
    """Threads of this process. Leaving in the middle ends what runs at once, because its servers end."""
    executor = ThreadPoolExecutor(jobs)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        warm.close()  # a grading can take minutes
        executor.shutdown()
