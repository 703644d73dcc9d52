"""A worker without any line of trust: student code runs in this very process, so that a debugger sees all of it.

Only for `python -m grader try` and for benchmarks: never for a score. Nothing is limited, hidden or undone here.
"""

from __future__ import annotations

import importlib
import os
from bdb import BdbQuit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from grader.engine.worker.beside_student import child
from grader.engine.worker.beside_student.describe import WATCHERS
from grader.engine.worker.channel import Frame
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.trusted.job import Job, Request


class InProcessServer:
    """In the place of a real worker (trusted.start.Server): `submit` comes back when the probe has ended.

    folder: the submitted files themselves, so that a debugger's breakpoints in them hold; None takes the staged copy.
    caught: every exception of student code and of probes in this process, whole, in the order they were caught.
    """

    kind = "in-process"
    isolation = "practice"

    def __init__(self, surroundings: Surroundings, folder: Path | None = None):
        self.runtime = importlib.import_module(surroundings.runtime)
        self.preload, self.folder = surroundings.preload, folder
        self.caught: list[BaseException] = []
        WATCHERS.append(self.watch)

    def measures(self) -> tuple[str, ...]:
        return ()

    def submit(self, request: Request, on_progress: Callable[[Mapping[str, Any]], None] | None = None) -> Job:
        """Run the probe, through the same importer and the same frames as elsewhere, in a home of its own."""
        job = Job(request, on_progress)
        self.runtime.warm(request.needs)
        for name in self.preload:
            importlib.import_module(name)
        here, files = os.getcwd(), None
        os.chdir(request.home)
        try:
            folder = self.folder or Path(request.stage)
            files = child.run(Frame("request", request.values()), job.feed, self.runtime, folder=folder)
        finally:
            if files is not None:
                files.unload()
            os.chdir(here)
        job.end(job.final.kind if job.final is not None else "protocol", detail=job.bad)
        job.finish()
        return job

    def watch(self, error: BaseException) -> None:
        """Keep it. Ctrl-C, and leaving the debugger, end everything instead of being one more finding."""
        if isinstance(error, (KeyboardInterrupt, BdbQuit)):
            raise KeyboardInterrupt from None
        self.caught.append(error)

    def close(self) -> None:
        WATCHERS.remove(self.watch)
