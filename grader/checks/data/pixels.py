"""What was done to the grey values: the function from a file's 0..255 to a network's input, and its faults.

Any strictly increasing function that stays between -10 and 10 is right. Trusted side: numpy only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.data.tracers import PIXELS
from grader.checks.views import TRANSPOSED, VIEWS, turned
from grader.engine.answer import SOME, Answer, Raised
from grader.engine.check import Failed, fail

LIMIT = 10.0  # how large a prepared pixel may be, either sign
FLAT = 0.02  # black to white: less than this is a picture divided twice
LEVELS = 256
STEEP = 0.05  # of the usual slope: a place with less is nearly blank
CALLS = 12  # of make_transform: a random order of its steps must show
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

    values: np.ndarray  # (256,)
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


def grey_map(raw: np.ndarray, out: np.ndarray) -> GreyMap:
    """The function from `raw` (uint8) to `out`, of the same shape, pixel by pixel."""
    levels, values = raw.ravel().astype(np.int64), out.ravel().astype(np.float64)
    count = np.bincount(levels, minlength=LEVELS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(levels, values, LEVELS) / count
    whole = float(np.ptp(values)) or 1.0
    return GreyMap(mean, float(np.abs(values - mean[levels]).max() / whole))


def judge_map(grey: GreyMap, where: str, todo: int) -> None:
    """Fail when the function is not increasing or its values are of the wrong size."""
    values = grey.values[~np.isnan(grey.values)]
    steps = np.diff(values)
    facts: dict[str, Any] = {"where": where, "black": grey.black, "white": grey.white}
    tiny = 1e-7 * max(float(np.ptp(values)), 1e-12)
    falling, rising = int((steps < -tiny).sum()), int((steps > tiny).sum())
    if falling and falling > rising:
        fail("inverted-pixels", todo=todo, **facts)
    if falling and falling <= 8:  # in steps, not one by one: the type could not hold the number
        level = int(np.flatnonzero(~np.isnan(grey.values))[int(steps.argmin()) + 1])
        before, after = float(values[steps.argmin()]), float(values[steps.argmin() + 1])
        fail("grey-values-wrap-round", todo=todo, where=where, level=level, before=before, after=after)
    if falling:
        fail("pixels-not-increasing", todo=todo, falling=falling, **facts)
    if rising < len(steps):
        fail("grey-levels-lost", todo=todo, levels=rising + 1, asked=len(values), **facts)
    judge_size(grey, facts, todo)


def judge_size(grey: GreyMap, facts: dict[str, Any], todo: int) -> None:
    span = grey.white - grey.black
    if max(abs(grey.black), abs(grey.white)) > LIMIT:
        # pixels in 0..255 keep a span of 255; dividing them by a deviation meant for 0..1 makes it wider still
        if span > 300:
            fail("normalised-before-scaling", todo=todo, **facts)
        if span > 200:
            fail("pixels-not-scaled", todo=todo, **facts)
        fail("pixels-too-large", todo=todo, limit=LIMIT, **facts)
    if span < FLAT:
        fail("pixels-scaled-twice", todo=todo, span=span, **facts)


def judge_each_image(raw: np.ndarray, out: np.ndarray, where: str, todo: int) -> None:
    """When there is no one function for all images: does each have one of its own?"""
    maps = [grey_map(r, o) for r, o in zip(raw, out)]
    if not all(m.is_function for m in maps) or len(maps) < 2:
        return
    common = np.stack([m.values for m in maps])
    widest = int(np.nan_to_num(np.nanmax(common, axis=0) - np.nanmin(common, axis=0), nan=-1).argmax())
    column = common[:, widest]
    low, high = float(np.nanmin(column)), float(np.nanmax(column))
    fail("scaled-image-by-image", todo=todo, where=where, level=widest, low=low, high=high)


def same_at_each_place(raw: np.ndarray, out: np.ndarray) -> bool:
    """Whether each place in the picture has an increasing straight-line map of its own (one mean and deviation
    per pixel, learnt from the training file, is a right preparation too), and no place is nearly blank."""
    grey, values = raw.astype(np.float64), out.astype(np.float64)
    grey, shifted = grey - grey.mean(axis=0), values - values.mean(axis=0)
    slope = (grey * shifted).sum(axis=0) / np.maximum((grey**2).sum(axis=0), 1e-12)
    left = np.abs(shifted - slope * grey).max()
    seen = bool((slope > 0).all() and slope.min() >= STEEP * np.median(slope))
    return bool(left < 1e-3 * max(float(np.ptp(values)), 1e-12) and seen and np.abs(values).max() <= LIMIT)


def judge_transform(answer: Answer, pictures: np.ndarray) -> None:
    """Every question about make_transform: what it returns, and what that does to a picture."""
    judge_made(answer)
    form = answer.part("form")
    kind, dtype, shape = form.text("type"), form.text("dtype"), form.integers("shape", range(100))
    if kind == "NoneType":
        fail("transform-returns-none", todo=1)
    if kind != "Tensor":
        fail("transform-not-a-tensor", todo=1, type=kind)
    if dtype != "float32":
        fail("picture-dtype", todo=1, where="make_transform", dtype=dtype)
    judge_shape(" x ".join(map(str, shape)), "make_transform", "1 x 28 x 28", todo=1)
    outputs = answer.array("outputs", (SOME, len(pictures), PIXELS))
    if not np.isfinite(outputs).all():
        fail("pixels-not-finite", todo=1, where="make_transform")
    again = answer.array("again", outputs.shape[1:]) if "again" in answer else outputs[0]
    difference = max(float(np.ptp(outputs, axis=0).max()), float(np.abs(again - outputs[0]).max()))
    if difference > 1e-4 * max(float(np.ptp(outputs)), 1e-6):
        fail("transform-is-random", todo=1, difference=difference)
    try:
        judge_values(pictures, outputs[0], "make_transform", todo=1)
    except Failed:
        if "shared" in answer and answer.flag("shared"):
            fail("pictures-share-memory", todo=1)
        raise


def judge_made(answer: Answer) -> None:
    """What make_transform returned, before it is applied, and what it raised when it was."""
    error = answer.raised("made")
    if error is not None and re.search(r"make_transform\(\) missing \d+ required", error.message):
        fail("transform-takes-the-picture", todo=1, message=error.message)
    made = answer.part("made")
    kind = made.text("type")
    if kind == "NoneType":
        fail("make-transform-returns-none", todo=1)
    if not made.flag("callable"):
        fail("transform-not-callable", todo=1, type=kind)
    if made.flag("is_class"):
        fail("transform-is-a-class", todo=1, type=kind)
    failed, calls = answer.integer("failed_calls"), answer.integer("calls")
    if made.text("steps") in ("set", "frozenset") or 0 < failed < calls:
        fail("steps-in-random-order", todo=1, raised=failed, calls=calls)
    error = answer.raised("first_error")
    if error is not None:
        if error.type == "TypeError" and re.search(r"(?i)normalize|tensor image", error.message + in_frames(error)):
            fail("normalised-before-tensor", todo=1, message=error.message[:200])
        answer.end_if_raised("first_error")


def in_frames(error: Raised) -> str:
    return " ".join(frame.get("text", "") for frame in error.frames)


def judge_shape(shape: str, where: str, expected: str, todo: int) -> None:
    if shape != "1 x 28 x 28":
        fail(SHAPES.get(shape, "picture-size"), todo=todo, where=where, shape=shape or "no axes", expected=expected)


def judge_values(pictures: np.ndarray, out: np.ndarray, where: str, todo: int) -> None:
    """Is the result the same picture, every grey value mapped by one increasing function?"""
    raw = pictures.reshape(len(pictures), PIXELS)
    grey = grey_map(raw, out)
    if grey.is_function:
        return judge_map(grey, where, todo)
    for view in range(1, len(VIEWS)):
        if grey_map(turned(pictures, view).reshape(len(pictures), PIXELS), out).is_function:
            finding = "picture-transposed" if view == TRANSPOSED else "picture-turned"
            fail(finding, todo=todo, where=where, how=VIEWS[view])
    judge_each_image(raw, out, where, todo)
    fail("picture-changed", todo=todo, where=where)
