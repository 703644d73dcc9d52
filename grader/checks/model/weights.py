"""The weights of a network, tensor by tensor: does PyTorch know them, and can they learn?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grader.checks.model.scores import close, repeats
from grader.checks.model.unusable import BATCH, CLASSES, SCORES, network_of, random_images
from grader.engine.answer import Answer
from grader.engine.check import fail
from grader.engine.printable import some
from grader.engine.student import Student

NAMES_SHOWN = 4


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
    alike = first_calls[0].shape == first_calls[1].shape and repeats(*first_calls)
    remembers = not (alike and repeats(original, again))
    if shared := network.texts("shared"):
        fail("layers-shared", names=some(shared, NAMES_SHOWN))
    stray = network.texts("stray")
    if stray or not (remembers or close(copy, original)):
        off = float(np.abs(copy - original).max())
        name_hiding_place(network, off, some(stray, NAMES_SHOWN) or "not trainable either")
    if network.integer("parameters") == 0:
        fail("no-parameters")


def name_hiding_place(network: Answer, off: float, shapes: str) -> None:
    """There are weights outside the network's state: say where they most likely are."""
    if created := network.texts("created"):
        fail("layer-in-forward", names=some(created, NAMES_SHOWN))
    places = network.part("places")
    for place, finding in (
        ("containers", "layers-in-list"),
        ("on_class", "layers-on-class"),
        ("tensors", "plain-tensor-weights"),
        ("outside", "layers-outside-class"),
    ):
        if names := places.texts(place):
            fail(finding, names=some(names, NAMES_SHOWN))
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
    idle: bool
    asleep: bool


def weights_of(tensors: Answer) -> list[Weights]:
    names = tensors.texts("names")
    count = len(names)
    flags = (tensors.flags(name, count) for name in ("trainable", "random", "connected"))
    numbers = (tensors.numbers(name, count) for name in ("largest", "spread", "moved", "influence"))
    states = (tensors.flags(name, count) for name in ("idle", "asleep"))
    return [Weights(*row) for row in zip(names, tensors.integers("sizes", count), *flags, *numbers, *states)]


def judge_weights(weights: list[Weights], attached: bool) -> None:
    frozen = [w for w in weights if not w.trainable]
    most = (
        sum(w.size for w in frozen) > sum(w.size for w in weights) / 2
    )  # dice with a seed of their own are no constants
    if most or len(frozen) == len(weights) or any(w.random and w.size > 1 for w in frozen):
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
    if asleep := [w for w in trainable if w.asleep]:
        fail("layer-sleeps-in-training", names=names_of(asleep))
    if unused := loose or [w for w in trainable if w.idle]:
        fail("layer-unused", names=names_of(unused), share=1 / 3)


def names_of(weights: list[Weights]) -> str:
    return some([w.name for w in weights], NAMES_SHOWN)
