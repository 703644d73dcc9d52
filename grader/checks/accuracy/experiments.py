"""When the accuracy falls short: try what would help, and say what came out.

What an experiment answers chooses the words, never a status or points. First many short trainings on a part of the
digits; then the best of them in full, so that every percentage in a sentence comes from a full training.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from grader.checks.accuracy.recognise import match
from grader.checks.secret_digits import secret_digits, secret_root
from grader.digits import SecretDigits
from grader.engine.answer import Answer
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student
from grader.engine.trouble import stack_of

LENT = Path(__file__).resolve().parents[2] / "lent"  # read, never imported
PROBE = "experiments.trials"
IMAGES, TESTS = 2000, 500  # of a short training: digits to learn from, and to score
PARTS = ("data", "network", "fit")  # one file each
INSIDE = ("epoch", "optimizer")  # what fit works with
OWN = {**dict.fromkeys((*PARTS, *INSIDE), "own"), "lr": 1.0, "rate": 0.0, "epochs": 1.0, "steady": False}
FACTORS = (3.0, 1 / 3, 10.0, 0.1)  # of the default lr; first those that slow code has time for
RATES = (0.01, 0.001, 0.1)  # in its place: one of them suits every usual optimizer
LONGER: Mapping[str, Any] = {"epochs": 2.0}
STEADY: Mapping[str, Any] = {"steady": True}  # the rate that the optimizer was built with, in every step
PLAIN: Mapping[str, Any] = {"optimizer": "plain"}  # the same optimizer with no option but its rate
PRECISE = (STEADY, PLAIN)  # they name a cause, where another change may only make up for it
OTHER_RATES = (*({"lr": factor} for factor in FACTORS), *({"rate": rate} for rate in RATES))
# first those that cost nothing where there is nothing to change
CHANGES: tuple[Mapping[str, Any], ...] = (*OTHER_RATES, *PRECISE, LONGER, {"data": "scaled"})
ALL_LENT = {"data": "lent", "network": "lent", "fit": "lent"}
EXCHANGES = tuple({part: "lent"} for part in (*PARTS, *INSIDE))
ALONE = tuple({**ALL_LENT, part: "own"} for part in PARTS)
# of torch's optimizers, as the probe names them
OPTIONS = (
    *("momentum", "dampening", "weight_decay", "beta1", "beta2"),
    *("eps", "alpha", "rho", "lambd", "lr_decay", "maximize"),
)
SHORTEST_RUN = 3.0  # seconds: what a whole run takes
LEAST = 0.5  # seconds: less is not worth a child
SCREENING = 0.5  # the part of the time that the short trainings may take
FIRST = 0.8  # the part of the rest that changes may take, where an exchange may follow
SURE = 0.01  # accuracy above the highest tier, that the next run reaches it too
CLEAR = 0.05  # accuracy that a change must bring, to be worth a sentence
NEAR = 0.05  # how far below the grader's own pipeline a short training may stay that has nothing wrong any more
ENOUGH = 0.5  # the part of the way to the grader's own accuracy that an exchange must bring


@dataclass(frozen=True)
class Changed:
    """With one thing changed the student's own code reaches more.

    what: "lr", "epochs", "data" (pixels of 0..1), "steady" (the learning rate does not change) or "optimizer" (it has
    no option but its rate); default, better: of a number that is changed; seen: what the code did there, in words
    (of another learning rate: how far it fell by itself, if it did)
    """

    what: str
    reached: float
    default: float = 0.0
    better: float = 0.0
    seen: str = ""


@dataclass(frozen=True)
class Exchanged:
    """One part is at fault: data, network, fit, or in it epoch or optimizer.

    repaired: accuracy with the grader's part in its place; spoilt: of that part (or of all of fit) among the grader's
    """

    part: str
    repaired: float
    spoilt: float


Advice = Changed | Exchanged
Tried = float | None  # an accuracy, or that nothing came


@dataclass
class Laboratory:
    """Runs plans, as far as the time for all of them goes."""

    student: Student
    seconds: float  # of CPU time, for all of it; what runs side by side counts once
    secret: SecretDigits = field(init=False)
    rate: float = math.nan
    epochs: float = math.nan
    rates: str = ""  # of the student's first and last step
    fell: bool = False  # whether the last was less than a tenth of the first
    options: str = ""  # of the student's optimizer, that are not its defaults

    def __post_init__(self) -> None:
        self.secret = secret_digits(self.student)
        self.left = self.seconds
        self.code = [path.read_text(encoding="utf-8") for path in sorted(LENT.glob("*.py"))]

    def run(self, *lists: Sequence[Mapping[str, Any]], share: float = 1.0, short: bool = True) -> list[list[Tried]]:
        """The accuracy after each change, None where nothing came; each list in a child of its own, side by side.

        share: of the time that is left
        """
        children = min(len(lists), os.cpu_count() or 1)  # that have a core each
        seconds = share * self.left * children / len(lists)
        if seconds < LEAST:
            return [[None] * len(changes) for changes in lists]
        with ThreadPoolExecutor(len(lists)) as pool:
            found = [*pool.map(lambda changes: self.run_one(changes, seconds, short), lists)]
        used = [one for _, one in found]
        self.left -= max(used) if children == len(lists) else sum(used)
        return [accuracies for accuracies, _ in found]

    def run_one(self, changes: Sequence[Mapping[str, Any]], seconds: float, short: bool) -> tuple[list[Tried], float]:
        """The accuracy after each change, and the seconds it took."""
        none: list[Tried] = [None] * len(changes)
        size = {"images": IMAGES, "tests": TESTS} if short else {"images": 0, "tests": 0}
        plans = [{**OWN, **change} for change in changes]
        arguments = {"root": secret_root(self.student), "code": self.code, "plans": plans, "seconds": seconds, **size}
        answer = self.student.experiment(PROBE, seconds, **arguments)
        used = seconds
        try:
            told = math.nan if answer is None else answer.number("used")
            used = min(told, seconds) if told > 0 else seconds  # nan, too: the child's clock may have been exchanged
            return (none if answer is None else [*self.read(answer, plans), *none][: len(plans)]), used
        except (ProtocolBroken, NotSeen):  # no answer of the probe: there is nothing to say
            return none, used

    def read(self, answer: Answer, plans: Sequence[Mapping[str, Any]]) -> list[float | None]:
        self.rate, self.epochs = answer.number("lr"), answer.number("epochs")
        inputs = answer.array("inputs", (range(len(self.secret.truth) + 1), range(28 * 28 + 1)))
        shown = self.secret.shown
        rng = self.student.rng("recognised")
        if plans[0] == OWN:
            self.note(answer.part("steps"))
        order = match(inputs, shown.test_images, shown.train_images, rng) if inputs.size else np.zeros(0, int)
        results = answer.parts("results", range(len(plans) + 1))
        return [self.accuracy(one, order if plan["data"] != "lent" else None) for one, plan in zip(results, plans)]

    def note(self, steps: Answer) -> None:
        """What the steps of the student's own training were made with."""
        first, last = steps.number("first"), steps.number("last")
        self.rates, self.fell = f"{first:.2g} at the first step and {last:.2g} at the last", last < first / 10
        options = steps.part("options")
        self.options = ", ".join(f"{name}={options.number(name):g}" for name in OPTIONS if name in options)

    def accuracy(self, result: Answer, order: np.ndarray | None) -> float | None:
        """order: which digit each row is; None where the rows are in the order of the file."""
        if result.raised("scores"):
            return None
        rows = range(len(self.secret.truth) + 1) if order is None else len(order)
        scores = result.array("scores", (rows, 10))
        which = np.arange(len(scores)) if order is None else order
        good = (which >= 0) & np.isfinite(scores).all(axis=1)
        return float(np.mean(good & (np.nan_to_num(scores).argmax(axis=1) == self.secret.truth[which])))


