"""`selftest --mutants N`: thousands of slightly wrong programs that nobody wrote. Are they caught?

N of all programs that are one change away from a right one (see mutation) are drawn. First the parts that judge the
changed file look at them, then the accuracy. An oracle that does not look at the checks tells which of the survivors
are equivalent: they give the same numbers as the program before the change. The others are listed, to be read: each is
another right solution, or a gap in the checks.
"""

from __future__ import annotations

import ast
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from grader.corpus.entries import ROOT, DoesNotFit, Entry, reference
from grader.corpus.mutation import Mutant, mutants
from grader.corpus.selftest_plan import LONG, SEEN_BY, source_in
from grader.corpus.trials import Row, Trial
from grader.digits import load, write_idx

KIND = "mutants"
WHEATS = 20  # right solutions that are changed
ORACLE = ROOT / "tests" / "behaviour.py"
SIGN = "DID "
SECONDS = 60  # of one program, for the oracle
TRAINING, TEST = 300, 90  # digits for the oracle
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


def survey(drawn: Drawn, carry_out: CarryOut, rows: Rows, jobs: int) -> Survey | None:
    """Grade them, quick parts first; None when it was stopped."""
    found = Survey(drawn)
    quick = drawn.trials(list(drawn.mutants), long=False)
    if not carry_out(quick):
        return None
    left = list(sort_out(found, rows(quick)))
    with tempfile.TemporaryDirectory(prefix="grader-mutants-") as folder:
        digits = few_digits(Path(folder))
        with ThreadPoolExecutor(jobs) as executor:
            plain = {
                name: executor.submit(behaviour, {file: normal(text) for file, text in files.items()}, digits)
                for name, files in drawn.of.items()
            }
            did = dict(zip(left, executor.map(lambda name: behaviour(drawn.files(name), digits), left)))
        for name in left:
            if did[name] and did[name] == plain[drawn.mutants[name].wheat].result():
                found.same.append(name)
    long = drawn.trials([name for name in left if name not in found.same], long=True)
    if not carry_out(long):
        return None
    found.different += sort_out(found, rows(long))
    return found


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


def behaviour(files: Mapping[str, str], digits: Path) -> str:
    """The digest of what these files do, in a process of its own; "" when it stops, or does not in time."""
    with tempfile.TemporaryDirectory(prefix="grader-mutant-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-X", "utf8", str(ORACLE), folder, str(digits)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
                timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return ""
        return next((line for line in done.stdout.splitlines() if line.startswith(SIGN)), "")


def few_digits(folder: Path) -> Path:
    digits = load()
    write_idx(
        folder,
        digits.train_images[:TRAINING],
        digits.train_labels[:TRAINING],
        digits.test_images[:TEST],
        digits.test_labels[:TEST],
    )
    return folder


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
