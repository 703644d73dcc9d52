"""Which gradings a selftest consists of: every wheat, every chaff, or every chaff on every wheat."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from grader.contract import WEEK
from grader.corpus.entries import (
    ROOT,
    SUBMITTED,
    CorpusDamaged,
    DoesNotFit,
    Entry,
    course,
    demand_known,
    load_all,
    reference,
    source_of,
)
from grader.corpus.trials import Trial, digest

SEEN_BY = WEEK.files  # the parts in which a file's own code runs
PART_OF = {name: parts[0] for name, parts in SEEN_BY.items()}  # the part that judges it
QUICK = WEEK.quick_parts  # everything that needs no real training
LONG = WEEK.part_of(WEEK.long)
KINDS = ("wheats", "chaffs")
SEEDS, SEEDS_WITH_TRAINING = 3, 1
OWN = "solution"  # the course's own, a wheat where it is not the shipped one


@dataclass
class Plan:
    """What is to be run, and what cannot be."""

    trials: list[Trial] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)  # sentences: a patch that no longer fits its own base
    fits_not: int = 0  # cross: combinations whose patch does not fit
    void: int = 0  # cross: combinations whose text is that of another one


def load_entries(args: argparse.Namespace) -> dict[str, dict[str, Entry]]:
    """{kind: {name: entry}}. Raises CorpusDamaged."""
    entries = {kind: {e.name: e for e in load_all(kind, args.corpus)} for kind in KINDS}
    if not entries["wheats"] and not entries["chaffs"]:
        raise CorpusDamaged(f"{args.corpus} holds no wheats/*.toml and no chaffs/*.toml.")
    if args.corpus == ROOT / "tests" and course() != reference_or_damaged():
        entries["wheats"][OWN] = own_solution()
    known = {name for kind in entries.values() for name in kind} | {
        p.stem for p in (args.corpus / "attacks").glob("*.toml")
    }
    demand_known(args.names, known, "entry", f"in wheats/, chaffs/ and attacks/ of {args.corpus}, without .toml")
    return entries


def reference_or_damaged() -> dict[str, str]:
    """The base of the corpus. Raises CorpusDamaged, because without it no entry can stand."""
    try:
        return reference()
    except (DoesNotFit, OSError, SyntaxError) as error:
        raise CorpusDamaged(f"The corpus has no base to stand on: {error}") from error


def own_solution() -> Entry:
    return Entry(OWN, "The solution of this course.", "solution/", (), None, (), course())


def planned(args: argparse.Namespace, entries: dict[str, dict[str, Entry]]) -> Plan:
    plan = Plan()
    kinds = args.only or KINDS
    wheats = dict(sources(entries["wheats"], entries, plan))
    chosen = {kind: {n: e for n, e in entries[kind].items() if not args.names or n in args.names} for kind in KINDS}
    if args.cross:
        cross(plan, chosen["chaffs"] or entries["chaffs"], wheats, args, entries)
        return plan
    if "chaffs" in kinds:
        for name, files in sources(chosen["chaffs"], entries, plan):
            entry = entries["chaffs"][name]
            plan.trials += chaff_trials(entry, "", files, base_files(entry, wheats), args)
    if "wheats" in kinds:
        seeds = args.seeds or (SEEDS_WITH_TRAINING if args.accuracy or LONG in (args.parts or ()) else SEEDS)
        before = reference()
        for seed in range(1, seeds + 1):
            for name, entry in chosen["wheats"].items():
                if name in wheats and (parts := wheat_parts(entry, wheats[name], before, args, seed)):
                    plan.trials.append(Trial("wheats", name, "", seed, parts, wheats[name]))
    return plan


def wheat_parts(
    entry: Entry, files: dict[str, str], before: dict[str, str], args: argparse.Namespace, seed: int
) -> tuple[str, ...]:
    """All parts once; with further seeds only those that see what is not the reference's own text."""
    allowed = args.parts or (WEEK.part_names if args.accuracy else QUICK)
    seen = {part for name in SUBMITTED if files.get(name) != before[name] for part in SEEN_BY[name]}
    return tuple(
        part
        for part in allowed
        if (part in seen or seed == 1 or args.full) and not (part == LONG and (entry.weak or entry.exotic))
    )


def sources(
    chosen: dict[str, Entry], entries: dict[str, dict[str, Entry]], plan: Plan
) -> Iterable[tuple[str, dict[str, str]]]:
    """(name, files) of those that fit their own base; the others are noted in the plan."""
    for name, entry in chosen.items():
        try:
            yield name, source_in(entry, entries["wheats"])
        except DoesNotFit as error:
            plan.unfit.append(str(error))


def source_in(entry: Entry, wheats: dict[str, Entry]) -> dict[str, str]:
    """The submission of an entry of this corpus. Raises DoesNotFit."""
    if entry.base is None:
        return source_of(entry, reference())
    if entry.base not in wheats or entry.base == entry.name:
        raise DoesNotFit(f"{entry.name}: there is no wheat {entry.base} to stand on")
    return source_of(entry, source_in(wheats[entry.base], wheats))


def base_files(entry: Entry, wheats: dict[str, dict[str, str]]) -> dict[str, str]:
    return wheats[entry.base] if entry.base else reference()


def chaff_trials(
    entry: Entry, base: str, files: dict[str, str], before: dict[str, str], args: argparse.Namespace
) -> list[Trial]:
    """One trial: the parts that the entry names; else first those of its files, then the other quick ones."""
    if entry.parts:
        shown_in = tuple(part for part in entry.parts if part in (args.parts or entry.parts))
        return [Trial("chaffs", entry.name, base, 1, shown_in, files)] if shown_in else []
    allowed = tuple(args.parts or ((*QUICK, LONG) if args.accuracy and args.full else QUICK))
    touched = tuple(PART_OF[n] for n in SUBMITTED if files.get(n) != before.get(n) and PART_OF[n] in allowed)
    if args.parts and not touched:
        return []
    if args.full or not touched:
        return [Trial("chaffs", entry.name, base, 1, allowed, files)]
    more = () if args.parts else tuple(p for p in allowed if p not in touched)
    return [Trial("chaffs", entry.name, base, 1, touched, files, more)]


def cross(
    plan: Plan,
    chaffs: dict[str, Entry],
    wheats: dict[str, dict[str, str]],
    args: argparse.Namespace,
    entries: dict[str, dict[str, Entry]],
) -> None:
    """Every chaff on every wheat. Void: the text is the wheat's own, or that of the same chaff elsewhere."""
    for entry in chaffs.values():
        try:
            known = {digest(*source_in(entry, entries["wheats"]).values())}
        except DoesNotFit as error:
            plan.unfit.append(str(error))
            known = set()
        for wheat, before in wheats.items():
            try:
                files = source_of(entry, before)
            except DoesNotFit:
                plan.fits_not += 1
                continue
            text = digest(*files.values())
            if files == before or text in known:
                plan.void += 1
                continue
            known.add(text)
            plan.trials += chaff_trials(entry, wheat, files, before, args)
    if args.sample and args.sample < len(plan.trials):
        plan.trials = random.Random(1).sample(plan.trials, args.sample)
