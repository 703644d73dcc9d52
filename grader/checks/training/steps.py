"""Naming what is wrong with the updates of train_one_epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.checks.training.stand_ins import end_if_raised
from grader.engine.answer import Answer
from grader.engine.check import fail, waits_for
from grader.engine.student import Student

BATCH, BATCHES = 4, 3
LENGTH = 0.02  # of each picture as a vector: keeps gradients below any clipping threshold
SMALL, LARGE = 0.25, 2500.0  # learning rates: LARGE * LENGTH**2 = 1, so that each step matters for the next
WEIGHT = (10, 784)
LABELS_PART = 0.02  # of what an image adds to an update: so much at least changes with its label
KINDS = ("together", "momentum", "large", "split", "still", "relabelled")


@dataclass(frozen=True)
class Epoch:
    """One call of train_one_epoch, or one per batch, on a network whose every gradient is known."""

    answer: Answer
    start: np.ndarray  # (10, 784): the weights before

    @property
    def weight(self) -> np.ndarray:
        return self.answer.array("weight", WEIGHT)

    @property
    def change(self) -> np.ndarray:
        return np.asarray(self.weight - self.start)

    @property
    def moved(self) -> bool:
        """NaN counts as movement."""
        return not np.array_equal(self.weight, self.start)

    @property
    def events(self) -> list[str]:
        return self.answer.texts("events")

    @property
    def raised(self) -> bool:
        return self.answer.raised("loss") is not None

    @property
    def loss(self) -> float | None:
        """What train_one_epoch returned, when that is a number."""
        return self.answer.number("loss") if "loss" in self.answer else None

    @property
    def shown_loss(self) -> float | str:
        return "not a number" if self.loss is None else self.loss


@dataclass(frozen=True)
class Epochs:
    """What was asked of train_one_epoch, and the epochs that came of it."""

    inputs: dict[str, Any]
    alone: list[Epoch]
    together: Epoch
    momentum: Epoch
    large: Epoch
    split: Epoch
    still: Epoch
    relabelled: Epoch
    many: Epoch | None = None  # only where `together` had not a step for every batch

    @property
    def first(self) -> Epoch:
        """The one with the first batch alone."""
        return self.alone[0]


def observe_epochs(student: Student) -> Epochs:
    """The one observation of train_one_epoch's updates."""
    rng = student.rng("epochs")
    common = rng.normal(size=784)
    pictures = common + rng.normal(size=(BATCH * BATCHES, 784))
    pictures *= LENGTH / np.linalg.norm(pictures, axis=1, keepdims=True)
    inputs: dict[str, Any] = {
        "images": pictures.reshape(-1, 1, 28, 28).astype(np.float32),
        "labels": np.concatenate([rng.permutation(10)[:BATCH] for _ in range(BATCHES)]).astype(np.int64),
        "batch_size": BATCH,
        "weight": rng.normal(size=WEIGHT) * 0.01,
        "frozen": rng.normal(size=WEIGHT) * 1.5 / LENGTH,
        "small": SMALL,
        "large": LARGE,
    }
    answer = student.observe("training.epochs", **inputs)
    start = inputs["weight"]
    single = {name: Epoch(answer.part(name), start) for name in KINDS}
    many = Epoch(answer.part("many"), start) if "many" in answer else None
    alone = [Epoch(one, start) for one in answer.parts("alone", BATCHES)]
    return Epochs(inputs, alone, **single, many=many)


def seen_in_updates(student: Student) -> None:
    """What a check of the updates needs before it may pass: they come from the batches and their labels. `step` names
    the fault.

    Whatever the loss, a gradient of one layer is put together from the batch's images (and from the weights, with
    weight decay). Where nothing moved, at least a gradient must have come back to the scores.
    """
    epochs = observe_epochs(student)
    moved = [at for at, epoch in enumerate(epochs.alone) if epoch.moved and np.isfinite(epoch.weight).all()]
    if moved:
        shares, parts = zip(*(of_batch(epochs, at) for at in moved))
        alike = len(parts) > 1 and all(np.allclose(p, parts[0], rtol=0.1) for p in parts)
        follows = min(shares) > 0.5 and not alike and follows_labels(epochs)
    else:
        follows = any("backward" in epoch.events for epoch in (*epochs.alone, epochs.together))
    if not follows:
        waits_for("the weights move along a gradient of the batch")


