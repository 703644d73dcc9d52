"""The course of a training, read as a person would read it: one sentence, or none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

GUESSING = math.log(10)  # the cross-entropy of ten classes that are all as likely
STUCK = 0.05  # how far from it a loss may be that has not moved
FALLING = 0.08  # the part of the loss that the last epoch still took off
RISEN = 1.25  # the last two validation losses, in times of the lowest: one alone may be chance
LEARNT = 0.05  # a loss below which nothing is left to learn
APART = 0.15  # accuracy on validation images above that on the test images
ONE_CLASS = 0.8  # share of all answers


def reading(curves: Mapping[str, Sequence[float]], answers: Mapping[int, int], accuracy: float) -> str:
    """curves: the history's lists. answers: {digit: how often the network answered it}. accuracy: on test images."""
    losses, val_losses = list(curves["train_loss"]), list(curves["val_loss"])
    broken = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), None)
    if broken is not None:
        return f"The training loss was not a number any more in epoch {broken + 1}."
    total = sum(answers.values())
    digit, often = max(answers.items(), key=lambda item: item[1], default=(0, 0))
    if total and often > ONE_CLASS * total:
        return f"The network answers {digit} for {100 * often / total:.0f} % of the images."
    if losses and all(abs(loss - GUESSING) < STUCK for loss in losses):
        return "The training loss stayed at 2.30 in all epochs, which is what guessing costs."
    if len(losses) > 1 and losses[-1] > losses[0] * 1.5:
        return f"The training loss rose: {losses[0]:.2f} in the first epoch, {losses[-1]:.2f} in the last."
    validation = curves["val_accuracy"][-1] if curves["val_accuracy"] else 0.0
    if APART + accuracy < validation <= 1:
        return f"Your validation images give an accuracy of {100 * validation:.0f} %, far more than new digits."
    if len(val_losses) > 2 and min(val_losses[-2:]) > RISEN * min(val_losses) and losses and losses[-1] < losses[0]:
        low, last = min(val_losses), val_losses[-1]
        return f"The validation loss rose again, from {low:.2f} to {last:.2f}, while the training loss fell."
    if len(losses) > 1 and losses[-2] > LEARNT and losses[-1] < (1 - FALLING) * losses[-2]:
        before, last = losses[-2:]
        return f"The training loss was still falling: {before:.2f} in the last epoch but one, {last:.2f} in the last."
    return ""
