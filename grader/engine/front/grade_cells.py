"""`python -m grader cells`: grade what a notebook's kernel has run; `%grade` calls it and shows what it writes.

It stays, with a warm worker, for as long as its standard input is open and somebody asks. Each line of standard input
is a folder with the cells; it gets the report, as HTML and as text, or a sentence on why there is none. Standard
output: one line for each step, fit to be shown, and DONE with a status at the end: 0 graded, 2 nothing to grade, 3
trouble of the grader's own.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
from dataclasses import replace
from pathlib import Path

from grader.engine.check import GraderTrouble
from grader.engine.contract import Contract
from grader.engine.front.notebook import DONE, ERRORS, HTML, NOTEBOOK, REQUEST, TEXT
from grader.engine.keys import BadKey
from grader.engine.printable import one_line
from grader.engine.reports import cell
from grader.engine.result import CheckResult
from grader.engine.rubric import BadRubric
from grader.engine.submission.read import Submission, read
from grader.engine.submission.safe_files import write_text
from grader.engine.watching.session import Begun, Ended, Event, GoingOn, Judged, NotGraded, Session

NOTHING, TROUBLE = 2, 3
UNCHANGED = "What has not changed since your last %grade was not run again."
IDLE_SECONDS = 1800  # then it ends, and gives its memory back; the next %grade takes a moment longer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader cells` takes nothing: see above."""


def run(arguments: argparse.Namespace, contract: Contract) -> int:
    asked, events = queue.Queue[Path | None](), queue.Queue[Event | None]()
    threading.Thread(target=read_input, args=(asked, events), daemon=True).start()
    session: Session | None = None
    try:
        while folder := asked.get(timeout=IDLE_SECONDS):
            try:
                if session is None:
                    contract.verify()
                    session = Session(contract, events.put)
                status, why = serve(folder, session, events)
            except (BadRubric, BadKey, GraderTrouble, OSError) as error:
                status, why = NOTHING, str(error)
            write_text(folder / ERRORS, why)
            print(f"{DONE} {status}", flush=True)
    except (queue.Empty, EOFError):
        pass
    finally:
        if session is not None:
            session.close()
    return 0


def read_input(asked: queue.Queue[Path | None], events: queue.Queue[Event | None]) -> None:
    """At the end of it whoever asked has ended, or wants this to end: None says so to all who wait."""
    for line in sys.stdin:
        asked.put(Path(line.rstrip("\n")))
    asked.put(None)
    events.put(None)


def serve(folder: Path, session: Session, events: queue.Queue[Event | None]) -> tuple[int, str]:
    """(status, a sentence where there is no report). Raises OSError, and EOFError when nobody waits for it any more."""
    contract = session.contract
    request = json.loads((folder / REQUEST).read_text(encoding="ascii"))
    live = Live(contract, request["parts"] or list(contract.part_names))

    def submission() -> Submission:
        found = read(folder / NOTEBOOK, contract, int(session.rubric.limits["file_bytes"]))
        return replace(found, name="this notebook", notes=tuple(map(str, request["notes"])))

    number = session.ask(submission, parts=request["parts"] or None)
    while True:
        if (event := events.get()) is None:
            raise EOFError
        if event.number not in (number, 0):  # 0: of the session itself
            continue
        if isinstance(event, NotGraded):
            return TROUBLE if event.ours else NOTHING, event.why
        if isinstance(event, Ended):
            break
        live.take(event)
    notes = [*event.result.submission["notes"], *([UNCHANGED] if event.unchanged else [])]
    result = replace(event.result, submission={**event.result.submission, "notes": notes})
    write_text(folder / TEXT, cell.text(result, request["all_hints"]))
    ran = {int(todo): int(number) for todo, number in request["ran"].items()}
    write_text(folder / HTML, cell.html(result, request["all_hints"], ran))
    return (0 if result.final else TROUBLE), ""


class Live:
    """One line about how far a run is, whenever that changes."""

    def __init__(self, contract: Contract, parts: list[str]):
        self.contract = contract
        self.checks = [check for check in contract.checks if check.part in parts]
        self.done: dict[str, CheckResult] = {}
        self.going_on = contract.live.waiting
        self.tell()

    def take(self, event: Begun | Judged | GoingOn) -> None:
        if isinstance(event, Begun):
            self.checks = [check for check in self.checks if check.id in event.to_run]
        elif isinstance(event, Judged):
            self.done[event.check.id] = event.check
        else:
            self.going_on = one_line(event.words)
        self.tell()

    def tell(self) -> None:
        print("Grading: " + cell.live(self.checks, self.done, self.contract, self.going_on), flush=True)
