"""How far a class is: a bar where there is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from grader.engine.many.cluster import Crew

EVERY = 30.0  # seconds between two lines without a terminal


class Progress:
    """One pass over a class. total: how many results will come; those of before come at once."""

    def __init__(self, what: str, total: int, crew: Crew):
        self.total, self.crew, self.what = total, crew, what
        self.console = Console(highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self.bar = Bar(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)
        self.task = self.bar.add_task(what, total=total, told="")
        self.started = self.said = time.monotonic()
        self.done = self.stood = 0
        self.scores: dict[str, int] = {}

    def __enter__(self) -> Progress:
        self.console.print(f"{self.what}, {self.crew.where}", style="dim", markup=False)
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def one_more(self, student: str, score: int | None, ran: bool = True) -> None:
        """score: None where there is none. ran: whether something was run for it in this pass."""
        self.done += 1
        self.stood += not ran
        if score is not None:
            self.scores[student] = score
        told = self.told()
        self.bar.update(self.task, completed=self.done, told=told)
        if not self.console.is_terminal and time.monotonic() - self.said > EVERY:
            self.said = time.monotonic()
            self.console.print(f"{self.done} of {self.total}: {told}", markup=False, soft_wrap=True)

    def told(self) -> str:
        """Rate, time left and mean score. What is running counts half: it began somewhere in between."""
        ran, left = self.done - self.stood, self.total - self.done
        words = []
        if ran:
            seconds = (time.monotonic() - self.started) / (ran + min(self.crew.at_once, left) / 2)
            words = [f"{seconds:.1f} s each", f"about {duration(seconds * left)} left"]
        if self.scores:
            words.append(f"mean {sum(self.scores.values()) / len(self.scores):.1f} points")
        return ", ".join(words)


def duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
