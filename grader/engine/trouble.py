"""What the grader's own code stopped with in a run: trouble.txt, for those who look after the grader.

A check whose message may hide a fault of ours keeps its stacks. Those from beside student code are the child's word.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

from grader.engine.printable import clean
from grader.engine.result import CheckResult
from grader.engine.submission.safe_files import write_text

NAME = "trouble.txt"
MAYBE_OURS = ("answer-odd", "answer-malformed", "grader-broken")  # findings behind which our own fault may hide
STACK_LIMIT = 3000  # characters of one stack, its end
CHECK_LIMIT = 20_000
HEAD = """The grader's own code stopped with the errors below while it judged this submission. Behind a grader_error
there is a fault of the grader. Elsewhere the usual cause is what the submitted code gave back; if you see nothing
wrong there, show this file to your teacher.
"""


def stack_of(error: BaseException) -> str:
    """The stack of an exception on the trusted side."""
    return "".join(traceback.format_exception(error))[-STACK_LIMIT:]


def page(results: Mapping[str, CheckResult], traces: Mapping[str, tuple[str, ...]]) -> str:
    """The text of trouble.txt, "" when there was none. traces: {check id: stacks}"""
    told = [
        f"== {name}: {results[name].status}, {results[name].finding} ==\n\n{clean(text)[:CHECK_LIMIT]}"
        for name, stacks in traces.items()
        if results[name].finding in MAYBE_OURS and (text := "\n".join(stacks).strip())
    ]
    return "\n\n".join([HEAD, *told]) + "\n" if told else ""


def line(reports: str | None) -> str:
    """The sentence that says where the stacks are. reports: the folder of reports, None when none are written."""
    where = f"{Path(reports) / NAME} has" if reports else "--report=DIR keeps"
    return f"The grader's own code stopped somewhere; {where} the details for your teacher."


def write(text: str, folder: Path) -> None:
    """Write trouble.txt into a folder of reports; one of an earlier run goes."""
    if text:
        write_text(folder / NAME, text)
    else:
        (folder / NAME).unlink(missing_ok=True)


def read(folder: Path) -> str:
    """What `write` left in a folder of reports, "" for nothing."""
    try:
        return (folder / NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
