"""`python -m grader watch`: checks again on each save, with a worker that stays warm, and shows one next step.

One loop waits for events from one queue: saves, keys, verdicts, another size of the terminal. Exit status: 0 ended with
q or closed standard input, 130 with Ctrl-C, 2 nothing that could be watched.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from grader.engine.check import GraderTrouble
from grader.engine.contract import Contract
from grader.engine.keys import BadKey
from grader.engine.printable import one_line
from grader.engine.rubric import BadRubric
from grader.engine.run_folders import sweep_stale
from grader.engine.submission.read import Submission, read
from grader.engine.watching.display import Display, display
from grader.engine.watching.keys import Keys
from grader.engine.watching.page import Page
from grader.engine.watching.saves import Saves
from grader.engine.watching.session import Ended, Event, NotGraded, Session
from grader.engine.watching.shown import Shown, asked, heard, hinted, turned

REPORT = "report"  # the folder of report.html
QUIT = ("q", "\x03", "\x04")  # Ctrl-C and Ctrl-D, where they arrive as keys
TICK_SECONDS = 1.0  # between two looks at the clock, while something runs
WAIT_SECONDS = 0.5 if sys.platform == "win32" else None  # there Ctrl-C does not end a wait
BLIND = "There is no browser here that could be opened: the report is {}"
OPENED = "Opened {}. It is written again after each run: reload the page to see it."
NO_REPORT = "There is no report yet: it is written when everything has been checked once."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader watch`"""
    parser.add_argument("submission", nargs="?", type=Path, help="a folder, or a notebook (default: your assignment)")
    parser.add_argument("--report", type=Path, metavar="DIR", help=f"where report.html is kept (default: {REPORT}/)")
    parser.add_argument("--isolation", choices=("best", "practice", "confined"), default="best")
    parser.add_argument("--worker", choices=("fork", "spawn"), help="how student code is run (default: fork on Linux)")


def run(arguments: argparse.Namespace, contract: Contract) -> int:
    watch = Watch(contract, Path(os.path.abspath(arguments.submission or contract.root / contract.work)))
    if not watch.path.exists():
        print(f"There is no folder {one_line(str(watch.path))}.", file=sys.stderr)
        return 2
    sweep_stale()
    with Keys(watch.put(Watch.press), watch.put(Watch.redraw)) as keys:
        try:
            isolation = None if arguments.isolation == "best" else arguments.isolation
            watch.open(arguments.report or contract.root / REPORT, arguments.worker, isolation)
            return watch.loop()
        except (BadRubric, BadKey, GraderTrouble) as error:
            print(one_line(str(error), 1000), file=sys.stderr)
            return 2
        finally:
            keys.no_more_signals()
            watch.close()


class Watch:
    """All that runs while watching, and the loop that waits for what they tell."""

    def __init__(self, contract: Contract, path: Path):
        self.contract, self.path = contract, path
        self.events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.shown = Shown(one_line(path.name), contract.long)
        self.display: Display | None = None
        self.session: Session | None = None
        self.saves: Saves | None = None
        self.page: Page | None = None
        self.told_at = 0.0  # when something was heard of the run that goes on
        self.number = 0  # of the last request: what older ones tell no longer counts
        self.quitting = self.input_closed = False

    def open(self, report: Path, worker: str | None, isolation: str | None) -> None:
        """Raises BadRubric, BadKey, GraderTrouble."""
        self.session = Session(self.contract, self.put(Watch.hear), worker, isolation)
        self.contract.verify()
        self.page = Page(report)
        self.display = display(self.contract)
        self.saves = Saves(self.path, self.contract, self.put(Watch.save))
        self.ask()

    def put(self, method: Callable) -> Callable[..., None]:
        """What puts a call of a method into the queue, from any thread."""
        return lambda *told: self.events.put(lambda: method(self, *told))

    def loop(self) -> int:
        assert self.display is not None
        while not self.quitting:
            self.display.show(self.shown)
            self.take()()
            while not self.events.empty():  # what has come together is shown together
                self.take()()
        self.display.show(self.shown)
        return 0

    def take(self) -> Callable[[], None]:
        while True:
            try:
                return self.events.get(timeout=TICK_SECONDS if self.shown.running else WAIT_SECONDS)
            except queue.Empty:
                if self.shown.running:
                    return self.tick

    def tick(self) -> None:
        """Something runs, and nobody has told anything."""
        self.shown = replace(self.shown, silent=int(time.monotonic() - self.told_at))

    def close(self) -> None:
        """Nothing is left running, and no folder; the terminal is as it was."""
        for one in (self.saves, self.session, self.page, self.display):
            if one is not None:
                try:
                    one.close()
                except OSError:
                    pass  # the terminal is gone

    # -- events --------------------------------------------------------------------------------------------------

    def ask(self, saved: tuple[str, ...] = (), afresh: bool = False) -> None:
        assert self.session is not None
        self.shown, self.told_at = asked(self.shown, saved), time.monotonic()
        self.number = self.session.ask(self.read, afresh)

    def read(self) -> Submission:
        return read(self.path, self.contract, int(self.session.rubric.limits["file_bytes"]))  # type: ignore[union-attr]

    def save(self, names: tuple[str, ...]) -> None:
        self.ask(names)

    def hear(self, event: Event) -> None:
        if event.number not in (self.number, 0):
            return
        self.shown, self.told_at = heard(self.shown, event), time.monotonic()
        if isinstance(event, Ended) and self.page is not None:
            self.page.draw(event.result)
        if isinstance(event, (Ended, NotGraded)) and self.input_closed:
            self.quitting = True

    def press(self, key: str) -> None:
        if key in QUIT:
            self.quitting = True
        elif key == "":  # standard input is closed: whoever looked at this has gone, or never was there
            self.input_closed = True
            self.quitting = not self.shown.running
        elif key == "r":
            self.ask(afresh=True)
        elif key == "h":
            self.shown = hinted(self.shown)
        elif key == "a":
            self.shown = turned(self.shown, "all")
        elif key == "?":
            self.shown = turned(self.shown, "help")
        elif key == "o":
            self.open_report()

    def redraw(self) -> None:
        """The terminal has another size, or somebody else has written on it."""
        assert self.display is not None
        self.display.forget()

    def open_report(self) -> None:
        assert self.page is not None
        path = self.page.now()
        if path is None:
            note = self.page.problem or NO_REPORT
        else:
            note = (OPENED if show_page(path) else BLIND).format(path)
        self.shown = replace(self.shown, note=note)


def show_page(path: Path) -> bool:
    """Open a page in the browser; False where there is none beside this terminal."""
    here = os.name == "nt" or sys.platform == "darwin"
    if not (here or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))):
        return False  # a browser for text terminals would take this one over
    threading.Thread(target=webbrowser.open, args=(path.resolve().as_uri(),), daemon=True).start()
    return True
