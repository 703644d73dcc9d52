"""What it means for a check when its observation gave no answer: the status and the finding."""

from __future__ import annotations

import difflib
import re
import signal
from dataclasses import replace
from typing import Any

from grader.checks import Check, Finding
from grader.probes import Raised
from grader.submission import FILES
from grader.text import one_line
from grader.worker.job import Outcome

SIGNATURE = re.compile(r"([\w.<>]+)\(\) (?:takes|got|missing)|(?:takes|unexpected|multiple) .*argument")

# What PyTorch says to a class, a function or a layer where it wanted what calling it gives
UNCALLED = re.compile(
    r"make_transform\(\) takes 0 positional|is not a Module subclass|must be Tensor, not "
    r"(?:type|function|method|builtin_function_or_method|[A-Z]\w*(?:LU|oid|anh|Dropout\w*|max|Flatten|Linear|Conv2d))\b"
)


class NotSeen(Exception):
    """An observation ended without an answer. blocked: it was not even tried, for this earlier ending."""

    def __init__(self, outcome: Outcome, blocked: bool = False):
        super().__init__(outcome.kind)
        self.outcome, self.blocked = outcome, blocked


class ProtocolBroken(Exception):
    """An answer lacks what was asked for, or has it in another shape."""


def finding_of(check: Check, ending: NotSeen) -> tuple[str, Finding | None]:
    """(status, finding) of a check whose observation ended without an answer."""
    outcome = ending.outcome
    if ending.blocked:
        return "blocked", Finding("waits-for", {"what": one_line(reason(outcome), 200)})
    function = check.calls[0].partition(".")[2]
    file = f"{outcome.importing or check.calls[0].partition('.')[0]}.py"
    facts: dict[str, Any] = {"function": function, "file": file, "todo": check.todo}
    kind = outcome.kind
    if kind == "untouched":
        todo = int(outcome.values.get("todo", check.todo))
        if todo == check.todo:
            return "todo", None
        return "blocked", Finding("waits-for", {"what": f"TODO {todo} is done"})
    if kind == "file":
        return "failed", Finding(outcome.detail, facts)
    if kind == "missing-file":
        return "failed", Finding("file-missing", facts | {"file": f"{outcome.values.get('module')}.py"})
    if kind == "missing-name":
        return "failed", missing_name(outcome, check)
    if kind in ("raised", "failed"):
        return raised(outcome, facts, check)
    if kind == "timeout":
        finding = "run-timeout" if outcome.detail == "run" else "import-timeout" if outcome.importing else "timeout"
        return "timeout", Finding(finding, facts | {"seconds": f"{outcome.seconds:.0f}"})
    if kind in ("memory", "output", "protocol"):
        named = {"memory": "out-of-memory", "output": "too-much-output", "protocol": "answer-malformed"}[kind]
        return "crashed", Finding(named, facts | {"detail": outcome.detail})
    if kind == "refused":
        return "grader_error", Finding("grader-broken", {"detail": one_line(str(outcome.values.get("why")))})
    if kind == "died":
        return "crashed", died(outcome, facts)
    return "grader_error", Finding("grader-broken", {"detail": one_line(f"{kind} {outcome.detail}")})


def reason(outcome: Outcome) -> str:
    """What something waits for, as the end of "This waits until ..."."""
    if outcome.importing:
        return f"{outcome.importing}.py can be imported"
    if outcome.kind == "missing-name":
        return f"{outcome.values.get('module')}.py defines {outcome.values.get('name')}"
    return {"timeout": "the endless or very slow code is mended", "output": "the endless printing is mended"}.get(
        outcome.kind, "the code that ended Python is mended"
    )


def missing_name(outcome: Outcome, check: Check) -> Finding:
    module, name = str(outcome.values.get("module")), str(outcome.values.get("name"))
    found = [str(n) for n in outcome.values.get("found") or []]
    close = difflib.get_close_matches(name, found, 1, 0.6)
    similar = f"There is one called {one_line(close[0], 60)}. " if close else ""
    return Finding("name-missing", {"file": f"{module}.py", "name": name, "similar": similar, "todo": check.todo})


