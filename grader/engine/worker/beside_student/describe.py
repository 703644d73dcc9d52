"""An exception as data: its type, its message and the student's own frames only.

Where it came from the grader's own code in the end, the whole stack is kept as well, for those who look after the
grader: it may be our fault.
"""

from __future__ import annotations

import builtins
import contextlib
import difflib
import io
import itertools
import linecache
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import CodeType, TracebackType

from grader.engine.worker.raised import NO_SUCH_NAME, Raised

MESSAGE_LIMIT = 600
FRAME_LIMIT = 8
QUOTE_LIMIT = 160  # characters of one line
OURS = __name__.partition(".")[0]  # the package of the grader
TRACE_LIMIT = 3000  # characters of one stack, its end
TRACES: list[str] = []  # what describe() has kept since the last request began
TRACES_LIMIT = 5
PLACE_OF_MODULE = re.compile(r" \((?:unknown location|[^()]*\.(?:py|so|pyd|pyc))\)$")  # how an ImportError ends


READ: set[str] = set()  # paths of submitted files that were read to be imported: what a true SyntaxError may name
# called with each exception while it still has all its frames; only in_process.py, where a person debugs, adds to it
WATCHERS: list[Callable[[BaseException], None]] = []


def describe(error: BaseException) -> Raised:
    """Keep the frames that lie in submitted files; library and grader frames help no beginner."""
    for watcher in WATCHERS:
        watcher(error)
    frames, ours = [], True  # ours: the last frame that is the student's or the grader's is the grader's
    quote = ""
    for step in steps_of(error.__traceback__):
        frame, line = step.tb_frame, step.tb_lineno
        file = frame.f_globals.get("__submitted__")  # set by the importer of student files
        if file and frame.f_code.co_filename == frame.f_globals.get("__file__"):
            ours = False
            quote = quoted(frame.f_code, step.tb_lasti, line)
            text = line_in(frame.f_code.co_filename, line).strip()
            frames.append({"file": file, "line": line, "function": frame.f_code.co_name, "text": text[:200]})
        elif str(frame.f_globals.get("__name__")).partition(".")[0] == OURS:
            ours = True
    if isinstance(error, SyntaxError) and not frames and was_read(error):
        point_to_open_text(error)
        frames.append(
            {
                "file": Path(str(error.filename)).name,
                "line": error.lineno or 0,
                "function": "",
                "text": line_of(error).rstrip()[:200],
            }
        )
        quote = quoted_syntax(error)
    if ours and not isinstance(error, SyntaxError):  # which the importer meets when it compiles a file
        keep_trace(error)
    message = message_of(error)
    if suggestion := suggestion_of(error):
        message += ("" if message.endswith((".", "?")) else ".") + f" {suggestion}"
    return Raised(type(error).__name__, message, frames[:3] + frames[3:][-(FRAME_LIMIT - 3) :], quote)


def lines_in(file: str) -> list[str]:
    """Those of a file; none where it declares an encoding that linecache does not know how to refuse."""
    try:
        return linecache.getlines(file)
    except (LookupError, ValueError):
        return []


def line_in(file: str, number: int) -> str:
    return "".join(lines_in(file)[number - 1 : number]) if number > 0 else ""


def was_read(error: SyntaxError) -> bool:
    """Whether it speaks of a file that was imported, in the words of Python's own parser: student code raises some."""
    try:
        texts, numbers = (error.filename, error.text), (error.lineno, error.offset, error.end_lineno, error.end_offset)
        said = all(type(one) is str for one in texts if one is not None)
        counted = all(type(one) is int and -2 < one < 1_000_000 for one in numbers if one is not None)
        return said and counted and error.filename in READ
    except BaseException:  # it may be a property
        return False


def steps_of(step: TracebackType | None) -> list[TracebackType]:
    """From the outermost frame to the innermost."""
    found = []
    while step is not None:
        found.append(step)
        step = step.tb_next
    return found


def quoted(code: CodeType, instruction: int, line: int) -> str:
    """A line as it stands in the file, and below it marks for what of it was going on (Python 3.11 and newer know)."""
    text = line_in(code.co_filename, line).rstrip("\n")
    if not hasattr(code, "co_positions"):
        return shown(text)
    first, last, begin, end = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if first != line or begin is None or end is None:
        return shown(text)
    content = text.encode("utf-8")
    begin = len(content[:begin].decode("utf-8", "replace"))
    end = len(content[:end].decode("utf-8", "replace")) if last == line else len(text)
    return shown(text, begin, end)


