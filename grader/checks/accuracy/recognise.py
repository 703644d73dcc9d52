"""Which digit is this? Finds each returned input among the digits of the run.

The order of a test loader is free and so is the preparation of its pictures, and a faulty preparation must not cost
the accuracy it reached. So inputs are recognised by their pixels: all of them exactly, undoing one affine scaling for
all; else by their order, where it is that of the file; else by likeness, upright, turned or mirrored, light or dark.
Each digit counts once, and a picture of the training file is none of them.
"""

from __future__ import annotations

import numpy as np

from grader.checks.views import VIEWS, correlations, direction, turned

LOOK = 100  # inputs that say which view it is
SHIFTS = range(101, 2000, 97)  # orders that are wrong on purpose, to see how alike strangers are
STANDS_OUT = 10  # standard deviations: noise reaches 4, pictures that were cropped at random 40 and more
LEAST = 0.25  # correlation: noise reaches 0.2 with the most similar of 2,000 digits, a digit turned by 30 degrees 0.4
ROUNDS = 20  # of giving inputs to digits that are still free


def match(inputs: np.ndarray, images: np.ndarray, training: np.ndarray) -> np.ndarray:
    """inputs float (N, 784), images and training uint8 (M, 28, 28) -> (N,) indices into images, -1 where none."""
    result = np.full(len(inputs), -1)
    flat = images.reshape(len(images), -1)
    if inputs.shape[1] != flat.shape[1] or not np.isfinite(inputs).all() or np.ptp(inputs) == 0:
        return result
    found = found_exactly(inputs, flat)
    if (found >= 0).all():
        first = np.unique(found, return_index=True)[1]
        result[first] = found[first]
        return result
    once = list({row.tobytes(): place for place, row in reversed(list(enumerate(inputs)))}.values())
    rows = np.array(sorted(once))
    rows = rows[found_exactly(inputs, training.reshape(len(training), -1))[rows] < 0]
    result[rows] = rows if in_order(inputs, flat) else most_alike(inputs[rows], images)
    return result


def found_exactly(inputs: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """By equality, once the inputs are scaled back to 0..255; -1 where an input is not found."""
    low, high = inputs.min(), inputs.max()
    top = int(flat.max())
    pixels = np.rint((inputs - low) / (high - low) * top).astype(np.uint8)
    places: dict[bytes, list[int]] = {}
    for index, row in enumerate(flat):
        places.setdefault(row.tobytes(), []).append(index)
    found = []
    for row in pixels:
        indices = places.get(row.tobytes(), [-1])
        found.append(indices.pop() if len(indices) > 1 else indices[0])
    return np.array(found, int)


def in_order(inputs: np.ndarray, flat: np.ndarray) -> bool:
    """Whether the inputs are in the order of the file: each is much more (or less) like its own digit than others."""
    if len(inputs) > len(flat):
        return False
    pictures, digits = direction(inputs), direction(flat[: len(inputs)])
    own = float((pictures * digits).sum(axis=1).mean())
    others = [float((pictures * np.roll(digits, shift, axis=0)).sum(axis=1).mean()) for shift in SHIFTS]
    return abs(own - float(np.mean(others))) > STANDS_OUT * float(np.std(others))


def most_alike(inputs: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The most similar digit that is free, under whichever view and sign fits the inputs best as a whole."""
    if not len(inputs):
        return np.zeros(0, int)
    some = inputs[:: max(1, len(inputs) // LOOK)]
    likeness = [correlations(some, turned(images, view)) for view in range(len(VIEWS))]
    fits = {(view, sign): (sign * alike).max(axis=1).mean() for view, alike in enumerate(likeness) for sign in (1, -1)}
    view, sign = max(fits, key=lambda key: float(fits[key]))
    alike = sign * correlations(inputs, turned(images, view))
    result = np.full(len(inputs), -1)
    left, free = np.arange(len(inputs)), np.arange(len(images))
    for _ in range(ROUNDS):
        if not len(free):
            break
        those = alike[np.ix_(left, free)]
        best = those.argmax(axis=1)
        reached = those[np.arange(len(left)), best]
        surest = np.argsort(-reached, kind="stable")[: np.count_nonzero(reached > LEAST)]
        if not len(surest):
            break
        taken, first = np.unique(best[surest], return_index=True)
        result[left[surest[first]]] = free[taken]
        left, free = np.flatnonzero(result < 0), np.delete(free, taken)
    return result
