"""An exception of student code, as data. It crosses the channel, so both sides know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Raised:
    """Its type, its message and the student's own frames."""

    type: str
    message: str
    frames: list[dict[str, Any]] = field(default_factory=list)  # {"file", "line", "function", "text"}, outermost first
