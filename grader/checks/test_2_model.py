"""Part 2, the network: judged by what it does with random images, never by how it is written.

Numbers come from three states: fresh, after a few steps, and with weights made large. A fault that
hides in one (a head that starts at zero, sigmoids that look straight while small) shows in another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grader.checks.model.unusable import (
    BATCH,
    CLASSES,
    PIXELS,
    SCORES,
    judge_form,
    network_of,
    random_images,
    ready,
)
from grader.engine.answer import Answer
from grader.engine.check import check, fail
from grader.engine.student import Student

CALLS = ("model.DigitClassifier",)
FACTORS = (3.0, 10.0, 30.0, 100.0)
SMALLEST = 1e-37  # float32 has no exact numbers much nearer to 0
NOISE = 1e-4  # float32 arithmetic in another order differs by less than this, relative to the largest score


@check("builds", part="model", todo=3, calls=CALLS)
def test_builds(student: Student) -> None:
    """DigitClassifier() builds a network"""
    ready(student)


@check("score-shape", part="model", todo=4, calls=CALLS)
def test_score_shape(student: Student) -> None:
    """Any batch of images gives ten scores per image"""
    ready(student)
    judge_form(student)


@check("registered", part="model", todo=3, calls=CALLS)
def test_registered(student: Student) -> None:
    """PyTorch knows every layer of the network"""
    ready(student)
    judge_registered(student)


def judge_registered(student: Student) -> None:
    rng = student.rng("registered")
    images, labels = random_images(rng, BATCH), rng.integers(0, CLASSES, BATCH)
    network = network_of(student, student.observe("model.transplant", images=images, labels=labels))
    original = network.array("original", SCORES)
    again, copy = network.array("original_again", original.shape), network.array("copy", original.shape)
    if not np.isfinite(original).all():  # nan is never equal to nan, so nothing could be compared
        fail("scores-not-finite")
    # a network that remembers earlier calls is another check's business; its copies differ anyway
    first_calls = network.array("once", SCORES), network.array("again", SCORES)
    remembers = not (np.array_equal(*first_calls) and np.array_equal(original, again))
    if shared := network.texts("shared"):
        fail("layers-shared", names=listed(shared))
    stray = network.texts("stray")
    if stray or not (remembers or close(copy, original)):
        off = float(np.abs(copy - original).max())
        name_hiding_place(network, off, listed(stray) or "not trainable either")
    if network.integer("parameters") == 0:
        fail("no-parameters")


def name_hiding_place(network: Answer, off: float, shapes: str) -> None:
    """There are weights outside the network's state: say where they most likely are."""
    if created := network.texts("created"):
        fail("layer-in-forward", names=listed(created))
    places = network.part("places")
    for place, finding in (
        ("containers", "layers-in-list"),
        ("on_class", "layers-on-class"),
        ("tensors", "plain-tensor-weights"),
        ("outside", "layers-outside-class"),
    ):
        if names := places.texts(place):
            fail(finding, names=listed(names))
    fail("weights-not-registered", off=off, shapes=shapes)


@dataclass(frozen=True)
class Weights:
    """What the probe `model.learn` says of one parameter tensor."""

    name: str
    size: int
    trainable: bool
    random: bool
    connected: bool
    largest: float
    spread: float
    moved: float
    influence: float


@check("gradients", part="model", todo=4, calls=CALLS)
def test_gradients(student: Student) -> None:
    """Every layer can learn"""
    ready(student)
    rng = student.rng("gradients")
    images, labels = random_images(rng, BATCH), rng.integers(0, CLASSES, BATCH)
    network = network_of(student, student.observe("model.learn", images=images, labels=labels))
    weights = weights_of(network.part("tensors"))
    if not weights:
        judge_registered(student)
        return
    judge_weights(weights, network.flag("attached"))


def weights_of(tensors: Answer) -> list[Weights]:
    names = tensors.texts("names")
    count = len(names)
    flags = (tensors.flags(name, count) for name in ("trainable", "random", "connected"))
    numbers = (tensors.numbers(name, count) for name in ("largest", "spread", "moved", "influence"))
    return [Weights(*row) for row in zip(names, tensors.integers("sizes", count), *flags, *numbers)]


