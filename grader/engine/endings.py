"""What it means for a check when its observation gave no answer: the status and the finding."""

from __future__ import annotations

import difflib
import re
import signal
from typing import Any

from grader.engine.causes import Error, cause_of
from grader.engine.check import Check, Finding
from grader.engine.contract import Contract
from grader.engine.own_lines import started_at, where
from grader.engine.printable import one_line
from grader.engine.result import Status
from grader.engine.submission.read import Submission
from grader.engine.submission.strays import Stray
from grader.engine.worker.raised import NO_SUCH_NAME, Raised
from grader.engine.worker.trusted.job import Outcome

CRASHES = {
    "memory": "out-of-memory",
    "output": "too-much-output",
    "protocol": "answer-malformed",
    "deleted": "folder-deleted",
}
SIGNATURE = re.compile(r"([\w.<>]+)\(\) (?:takes|got|missing)|(?:takes|unexpected|multiple) .*argument")


class NotSeen(Exception):
    """An observation ended without an answer. blocked: it was not even tried, for this earlier ending."""

    def __init__(self, outcome: Outcome, blocked: bool = False):
        super().__init__(outcome.kind)
        self.outcome, self.blocked = outcome, blocked


class ProtocolBroken(Exception):
    """An answer lacks what was asked for, or has it in another shape."""


def finding_of(submission: Submission, check: Check, ending: NotSeen) -> tuple[Status, Finding | None]:
    """(status, finding) of a check whose observation ended without an answer."""
    contract, strays = submission.contract, submission.strays
    outcome = ending.outcome
    if ending.blocked:
        return "blocked", Finding("waits-for", {"what": one_line(reason(outcome), 200)})
    facts = asked(check)
    if outcome.importing:
        facts["file"] = f"{outcome.importing}.py"
    kind = outcome.kind
    if kind == "untouched":
        todo = int(outcome.values.get("todo", check.todo))
        if todo == check.todo:
            return ("failed", stray(contract, strays[todo])) if todo in strays else ("todo", None)
        return "blocked", waits_until_done(todo)
    if kind == "file":
        return "failed", Finding(outcome.detail, facts)
    if kind == "missing-file":
        return "failed", Finding("file-missing", facts | {"file": f"{outcome.values.get('module')}.py"})
    if kind == "missing-name":
        found = contract.called(f"{outcome.values.get('module')}.py", str(outcome.values.get("name")))
        return "failed", stray(contract, strays[found]) if found in strays else missing_name(outcome)
    if kind in ("raised", "failed"):
        return raised(submission, outcome, facts, check)
    if kind == "timeout":
        return "timeout", timeout(outcome, facts)
    if kind in CRASHES:
        return "crashed", Finding(CRASHES[kind], facts | {"detail": outcome.detail})
    if kind == "refused":
        return "grader_error", Finding("grader-broken", {"detail": one_line(str(outcome.values.get("why")))})
    if kind == "died":
        return "crashed", died(outcome, facts)
    return "grader_error", Finding("grader-broken", {"detail": one_line(f"{kind} {outcome.detail}")})


def asked(check: Check) -> dict[str, Any]:
    """The facts that every ending has: the function that was asked for, and its file."""
    module, _, function = check.calls[0].partition(".")
    return {"function": function, "file": f"{module}.py"}


def malformed(check: Check, detail: str) -> Finding:
    """The finding for an answer that is none."""
    return Finding("answer-malformed", asked(check) | {"detail": one_line(detail)})


def waits_until_done(todo: int) -> Finding:
    return Finding("waits-for", {"what": f"TODO {todo} is done"})


def stray(contract: Contract, code: Stray) -> Finding:
    """What is said of code that is there and does not count."""
    if not code.found:
        return Finding("raise-left", {"at": code.at}, code.todo)
    facts = {"name": contract.todo[code.todo].said, "found": code.found, "do": code.do}
    return Finding("code-elsewhere", facts, code.todo)


def reason(outcome: Outcome) -> str:
    """What something waits for, as the end of "This waits until ..."."""
    if outcome.importing:
        return f"{outcome.importing}.py can be imported"
    if outcome.kind == "missing-name":
        return f"{outcome.values.get('module')}.py defines {outcome.values.get('name')}"
    what = {
        "timeout": "waits without end" if outcome.detail == "asleep" else "is endless or very slow",
        "output": "prints without end",
        "deleted": "deletes the grader's folder",
    }
    return f"the code that {what.get(outcome.kind, 'ended Python')} is fixed"


