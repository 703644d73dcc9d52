"""Reading files that somebody else wrote, and writing our own whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def read_regular(path: Path, limit: int) -> tuple[bytes, str]:
    """(content, "") of a regular file, or (b"", finding id). Links are not followed: they can point anywhere."""
    try:
        seen = os.lstat(path)
    except OSError:
        return b"", "file-missing"
    if not stat.S_ISREG(seen.st_mode):
        return b"", "file-not-regular"
    if seen.st_size > limit:
        return b"", "file-too-big"
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return b"", "file-unreadable"
    with open(descriptor, "rb") as file:
        if not os.path.samestat(os.fstat(file.fileno()), seen):
            return b"", "file-not-regular"
        content = file.read(limit + 1)
    if len(content) > limit:
        return b"", "file-too-big"
    return content, "" if content.strip() else "file-empty"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then rename."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