def advice(student: Student, accuracy: float) -> Advice | None:
    """What would bring a better accuracy, or where the fault is; None when the experiments do not tell.

    Nothing is tried where another check has named a fault: that is the next step.
    """
    seconds = student.rubric.limits["experiments"] * max(student.elapsed, SHORTEST_RUN)
    if seconds <= 0 or student.faults:
        return None
    try:
        return tried(Laboratory(student, seconds), accuracy)
    except Exception as error:  # a fault of the grader's must not become the student's
        student.traces.append(stack_of(error))
        return None


def tried(laboratory: Laboratory, accuracy: float) -> Advice | None:
    # two lists of about the same length
    rates: list[Mapping[str, Any]] = [{}, ALL_LENT, *OTHER_RATES]
    parts = [*EXCHANGES, *ALONE]
    (own, ours, *changed), others = laboratory.run(rates, [*parts, *CHANGES[len(OTHER_RATES) :]], share=SCREENING)
    exchanged, changed = others[: len(parts)], [*changed, *others[len(parts) :]]
    if own is None or ours is None:
        return None
    better = {i: value for i, value in enumerate(changed) if value is not None and is_better(value, own, ours)}
    ranked = sorted(better, key=lambda i: -better[i] - (NEAR if CHANGES[i] in PRECISE else 0))
    best = distinct(ranked, laboratory.rate)[:2]
    part = at_fault(exchanged, own, ours)
    top = laboratory.student.rubric.tiers[-1].at
    # a change that leaves nothing to wish for; or little is missing, so that no exchange can bring much more
    near = bool(best) and (better[best[0]] >= ours - NEAR or accuracy > top - CLEAR)
    number: Changed | None = None
    wanted = min(accuracy + CLEAR, top + SURE) if near else top
    if with_numbers := near or part not in ("data", "network"):
        # such a change, or the best there is where data and network are in order; then twice the epochs, too, because a
        # short training says little about them, unless an exchange brings something there and they do not
        twice = changed[CHANGES.index(LONGER)]
        longer = not near and not (part and (twice is None or twice < own + CLEAR))
        changes = [*(CHANGES[index] for index in best), *([LONGER] if longer else [])]
        share = 1.0 if near else FIRST  # an exchange is no longer looked for
        number = changed_advice(laboratory, changes, share, wanted, min(wanted, accuracy + CLEAR))
    if number and number.reached >= wanted:
        return number
    found = exchanged_advice(laboratory, part, exchanged, own, ours) if part else None
    if number and (found is None or number.reached >= found.repaired - NEAR):
        return number  # which is changed more easily than a part
    if found is None and best and not with_numbers:
        return changed_advice(laboratory, [CHANGES[best[0]]], 1.0, accuracy + CLEAR, accuracy + CLEAR)
    return found


