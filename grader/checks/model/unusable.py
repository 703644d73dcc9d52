"""Faults that keep a network from being built or from giving a matrix of scores, told apart by what they look like.

Every check of the model needs a network that can be built and scores to look at. When there are none,
all of them name the same finding, so that the student reads it once.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.engine.answer import Answer, Raised
from grader.engine.check import fail
from grader.engine.printable import listed
from grader.engine.student import Student

CLASSES = 10
PIXELS = 28 * 28
SIZES = (1, 2, 7, 64)
USUAL_SIZES = (8, 10, 16, 32, 50, 100, 128, 256)  # batch sizes a beginner may have written into a reshape
BATCH = 64  # the one size that a network with a fixed batch size most likely knows
SCORES = (BATCH, range(1, 2001))  # the shape of a probe's score matrix


def random_images(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random smooth patterns with mean 0 and deviation about 1, as images have after the usual normalisation."""
    coarse = rng.standard_normal((count, 1, 7, 7))
    fine = 0.3 * rng.standard_normal((count, 1, 28, 28))
    return (np.kron(coarse, np.ones((1, 1, 4, 4))) + fine).astype(np.float32)


def ready(student: Student) -> None:
    """The network can be built; otherwise a finding says why not."""
    answer = student.observe("model.construct")
    raised = answer.raised("model")
    if raised is not None:
        judge_construction(answer, raised)
    model = answer.part("model")
    kind, type_name, defines = answer.text("kind"), model.text("type"), answer.texts("defines")
    if kind == "instance":
        fail("instance-not-class", type=type_name)
    if not model.flag("is_module"):
        fail("not-a-module", type=type_name)
    if not model.flag("initialised"):
        fail("super-init-missing")
    if kind == "class" and "__init__" not in defines:
        close = [n for n in defines if not dunder(n) and "init" in alike(n, ("init",))]
        close += [n for n in defines if dunder(n) and difflib.get_close_matches(n, ["__init__"], cutoff=0.7)]
        if close:
            fail("init-misspelt", found=close[0])
    if kind == "class" and answer.flag("bare"):
        if lost := answer.texts("lost"):
            fail("layers-not-kept", names=listed(lost))
        fail("layers-none")
    if not model.flag("answers"):
        inner = "forward" in answer.texts("inner")
        if inner or "forward" in answer.texts("outside"):
            where = "inside another function of the class" if inner else "outside the class"
            fail("forward-misindented", todo=4, where=where)
        fail("forward-missing", todo=4, found=", ".join(defines) or "nothing")


def dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def alike(name: str, wanted: tuple[str, ...]) -> list[str]:
    return difflib.get_close_matches(name.strip("_").lower(), wanted, cutoff=0.75)


def judge_construction(answer: Answer, raised: Raised) -> None:
    """Name what DigitClassifier() raised, where it is a known slip."""
    message = raised.message
    if answer.text("kind") == "instance":
        fail("instance-not-class", type="an nn.Module object")
    if not answer.flag("callable"):
        fail("instance-not-class", type=answer.text("kind"))
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


def judge_name(raised: Raised, todo: int) -> None:
    name = re.search(r"object has no attribute '(\w+)'", raised.message)
    if raised.type == "AttributeError" and name and "'DigitClassifier'" in raised.message:
        fail("layer-name-unknown", name=name[1], todo=todo, came_from=raised)


def speaks_of_gpu(message: str) -> bool:
    return bool(re.search(r"\b(CUDA|cuda|NVIDIA|MPS backend|mps)\b", message))


def network_of(student: Student, answer: Answer) -> Answer:
    """What a probe saw of the network's scores; when it saw none, the finding that says why."""
    raised = answer.raised("network")
    if raised is not None:
        judge_form(student)
        judge_exception(raised)
    network = answer.part("network")
    if not network.flag("usable"):
        judge_form(student)
        fail("works-only-once")
    return network


def judge_form(student: Student) -> None:
    """Scores have the shape (B, 10), whatever B is."""
    images = random_images(student.rng("score-shape"), SIZES[-1])
    answer = student.observe("model.scores", images=images, batch_sizes=list(SIZES))
    batches = dict(zip(SIZES, answer.parts("batches", len(SIZES))))
    failed = [size for size, batch in batches.items() if batch.raised("returned") is not None]
    if failed:
        judge_failed(student, answer, batches, failed)
    forms = {size: batch.part("returned") for size, batch in batches.items()}
    for size in reversed(SIZES):
        judge_type(forms[size])
    raised = answer.raised("training")
    if raised is not None:
        judge_exception(raised, answer.texts("accepts"), answer)
    training = answer.part("training")
    judge_type(training)
    judge_shapes(forms, training)
    judge_finite(forms[BATCH])
    judge_finite(training)


