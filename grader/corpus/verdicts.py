"""What a selftest found: pure functions from its rows to verdicts, figures and what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.contract import WEEK
from grader.corpus.entries import Entry
from grader.corpus.trials import Row
from grader.engine.rubric import Rubric

Entries = Mapping[str, Mapping[str, Entry]]
Say = Callable[[Row], None]


@dataclass
class CheckLine:
    """What one check is worth: the chaffs it caught, those only it caught, those it named first; wheats it hurt."""

    id: str
    points: int
    caught: int = 0
    only: int = 0
    first: int = 0
    false_alarms: int = 0


@dataclass
class Matrix:
    """Everything the reports draw."""

    rows: Sequence[Row]
    entries: Entries
    rubric: Rubric
    unfit: Sequence[str]
    fits_not: int = 0
    void: int = 0
    changes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    grader: str = ""
    gains: list[str] = field(default_factory=list)  # sentences about attacks
    attacks: int = 0

    def of(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind and not row.trouble]

    @property
    def false_alarms(self) -> list[Row]:
        return [row for row in self.of("wheats") if row.lost]

    @property
    def missed(self) -> list[Row]:
        return [row for row in self.of("chaffs") if not row.lost]

    @property
    def misnamed(self) -> list[Row]:
        return [row for row in self.of("chaffs") if row.lost and not named_right(row, self.entries)]

    @property
    def trouble(self) -> list[Row]:
        return [row for row in self.rows if row.trouble]

    @property
    def good(self) -> bool:
        return not (self.false_alarms or self.missed or self.trouble or self.unfit or self.gains)


def named_right(row: Row, entries: Entries) -> bool:
    """Whether the next step has the finding, or the status, that the entry expects (if it expects any)."""
    expected = entries[row.kind][row.entry].findings
    status = row.failed[row.first_check][0] if row.first_check in row.failed else ""
    return not expected or row.first in expected or status in expected


def label(row: Row) -> str:
    return f"{row.entry} on {row.base}" if row.base else row.entry


def complaint(row: Row, entries: Entries) -> str:
    """One line for a run that is not as it should be, "" for the others."""
    if row.trouble:
        return f"trouble      {label(row)}: {row.trouble[0]}"
    if row.kind == "attacks":
        return ""  # judged beside its harmless base, at the end
    if row.kind == "wheats":
        return f"false alarm  {row.entry} (seed {row.seed}): {losses(row)}" if row.lost else ""
    if not row.lost:
        return f"not caught   {label(row)}{free_of_charge(row)}"
    if not named_right(row, entries):
        expected = " or ".join(entries[row.kind][row.entry].findings)
        return f"named other  {label(row)}: {row.first} ({row.first_check}), expected {expected}"
    return ""


def losses(row: Row) -> str:
    """Where a wheat lost points, and how far its accuracy falls short."""
    told = [f"{check}: {finding or status} (-{lost})" for check, (status, finding, lost) in row.failed.items() if lost]
    if row.accuracy is not None and WEEK.tiered in row.failed:
        told.append(f"test accuracy {row.accuracy:.1%}")
    return ", ".join(told)


def free_of_charge(row: Row) -> str:
    """A chaff that is seen but loses nothing: its check has no points in this rubric."""
    seen = [f"{check} sees {finding or status}" for check, (status, finding, _) in row.failed.items()]
    return f" ({', '.join(seen)}, but the rubric gives that 0 points)" if seen else ""


def caught_by(row: Row) -> list[str]:
    """The checks that took points and saw something themselves (a blocked check only waits for another)."""
    return [check for check, (status, _, lost) in row.failed.items() if lost and status not in ("blocked", "todo")]


def check_lines(found: Matrix) -> list[CheckLine]:
    run = {part for row in found.rows for part in row.parts}
    lines = {c.id: CheckLine(c.id, found.rubric.points[c.id]) for c in WEEK.checks if c.part in run}
    for row in found.of("chaffs"):
        by = caught_by(row)
        for check in by:
            lines[check].caught += 1
            lines[check].only += len(by) == 1
        if by and row.first_check in lines:
            lines[row.first_check].first += 1
    for row in found.false_alarms:
        for check in caught_by(row):
            lines[check].false_alarms += 1
    return list(lines.values())


def changes(now: Sequence[Row], before: Sequence[Row], entries: Entries) -> list[str]:
    """What an earlier selftest in the same folder said otherwise: the price, or the gain, of a change."""

    def states(rows: Sequence[Row]) -> dict[tuple[str, str, str], str]:
        found: dict[tuple[str, str, str], str] = {}
        for row in rows:
            key = (row.kind, row.entry, row.base)
            if row.trouble or row.entry not in entries.get(row.kind, {}):
                continue
            if row.kind == "wheats":
                state = "false alarm" if row.lost or found.get(key) == "false alarm" else "full marks"
            else:
                state = (
                    "not caught" if not row.lost else "named" if named_right(row, entries) else "something else named"
                )
            found[key] = state
        return found

    old = states(before)
    told = []
    for key, state in states(now).items():
        if key in old and old[key] != state:
            _, entry, base = key
            told.append(f"{entry}{' on ' + base if base else ''}: {old[key]} before, {state} now")
    return told
