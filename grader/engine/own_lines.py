"""The student's own lines behind an ending, fit to be shown."""

from __future__ import annotations

import re
from typing import Any

from grader.engine.contract import Contract
from grader.engine.printable import clean, one_line, source_lines
from grader.engine.submission.read import Submission
from grader.engine.worker.raised import Raised

Frame = dict[str, Any]  # {"file", "line", "function", "text"}; line 0: the whole file


def own_lines(submission: Submission, todo: int, raised: Raised | None) -> tuple[Frame, ...]:
    """The student's own lines behind a finding: those an error went through, or where the TODO's function is."""
    contract = submission.contract
    found = frames_of(raised, tuple(contract.files))
    if not found and todo in contract.todo:
        place = contract.todo[todo]
        found = definition(place.file, place.function, submission.files.get(place.file, b""))
    return found


def where(error: Raised) -> str:
    """The innermost line of the student's own: 'FILE, line 23, in FUNCTION: total += value'.

    While a file is imported, first the line of that file that began it.
    """
    if not error.frames:
        return ""
    lines = [line_of(frame) for frame in (started_at(error), error.frames[-1]) if frame]
    return " - and from there ".join(dict.fromkeys(lines))


def quote_of(submission: Submission, error: Raised | None) -> str:
    """The student's innermost line on lines of its own: where it stands, the line as it is, marks below it.

    First the line that began it: of the file that was being imported, or of the other TODO that called this one.
    """
    if error is None or not error.frames or not error.quote.strip():
        return ""
    last = error.frames[-1]
    if last["file"] not in submission.contract.files:
        return ""
    lines = [clean(line).rstrip()[:200] for line in error.quote.splitlines()[:4]]
    began = started_at(error) or called_by(error, submission.contract)
    first = [] if began in (None, last) else [place_of(began), f"    {one_line(began['text'], 200)}"]
    return "\n".join([*first, place_of(last), *(f"    {line}" for line in lines)])


def started_at(error: Raised) -> Frame | None:
    """The frame outside all functions, of the file whose import failed; None when no file was being imported."""
    return next((frame for frame in reversed(error.frames) if frame["function"] == "<module>"), None)


def called_by(error: Raised, contract: Contract) -> Frame | None:
    """The line of a TODO's function that called another TODO's, where it stopped: what it was given came from there."""
    functions = {(todo.file, todo.function.split(".")[-1]) for todo in contract.todos}
    of_todos = [frame for frame in error.frames if (frame["file"], frame["function"]) in functions]
    last = error.frames[-1]
    callers = [frame for frame in of_todos if (frame["file"], frame["function"]) != (last["file"], last["function"])]
    return callers[-1] if callers and last in of_todos else None


def line_of(frame: Frame) -> str:
    return one_line(f"{place_of(frame)}: {frame['text']}", 240)


def place_of(frame: Frame) -> str:
    """FILE, line 23, in FUNCTION"""
    inside = f", in {frame['function']}" if frame["function"] and not frame["function"].startswith("<") else ""
    number = f", line {frame['line']}" if frame["line"] else ""  # cells of a notebook have none
    return one_line(f"{frame['file']}{number}{inside}", 200)


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
    lines, start = source_lines(content.decode("utf-8", "replace")), 0
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
