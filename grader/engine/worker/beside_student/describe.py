"""An exception as data: its type, its message and the student's own frames only.

Where it came from the grader's own code in the end, the whole stack is kept as well, for those who look after the
grader: it may be our fault.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from pathlib import Path

from grader.engine.worker.raised import Raised

MESSAGE_LIMIT = 600
FRAME_LIMIT = 8
OURS = __name__.partition(".")[0]  # the package of the grader
TRACE_LIMIT = 3000  # characters of one stack, its end
TRACES: list[str] = []  # what describe() has kept since the last request began
TRACES_LIMIT = 5


# called with each exception while it still has all its frames; only in_process.py, where a person debugs, adds to it
WATCHERS: list[Callable[[BaseException], None]] = []


def describe(error: BaseException) -> Raised:
    """Keep the frames that lie in submitted files; library and grader frames help no beginner."""
    for watcher in WATCHERS:
        watcher(error)
    frames, ours = [], True  # ours: the last frame that is the student's or the grader's is the grader's
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_globals.get("__submitted__")  # set by the importer of student files
        if file and frame.f_code.co_filename == frame.f_globals.get("__file__"):
            ours = False
            text = linecache.getline(frame.f_code.co_filename, line).strip()
            frames.append({"file": file, "line": line, "function": frame.f_code.co_name, "text": text[:200]})
        elif str(frame.f_globals.get("__name__")).partition(".")[0] == OURS:
            ours = True
    if isinstance(error, SyntaxError) and error.filename and not frames:
        frames.append(
            {
                "file": Path(error.filename).name,
                "line": error.lineno or 0,
                "function": "",
                "text": (error.text or "").rstrip()[:200],
            }
        )
    if ours and not isinstance(error, SyntaxError):  # which the importer meets when it compiles a file
        keep_trace(error)
    return Raised(type(error).__name__, message_of(error), frames[:3] + frames[3:][-(FRAME_LIMIT - 3) :])


def keep_trace(error: BaseException) -> None:
    if len(TRACES) >= TRACES_LIMIT:
        return
    try:
        TRACES.append("".join(traceback.format_exception(error))[-TRACE_LIMIT:])
    except BaseException:  # it asks the exception for its message, which may be student code
        pass


def message_of(error: BaseException) -> str:
    """str(error), which is itself student code when the exception class is theirs."""
    try:
        if isinstance(error, SyntaxError):
            return str(error.msg)[:MESSAGE_LIMIT]
        # PyTorch goes on with every signature it knows, which drowns what was wrong
        return str(error).split(", but expected one of")[0][:MESSAGE_LIMIT]
    except BaseException:
        return "(its message could not be read)"
