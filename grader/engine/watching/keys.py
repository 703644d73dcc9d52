"""Keys without Enter, and a terminal that is afterwards as it was, however this ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

try:
    import termios
    import tty
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

MOST_BYTES = 64
SHOW_CURSOR = b"\x1b[?25h"
ESCAPE = b"\x1b"  # what an arrow key sends begins with it


class Ended(SystemExit):
    """A signal that asks this process to end; its exit status is the shell's for that signal."""


class Keys:
    """Calls `pressed` with each key, from a thread; with "" when standard input is closed.

    It is a context: inside, keys come without Enter and are not shown, where standard input is a terminal; Ctrl-C stays
    a signal. Ctrl-Z gives the terminal back until the process goes on, which `resumed` is told, as it is of another
    size of the terminal. SIGTERM and SIGHUP raise Ended.
    """

    def __init__(self, pressed: Callable[[str], None], resumed: Callable[[], None]):
        self.pressed, self.resumed = pressed, resumed
        self.before: Any = None  # the terminal's settings
        self.handlers: dict[int, Any] = {}

    def __enter__(self) -> Keys:
        self.take_terminal()
        for name, handler in (
            ("SIGTERM", self.end),
            ("SIGHUP", self.end),
            ("SIGTSTP", self.suspend),
            ("SIGCONT", self.go_on),
            ("SIGWINCH", self.resize),
        ):
            if hasattr(signal, name):
                number = getattr(signal, name)
                self.handlers[number] = signal.signal(number, handler)
        if sys.stdin is not None:
            threading.Thread(target=self.read, name="keys", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.give_terminal_back()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def no_more_signals(self) -> None:
        """From now on whoever asks this process to end does not keep it from tidying up."""
        for number in (*self.handlers, signal.SIGINT):
            self.handlers[number] = self.handlers.get(number, signal.getsignal(number))
            signal.signal(number, signal.SIG_IGN)

    # -- the terminal's settings ---------------------------------------------------------------------------------

    def take_terminal(self) -> None:
        if termios is None or sys.stdin is None or not sys.stdin.isatty():
            return
        try:
            descriptor = sys.stdin.fileno()
            self.before = self.before or termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor, termios.TCSADRAIN)
        except (termios.error, OSError, ValueError):
            pass  # it is gone

    def give_terminal_back(self) -> None:
        if termios is None or self.before is None:
            return
        try:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self.before)
        except (termios.error, OSError, ValueError):
            pass

    # -- signals -------------------------------------------------------------------------------------------------

    def end(self, number: int, frame: FrameType | None) -> None:
        raise Ended(128 + number)

    def suspend(self, number: int, frame: FrameType | None) -> None:
        self.give_terminal_back()
        if self.before is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            os.write(sys.stdout.fileno(), SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # and here it goes on, or did not stop: nobody could have continued it
        signal.signal(number, self.suspend)
        self.go_on(number, frame)

    def go_on(self, number: int, frame: FrameType | None) -> None:
        self.take_terminal()
        self.resumed()

    def resize(self, number: int, frame: FrameType | None) -> None:
        self.resumed()

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self) -> None:
        try:
            if sys.platform == "win32" and sys.stdin.isatty():
                self.read_console()
            else:
                self.read_descriptor()
        except (OSError, ValueError):
            pass  # the terminal is gone
        self.pressed("")

    def read_console(self) -> None:
        import msvcrt

        while True:
            key = msvcrt.getwch()  # type: ignore[attr-defined, unused-ignore]
            if key in "\x00\xe0":  # an arrow key: a second one follows
                msvcrt.getwch()  # type: ignore[attr-defined, unused-ignore]
            else:
                self.pressed(key.lower())

    def read_descriptor(self) -> None:
        while data := os.read(sys.stdin.fileno(), MOST_BYTES):
            if not data.startswith(ESCAPE):
                for key in data.decode("utf-8", "ignore"):
                    self.pressed(key.lower())
