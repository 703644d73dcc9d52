"""What train_one_epoch was seen to do, and whether its updates follow a gradient at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.engine.answer import Answer
from grader.engine.check import waits_for
from grader.engine.student import Student

BATCH, BATCHES = 4, 3
LENGTH = 0.02  # of each picture as a vector: keeps gradients below any clipping threshold
SMALL, LARGE = (0.2, 0.3), (2000.0, 3000.0)  # rates: LARGE * LENGTH**2 is about 1, so that steps matter for the next
MANY = (72, 96)  # batches of a long epoch: fewer images than pixels, so that each leaves a trace of its own
WEIGHT = (10, 784)
LABELS_PART = 0.02  # of what an image adds to an update: so much at least changes with its label
ALONG = 0.5  # cosine of an update with the gradient that came back to the scores; of dice it is 0 +- 0.16
KINDS = ("together", "momentum", "resumed", "uncleared", "large", "split", "still", "relabelled", "many", "pieces")


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
    def slope(self) -> np.ndarray:
        """(10, 784): the gradient that came back to the scores, as one of the weights."""
        return self.answer.array("slope", WEIGHT)

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
    resumed: Epoch  # the same in one call per batch
    uncleared: Epoch  # without momentum, in one call per batch, each with the gradients that the one before has left
    large: Epoch
    split: Epoch
    still: Epoch  # from weights of size 1
    relabelled: Epoch
    many: Epoch  # a long epoch of other batches
    pieces: Epoch  # the same, in calls of BATCHES batches

    @property
    def first(self) -> Epoch:
        """The one with the first batch alone."""
        return self.alone[0]

    @property
    def small(self) -> float:
        """The learning rate of all but `large`, `split` and `still`."""
        return float(self.inputs["small"])

    @property
    def single(self) -> list[tuple[Epoch, np.ndarray, np.ndarray]]:
        """Every epoch of one batch, with its pictures (BATCH, 784) and its labels."""
        pictures = self.inputs["images"].reshape(BATCHES, BATCH, -1).astype(np.float64)
        labels = self.inputs["labels"].reshape(BATCHES, BATCH)
        return [*zip(self.alone, pictures, labels), (self.relabelled, pictures[0], self.inputs["other_labels"][:BATCH])]


def observe_epochs(student: Student) -> Epochs:
    """The one observation of train_one_epoch's updates."""
    rng = student.rng("epochs")
    common, batches = rng.normal(size=784), int(rng.integers(*MANY))
    pictures = common + rng.normal(size=(BATCH * (BATCHES + batches), 784))
    pictures *= LENGTH / np.linalg.norm(pictures, axis=1, keepdims=True)
    images, many_images = np.split(pictures.reshape(-1, 1, 28, 28).astype(np.float32), [BATCH * BATCHES])
    inputs: dict[str, Any] = {
        "images": images,
        "labels": np.concatenate([rng.permutation(10)[:BATCH] for _ in range(BATCHES)]).astype(np.int64),
        "many_images": many_images,
        "many_labels": rng.integers(0, 10, len(many_images)),
        "batch_size": BATCH,
        "weight": rng.normal(size=WEIGHT) * 0.01,
        "frozen": rng.normal(size=WEIGHT) * 1.5 / LENGTH,
        "small": rng.uniform(*SMALL),
        "large": rng.uniform(*LARGE),
    }
    inputs["loose"] = rng.normal(size=WEIGHT)
    inputs["other_labels"] = inputs["labels"].copy()
    inputs["other_labels"][: BATCH // 2] = (inputs["other_labels"][: BATCH // 2] + 5) % 10  # of half of the first batch
    answer = student.observe("training.epochs", **inputs)
    start = inputs["weight"]
    kinds = {name: Epoch(answer.part(name), inputs["loose"] if name == "still" else start) for name in KINDS}
    alone = [Epoch(one, start) for one in answer.parts("alone", BATCHES)]
    return Epochs(inputs, alone, **kinds)


def errors(epochs: Epochs, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a mean cross-entropy sends back to the scores (B, 10) of the starting weights, times B: of the labels, and
    of all classes at once, which label smoothing mixes in."""
    chances = np.exp(numbers.log_softmax(x @ (epochs.inputs["weight"] + epochs.inputs["frozen"]).T))
    return chances - numbers.one_hot(labels), chances - 0.1


def seen_in_updates(student: Student) -> None:
    """What a check of the updates needs before it may pass: they come from the batches, their labels and the gradient
    that came back to the scores. `step` names the fault.

    Whatever the loss, a gradient of one layer is put together from the batch's images (and from the weights, with
    weight decay). Where nothing moved, at least a gradient must have come back to the scores.
    """
    epochs = observe_epochs(student)
    moved = [at for at, epoch in enumerate(epochs.alone) if epoch.moved and np.isfinite(epoch.weight).all()]
    if moved:
        shares, parts = zip(*(of_batch(epochs, at) for at in moved))
        alike = len(parts) > 1 and all(np.allclose(p, parts[0], rtol=0.1) for p in parts)
        follows = min(shares) > 0.5 and not alike and follows_labels(epochs)
        follows = follows and all(along_gradient(epochs.alone[at]) for at in moved) and one_way(epochs)
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
        np.linalg.norm(numbers.shares(c, images), axis=0)
        for c in (other.change - epochs.first.change, epochs.first.change)
    )
    changed, kept = apart[: BATCH // 2], apart[BATCH // 2 :]
    return bool(changed.max() > LABELS_PART * whole.mean() and kept.mean() < changed.mean() / 2)


def along_gradient(epoch: Epoch) -> bool:
    """Whether the weights moved along the gradient that came back to the scores, down or up."""
    _, rest = numbers.fitted(epoch.change, epoch.slope, epoch.start)
    return rest**2 < 1 - ALONG**2


def one_way(epochs: Epochs) -> bool:
    """Whether no batch goes up the gradient of the cross-entropy where another goes down."""
    ways = [numbers.cosine(one.change, errors(epochs, x, labels)[0].T @ x) for one, x, labels in epochs.single]
    return not max(ways) > ALONG or not min(ways) < -ALONG


def of_batch(epochs: Epochs, at: int) -> tuple[float, np.ndarray]:
    """How much of the change that batch `at` makes lies in its images and in the weights themselves, 0..1; and how
    much of each image is in it, per class."""
    images = epochs.inputs["images"][at * BATCH : (at + 1) * BATCH].reshape(BATCH, -1).astype(np.float64)
    change, weight = epochs.alone[at].change, epochs.inputs["weight"]
    basis = np.linalg.qr(images.T)[0]  # (784, BATCH)
    left, decay = (rows - rows @ basis @ basis.T for rows in (change, weight))
    factor = (left * decay).sum() / (decay**2).sum()
    share = 1 - np.linalg.norm(left - factor * decay) / np.linalg.norm(change)
    return float(share), numbers.shares(change - factor * weight, images)
