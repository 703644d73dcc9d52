"""Naming what is wrong with the updates of train_one_epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.checks.training.epochs import BATCH, BATCHES, Epoch, Epochs, errors
from grader.checks.training.stand_ins import end_if_raised
from grader.engine.check import fail

TAKES_PART, UNEXPLAINED = 0.5, 0.3  # of an image's own update, and of a long epoch's


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
    parts = np.linalg.norm(numbers.shares(change, images), axis=0).reshape(BATCHES, BATCH).max(axis=1)
    if parts[0] < 1e-3 * parts[1:].min():
        fail("batch-never-trains", which="first", batches=BATCHES)


def name_changed_rate(epochs: Epochs) -> None:
    """After one epoch the optimizer has the learning rate that it came with."""
    for epoch, rate in ((epochs.still, 0.0), (epochs.together, epochs.small)):
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
    low, high = still.weight.min(), still.weight.max()
    if np.array_equal(still.weight, still.start.clip(low, high)):
        fail("weights-clipped", low=low, high=high)
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


def name_no_step(epochs: Epochs) -> None:
    """Fail if the weights move, and the optimizer that was passed in makes no step."""
    if not any(event.endswith("step") for event in epochs.first.events):
        fail("optimizer-not-the-given-one", how="your loop changed the weights without a step of the optimizer")


def name_rare_steps(*seen: Epoch) -> None:
    """Fail where an epoch of several batches has steps, and fewer than batches."""
    for epoch in seen:
        if not epoch.raised and epoch.moved:
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
    """Fail unless each batch moves the weights by -lr * gradient of the mean cross-entropy (smoothing allowed)."""
    for epoch, x, labels in epochs.single:
        _name_wrong_gradient(epochs, epoch, x, labels)


def mixture(epochs: Epochs, epoch: Epoch, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """How often an update has the gradient of the plain loss, that of the smooth one and the weights; and the rest."""
    slopes = (error.T @ x / BATCH for error in errors(epochs, x, labels))
    return numbers.fitted(-epoch.change / epochs.small, *slopes, epoch.start)


def _name_wrong_gradient(epochs: Epochs, epoch: Epoch, x: np.ndarray, labels: np.ndarray) -> None:
    used = -epoch.change / epochs.small
    if not np.isfinite(used).all() or (epoch.loss is not None and not np.isfinite(epoch.loss)):
        fail("loss-not-finite", loss=epoch.shown_loss)
    if not np.isfinite(epoch.slope).all():
        fail("loss-not-finite", loss="a number, but a gradient that was sent back before was nan or infinite")
    raw = x @ (epochs.inputs["weight"] + epochs.inputs["frozen"]).T
    (a, b, decay), rest = mixture(epochs, epoch, x, labels)
    size = a + b
    if (
        rest < 1e-3
        and a > 0
        and abs(size - 1) < 2e-3
        and -2e-3 < b < numbers.SMOOTHING + 2e-3
        and 0 <= decay + 1e-6 < 0.1
    ):
        return
    name_penalty(epochs, epoch, x, labels)
    name_clipping(epochs)
    if rest < 1e-3 and abs(b) < 2e-3 * abs(a) or rest < 1e-3 and a * b > 0 and b / size < numbers.SMOOTHING + 2e-3:
        name_rare_steps(epochs.many)
        _name_size(epoch.events, size)
    _name_other_loss(used, raw, labels, x)
    if not epoch.answer.flag("images_kept"):
        fail("images-changed-in-loop")
    sharp = errors(epochs, x, labels)[0].T @ x
    fail("gradient-unexplained", agreement=numbers.cosine(used, sharp), loss=epoch.shown_loss)


def name_penalty(epochs: Epochs, epoch: Epoch, x: np.ndarray, labels: np.ndarray) -> None:
    """Fail where an update is the plain one and a pull at the weights, by their size or by their sign."""
    plain = errors(epochs, x, labels)[0].T @ x / BATCH
    parts = (plain, epoch.start, np.sign(epoch.start))
    (share, size, sign), rest = numbers.fitted(-epoch.change / epochs.small, *parts)
    if rest < 1e-3 and abs(share - 1) < 0.02:
        for factor, what, penalty in ((sign, "the sign of each weight", "values"), (size, "each weight", "squares")):
            if factor > 1e-3:
                fail("penalty-on-weights", factor=factor, what=what, penalty=penalty)


def name_clipping(epochs: Epochs) -> None:
    """Fail where all gradients are the plain ones, cut to one length, or number by number to one size."""
    used = np.stack([-one.change / epochs.small for one, _, _ in epochs.single])
    plain = np.stack([errors(epochs, x, labels)[0].T @ x / BATCH for _, x, labels in epochs.single])
    lengths = np.linalg.norm(plain, axis=(1, 2), keepdims=True)
    longest, largest = np.linalg.norm(used, axis=(1, 2)).max(), np.abs(used).max()
    ways = {
        f"to a length of {longest:.2g}": plain * np.minimum(1, longest / np.maximum(lengths, longest)),
        f"to numbers between {-largest:.2g} and {largest:.2g}": np.clip(plain, -largest, largest),
    }
    for how, cut in ways.items():
        far = [np.linalg.norm(some - cut) > 1e-3 * np.linalg.norm(cut) for some in (used, plain)]
        if far == [False, True]:
            fail("gradients-clipped", how=how, length=lengths.max())


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
    return numbers.fitted(whole.change, *(epoch.change for epoch in epochs.alone))


def like(factors: np.ndarray, *wanted: float) -> bool:
    return bool(np.allclose(factors, wanted, atol=0.02, rtol=0.01))


def split_agrees(epochs: Epochs) -> bool:
    """epoch([b1, b2, b3]) == epoch([b1]); clear; epoch([b2]); clear; epoch([b3])."""
    return agree(epochs.large, epochs.split)


def agree(one: Epoch, other: Epoch) -> bool:
    """Do both end with the same weights?"""
    return bool(np.linalg.norm(one.change - other.change) <= 1e-3 * np.linalg.norm(other.change))


def name_not_finite(*epochs: Epoch) -> None:
    for epoch in epochs:
        if not np.isfinite(epoch.weight).all():
            fail("loss-not-finite", loss=epoch.shown_loss)


def name_missing_updates(epochs: Epochs) -> None:
    """Fail when some batches make no update of their own (updates that add up are another check's business)."""
    if split_agrees(epochs):
        return
    factors, rest = uses(epochs, epochs.together)
    if not rest < 0.02:
        fail("epoch-not-batch-by-batch")
    first, middle, last = (float(f) for f in factors)
    if min(factors) < -0.02:
        fail("loss-goes-up", factor=min(first, middle, last))
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
        if epochs.many.events.count("step") > 1:
            name_rare_steps(epochs.many)
        fail("one-update-an-epoch", batches=BATCHES)


def name_ignored_state(epochs: Epochs) -> None:
    """Momentum of the passed optimizer must be felt: (1 + .9 + .81), (1 + .9), 1 times the batches' updates."""
    plain, rest = uses(epochs, epochs.together)
    if rest > 0.02 or not like(plain, 1, 1, 1):
        return
    heavy, rest = uses(epochs, epochs.momentum)
    if rest < 0.02 and like(heavy, 1, 1, 1):
        fail("optimizer-not-the-given-one", how="the momentum of the optimizer it was given had no effect")
    if not agree(epochs.resumed, epochs.momentum):
        fail("optimizer-forgets-between-epochs")


def name_left_out(epochs: Epochs) -> None:
    """Fail unless every image of a long epoch takes part, each down its own gradient (how often is another check's
    business)."""
    images = epochs.inputs["many_images"].reshape(len(epochs.inputs["many_labels"]), -1).astype(np.float64)
    (a, b, _), _ = mixture(epochs, *epochs.single[0])
    sharp, smooth = errors(epochs, images, epochs.inputs["many_labels"])
    wanted = -(epochs.small / BATCH) * (a * sharp + b * smooth)  # (N, 10)
    inverse = np.linalg.solve(images @ images.T, images)  # (N, 784): the pseudo-inverse, transposed
    left, decay = (rows - rows @ inverse.T @ images for rows in (epochs.many.change, epochs.many.start))
    parts = inverse @ (epochs.many.change - (left * decay).sum() / (decay**2).sum() * epochs.many.start).T
    if not np.isfinite(parts).all():
        fail("loss-not-finite", loss=epochs.many.shown_loss)
    factors = (parts * wanted).sum(axis=1) / (wanted**2).sum(axis=1)
    lost = int((factors.reshape(-1, BATCH).min(axis=1) < TAKES_PART).sum())
    if factors.min() < -TAKES_PART:
        fail("loss-goes-up", factor=factors.min())
    if lost:
        fail("batches-left-out", missing=lost, batches=len(factors) // BATCH)
    if np.linalg.norm(parts - factors[:, None] * wanted) > UNEXPLAINED * np.linalg.norm(parts):
        fail("epoch-not-batch-by-batch")


def name_mixed_gradients(epochs: Epochs) -> None:
    """Fail unless every batch makes its own update from its own gradient alone."""
    if split_agrees(epochs):
        if not agree(epochs.many, epochs.pieces):
            fail("epoch-not-batch-by-batch")
        if agree(epochs.resumed, epochs.momentum) and not agree(epochs.uncleared, epochs.together):
            fail("gradients-of-the-call-before")
        return
    name_missing_updates(epochs)
    (first, middle, last), rest = uses(epochs, epochs.together)
    facts: dict[str, Any] = {"first": first, "middle": middle, "last": last}
    if rest < 0.02 and first > middle + 0.02 and middle > last + 0.02 and last > 0.02:
        fail("gradients-add-up", **facts)
    if rest < 0.02:
        fail("batches-mixed", **facts)
    fail("epoch-not-batch-by-batch")
