"""The portable worker: one interpreter that runs probe after probe of one submission.

Requests come on its stdin, frames leave on what was its stdout; student prints go to its stderr. Between two
probes it forgets the student's modules. When anything global has changed it says so and ends, and the client
takes a fresh one: what one probe leaves behind must not reach the next.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import psutil

from grader.engine.worker.beside_student import child
from grader.engine.worker.beside_student.marks import names_of
from grader.engine.worker.channel import Decoder, encode
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.walls.limits import (
    PR_GET_NO_NEW_PRIVS,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Caps,
    limit_self,
    prctl,
)

UNLIMITED = 10**8
WATCHED = ("builtins", "os", "sys", "time", "random", "math", "json", "threading", "numpy")


def main(what: str, surroundings: Surroundings) -> None:
    requests = os.dup(0)
    answers = os.dup(1)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (requests, answers, 1, 2):
            msvcrt.setmode(descriptor, os.O_BINARY)
    prctl(PR_SET_PDEATHSIG, 9)
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a probe leaves running stays below this process, and is seen
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    held = ["no new privileges"] if prctl(PR_GET_NO_NEW_PRIVS, 0, expect=1) else []
    # no limit on CPU time: this process lives through many probes, and the client watches the time of each
    measures = sorted([*held, *limit_self(Caps(cpu_seconds=UNLIMITED))])
    measures = [name for name in measures if name != "cpu"]
    child.settle_streams()

    def send(frame: bytes) -> None:
        view = memoryview(frame)
        while view:
            view = view[os.write(answers, view) :]

    runtime = importlib.import_module(surroundings.runtime)
    runtime.warm(what)
    for name in surroundings.preload:
        __import__(name)
    send(encode("ready", {}))
    decoder = Decoder()
    while True:
        data = os.read(requests, 1 << 20)
        if not data:
            os._exit(0)
        for request in decoder.feed(data):
            runtime.warm(request.values["needs"])
            child.settle_home(request.values["home"])
            before = fingerprint(runtime)
            files = child.run(request, send, runtime, measures)
            if files is not None:
                files.unload()
            child.flush()
            os.write(2, request.values["end_of_prints"].encode("ascii"))
            clean = fingerprint(runtime) == before
            send(encode("idle", {"clean": clean}))
            if not clean:
                os._exit(0)


def fingerprint(runtime: Any) -> dict[str, Any]:
    """What student code could change for the next probe: the week's libraries, and the interpreter itself."""
    return {
        "week": runtime.marks(),
        "modules": {name: names_of(sys.modules[name]) for name in WATCHED if name in sys.modules},
        "environment": hash(frozenset(os.environ.items())),
        "path": tuple(sys.path),
        "finders": tuple(map(id, sys.meta_path)),
        "streams": (id(sys.stdout), id(sys.stderr)),
        "threads alive": len(sys._current_frames()),  # those that threading knows nothing of, too
        "processes": own_children(),
    }


def own_children() -> tuple[int, ...]:
    """The processes that student code left behind, as the system numbers them.

    In a namespace of its own this process does not know its own number; /proc may be that of the namespace above.
    """
    try:
        own = os.readlink("/proc/self")
        with open(f"/proc/{own}/task/{own}/children", encoding="ascii") as file:
            return tuple(map(int, file.read().split()))
    except OSError:
        return tuple(p.pid for p in psutil.Process().children())
