"""An exception of student code as data: its type, its message and the student's own frames only."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path

from grader.engine.worker.raised import Raised

MESSAGE_LIMIT = 600
FRAME_LIMIT = 8


# called with each exception while it still has all its frames; only in_process.py, where a person debugs, adds to it
WATCHERS: list[Callable[[BaseException], None]] = []


def describe(error: BaseException) -> Raised:
    """Keep the frames that lie in submitted files; library and grader frames help no beginner."""
    for watcher in WATCHERS:
        watcher(error)
    frames = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_globals.get("__submitted__")  # set by the importer of student files
        if file and frame.f_code.co_filename == frame.f_globals.get("__file__"):
            text = linecache.getline(frame.f_code.co_filename, line).strip()
            frames.append({"file": file, "line": line, "function": frame.f_code.co_name, "text": text[:200]})
    if isinstance(error, SyntaxError) and error.filename and not frames:
        frames.append(
            {
                "file": Path(error.filename).name,
                "line": error.lineno or 0,
                "function": "",
                "text": (error.text or "").rstrip()[:200],
            }
        )
    return Raised(type(error).__name__, message_of(error), frames[:3] + frames[3:][-(FRAME_LIMIT - 3) :])


def message_of(error: BaseException) -> str:
    """str(error), which is itself student code when the exception class is theirs."""
    try:
        if isinstance(error, SyntaxError):
            return str(error.msg)[:MESSAGE_LIMIT]
        # PyTorch goes on with every signature it knows, which drowns what was wrong
        return str(error).split(", but expected one of")[0][:MESSAGE_LIMIT]
    except BaseException:
        return "(its message could not be read)"
