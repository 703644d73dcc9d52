"""The student's own lines behind an ending, fit to be shown."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from grader.engine.printable import one_line
from grader.engine.submission.read import Submission
from grader.engine.worker.raised import Raised
from grader.engine.worker.trusted.job import Outcome

Frame = dict[str, Any]  # {"file", "line", "function", "text"}; line 0: the whole file


def own_lines(submission: Submission, todo: int, raised: Raised | None) -> tuple[Frame, ...]:
    """The student's own lines behind a finding: those an error went through, or where the TODO's function is."""
    contract = submission.contract
    found = frames_of(raised, tuple(contract.files))
    if not found and todo in contract.todo:
        place = contract.todo[todo]
        found = definition(place.file, place.function, submission.files.get(place.file, b""))
    if not submission.is_notebook:
        return found
    # cells have no line numbers that anything could point at
    return tuple(frame | {"file": submission.path.name, "line": 0} for frame in found[-1:])


def where(error: Raised) -> str:
    """The innermost line of the student's own: 'FILE, line 23, in FUNCTION: total += value'.

    While a file is imported, first the line of that file that began it.
    """
    if not error.frames:
        return ""
    lines = [line_of(frame) for frame in (started_at(error), error.frames[-1]) if frame]
    return " - and from there ".join(dict.fromkeys(lines))


def started_at(error: Raised) -> Frame | None:
    """The frame outside all functions, of the file whose import failed; None when no file was being imported."""
    return next((frame for frame in reversed(error.frames) if frame["function"] == "<module>"), None)


def without_lines(outcome: Outcome) -> Outcome:
    """For a notebook: its cells were put together into files, whose line numbers nobody could look up."""
    if outcome.raised is None:
        return outcome
    frames = [frame | {"line": 0} for frame in outcome.raised.frames]
    message = re.sub(r" \(?(on|at) line \d+\)?", "", outcome.raised.message)
    error = replace(outcome.raised, message=message, frames=frames)
    return replace(outcome, values=outcome.values | {"error": error})


def line_of(frame: Frame) -> str:
    inside = f", in {frame['function']}" if frame["function"] and not frame["function"].startswith("<") else ""
    number = f", line {frame['line']}" if frame["line"] else ""  # cells of a notebook have none
    return one_line(f"{frame['file']}{number}{inside}: {frame['text']}", 240)


def frames_of(error: Raised | None, files: tuple[str, ...]) -> tuple[Frame, ...]:
    """The student's own lines an exception went through, fit to be shown; only files that are handed in."""
    if error is None:
        return ()
    return tuple(
        {
            "file": frame["file"],
            "line": min(max(frame["line"], 0), 1_000_000),
            "function": one_line(frame["function"], 100),
            "text": one_line(frame["text"], 200),
        }
        for frame in error.frames[-8:]
        if frame["file"] in files
    )


def definition(file: str, function: str, content: bytes) -> tuple[Frame, ...]:
    """Where a function of the contract begins, as one frame; () when the file has no such line.

    function: "name", or "Class.method" (the line of the method after the line of its class). Found by
    pattern, not by parsing: whatever the file is, this process must survive it.
    """
    lines, start = content.decode("utf-8", "replace").splitlines(), 0
    for name in function.split("."):
        pattern = re.compile(rf"\s*(?:async\s+def|def|class)\s+{re.escape(name)}\b")
        found = next((i for i in range(start, len(lines)) if pattern.match(lines[i])), None)
        if found is None:
            break
        start = found + 1
    if start == 0:
        return ()
    text = one_line(lines[start - 1], 200)
    return ({"file": file, "line": start, "function": function.split(".")[-1], "text": text},)
