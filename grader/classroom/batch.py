"""`python -m grader batch SUBMISSIONS... --out DIR`: grades a whole class. Started again, it goes on where it was.

DIR gets a folder for each student, with the report to send back. Nothing that is finished is run again, whatever ended
the run before: the same submission, grader and secret of the folder give the same result.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grader.classroom import handing_back, looks
from grader.classroom.arrival import Arrived, NoSubmissions, arrive
from grader.classroom.counting import Counting, Settled
from grader.classroom.folder import STUDENTS, Folder, NotOurs
from grader.classroom.gradebooks.book import BadGradebook
from grader.classroom.grades import GRADED, NOT_FINAL, REJECTED, Row
from grader.classroom.handing_back import BadOption
from grader.classroom.looks import Look, Looked, Looker
from grader.classroom.page import page
from grader.classroom.progress import Progress
from grader.classroom.roster import BadRoster
from grader.contract import WEEK
from grader.engine.check import GraderTrouble
from grader.engine.contract import Contract
from grader.engine.hints import load_hints
from grader.engine.keys import BadKey, read_key
from grader.engine.many import cluster
from grader.engine.many.cluster import NoCluster
from grader.engine.many.executor import each_done, jobs_that_fit
from grader.engine.many.judging import OtherGrader
from grader.engine.many.store import CannotKeep
from grader.engine.many.warm import Warm
from grader.engine.printable import one_line
from grader.engine.result import Result
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.run_folders import sweep_stale
from grader.engine.submission.read import NoSubmission, Submission, read
from grader.engine.worker.tiers import NotConfined

BAD_INPUT = (
    NoSubmissions, NotOurs, BadRubric, BadKey, GraderTrouble, CannotKeep, BadOption, BadRoster, BadGradebook,
)  # fmt: skip
FATAL = (NotConfined, OtherGrader, NoCluster, GraderTrouble, CannotKeep)  # what no other submission would get round
PRACTICE = (
    "Student code could then reach other students' work: see 'Isolation' in docs/github.md, "
    "or allow it with --isolation=practice."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("submissions", nargs="+", type=Path, metavar="SUBMISSIONS", help="folders, notebooks, archives")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets a folder for each student")
    parser.add_argument("--jobs", type=number, metavar="N", help="gradings at once (default: what fits)")
    parser.add_argument(
        "--isolation", choices=("practice", "confined"), default="confined", help="of student code (default confined)"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="the secret (default: one that DIR keeps)")
    parser.add_argument("--pool", type=Path, metavar="DIR", help="digits of your own that each run draws from")
    parser.add_argument(
        "--seeds",
        type=number,
        default=1,
        metavar="K",
        help="measure an accuracy close below a tier K times; best counts",
    )
    cluster.add_argument(parser)
    handing_back.add_arguments(parser)


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 100):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 100")
    return int(text)


def run(args: argparse.Namespace, contract: Contract = WEEK) -> int:
    """Exit status: 0 all done, 1 something needs a human, 2 nothing could begin or go on, 130 stopped."""
    try:
        wished = handing_back.wishes(args)
        folder = Folder(args.out, WEEK)
    except BAD_INPUT as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return Batch(args, folder, wished).run()
    except NotConfined as error:
        print(f"Nothing is graded: {error} {PRACTICE}", file=sys.stderr)
        return 2
    except (*BAD_INPUT, *FATAL) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.filename or args.out}: {error.strerror or error}.", file=sys.stderr)
        return 2
    finally:
        folder.close()


@dataclass
class Case:
    """One student. why: a sentence, where there is no result or it is not the last word."""

    arrived: Arrived
    submission: Submission | None = None
    settled: Settled = field(default_factory=Settled)
    result: Result | None = None
    why: str = ""

    @property
    def score(self) -> int | None:
        """What counts, None where there is none: nothing was graded, or the grader itself had trouble."""
        return self.result.score if self.result is not None and self.result.final else None

    @property
    def row(self) -> Row:
        """As the teacher's tables have it."""
        one, status = self.arrived, REJECTED if self.result is None else GRADED if self.result.final else NOT_FINAL
        notes = (*one.notes, *([self.why] if self.why else []))
        digest = self.submission.digest if self.submission is not None else ""
        seed = self.result.seed if self.result is not None else None
        return Row(one.id, one.name, one.keys, self.result, status, one.late, one.submitted_at, notes, digest, seed)


