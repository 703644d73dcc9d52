"""The C library, opened once: every child would otherwise open it again for each call."""

from __future__ import annotations

import ctypes
import os
from functools import cache


@cache
def library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def libc(name: str, *arguments: object) -> int:
    """Call a function of the C library. Raises OSError when it returns -1, AttributeError when it is not there."""
    result = int(getattr(library(), name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result
