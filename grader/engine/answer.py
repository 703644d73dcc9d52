"""What a probe returned, read by name and as the kind of value that the check expects.

    together = answer.part("together")           # a dict of the probe
    runs = answer.parts("alone", 3)               # a list of three dicts
    loss = together.number("loss")
    weight = together.array("weight", (10, None))  # floats; an axis may be None, of any length, or SOME, of at least 1

Student code runs beside the probe and could send an answer of its own making. So what is read has the type, the
shape and the length that was asked for, and never more than LIST, TEXT and NUMBERS say, or the check ends as `crashed`
(ProtocolBroken). `answer["name"]` reads
whatever stands there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.worker.raised import Raised as Raised  # checks take it from here: they import nothing of the worker
from grader.engine.worker.trusted.job import Outcome

T = TypeVar("T")
Length = int | range | None  # exactly so many, one of these, or any number
Shape = Sequence[Length] | None  # the length of each axis, or any shape
LIST, TEXT, NUMBERS = 2_000, 300, 4_000_000  # items, characters (the rest is cut off) and numbers of an array at most
AXES = 8  # of an array at most
SOME = range(1, NUMBERS + 1)


class Answer:
    """The values of one answer, or of a dict inside it.

    Reading a value in whose place the student's exception stands (a Raised) ends the check as `crashed`, with the
    student's own lines; `raised(name)` looks at it first. Every reading of a missing value raises ProtocolBroken.
    """

    def __init__(self, values: Mapping[str, Any], prints: str = "", place: str = ""):
        """prints: what student code printed meanwhile. place: the path at which these values stand, for messages."""
        self._values, self._prints, self._place = values, prints, place

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Any:
        """What stands there: a plain value, an array, a list, or an Answer for a dict."""
        if name not in self._values:
            raise ProtocolBroken(f"the answer lacks {self._place}{name}")
        return self._opened(self._values[name], name)

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._values else default

    def raised(self, name: str) -> Raised | None:
        """The exception that stands in the place of a value, or None."""
        value = self._values.get(name)
        return value if isinstance(value, Raised) else None

    def end_if_raised(self, name: str) -> None:
        """End the check as `crashed` if an exception stands there."""
        self.get(name)

    # -- dicts inside ------------------------------------------------------------------------------------------

    def part(self, name: str) -> Answer:
        return self._as(Answer, self[name], name)

    def parts(self, name: str, length: Length = None) -> list[Answer]:
        return [self._as(Answer, value, name) for value in self._list(name, length)]

    # -- single values -----------------------------------------------------------------------------------------

    def number(self, name: str) -> float:
        """A float or an int; it may be nan or infinite."""
        return self._number(self[name], name)

    def integer(self, name: str) -> int:
        return self._as(int, self[name], name)

    def text(self, name: str) -> str:
        return self._as(str, self[name], name)[:TEXT]

    def flag(self, name: str) -> bool:
        return self._as(bool, self[name], name)

    # -- lists and arrays --------------------------------------------------------------------------------------

    def numbers(self, name: str, length: Length = None) -> list[float]:
        """Floats or ints; they may be nan or infinite."""
        return [self._number(value, name) for value in self._list(name, length)]

    def integers(self, name: str, length: Length = None) -> list[int]:
        return [self._as(int, value, name) for value in self._list(name, length)]

    def texts(self, name: str, length: Length = None) -> list[str]:
        return [self._as(str, value, name)[:TEXT] for value in self._list(name, length)]

    def flags(self, name: str, length: Length = None) -> list[bool]:
        return [self._as(bool, value, name) for value in self._list(name, length)]

    def array(self, name: str, shape: Shape, kind: str = "f") -> np.ndarray:
        """kind: the letters of dtype.kind that will do, as "fi" for floats and integers."""
        return self._array(self[name], name, shape, kind)

    def arrays(self, name: str, shape: Shape, length: Length, kind: str = "f") -> list[np.ndarray]:
        """A list of arrays of one form."""
        return [self._array(value, name, shape, kind) for value in self._list(name, length)]

    # -- how ---------------------------------------------------------------------------------------------------

    def _opened(self, value: object, name: str) -> object:
        if isinstance(value, Raised):
            raise NotSeen(Outcome("raised", {"error": value}, prints=self._prints))
        if isinstance(value, dict):
            return Answer(value, self._prints, f"{self._place}{name}.")
        if isinstance(value, list):
            return [self._opened(item, f"{name}.{index}") for index, item in enumerate(value)]
        return value

    def _as(self, kind: type[T], value: object, name: str) -> T:
        if type(value) is not kind:
            self._refuse(name, f"of the type {kind.__name__}")
        return value

    def _number(self, value: object, name: str) -> float:
        return self._as(float, float(value) if type(value) is int else value, name)

    def _list(self, name: str, length: Length) -> list[object]:
        values = self._as(list, self[name], name)
        if len(values) > LIST or not fits(len(values), length):
            self._refuse(name, "a list of the length that was asked for")
        return values

    def _array(self, value: object, name: str, shape: Shape, kind: str) -> np.ndarray:
        array = self._as(np.ndarray, value, name)
        if array.dtype.kind not in kind:
            self._refuse(name, "an array of the dtype that was asked for")
        fitting = shape is None or array.ndim == len(shape) and all(map(fits, array.shape, shape))
        if not fitting or array.size > NUMBERS or array.ndim > AXES:
            self._refuse(name, "an array of the shape that was asked for")
        return array

    def _refuse(self, name: str, wanted: str) -> NoReturn:
        raise ProtocolBroken(f"{self._place}{name} is not {wanted}")


def fits(length: int, wanted: Length) -> bool:
    if wanted is None:
        return True
    return length in wanted if isinstance(wanted, range) else length == wanted
