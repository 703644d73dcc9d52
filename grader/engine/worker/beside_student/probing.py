"""What a probe is: a function that calls student code and returns plain numbers and arrays.

    @probe("shapes")                                  # imports the student's shapes.py
    def areas(student, widths, heights): ...          # -> {"name": value}

A value is None, a bool, a number, a text, an array (float32, float64, int64, uint8, bool), a list or dict of values, or
what student code raised in its place (Raised). The probe's docstring says what it returns, with shapes; a check reads
it by the same names.

`student.shapes` is the imported module; `student.function("shapes", "area")` fetches a name or raises MissingName.
Exceptions that leave a probe are reported as the student's (only frames in the student's files are kept); wrap a call
in `attempt` when the check wants to look at the exception itself. Nothing of this is trusted: it runs beside student
code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grader.engine.worker.beside_student.describe import describe
from grader.engine.worker.raised import Raised

PACKAGE = __name__.partition(".")[0]
OWN_FOLDER = str(Path(__file__).resolve().parents[3]) + os.sep


class MissingName(Exception):
    """The student's file does not define a name of the contract."""

    def __init__(self, module: str, name: str, found: list[str]):
        super().__init__(f"{module}.py defines no {name}")
        self.module, self.name, self.found = module, name, found


def is_a(value: Any, *kinds: type) -> bool:
    """isinstance, by the type alone: what an object says of itself in `__class__` could be anything."""
    return issubclass(type(value), kinds)


def is_ours(value: Any) -> bool:
    """Whether a function, or a class or one that it stands on, was written for the grader: nobody's answer."""
    kinds = value.__mro__ if is_a(value, type) else type(value).__mro__
    code = getattr(value, "__code__", None)
    return any(str(vars(kind).get("__module__", "")).startswith(f"{PACKAGE}.") for kind in kinds) or (
        str(getattr(code, "co_filename", "")).startswith(OWN_FOLDER)
    )


def attempt(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Raised | None]:
    """Call student code; return (value, None) or (None, what it raised).

    An untouched TODO (NotImplementedError("TODO N: ...")) and MissingName pass through: they are not a diagnosis.
    """
    try:
        return function(*args, **kwargs), None
    except BaseException as error:  # SystemExit too: exit() in a function is a finding, not an end
        if isinstance(error, (MissingName, MemoryError)) or untouched(error):
            raise
        return None, describe(error)


def untouched(error: BaseException) -> int | None:
    """The number of the TODO whose stub raised this, or None."""
    if not isinstance(error, NotImplementedError):
        return None
    number = re.match(r"TODO (\d+)", str(error))
    return int(number[1]) if number else None


def probe(*modules: str, full: bool = True) -> Callable[..., Any]:
    """Declare a probe. `modules`: the student files it imports, the one it is about first.

    full=False: it needs nothing but what the light worker has imported, which is ready seconds earlier.
    """

    def declare(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        function.modules = modules  # type: ignore[attr-defined]
        function.full = full  # type: ignore[attr-defined]
        return function

    return declare
