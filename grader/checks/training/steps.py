"""Naming what is wrong with the updates of train_one_epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.engine.check import fail
from grader.engine.student import Student

BATCH, BATCHES = 4, 3
LENGTH = 0.02  # of each picture as a vector: keeps gradients below any clipping threshold
SMALL, LARGE = 0.25, 2500.0  # learning rates: LARGE * LENGTH**2 = 1, so that each step matters for the next


def observe_epochs(student: Student) -> tuple[Any, dict[str, Any]]:
    """The one observation of train_one_epoch's updates, with the pictures, labels and weights it was given."""
    rng = student.rng("epochs")
    common = rng.normal(size=784)
    pictures = common + rng.normal(size=(BATCH * BATCHES, 784))
    pictures *= LENGTH / np.linalg.norm(pictures, axis=1, keepdims=True)
    given = {
        "images": pictures.reshape(-1, 1, 28, 28).astype(np.float32),
        "labels": np.concatenate([rng.permutation(10)[:BATCH] for _ in range(BATCHES)]).astype(np.int64),
        "batch_size": BATCH,
        "weight": rng.normal(size=(10, 784)) * 0.01,
        "frozen": rng.normal(size=(10, 784)) * 1.5 / LENGTH,
        "small": SMALL,
        "large": LARGE,
    }
    return student.observe("training.epochs", **given), given


def stop_on_exception(seen: Any, *names: str) -> None:
    """An exception in one of these runs ends the check, as the engine names it; one cause is only known here."""
    for name in names:
        raised = seen.raised(name)
        stand_ins = ("'Line'", "'Table'", "'Tender'", "'Tagged'")
        if raised is not None and raised.type == "AttributeError" and raised.message.startswith(stand_ins):
            fail("uses-parts-of-one-model", attribute=raised.message.rsplit("'", 2)[-2])
        seen[name]  # raises what the student's code raised


def changed(seen: Any, given: dict[str, Any], run: str) -> np.ndarray:
    return np.asarray(seen[f"{run}_weight"] - given["weight"])


def moved(seen: Any, given: dict[str, Any], run: str) -> bool:
    """NaN counts as movement."""
    return not np.array_equal(seen[f"{run}_weight"], given["weight"])


def name_changed_rate(seen: Any) -> None:
    """After one epoch the optimizer has the learning rate that it came with."""
    for run, rate in (("still", 0.0), ("together", SMALL)):
        if seen.raised(f"{run}_raised") is None and abs(seen[f"{run}_lr"] - rate) > 1e-6 * rate:
            fail("learning-rate-changed-in-loop", before=rate, after=seen[f"{run}_lr"])


def name_own_optimizer(seen: Any, given: dict[str, Any]) -> None:
    """With learning rate 0 the optimizer that was passed in cannot move anything."""
    went = seen.raised("still_raised") is None and moved(seen, given, "still")
    if went and not np.any(seen["still_weight"]):
        fail("weights-zeroed")
    if went and np.isfinite(seen["still_weight"]).all():
        fail("optimizer-not-the-given-one", how="with a learning rate of 0 your loop still changed the weights")


def name_unmoved(seen: Any, given: dict[str, Any]) -> None:
    """Fail if an epoch of one batch leaves the weights as they were."""
    if moved(seen, given, "alone_1"):
        return
    events = list(seen["alone_1_events"])
    steps = events.count("step") + events.count("empty-step")
    if not steps and seen.raised("together_raised") is None and moved(seen, given, "together"):
        rare = [e for e in seen["together_events"] if e.endswith("step")]
        fail("steps-too-rare", steps=len(rare), batches=BATCHES)
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


def name_repeats(seen: Any) -> None:
    """A loader with one batch: is it learnt from once?"""
    events = list(seen["alone_1_events"])
    if events.count("step") == events.count("forward") > 1:
        fail("batch-learnt-twice", times=events.count("step"))


def name_wrong_gradient(seen: Any, given: dict[str, Any]) -> None:
    """Fail unless one batch moves the weights by -lr * gradient of the mean cross-entropy (smoothing allowed)."""
    used = -changed(seen, given, "alone_1") / SMALL
    value = seen["alone_1_value"]
    if not np.isfinite(used).all() or (value is not None and not np.isfinite(value)):
        fail("loss-not-finite", loss=_value(seen, "alone_1"))
    x = given["images"][:BATCH].reshape(BATCH, -1).astype(np.float64)
    labels = given["labels"][:BATCH]
    raw = x @ (given["weight"] + given["frozen"]).T
    chance = numbers.log_softmax(raw)
    sharp = (np.exp(chance) - numbers.one_hot(labels)).T @ x / BATCH
    smooth = (np.exp(chance) - 0.1).T @ x / BATCH
    (a, b, decay), rest = numbers.fitted(used, sharp, smooth, given["weight"])
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
        _name_size(seen, size)
    _name_other_loss(used, raw, labels, x)
    if not seen["alone_1_images_kept"]:
        fail("images-changed-in-loop")
    fail("gradient-unexplained", agreement=numbers.cosine(used, sharp), loss=_value(seen, "alone_1"))


