"""Which digit is this? Finds each returned input among the digits of the run.

The order of a test loader is free and so is the preparation of its pictures, and a faulty preparation must not cost
the accuracy it reached. So inputs are recognised by their pixels: all of them exactly, undoing one affine scaling for
all; else by their order, where it is that of the file; else by likeness, upright, turned or mirrored, light or dark.
Each digit counts once, and a picture of the training file is none of them: not one found exactly, and where likeness
decides, none at all when too many inputs are nearer to the training file.
"""

from __future__ import annotations

import numpy as np

from grader.checks.views import VIEWS, correlations, direction, turned

LOOK = 100  # inputs that say which view it is
SHIFTS = range(101, 2000, 97)  # orders that are wrong on purpose, to see how alike strangers are
STANDS_OUT = 10  # standard deviations: noise reaches 4, pictures that were cropped at random 40 and more
LEAST = 0.25  # correlation: noise reaches 0.2 with the most similar of 2,000 digits, a digit turned by 30 degrees 0.4
# how much more alike a training picture must be, and in how large a part of the inputs. Measured: test digits turned by
# up to 90 degrees, moved by up to 4 pixels, or in noise give at most 0.07; training pictures give 0.76, turned by up to
# 30 degrees 0.21, moved by a pixel 0.17, and moved by more they are taken for the right digit too seldom
NEARER, TOO_MANY = 1.15, 0.14
COMPARED, BLOCK = 500, 4000  # inputs that are compared, and training pictures at a time
ROUNDS = 20  # of giving inputs to digits that are still free


def match(inputs: np.ndarray, images: np.ndarray, training: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """inputs float (N, 784), images and training uint8 (M, 28, 28) -> (N,) indices into images, -1 where none.

    rng: what it draws, nobody whose inputs these are may know
    """
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
    if in_order(inputs, flat):
        result[rows] = rows
    elif len(rows):
        view, sign = best_view(inputs[rows], images)
        some = inputs[rng.permutation(rows)[:COMPARED]]
        if not nearer_to_training(some, turned(images, view), turned(training, view), sign):
            result[rows] = most_alike(inputs[rows], turned(images, view), sign)
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


def best_view(inputs: np.ndarray, images: np.ndarray) -> tuple[int, int]:
    """The view and the sign of the grey values that fit the inputs best as a whole."""
    some = inputs[:: max(1, len(inputs) // LOOK)]
    likeness = [correlations(some, turned(images, view)) for view in range(len(VIEWS))]
    fits = {(view, sign): (sign * alike).max(axis=1).mean() for view, alike in enumerate(likeness) for sign in (1, -1)}
    return max(fits, key=lambda key: float(fits[key]))


def nearer_to_training(some: np.ndarray, images: np.ndarray, training: np.ndarray, sign: int) -> bool:
    """Whether pictures of the training file, touched up, stand in the place of the digits that are to be recognised."""
    own = (sign * correlations(some, images)).max(axis=1)
    blocks = [training[start : start + BLOCK] for start in range(0, len(training), BLOCK)]
    others = np.max([(sign * correlations(some, block)).max(axis=1) for block in blocks], axis=0)
    return float(np.mean(others > NEARER * own)) > TOO_MANY


def most_alike(inputs: np.ndarray, images: np.ndarray, sign: int) -> np.ndarray:
    """The most similar digit that is free."""
    alike = sign * correlations(inputs, images)
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
