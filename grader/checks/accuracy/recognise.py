"""Which digit is this? Finds each returned input among the digits of the run.

The order of a test loader is free and so is the scaling of its pixels, so inputs are recognised by their
pixels: first exactly (undoing one affine scaling for all), else by correlation, upright or transposed or
mirrored, because a faulty preparation must not cost the accuracy it reached. Each digit counts once.
"""

from __future__ import annotations

import numpy as np

from grader.checks.views import VIEWS, correlations, turned

LOOK = 100  # inputs that say which view it is


def match(inputs: np.ndarray, images: np.ndarray) -> np.ndarray:
    """inputs float (N, 784), images uint8 (M, 28, 28) -> (N,) indices into images, -1 where there is none."""
    result = np.full(len(inputs), -1)
    flat = images.reshape(len(images), -1)
    if inputs.shape[1] != flat.shape[1] or not np.isfinite(inputs).all() or np.ptp(inputs) == 0:
        return result
    matched = match_exactly(inputs, flat)
    if matched is None:
        matched = match_by_correlation(inputs, images)
    first = np.unique(matched, return_index=True)[1]
    result[first] = matched[first]
    return result


def match_exactly(inputs: np.ndarray, flat: np.ndarray) -> np.ndarray | None:
    """By equality, once the inputs are scaled back to 0..255; None when some input is not found."""
    low, high = inputs.min(), inputs.max()
    top = int(flat.max())
    pixels = np.rint((inputs - low) / (high - low) * top).astype(np.uint8)
    places: dict[bytes, list[int]] = {}
    for index, row in enumerate(flat):
        places.setdefault(row.tobytes(), []).append(index)
    matched = []
    for row in pixels:
        indices = places.get(row.tobytes())
        if not indices:
            return None
        matched.append(indices.pop() if len(indices) > 1 else indices[0])
    return np.array(matched)


def match_by_correlation(inputs: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The most similar digit, under whichever of the eight views fits the inputs best as a whole."""
    some = inputs[:: max(1, len(inputs) // LOOK)]
    fits = [float(correlations(some, turned(images, view)).max(axis=1).mean()) for view in range(len(VIEWS))]
    return np.asarray(correlations(inputs, turned(images, int(np.argmax(fits)))).argmax(axis=1))