class Batch:
    """One session with a class. Raises BAD_INPUT, FATAL, OSError."""

    def __init__(self, args: argparse.Namespace, folder: Folder, wished: handing_back.Wishes):
        self.args, self.folder, self.wished = args, folder, wished
        rubric, hints = load_rubric(WEEK), load_hints(WEEK)
        WEEK.verify()
        sweep_stale()
        secret = read_key(args.key) if args.key else folder.secret()
        pool = looks.pool_in(args.pool.resolve()) if args.pool else None
        self.warm = Warm(looks.start_server, None, args.isolation)
        self.looker = Looker(
            self.warm,
            rubric,
            hints,
            secret,
            args.isolation,
            args.pool.resolve() if args.pool else None,
            pool.fingerprint if pool else "",
            looks.code_here(),
        )
        self.troubled: dict[str, Looked | str] = {}  # by key of the look: what is not kept, but tried again next time
        self.counting = Counting(self.looker, self.kept, self.troubled, args.seeds)
        arrival = arrive(args.submissions, folder.submissions, WEEK)
        self.cases, self.unusable = [Case(one) for one in arrival.taken], arrival.unusable
        self.waiting: dict[str, list[Case]] = {}  # by key of the look
        self.started, self.ran = time.monotonic(), 0

    def kept(self, key: str) -> Looked | None:
        troubled = self.troubled.get(key)
        return troubled if isinstance(troubled, Looked) else self.folder.kept(key)

    def run(self) -> int:
        count = len(self.cases)
        print(f"{count} {'submission' if count == 1 else 'submissions'}: {kinds(self.cases)}.")
        for what, why in self.unusable:
            print(one_line(f"Not usable: {what}. {why}", 400))
        jobs = self.args.jobs or jobs_that_fit()
        try:
            with cluster.crew(self.args.cluster, min(jobs, count), self.warm) as crew:
                self.wave(crew, self.first_looks(), count, "grading")
                while wanted := list(self.further_looks()):
                    self.wave(crew, iter(wanted), len(wanted), "measuring again")
                if advice := list(self.further_looks(advice=True)):
                    self.wave(crew, iter(advice), len(advice), "trying what would help")
        except KeyboardInterrupt:
            done = sum(case.result is not None for case in self.cases)
            print(
                f"Stopped: {done} of {count} have a result in {self.folder.out}. The same command goes on from there.",
                file=sys.stderr,
            )
            return 130
        return self.close()

    # -- looks -----------------------------------------------------------------------------------------------

    def first_looks(self) -> Iterator[Look]:
        """Reads submissions one after the other, as long as somebody is waiting for work."""
        limit = int(self.looker.rubric.limits["file_bytes"])
        for case in self.cases:
            try:
                one = case.arrived
                case.submission = read(one.source, WEEK, limit, one.name or one.id, ahead=False)
            except (NoSubmission, OSError) as error:
                case.why = one_line(str(error), 400)
                self.folder.write_no_score(case.arrived.id, case.why)
                self.progress.one_more(case.arrived.id, case.score, ran=False)
                continue
            self.settle(case)
            if case.result is None and case.settled.wanted:
                yield from self.asked(case, case.settled.wanted)
            else:
                self.progress.one_more(case.arrived.id, case.score, ran=False)

    def further_looks(self, advice: bool = False) -> Iterator[Look]:
        for case in self.cases:
            found = case.settled
            yield from self.asked(case, [found.advice] if advice and found.advice else [] if advice else found.wanted)

    def asked(self, case: Case, wanted: Sequence[Look]) -> Iterator[Look]:
        """Those that nobody else waits for: the same work needs to be looked at once."""
        for look in wanted:
            others = self.waiting.setdefault(look.key, [])
            others.append(case)
            if len(others) == 1:
                yield look

    def wave(self, crew: cluster.Crew, wanted: Iterator[Look], total: int, what: str) -> None:
        with Progress(what, total, crew) as self.progress:
            for look, looked in each_done(crew.executor, self.looker, wanted, crew.ahead):
                if isinstance(looked, BaseException):
                    error = cluster.told(looked, self.args.cluster)
                    if isinstance(error, FATAL):
                        raise error
                    self.troubled[look.key] = one_line(
                        f"The grader itself stopped: {type(error).__name__}: {error}", 400
                    )
                elif looked.in_trouble:
                    self.troubled[look.key] = looked
                else:
                    self.folder.keep(look.key, looked)
                self.ran += 1
                for case in self.waiting.pop(look.key):
                    self.settle(case)
                    self.progress.one_more(case.arrived.id, case.score)

    def settle(self, case: Case) -> None:
        """Put together what is known of a student, and write it down."""
        assert case.submission is not None
        case.settled = self.counting.settle(case.submission)
        case.result = self.counting.result(case.submission, case.settled)
        if case.result is not None:
            self.folder.write(case.arrived.id, case.result)
            broken = next((one for one in case.result.checks if one.status == "grader_error"), None)
            case.why = one_line(f"{broken.id}: {broken.message}", 400) if broken else ""
        elif isinstance(why := self.troubled.get(self.looker.look(case.submission).key), str):
            case.why = why
            self.folder.write_no_score(case.arrived.id, why)

    # -- the end ---------------------------------------------------------------------------------------------

    def close(self) -> int:
        """Say what came of it."""
        scores = [case.score for case in self.cases if case.score is not None]
        bad = [case for case in self.cases if case.score is None]
        for case in bad:
            print(one_line(f"{case.arrived.id}: {case.why}", 400))
        count, minutes = len(self.cases) + len(self.unusable), (time.monotonic() - self.started) / 60
        told = f"{len(scores)} of {count} graded"
        if scores:
            told += f", {sum(scores) / len(scores):.1f} points on average"
        told += f", in {minutes:.1f} minutes" if self.ran else "; nothing had to be run"
        sources = {case.arrived.id: case.submission.files for case in self.cases if case.submission is not None}
        rows, out = [case.row for case in self.cases], self.folder.out
        handed = handing_back.hand_back(rows, self.unusable, sources, self.wished, out)
        for sentence in handed.sentences:
            print(one_line(sentence, 1000))
        print(f"{told}. The class: {out / page.NAME}, {out / handing_back.GRADES}; each report: {out / STUDENTS}.")
        left = len(bad) + len(self.unusable)
        if left:
            print(f"{left} {'needs' if left == 1 else 'need'} a look: see above. The same command tries those again.")
        for sentence in handed.undone:
            print(one_line(sentence, 1000))
        return 1 if left or handed.undone else 0


def kinds(cases: Sequence[Case]) -> str:
    found = [case.arrived.kind for case in cases]
    return ", ".join(f"{found.count(kind)} as {kind}" for kind in dict.fromkeys(found))
