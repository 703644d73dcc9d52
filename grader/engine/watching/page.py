"""report.html and the files beside it, kept fresh."""

from __future__ import annotations

import threading
from pathlib import Path

from grader.engine import reports
from grader.engine.result import Result

REST_SECONDS = 1.0  # after a run: the next save may come, and drawing would keep it waiting
END_SECONDS = 10.0


class Page:
    """Writes the newest result into `folder`, from a thread of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.changed = threading.Condition()
        self.result: Result | None = None  # what is still to be drawn
        self.drawn = self.hurry = self.closed = False
        self.problem = ""
        self.thread = threading.Thread(target=self.work, name="page", daemon=True)
        self.thread.start()

    @property
    def path(self) -> Path:
        return self.folder / "report.html"

    def draw(self, result: Result) -> None:
        with self.changed:
            self.result = result
            self.changed.notify_all()

    def now(self) -> Path | None:
        """The page with the newest result, drawn without waiting for a rest; None when there was none yet, or when it
        could not be written: then `problem` says so."""
        with self.changed:
            self.hurry = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.result is None, END_SECONDS)
            self.hurry = False
            return self.path if self.drawn and not self.problem else None

    def close(self) -> None:
        """Write what is still to be written."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join(END_SECONDS)

    def work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.result is not None or self.closed)
                while not (self.hurry or self.closed):
                    if not self.changed.wait(REST_SECONDS):
                        break
                result = self.result
            if result is None:
                return
            try:
                reports.write(result, self.folder)
                self.problem = ""
            except OSError as error:
                self.problem = f"{self.folder} cannot be written: {error.strerror}."
            with self.changed:
                self.drawn = self.drawn or not self.problem
                if self.result is result:
                    self.result = None
                self.changed.notify_all()
