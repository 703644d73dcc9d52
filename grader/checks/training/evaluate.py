"""Naming what is wrong with the accuracy that evaluate reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.checks.training.losses import (
    CLOSE,
    LAST,
    LONG,
    LONG_BATCH,
    ROUNDING,
    Group,
    arguments_of,
    changed,
    kept_from_before,
    redrawn,
)
from grader.engine.answer import Answer, Raised
from grader.engine.check import fail, waits_for
from grader.engine.student import Student

NUMBERS = 8  # of what evaluate returned: so many the probe sends


WIDE, WIDE_BATCH = (470, 520), 400  # images, and a batch with more than 255


def accuracy_groups(rng: np.random.Generator) -> list[Group]:
    """Raw scores whose largest value is itself a class number: taking the value for the place is seen."""

    def draw(size: int, batch_size: int) -> Group:
        top = rng.integers(0, 10, size)
        value = rng.integers(0, 10, size).astype(float)
        scores = value[:, None] - rng.uniform(0.5, 3, size=(size, 10))
        scores[np.arange(size), top] = value
        labels = np.where(
            rng.random(size) < 0.6, top, np.where(rng.random(size) < 0.5, value, rng.integers(0, 10, size))
        )
        return Group(scores.astype(np.float32).astype(np.float64), labels.astype(np.int64), batch_size)

    def others(group: Group) -> tuple[float, list[float]]:
        known = numbers.accuracies(group.scores, group.labels, group.batch_size)
        return group.accuracy, [known[name] for name in TELLING]

    for _ in range(100):
        uneven = [redrawn(lambda n=n, b=b: draw(n, b), others, 2 * ROUNDING) for n, b in ((17, 5), (23, 4))]  # type: ignore[misc]
        twin = redrawn(lambda: draw(17, 5), others, 2 * ROUNDING)  # as many images as the first, and other scores
        groups = [*uneven, twin, draw(30, 10)]  # batches of ten: argmax over the wrong axis raises nothing there
        if told_apart(groups) and abs(twin.accuracy - uneven[0].accuracy) > 2 * ROUNDING:
            break
    long = draw(int(rng.integers(*LONG)), LONG_BATCH)
    long.labels[-LAST:] = (long.scores[-LAST:].argmax(axis=1) + 1) % 10
    wide = draw(int(rng.integers(*WIDE)), WIDE_BATCH)
    most = slice(WIDE_BATCH - 20)  # right ones: more than a byte can count
    wide.labels[most] = wide.scores[most].argmax(axis=1)
    return [*groups, wide, long]


def shuffled(group: Group, rng: np.random.Generator) -> list[Group]:
    """The group with its labels in another order, and with the classes of its scores in another order: all sums over
    one of the two are as before, and the accuracy is not."""
    for _ in range(500):
        labels = replace(group, labels=rng.permutation(group.labels))
        scores = replace(group, scores=group.scores[:, rng.permutation(10)])
        if all(abs(one.accuracy - group.accuracy) > 2 * ROUNDING for one in (labels, scores)):
            return [labels, scores]
    raise AssertionError("no telling example found")


def _observe(student: Student) -> tuple[list[Answer], list[Group], int]:
    """(the answers, the groups, how many of them are judged); the others are shuffles of the first."""
    rng = student.rng("accuracies")
    groups = accuracy_groups(rng)
    every = [*groups, *shuffled(groups[0], rng)]
    answer = student.observe("training.evaluations", **arguments_of(every))
    return answer.parts("groups", len(every)), every, len(groups)


def observe_evaluations(student: Student) -> tuple[list[Answer], list[Group]]:
    parts, groups, judged = _observe(student)
    return parts[:judged], groups[:judged]


def seen_in_evaluations(student: Student) -> None:
    """What a check of evaluate needs before it may pass: the network gets images, and other scores give other numbers,
    and so do other labels.

    `evaluate-accuracy` names what is wrong with them.
    """
    parts, _, judged = _observe(student)
    first, *others = (
        np.array(part.part("returned").numbers("found", range(NUMBERS + 1))) for part in (parts[0], *parts[judged:])
    )
    told = all(len(other) and not close(other, first) for other in others)
    if not told or not all(part.integer("shown") for part in parts):
        waits_for("evaluate returns numbers that depend on the scores and the labels")


def close(one: np.ndarray, other: np.ndarray) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, rtol=1e-5, equal_nan=True))


def told_apart(groups: list[Group]) -> bool:
    """Does every known mistake give numbers of its own?"""
    known = [numbers.accuracies(group.scores, group.labels, group.batch_size) for group in groups]
    names = list(known[0])
    for at, one in enumerate(names):
        for other in names[at + 1 :]:
            if one.split(":")[0] != other.split(":")[0] and all(abs(k[one] - k[other]) < 2 * ROUNDING for k in known):
                return False
    return True


TELLING = (
    "mean-of-batch-accuracies",
    "first-batch-only",
    "last-batch-only",
    "last-batch-left-out",
    "last-batch-counted-as-full",
    "broadcast-comparison",
    "argmax-over-batch",
    "largest-score-not-its-place",
    "smallest-score",
    "error-rate",
    "softmax-over-batch-in-evaluate",
)


def name_wrong_axis(parts: list[Answer]) -> None:
    """argmax over the batch axis ends in an exception about ten and the batch size; so do scores that are compared
    with labels, but there the ten stand along the second axis."""
    for part in parts:
        raised = part.raised("returned")
        if raised is not None and of_wrong_axis(raised):
            if "dimension 1" in raised.message:
                fail("no-class-chosen", message=raised.message, came_from=raised)
            fail("argmax-over-batch", seen=f"the comparison of predictions and labels failed: {raised.message}")


def of_wrong_axis(raised: Raised) -> bool:
    return "must match the size of tensor" in raised.message and "10" in raised.message


def accuracy_of(pair: Answer, group: Group) -> float:
    """The second of the two numbers that evaluate returned; its form is judged here."""
    kind, count = pair.text("type"), pair.integer("count")
    if kind == "NoneType":
        fail("evaluate-returns-nothing")
    if count != 2:
        fail("evaluate-returns-something-else", kind=kind, count=count)
    first, second = pair.part("first"), pair.part("second")
    if "value" not in second:
        fail("accuracy-of-wrong-type", kind=second.text("type"))
    loss, accuracy = first.number("value") if "value" in first else None, second.number("value")
    fractions = group.accuracy, 100 * group.accuracy
    if loss is not None and any(abs(loss - f) < CLOSE < abs(accuracy - f) for f in fractions):
        fail("loss-and-accuracy-swapped", first=loss, second=accuracy)
    return accuracy


def name_accuracy(got: list[float], groups: list[Group], parts: list[Answer]) -> None:
    """Which known mistake gives these numbers, in every example?"""
    for digits in (2, 1):
        if all(abs(g - round(group.accuracy, digits)) < 1e-6 for g, group in zip(got, groups)):
            fail("accuracy-rounded", got=got[0], expected=groups[0].accuracy, digits=digits)
    *short, _, long = groups
    few = all(abs(g - group.accuracy) < ROUNDING for g, group in zip(got, short))
    if few and abs(got[-1] - long.accuracy) >= ROUNDING and not changed(parts):
        fail("accuracy-of-some-batches", batches=long.batches, got=got[-1], expected=long.accuracy)
    off = [abs(g - group.accuracy) for g, group in zip(got, groups)]
    worst = int(np.argmax(off))
    group = groups[worst]
    facts: dict[str, Any] = {
        "got": got[worst],
        "expected": group.accuracy,
        "images": len(group.labels),
        "right": group.right,
        "seen": f"{group.right} of {len(group.labels)} answers were right, you returned {got[worst]:.4g}",
    }
    whole = [numbers.argmax_of_whole_batches(group.scores, group.labels, group.batch_size) for group in groups]
    if any(whole) and all(abs(g - w) < ROUNDING for g, w in zip(got, whole)):
        facts["seen"] += ", as if each batch had one largest score only"
        fail("argmax-over-batch", **facts)
    known = [numbers.accuracies(group.scores, group.labels, group.batch_size) for group in groups]
    for name in known[0]:
        if all(abs(g - k[name]) < ROUNDING for g, k in zip(got, known)):
            fail(name.split(":")[0], **facts)
    if kept_from_before(got, [group.right for group in groups], [len(group.labels) for group in groups], ROUNDING):
        fail("counters-never-reset", function="evaluate", number="an accuracy", **facts)
    if changed(parts):
        fail("evaluate-changes-model", names="its weights")
    if group.batch_size == WIDE_BATCH and sum(one >= ROUNDING for one in off) == 1:
        fail("accuracy-wrong-for-large-batches", size=WIDE_BATCH, **facts)
    name_divisor(got, groups, facts)
    fail("accuracy-unexplained", **facts)


def name_divisor(got: list[float], groups: list[Group], facts: dict[str, Any]) -> None:
    """Right answers are counted rightly, and divided by something else."""
    right = [(group.scores.argmax(axis=1) == group.labels).astype(float) for group in groups]
    for factor in (1, 100):
        values = [g / factor for g in got]
        divided = numbers.quotient(values, right, [group.batch_size for group in groups], CLOSE)
        if divided:
            fail("divided-by-another-number", todo=6, number="an accuracy", function="evaluate",
                 sum=divided[0].replace("sum", "number of right answers"),
                 divisor=divided[1] + (", times 100" if factor > 1 else ""), **facts)  # fmt: skip


def name_not_finite(*pairs: Answer) -> None:
    for pair in pairs:
        for place in ("first", "second"):
            if has_value(pair, place) and not np.isfinite(number := pair.part(place).number("value")):
                fail("loss-not-finite", loss=number)


def name_not_repeatable(once: Answer, again: Answer) -> None:
    """Two evaluations of the same network with the same images must agree."""
    for place in ("first", "second"):
        values = [pair.part(place).number("value") for pair in (once, again) if has_value(pair, place)]
        if len(values) == 2 and abs(values[0] - values[1]) > 1e-6 * max(1.0, abs(values[0])):
            fail("evaluate-not-repeatable", once=values[0], again=values[1])


def name_remembered(again: Answer, later: Answer) -> None:
    """The same network with other weights must give another loss, or, where the two are swapped, something else new."""
    places = [place for place in ("first", "second") if has_value(again, place) and has_value(later, place)]
    values = [[pair.part(place).number("value") for place in places] for pair in (again, later)]
    if places and values[0] == values[1]:
        fail("evaluate-remembers", got=values[0][0])


def has_value(pair: Answer, place: str) -> bool:
    return place in pair and "value" in pair.part(place)
