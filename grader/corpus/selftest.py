"""`python -m grader selftest`: correct and wrong solutions are graded, and the grader is judged by them.

Correct solutions ("wheats") must lose nothing; solutions with one mistake ("chaffs") must lose points, and the
first thing named must be that mistake. Exit status: 0 all as it should be, 1 not, 2 bad input, 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from grader.contract import WEEK
from grader.corpus import hostile, mutants
from grader.corpus import selftest_report as forms
from grader.corpus import verdicts as matrix
from grader.corpus.attacks import Attack
from grader.corpus.entries import ROOT, CorpusDamaged, DoesNotFit, Entry
from grader.corpus.selftest_plan import KINDS, LONG, SEEDS, Plan, load_entries, planned, source_in
from grader.corpus.trials import Grader, Row, Runs, Trial, judging_digest, open_trials, start_server
from grader.engine.contract import Contract
from grader.engine.many import cluster
from grader.engine.many.cluster import NoCluster
from grader.engine.many.executor import each_done, jobs_that_fit
from grader.engine.many.judging import OtherGrader, code_digest
from grader.engine.many.store import CannotKeep
from grader.engine.many.warm import Warm
from grader.engine.rubric import BadRubric, Rubric, load_rubric
from grader.engine.submission.safe_files import write_text
from grader.engine.worker.tiers import NotConfined


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these entries (default: all)")
    parser.add_argument(
        "--only", choices=(*KINDS, "attacks"), action="append", help="this kind (default: wheats and chaffs)"
    )
    parser.add_argument("--cross", action="store_true", help="every chaff on every wheat it fits")
    parser.add_argument(
        "--mutants",
        type=positive,
        metavar="N",
        help="N programs that are one change away from a wheat, and nothing else",
    )
    parser.add_argument("--sample", type=positive, metavar="N", help="with --cross: N combinations drawn at random")
    parser.add_argument("--seeds", type=positive, metavar="N", help=f"runs of each wheat (default {SEEDS})")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=WEEK.part_names,
        metavar="PART",
        help=f"only these of {', '.join(WEEK.part_names)}",
    )
    parser.add_argument("--accuracy", action="store_true", help="wheats train for the accuracy check too (slow)")
    parser.add_argument(
        "--full",
        action="store_true",
        help="run all parts for every chaff and seed, not only those that see what they change",
    )
    parser.add_argument("--corpus", type=Path, default=ROOT / "tests", metavar="DIR", help="holds wheats/ and chaffs/")
    parser.add_argument("--files", type=Path, metavar="DIR", help="put the files of NAME into DIR, and grade nothing")
    add_common(parser, "selftest-out")


def add_common(parser: argparse.ArgumentParser, out: str) -> None:
    """What selftest and calibrate share."""
    parser.add_argument("--jobs", type=positive, default=jobs_that_fit(), metavar="N", help="gradings at once")
    cluster.add_argument(parser)
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"reports (default {out}/)")
    parser.add_argument("--resume", action="store_true", help="keep the finished runs in DIR and do the rest")
    parser.add_argument("--rubric", type=Path, default=WEEK.rubric_path, metavar="FILE", help="try another rubric")


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def idle(args: argparse.Namespace) -> str:
    """A sentence about an option that would change nothing beside the others, "" where there is none."""
    kinds = set(args.only or KINDS)
    wheats = "wheats" in kinds and not args.cross
    told = (
        (
            args.mutants and (args.cross or args.only or args.seeds or args.accuracy or args.parts or args.full),
            "--mutants runs nothing but mutants, and chooses their parts; leave the other choices out.",
        ),
        (args.sample and not args.cross, "--sample draws from the combinations of --cross; give both, or neither."),
        (args.cross and args.only, "--cross puts chaffs on wheats, whatever --only says; leave one of them out."),
        (args.seeds and not wheats, "--seeds repeats the runs of wheats, and none are chosen; leave it out."),
        (
            args.accuracy and args.parts,
            f"--accuracy adds the part {LONG} to all others, and --parts names the parts; leave one of them out.",
        ),
        (
            args.accuracy and not wheats and not (args.full and kinds & {"chaffs"}),
            "--accuracy trains wheats, and chaffs with --full, and neither is chosen; leave it out.",
        ),
        (
            kinds == {"attacks"} and (args.parts or args.full),
            "--parts and --full choose what wheats and chaffs run, and attacks name their own; leave them out.",
        ),
    )
    return next((sentence for condition, sentence in told if condition), "")


def run(args: argparse.Namespace, contract: Contract = WEEK) -> int:
    console = Console(highlight=False)
    if sentence := idle(args):
        print(sentence, file=sys.stderr)
        return 2
    try:
        rubric, grader = load_rubric(WEEK, args.rubric), judging_digest(args.rubric)
        entries = load_entries(args)
        if args.files:
            return put_files(args, entries)
        plan = Plan() if args.mutants else planned(args, entries)
        attacks: dict[str, Attack] = {}
        if "attacks" in (args.only or ()):
            attacks, unfit = hostile.load(args.corpus / "attacks", args.names)
            plan.unfit += unfit
        if not (plan.trials or plan.unfit or attacks or args.mutants):
            raise CorpusDamaged("Nothing is left to run: no entry is of the kind and the parts that you chose.")
        store = Runs(args.out, args.resume)
    except (CorpusDamaged, BadRubric, CannotKeep) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        if args.mutants:
            return mutants_session(args, console, rubric, grader, entries["wheats"], store)
        return session(args, console, rubric, grader, entries, plan, attacks, store)
    except (CannotKeep, NotConfined, NoCluster, OtherGrader) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        store.close()


def put_files(args: argparse.Namespace, entries: dict[str, dict[str, Entry]]) -> int:
    """Write what one entry would hand in, to look at it or to try a check on it. Raises CorpusDamaged."""
    chosen = [kind[name] for kind in entries.values() for name in dict.fromkeys(args.names) if name in kind]
    if len(chosen) != 1:
        raise CorpusDamaged("--files takes the NAME of one wheat or chaff.")
    try:
        texts = source_in(chosen[0], entries["wheats"])
        args.files.mkdir(parents=True)
        for name, text in texts.items():
            write_text(args.files / name, text)
    except DoesNotFit as error:
        raise CorpusDamaged(f"{error}.") from error
    except FileExistsError as error:
        raise CorpusDamaged(f"{args.files} is there already; choose a new folder.") from error
    except OSError as error:
        raise CorpusDamaged(f"{args.files} cannot be written: {error.strerror}.") from error
    print(f"The files of {chosen[0].name} are in {args.files}.")
    return 0


def session(
    args: argparse.Namespace,
    console: Console,
    rubric: Rubric,
    grader: str,
    entries: dict[str, dict[str, Entry]],
    plan: Plan,
    attacks: dict[str, Attack],
    store: Runs,
) -> int:
    started = time.monotonic()
    hostiles = hostile.trials(attacks.values(), args.out / "scratch")
    say = tell(entries, console)
    if not carry_out(plan.trials, args, rubric, grader, store, console, say):
        return stopped([*plan.trials, *hostiles], store, grader)
    if not carry_out(hostiles, args, hostile.short(rubric), grader, store, console, say, "confined"):
        return stopped(hostiles, store, grader)
    keys = dict.fromkeys(trial.key(grader) for trial in [*plan.trials, *hostiles])
    rows = [store.rows[key] for key in keys if key in store.rows]
    found = matrix.Matrix(
        sorted(rows, key=lambda row: (row.kind, row.entry, row.base, row.seed)),
        entries,
        rubric,
        plan.unfit,
        plan.fits_not,
        plan.void,
        matrix.changes(rows, store.before, entries),
        time.monotonic() - started,
        grader,
        hostile.complaints(rows, attacks),
        len(attacks),
    )
    report = write_report(args.out / "selftest.md", forms.markdown(found))
    console.print(forms.terminal(found))
    console.print(f"The whole matrix is in {report}; the runs are in {store.path}.", markup=False, soft_wrap=True)
    return 0 if found.good else 1


def mutants_session(
    args: argparse.Namespace, console: Console, rubric: Rubric, grader: str, wheats: dict[str, Entry], store: Runs
) -> int:
    """Exit status 1 when a mutant survives that is not equivalent: somebody has to read it."""
    drawn = mutants.draw(args.mutants, wheats, args.names)
    plain = replace(rubric, limits={**rubric.limits, "experiments": 0})  # nobody reads what they would say

    def carried(trials: Sequence[Trial]) -> bool:
        return carry_out(trials, args, plain, grader, store, console, lambda row: None)

    def rows(trials: Sequence[Trial]) -> dict[str, Row]:
        return {trial.entry: row for trial in trials if (row := store.rows.get(trial.key(grader))) is not None}

    try:
        found = mutants.survey(drawn, carried, rows, args.jobs, args.out)
    except KeyboardInterrupt:
        found = None
    if found is None:
        print(f"Stopped: what ran is kept in {store.path}; give --resume to go on.", file=sys.stderr)
        return 130
    report = write_report(args.out / "mutants.md", mutants.markdown(found))
    for sentence in mutants.headline(found):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"Those that survive and differ are in {report}, to be read.", markup=False, soft_wrap=True)
    return 1 if found.different or found.trouble else 0


def write_report(path: Path, text: str) -> Path:
    """Raises CannotKeep."""
    try:
        write_text(path, text)
    except OSError as error:
        raise CannotKeep(f"{path} cannot be written ({error.strerror}); the runs are kept: --resume.") from error
    return path


# -- running -------------------------------------------------------------------------------------------------


def carry_out(
    trials: Sequence[Trial],
    args: argparse.Namespace,
    rubric: Rubric,
    grader: str,
    store: Runs,
    console: Console,
    say: matrix.Say,
    isolation: str | None = None,
) -> bool:
    """Do what is not done yet, with a progress bar where there is a terminal. False when stopped by Ctrl-C.

    Raises CannotKeep, NoCluster, NotConfined, OtherGrader.
    """
    left = open_trials(trials, store, grader)
    if len(left) < len(trials):
        console.print(f"{len(trials) - len(left)} of {len(trials)} runs are finished already.")
    if not left:
        return True
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    done = 0
    with bar:
        task = bar.add_task("starting", total=len(left))

        def on_row(row: Row) -> None:
            nonlocal done
            done += 1
            bar.update(task, advance=1, description=row.entry[:28])
            say(row)
            if not console.is_terminal and done % 50 == 0:
                console.print(f"{done} of {len(left)} runs", style="dim")

        warm = Warm(start_server, isolation=isolation)
        try:
            with cluster.crew(args.cluster, min(args.jobs, len(left)), warm) as crew:
                # at once: the first of them takes as long as PyTorch needs to load
                console.print(f"{len(left)} {'run' if len(left) == 1 else 'runs'} to do, {crew.where}.", style="dim")
                grader_here = Grader(warm, rubric, grader, code_digest(WEEK.folder))
                for _, row in each_done(crew.executor, grader_here, left, crew.ahead):
                    if isinstance(row, BaseException):
                        raise cluster.told(row, args.cluster)
                    store.add(row)
                    on_row(row)
        except KeyboardInterrupt:
            return False
    return True


def stopped(trials: Sequence[Trial], store: Runs, grader: str) -> int:
    store.read()
    left = len(open_trials(trials, store, grader))
    print(
        f"Stopped: {len(trials) - left} of {len(trials)} runs are kept in {store.path}; "
        f"give --resume to go on with the other {left}.",
        file=sys.stderr,
    )
    return 130


def tell(entries: dict[str, dict[str, Entry]], console: Console) -> matrix.Say:
    """Says at once what is not as it should be."""

    def say(row: Row) -> None:
        if words := matrix.complaint(row, entries):
            console.print(words, markup=False, soft_wrap=True)

    return say
