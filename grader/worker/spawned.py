"""The portable worker: one interpreter that runs probe after probe of one submission.

Requests come on its stdin, frames leave on what was its stdout; student prints go to its stderr. Between two
probes it forgets the student's modules. When anything global has changed it says so and ends, and the client
takes a fresh one: what one probe leaves behind must not reach the next.
"""

from __future__ import annotations

import os
import sys
import threading
from types import ModuleType
from typing import Any

import psutil

from grader.worker import child
from grader.worker.channel import Decoder, encode
from grader.worker.limits import (
    PR_GET_NO_NEW_PRIVS,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Caps,
    limit_self,
    prctl,
)

UNLIMITED = 10**8
WATCHED = (
    "builtins", "os", "sys", "time", "random", "math", "json", "threading",
    "numpy", "torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils.data", "torch.autograd",
    "torchvision", "torchvision.datasets", "torchvision.transforms",
)  # fmt: skip
CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.nn.Linear", "torch.optim.Optimizer", "torch.optim.SGD",
           "torch.utils.data.DataLoader", "torchvision.datasets.MNIST")  # fmt: skip


def main(what: str, preload: list[str]) -> None:
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

    child.warm(what)
    for name in preload:
        __import__(name)
    send(encode("ready", {}))
    decoder = Decoder()
    while True:
        data = os.read(requests, 1 << 20)
        if not data:
            os._exit(0)
        for request in decoder.feed(data):
            child.warm(request.values["needs"])
            child.settle_home(request.values["home"])
            before = fingerprint()
            files = child.run(request, send, measures)
            if files is not None:
                files.unload()
            child.flush()
            os.write(2, request.values["end_of_prints"].encode("ascii"))
            clean = fingerprint() == before
            send(encode("idle", {"clean": clean}))
            if not clean:
                os._exit(0)


def fingerprint() -> dict[str, Any]:
    """What student code could change for the next probe: settings of torch, and what names are bound to."""
    torch = sys.modules["torch"]
    marks: dict[str, Any] = {
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "grad": torch.is_grad_enabled(),
        "environment": hash(frozenset(os.environ.items())),
        "path": tuple(sys.path),
        "finders": tuple(map(id, sys.meta_path)),
        "streams": (id(sys.stdout), id(sys.stderr)),
        "threads alive": threading.active_count(),
        "processes": tuple(p.pid for p in psutil.Process().children()),
    }
    for name in WATCHED:
        if name in sys.modules:
            marks[name] = names_of(sys.modules[name])
    for name in CLASSES:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            marks[name] = names_of(getattr(sys.modules[module], attribute))
    return marks


def names_of(thing: ModuleType | type) -> int:
    """One number for all (name, object) pairs of a module or class; lazily imported submodules do not count."""
    skipped = ("__builtins__", "__warningregistry__", "_")
    pairs = ((n, id(v)) for n, v in vars(thing).items() if not isinstance(v, ModuleType) and n not in skipped)
    return hash(frozenset(pairs))
