"""Reading files that somebody else wrote, and writing our own whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

HAS_OPENAT = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")
MOST_NAMES = 10_000  # in one folder; a folder with more is read no further


class Tree:
    """A folder that somebody else filled. No link below it is followed, on no part of a path.

    Where the system can (openat with O_NOFOLLOW), a path is walked folder by folder on open descriptors, so nothing
    can be exchanged in between. Elsewhere each part is looked at first, and the result must lie where it should.
    Paths are relative, with forward slashes; `root` itself is the caller's word and may be a link.
    """

    def __init__(self, root: Path):
        self.root = root

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """(content, "") of a regular file of at most `limit` bytes, or (b"", finding id)."""
        with self.opened(path) as (descriptor, problem):
            if descriptor is None:
                return b"", problem
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            return b"", "file-too-big"
        return content, "" if content.strip() else "file-empty"

    @contextmanager
    def opened(self, path: str) -> Iterator[tuple[int | None, str]]:
        """(descriptor, "") of a regular file, or (None, finding id)."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        *folders, name = PurePosixPath(path).parts
        with self.folder(folders) as place:
            if place is None:
                closed = "file-unreadable" if os.path.lexists(self.root / path) else "file-missing"
                yield None, "file-not-regular" if self.has_link(path) else closed
                return
            try:
                seen = place.stat(name)
            except (OSError, ValueError):
                yield None, "file-missing"
                return
            if not stat.S_ISREG(seen.st_mode):
                yield None, "file-not-regular"
                return
            try:
                descriptor = place.open(name, flags | getattr(os, "O_NOFOLLOW", 0))
            except OSError:
                yield None, "file-unreadable"
                return
        try:
            same = os.path.samestat(os.fstat(descriptor), seen)
            yield (descriptor, "") if same else (None, "file-not-regular")
        finally:
            os.close(descriptor)

    def exists(self, path: str) -> bool:
        """Whether something of that name is there, a link too; False behind a link."""
        return self.mode(path) is not None

    def is_folder(self, path: str) -> bool:
        mode = self.mode(path)
        return mode is not None and stat.S_ISDIR(mode)

    def has_link(self, path: str) -> bool:
        """Whether the path, or a folder on the way to it, is a link."""
        parts = PurePosixPath(path).parts
        modes = [self.mode("/".join(parts[: n + 1])) for n in range(len(parts))]
        return any(mode is not None and stat.S_ISLNK(mode) for mode in modes)

    def mode(self, path: str) -> int | None:
        """st_mode without following any link; None where there is nothing, or a link on the way."""
        *folders, name = PurePosixPath(path).parts or (".",)
        with self.folder(folders) as place:
            if place is None:
                return None
            try:
                return place.stat(name).st_mode
            except (OSError, ValueError):
                return None

    def names(self, path: str = ".") -> list[str]:
        """The names in a folder, sorted; [] where it is none, cannot be read, or lies behind a link."""
        found: list[str] = []
        with self.folder(list(PurePosixPath(path).parts)) as place, suppress(OSError):
            if place is not None:
                with os.scandir(place.where) as entries:
                    for entry, _ in zip(entries, range(MOST_NAMES)):
                        found.append(entry.name)
        return sorted(found)

    @contextmanager
    def folder(self, parts: list[str]) -> Iterator[Place | None]:
        """The folder at these parts, or None where one of them is not a folder of its own."""
        if any(part in ("..", "/") or "\0" in part for part in parts):
            yield None
            return
        if not HAS_OPENAT:
            yield self.looked_at(parts)
            return
        opened: list[int] = []
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            try:
                opened.append(os.open(self.root, flags))
                for part in parts:
                    opened.append(os.open(part, flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
            except (OSError, ValueError):
                yield None
                return
            yield Place(opened[-1])
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def looked_at(self, parts: list[str]) -> Place | None:
        """Without openat: the same by looking first. Junctions of Windows are no links, so the real path must agree."""
        place = self.root
        for part in parts:
            place = place / part
            try:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    return None
            except (OSError, ValueError):
                return None
        expected = Path(os.path.realpath(self.root), *parts)
        return Place(str(place)) if os.path.normcase(os.path.realpath(place)) == os.path.normcase(expected) else None


class Place:
    """An open folder: a descriptor, or a path where there is no openat."""

    def __init__(self, where: int | str):
        self.where = where

    def stat(self, name: str) -> os.stat_result:
        if isinstance(self.where, int):
            return os.stat(name, dir_fd=self.where, follow_symlinks=False)
        return os.lstat(os.path.join(self.where, name))

    def open(self, name: str, flags: int) -> int:
        if isinstance(self.where, int):
            return os.open(name, flags, dir_fd=self.where)
        return os.open(os.path.join(self.where, name), flags)


def read_regular(path: Path, limit: int) -> tuple[bytes, str]:
    """(content, "") of a regular file that is no link itself, or (b"", finding id)."""
    return Tree(path.parent).read(path.name, limit)


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
