"""The matrix of a selftest for the terminal and as Markdown, in a teacher's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.contract import WEEK
from grader.corpus.trials import Row
from grader.corpus.verdicts import CheckLine, Matrix, caught_by, check_lines, free_of_charge, label, losses, named_right
from grader.engine.reports.markdown import escape

SHOWN = 15  # lines of a list in the terminal; the Markdown has all


def headline(found: Matrix) -> list[str]:
    """The figures, one sentence each."""
    wheats, chaffs = found.of("wheats"), found.of("chaffs")
    told = []
    if wheats:
        entries, hurt = {row.entry for row in wheats}, {row.entry for row in found.false_alarms}
        told.append(
            f"{many(len(entries), 'correct solution')}, {many(len(wheats), 'run')}: "
            f"{many(len(found.false_alarms), 'false alarm')}" + (f", in {len(hurt)} of the solutions." if hurt else ".")
        )
    if chaffs:
        caught = len(chaffs) - len(found.missed)
        right = caught - len(found.misnamed)
        told.append(
            f"{many(len(chaffs), 'wrong solution')}: {caught} lose points ({share(caught, len(chaffs))}), "
            f"and of {right} the first thing named is the mistake ({share(right, len(chaffs))})."
        )
    if found.attacks:
        told.append(f"{found.attacks} attacks: {len(found.gains)} gain points or end in a way they must not.")
    if found.fits_not or found.void:
        told.append(
            f"Of the other combinations {found.fits_not} do not fit, and {found.void} are void "
            f"(the same text as another combination)."
        )
    if found.trouble:
        told.append(f"{many(len(found.trouble), 'run')} ended in trouble of the grader's own and say nothing.")
    return told


def many(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"


def lists(found: Matrix) -> list[tuple[str, str, list[str]]]:
    """(heading, what it means, lines) of everything that is not as it should be; empty ones are left out."""
    free = [row for row in found.missed if row.failed]
    silent = [row for row in found.missed if not row.failed]
    every = [
        ("Correct solutions that lose points", "Students who wrote this would lose points unfairly.", alarms(found)),
        ("Not caught", "Wrong, and nothing is said.", [f"{label(r)}: {what(r, found)}" for r in silent]),
        (
            "Seen, but it costs nothing",
            "What you lost by giving a check 0 points: students read the hint and keep all points.",
            [f"{label(r)}{free_of_charge(r)}" for r in free],
        ),
        (
            "Caught, but something else is named first",
            "The student loses points and is sent to the wrong place first.",
            [misnaming(row, found) for row in found.misnamed],
        ),
        ("Attacks", "Hostile code that gains points, or ends in a way it must not.", found.gains),
        ("Entries that do not fit", "tests/base/ or the contract changed: write these again.", list(found.unfit)),
        ("Trouble", "The grader's own fault.", [f"{label(row)}: {row.trouble[0]}" for row in found.trouble]),
        ("Since the selftest before this one", "Compared by name.", found.changes),
    ]
    return [(heading, meaning, lines) for heading, meaning, lines in every if lines]


def alarms(found: Matrix) -> list[str]:
    """One line per wheat: on how many of its seeds, and what it lost."""
    runs = Counter(row.entry for row in found.of("wheats"))
    lines = []
    for name in dict.fromkeys(row.entry for row in found.false_alarms):
        hurt = [row for row in found.false_alarms if row.entry == name]
        top = max(tier.at for tier in found.rubric.tiers)
        asks = f"; the top tier asks for {top:.1%}" if any(WEEK.tiered in row.failed for row in hurt) else ""
        seeds = ", ".join(str(row.seed) for row in hurt)
        lines.append(f"{name}, {len(hurt)} of {runs[name]} runs (seed {seeds}): {losses(hurt[0])}{asks}")
    return lines


def what(row: Row, found: Matrix) -> str:
    return found.entries[row.kind][row.entry].what


def misnaming(row: Row, found: Matrix) -> str:
    expected = " or ".join(found.entries[row.kind][row.entry].findings)
    return f"{label(row)}: {row.first} ({row.first_check}), expected {expected}"


def idle(found: Matrix) -> list[str]:
    """Sentences about checks that could be removed: every chaff would still be caught."""
    if not found.of("chaffs"):
        return []
    lines = check_lines(found)
    nothing = [line.id for line in lines if not line.caught]
    shared = [line.id for line in lines if line.caught and not line.only]
    told = []
    if nothing:
        told.append(f"Caught nothing: {', '.join(nothing)}.")
    if shared:
        told.append(f"Caught nothing that another check did not catch too: {', '.join(shared)}.")
    return told


def terminal(found: Matrix) -> RenderableType:
    blocks: list[RenderableType] = [Text("")]
    for heading, _, lines in lists(found):
        blocks.append(Text(f"{heading} ({len(lines)})", style="bold yellow"))
        blocks += [Text(f"  {line}") for line in lines[:SHOWN]]
        if len(lines) > SHOWN:
            blocks.append(Text(f"  ... and {len(lines) - SHOWN} more in the report", style="dim"))
        blocks.append(Text(""))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("check", "points", "caught", "only this one", "named first", "false alarms"):
        table.add_column(name, justify="left" if name == "check" else "right")
    for line in check_lines(found):
        table.add_row(*map(str, cells(line)))
    blocks += [table, Text(""), *(Text(line, style="dim") for line in idle(found)), Text("")]
    blocks += [Text(line, style="bold") for line in headline(found)]
    return Group(*blocks)


def cells(line: CheckLine) -> list[Any]:
    return [line.id, line.points, line.caught, line.only, line.first, line.false_alarms]


def markdown(found: Matrix) -> str:
    lines = ["# Selftest", "", *(f"{sentence}\n" for sentence in headline(found))]
    ran = {part for row in found.rows for part in row.parts}
    parts = [part for part in WEEK.part_names if part in ran]
    lines += [f"Parts that ran: {', '.join(parts)}. Grader {found.grader}, {found.seconds:.0f} s this time.", ""]
    for heading, meaning, entries in lists(found):
        lines += [f"## {heading} ({len(entries)})", "", meaning, "", *(f"- {escape(entry)}" for entry in entries), ""]
    lines += ["## The checks", "", "| check | points | caught | only this one | named first | false alarms |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += ["| " + " | ".join(map(str, cells(line))) + " |" for line in check_lines(found)]
    lines += ["", *(f"{sentence}\n" for sentence in idle(found))]
    lines += ["A chaff runs the parts of the files it changes; the others only when these see nothing.", ""]
    if chaffs := found.of("chaffs"):
        lines += ["## Every wrong solution", "", "| solution | lost | named first | as expected | caught by |"]
        lines += ["| --- | ---: | --- | --- | --- |"]
        lines += [chaff_line(row, found) for row in chaffs]
    if wheats := found.of("wheats"):
        lines += ["", "## Every correct solution", "", "| solution | runs | lost at most | accuracy |"]
        lines += ["| --- | ---: | ---: | ---: |", *wheat_lines(wheats)]
    return "\n".join(lines) + "\n"


def chaff_line(row: Row, found: Matrix) -> str:
    right = "yes" if row.lost and named_right(row, found.entries) else "no"
    return f"| {escape(label(row))} | {row.lost} | {row.first or '-'} | {right} | {', '.join(caught_by(row)) or '-'} |"


def wheat_lines(wheats: Sequence[Row]) -> list[str]:
    lines = []
    for name in dict.fromkeys(row.entry for row in wheats):
        own = [row for row in wheats if row.entry == name]
        reached = [row.accuracy for row in own if row.accuracy is not None]
        span = f"{min(reached):.1%} to {max(reached):.1%}" if reached else "-"
        lines.append(f"| {escape(name)} | {len(own)} | {max(row.lost for row in own)} | {span} |")
    return lines
