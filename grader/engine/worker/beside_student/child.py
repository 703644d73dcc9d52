"""Inside the process that runs student code: import the submission, run one probe, answer.

Everything here shares its process with student code, so none of it is trusted: it holds no secret, and what
it sends is checked on the other side. Frames sent, in order: "started", "importing" (the file whose import begins or
goes on, "" when none does), "imported", any number of "progress", perhaps "trace", and one of "answer", "raised",
"untouched", "missing-name", "missing-file", "memory", "failed".
"""

from __future__ import annotations

import importlib
import io
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.engine.worker.beside_student.describe import TRACES, describe
from grader.engine.worker.beside_student.importer import NotThere, StudentFiles
from grader.engine.worker.beside_student.probing import MissingName, is_ours, untouched
from grader.engine.worker.channel import Frame, encode
from grader.engine.worker.walls.limits import PRIVATE

Send = Callable[[bytes], None]
NO_MEMORY = re.compile(r"can't allocate memory|std::bad_alloc|Cannot allocate memory")  # in libraries' words too


class Student:
    """What a probe is handed: the imported modules, and a way to fetch a name or to report progress."""

    def __init__(self, modules: dict[str, Any], send: Send):
        self._modules, self._send = modules, send
        self.__dict__.update(modules)

    def function(self, module: str, name: str) -> Any:
        """The student's `name` in `module`. Raises MissingName, also where it is a part of the grader's own."""
        found = vars(self._modules[module])
        if name not in found or is_ours(found[name]):
            own = [n for n, v in found.items() if getattr(v, "__module__", "") == module and not n.startswith("__")]
            raise MissingName(module, name, own)
        return found[name]

    def progress(self, **numbers: float) -> None:
        self._send(encode("progress", numbers))


def run(
    request: Frame, send: Send, runtime: Any, measures: list[str] | None = None, folder: Path | None = None
) -> StudentFiles | None:
    """Answer one request. Returns the importer, so that a long-lived worker can unload the modules.

    runtime: the week's module that seeds what its libraries draw.
    measures: what confines this process, as its caller has just tried.
    folder: where the files are imported from, in place of a copy of the staged ones.
    """
    values = request.values
    files, imported = None, False
    TRACES.clear()
    try:
        probe = find_probe(values["probe"])
        runtime.seed(values["seed"])
        send(encode("started", {"measures": measures or []}))
        files = StudentFiles(
            folder or private_copy(Path(values["stage"])),
            probe.modules,
            values["stand_ins"],
            values["given"],
            values["package"],
            tell=lambda name: send(encode("importing", {"module": name})),
        )
        modules = files.load()
        runtime.seed(values["seed"])
        send(encode("imported", {}))
        imported = True
        arguments = {n.removeprefix("argument:"): writable(v) for n, v in values.items() if n.startswith("argument:")}
        answer = probe(Student(modules, send), **arguments)
        flush()
        ending = encode("answer", answer)
    except BaseException as error:
        flush()
        ending = describe_failure(error, imported)
    if TRACES:
        send(encode("trace", {"text": "\n".join(TRACES)}))
    send(ending)
    return files


def refusal(why: str) -> bytes:
    """The frame of a child that was to be confined, could not be, and so ran nothing."""
    return encode("refused", {"why": why})


def private_copy(stage: Path) -> Path:
    """The staged files again, in the child's own folder: a checkpoint written beside them works and does not stay."""
    copy = Path.cwd() / "submission"
    copy.mkdir(exist_ok=True)
    for path in stage.iterdir():
        shutil.copyfile(path, copy / path.name)
    return copy


def settle_home(home: str) -> None:
    """Make the child's own folder the current one and the place of all that libraries put down."""
    os.chdir(home)
    os.environ.update(dict.fromkeys(PRIVATE, home))
    tempfile.tempdir = None  # what tempfile found before


def writable(value: Any) -> Any:
    """Arrays of a frame are read-only views, which some libraries warn about; a copy is not."""
    return value.copy() if hasattr(value, "flags") else value


def find_probe(name: str) -> Any:
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def describe_failure(error: BaseException, imported: bool = True) -> bytes:
    """The frame for an exception that left student code, or our own. imported: whether all files were."""
    if isinstance(error, MissingName):
        return encode("missing-name", {"module": error.module, "name": error.name, "found": error.found[:50]})
    if isinstance(error, NotThere):
        return encode("missing-file", {"module": str(error)})
    todo = untouched(error) if imported else None  # what calls a stub at import is no stub itself
    if todo is not None:
        return encode("untouched", {"todo": todo})
    raised = describe(error)
    if isinstance(error, MemoryError) or NO_MEMORY.search(raised.message):
        return encode("memory", {})
    if not raised.frames and not isinstance(error, (SystemExit, SyntaxError)):
        return encode("failed", {"error": raised})
    return encode("raised", {"error": raised})


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the student may have replaced or closed it
            pass


def settle_streams() -> None:
    """stdin is empty; stdout and stderr are line-buffered UTF-8 on file descriptors 1 and 2."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdin = open(0, encoding="utf-8", closefd=False)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        raw = open(descriptor, "wb", buffering=0, closefd=False)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    warnings.simplefilter("ignore", ResourceWarning)
