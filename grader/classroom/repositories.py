"""Reads which repositories a class has: a list in a file, or a folder of clones.

In a list, a text or CSV file, each line names one repository (an address, owner/name on GitHub, or a folder) and
maybe, in another column, whose it is. A first line with the names of the columns is understood: GitHub Classroom's
export has one.
"""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from grader.classroom import git

ON_GITHUB = re.compile(r"[\w.-]+/[\w.-]+")
LOCAL = re.compile(r"\.{0,2}[/\\]|[A-Za-z]:[/\\]")  # the path of a folder, whether it is there or not
OF_REPOSITORY = ("repository", "repo", "url", "student_repository_url")  # names of columns, small letters
OF_STUDENT = ("id", "student", "username", "login", "github_username", "identifier", "roster_identifier", "name")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no names of files on Windows
LONGEST = 100  # characters of a student's folder name


class NoList(ValueError):
    """The list cannot be read; the message is one sentence."""


@dataclass(frozen=True)
class Entry:
    """One line of a list. problem: why it names no repository, "" where it does.

    clone: a clone that lies here already, to fall back on; source: what git is given
    """

    id: str
    source: str
    problem: str = ""
    clone: Path | None = None

    @property
    def repository(self) -> str:
        """The source as it may be shown: without a password."""
        return without_secret(self.source)


def read(path: Path) -> list[Entry]:
    """Every entry, in the order of the list; ids are names that a folder can have, each once. Raises NoList."""
    if path.is_dir():
        found = once_each(clones(path))
        if not found:
            raise NoList(f"{path} holds no clones: no folder in it has a .git.")
        return found
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoList(f"{path} is not UTF-8: save it as CSV UTF-8, or as a text file in UTF-8.") from error
    except OSError as error:
        raise NoList(f"{path} cannot be read ({error.strerror}).") from error
    entries = once_each(listed(text, path.parent))
    if not entries:
        raise NoList(f"{path} names no repository: write one in each line.")
    return entries


def listed(text: str, beside: Path) -> Iterator[Entry]:
    """The entries of a list. beside: where folders named in it are looked for."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    first = lines[0] if lines else ""
    delimiter = max(",;\t", key=first.count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    names = [cell.lower() for cell in rows[0]] if rows else []
    where = next((names.index(name) for name in OF_REPOSITORY if name in names), None)
    who = next((names.index(name) for name in OF_STUDENT if name in names), None)
    for row in rows[where is not None :]:
        places = [n for n, cell in enumerate(row) if "/" in cell or "\\" in cell]
        place = where if where is not None else places[0] if places else 0
        cell = row[place] if place < len(row) else ""
        if who is not None and where is not None:
            student = row[who] if who < len(row) else ""
        else:
            student = next((other for n, other in enumerate(row) if n != place and other), "")
        yield entry(cell, student, beside)


def entry(cell: str, student: str, beside: Path) -> Entry:
    """cell: the repository as it is written; student: whose it is, "" where that is not said."""
    folder = os.path.abspath(beside / cell)
    if cell and (os.path.isdir(folder) or LOCAL.match(cell)):
        return Entry(folder_name(student or Path(folder).name.removesuffix(".git")), folder)
    if ON_GITHUB.fullmatch(cell):
        return Entry(folder_name(student or cell.replace("/", "-")), f"https://github.com/{cell}")
    if re.fullmatch(r"(https|ssh|file)://\S+|[\w.-]+@[\w.-]+:\S+", cell):
        path = re.split(r"[:/]", cell.split("://")[-1].rstrip("/").removesuffix(".git"))
        return Entry(folder_name(student or "-".join(path[-2:])), cell)
    said = "write an https or ssh address, owner/name, or a folder" if cell else "no repository is named"
    return Entry(folder_name(student or cell), cell, said)


def clones(folder: Path) -> Iterator[Entry]:
    """The clones in a folder. Where each came from stands in its own settings, which are read and never obeyed."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_dir() or not any((path / n).exists() for n in (".git", "HEAD")):
            continue
        settings = path / ".git" / "config" if (path / ".git").is_dir() else path / "config"
        yield Entry(folder_name(path.name.removesuffix(".git")), origin(settings) or os.path.abspath(path), clone=path)


def origin(settings: Path) -> str:
    """The address of the remote `origin`, "" for none."""
    try:
        found = git.run("config", "--file", str(settings), "--get", "remote.origin.url")
    except git.GitFailed:
        return ""
    return found.decode("utf-8", "replace").strip()


def once_each(entries: Iterator[Entry]) -> list[Entry]:
    """A student named twice is graded once, by the first line."""
    seen: set[str] = set()
    kept = []
    for one in entries:
        key = one.id.casefold()
        again = f"{one.id} stands in the list twice; the first line counts" if key in seen else one.problem
        seen.add(key)
        kept.append(Entry(one.id, one.source, again, one.clone))
    return kept


def folder_name(text: str) -> str:
    """A name that every system lets a folder have, near to `text`: letters, digits and . _ - @ + stay."""
    text = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w.@+-]+", "_", text).strip("._-")[:LONGEST].rstrip(".")
    return f"_{name}" if not name or RESERVED.fullmatch(name) else name


def without_secret(address: str) -> str:
    """An address without the user and password that may stand in it."""
    parts = urlsplit(address) if "://" in address else None
    if parts is None or "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def row(cells: Sequence[str]) -> list[str]:
    """Cells of a CSV file that no spreadsheet takes as a formula."""
    return [f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in cells]