def raised(outcome: Outcome, facts: dict[str, Any], check: Check) -> tuple[str, Finding]:
    error = outcome.raised or Raised("Error", "")
    message = one_line(error.message, 400)
    facts = facts | {"error": one_line(f"{error.type}: {message}".rstrip(": "), 400), "where": where(error)}
    if error.frames:
        facts["file"] = one_line(str((started_at(error) or error.frames[-1])["file"]), 60)
    if error.type in ("SyntaxError", "IndentationError", "TabError"):
        if "can't decode" in message or "null bytes" in message or "encoding" in message:
            return "crashed", Finding("not-utf8", facts)
        return "crashed", Finding("syntax-error", facts | {"detail": message})
    if error.type == "SystemExit":
        return "crashed", Finding("calls-exit", facts)
    if error.type == "ModuleNotFoundError":
        name = re.search(r"No module named '([^']*)'", message)
        return "crashed", Finding("module-not-installed", facts | {"name": name[1] if name else message})
    if error.type == "ImportError" and outcome.importing:
        return "crashed", Finding("import-fails", facts)
    if error.type == "MemoryError":
        return "crashed", Finding("out-of-memory", facts)
    if re.search("Read-only file system|Permission denied|Operation not permitted", message):
        return "crashed", Finding("folder-not-writable", facts)
    if UNCALLED.search(message) and error.frames:
        return "crashed", Finding("made-but-not-called", facts)
    if re.search("CUDA|NVIDIA", message) or ("cuda" in message and error.type in ("RuntimeError", "AssertionError")):
        return "crashed", Finding("needs-cuda", facts)
    if not error.frames:
        if error.type == "TypeError" and (called := SIGNATURE.search(message)):
            own = {name.partition(".")[2] for name in check.calls} | {"forward"}
            ours = own & set((called[1] or "").split("."))
            return "failed", Finding("wrong-signature" if ours or not called[1] else "brackets-missing", facts)
        return "crashed", Finding("answer-odd", facts)
    return "crashed", Finding("import-raises" if outcome.importing else "raises", facts)


def where(error: Raised) -> str:
    """The innermost line of the student's own: 'train.py, line 23, in evaluate: total += loss'.

    While a file is imported, first the line of that file that began it.
    """
    if not error.frames:
        return ""
    lines = [line_of(frame) for frame in (started_at(error), error.frames[-1]) if frame]
    return " - and from there ".join(dict.fromkeys(lines))


def started_at(error: Raised) -> dict[str, Any] | None:
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


def line_of(frame: dict[str, Any]) -> str:
    inside = f", in {frame['function']}" if frame["function"] and not frame["function"].startswith("<") else ""
    number = f", line {frame['line']}" if frame["line"] else ""  # cells of a notebook have none
    return one_line(f"{frame['file']}{number}{inside}: {frame['text']}", 240)


def frames_of(error: Raised | None) -> tuple[dict[str, Any], ...]:
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
        if frame["file"] in FILES
    )


def definition(file: str, function: str, content: bytes) -> tuple[dict[str, Any], ...]:
    """Where a function of the contract begins, as one frame; () when the file has no such line.

    function: "fit", or "DigitClassifier.forward" (the line of the method after the line of its class). Found by
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


def died(outcome: Outcome, facts: dict[str, Any]) -> Finding:
    status = outcome.status
    if status is not None and status < 0:
        try:
            how = signal.Signals(-status).name
        except ValueError:
            how = f"signal {-status}"
        return Finding("process-killed", facts | {"how": how})
    return Finding("process-ended", facts | {"how": str(status)})


def is_fatal(outcome: Outcome) -> bool:
    """Whether it cost a child: what ended this way is not tried again."""
    out_of_memory = outcome.raised is not None and outcome.raised.type == "MemoryError"
    return outcome.kind in ("timeout", "memory", "output", "died", "protocol") or out_of_memory