def quoted_syntax(error: SyntaxError) -> str:
    """The same for a line that Python could not read; with the line before it where the indentation is to blame."""
    text, line = line_of(error).rstrip("\n"), error.lineno or 0
    begin, end = (error.offset or 1) - 1, (error.end_offset or 0) - 1
    if error.end_lineno not in (None, line):
        end = len(text)
    before = ""
    if isinstance(error, IndentationError):
        above = [line_in(str(error.filename), number).rstrip() for number in range(max(line - 3, 1), line)]
        before = next((shown(one) + "\n" for one in reversed(above) if one.strip()), "")
    return before + shown(text, begin, max(end, begin + 1), whole=True)


def line_of(error: SyntaxError) -> str:
    return error.text or line_in(str(error.filename), error.lineno or 0)


def point_to_open_text(error: SyntaxError) -> None:
    """Where a text in three quotes was not closed, it ends at the quotes of the next one: let the error point to where
    it began. That is the first text in which a function or a class begins at the left edge, or after a closed one."""
    source = "".join(lines_in(str(error.filename)))
    quotes = list(re.finditer(r'(?<!\\)("""|\'\'\')', source))
    for begin, end in zip(quotes[::2], [*quotes[1::2], None]):
        text = source[begin.end() : end.start() if end else None]
        if re.search(r"^ *(?:def|class) \w+.*:$", text, re.MULTILINE):
            error.lineno = error.end_lineno = source.count("\n", 0, begin.start()) + 1
            error.text = line_in(str(error.filename), error.lineno)
            error.offset = begin.start() - source.rfind("\n", 0, begin.start())
            error.end_offset = error.offset + 3
            return


def shown(text: str, begin: int = 0, end: int = 0, whole: bool = False) -> str:
    """A line, and marks below the characters from `begin` to `end`; none where that is all of it, but for `whole`.

    What cannot be seen is shown as a box.
    """
    text = "".join("\u25a1" if c not in " \t" and unicodedata.category(c) in ("Cf", "Zs", "Cc") else c for c in text)
    begin, end = max(begin, 0), min(end, QUOTE_LIMIT)
    if end <= begin or len(text) - len(text.lstrip()) >= end or not whole and not (text[:begin] + text[end:]).strip():
        return text[:QUOTE_LIMIT]
    blank = "".join(c if c == "\t" else " " for c in text[:begin].ljust(begin))
    return f"{text[:QUOTE_LIMIT]}\n{blank}{'^' * (end - begin)}"


def suggestion_of(error: BaseException) -> str:
    """What Python adds to some messages when it prints them: "Did you mean: 'total'?". "" for nothing.

    What the function is given, and a name that differs in small and capital letters alone, come first: Python's guess
    may have no value on that line.
    """
    if not isinstance(error, (NameError, AttributeError, ImportError)):
        return ""
    printed = io.StringIO()
    try:
        if near := meant(error):
            return near
        with contextlib.redirect_stderr(printed):
            sys.__excepthook__(type(error), error, error.__traceback__)
    except BaseException:  # it asks student code for messages and names
        return ""
    found = re.search(r"(?:Did you mean:|Did you forget to import) '[\w.]{1,60}'\??.*$", printed.getvalue().rstrip())
    return found[0] if found and found[0] not in message_of(error) else ""


def meant(error: BaseException) -> str:
    """The name that a NameError should have had: one with the same letters, small or capital, or a parameter of the
    function with a name much like it; for an import, one of the module much like it. "" for none."""
    wanted = getattr(error, "name", None)
    if isinstance(error, ImportError) and (asked := NO_SUCH_NAME.match(str(error))):
        near = difflib.get_close_matches(asked["name"], dir(sys.modules.get(asked["module"])), 1, 0.75)
        return f"Did you mean: '{near[0]}'?" if near else ""
    steps = steps_of(error.__traceback__)
    if not isinstance(error, NameError) or type(wanted) is not str or not steps:
        return ""
    frame, small = steps[-1].tb_frame, wanted.lower()
    own = frame.f_code.co_varnames[: frame.f_code.co_argcount + frame.f_code.co_kwonlyargcount]
    near = [
        name for name in own if name != "self" and min(len(name), len(small)) > 2 and (name in small or small in name)
    ]
    if near := near or difflib.get_close_matches(wanted, own, 1, 0.75):
        return f"Did you mean: '{near[0]}', which {frame.f_code.co_name} is given?"
    known = [*frame.f_locals, *frame.f_globals, *vars(builtins)]
    other = next((name for name in known if type(name) is str and name.lower() == small), "")
    return f"Did you mean: '{other}'?" if other else ""


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
        # PyTorch goes on with every signature it knows, which drowns what was wrong, and Python with a path
        text = str(error).split(", but expected one of")[0][:MESSAGE_LIMIT]
        return PLACE_OF_MODULE.sub("", text) if isinstance(error, ImportError) else text
    except BaseException:
        return "(its message could not be read)"
