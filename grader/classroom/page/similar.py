"""Pairs of submissions to look at, never a verdict.

A submission is the set of its k-grams: runs of `K` tokens, names and texts replaced by a placeholder, comments and
docstrings dropped, without those of the skeleton. What few others have weighs much, what many have counts nothing.
Right solutions of short stubs are alike, so a pair is shown only where it stands out of its own class.
"""

from __future__ import annotations

import io
import keyword
import math
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from grader.classroom.grades import Row
from grader.classroom.page.figures import first_cause
from grader.engine.printable import one_line

K = 12  # tokens: about two short lines
RARE = 0.05  # of the class: what more students share is common ...
RARE_AMONG = 5  # ... but what so few share is rare in any class
FEWEST = 15  # submissions, below which a class has no distribution of its own
MOST_PAIRS = 10
OUTLIER = 6.0  # robust z-score from which a pair stands out
DAMPING = 0.5  # of the class's median weight is added below the line, so that a few runs prove nothing
RAISED = 1.25  # by the same rare finding in the same words
LEAST_SPREAD = 0.02  # of the similarities of a class: less would make outliers of tiny differences
LINES_SHOWN = 3
LONGEST = 64_000  # characters of a file that are looked at
DROPPED = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER)
BEGINS = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)  # after one of these, a string alone is a docstring

Files = Mapping[str, str]  # {file: text}
Place = tuple[str, int]  # file, line


@dataclass(frozen=True)
class Example:
    """Lines of two students that begin the same run of tokens, which nobody else or few have."""

    file: str
    line: int
    text: str
    other_line: int
    other_text: str


@dataclass(frozen=True)
class Pair:
    """Two submissions that share more than others do.

    similarity: 0..1, the weight of the rare runs they share, of all those of the one who has fewer, damped
    z: how far it stands out of the class, in robust standard deviations
    shared: rare runs of tokens in both; finding: the rare first finding that both have in the same words, or ""
    """

    one: Row
    other: Row
    similarity: float
    z: float
    shared: int
    finding: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Similar:
    """nearest: each submission's similarity to the one most like it, ascending; limit: from where on a pair stands out.

    submissions: how many were compared; too_few: so few that nothing is marked
    identical: those who have the same code but for names, texts and comments; their pairs are not among `pairs`
    """

    submissions: int
    nearest: tuple[float, ...]
    limit: float
    pairs: tuple[Pair, ...]
    identical: tuple[tuple[Row, ...], ...]

    @property
    def too_few(self) -> bool:
        return self.submissions < FEWEST

    @property
    def counts(self) -> tuple[int, ...]:
        """How many submissions have a nearest one from 0 to below 0.1, to below 0.2, ..., from 0.9 to 1."""
        found = Counter(min(int(10 * value), 9) for value in self.nearest)
        return tuple(found[n] for n in range(10))


Tokens = Mapping[str, list[tuple[str, int]]]  # {file: [(token, line)]}
Grams = dict[int, Place]  # {hash of a run of tokens: where it begins}


def similar(rows: Sequence[Row], sources: Mapping[str, Files], skeleton: Files) -> Similar:
    """sources: {id of a row: its files}"""
    given = grams_of(read(skeleton))
    compared = [row for row in rows if row.id in sources]
    tokens = [read(sources[row.id]) for row in compared]
    found = [{gram: at for gram, at in grams_of(each).items() if gram not in given} for each in tokens]
    often = Counter(gram for grams in found for gram in grams)
    most = max(RARE_AMONG, round(RARE * len(compared)))
    weight = {gram: math.log(len(compared) / n) for gram, n in often.items() if n <= min(most, len(compared) - 1)}
    same = same_findings(compared, most)
    values = similarities(found, weight, same)
    nearest = [0.0] * len(compared)
    for pair, value in values.items():
        for n in pair:
            nearest[n] = max(nearest[n], value)
    middle, spread = robust(nearest)
    limit = min(middle + OUTLIER * spread, 1.0)
    groups = identical(tokens, found)
    alike = {pair for group in groups for pair in combinations(group, 2)}
    high = [pair for pair, value in values.items() if value > limit and pair not in alike]
    high.sort(key=lambda pair: (-values[pair], pair))
    pairs = [
        Pair(
            compared[a], compared[b], values[a, b], (values[a, b] - middle) / spread,
            sum(gram in weight for gram in found[a].keys() & found[b].keys()),
            same.get((a, b), ""), examples(a, b, found, weight, [sources[compared[n].id] for n in (a, b)]),
        )
        for a, b in high[:MOST_PAIRS]
    ]  # fmt: skip
    few = len(compared) < FEWEST
    return Similar(
        submissions=len(compared),
        nearest=tuple(sorted(nearest)),
        limit=limit,
        pairs=() if few else tuple(pairs),
        identical=() if few else tuple(tuple(compared[n] for n in group) for group in groups),
    )


