"""`python -m grader watch` in a pseudo-terminal, and the screen that a student would see."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import pyte

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds: a slow machine is no fault


CLEAR = b"\x1b[H\x1b[2J"  # what begins a frame
DONE = ("Checked: ", "not run again", "There is no folder")


class Gone(AssertionError):
    """What was waited for did not come; the message is the screen."""


class Watched:
    """One session in a terminal of `rows` x `columns`. It is a context: at the end the process is gone."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str] = (),
        rows: int = 40,
        columns: int = 100,
        environment: dict[str, str] | None = None,
        root: Path = ROOT,
        shell: Sequence[str] = (),
    ):
        """shell: what it is started by, a command that is given its own command"""
        self.folder = folder
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.printed: list[tuple[float, bytes]] = []  # (seconds since the start, what came)
        self.seen: list[str] = [""]  # the screen after each frame
        self.frames: list[bytes] = [b""]  # what was printed for it
        self.mark = 0  # where in `seen` to look for what is waited for
        self.started = time.monotonic()
        kept = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "DISPLAY", "BROWSER")}
        told = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": "", "PYTHONUNBUFFERED": "1"}
        environment = {**kept, **told, **(environment or {})}
        environment = {name: text for name, text in environment.items() if text}
        command = [*shell, sys.executable, "-m", "grader", "watch", str(folder), *arguments]
        self.process = pexpect.spawn(
            command[0], command[1:], dimensions=(rows, columns), env=environment, cwd=str(root), timeout=PATIENCE
        )
        self.process.delaybeforesend = None

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.closed:
            return
        if self.process.isalive():
            self.process.kill(signal.SIGTERM)
            self.wait_for_end()
        self.process.close(force=True)

    # -- what is seen --------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip("\n")

    def take(self, seconds: float) -> bool:
        """Read what comes within this time; whether anything came."""
        try:
            data = self.process.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return False
        except pexpect.EOF:
            time.sleep(min(seconds, 0.05))
            return False
        self.printed.append((time.monotonic() - self.started, data))
        first, *frames = data.split(CLEAR)
        for number, part in enumerate([first, *(CLEAR + frame for frame in frames)]):
            if part:
                self.stream.feed(part)
                self.seen.append(self.text)  # the first may be the end of a frame that has begun before
                self.frames.append(self.frames[-1] + part if number == 0 else part)
        return True

    def settle(self) -> None:
        """From here on only what comes next is looked at."""
        while self.take(0.02):
            pass
        self.mark = len(self.seen)

    def until(self, wanted: str | Callable[[str], bool], seconds: float = PATIENCE) -> str:
        """The first screen that has these words, or is as wanted, since something was done last. Raises Gone."""
        matches = (lambda text: wanted in text) if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + seconds
        while True:
            self.mark = min(self.mark, len(self.seen))
            for number in range(self.mark, len(self.seen)):
                if matches(self.seen[number]):
                    self.mark = number
                    return self.seen[number]
            left = deadline - time.monotonic()
            if left <= 0 or (not self.take(min(left, 0.5)) and not self.process.isalive() and not self.take(0.1)):
                raise Gone(f"not seen within {seconds} s: {wanted}\n{self.text}")

    def until_done(self, seconds: float = PATIENCE) -> str:
        """The first screen on which nothing runs any more."""
        return self.until(lambda text: any(word in text for word in DONE) and "Checking ..." not in text, seconds)

    # -- what is done --------------------------------------------------------------------------------------------

    def save(self, name: str, text: str) -> None:
        self.settle()
        (self.folder / name).write_text(text, encoding="utf-8")

    def save_by_renaming(self, name: str, text: str) -> None:
        self.settle()
        beside = self.folder / f".{name}.swp"
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, self.folder / name)

    def press(self, key: str) -> None:
        self.settle()
        self.process.send(key)

    def resize(self, rows: int, columns: int) -> None:
        self.settle()
        self.screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def close_terminal(self) -> None:
        self.process.ptyproc.fileobj.close()
        self.process.closed = True

    def signal(self, number: int) -> None:
        self.process.kill(number)

    def wait_for_end(self, seconds: float = PATIENCE) -> int:
        """The exit status, or minus the signal that ended it. Raises Gone."""
        deadline = time.monotonic() + seconds
        while self.process.isalive():
            self.take(0.1)
            if time.monotonic() > deadline:
                raise Gone(f"it did not end\n{self.text}")
        while self.take(0.05):
            pass
        status = self.process.exitstatus
        return int(status) if status is not None else -int(self.process.signalstatus or 0)
