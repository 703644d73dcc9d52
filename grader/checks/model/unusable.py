"""Faults that keep a network from being built or from giving a matrix of scores, told apart by what they look like.

Every check of the model needs a network that can be built and scores to look at. When there are none,
all of them name the same finding, so that the student reads it once.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import numpy as np

from grader.engine.check import fail
from grader.engine.student import Student

CLASSES = 10
PIXELS = 28 * 28
SIZES = (1, 2, 7, 64)
USUAL_SIZES = (8, 10, 16, 32, 50, 100, 128, 256)  # batch sizes a beginner may have written into a reshape


def pictures(rng: np.random.Generator, count: int) -> Any:
    """Random smooth patterns with mean 0 and deviation about 1, as images have after the usual normalisation."""
    coarse = rng.standard_normal((count, 1, 7, 7))
    fine = 0.3 * rng.standard_normal((count, 1, 28, 28))
    return (np.kron(coarse, np.ones((1, 1, 4, 4))) + fine).astype(np.float32)


def ready(student: Student) -> None:
    """The network can be built; otherwise a finding says why not."""
    seen = student.observe("model.construct")
    if seen.raised("built") is not None:
        judge_construction(seen)
        seen["built"]
    if seen["kind"] == "instance":
        fail("instance-not-class", type=seen["type"])
    if not seen["is_module"]:
        fail("not-a-module", type=seen["type"])
    if not seen["initialised"]:
        fail("super-init-missing")
    close = [n for n in seen["defines"] if not dunder(n) and "init" in alike(n, ("init",))]
    if seen["kind"] == "class" and "__init__" not in seen["defines"]:
        close += [n for n in seen["defines"] if dunder(n) and difflib.get_close_matches(n, ["__init__"], cutoff=0.7)]
        if close:
            fail("init-misspelt", found=close[0])
    if not seen["answers"]:
        if "forward" in seen["inner"] or "forward" in seen["outside"]:
            where = "inside another function of the class" if "forward" in seen["inner"] else "outside the class"
            fail("forward-misindented", todo=4, where=where)
        fail("forward-missing", todo=4, found=", ".join(seen["defines"]) or "nothing")


def dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def alike(name: str, wanted: tuple[str, ...]) -> list[str]:
    return difflib.get_close_matches(name.strip("_").lower(), wanted, cutoff=0.75)


def judge_construction(seen: Any) -> None:
    """Name what DigitClassifier() raised, where it is a known slip."""
    raised = seen.raised("built")
    message = raised.message
    if seen["kind"] == "instance":
        fail("instance-not-class", type="an nn.Module object")
    if not seen["callable"]:
        fail("instance-not-class", type=seen["kind"])
    if "before Module.__init__() call" in message or re.search(
        r"no attribute '_(modules|parameters|buffers)'", message
    ):
        fail("super-init-missing")
    if "should return None" in message:
        fail("init-returns-something", message=message)
    if raised.type == "TypeError" and not raised.frames:
        if "missing" in message:
            fail("init-needs-arguments", message=message)
        if "positional argument" in message:  # __init__(): the instance itself has no name
            fail("self-missing", function="__init__", message=message)
    if speaks_of_gpu(message):
        fail("hard-coded-gpu", message=message)
    judge_name(raised, todo=3)


def judge_name(raised: Any, todo: int) -> None:
    name = re.search(r"object has no attribute '(\w+)'", raised.message)
    if raised.type == "AttributeError" and name and "'DigitClassifier'" in raised.message:
        fail("layer-name-unknown", name=name[1], todo=todo)


def speaks_of_gpu(message: str) -> bool:
    return bool(re.search(r"\b(CUDA|cuda|NVIDIA|MPS backend|mps)\b", message))


def scores_of(student: Student, seen: Any, *names: str) -> list[Any]:
    """Arrays a probe took from the scores; when there are none, the finding that says why."""
    raised = seen.raised("raised")
    if raised is not None:
        judge_form(student)
        judge_exception(raised, {})
        seen["raised"]  # becomes `crashed`
    if seen.get("unusable"):
        judge_form(student)
        fail("score-shape-wrong", batch=64, shape="something else in one of several calls")
    return [seen[name] for name in names]


def judge_form(student: Student) -> None:
    """Scores have the shape (B, 10), whatever B is."""
    images = pictures(student.rng("score-shape"), SIZES[-1])
    seen = student.observe("model.scores", images=images, batch_sizes=list(SIZES))
    failed = [size for size in SIZES if seen.raised(f"raised_{size}") is not None]
    if failed:
        judge_failed(student, seen, failed)
    for suffix in ("_64", "_7", "_2", "_1", "_train"):
        if seen.raised(f"raised{suffix}") is not None:
            judge_exception(seen.raised(f"raised{suffix}"), seen)
            seen[f"raised{suffix}"]
        judge_type(seen, suffix)
    judge_shapes(seen)
    judge_values(seen)


def judge_failed(student: Student, seen: Any, failed: list[int]) -> None:
    """forward raised for some batch sizes, or for all of them."""
    raised = seen.raised(f"raised_{failed[-1]}")
    if raised.frames == [] and raised.type == "TypeError":
        judge_exception(raised, seen)
    works = [size for size in SIZES if size not in failed]
    if works == [SIZES[0]] or "more than 1" in raised.message:
        judge_exception(raised, seen)
    if not works:
        written = re.findall(r"shape '\[(\d+),", raised.message) + re.findall(r"\((\d+)x\d+ and", raised.message)
        sizes = sorted({*USUAL_SIZES, *(int(n) for n in written if int(n) <= 1024)} - {0, PIXELS})
        images = pictures(student.rng("other-sizes"), max(sizes))
        more = student.observe("model.scores", images=images, batch_sizes=sizes)
        works = [size for size in sizes if more.raised(f"raised_{size}") is None]
        if len(works) == len(sizes):
            works = []
    if failed == [1]:
        fail("batch-axis-lost-for-one", sign=f"stops with: {raised.message}")
    if works:
        fail(
            "fixed-batch-size",
            works=", ".join(map(str, works)),
            fails=", ".join(map(str, failed)),
            message=raised.message,
        )
    judge_exception(raised, seen)
    seen[f"raised_{failed[-1]}"]  # nothing known: `crashed`, with the student's own lines


def judge_exception(raised: Any, seen: Any) -> None:
    """Name what forward raised (for a batch of 64), where it is a known slip."""
    message = raised.message
    if speaks_of_gpu(message):
        fail("hard-coded-gpu", message=message)
    if seen.get("accepts_flat"):
        fail("images-not-flattened", message=message)
    if seen.get("accepts_rows"):
        fail("channel-axis-unexpected", message=message)
    product = re.search(r"\((\d+)x(\d+) and (\d+)x(\d+)\)", message)
    if product:
        judge_product(*(int(n) for n in product.groups()))
    channels = re.search(r"to have (\d+) channels, but got (\d+) channels", message)
    if channels:
        fail("channels-do-not-fit", expects=int(channels[1]), gets=int(channels[2]), message=message)
    width = re.search(r"input_size\. Expected (\d+), got (\d+)", message)
    if width:
        fail("widths-do-not-fit", expects=int(width[1]), gets=int(width[2]), message=message)
    width = re.search(r"running_mean should contain (\d+) elements not (\d+)", message)
    if width:
        fail("widths-do-not-fit", expects=int(width[2]), gets=int(width[1]), message=message)
    for pattern, finding in (
        (r"[Ee]xpected \d+-?D|must be \d-D|must be at least \d-D", "axes-do-not-fit"),
        (r"same dtype|expected scalar type|should be the same|but found (Double|Float|Half|Long)", "types-do-not-fit"),
        (r"numpy\(\) on Tensor that requires grad", "numpy-in-forward"),
        (r"backward through the graph a second time|Trying to backward", "state-carried"),
        (r"modified by an inplace operation", "in-place-operation"),
        (r"is invalid for input of size", "reshape-does-not-fit"),
    ):
        if re.search(pattern, message):
            fail(finding, message=message)
    if raised.type == "TypeError" and re.search(r"forward\(\) (takes|missing)", message):
        given = re.search(r"takes \d+ positional arguments? but \d+", message)
        fail("self-missing" if given else "forward-needs-arguments", function="forward", message=message)
    if "more than 1 value per channel" in message or "more than 1 spatial element" in message:
        fail("batch-statistics", sign=f"one image alone is refused ({message})")
    judge_name(raised, todo=4)


def judge_product(rows: int, gets: int, weights: int, gives: int) -> None:
    """A linear layer met rows of another length than it was built for."""
    facts = {"gets": gets, "expects": weights, "rows": rows}
    if rows == 1 and gets == 64 * weights:
        fail("batch-flattened", **facts)
    if gets in SIZES and rows == weights:
        fail("axes-swapped", **facts)
    fail("layer-sizes-do-not-fit", **facts, sum=in_factors(gets))


def in_factors(length: int) -> str:
    """784 = 1 x 28 x 28, 1568 = 8 x 14 x 14 or 32 x 7 x 7: channels times picture size, where it looks like that."""
    if length == PIXELS:
        return "784 = 1 x 28 x 28"
    sides = (28, 26, 24, 14, 13, 12, 7, 6, 5, 4, 3)
    channels = {side: length // side**2 for side in sides if length % side**2 == 0 and length // side**2 <= 512}
    usual = {side: count for side, count in channels.items() if count in (1, 3) or count % 4 == 0} or channels
    forms = [f"{count} x {side} x {side}" for side, count in usual.items()]
    return f"{length} = {' or '.join(forms[:3])}" if forms else f"{length} numbers an image"


def judge_type(seen: Any, suffix: str) -> None:
    kind = seen[f"type{suffix}"]
    if kind == "NoneType":
        fail("forward-returns-nothing")
    if kind in ("tuple", "list"):
        fail("forward-returns-several", type=kind, items=seen[f"items{suffix}"])
    if kind == "ndarray":
        fail("forward-returns-numpy")
    if kind != "Tensor":
        fail("forward-returns-other", type=kind)


def judge_shapes(seen: Any) -> None:
    """The shapes for every batch size; the largest batch speaks first, because its axes cannot be mixed up."""
    shapes = {size: seen[f"shape_{size}"] for size in SIZES}
    if all(shapes[n] == [n, CLASSES] for n in SIZES[1:]) and shapes[1] != [1, CLASSES]:
        fail("batch-axis-lost-for-one", sign=f"gives scores of shape {tuple(shapes[1])}")
    for size in reversed(SIZES):
        if shapes[size] != [size, CLASSES]:
            name_shape(size, shapes[size], seen[f"dtype_{size}"])
    if seen["shape_train"] != [SIZES[-1], CLASSES]:
        fail("training-output-differs", shape=seen["shape_train"], batch=SIZES[-1])


def name_shape(batch: int, shape: list[int], dtype: str) -> None:
    facts: dict[str, Any] = {"batch": batch, "shape": tuple(shape)}
    if shape == [batch] and dtype in ("int64", "int32"):
        fail("predictions-not-scores", **facts)
    if shape == [batch] or shape == [batch, 1]:
        fail("one-score-an-image", **facts)
    if shape == [CLASSES, batch]:
        fail("scores-transposed", **facts)
    if shape == [CLASSES]:
        fail("batch-axis-lost", **facts)
    if len(shape) == 2 and shape[0] == batch:
        fail("class-count", **facts, classes=shape[1])
    if len(shape) > 2 and shape[0] == batch and [n for n in shape if n != 1] == [n for n in (batch, CLASSES) if n != 1]:
        fail("extra-axis", **facts)
    if len(shape) > 2:
        fail("images-not-flat-in-scores", **facts)
    if len(shape) == 2 and shape[1] == CLASSES:
        fail("rows-are-not-images", **facts, rows=shape[0])
    fail("score-shape-wrong", **facts)


def judge_values(seen: Any) -> None:
    for suffix in ("_64", "_train"):
        dtype = seen[f"dtype{suffix}"]
        if not dtype.startswith(("float", "bfloat")):
            fail("predictions-not-scores", batch=64, shape=f"{tuple(seen[f'shape{suffix}'])} and type {dtype}")
        if dtype != "float32":
            fail("scores-of-other-type", dtype=dtype, share=0.5)
        if not np.isfinite(seen[f"values{suffix}"]).all():
            fail("scores-not-finite")