def similarities(
    found: Sequence[Grams], weight: Mapping[int, float], same: Mapping[tuple[int, int], str]
) -> dict[tuple[int, int], float]:
    """{two submissions: their similarity}, of those that share anything rare. same: those that share a finding."""
    own = [math.fsum(weight.get(gram, 0.0) for gram in grams) for grams in found]
    usual = DAMPING * max(float(np.median(own)), K * math.log(len(own))) if own else 0.0
    return {
        (a, b): min(both / (min(own[a], own[b]) + usual) * (RAISED if (a, b) in same else 1), 1.0)
        for (a, b), both in weight_shared(found, weight).items()
    }


def identical(tokens: Sequence[Tokens], found: Sequence[Grams]) -> list[list[int]]:
    """Groups of those whose tokens are all the same, where they are more than a line or two."""
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for n, (files, grams) in enumerate(zip(tokens, found)):
        if len(grams) >= 5 * K:
            groups[hash(tuple((name, tuple(word for word, _ in files[name])) for name in sorted(files)))].append(n)
    return [group for group in groups.values() if len(group) > 1]


def weight_shared(found: Sequence[Grams], weight: Mapping[int, float]) -> dict[tuple[int, int], float]:
    """{two submissions: the weight of the rare runs that both have}, through an index from runs to submissions."""
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for n, grams in enumerate(found):
        for gram in grams:
            if gram in weight:
                holders[gram].append(n)
    shared: defaultdict[tuple[int, int], float] = defaultdict(float)
    for gram, those in holders.items():
        for pair in combinations(those, 2):
            shared[pair] += weight[gram]
    return shared


def robust(values: Sequence[float]) -> tuple[float, float]:
    """(median, 1.4826 times the median distance to it), which a few outliers do not move."""
    if not values:
        return 0.0, LEAST_SPREAD
    middle = float(np.median(values))
    return middle, max(1.4826 * float(np.median(np.abs(np.array(values) - middle))), LEAST_SPREAD)


def same_findings(rows: Sequence[Row], most: int) -> dict[tuple[int, int], str]:
    """{two rows: their finding}, where both have a first finding in the same words that at most `most` have so."""
    worded: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        if (cause := first_cause(row.result)) is not None:
            worded[str(cause.finding), cause.message].append(n)
    return {p: finding for (finding, _), those in worded.items() if len(those) <= most for p in combinations(those, 2)}


def examples(
    a: int, b: int, found: Sequence[Grams], weight: Mapping[int, float], files: Sequence[Files]
) -> tuple[Example, ...]:
    """The lines at which the most that is shared and rare begins, in the order of the first submission."""
    worth: defaultdict[tuple[Place, Place], list[float]] = defaultdict(list)
    for gram in found[a].keys() & found[b].keys() & weight.keys():
        worth[found[a][gram], found[b][gram]].append(weight[gram])
    lines: dict[Place, Example] = {}
    for place, other in sorted(worth, key=lambda pair: (-math.fsum(worth[pair]), pair)):
        if place not in lines and place[0] == other[0] and len(lines) < LINES_SHOWN:
            (file, line), other_line = place, other[1]
            texts = line_of(files[0][file], line), line_of(files[1][file], other_line)
            lines[place] = Example(file, line, texts[0], other_line, texts[1])
    return tuple(lines[place] for place in sorted(lines))


def line_of(text: str, number: int) -> str:
    lines = io.StringIO(text).readlines()  # as tokenize counts them
    return one_line(lines[number - 1], 120) if number <= len(lines) else ""


def read(files: Files) -> Tokens:
    return {name: list(tokens_of(text)) for name, text in files.items()}


def grams_of(files: Tokens) -> Grams:
    """Every run of K tokens of these files, and where it begins first."""
    found: Grams = {}
    for name, tokens in files.items():
        words = [word for word, _ in tokens]
        for start in range(len(tokens) - K + 1):
            found.setdefault(hash(tuple(words[start : start + K])), (name, tokens[start][1]))
    return found


def tokens_of(text: str) -> Iterator[tuple[str, int]]:
    """(token, line) of what Python reads of a text, up to where it can read no further."""
    before = tokenize.NEWLINE
    try:
        for token in tokenize.generate_tokens(io.StringIO(text[:LONGEST]).readline):
            if token.type not in DROPPED and not (token.type == tokenize.STRING and before in BEGINS):
                yield placeholder(token), token.start[0]
            if token.type not in (tokenize.COMMENT, tokenize.NL):
                before = token.type
    except (tokenize.TokenError, SyntaxError, ValueError):
        return


def placeholder(token: tokenize.TokenInfo) -> str:
    """What of a token is compared: of a name that it is one, and of a text too; numbers and signs as they are."""
    if token.type == tokenize.NAME:
        return token.string if keyword.iskeyword(token.string) else "name"
    kind = tokenize.tok_name[token.type]
    if "STRING" in kind:  # from Python 3.12 on an f-string is several tokens
        return "text"
    return kind if token.type in (tokenize.INDENT, tokenize.DEDENT) else token.string
