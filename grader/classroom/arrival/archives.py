"""Opens zip and tar files that nobody trusts: member by member, counted while they are read, under names of our own.

Only what a submission could need is written. A member that leads outside, a link or a device is left out; what is too
large, encrypted or damaged has a `problem`, and the rest goes on.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from grader.classroom.arrival import times
from grader.classroom.arrival.nodes import ARCHIVE, FILE, FOLDER, LINK, ONE_STUDENT, Limits, Node, is_skipped, kind_of
from grader.engine.printable import one_line
from grader.engine.submission.safe_files import Tree

LARGEST = 25_000_000  # bytes of one file
ENTRIES = 300_000  # of one archive, those that are not needed too
NESTED = 3  # archives in one another: a class's, a student's, and one in that
READ_THROUGH, TIMES_PACKED = 100_000_000, 100  # bytes of a tar file, needed or not; a larger one: times its own size
LEFT_OUT = 10  # members that are named
CHUNK = 1 << 16
WANTED = re.compile(r"\.(py|ipynb)(\.txt)?$|^(submission_metadata\.yml|(collected|roster)\.csv|timestamp\.txt)$", re.I)
OTHERS = {b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7-Zip archive", b"\x28\xb5\x2f\xfd": "a zstd archive"}
# what the readers of archives raise for bytes that are none
DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError,
    ArithmeticError, LookupError, RuntimeError, AttributeError, TypeError, MemoryError,
)  # fmt: skip
T = TypeVar("T")


class Refused(Exception):
    """An archive is read no further; the message is the end of a sentence that begins with its name."""


class Damaged(Refused):
    """Bytes that are not what they should be."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive. kind: FILE, FOLDER, LINK, or "" for a device and the like.

    problem: why its content cannot be read; alone: others can be read when this one is damaged
    """

    path: str
    kind: str
    time: datetime | None
    open: Callable[[], IO[bytes] | None]
    problem: str = ""
    alone: bool = True


class Unpacker:
    """Opens archives into `folder`, where each file gets a number for a name."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tree, self.written = folder, Tree(folder), 0

    def __call__(self, archive: Node) -> Mapping[str, Node]:
        """What is in an archive; what ended the reading, or was left out, is told in the archive's node."""
        root: dict[str, Node] = {}
        if archive.problem or archive.tree is None:
            return root
        if archive.depth >= NESTED:
            archive.problem = f"lies in {archive.depth} archives, one in the other: unpack them"
            return root
        with archive.tree.opened(archive.path) as (descriptor, problem):
            if descriptor is None:
                archive.problem = "cannot be opened"
                return root
            with open(descriptor, "rb", closefd=False) as stream:
                try:
                    self.read(archive, stream, root)
                except Refused as why:
                    archive.problem = str(why)
        return root

    def read(self, archive: Node, stream: IO[bytes], root: dict[str, Node]) -> None:
        """Raises Refused; what was read until then is in `root`."""
        members, budget = careful(lambda: members_of(stream)), Budget(archive.limits)
        for _ in range(ENTRIES):
            member = careful(lambda: next(members, None))
            if member is None:
                return
            parts = inside(member.path)
            if parts is None or not member.kind:
                why = "leads out of the archive" if parts is None else "is no ordinary file"
                archive.left_out += [f"{one_line(member.path, 80)} {why}"][: LEFT_OUT - len(archive.left_out)]
            elif parts and not any(is_skipped(part) for part in parts):
                self.put(archive, member, parts, root, budget)
        raise Refused(f"has more than {ENTRIES:,} entries")

    def put(self, archive: Node, member: Member, parts: list[str], below: dict[str, Node], budget: Budget) -> None:
        """Give a member its place among the nodes, and write it where it is needed. Raises Refused."""
        for name in parts if member.kind == FOLDER else parts[:-1]:
            if name not in below or below[name].kind != FOLDER:
                below[name] = folder(name, archive.depth + 1)
            below = below[name].children  # type: ignore[assignment]  # the dict that folder() put there
        name = parts[-1]
        if member.kind == FOLDER or (name in below and below[name].kind == FOLDER):
            return
        kind, problem = kind_of(name) if member.kind == FILE else (LINK, "is a link, and links are not followed")
        node = below[name] = Node(
            name, kind, time=member.time, problem=problem or member.problem, depth=archive.depth + 1
        )
        if node.problem or not (kind == ARCHIVE or WANTED.search(name)):
            return
        if kind == ARCHIVE:
            node.look = self
        self.written += 1
        budget.one_more()
        try:
            node.problem = self.write(member, str(self.written), budget)
        except Refused as why:
            node.problem = str(why)
            if not (member.alone and isinstance(why, Damaged)):
                raise
        if not node.problem:
            node.tree, node.path = self.tree, str(self.written)

    def write(self, member: Member, number: str, budget: Budget) -> str:
        """Why the file is not used, "" when it is written. Raises Refused; OSError where this disk is at fault."""
        source = careful(member.open)
        with (self.folder / number).open("wb") as file:
            while chunk := careful(lambda: source.read(CHUNK)) if source else b"":
                budget.spend(len(chunk))
                file.write(chunk)
                if file.tell() > LARGEST:
                    return f"is larger than {LARGEST // 1_000_000} MB"
        return ""