def judge_failed(student: Student, answer: Answer, batches: dict[int, Answer], failed: list[int]) -> None:
    """forward raised for some batch sizes, or for all of them."""
    raised = batches[failed[-1]].raised("returned")
    assert raised is not None
    accepts = answer.texts("accepts")
    if raised.frames == [] and raised.type == "TypeError":
        judge_exception(raised, accepts, answer)
    works = [size for size in SIZES if size not in failed]
    if works == [SIZES[0]] or "more than 1" in raised.message:
        judge_exception(raised, accepts, answer)
    if not works:
        works = other_sizes(student, raised)
    if failed == [1]:
        fail("batch-axis-lost-for-one", sign=f"stops with: {raised.message}")
    if works:
        fail(
            "fixed-batch-size",
            works=", ".join(map(str, works)),
            fails=", ".join(map(str, failed)),
            message=raised.message,
        )
    judge_exception(raised, accepts, answer)
    batches[failed[-1]].end_if_raised("returned")  # nothing known: `crashed`, with the student's own lines


def other_sizes(student: Student, raised: Raised) -> list[int]:
    """Batch sizes that forward takes, among the usual ones and those in its error's message; not all of them."""
    written = re.findall(r"shape '\[(\d+),", raised.message) + re.findall(r"\((\d+)x\d+ and", raised.message)
    sizes = sorted({*USUAL_SIZES, *(int(n) for n in written if int(n) <= 1024)} - {0, PIXELS})
    images = random_images(student.rng("other-sizes"), max(sizes))
    answer = student.observe("model.scores", images=images, batch_sizes=sizes)
    batches = answer.parts("batches", len(sizes))
    works = [size for size, batch in zip(sizes, batches) if batch.raised("returned") is None]
    return works if len(works) < len(sizes) else []


