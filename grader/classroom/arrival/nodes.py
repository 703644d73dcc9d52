"""What was handed in, as a tree of names: folders, files, and archives that open when they are looked into.

No link is followed, and what nobody hands in (hidden files, environments, caches) is not in the tree.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath

from grader.classroom.arrival import times
from grader.engine.printable import one_line
from grader.engine.submission.safe_files import MOST_NAMES, Tree

FOLDER, FILE, ARCHIVE, LINK = "folder", "file", "archive", "link"
ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
FOREIGN = re.compile(r"\.(rar|7z|zipx|tar\.zst|tzst)$", re.IGNORECASE)
NOTEBOOK = re.compile(r"\.ipynb(\.txt)?$", re.IGNORECASE)
SKIPPED = ("__MACOSX", "__pycache__", "node_modules", "site-packages", "venv", "Thumbs.db", "desktop.ini")
SHOWN = 120  # characters of a name in a sentence


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: files that a submission could need, and their bytes."""

    files: int
    bytes: int


ONE_STUDENT = Limits(2_000, 60_000_000)
A_CLASS = Limits(200_000, 2_000_000_000)


@dataclass(eq=False)
class Node:
    """A file, folder, archive or link, by the name it was handed in with.

    tree, path: where its content lies; None where it was not kept, because no submission needs it
    problem: why it cannot be had, the end of a sentence that begins with its name; of an archive once it was opened
    left_out: members of an archive that were refused, each with the reason
    depth: how many archives are around it; 0: it lies on this disk as it was given
    gathered: made here of files that lay loose beside those of others
    label: how it is called in sentences, where the name alone would not do
    """

    name: str
    kind: str
    tree: Tree | None = None
    path: str = ""
    time: datetime | None = None
    problem: str = ""
    left_out: list[str] = field(default_factory=list)
    depth: int = 0
    gathered: bool = False
    label: str = ""
    limits: Limits = ONE_STUDENT
    look: Callable[[Node], Mapping[str, Node]] = field(default=lambda node: {}, repr=False)

    @cached_property
    def children(self) -> Mapping[str, Node]:
        """What is in it, by name; {} for a file or link."""
        return self.look(self)

    @property
    def place(self) -> Path:
        """Where it lies on this disk."""
        return (self.tree.root if self.tree else Path()) / self.path

    @property
    def shown(self) -> str:
        return one_line(self.label or self.name, SHOWN)

    @property
    def stem(self) -> str:
        """The name without what only says which kind of file it is."""
        if self.kind in (FOLDER, LINK):
            return self.name
        return ARCHIVES.sub("", FOREIGN.sub("", NOTEBOOK.sub("", self.name)))

    @property
    def is_clone(self) -> bool:
        """Whether it is a git repository with its files checked out."""
        return self.tree is not None and self.tree.is_folder(str(PurePosixPath(self.path, ".git")))

    def read(self, limit: int) -> tuple[bytes, str]:
        """(content, "") of a file of at most `limit` bytes, or (b"", why it cannot be had, as `problem` says it)."""
        content, finding = self.tree.read(self.path, limit) if self.tree else (b"", "file-missing")
        if finding in ("", "file-empty"):
            return content, self.problem
        is_big = f"is larger than {limit / 1e6:.0f} MB"
        return b"", self.problem or (is_big if finding == "file-too-big" else "cannot be read")

    def text(self, name: str, limit: int = 20_000_000) -> str:
        """The text of a file in it, "" for none."""
        child = self.children.get(name)
        return child.read(limit)[0].decode("utf-8-sig", "replace") if child and child.kind == FILE else ""


def gathered(name: str, parts: Mapping[str, Node]) -> Node:
    """A folder that is nowhere: loose files of one student under the names they should have, or all that was given."""
    return Node(name, FOLDER, gathered=True, look=lambda node: parts)


def is_skipped(name: str) -> bool:
    return name.startswith(".") or name in SKIPPED


def kind_of(name: str) -> tuple[str, str]:
    """(kind, problem) of an ordinary file, by its name."""
    if FOREIGN.search(name):
        return ARCHIVE, "is an archive of a kind that cannot be opened here: unpack it, or ask for a .zip"
    return (ARCHIVE, "") if ARCHIVES.search(name) else (FILE, "")


class Disk:
    """Makes nodes of what lies on this disk.

    opened: what an archive's node is opened with; own: a folder of ours, which is nobody's submission
    """

    def __init__(self, opened: Callable[[Node], Mapping[str, Node]], own: Path):
        self.opened, self.own = opened, own.resolve()

    def node(self, path: Path, name: str) -> Node:
        """What was named on the command line: it may be a link itself. Raises OSError."""
        path = path.resolve()
        if path.is_dir():
            return Node(name, FOLDER, Tree(path), ".", look=self.listed)
        return self.made(Tree(path.parent), path.name, name, path.stat()) or Node(name, FILE)

    def listed(self, folder: Node) -> Mapping[str, Node]:
        found: dict[str, Node] = {}
        tree = folder.tree
        assert tree is not None
        names = tree.names(folder.path)
        with tree.folder(list(PurePosixPath(folder.path).parts)) as place:
            if place is None or (not names and not os.access(folder.place, os.R_OK)):
                folder.problem = "cannot be opened: you have no right to read it"
                return {}
            if "pyvenv.cfg" in names:
                return {}
            if len(names) >= MOST_NAMES:
                folder.problem = f"holds more than {MOST_NAMES:,} files, and not all were read: give it in parts"
            for name in names:
                path = str(PurePosixPath(folder.path, name))
                if is_skipped(name) or self.is_own(tree.root / path):
                    continue
                try:
                    made = self.made(tree, path, name, place.stat(name))
                except (OSError, ValueError):
                    continue
                if made is not None:
                    found[name] = made
        return found

    def made(self, tree: Tree, path: str, name: str, seen: os.stat_result) -> Node | None:
        """The node of one entry; None for pipes, devices and the like."""
        time = times.of_seconds(seen.st_mtime)
        if stat.S_ISLNK(seen.st_mode):
            return Node(name, LINK, problem="is a link to another place, and links are not followed")
        if stat.S_ISDIR(seen.st_mode):
            return Node(name, FOLDER, tree, path, time, look=self.listed)
        if not stat.S_ISREG(seen.st_mode):
            return None
        kind, problem = kind_of(name)
        return Node(name, kind, tree, path, time, problem, look=self.opened if kind == ARCHIVE else lambda node: {})

    def is_own(self, path: Path) -> bool:
        """Whether it is our folder or one around it, which lies among what was given."""
        return self.own == path or path in self.own.parents
