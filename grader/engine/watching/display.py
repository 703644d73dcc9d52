"""Where what is shown goes: a frame that is printed over and over, or plain lines where there is no such terminal."""

from __future__ import annotations

import sys
from typing import Protocol

from rich.console import Console, Group
from rich.control import Control
from rich.segment import Segment, Segments

from grader.engine.contract import Contract
from grader.engine.printable import one_line
from grader.engine.reports import terminal
from grader.engine.reports.words import praise, score_words
from grader.engine.watching.screen import MIDDLES, Lines, frame
from grader.engine.watching.shown import Shown, step_words


class Display(Protocol):
    def show(self, shown: Shown) -> None: ...
    def forget(self) -> None: ...
    def close(self) -> None: ...


def display(contract: Contract) -> Display:
    console = terminal.console()
    return Frames(contract) if console.is_terminal and not console.is_dumb_terminal else Plain(console)


class Frames:
    """Clears the terminal and prints a frame, all in one write."""

    def __init__(self, contract: Contract):
        self.contract = contract
        self.last: tuple[Lines, int] | None = None
        terminal.console().show_cursor(False)

    def show(self, shown: Shown) -> None:
        console = terminal.console()  # a new one: the terminal may have another size by now
        height = console.size.height
        lines = frame(shown, self.contract, console, height)
        if (lines, height) == self.last:
            return
        self.last = lines, height
        segments = [segment for line in lines for segment in (*line, Segment.line())]
        console.print(Control.home(), Control.clear(), Segments(segments[:-1]), sep="", end="")

    def forget(self) -> None:
        """Print the next frame, even if it is the same."""
        self.last = None
        terminal.console().show_cursor(False)

    def close(self) -> None:
        console = terminal.console()
        console.show_cursor(True)
        console.print()


class Plain:
    """One line for each thing that changes: for a pipe, a log, a terminal that cannot move its cursor."""

    def __init__(self, console: Console):
        self.console = console
        self.said = Shown("")

    def show(self, shown: Shown) -> None:
        before, self.said = self.said, shown
        if not before.name:
            self.say(f"Watching {shown.name}")
        if shown.running and not before.running and shown.saved:
            self.say(f"{', '.join(shown.saved)} saved. Checking ...")
        if shown.trouble and shown.trouble != before.trouble:
            self.say(shown.trouble)
        if shown.before is not before.before and shown.before is not None:
            self.say(self.verdict(shown))
        elif shown.view != before.view and shown.view != "step":
            self.console.print(Group(*MIDDLES[shown.view](shown)), markup=False)
        elif not shown.running and (shown.hints, shown.solved, shown.note) != (
            before.hints,
            before.solved,
            before.note,
        ):
            self.say(shown.note or self.next_step(shown))

    def verdict(self, shown: Shown) -> str:
        assert shown.before is not None
        unchanged = f"{shown.unchanged} checks not run again: unchanged." if shown.unchanged else ""
        score = f"{score_words(shown.before)}."
        return " ".join(filter(None, [*shown.news, score, unchanged, self.next_step(shown)]))

    def next_step(self, shown: Shown) -> str:
        if shown.solved is not None and shown.solved.told:
            return shown.solved.why
        heading, texts = step_words(shown)
        if not heading and shown.result is not None:
            heading, texts = praise(shown.result)
        return " ".join([f"{heading}.".replace("!.", "!"), *(one_line(text, 600) for text in texts)])

    def say(self, line: str) -> None:
        self.console.print(one_line(line, 2000), markup=False, soft_wrap=True)
        sys.stdout.flush()

    def forget(self) -> None:
        pass

    def close(self) -> None:
        pass
