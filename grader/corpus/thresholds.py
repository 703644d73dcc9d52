"""From measured test accuracies to thresholds: pure functions, no training.

Two sources of chance make a correct solution miss a threshold: the sample of test digits, with a standard error of
sqrt(p (1 - p) / n), and the seeds of a run (initialisation, order, split, secret view). A threshold lies 4.26 of
their joint standard deviations below the weakest correct solution: 1e-5 of a normal distribution lies below that.
Adding the first part is the careful side while the test digits are the same in every run. Close to 1 the normal
formula is wrong, and Wilson's interval (1927) takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist, fmean, stdev
from typing import Any

from grader.contract import WEEK
from grader.engine.rubric import BadRubric, Tier, load_rubric
from grader.engine.submission.safe_files import write_text

SIGMAS = 4.26  # NormalDist().inv_cdf(1e-5) is -4.265
ENOUGH_SEEDS = 20
FEW_MISTAKES = 40  # expected mistakes in the test set below which the normal formula is not used
STORED = 0.60  # what stored networks reach on digits seen through the secret view stays below this
STEP = 0.01


@dataclass(frozen=True)
class Measured:
    """The test accuracies (0..1) of one solution, one per seed; n: test digits.

    exotic: a right one, and yet nothing that a beginner hands in
    """

    name: str
    values: tuple[float, ...]
    n: int
    exotic: bool = False

    @cached_property
    def mean(self) -> float:
        return fmean(self.values)

    @cached_property
    def sd(self) -> float:
        return stdev(self.values) if len(self.values) > 1 else 0.0

    @cached_property
    def spread(self) -> float:
        """Standard deviation of one run, both sources of chance together."""
        p = self.mean
        return math.sqrt(p * (1 - p) / self.n + self.sd**2)

    def lower(self, sigmas: float = SIGMAS) -> float:
        """The accuracy that one run misses as seldom as a normal variable falls `sigmas` below its mean."""
        p, n = self.mean, self.n
        if n * (1 - p) >= FEW_MISTAKES:
            return p - sigmas * self.spread
        z2 = sigmas**2 / n
        wilson = (p + z2 / 2 - sigmas * math.sqrt(p * (1 - p) / n + z2 / (4 * n))) / (1 + z2)
        return p - math.hypot(p - wilson, sigmas * self.sd)

    def failure(self, threshold: float) -> float:
        """The probability that one run of this correct solution misses the threshold."""
        if threshold >= self.mean:
            spread = self.spread
            return NormalDist(self.mean, spread).cdf(threshold) if spread else float(threshold > self.mean)
        low, high = 0.0, 38.0  # the normal tail is 0 in floating point beyond that
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.lower(middle) > threshold else (low, middle)
        return NormalDist().cdf(-low)


@dataclass(frozen=True)
class Proposal:
    """A tier as it is, as proposed, and how often the weakest solution would miss each."""

    now: Tier
    at: float
    failure_now: float
    failure: float


def weakest(measured: Sequence[Measured]) -> Measured:
    """The one that sets the threshold. Raises ValueError when nothing was measured."""
    return min(measured, key=lambda one: one.lower())


def proposals(measured: Sequence[Measured], tiers: Sequence[Tier]) -> list[Proposal]:
    """The top tier by the rule above, from what beginners hand in; where some are exotic, the tier before it from all.

    The lower ones stay, as far as they still lie below. Raises ValueError with a sentence when the weakest solution
    leaves no room above what stored answers reach.
    """
    usual = [one for one in measured if not one.exotic] or measured
    floor, top = down(weakest(measured).lower()), down(weakest(usual).lower())
    measured_tiers = [min(floor, top), top] if floor < top and len(tiers) > 1 else [top]
    wanted = [tier.at for tier in tiers[: -len(measured_tiers)]] + measured_tiers
    if wanted[-len(measured_tiers)] - STEP * (len(tiers) - len(measured_tiers)) < STORED:
        worst = weakest(measured)
        raise ValueError(
            f"{worst.name} is too weak to calibrate by: {down(worst.lower()):.1%} could be asked for, "
            f"and what stored answers reach stays below {STORED:.0%} only. Fix that solution or leave it out."
        )
    for index in reversed(range(len(tiers) - 1)):  # tiers must rise, also where they are pressed together
        wanted[index] = min(wanted[index], wanted[index + 1] - STEP)
    found = [round(max(at, STORED + index * STEP), 4) for index, at in enumerate(wanted)]
    asked = [measured] * (len(tiers) - 1) + [usual]
    return [
        Proposal(tier, at, max(m.failure(tier.at) for m in ones), max(m.failure(at) for m in ones))
        for tier, at, ones in zip(tiers, found, asked)
    ]


def down(accuracy: float) -> float:
    """Rounded down to a figure a teacher would write."""
    return round(math.floor(accuracy / STEP + 1e-9) * STEP, 4)


# -- rubric.toml ---------------------------------------------------------------------------------------------


def with_tiers(text: str, values: Sequence[float]) -> str:
    """The rubric's text with other thresholds; comments and layout stay. Raises BadRubric."""
    import tomlkit  # for teachers only: `pip install -e ".[dev]"`

    document: Any = tomlkit.parse(text)
    tiers = document[WEEK.part_of(WEEK.tiered)]["tiers"]
    if len(tiers) != len(values):
        raise BadRubric(f"The rubric has {len(tiers)} tiers, and {len(values)} thresholds were proposed.")
    for tier, value in zip(tiers, values):
        tier["at"] = tomlkit.float_(f"{value:.2f}")
    return tomlkit.dumps(document)


def write_tiers(path: Path, values: Sequence[float]) -> None:
    """Put thresholds into a rubric file, whole or not at all. Raises BadRubric or OSError; then nothing is changed."""
    load_rubric(WEEK, path)
    text = with_tiers(path.read_bytes().decode("utf-8"), values)
    trial = path.with_name(f".{path.name}.new")
    try:
        write_text(trial, text)
        load_rubric(WEEK, trial)
    finally:
        trial.unlink(missing_ok=True)
    write_text(path, text)
