"""What was done to the grey values: the function from a file's 0..255 to a network's input, and its faults.

Any strictly increasing function that stays between -10 and 10 is right. Trusted side: numpy only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.data.tracers import PIXELS, TRANSPOSED, VIEWS, Array, turn
from grader.engine.check import fail

LIMIT = 10.0  # how large a prepared pixel may be, either sign
FLAT = 0.02  # black to white: less than this is a picture divided twice
LEVELS = 256
SHAPES = {
    "": "picture-has-no-axes",
    "28 x 28": "channel-axis-missing",
    "28 x 28 x 1": "channel-axis-last",
    "3 x 28 x 28": "three-channels",
    "784": "picture-flattened",
    "1 x 784": "picture-flattened",
    "1 x 1 x 28 x 28": "one-axis-too-many",
    "28 x 28 x 3": "three-channels",
}


@dataclass(frozen=True)
class GreyMap:
    """For each grey value of the file the mean of what it became; NaN where the value did not occur."""

    values: Array  # (256,)
    spread: float  # the largest deviation inside one grey value, as a part of the whole range

    @property
    def is_function(self) -> bool:
        return self.spread < 1e-3

    @property
    def black(self) -> float:
        return float(self.values[~np.isnan(self.values)][0])

    @property
    def white(self) -> float:
        return float(self.values[~np.isnan(self.values)][-1])

    def differs(self, other: GreyMap) -> float:
        """The largest difference at a grey value both have seen, as a part of the larger range."""
        difference = np.abs(self.values - other.values)
        scale = max(np.nanmax(self.values) - np.nanmin(self.values), np.nanmax(other.values) - np.nanmin(other.values))
        return float(np.nanmax(difference) / max(scale, 1e-12))


def grey_map(raw: Array, out: Array) -> GreyMap:
    """The function from `raw` (uint8) to `out`, of the same shape, pixel by pixel."""
    levels, values = raw.ravel().astype(np.int64), out.ravel().astype(np.float64)
    count = np.bincount(levels, minlength=LEVELS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(levels, values, LEVELS) / count
    whole = float(np.ptp(values)) or 1.0
    return GreyMap(mean, float(np.abs(values - mean[levels]).max() / whole))


def judge_map(seen: GreyMap, where: str, todo: int) -> None:
    """Fail when the function is not increasing or its values are of the wrong size."""
    values = seen.values[~np.isnan(seen.values)]
    steps = np.diff(values)
    facts: dict[str, Any] = {"where": where, "black": seen.black, "white": seen.white}
    tiny = 1e-7 * max(float(np.ptp(values)), 1e-12)
    falling, rising = int((steps < -tiny).sum()), int((steps > tiny).sum())
    if falling and falling > rising:
        fail("inverted-pixels", todo=todo, **facts)
    if falling and falling <= 8:  # in steps, not one by one: the type could not hold the number
        level = int(np.flatnonzero(~np.isnan(seen.values))[int(steps.argmin()) + 1])
        before, after = float(values[steps.argmin()]), float(values[steps.argmin() + 1])
        fail("grey-values-wrap-round", todo=todo, where=where, level=level, before=before, after=after)
    if falling:
        fail("pixels-not-increasing", todo=todo, falling=falling, **facts)
    if rising < len(steps):
        fail("grey-levels-lost", todo=todo, levels=rising + 1, asked=len(values), **facts)
    judge_size(seen, facts, todo)


def judge_size(seen: GreyMap, facts: dict[str, Any], todo: int) -> None:
    span = seen.white - seen.black
    if max(abs(seen.black), abs(seen.white)) > LIMIT:
        # pixels in 0..255 keep a span of 255; dividing them by a deviation meant for 0..1 makes it wider still
        if span > 300:
            fail("normalised-before-scaling", todo=todo, **facts)
        if span > 200:
            fail("pixels-not-scaled", todo=todo, **facts)
        fail("pixels-too-large", todo=todo, limit=LIMIT, **facts)
    if span < FLAT:
        fail("pixels-scaled-twice", todo=todo, span=span, **facts)


def judge_each_image(raw: Array, out: Array, where: str, todo: int) -> None:
    """When there is no one function for all images: does each have one of its own?"""
    own = [grey_map(r, o) for r, o in zip(raw, out)]
    if not all(m.is_function for m in own) or len(own) < 2:
        return
    common = np.stack([m.values for m in own])
    widest = int(np.nan_to_num(np.nanmax(common, axis=0) - np.nanmin(common, axis=0), nan=-1).argmax())
    column = common[:, widest]
    low, high = float(np.nanmin(column)), float(np.nanmax(column))
    fail("scaled-image-by-image", todo=todo, where=where, level=widest, low=low, high=high)


def same_at_each_place(raw: Array, out: Array) -> bool:
    """Whether each place in the picture has an increasing straight-line map of its own (one mean and deviation
    a pixel, learnt from the training file, is a right preparation too)."""
    grey, values = raw.astype(np.float64), out.astype(np.float64)
    grey, shifted = grey - grey.mean(axis=0), values - values.mean(axis=0)
    slope = (grey * shifted).sum(axis=0) / np.maximum((grey**2).sum(axis=0), 1e-12)
    left = np.abs(shifted - slope * grey).max()
    return bool(left < 1e-3 * max(float(np.ptp(values)), 1e-12) and (slope > 0).all() and np.abs(values).max() <= LIMIT)


def judge_transform(seen: Any, pictures: Array) -> None:
    """Every question about make_transform: what it returns, and what that does to a picture."""
    judge_product(seen)
    if seen["type"] == "NoneType":
        fail("transform-returns-none", todo=1)
    if seen["type"] != "Tensor":
        fail("transform-not-a-tensor", todo=1, type=seen["type"])
    if seen["dtype"] != "float32":
        fail("picture-dtype", todo=1, where="make_transform", dtype=seen["dtype"])
    judge_shape(" x ".join(str(size) for size in seen["shape"]), "make_transform", "1 x 28 x 28", todo=1)
    outputs = seen["outputs"]  # (calls, pictures, 784)
    if not np.isfinite(outputs).all():
        fail("pixels-not-finite", todo=1, where="make_transform")
    spread = np.ptp(outputs, axis=0).max()
    again = float(np.abs(seen["again"] - outputs[0]).max()) if "again" in seen else 0.0
    if max(spread, again) > 1e-4 * max(float(np.ptp(outputs)), 1e-6):
        fail("transform-is-random", todo=1, difference=max(float(spread), again))
    judge_values(pictures, outputs[0], "make_transform", todo=1)


def judge_product(seen: Any) -> None:
    error = seen.raised("make_error")
    if error is not None:
        if re.search(r"make_transform\(\) missing \d+ required", error.message):
            fail("transform-takes-the-picture", todo=1, message=error.message)
        seen["make_error"]
    if seen["product"] == "NoneType":
        fail("make-transform-returns-none", todo=1)
    if not seen["callable"]:
        fail("transform-not-callable", todo=1, type=seen["product"])
    if seen["is_class"]:
        fail("transform-is-a-class", todo=1, type=seen["product"])
    if seen["steps"] in ("set", "frozenset") or 0 < seen["raised_calls"] < seen["calls"]:
        fail("steps-in-random-order", todo=1, raised=seen["raised_calls"], calls=seen["calls"])
    error = seen.raised("apply_error")
    if error is not None:
        if error.type == "TypeError" and re.search(r"(?i)normalize|tensor image", error.message + in_frames(error)):
            fail("normalised-before-tensor", todo=1, message=error.message[:200])
        seen["apply_error"]


def in_frames(error: Any) -> str:
    return " ".join(frame.get("text", "") for frame in error.frames)


def judge_shape(shape: str, where: str, expected: str, todo: int) -> None:
    if shape != "1 x 28 x 28":
        fail(SHAPES.get(shape, "picture-size"), todo=todo, where=where, shape=shape or "no axes", expected=expected)


def judge_values(pictures: Array, out: Array, where: str, todo: int) -> None:
    """Is the result the same picture, every grey value mapped by one increasing function?"""
    raw = pictures.reshape(len(pictures), PIXELS)
    seen = grey_map(raw, out)
    if seen.is_function:
        return judge_map(seen, where, todo)
    for view in range(1, len(VIEWS)):
        turned = turn(pictures, view).reshape(len(pictures), PIXELS)
        if grey_map(turned, out).is_function:
            fail(
                "picture-transposed" if view == TRANSPOSED else "picture-turned",
                todo=todo,
                where=where,
                how=VIEWS[view],
            )
    judge_each_image(raw, out, where, todo)
    fail("picture-changed", todo=todo, where=where)
