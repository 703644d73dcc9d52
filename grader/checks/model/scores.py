"""What two score matrices (images, scores per image) have in common, and what one looks like."""

from __future__ import annotations

import numpy as np

SMALLEST = 1e-37  # float32 has no exact numbers much nearer to 0
NOISE = 1e-4  # float32 arithmetic in another order differs by less than this, relative to how much the scores differ
ROUNDING = 2e-6  # and by no more than this, relative to the largest score


def noise(scores: np.ndarray) -> float:
    """How far scores may lie apart that are the same. What all of an image, or all of a class, have in common could be
    as large as anybody likes, and is no measure."""
    apart = scores.astype(np.float64)
    for axis in (0, 1):
        apart = apart - (apart.mean(axis=axis, keepdims=True) if apart.shape[axis] > 1 else 0)
    return float(max(NOISE * (1e-3 + np.abs(apart).max()), ROUNDING * np.abs(scores).max()))


def close(a: np.ndarray, b: np.ndarray, among: np.ndarray | None = None) -> bool:
    """Whether a and b, which may be some of the scores `among` others, are the same."""
    return bool(a.shape == b.shape and np.abs(a - b).max() <= noise(b if among is None else among))


def repeats(a: np.ndarray, b: np.ndarray) -> bool:
    """The very same call twice: only the last bit may differ, and nan is nan."""
    return bool(np.allclose(a, b, rtol=0, atol=ROUNDING * (1e-3 + np.abs(b).max()), equal_nan=True))


def moved_rows(scores: np.ndarray, before: np.ndarray) -> set[int]:
    """The rows that are not what they were."""
    return {int(i) for i in np.flatnonzero(np.abs(scores - before).max(axis=1) > noise(before))}


def sums_to_one(scores: np.ndarray, axis: int) -> bool:
    return bool(scores.min() >= 0 and np.abs(scores.sum(axis=axis) - 1).max() < 1e-3)


def before_output_function(scores: np.ndarray) -> np.ndarray | None:
    """Undo a softmax or sigmoid at the end: it must not pass for the missing bend between the layers.

    Where float32 has rounded what a softmax gave to 0, the lowest value stands, which `bend_of` leaves out.
    None where a sigmoid cannot be undone, because some of what it gave is rounded to 0 or 1.
    """
    if scores.min() < 0 or scores.max() > 1 or np.ptp(scores) == 0:
        return scores
    if sums_to_one(scores, axis=1):
        return np.asarray(np.log(np.maximum(scores, SMALLEST)))
    if sums_to_one(scores, axis=0):
        return scores
    if scores.min() <= SMALLEST or scores.max() >= 1 - 1e-4:
        return None
    return np.asarray(np.log(scores) - np.log1p(-scores))


def bend_of(scores: np.ndarray) -> tuple[float, float]:
    """How far the scores half-way lie from the mean of the ends, and how far the ends lie apart.

    Differences of scores, because log_softmax shifts all scores of an image by the same amount. Scores at the very
    lowest or highest value are left out: a cut at the end bends those, and is no bend between layers.
    """
    first, second, middle = triple = scores[:63].reshape(3, 21, -1)
    free = np.logical_and.reduce((triple > scores.min()) & (triple < scores.max()))
    if scores.shape[1] > 1:
        count = np.maximum(free.sum(axis=1, keepdims=True), 1)
        first, second, middle = (s - np.where(free, s, 0).sum(axis=1, keepdims=True) / count for s in triple)
    bend, spread = np.abs(first + second - 2 * middle)[free], np.abs(first - second)[free]
    return float(bend.max(initial=0)), float(spread.max(initial=0))
