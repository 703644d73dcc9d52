"""A table in a text file that another program wrote (CSV or tab-separated), with the place of each cell in it.

Cells are read as Python's csv module reads them. What is filled in is put into its place; every other byte stays.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
DELIMITERS = (",", ";", "\t")
NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook or a zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF file",
}
LARGEST = 64 << 20  # bytes
LOOKED_AT = 200  # rows, to tell what separates the cells
LINE_END = re.compile(r"\r\n|\r|\n")


class BadSheet(ValueError):
    """The file cannot be read as a table; the message is one sentence."""


class NeverClosed(ValueError):
    """A quoted cell has no end; the one argument is where it begins."""


class Cell(NamedTuple):
    """text: without quotes; the cell as it stands, with them, is [start:end] of the sheet's text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Sheet:
    """name: of the file. mark: the bytes before the text that name its encoding. rows: those that are not blank."""

    name: str
    text: str
    encoding: str
    mark: bytes
    delimiter: str
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(cell.text.strip() for cell in self.rows[0])

    def at(self, row: int, column: int) -> str:
        """The text of a cell without the blanks around it, "" where the row has no such cell."""
        cells = self.rows[row]
        return cells[column].text.strip() if column < len(cells) else ""

    def line(self, row: int) -> int:
        """The number of the line in which a row begins, counted from 1 as an editor does."""
        return 1 + len(LINE_END.findall(self.text, 0, self.rows[row][0].start))

    def filled(self, column: int, texts: Mapping[int, str]) -> bytes:
        """The whole file with these {row: text} in one column. The texts hold no quote, delimiter or line end.

        A cell that was quoted stays quoted. A row that ends before the column is made long enough.
        """
        pieces, done = [], 0
        for row in sorted(texts):
            cells = self.rows[row]
            if column < len(cells):
                start, end = cells[column].start, cells[column].end
                new = f'"{texts[row]}"' if self.text.startswith('"', start, end) else texts[row]
            else:
                start = end = cells[-1].end
                new = self.delimiter * (column + 1 - len(cells)) + texts[row]
            pieces += [self.text[done:start], new]
            done = end
        return self.mark + ("".join(pieces) + self.text[done:]).encode(self.encoding)


def read(path: Path) -> Sheet:
    """Raises BadSheet, also for a file without any text."""
    try:
        if path.stat().st_size > LARGEST:
            raise BadSheet(f"{path.name} has more than {LARGEST >> 20} MB: that is no list of a class.")
        content = path.read_bytes()
    except OSError as error:
        raise BadSheet(f"{path} cannot be read ({error.strerror or error}).") from error
    text, encoding, mark = decoded(content, path.name)
    if not text.strip():
        raise BadSheet(f"{path.name} is empty.")
    delimiter, rows = divided(text, path.name)
    return Sheet(path.name, text, encoding, mark, delimiter, tuple(tuple(row) for row in rows))


def decoded(content: bytes, name: str) -> tuple[str, str, bytes]:
    """(text, encoding, the bytes before it that name the encoding)."""
    for start, what in NO_TEXT.items():
        if content.startswith(start):
            raise BadSheet(f"{name} is {what}, not a text file: save it as CSV and give that file.")
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    encodings = [MARKS[mark]] if mark else ["utf-8", "cp1252"]
    if not mark and b"\0" in content[:1000]:
        encodings = ["utf-16-le" if content[1:2] == b"\0" else "utf-16-be"]
    for encoding in encodings:
        try:
            text = content[len(mark) :].decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding, mark
    raise BadSheet(f"{name} is in an encoding that is not known here: save it as CSV UTF-8 and give that file.")


def divided(text: str, name: str) -> tuple[str, list[list[Cell]]]:
    """(what separates the cells, the rows): the separator with which most rows are as long as the first one."""
    found = []
    open_at = None
    for delimiter in DELIMITERS:
        some: list[list[Cell]] = []
        try:
            for row in islice(split(text, delimiter), LOOKED_AT):
                some.append(row)
        except NeverClosed as error:
            open_at = error.args[0]
        width = len(some[0]) if some else 0
        agree = sum(len(row) == width for row in some) / len(some) if width > 1 else 0.0
        found.append((agree, width, delimiter))
    _, width, delimiter = max(found, key=lambda one: one[:2])
    try:
        if width < 2 and open_at is not None:  # nothing separates: the quote may be why
            raise NeverClosed(open_at)
        return delimiter, list(split(text, delimiter))
    except NeverClosed as error:
        line = 1 + len(LINE_END.findall(text, 0, error.args[0]))
        told = f'{name} has a cell in line {line} that begins with " and never ends: close it with another ".'
        raise BadSheet(told) from error


def split(text: str, delimiter: str) -> Iterator[list[Cell]]:
    """The rows that are not blank. Raises NeverClosed."""
    # quotes count where a cell begins with one, "" stands for one in between; after the last one anything may follow
    pattern = rf'(?:"([^"]*(?:""[^"]*)*)"(?!"))?([^{delimiter}\r\n]*)(\r\n|[{delimiter}\r\n]|\Z)'
    cell = re.compile(pattern)
    row: list[Cell] = []
    start = 0
    while start < len(text) or row:
        match = cell.match(text, start)
        assert match is not None  # the pattern fits everywhere
        quoted, plain, end = match.groups()
        if quoted is None and plain.startswith('"'):
            raise NeverClosed(start)
        row.append(Cell((quoted or "").replace('""', '"') + plain, start, match.end(2)))
        start = match.end()
        if end != delimiter:
            if len(row) > 1 or row[0].start < row[0].end:
                yield row
            row = []