def missing_name(outcome: Outcome) -> Finding:
    module, name = (one_line(str(outcome.values.get(what)), 80) for what in ("module", "name"))
    found = outcome.values.get("found")
    found = [str(n)[:80] for n in found[:50]] if isinstance(found, list) else []
    close = difflib.get_close_matches(name, found, 1, 0.6) or (found if len(found) == 1 else [])
    similar = f"There is one called {one_line(close[0], 60)}. " if close else ""
    return Finding("name-missing", {"file": f"{module}.py", "name": name, "similar": similar})


def raised(submission: Submission, outcome: Outcome, facts: dict[str, Any], check: Check) -> tuple[Status, Finding]:
    contract, error = submission.contract, outcome.raised or Raised("Error", "")
    message = brief(one_line(error.message, 400))
    facts = facts | {"error": one_line(f"{error.type}: {message}".rstrip(": "), 400), "where": where(error)}
    if error.frames:
        facts["file"] = one_line(str((started_at(error) or error.frames[-1])["file"]), 60)
    if error.type in ("SyntaxError", "IndentationError", "TabError"):
        if "can't decode" in message or "null bytes" in message or "encoding" in message:
            return "crashed", Finding("not-utf8", facts)
        facts |= {"detail": message}
        if known := cause_of(contract.hints_path, seen(submission, outcome, error)):
            cause, words = known
            return "crashed", Finding(cause.id, facts | {"word": words["word"], "other": words["other"]})
        return "crashed", Finding("syntax-error", facts)
    left = error.type == "NotImplementedError" and error.frames and not outcome.importing
    if left and error.frames[-1]["text"].startswith("raise "):
        last = error.frames[-1]
        at = f"{last['file']}, line {last['line']}" if last["line"] else last["file"]
        return "failed", Finding("raise-left", facts | {"at": at})
    if error.type == "SystemExit":
        return "crashed", Finding("calls-exit", facts)
    if error.type == "ModuleNotFoundError":
        name = re.search(r"No module named '([^']*)'", message)
        facts |= {"name": name[1] if name else message}
        if f"{facts['name']}.py" in submission.beside:
            return "crashed", Finding("helper-not-graded", facts)
        return "crashed", Finding("module-not-installed", facts)
    if error.type == "ImportError" and outcome.importing:
        name, own = NO_SUCH_NAME.match(message), {*contract.files, *(f"{module}.py" for module in contract.given)}
        if name and not own & {f"{name['module'].removeprefix(f'{contract.work}.')}.py"}:
            return "crashed", Finding("library-lacks-name", facts | {"name": name["name"], "module": name["module"]})
        return "crashed", Finding("import-fails", facts)
    if error.type == "MemoryError":
        return "crashed", Finding("out-of-memory", facts)
    if re.search("Read-only file system|Permission denied|Operation not permitted", message):
        return "crashed", Finding("folder-not-writable", facts)
    if known := cause_of(contract.hints_path, seen(submission, outcome, error)):
        cause, words = known
        return "crashed", Finding(cause.id, facts | {"word": words["word"], "other": words["other"], "detail": message})
    if not error.frames:
        if error.type == "TypeError" and (called := SIGNATURE.search(message)):
            methods = {todo.name for todo in contract.todos if todo.is_method}
            own = {name.partition(".")[2] for name in check.calls} | methods
            ours = own & set((called[1] or "").split("."))
            return "failed", Finding("wrong-signature" if ours or not called[1] else "brackets-missing", facts)
        return "crashed", Finding("answer-odd", facts)
    return "crashed", Finding("import-raises" if outcome.importing else "raises", facts)


def brief(message: str) -> str:
    """The first sentence of a message that goes on for long; what Python suggests stands at the end of shorter ones."""
    first = re.match(r".{40,200}?\. (?=[A-Z])", message)
    return first[0].rstrip() if first and len(message) > 220 else message


def seen(submission: Submission, outcome: Outcome, raised: Raised) -> Error:
    """An exception as the table of causes looks at it."""
    last = raised.frames[-1] if raised.frames else {"file": "", "text": "", "function": ""}
    files = [str(last["file"])] if raised.frames else list(submission.files)  # without a line, any file may be meant
    source = "\n".join(submission.files.get(file, b"").decode("utf-8", "replace") for file in files)
    line, function = str(last["text"]).strip(), str(last["function"])
    return Error(raised.type, raised.message, line, function, source, bool(outcome.importing))


def timeout(outcome: Outcome, facts: dict[str, Any]) -> Finding:
    facts = facts | {"seconds": f"{outcome.computed or outcome.seconds:.0f}"}
    if outcome.detail == "run":
        return Finding("run-timeout", facts)
    if outcome.detail == "asleep":
        what = f"Importing {facts['file']}" if outcome.importing else facts["function"]
        return Finding("waits-for-ever", facts | {"what": what})
    return Finding("import-timeout" if outcome.importing else "timeout", facts)


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
    return outcome.kind in ("timeout", "died", *CRASHES) or out_of_memory