def follows_labels(epochs: Epochs) -> bool:
    """Whether an image with another label takes another part in the update of its batch, and its neighbours keep
    theirs. So an update made of the pictures alone, or of dice, is told from a gradient of any loss."""
    other = epochs.relabelled
    if not (epochs.first.moved and other.moved and np.isfinite(other.change).all()):
        return not epochs.first.moved
    images = epochs.inputs["images"][:BATCH].reshape(BATCH, -1).astype(np.float64)
    apart, whole = (
        np.linalg.norm(c @ np.linalg.pinv(images), axis=0)
        for c in (other.change - epochs.first.change, epochs.first.change)
    )
    changed, kept = apart[: BATCH // 2], apart[BATCH // 2 :]
    return bool(changed.max() > LABELS_PART * whole.mean() and kept.mean() < changed.mean() / 2)


def of_batch(epochs: Epochs, at: int) -> tuple[float, np.ndarray]:
    """How much of the change that batch `at` makes lies in its images and in the weights themselves, 0..1; and how
    much of each image is in it, per class."""
    images = epochs.inputs["images"][at * BATCH : (at + 1) * BATCH].reshape(BATCH, -1).astype(np.float64)
    change, weight = epochs.alone[at].change, epochs.inputs["weight"]
    basis = np.linalg.qr(images.T)[0]  # (784, BATCH)
    left, decay = (rows - rows @ basis @ basis.T for rows in (change, weight))
    factor = (left * decay).sum() / (decay**2).sum()
    share = 1 - np.linalg.norm(left - factor * decay) / np.linalg.norm(change)
    return float(share), (change - factor * weight) @ np.linalg.pinv(images)


def stop_on_exception(*epochs: Epoch) -> None:
    """An exception in one of these ends the check."""
    for epoch in epochs:
        end_if_raised(epoch.answer, "loss")


def name_batch_left_out(epochs: Epochs) -> None:
    """Where an epoch of one batch stops, and one of several does not: is the first of them ever learnt from?

    The change of one layer is put together from images, whatever the loss.
    """
    change = epochs.together.change
    if not epochs.first.raised or epochs.together.raised or not epochs.together.moved or not np.isfinite(change).all():
        return
    images = epochs.inputs["images"].reshape(BATCH * BATCHES, -1).astype(np.float64)
    parts = np.linalg.norm(change @ np.linalg.pinv(images), axis=0).reshape(BATCHES, BATCH).max(axis=1)
    if parts[0] < 1e-3 * parts[1:].min():
        fail("batch-never-trains", which="first", batches=BATCHES)


def name_changed_rate(epochs: Epochs) -> None:
    """After one epoch the optimizer has the learning rate that it came with."""
    for epoch, rate in ((epochs.still, 0.0), (epochs.together, SMALL)):
        after = epoch.answer.number("lr")
        if not epoch.raised and abs(after - rate) > 1e-6 * rate:
            fail("learning-rate-changed-in-loop", before=rate, after=after)


def name_own_optimizer(epochs: Epochs) -> None:
    """With learning rate 0 the optimizer that was passed in cannot move anything."""
    still = epochs.still
    if still.raised or not still.moved:
        return
    if not np.any(still.weight):
        fail("weights-zeroed")
    if np.isfinite(still.weight).all():
        fail("optimizer-not-the-given-one", how="with a learning rate of 0 your loop still changed the weights")


def name_unmoved(epochs: Epochs) -> None:
    """Fail if an epoch of one batch leaves the weights as they were."""
    if epochs.first.moved:
        return
    events = epochs.first.events
    steps = events.count("step") + events.count("empty-step")
    if not steps:
        name_rare_steps(epochs.together, epochs.many)
    if "forward" not in events:
        fail("model-not-used-in-loop")
    if "backward" not in events:
        fail("no-backward", steps=steps)
    if "step" in events:  # a step with a gradient, and yet nothing moved
        fail("weights-put-back", steps=steps)
    if "empty-step" not in events:
        fail("no-step")
    if events.index("empty-step") < events.index("backward"):
        fail("step-before-backward")
    fail("gradients-wiped")


def name_rare_steps(*seen: Epoch | None) -> None:
    """Fail where an epoch of several batches has steps, and fewer than batches."""
    for epoch in seen:
        if epoch is not None and not epoch.raised and epoch.moved:
            steps = sum(event.endswith("step") for event in epoch.events)
            batches = epoch.events.count("forward")
            if 0 < steps < batches:
                fail("steps-too-rare", steps=steps, batches=batches)


def name_repeats(epochs: Epochs) -> None:
    """A loader with one batch: is it learnt from once?"""
    events = epochs.first.events
    if events.count("step") == events.count("forward") > 1:
        fail("batch-learnt-twice", times=events.count("step"))


def name_wrong_gradient(epochs: Epochs) -> None:
    """Fail unless one batch moves the weights by -lr * gradient of the mean cross-entropy (smoothing allowed)."""
    first, inputs = epochs.first, epochs.inputs
    used = -first.change / SMALL
    if not np.isfinite(used).all() or (first.loss is not None and not np.isfinite(first.loss)):
        fail("loss-not-finite", loss=first.shown_loss)
    x = inputs["images"][:BATCH].reshape(BATCH, -1).astype(np.float64)
    labels = inputs["labels"][:BATCH]
    raw = x @ (inputs["weight"] + inputs["frozen"]).T
    chance = numbers.log_softmax(raw)
    sharp = (np.exp(chance) - numbers.one_hot(labels)).T @ x / BATCH
    smooth = (np.exp(chance) - 0.1).T @ x / BATCH
    (a, b, decay), rest = numbers.fitted(used, sharp, smooth, inputs["weight"])
    size = a + b
    if (
        rest < 1e-3
        and a > 0
        and abs(size - 1) < 2e-3
        and -2e-3 < b < numbers.SMOOTHING + 2e-3
        and 0 <= decay + 1e-6 < 0.1
    ):
        return
    if rest < 1e-3 and abs(b) < 2e-3 * abs(a) or rest < 1e-3 and a * b > 0 and b / size < numbers.SMOOTHING + 2e-3:
        _name_size(first.events, size)
    _name_other_loss(used, raw, labels, x)
    if not first.answer.flag("images_kept"):
        fail("images-changed-in-loop")
    fail("gradient-unexplained", agreement=numbers.cosine(used, sharp), loss=first.shown_loss)


def _name_size(events: list[str], size: float) -> None:
    """The direction is right (or exactly opposite), the size is not."""
    if size < 0:
        fail("loss-goes-up", factor=size)
    if abs(size - BATCH) < 0.02 * BATCH:
        fail("loss-summed-in-step", size=BATCH)
    if events.count("step") > 1:
        fail("several-steps-a-batch", steps=events.count("step"), factor=size)
    times = events.count("backward")
    fail("step-size-changed", factor=size, backwards="once" if times == 1 else f"{times} times")


def _name_other_loss(used: np.ndarray, raw: np.ndarray, labels: np.ndarray, x: np.ndarray) -> None:
    """Which known loss, or which labels, give this direction?"""

    def alike(loss: numbers.Loss) -> bool:
        return abs(numbers.cosine(used, numbers.gradient(loss, raw, labels).T @ x)) > 0.9995

    for finding, loss in numbers.OTHER_LOSSES:
        if alike(loss):
            fail(finding, function="train_one_epoch")
    for finding, change in numbers.OTHER_LABELS:
        target = change(numbers.log_softmax(raw), labels)
        if alike(lambda s, y, target=target: float(numbers.cross_entropy(s, target).mean())):  # type: ignore[misc]
            fail(finding)


def uses(epochs: Epochs, whole: Epoch) -> tuple[np.ndarray, float]:
    """How many times each batch's own update is contained in the epoch's, and the unexplained rest."""
    alone = [epoch.change for epoch in epochs.alone]
    if not all(np.isfinite(change).all() for change in (*alone, whole.change)):
        return np.full(BATCHES, np.nan), np.inf
    return numbers.fitted(whole.change, *alone)


def like(factors: np.ndarray, *wanted: float) -> bool:
    return bool(np.allclose(factors, wanted, atol=0.02, rtol=0.01))


def split_agrees(epochs: Epochs) -> bool:
    """epoch([b1, b2, b3]) == epoch([b1]); clear; epoch([b2]); clear; epoch([b3])."""
    whole, split = epochs.large.change, epochs.split.change
    return bool(np.linalg.norm(whole - split) <= 1e-3 * np.linalg.norm(split))


def name_missing_updates(epochs: Epochs) -> None:
    """Fail when some batches make no update of their own (updates that add up are another check's business)."""
    if split_agrees(epochs):
        return
    factors, rest = uses(epochs, epochs.together)
    if not rest < 0.02:
        return
    first, middle, last = (float(f) for f in factors)
    if like(factors, 0, 0, 0):
        return
    if like(factors, first, 0, 0):
        fail("only-first-batch-trains", batches=BATCHES)
    if like(factors, 0, 0, last):
        fail("only-last-batch-trains", batches=BATCHES)
    if like(factors, first, middle, 0) and abs(first - middle) < 0.02:
        fail("batch-never-trains", which="last", batches=BATCHES)
    if like(factors, 0, middle, last) and abs(middle - last) < 0.02:
        fail("batch-never-trains", which="first", batches=BATCHES)
    if abs(first - middle) < 0.02 and abs(middle - last) < 0.02:
        if epochs.many is not None and epochs.many.events.count("step") > 1:
            name_rare_steps(epochs.many)
        fail("one-update-an-epoch", batches=BATCHES)


def name_ignored_state(epochs: Epochs) -> None:
    """Momentum of the passed optimizer must be felt: (1 + .9 + .81), (1 + .9), 1 times the batches' updates."""
    plain, rest = uses(epochs, epochs.together)
    if rest > 0.02 or not like(plain, 1, 1, 1) or epochs.momentum.raised:
        return
    heavy, rest = uses(epochs, epochs.momentum)
    if rest < 0.02 and like(heavy, 1, 1, 1):
        fail("optimizer-not-the-given-one", how="the momentum of the optimizer it was given had no effect")


def name_mixed_gradients(epochs: Epochs) -> None:
    """Fail unless every batch makes its own update from its own gradient alone."""
    if split_agrees(epochs):
        return
    name_missing_updates(epochs)
    (first, middle, last), rest = uses(epochs, epochs.together)
    facts: dict[str, Any] = {"first": first, "middle": middle, "last": last}
    if rest < 0.02 and first > middle + 0.02 and middle > last + 0.02 and last > 0.02:
        fail("gradients-add-up", **facts)
    if rest < 0.02:
        fail("batches-mixed", **facts)
    fail("epoch-not-batch-by-batch")