def distinct(changes: Sequence[int], rate: float) -> list[int]:
    """Those of CHANGES that do not come to the same learning rate as one before them. rate: the student's default."""
    kept: dict[Any, int] = {}
    for index in changes:
        change = CHANGES[index]
        lr = change.get("rate") or rate * change.get("lr", math.nan)
        kept.setdefault(f"{lr:.6g}" if math.isfinite(lr) else index, index)
    return list(kept.values())


def at_fault(found: Sequence[Tried], own: float, ours: float) -> str:
    """The part whose exchange brings the points back, and which spoils the grader's own others most; "" for none."""
    repaired, spoilt = dict(zip(PARTS, found)), dict(zip(PARTS, found[len(EXCHANGES) :]))
    helps = [part for part in PARTS if (value := repaired[part]) is not None and is_better(value, own, ours)]
    return min(helps, key=lambda name: (spoilt[name] is None, spoilt[name] or 0.0), default="")


def is_better(value: float, own: float, ours: float) -> bool:
    """Whether a short training came clearly nearer to what the grader's own pipeline reaches in as short a one."""
    return value >= own + CLEAR and value - own >= ENOUGH * (ours - own)


def changed_advice(
    laboratory: Laboratory, changes: Sequence[Mapping[str, Any]], share: float, wanted: float, least: float
) -> Changed | None:
    """The change that brings most in a full training, one of PRECISE before others; of those that bring what is
    wanted, where there are such. None where it is less than the least. share: of the time that is left"""
    half = -(-len(changes) // 2)
    lists = [part for part in (changes[:half], changes[half:]) if part]
    found = [value or 0.0 for one in laboratory.run(*lists, share=share, short=False) for value in one] if lists else []
    tried = [(change in PRECISE, value, at) for at, (value, change) in enumerate(zip(found, changes)) if value >= least]
    if not tried:
        return None
    _, reached, at = max([one for one in tried if one[1] >= wanted] or tried)
    change = changes[at]
    if "lr" in change or "rate" in change:
        better = change.get("rate") or laboratory.rate * change["lr"]
        return Changed("lr", reached, laboratory.rate, better, laboratory.rates if laboratory.fell else "")
    if "epochs" in change:
        return Changed("epochs", reached, laboratory.epochs, round(laboratory.epochs * change["epochs"]))
    seen = {"steady": laboratory.rates, "optimizer": laboratory.options}
    return Changed((what := next(iter(change))), reached, seen=seen.get(what, ""))


def exchanged_advice(
    laboratory: Laboratory, part: str, found: Sequence[Tried], own: float, ours: float
) -> Exchanged | None:
    """What the exchange of a part brings in a full training, and what it spoils; None where that does not tell."""
    short = dict(zip((*PARTS, *INSIDE), found))
    inner = [name for name in INSIDE if part == "fit" and (value := short[name]) and is_better(value, own, ours)][:1]
    lists = [[{name: "lent"} for name in (*inner, part)], [{**ALL_LENT, part: "own"}]]
    repaired, (spoilt,) = laboratory.run(*lists, short=False)
    for name, value in zip((*inner, part), repaired):
        if value is not None and spoilt is not None and value >= spoilt + CLEAR:
            return Exchanged(name, value, spoilt)
    return None
