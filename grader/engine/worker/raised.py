"""An exception of student code, as data. It crosses the channel, so both sides know it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# how Python says that an import found the module, and no such name in it
NO_SUCH_NAME = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")


@dataclass(frozen=True)
class Raised:
    """Its type, its message and the student's own frames.

    quote: their innermost line as it stands in the file, with its indentation, and below it the marks for what was
    going on there, where Python knows; perhaps the line before it. "" where there is none
    """

    type: str
    message: str
    frames: list[dict[str, Any]] = field(default_factory=list)  # {"file", "line", "function", "text"}, outermost first
    quote: str = ""