def _value(seen: Any, run: str) -> Any:
    value = seen[f"{run}_value"]
    return "not a number" if value is None else value


def _name_size(seen: Any, size: float) -> None:
    """The direction is right (or exactly opposite), the size is not."""
    events = list(seen["alone_1_events"])
    if size < 0:
        fail("loss-goes-up", factor=size)
    if abs(size - BATCH) < 0.02 * BATCH:
        fail("loss-summed-in-step", size=BATCH)
    if events.count("step") > 1:
        fail("several-steps-a-batch", steps=events.count("step"), factor=size)
    fail("step-size-changed", factor=size)


def _name_other_loss(used: Any, raw: Any, labels: Any, x: Any) -> None:
    """Which known loss, or which labels, give this direction?"""

    def alike(loss: numbers.Loss) -> bool:
        return abs(numbers.cosine(used, numbers.gradient(loss, raw, labels).T @ x)) > 0.9995

    for finding, loss in numbers.OTHER_LOSSES:
        if alike(loss):
            fail(finding, function="train_one_epoch", number=5)
    for finding, change in numbers.OTHER_LABELS:
        target = change(numbers.log_softmax(raw), labels)
        if alike(lambda s, y, target=target: float(numbers.cross_entropy(s, target).mean())):  # type: ignore[misc]
            fail(finding)


def uses(seen: Any, given: dict[str, Any], run: str = "together") -> tuple[np.ndarray, float]:
    """How many times each batch's own update is contained in the epoch's, and the unexplained rest."""
    alone = [changed(seen, given, f"alone_{k}") for k in range(1, BATCHES + 1)]
    if not all(np.isfinite(one).all() for one in alone) or not np.isfinite(changed(seen, given, run)).all():
        return np.full(BATCHES, np.nan), np.inf
    return numbers.fitted(changed(seen, given, run), *alone)


def like(factors: Any, *wanted: float) -> bool:
    return bool(np.allclose(factors, wanted, atol=0.02, rtol=0.01))


def split_agrees(seen: Any, given: dict[str, Any]) -> bool:
    """epoch([b1, b2, b3]) == epoch([b1]); clear; epoch([b2]); clear; epoch([b3])."""
    whole, split = changed(seen, given, "large"), changed(seen, given, "split")
    return bool(np.linalg.norm(whole - split) <= 1e-3 * np.linalg.norm(split))


def name_missing_updates(seen: Any, given: dict[str, Any]) -> None:
    """Fail when some batches make no update of their own (updates that add up are another check's business)."""
    if split_agrees(seen, given):
        return
    factors, rest = uses(seen, given)
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
        fail("last-batch-never-trains", batches=BATCHES)
    if abs(first - middle) < 0.02 and abs(middle - last) < 0.02:
        fail("one-update-an-epoch", batches=BATCHES)


def name_ignored_state(seen: Any, given: dict[str, Any]) -> None:
    """Momentum of the passed optimizer must be felt: (1 + .9 + .81), (1 + .9), 1 times the batches' updates."""
    plain, rest = uses(seen, given)
    if rest > 0.02 or not like(plain, 1, 1, 1) or seen.raised("momentum_raised") is not None:
        return
    heavy, rest = uses(seen, given, "momentum")
    if rest < 0.02 and like(heavy, 1, 1, 1):
        fail("optimizer-not-the-given-one", how="the momentum of the optimizer it was given had no effect")


def name_mixed_gradients(seen: Any, given: dict[str, Any]) -> None:
    """Fail unless every batch makes its own update from its own gradient alone."""
    if split_agrees(seen, given):
        return
    name_missing_updates(seen, given)
    (first, middle, last), rest = uses(seen, given)
    facts: dict[str, Any] = {"first": first, "middle": middle, "last": last}
    if rest < 0.02 and first > middle + 0.02 and middle > last + 0.02 and last > 0.02:
        fail("gradients-add-up", **facts)
    if rest < 0.02:
        fail("batches-mixed", **facts)
    fail("epoch-not-batch-by-batch")
