"""What may be shown of students while names are left out: the one rule of the page.

What people and systems wrote (notes, names of files, what arrived) can hold anything, so it stands with the names only.
A sentence of the grader is shown without names, ids and addresses of the class, without paths, and without names of
files that are not the week's own. Of a line of code its texts and comments are left out too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from grader.classroom.grades import Row
from grader.engine.contract import Contract
from grader.engine.hints import Hint

LEFT_OUT = "[...]"  # in the place of a name
ENDINGS = "py|pyc|ipynb|zip|rar|7z|gz|tar|tgz|txt|md|pdf|docx?|html?|json|csv|npz?|pth?|pkl|png|jpe?g"
PLACE = re.compile(
    rf"""(?<!\w)(?P<quote>['"`])(?:(?!(?P=quote)).)*?(?:[\\/@]|\.(?:{ENDINGS})\b)(?:(?!(?P=quote)).)*(?P=quote)(?!\w)
    | [^\s'"`(),;]*(?:[\\/](?=[^\W\d]|[.~])|[\w.+-]@(?=\w))[^\s'"`,;]*[^\s'"`,;:.!?)]
    | [^\s'"`(),;]+\.(?:{ENDINGS})\b""",
    re.VERBOSE | re.IGNORECASE,
)  # paths, web and mail addresses, names of files
CODE = re.compile(r"""(?P<quote>['"])(?:\\.|(?!(?P=quote)).)*(?:(?P=quote)|$)|\s*\#.*""")  # texts and comments
OF_ANYBODY = 5  # characters from which on an id or a name is left out of what is said of others too


class Quiet:
    """Takes out of a text what could tell who somebody is.

    rows: the class. kept: paths and names of files that are the week's own
    """

    def __init__(self, rows: Sequence[Row], kept: Iterable[str] = ()):
        self.rows, self.kept = rows, frozenset(kept)

    def __call__(self, text: str, *rows: Row) -> str:
        """A sentence of the grader as it may be shown. rows: those whom it is about."""
        return self.named(PLACE.sub(self.place, text), rows)

    def code(self, line: str, *rows: Row) -> str:
        """A line of code of these students as it may be shown."""
        return self.named(CODE.sub(lambda found: (found["quote"] or "") * 2, line), rows)

    def place(self, found: re.Match[str]) -> str:
        return found[0] if found[0].strip("'\"`") in self.kept else LEFT_OUT

    def named(self, text: str, rows: Sequence[Row]) -> str:
        return without(without(text, self.everybody), one_of(word for row in rows for word in names_of(row)))

    @cached_property
    def everybody(self) -> re.Pattern[str] | None:
        return one_of(text for row in self.rows for text in whole_names(row) if len(text) >= OF_ANYBODY)


def without(text: str, names: re.Pattern[str] | None) -> str:
    return names.sub(LEFT_OUT, text) if names is not None else text


def one_of(words: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for any of these words, longer ones first; None for none."""
    ordered = sorted({word for word in words}, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)", re.IGNORECASE) if ordered else None


def whole_names(row: Row) -> list[str]:
    """What a student is called, as a whole. A number of less than four digits names nobody."""
    return [text for text in (row.id, row.name, *row.keys.values()) if len(text) > (3 if text.isdecimal() else 1)]


def names_of(row: Row) -> list[str]:
    """What a student can be known by: whole texts, and their words of three letters and more."""
    whole = whole_names(row)
    own = [text.partition("@")[0] for text in whole]  # the rest of an address is nobody's: it may stand in a link
    return [*whole, *(word for text in own for word in re.findall(r"[^\W\d_]{3,}|\d{4,}", text))]


def own_places(contract: Contract, hints: Mapping[str, Hint]) -> set[str]:
    """Paths, addresses and names of files that the week itself speaks of."""
    texts = [text for hint in hints.values() for text in vars(hint).values() if isinstance(text, str)]
    found = (match[0].strip("'\"`") for text in texts for match in PLACE.finditer(text))
    return {*contract.files, *found}
