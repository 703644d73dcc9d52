"""`selftest --mutants N`: thousands of slightly wrong programs that nobody wrote. Are they caught?

N of all programs that are one change away from a right one (see mutation) are drawn. First the parts that judge the
changed file look at them, then the accuracy. An oracle that does not look at the checks tells which of the survivors
are equivalent: they give the same numbers as the program before the change. The others are listed, to be read: each is
another right solution, or a gap in the checks.
"""

from __future__ import annotations

import ast
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from grader.corpus.entries import DoesNotFit, Entry, reference
from grader.corpus.mutation import Mutant, mutants
from grader.corpus.oracle import KEPT, Oracle, few_digits
from grader.corpus.selftest_plan import LONG, SEEN_BY, source_in
from grader.corpus.trials import Row, Trial
from grader.engine.many.executor import each_done
from grader.engine.many.store import Store

KIND = "mutants"
WHEATS = 20  # right solutions that are changed
SEED = 1

CarryOut = Callable[[Sequence[Trial]], bool]
Rows = Callable[[Sequence[Trial]], dict[str, Row]]  # {entry: row} of what has run


@dataclass
class Drawn:
    """mutants: {name: mutant}; of: the right solutions, {name: {file: text}}; every: how many there would be."""

    mutants: dict[str, Mutant]
    of: dict[str, dict[str, str]]
    every: int

    def files(self, name: str) -> dict[str, str]:
        mutant = self.mutants[name]
        return self.of[mutant.wheat] | {mutant.file: mutant.text}

    def trials(self, names: Sequence[str], long: bool) -> list[Trial]:
        """One for each: the parts in which the changed file is judged, but for the long one, or only that."""
        found = []
        for name in names:
            seen_by = SEEN_BY[self.mutants[name].file]
            parts = tuple(part for part in seen_by if (part == LONG) == long)
            found.append(Trial(KIND, name, self.mutants[name].wheat, SEED, parts, self.files(name)))
        return found


@dataclass
class Survey:
    """What came of them, by name. caught: by a check; same: equivalent; different: survived, and to be read."""

    drawn: Drawn
    caught: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def draw(number: int, wheats: Mapping[str, Entry], names: Sequence[str]) -> Drawn:
    """names: of the right solutions; else the shipped one and others, drawn. The same N gives the same mutants."""
    rng = random.Random(SEED)
    usual = [name for name, entry in sorted(wheats.items()) if not entry.weak]
    chosen = [name for name in names if name in wheats] or rng.sample(usual, min(WHEATS - 1, len(usual)))
    sources = {} if names else {"reference": reference()}
    for name in chosen:
        try:
            sources[name] = source_in(wheats[name], dict(wheats))
        except DoesNotFit:
            continue
    every = [
        one for name, files in sources.items() for file, text in files.items() for one in mutants(name, file, text)
    ]
    picked = rng.sample(every, min(number, len(every)))
    named = {f"{one.wheat} {one.file}:{one.line} {one.operator} {place}": one for place, one in enumerate(picked)}
    return Drawn(named, sources, len(every))


def survey(drawn: Drawn, carry_out: CarryOut, rows: Rows, jobs: int, out: Path) -> Survey | None:
    """Grade them, quick parts first; None when it was stopped. out: the folder where answers are kept."""
    found = Survey(drawn)
    quick = drawn.trials(list(drawn.mutants), long=False)
    if not carry_out(quick):
        return None
    left = list(sort_out(found, rows(quick)))
    found.same = equivalent(drawn, left, jobs, out)
    long = drawn.trials([name for name in left if name not in found.same], long=True)
    if not carry_out(long):
        return None
    found.different += sort_out(found, rows(long))
    return found


def equivalent(drawn: Drawn, names: Sequence[str], jobs: int, out: Path) -> list[str]:
    """Those that do what the program before the change does. Raises CannotKeep."""
    programs = {name: drawn.files(name) for name in names}
    for name in {drawn.mutants[name].wheat for name in names}:
        programs[name] = {file: normal(text) for file, text in drawn.of[name].items()}
    did: dict[str, str] = {}
    kept = Store(out / KEPT)
    with closing(kept), tempfile.TemporaryDirectory(prefix="grader-mutants-") as folder:
        oracle = Oracle(few_digits(Path(folder)), kept)
        with ThreadPoolExecutor(jobs) as executor:
            for name, answer in each_done(executor, lambda name: oracle(programs[name]), programs, jobs):
                if isinstance(answer, BaseException):
                    raise answer
                did[name] = answer
    return [name for name in names if did[name] and did[name] == did[drawn.mutants[name].wheat]]


def sort_out(found: Survey, rows: Mapping[str, Row]) -> Iterator[str]:
    """The names of those that passed; the others go to their list."""
    for name, row in rows.items():
        if row.trouble:
            found.trouble.append(name)
        elif row.failed:
            found.caught.append(name)
        else:
            yield name


def normal(text: str) -> str:
    """A program as a mutant's is written, without comments."""
    return ast.unparse(ast.parse(text))


# -- the report ----------------------------------------------------------------------------------------------


def headline(found: Survey) -> list[str]:
    drawn = found.drawn
    judged = len(found.caught) + len(found.different)
    told = [
        f"{len(drawn.mutants)} of {drawn.every} mutants of {len(drawn.of)} correct solutions: {len(found.caught)} lose "
        f"points, {len(found.same)} survive and do the same, {len(found.different)} survive and differ.",
        f"Of those that do not do the same, {len(found.caught)} of {judged} lose points "
        f"({100 * len(found.caught) / max(judged, 1):.1f} %).",
    ]
    if found.trouble:
        told.append(f"{len(found.trouble)} ended in trouble of the grader's own and say nothing: --resume tries again.")
    return told


def markdown(found: Survey) -> str:
    """The figures, a row for each operator, and every survivor that differs, with its change."""
    lines = [
        "# Mutants",
        "",
        *headline(found),
        "",
        "| operator | caught | same | differ |",
        "| --- | --- | --- | --- |",
    ]
    of = found.drawn.mutants
    counts = {
        kind: Counter(of[name].operator for name in getattr(found, kind)) for kind in ("caught", "same", "different")
    }
    for operator in sorted({one.operator for one in of.values()}):
        lines.append(f"| {operator} | " + " | ".join(str(count[operator]) for count in counts.values()) + " |")
    lines += ["", "## Survivors that differ", ""]
    for name in sorted(found.different, key=lambda name: (of[name].operator, name)):
        one = of[name]
        lines += [f"{one.operator}: {one.wheat}, {one.file}, line {one.line}", "```diff", f"- {one.before}"]
        lines += [f"+ {one.after}", "```", ""]
    return "\n".join(lines) + "\n"
