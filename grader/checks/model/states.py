"""The scores of a network in several states, from new to very large weights: raw numbers, or something else?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from grader.checks.model.scores import NOISE, sums_to_one
from grader.checks.model.unusable import BATCH, CLASSES, PIXELS, SCORES, network_of, random_images, ready
from grader.engine.answer import Answer
from grader.engine.check import fail, waits_for
from grader.engine.student import Student

HARDLY = 1e-3  # how far each pixel of an image that is hardly changed moves
FACTORS = (3.0, 10.0, 30.0, 100.0)
NARROW = 8.0  # with scores so far apart, and no further, the loss of a sure network is still above 0.003
USUAL = 3  # the states before the weights are made larger


def hardly_changed(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    return np.asarray(images + np.float32(HARDLY) * rng.standard_normal(images.shape).astype(np.float32))


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
    inputs = {
        "images": images,
        "alike": hardly_changed(rng, images),
        "others": random_images(rng, BATCH),
        "labels": labels,
        "lines": lines,
    }
    answer = student.observe("model.response", **inputs, factors=list(FACTORS))
    return network_of(student, answer)


def follow_images(states: Sequence[Answer], chance: bool = False) -> bool:
    """Whether the scores are an answer to the images, in these states of a network.

    An image that hardly changes keeps its scores, other images in the same places get others. Dice, scores that only
    know the place in the batch, and scores that are always the same do not do that. Every state speaks whose scores
    differ clearly, and where they hardly do, one that follows is enough; it always is where chance may have a part.
    It has to be one with usual images: what the others are judged by.
    """
    follows, steady = False, 0.9 if chance else 0.5
    for number, state in enumerate(states):
        scores = state.array("scores", SCORES)
        alike, others = state.array("alike", scores.shape), state.array("others", scores.shape)
        if not all(np.isfinite(kind).all() for kind in (scores, alike, others)):
            continue
        scores = scores.astype(np.float64)
        within, size = float(np.abs(scores - np.roll(scores, 1, axis=0)).mean()), NOISE * np.abs(scores).max()
        same, other = float(np.abs(alike - scores).mean()), float(np.abs(others - scores).mean())
        if within > size / 10 and same < steady * other and other > 0.3 * within:
            follows = follows or number < 2
        elif within > size and not chance:
            return False
    return follows


def usual_states(network: Answer) -> list[Answer]:
    """Those with weights as training makes them: new, after a few steps, and with larger images."""
    return network.parts("states", range(1, 4 + len(FACTORS)))[:USUAL]


def seen_in_scores(student: Student) -> None:
    """What a check of the model needs before it may pass: `non-linear` names the fault."""
    if not follow_images(usual_states(observe_response(student))):
        waits_for("the scores depend on the image")


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


def judge_raw(telling: list[np.ndarray], averaged: bool) -> None:
    """averaged: the scores are averages of more values, as after a global average pooling, which may all be zero."""
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
    if low == high:
        return
    raw = low < -1.5  # raw scores go far below zero when weights are large
    if raw and (high - low > NARROW or len(telling) < 2 or not alike_ends(telling[-2], last)):
        return
    rows = np.ptp(last, axis=1)
    last = last[rows > 1e-3 * rows.max()]  # where all hidden neurons are silent, all ten scores are alike
    at_low, at_high = (float((np.abs(last - end) <= 1e-3 * (high - low)).mean()) for end in (low, high))
    if at_low >= 0.2 and at_high >= 0.03:
        fail("scores-squashed", lowest=float(low), highest=float(high))
    if at_low >= 0.2 and not averaged and not raw:
        fail("scores-cut-below", never="The scores never go below", lowest=float(low), part=f"{at_low:.0%}")


def alike_ends(before: np.ndarray, scores: np.ndarray) -> bool:
    """Whether the scores end where they did with smaller weights, as those of a function with two limits do."""
    limit = 0.01 * np.ptp(scores)
    return bool(abs(before.min() - scores.min()) <= limit and abs(before.max() - scores.max()) <= limit)


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
    never = "Before log_softmax, counted from the lowest of each image, the scores never go below"
    fail("scores-cut-below", never=never, lowest=0.0, part=f"{at_low:.0%}")
