"""Part 2, the network: judged by what it does with random images, never by how it is written.

Numbers come from three states: fresh, after a few steps, and with weights made large. A fault that
hides in one (a head that starts at zero, sigmoids that look straight while small) shows in another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from grader.checks.model.unusable import CLASSES, PIXELS, judge_form, pictures, ready, scores_of
from grader.engine.check import check, fail
from grader.engine.student import Student

CALLS = ("model.DigitClassifier",)
BATCH = 64  # the one size that a network with a fixed batch size most likely knows
FACTORS = (3.0, 10.0, 30.0, 100.0)
# what the probe says of each parameter tensor
FIELDS = ("names", "sizes", "trainable", "random", "connected", "largest", "spread", "moved", "influence")
SMALLEST = 1e-37  # float32 has no exact numbers much nearer to 0
NOISE = 1e-4  # float32 arithmetic in another order differs by less than this, relative to the largest score


@check("builds", part="model", todo=3, calls=CALLS)
def test_builds(student: Student) -> None:
    """DigitClassifier() builds a network"""
    ready(student)


@check("score-shape", part="model", todo=4, calls=CALLS)
def test_score_shape(student: Student) -> None:
    """Any batch of images gives ten scores an image"""
    ready(student)
    judge_form(student)


@check("registered", part="model", todo=3, calls=CALLS)
def test_registered(student: Student) -> None:
    """PyTorch knows every layer of the network"""
    ready(student)
    judge_registered(student)


def judge_registered(student: Student) -> None:
    rng = student.rng("registered")
    seen = student.observe("model.transplant", images=pictures(rng, BATCH), labels=rng.integers(0, CLASSES, BATCH))
    original, copy = scores_of(student, seen, "original", "copy")
    if not np.isfinite(original).all():  # nan is never equal to nan, so nothing could be compared
        fail("scores-not-finite")
    # a network that remembers earlier calls is another check's business; its copies differ anyway
    remembers = not (np.array_equal(seen["once"], seen["again"]) and np.array_equal(original, seen["original_again"]))
    same = remembers or close(copy, original)
    if seen["shared"]:
        fail("layers-shared", names=listed(seen["shared"]))
    if not same or seen["stray"]:
        off = float(np.abs(copy - original).max())
        shapes = listed(seen["stray"]) or "not trainable either"
        name_hiding_place(seen, off, shapes)
    if seen["parameters"] == 0:
        fail("no-parameters")


def name_hiding_place(seen: Any, off: float, shapes: str) -> None:
    """There are weights outside the network's state: say where they most likely are."""
    for place, finding in (
        ("created", "layer-in-forward"),
        ("containers", "layers-in-list"),
        ("on_class", "layers-on-class"),
        ("tensors", "plain-tensor-weights"),
        ("outside", "layers-outside-class"),
    ):
        if seen[place]:
            fail(finding, names=listed(seen[place]))
    fail("weights-not-registered", off=off, shapes=shapes)


@check("gradients", part="model", todo=4, calls=CALLS)
def test_gradients(student: Student) -> None:
    """Every layer can learn"""
    ready(student)
    rng = student.rng("gradients")
    seen = student.observe("model.learn", images=pictures(rng, BATCH), labels=rng.integers(0, CLASSES, BATCH))
    scores_of(student, seen)
    columns = [seen[field] for field in FIELDS]
    tensors = [dict(zip(FIELDS, row)) for row in zip(*columns)]
    if not tensors:
        judge_registered(student)
        return
    judge_tensors(tensors, seen["attached"])


def judge_tensors(tensors: list[dict[str, Any]], attached: bool) -> None:
    frozen = [t for t in tensors if not t["trainable"]]
    if len(frozen) == len(tensors) or any(t["random"] and t["sizes"] > 1 for t in frozen):
        fail("weights-frozen", names=names_of(frozen))
    if not attached:
        fail("scores-detached")
    numbers = sum(t["sizes"] for t in tensors if t["trainable"])
    still = [t for t in tensors if t["trainable"] and t["connected"] and t["largest"] == 0.0]
    if sum(t["sizes"] for t in still if t["spread"] < 0) > numbers / 2:  # random weights, yet no gradient
        fail("gradient-zero", names=names_of(still))
    alike = [t for t in tensors if t["trainable"] and t["connected"] and 0 <= t["spread"] <= 1e-3 * t["moved"]]
    if alike:
        fail("neurons-identical", names=names_of(alike))
    loose = [t for t in tensors if t["trainable"] and not t["connected"]]
    cut = [t for t in loose if t["influence"] > 0]
    if cut:
        fail("gradient-cut", names=names_of(cut))
    if loose:
        fail("layer-unused", names=names_of(loose), share=1 / 3)


def names_of(tensors: list[dict[str, Any]]) -> str:
    return listed([t["names"] for t in tensors])


def listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def observe_response(student: Student) -> Any:
    """Scores in several states, for images of both signs and for triples on straight lines.

    On those lines no pixel changes its sign, so an activation on the pixels themselves bends nothing.
    """
    ready(student)
    rng = student.rng("response")
    # as many plus as minus: else a network of positive weights may see all pixels of one sign as one large number
    signs = rng.permutation(np.repeat([-1, 1], PIXELS // 2)).reshape(1, 1, 28, 28).astype(np.float32)
    ends = np.abs(pictures(rng, 42)) * signs
    lines = np.concatenate([ends, (ends[:21] + ends[21:]) / 2, ends[:1]])
    images, labels = pictures(rng, BATCH), rng.integers(0, CLASSES, BATCH)
    return student.observe("model.response", images=images, labels=labels, lines=lines, factors=list(FACTORS))


def states(student: Student, seen: Any, kind: str) -> Iterator[Any]:
    """The scores of every state that came out finite, from the fresh network to the one with the largest weights."""
    scores_of(student, seen, f"{kind}_start")  # always there: an answer without it is none of the probe's
    finite = False
    for name in ("start", "stepped", "bright", *(f"grown_{i}" for i in range(len(FACTORS)))):
        values = seen.get(f"{kind}_{name}")
        if values is not None and np.isfinite(values).all():
            finite = True
            yield values.astype(np.float64)
    if not finite:
        fail("scores-not-finite")


@check("non-linear", part="model", todo=4, calls=CALLS)
def test_non_linear(student: Student) -> None:
    """The network can bend: it is more than one straight-line function"""
    seen = observe_response(student)
    straight, constant = 0, 0
    for scores in states(student, seen, "lines"):
        scores = before_output_function(scores)
        if scores is None:
            continue
        bend, spread = bend_of(scores)
        if spread <= NOISE * np.abs(scores).max():
            constant += 1  # nothing depends on the image here, so nothing can be said
        elif bend > 1e-3 * spread:
            return
        else:
            straight += 1
    if straight:
        fail("no-activation")
    if constant:
        fail("scores-ignore-image")


def bend_of(scores: Any) -> tuple[float, float]:
    """How far the scores half-way lie from the mean of the ends, and how far the ends lie apart.

    Differences of scores, because log_softmax shifts all scores of an image by the same amount.
    """
    if scores.shape[1] > 1:
        scores = scores - scores.mean(axis=1, keepdims=True)
    first, second, middle = scores[:21], scores[21:42], scores[42:63]
    return float(np.abs(first + second - 2 * middle).max()), float(np.abs(first - second).max())


def before_output_function(scores: Any) -> Any:
    """Undo a softmax or sigmoid at the end: it must not pass for the missing bend between the layers.

    None where it cannot be undone, because float32 has rounded some of what it gave to 0 or 1.
    """
    if scores.min() < 0 or scores.max() > 1 or np.ptp(scores) == 0:
        return scores
    if sums_to_one(scores, axis=1):
        return np.log(scores) if scores.min() > SMALLEST else None
    if sums_to_one(scores, axis=0):
        return scores
    return np.log(scores) - np.log1p(-scores) if scores.min() > SMALLEST and scores.max() < 1 - 1e-4 else None


def sums_to_one(scores: Any, axis: int) -> bool:
    return bool(scores.min() >= 0 and np.abs(scores.sum(axis=axis) - 1).max() < 1e-3)


@check("raw-scores", part="model", todo=4, calls=CALLS)
def test_raw_scores(student: Student) -> None:
    """Scores are raw numbers, not probabilities"""
    seen = observe_response(student)
    found = [s for s in states(student, seen, "scores") if np.ptp(s, axis=0).max() > 0]  # a head of zeros: nothing yet
    if not found:
        fail("scores-ignore-image")
    judge_raw(found)
    training = seen.get("scores_training")
    if training is not None and np.isfinite(training).all() and sums_to_one(training, axis=1):
        fail("scores-are-probabilities", row_sum=float(training[0].sum()))


def judge_raw(found: list[Any]) -> None:
    first, last = found[0], found[-1]
    if all(sums_to_one(s, axis=1) for s in found):
        fail("scores-are-probabilities", row_sum=float(first[0].sum()))
    if all(sums_to_one(s, axis=0) or sums_to_one(np.exp(np.minimum(s, 1)), axis=0) for s in found):
        fail("softmax-over-batch")
    if all(np.abs(np.sqrt((s**2).sum(axis=1)) - 1).max() < 1e-3 for s in found):
        fail("scores-squashed", lowest=float(last.min()), highest=float(last.max()))
    if all(sums_to_one(np.exp(np.minimum(s, 1)), axis=1) for s in found):
        judge_shifted(last)
        return
    low, high = last.min(), last.max()
    if low == high or low < -1.5:  # raw scores go far below zero when weights are large
        return
    rows = np.ptp(last, axis=1)
    last = last[rows > 1e-3 * rows.max()]  # where all hidden neurons are silent, all ten scores are alike
    at_low, at_high = (float((np.abs(last - end) <= 1e-3 * (high - low)).mean()) for end in (low, high))
    if at_low >= 0.2 and at_high >= 0.03:
        fail("scores-squashed", lowest=float(low), highest=float(high))
    if at_low >= 0.2:
        fail("scores-cut-below", lowest=float(low), part=f"{at_low:.0%}")


def judge_shifted(scores: Any) -> None:
    """Log-probabilities: log_softmax has shifted each row, so count from the row's lowest score."""
    above = scores - scores.min(axis=1, keepdims=True)
    width = above.max(axis=1, keepdims=True)
    above, width = above[width[:, 0] > 0], width[width[:, 0] > 0]
    at_low = float((above <= 1e-3 * width).mean()) if len(above) else 0.0
    if at_low < 0.2:  # one in ten is the lowest itself
        return
    if width.max() - width.min() <= 0.01 * width.max():
        fail("scores-squashed", lowest=0.0, highest=float(width.max()))
    fail("scores-cut-below", lowest=0.0, part=f"{at_low:.0%}")


@check("independent", part="model", todo=4, calls=CALLS)
def test_independent(student: Student) -> None:
    """The same image always gets the same scores, whatever stands beside it"""
    ready(student)
    rng = student.rng("independent")
    images, others = 0.3 + pictures(rng, BATCH), 2 * pictures(rng, BATCH)  # not centred: a kept average shows
    order, changed = rng.permutation(BATCH), [0, 7, BATCH // 2, BATCH - 1]
    labels = rng.integers(0, CLASSES, BATCH)
    seen = student.observe(
        "model.companions", images=images, labels=labels, others=others, order=order, changed=changed
    )
    after, one, two = scores_of(student, seen, "after", "one", "two")
    if not np.array_equal(after, images):
        fail("input-changed", off=float(np.abs(after - images).max()))
    if not np.isfinite(one).all():
        fail("scores-not-finite")
    same = seen["same_chance_one"]
    if not repeats(same, seen["same_chance_two"]) or not repeats(seen["grown_one"], seen["grown_two"]):
        fail("state-carried", message="the same images, shown twice, got different scores")
    if not close(one, two):
        judge_registered_weights(seen)
        fail("random-in-evaluation", off=float(np.abs(one - two).max()))
    judge_companions(seen, same, order, changed)


def judge_registered_weights(seen: Any) -> None:
    if seen["created"]:
        fail("layer-in-forward", names=listed(seen["created"]))


def judge_companions(seen: Any, same: Any, order: Any, changed: list[int]) -> None:
    """Nothing random is left: do the scores of an image depend on the other images, and in which pattern?"""
    half = BATCH // 2
    touched = {i: moved_rows(seen[f"changed_{i}"], same) for i in changed}
    strangers = any(rows - {i} for i, rows in touched.items())
    alone = seen.get("alone")
    off = max(
        float(np.abs(seen["beside_others"][:half] - same[:half]).max()),
        float(np.abs(seen["ordered"] - same[order]).max()),
        *(float(np.abs(seen[f"changed_{i}"] - same)[np.arange(BATCH) != i].max()) for i in changed),
    )
    depends = strangers or not close(seen["beside_others"][:half], same[:half])
    columns = same.astype(np.float64)
    if depends and (sums_to_one(columns, axis=0) or sums_to_one(np.exp(np.minimum(columns, 1)), axis=0)):
        fail("softmax-over-batch")
    if depends and close(seen["ordered"], same[order]):
        fail("batch-statistics", sign=f"the scores of an image change by up to {off:.2g} with the images beside it")
    if depends and all(min(rows, default=i) >= i for i, rows in touched.items()):
        fail("batch-read-as-time", off=off)
    if depends or not close(seen["ordered"], same[order]):
        fail("images-mixed", off=off)
    if alone is not None and alone.shape == same[:1].shape and not close(alone, same[:1]):
        off = float(np.abs(alone - same[:1]).max())
        fail("batch-statistics", sign=f"the scores of an image change by {off:.2g} when it comes alone")


def moved_rows(scores: Any, before: Any) -> set[int]:
    """The rows that are not what they were."""
    return {int(i) for i in np.flatnonzero(np.abs(scores - before).max(axis=1) > NOISE * (1e-3 + np.abs(before).max()))}


def close(a: Any, b: Any) -> bool:
    return bool(a.shape == b.shape and np.abs(a - b).max() <= NOISE * (1e-3 + np.abs(b).max()))


def repeats(a: Any, b: Any) -> bool:
    """The very same call twice: only the last bit may differ, and nan is nan."""
    return bool(np.allclose(a, b, rtol=0, atol=2e-6 * (1e-3 + np.abs(b).max()), equal_nan=True))
