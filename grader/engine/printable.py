"""Text that came from a submission, made safe to print, and symbols with an ASCII fallback."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence

# Cc: control codes; Cf: bidirectional overrides and the like; Cs: lone surrogates; Co: private use
UNPRINTABLE = {"Cc", "Cf", "Cs", "Co"}
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a sign of which nothing is seen
MARKS = 3  # above, below and around one letter: more would cover the lines beside it
WARNING = re.compile(r"^\S.*[\\/].*:\d+: \w*Warning: ")  # as the module warnings writes them: PATH:LINE: KIND: TEXT
BAR = re.compile(r"\d+%\|.*\||^Fontconfig \w+: ")  # tqdm; the system's fonts, when matplotlib is imported
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def clean(text: str) -> str:
    """Without terminal escapes, control characters and towers of marks; newlines and tabs stay."""
    text = ESCAPES.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    kept, marks = [], 0
    for c in text:
        kind = unicodedata.category(c)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if c in "\n\t" or not (kind in UNPRINTABLE or c in BLANK or marks > MARKS):
            kept.append(c)
    return "".join(kept)


def source_lines(text: str, keepends: bool = False) -> list[str]:
    """The lines of a program as Python counts them: str.splitlines() also breaks at form feeds and at U+2028."""
    return [
        line.decode("utf-8", "surrogatepass") for line in text.encode("utf-8", "surrogatepass").splitlines(keepends)
    ]


def own_prints(text: str, folder: str = "") -> str:
    """What student code printed, without what it did not write itself: progress bars, warnings of libraries.

    folder: the name of the run's temporary folder; paths in it are shown without what leads there
    """
    if folder:
        place = rf"[^\s'\"(<=]*{re.escape(folder)}(?:[\\/]+(?:stage|home[\\/]+\d+))?"
        text = re.sub(rf"{place}(?:[\\/]+(?=[\w.])|([\\/]*))", lambda found: "" if found[1] is None else ".", text)
    kept: list[str] = []
    after_warning = False
    for line in clean(re.sub(r"[^\n]*\r(?!\n)", "", text)).split("\n"):  # of a line written over, the last state
        quoted = after_warning and line.startswith("  ")  # a warning quotes the line that caused it
        after_warning = bool(WARNING.search(line))
        if not (quoted or after_warning or BAR.search(line)):
            kept.append(line)
    return "\n".join(kept)


def apart(text: str, links: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """(piece, whether it is one of these addresses) for all of a text, in order. Longer addresses go first."""
    known = "|".join(re.escape(link) for link in sorted(links, key=len, reverse=True))
    pieces = re.split(rf"(?<![\w/.:@-])({known})(?![\w/#?=&%~@:-]|\.\w)", text) if known else [text]
    return ((piece, place % 2 == 1) for place, piece in enumerate(pieces))


def one_line(text: str, limit: int = 300) -> str:
    """Clean, on one line, at most `limit` characters."""
    text = " ".join(clean(text[: 8 * limit + 100]).split())  # cut first: a forged text may be very long
    return text if len(text) <= limit else text[: limit - 3] + "..."


def listed(names: Sequence[object], quote: str = "") -> str:
    """Names as a sentence has them: "a, b and c", each between quotes of this kind; "none" for none."""
    shown = [f"{quote}{name}{quote}" for name in names] or ["none"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def some(names: Sequence[object], most: int) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def can_print(symbols: str) -> bool:
    """Whether the encoding of standard output has these characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    try:
        symbols.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