def judge_exception(raised: Raised, accepts: Sequence[str] = (), answer: Answer | None = None) -> None:
    """Name what forward raised (for a batch of 64), where it is a known slip. answer: that of the probe `scores`."""
    message = raised.message
    if speaks_of_gpu(message):
        fail("hard-coded-gpu", message=message, came_from=raised)
    if "flat" in accepts:
        fail("images-not-flattened", message=message, came_from=raised)
    if "rows" in accepts:
        fail("channel-axis-unexpected", message=message, came_from=raised)
    product = re.search(r"\((\d+)x(\d+) and (\d+)x(\d+)\)", message)
    if product:
        judge_matrices(raised, answer, *(int(n) for n in product.groups()))
    channels = re.search(r"to have (\d+) channels, but got (\d+) channels", message)
    if channels:
        fail("channels-do-not-fit", expects=int(channels[1]), gets=int(channels[2]), message=message, came_from=raised)
    width = re.search(r"input_size\. Expected (\d+), got (\d+)", message)
    if width:
        fail("widths-do-not-fit", expects=int(width[1]), gets=int(width[2]), message=message, came_from=raised)
    width = re.search(r"running_mean should contain (\d+) elements not (\d+)", message)
    if width:
        fail("widths-do-not-fit", expects=int(width[2]), gets=int(width[1]), message=message, came_from=raised)
    shape = re.search(r"shape '\[(\d+(?:, \d+)*)\]' is invalid for input of size (\d+)", message)
    if shape:
        wanted, there = math.prod(map(int, shape[1].split(","))), int(shape[2])
        if wanted == PIXELS < there and there % PIXELS == 0:
            facts: dict[str, Any] = {"message": message, "size": there, "count": there // PIXELS, "product": PIXELS}
            fail("reshape-without-batch", came_from=raised, **facts)
    for pattern, finding in (
        (r"[Ee]xpected \d+-?D|must be \d-D|must be at least \d-D", "axes-do-not-fit"),
        (r"same dtype|expected scalar type|should be the same|but found (Double|Float|Half|Long)", "types-do-not-fit"),
        (r"numpy\(\) on Tensor that requires grad", "numpy-in-forward"),
        (r"backward through the graph a second time|Trying to backward", "state-carried"),
        (r"modified by an inplace operation", "in-place-operation"),
        (r"is invalid for input of size", "reshape-does-not-fit"),
    ):
        if re.search(pattern, message):
            fail(finding, message=message, came_from=raised)
    if raised.type == "BackwardStopped":
        fail("backward-stops", message=message)
    if raised.type == "WeightsWithoutNumbers":
        fail("weights-without-numbers", names=message)
    if raised.type == "TypeError" and not raised.frames and re.search(r"forward\(\) (takes|missing)", message):
        too_many = re.search(r"takes \d+ positional arguments? but \d+", message)
        fail("self-missing" if too_many else "forward-needs-arguments", todo=4, function="forward", message=message)
    if "more than 1 value per channel" in message or "more than 1 spatial element" in message:
        fail("batch-statistics", sign=f"one image alone is refused ({message})")
    judge_name(raised, todo=4)


def judge_matrices(raised: Raised, answer: Answer | None, rows: int, gets: int, weights: int, gives: int) -> None:
    """A linear layer met rows of another length than it was built for."""
    facts = {"gets": gets, "expects": weights, "rows": rows}
    if rows == 1 and gets == 64 * weights:
        fail("batch-flattened", came_from=raised, **facts)
    if gets in SIZES and rows == weights:
        fail("axes-swapped", came_from=raised, **facts)
    stopped = answer.part("stopped") if answer is not None and "stopped" in answer else None
    layer = stopped.text("name") if stopped is not None else "A layer"
    source = where_from(stopped, gets) if stopped is not None else ""
    before, gave = (stopped.text("before"), stopped.integers("gave", range(9))[1:]) if stopped is not None else ("", [])
    if before and before != layer and gets in (28, PIXELS) and len(gave) == 1 and gave[0] == weights:
        fail("result-not-passed-on", came_from=raised, **facts, layer=layer, before=before)
    if stopped is not None and layer == stopped.text("before"):
        fail("layer-used-twice", todo=4, came_from=raised, layer=layer, **facts)
    fail("layer-sizes-do-not-fit", came_from=raised, **facts, layer=layer, source=source)


def where_from(stopped: Answer, gets: int) -> str:
    """What the numbers are that came to a layer, the end of a sentence; "" where that was not seen."""
    before, gave = stopped.text("before"), stopped.integers("gave", range(9))[1:]
    if math.prod(gave) != gets or not gave:
        return ""
    if not before:
        return ", the pixels of an image"
    if len(gave) == 3:
        return f", which is {gave[0]} x {gave[1]} x {gave[2]}: channels, height and width of what {before} gives"
    return f", which is what {before} gives" if len(gave) == 1 else ""


def judge_type(form: Answer) -> None:
    kind = form.text("type")
    if kind == "NoneType":
        fail("forward-returns-nothing")
    if kind in ("tuple", "list"):
        fail("forward-returns-several", type=kind, items=form.text("items"))
    if kind == "ndarray":
        fail("forward-returns-numpy")
    if kind != "Tensor":
        fail("forward-returns-other", type=kind)


def shape_of(form: Answer) -> list[int]:
    return form.integers("shape", range(100))


def judge_shapes(forms: dict[int, Answer], training: Answer) -> None:
    """The shapes for every batch size; the largest batch speaks first, because its axes cannot be mixed up."""
    shapes = {size: shape_of(form) for size, form in forms.items()}
    if all(shapes[n] == [n, CLASSES] for n in SIZES[1:]) and shapes[1] != [1, CLASSES]:
        fail("batch-axis-lost-for-one", sign=f"gives scores of shape {tuple(shapes[1])}")
    for size in reversed(SIZES):
        if shapes[size] != [size, CLASSES]:
            name_shape(size, shapes[size], forms[size].text("dtype"))
    if shape_of(training) != [BATCH, CLASSES]:
        fail("training-output-differs", shape=shape_of(training), batch=BATCH)


def name_shape(batch: int, shape: list[int], dtype: str) -> None:
    facts: dict[str, Any] = {"batch": batch, "shape": tuple(shape)}
    if shape == [batch] and dtype in ("int64", "int32"):
        fail("predictions-not-scores", **facts)
    if shape == [batch] or shape == [batch, 1]:
        fail("one-score-an-image", todo=4 if len(shape) == 1 else 3, **facts)
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


def judge_finite(form: Answer) -> None:
    dtype = form.text("dtype")
    if not dtype.startswith(("float", "bfloat")):
        fail("predictions-not-scores", batch=BATCH, shape=f"{tuple(shape_of(form))} and type {dtype}")
    if dtype != "float32":
        fail("scores-of-other-type", dtype=dtype, share=0.5)
    if not np.isfinite(form.array("values", (BATCH, CLASSES))).all():
        fail("scores-not-finite")
