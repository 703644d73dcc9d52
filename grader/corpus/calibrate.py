"""`python -m grader calibrate`: which test accuracy may be asked for?

The reference and the wheats are trained over many seeds through the accuracy check itself, secret view and all; the
weakest of them that is not exotic sets the highest threshold, the weakest of all the one before it (thresholds.py has
the rule). Exit status: 0 done, 1 nothing to propose,
2 bad input, 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.contract import WEEK
from grader.corpus import thresholds
from grader.corpus import verdicts as matrix
from grader.corpus.entries import ROOT, CorpusDamaged, DoesNotFit, course, demand_known, load_all
from grader.corpus.selftest import add_common, carry_out, positive, stopped
from grader.corpus.selftest_plan import OWN, reference_or_damaged, source_in
from grader.corpus.thresholds import ENOUGH_SEEDS, Measured, Proposal
from grader.corpus.trials import Row, Runs, Trial, judging_digest
from grader.digits import DigitsDamaged, load
from grader.engine.contract import Contract
from grader.engine.many.cluster import NoCluster
from grader.engine.many.judging import OtherGrader
from grader.engine.many.store import CannotKeep
from grader.engine.reports.markdown import escape
from grader.engine.rubric import BadRubric, Rubric, load_rubric
from grader.engine.submission.safe_files import write_text

REFERENCE = "(reference)"  # tests/base/
SCREENING = 2  # seeds of each solution before --weakest chooses
PLOTTED = 60  # solutions in the picture: the weakest
SHOWN = 25  # solutions in the terminal: the weakest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=positive, default=ENOUGH_SEEDS, metavar="N", help="runs of each (default 20)")
    parser.add_argument(
        "--wheats", nargs="+", default=["all"], metavar="NAME", help="all but the weak ones (default), or these"
    )
    parser.add_argument(
        "--weakest",
        type=positive,
        metavar="K",
        help=f"{SCREENING} runs of each, then N of the K weakest usual and exotic ones: faster",
    )
    parser.add_argument("--write", action="store_true", help="put the proposed thresholds into rubric.toml")
    parser.add_argument("--corpus", type=Path, default=ROOT / "tests", metavar="DIR", help="holds wheats/")
    add_common(parser, "calibrate-out")


def run(args: argparse.Namespace, contract: Contract = WEEK) -> int:
    if args.write and find_spec("tomlkit") is None:  # before hours of training, not after
        print("--write needs the package tomlkit: `pip install tomlkit`, or leave --write out.", file=sys.stderr)
        return 2
    if args.weakest and args.seeds <= SCREENING:
        print(
            f"--weakest saves runs beyond the first {SCREENING} of each; with --seeds {args.seeds} leave it out.",
            file=sys.stderr,
        )
        return 2
    try:
        given, grader = load_rubric(WEEK, args.rubric), judging_digest(args.rubric)
        rubric = replace(given, limits={**given.limits, "experiments": 0})  # nobody reads what they would say
        chosen = solutions(args)
        exotic = {entry.name for entry in load_all("wheats", args.corpus) if entry.exotic}
        digits = len(load().test_labels)
        store = Runs(args.out, args.resume)
    except (CorpusDamaged, BadRubric, CannotKeep, DigitsDamaged) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return session(args, Console(highlight=False), rubric, grader, chosen, exotic, digits, store)
    except (CannotKeep, BadRubric, NoCluster, OtherGrader) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        store.close()


def solutions(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """{name: files} of what is trained: the shipped solution, the course's own, wheats. Raises CorpusDamaged.

    A wheat that does not fit the contract is named on standard error and left out.
    """
    wheats = {entry.name: entry for entry in load_all("wheats", args.corpus)}
    strong = [name for name, entry in wheats.items() if not entry.weak]
    names = strong if args.wheats == ["all"] else args.wheats
    demand_known(names, wheats, "wheat", f"in {args.corpus / 'wheats'}, without .toml")
    base, own = reference_or_damaged(), course()
    found = {REFERENCE: base} if own == base else {OWN: own, REFERENCE: base}
    for name in names:
        try:
            found[name] = source_in(wheats[name], wheats)
        except DoesNotFit as error:
            print(f"Left out: {str(error).rstrip('.')}.", file=sys.stderr)
    return found


def session(
    args: argparse.Namespace,
    console: Console,
    rubric: Rubric,
    grader: str,
    chosen: Mapping[str, Mapping[str, str]],
    exotic: Collection[str],
    digits: int,
    store: Runs,
) -> int:
    first = min(SCREENING, args.seeds) if args.weakest else args.seeds
    trials = trials_of(chosen, first)
    if not carry_out(trials, args, rubric, grader, store, console, tell(console)):
        return stopped(trials, store, grader)
    weakest = list(chosen)
    if args.weakest:
        known = measured_in(store, trials, grader, digits, exotic)
        kinds = [[one.name for one in known if one.exotic == kind] for kind in (False, True)]
        weakest = [name for names in kinds for name in names[: args.weakest]]
        trials = trials_of({name: chosen[name] for name in weakest}, args.seeds)
        if not carry_out(trials, args, rubric, grader, store, console, tell(console)):
            return stopped(trials, store, grader)
    found = measured_in(store, trials_of(chosen, args.seeds), grader, digits, exotic)
    deciding = [one for one in found if one.name in weakest]  # what was only screened has too few seeds for a say
    if not deciding:
        print("Nothing was measured: every run ended in trouble (see above).", file=sys.stderr)
        return 1
    return conclude(args, console, rubric, found, deciding)


def trials_of(chosen: Mapping[str, Mapping[str, str]], seeds: int) -> list[Trial]:
    """Seed by seed, so that an interrupted calibration has seen every solution."""
    return [
        Trial("wheats", name, "", seed, (WEEK.part_of(WEEK.tiered),), files)
        for seed in range(1, seeds + 1)
        for name, files in chosen.items()
    ]


def measured_in(
    store: Runs, trials: Sequence[Trial], grader: str, digits: int, exotic: Collection[str]
) -> list[Measured]:
    """What was reached, weakest first. A run without an accuracy (it crashed or timed out) counts as 0."""
    values: dict[str, list[float]] = {}
    for trial in trials:
        row = store.rows.get(trial.key(grader))
        if row is not None and not row.trouble:
            values.setdefault(trial.entry, []).append(row.accuracy or 0.0)
    return sorted((Measured(n, tuple(v), digits, n in exotic) for n, v in values.items()), key=lambda one: one.mean)


def conclude(
    args: argparse.Namespace, console: Console, rubric: Rubric, found: Sequence[Measured], deciding: Sequence[Measured]
) -> int:
    console.print(table_of(found))
    try:
        proposed = thresholds.proposals(deciding, rubric.tiers)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    notes = notes_of(deciding)
    console.print(proposal_table(proposed))
    for note in notes:
        console.print(note, markup=False, soft_wrap=True)
    try:
        write_text(args.out / "calibrate.md", markdown(found, proposed, notes))
        draw(found[:PLOTTED], proposed, args.out)
        if args.write:
            thresholds.write_tiers(args.rubric, [one.at for one in proposed])
    except OSError as error:
        raise CannotKeep(f"{error.filename or args.out} cannot be written ({error.strerror}).") from error
    told = f"Table and pictures are in {args.out}."
    done = f"{args.rubric} has the new thresholds." if args.write else "Nothing was changed: --write puts them in."
    console.print(f"{told} {done}", markup=False, soft_wrap=True)
    return 0


def tell(console: Console) -> matrix.Say:
    """Says at once which run gave no accuracy."""

    def say(row: Row) -> None:
        if row.trouble or row.accuracy is None:
            words = row.trouble[0] if row.trouble else f"no accuracy, {row.first}"
            console.print(f"{row.entry} (seed {row.seed}): {words}", markup=False)

    return say


# -- what is shown -------------------------------------------------------------------------------------------


def cells(one: Measured) -> list[str]:
    return [
        one.name,
        "exotic" if one.exotic else "",
        str(len(one.values)),
        f"{min(one.values):.1%}",
        f"{one.mean:.1%}",
        f"{max(one.values):.1%}",
        f"{one.sd:.2%}",
        f"{one.lower():.1%}",
    ]


HEADS = ("solution", "kind", "runs", "lowest", "mean", "highest", "sd", "may be asked")


def table_of(found: Sequence[Measured]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", title="Test accuracy, weakest first")
    for name in HEADS:
        table.add_column(name, justify="left" if name in HEADS[:2] else "right", no_wrap=True)
    for one in found[:SHOWN]:
        table.add_row(*cells(one))
    more = [Text(f"... and {len(found) - SHOWN} stronger ones in the report", style="dim")] if found[SHOWN:] else []
    return Group(table, *more, Text(""))


def proposal_cells(one: Proposal) -> list[str]:
    return [str(one.now.points), f"{one.now.at:.0%}", f"{one.failure_now:.1g}", f"{one.at:.0%}", f"{one.failure:.1g}"]


PROPOSAL_HEADS = ("points", "now", "missed by chance", "proposed", "missed by chance then")


def proposal_table(proposed: Sequence[Proposal]) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", title="Thresholds")
    for name in PROPOSAL_HEADS:
        table.add_column(name, justify="right", no_wrap=True)
    for one in proposed:
        table.add_row(*proposal_cells(one))
    return table


def notes_of(deciding: Sequence[Measured]) -> list[str]:
    notes = ["Missed by chance: the probability that one run of the correct solution that is weakest there misses it."]
    usual = [one for one in deciding if not one.exotic] or deciding
    for worst, tier in ((thresholds.weakest(usual), "the highest"), (thresholds.weakest(deciding), "the one before")):
        notes.append(
            f"{worst.name} decides {tier}: mean {worst.mean:.1%}, of which {thresholds.SIGMAS} standard deviations are "
            f"taken ({worst.spread:.2%} each: {worst.n} test digits and the seeds)."
        )
    if len(usual) == len(deciding):
        del notes[-1]  # nothing exotic was measured
    fewest = min(len(one.values) for one in deciding)
    if fewest < ENOUGH_SEEDS:
        notes.append(f"Only {fewest} seeds: the spread is uncertain, so use {ENOUGH_SEEDS} before you write this down.")
    return notes


def markdown(found: Sequence[Measured], proposed: Sequence[Proposal], notes: Sequence[str]) -> str:
    def row(values: Sequence[str]) -> str:
        return "| " + " | ".join(values) + " |"

    lines = ["# Calibration", "", row(PROPOSAL_HEADS), row(["---:"] * len(PROPOSAL_HEADS))]
    lines += [row(proposal_cells(one)) for one in proposed]
    lines += ["", *(f"{escape(note)}\n" for note in notes), "![Test accuracy by solution](accuracy.svg)", ""]
    lines += [row(HEADS), row(["---"] * 2 + ["---:"] * (len(HEADS) - 2))]
    lines += [row([escape(cells(one)[0]), *cells(one)[1:]]) for one in found]
    return "\n".join(lines) + "\n"


def draw(found: Sequence[Measured], proposed: Sequence[Proposal], folder: Path) -> None:
    """accuracy.png and accuracy.svg: one dot per run, one line per solution, the proposed thresholds upright."""
    from matplotlib.figure import Figure  # slow to import, and without pyplot it needs no screen

    figure = Figure(figsize=(8, 1.2 + 0.2 * len(found)), layout="constrained")
    axes = figure.subplots()
    for height, one in enumerate(reversed(found)):
        axes.plot(one.values, [height] * len(one.values), "o", color="tab:blue", alpha=0.5, markersize=4)
        axes.plot([one.mean], [height], "|", color="black", markersize=10)
    for proposal in proposed:
        axes.axvline(proposal.at, color="tab:red", linewidth=1)
        axes.text(
            proposal.at,
            1.0,
            f"{proposal.at:.0%}: {proposal.now.points} ",
            transform=axes.get_xaxis_transform(),
            rotation=90,
            va="top",
            ha="right",
            color="tab:red",
            fontsize=8,
        )
    axes.set_yticks(range(len(found)), [one.name for one in reversed(found)], fontsize=7)
    axes.set_xlabel("test accuracy on secret digits (dots: runs, bars: means; red: proposed threshold and points)")
    axes.grid(axis="x", alpha=0.3)
    for kind in ("png", "svg"):
        figure.savefig(folder / f"accuracy.{kind}", dpi=120)
