"""Points in numbers: of the whole, of each part, of each check, and against the accuracy."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from grader.classroom.grades import Row, part_score
from grader.classroom.page.figures import began
from grader.engine.contract import Contract
from grader.engine.result import CheckResult, Result
from grader.engine.rubric import Tier
from grader.engine.wording import FAULTS

ENOUGH = 30  # students, below which a correlation says too little
TWO_SIDED_95 = 1.96
SHARES = ("none", "to 1/4", "to 1/2", "to 3/4", "more", "all")  # of the points of a part
TENTHS = (*(f"{low}-{low + 9}" for low in range(0, 100, 10)), "100")  # of the points of the whole, in %


@dataclass(frozen=True)
class Spread:
    """How points are spread over a class. counts: students in each bin of `bins`; mean and median None for nobody."""

    name: str
    max_score: int
    bins: tuple[str, ...]
    counts: tuple[int, ...]
    mean: float | None
    median: float | None

    @property
    def students(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Correlation:
    """Pearson's r of a check with the points of all other checks, and its 95 % interval (Fisher's z)."""

    r: float
    low: float
    high: float


@dataclass(frozen=True)
class CheckFigures:
    """One check. judged: passed or found wrong; blocked and todo are nobody's fault here and count in nothing else.

    pass_rate: passed / judged. difficulty: the mean share of its points that is missing, 0 easy .. 1 hard
    discrimination: whether those who do well elsewhere do well here; None where it cannot be computed
    """

    id: str
    title: str
    part: str
    todo: int
    passed: int
    judged: int
    blocked: int
    not_begun: int
    trouble: int
    difficulty: float | None
    discrimination: Correlation | None

    @property
    def pass_rate(self) -> float | None:
        return self.passed / self.judged if self.judged else None

    @property
    def too_few(self) -> bool:
        return self.judged < ENOUGH


@dataclass(frozen=True)
class Band:
    """Those whose accuracy lies from `low` up to `high`, and their scores; the latter None for nobody."""

    low: float
    high: float
    points: int
    students: int
    median: float | None
    lowest: int | None
    highest: int | None


def whole(rows: Sequence[Row]) -> Spread:
    """The scores of those who have one."""
    scored = [row for row in rows if row.score is not None and row.result is not None and row.result.max_score]
    found = [(row.score or 0, row.result.max_score) for row in scored if row.result is not None]
    counts = Counter(min(10 * points // top, 10) for points, top in found)
    return spread("whole", max((top for _, top in found), default=0), TENTHS, counts, [p for p, _ in found])


def parts(rows: Sequence[Row], contract: Contract) -> tuple[Spread, ...]:
    """The points of each part, of those in whom it could be judged."""
    made = []
    for name in contract.part_names:
        found = [points for row in rows if (points := part_score(row.result, name)) is not None]
        tops = (part["max_score"] for row in rows if row.result for part in row.result.parts if part["name"] == name)
        top = max(tops, default=0)
        counts = Counter(0 if p <= 0 else 5 if p >= top else math.ceil(4 * p / top) for p in found)
        made.append(spread(name, top, SHARES, counts, found))
    return tuple(made)


def spread(name: str, top: int, bins: tuple[str, ...], counts: Counter[int], points: Sequence[int]) -> Spread:
    middle = (fmean(points), median(points)) if points else (None, None)
    return Spread(name, top, bins, tuple(counts[n] for n in range(len(bins))), *middle)


def checks(rows: Sequence[Row], contract: Contract) -> tuple[CheckFigures, ...]:
    """Each check, in report order, over those who began."""
    results = [row.result for row in began(rows) if row.result is not None]
    found: defaultdict[str, list[tuple[Result, CheckResult]]] = defaultdict(list)
    for result in results:
        for check in result.checks:
            found[check.id].append((result, check))
    return tuple(figures_of(pairs, contract) for pairs in found.values())


def figures_of(pairs: Sequence[tuple[Result, CheckResult]], contract: Contract) -> CheckFigures:
    """pairs: one check of each student, with the result it stands in."""
    check = pairs[0][1]
    declared = contract.check.get(check.id)  # a result's own todo is where that student's fault is
    status = Counter(check.status for _, check in pairs)
    judged = [(result, check) for result, check in pairs if check.status in ("passed", *FAULTS)]
    shares = [check.score / check.max_score for _, check in judged if check.max_score]
    whole = [(result, check) for result, check in judged if result.final]
    own = np.array([check.score for _, check in whole], float)
    rest = np.array([result.score - check.score for result, check in whole], float)
    return CheckFigures(
        id=check.id,
        title=check.title,
        part=check.part,
        todo=declared.todo if declared is not None else check.todo,
        passed=status["passed"],
        judged=len(judged),
        blocked=status["blocked"],
        not_begun=status["todo"],
        trouble=status["grader_error"],
        difficulty=1 - fmean(shares) if shares else None,
        discrimination=correlation(own, rest),
    )


def correlation(own: np.ndarray, rest: np.ndarray) -> Correlation | None:
    """Corrected item-rest correlation: own points against all others, both (n,). None where either is the same for all,
    or n < 4, where Fisher's z has no interval."""
    if len(own) < 4 or not np.ptp(own) or not np.ptp(rest):
        return None
    r = float(np.corrcoef(own, rest)[0, 1])
    z, half = math.atanh(min(max(r, -0.999999), 0.999999)), TWO_SIDED_95 / math.sqrt(len(own) - 3)
    return Correlation(r, math.tanh(z - half), math.tanh(z + half))


def accuracy_name(contract: Contract) -> str:
    """What the week calls the number that its tiers are about, "" where it has none: "test accuracy"."""
    return next(iter(contract.sections.numbers({})), "").replace("_", " ") if contract.tiered else ""


def accuracy_of(result: Result | None, contract: Contract) -> float | None:
    """That number of a run, 0..1; None where it was not measured."""
    if result is None or not accuracy_name(contract):
        return None
    return next(iter(contract.sections.numbers(result.recorded).values()))


def points_of(rows: Iterable[Row], contract: Contract) -> list[tuple[float, int]]:
    """(accuracy, score) of those who have both."""
    pairs = ((accuracy_of(row.result, contract), row.score) for row in rows)
    return [(accuracy, score) for accuracy, score in pairs if accuracy is not None and score is not None]


def bands(points: Sequence[tuple[float, int]], tiers: Sequence[Tier]) -> tuple[Band, ...]:
    """The same by tier: from nothing to the first, from there to the next, up to 1."""
    edges = [(0.0, 0), *((tier.at, tier.points) for tier in tiers), (1.0, 0)]
    made = []
    for n, ((low, earned), (high, _)) in enumerate(zip(edges, edges[1:])):
        last = n == len(edges) - 2
        scores = [score for accuracy, score in points if low <= accuracy and (accuracy < high or last)]
        middle = median(scores) if scores else None
        made.append(Band(low, high, earned, len(scores), middle, min(scores, default=None), max(scores, default=None)))
    return tuple(made)