def judge_weights(weights: list[Weights], attached: bool) -> None:
    frozen = [w for w in weights if not w.trainable]
    if len(frozen) == len(weights) or any(w.random and w.size > 1 for w in frozen):
        fail("weights-frozen", names=names_of(frozen))
    if not attached:
        fail("scores-detached")
    trainable = [w for w in weights if w.trainable]
    still = [w for w in trainable if w.connected and w.largest == 0.0]
    if sum(w.size for w in still if w.spread < 0) > sum(w.size for w in trainable) / 2:  # random weights, no gradient
        fail("gradient-zero", names=names_of(still))
    alike = [w for w in trainable if w.connected and 0 <= w.spread <= 1e-3 * w.moved]
    if alike:
        fail("neurons-identical", names=names_of(alike))
    loose = [w for w in trainable if not w.connected]
    cut = [w for w in loose if w.influence > 0]
    if cut:
        fail("gradient-cut", names=names_of(cut))
    if loose:
        fail("layer-unused", names=names_of(loose), share=1 / 3)


def names_of(weights: list[Weights]) -> str:
    return listed([w.name for w in weights])


def listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def observe_response(student: Student) -> Answer:
    """The network's scores in several states, for images of both signs and for triples on straight lines.

    On those lines no pixel changes its sign, so an activation on the pixels themselves bends nothing.
    """
    ready(student)
    rng = student.rng("response")
    # as many plus as minus: else a network of positive weights may see all pixels of one sign as one large number
    signs = rng.permutation(np.repeat([-1, 1], PIXELS // 2)).reshape(1, 1, 28, 28).astype(np.float32)
    ends = np.abs(random_images(rng, 42)) * signs
    lines = np.concatenate([ends, (ends[:21] + ends[21:]) / 2, ends[:1]])
    images, labels = random_images(rng, BATCH), rng.integers(0, CLASSES, BATCH)
    answer = student.observe("model.response", images=images, labels=labels, lines=lines, factors=list(FACTORS))
    return network_of(student, answer)


def states(network: Answer, kind: str) -> Iterator[np.ndarray]:
    """The scores of every state that came out finite, from the fresh network to the one with the largest weights."""
    finite = False
    for state in network.parts("states", range(1, 4 + len(FACTORS))):
        scores = state.array(kind, SCORES)
        if np.isfinite(scores).all():
            finite = True
            yield scores.astype(np.float64)
    if not finite:
        fail("scores-not-finite")


@check("non-linear", part="model", todo=4, calls=CALLS)
def test_non_linear(student: Student) -> None:
    """The network can bend: it is more than one straight-line function"""
    straight, constant = 0, 0
    for scores in map(before_output_function, states(observe_response(student), "lines")):
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


def bend_of(scores: np.ndarray) -> tuple[float, float]:
    """How far the scores half-way lie from the mean of the ends, and how far the ends lie apart.

    Differences of scores, because log_softmax shifts all scores of an image by the same amount.
    """
    if scores.shape[1] > 1:
        scores = scores - scores.mean(axis=1, keepdims=True)
    first, second, middle = scores[:21], scores[21:42], scores[42:63]
    return float(np.abs(first + second - 2 * middle).max()), float(np.abs(first - second).max())


def before_output_function(scores: np.ndarray) -> np.ndarray | None:
    """Undo a softmax or sigmoid at the end: it must not pass for the missing bend between the layers.

    None where it cannot be undone, because float32 has rounded some of what it gave to 0 or 1.
    """
    if scores.min() < 0 or scores.max() > 1 or np.ptp(scores) == 0:
        return scores
    if sums_to_one(scores, axis=1):
        return np.asarray(np.log(scores)) if scores.min() > SMALLEST else None
    if sums_to_one(scores, axis=0):
        return scores
    if scores.min() <= SMALLEST or scores.max() >= 1 - 1e-4:
        return None
    return np.asarray(np.log(scores) - np.log1p(-scores))


def sums_to_one(scores: np.ndarray, axis: int) -> bool:
    return bool(scores.min() >= 0 and np.abs(scores.sum(axis=axis) - 1).max() < 1e-3)


@check("raw-scores", part="model", todo=4, calls=CALLS)
def test_raw_scores(student: Student) -> None:
    """Scores are raw numbers, not probabilities"""
    network = observe_response(student)
    telling = [s for s in states(network, "scores") if np.ptp(s, axis=0).max() > 0]  # a head of zeros tells nothing yet
    if not telling:
        fail("scores-ignore-image")
    judge_raw(telling)
    if "training" in network:
        training = network.array("training", SCORES)
        if np.isfinite(training).all() and sums_to_one(training, axis=1):
            fail("scores-are-probabilities", row_sum=float(training[0].sum()))


def judge_raw(telling: list[np.ndarray]) -> None:
    first, last = telling[0], telling[-1]
    if all(sums_to_one(s, axis=1) for s in telling):
        fail("scores-are-probabilities", row_sum=float(first[0].sum()))
    if all(sums_to_one(s, axis=0) or sums_to_one(np.exp(np.minimum(s, 1)), axis=0) for s in telling):
        fail("softmax-over-batch")
    if all(np.abs(np.sqrt((s**2).sum(axis=1)) - 1).max() < 1e-3 for s in telling):
        fail("scores-squashed", lowest=float(last.min()), highest=float(last.max()))
    if all(sums_to_one(np.exp(np.minimum(s, 1)), axis=1) for s in telling):
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


def judge_shifted(scores: np.ndarray) -> None:
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
    images, others = 0.3 + random_images(rng, BATCH), 2 * random_images(rng, BATCH)  # not centred: a kept average shows
    order, changed = rng.permutation(BATCH), [0, 7, BATCH // 2, BATCH - 1]
    labels = rng.integers(0, CLASSES, BATCH)
    answer = student.observe(
        "model.companions", images=images, labels=labels, others=others, order=order, changed=changed
    )
    network = network_of(student, answer)
    after = network.array("after", images.shape)
    if not np.array_equal(after, images):
        fail("input-changed", off=float(np.abs(after - images).max()))
    one, two = network.arrays("chance_goes_on", SCORES, 2)
    if not np.isfinite(one).all():
        fail("scores-not-finite")
    if not repeats(*network.arrays("same_chance", one.shape, 2)) or not repeats(*network.arrays("grown", one.shape, 2)):
        fail("state-carried", message="the same images, shown twice, got different scores")
    if not close(one, two):
        if created := answer.texts("created"):
            fail("layer-in-forward", names=listed(created))
        fail("random-in-evaluation", off=float(np.abs(one - two).max()))
    judge_companions(network, order, changed)


def judge_companions(network: Answer, order: np.ndarray, changed: list[int]) -> None:
    """Nothing random is left: do the scores of an image depend on the other images, and in which pattern?"""
    half = BATCH // 2
    same = network.arrays("same_chance", SCORES, 2)[0]
    ordered, beside_others = (network.array(name, same.shape) for name in ("ordered", "beside_others"))
    with_others = dict(zip(changed, network.arrays("changed", same.shape, len(changed))))
    touched = {i: moved_rows(scores, same) for i, scores in with_others.items()}
    strangers = any(rows - {i} for i, rows in touched.items())
    off = max(
        float(np.abs(beside_others[:half] - same[:half]).max()),
        float(np.abs(ordered - same[order]).max()),
        *(float(np.abs(scores - same)[np.arange(BATCH) != i].max()) for i, scores in with_others.items()),
    )
    depends = strangers or not close(beside_others[:half], same[:half])
    columns = same.astype(np.float64)
    if depends and (sums_to_one(columns, axis=0) or sums_to_one(np.exp(np.minimum(columns, 1)), axis=0)):
        fail("softmax-over-batch")
    if depends and close(ordered, same[order]):
        fail("batch-statistics", sign=f"the scores of an image change by up to {off:.2g} with the images beside it")
    if depends and all(min(rows, default=i) >= i for i, rows in touched.items()):
        fail("batch-read-as-time", off=off)
    if depends or not close(ordered, same[order]):
        fail("images-mixed", off=off)
    judge_alone(network, same[:1])


def judge_alone(network: Answer, in_batch: np.ndarray) -> None:
    """An image that comes alone must get the scores that it gets in a batch."""
    alone = network.array("alone", (1, None)) if "alone" in network else in_batch
    if alone.shape == in_batch.shape and not close(alone, in_batch):
        off = float(np.abs(alone - in_batch).max())
        fail("batch-statistics", sign=f"the scores of an image change by {off:.2g} when it comes alone")


def moved_rows(scores: np.ndarray, before: np.ndarray) -> set[int]:
    """The rows that are not what they were."""
    limit = NOISE * (1e-3 + np.abs(before).max())
    return {int(i) for i in np.flatnonzero(np.abs(scores - before).max(axis=1) > limit)}


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(a.shape == b.shape and np.abs(a - b).max() <= NOISE * (1e-3 + np.abs(b).max()))


def repeats(a: np.ndarray, b: np.ndarray) -> bool:
    """The very same call twice: only the last bit may differ, and nan is nan."""
    return bool(np.allclose(a, b, rtol=0, atol=2e-6 * (1e-3 + np.abs(b).max()), equal_nan=True))