class Budget:
    """What an archive may still write."""

    def __init__(self, limits: Limits):
        self.limits, self.files, self.bytes = limits, 0, 0
        more = "which is more than one student hands in; give the archive of a class alone"
        self.advice = f", {more}" if limits == ONE_STUDENT else ""

    def one_more(self) -> None:
        self.files += 1
        if self.files > self.limits.files:
            raise Refused(f"holds more than {self.limits.files:,} files{self.advice}")

    def spend(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.bytes:
            raise Refused(f"unpacks to more than {self.limits.bytes // 1_000_000:,} MB{self.advice}")


class Counted:
    """A stream that may give so many bytes: a tar file is read through, what is not needed of it too."""

    def __init__(self, stream: IO[bytes], most: int):
        self.stream, self.most, self.count = stream, most, 0

    def read(self, size: int = CHUNK) -> bytes:
        chunk = self.stream.read(size)
        self.count += len(chunk)
        if self.count > self.most:
            raise Refused(f"unpacks to more than {self.most // 1_000_000:,} MB")
        return chunk


def careful(step: Callable[[], T]) -> T:
    """The result of a step of a reader. Raises Damaged for whatever it raises."""
    try:
        return step()
    except DAMAGE as error:
        raise Damaged("is damaged: it cannot be read to its end") from error


def members_of(stream: IO[bytes]) -> Iterator[Member]:
    """The members of a zip or tar file; its first bytes say which. Raises Refused, and whatever the readers raise."""
    begin = stream.read(512)
    size = stream.seek(0, 2)
    stream.seek(0)
    if begin[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return in_zip(stream)
    for magic, module in ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\x00", lzma)):
        if begin.startswith(magic):
            return in_tar(Counted(module.open(stream), max(READ_THROUGH, TIMES_PACKED * size)))
    if begin[257:262] == b"ustar":
        return in_tar(Counted(stream, size))
    is_one = next((name for magic, name in OTHERS.items() if begin.startswith(magic)), "")
    told = f"is {is_one} and cannot be opened here" if is_one else "is empty or damaged: it is no zip or tar file"
    raise Refused(f"{told}; ask for a .zip" if size else "is an empty file; ask for it again")


def in_zip(stream: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            kind = FILE if stat.S_IFMT(mode) in (0, stat.S_IFREG) else ""
            if stat.S_ISLNK(mode):
                kind = LINK
            elif entry.filename.endswith(("/", "\\")):
                kind = FOLDER
            problem = "is encrypted: ask for it without a password" if entry.flag_bits & 1 else ""
            yield Member(name_of(entry), kind, times.of_zip(entry), partial(archive.open, entry), problem)


def name_of(entry: zipfile.ZipInfo) -> str:
    """Many programs write UTF-8 without the flag that says so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def in_tar(counted: Counted) -> Iterator[Member]:
    with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
        for entry in archive:
            kind = FOLDER if entry.isdir() else FILE if entry.isfile() else ""
            if entry.issym() or entry.islnk():
                kind = LINK
            content = partial(archive.extractfile, entry)
            yield Member(entry.name, kind, times.of_seconds(entry.mtime), content, alone=False)
    while chunk := counted.read():  # to its end, where its checksum is
        if chunk.strip(b"\0"):
            raise Damaged("is damaged: it has more in it than can be read")


def inside(path: str) -> list[str] | None:
    """The parts of a member's path; None where it would lead out of its archive, on any system."""
    path = path.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    leads_out = path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in parts or "\0" in path
    return None if leads_out else parts


def folder(name: str, depth: int) -> Node:
    """A folder in an archive, still empty."""
    children: dict[str, Node] = {}
    return Node(name, FOLDER, depth=depth, look=lambda node: children)
