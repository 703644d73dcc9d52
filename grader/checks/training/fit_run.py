"""What fit did, pass by pass, as seen by the grader's network: epochs of training, and looks without learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.engine.answer import Answer
from grader.engine.endings import ProtocolBroken
from grader.engine.student import Student

LENT_LOOPS = Path(__file__).resolve().parents[2] / "lent" / "loops.py"  # read, never imported
TRAIN, VAL = 60, 40  # images
STRANGE = -1  # the tag of an image that was learnt from, and that is none of these pictures
VAL_TAG = 1000  # pixel 0 of a picture is its number; validation pictures count from here
EPOCHS = (6, 8)  # so many, drawn at random: more than the five of many tutorials
WORSE_EPOCHS = 4  # of the run in which validation gets worse and worse
LR = 0.008  # slow enough that validation accuracy rises over all epochs
VAL_NOISE = 9.0  # length of the noise on a validation picture; the picture itself has 6
# of the probe's network, two layers and a parameter that is part of none: it does not see pixel 0
SHAPES = ((10, 1, 1, 1), (16, 783), (16,), (10, 16), (10,))
TENSORS, FIRST_LAYER = len(SHAPES), 1
PASSES, ROWS = 4_000, 40_000  # six epochs with a look at all images after each have 500 passes and 1000 images
TRACE = 1e-3  # of the image that left most in the first layer: less is none


def observe_fits(student: Student) -> Fits:
    """Validation pictures are noisy copies of training pictures: every epoch improves, nobody stops early.

    In the run `worse` their labels are what the network answers before it has learnt anything.
    """
    rng = student.rng("fits")
    pictures = rng.normal(size=(TRAIN, 784)) * 6 / 28
    labels = rng.permutation(np.arange(TRAIN) % 10)
    chosen = rng.permutation(TRAIN)[:VAL]
    val = pictures[chosen] + rng.normal(size=(VAL, 784)) * VAL_NOISE / 28
    val_labels = labels[chosen].copy()
    val_labels[:2] = (val_labels[:2] + 5) % 10  # two stay wrong: no network reaches accuracy 1
    pictures[:, 0], val[:, 0] = np.arange(TRAIN), VAL_TAG + np.arange(VAL)
    inputs = {
        "train_images": pictures.reshape(-1, 1, 28, 28).astype(np.float32),
        "train_labels": labels.astype(np.int64),
        "val_images": val.reshape(-1, 1, 28, 28).astype(np.float32),
        "val_labels": val_labels.astype(np.int64),
        "train_batch": 2,
        "val_batch": 5,
        "epochs": int(rng.integers(*EPOCHS)),
        "worse_epochs": WORSE_EPOCHS,
        "lr": LR,
        "loops": LENT_LOOPS.read_text(encoding="utf-8"),
    }
    answer = student.observe("fit.fits", **inputs)
    several, one, still = (FitRun(answer.part(name), inputs) for name in ("several", "one", "still"))
    pixels = inputs["val_images"].reshape(VAL, -1)[:, 1:].astype(np.float64)
    _, scores = numbers.layers_of([w.astype(np.float64) for w in weights_in(answer.part("worse"), "before")], pixels)
    return Fits(several, one, still, FitRun(answer.part("worse"), inputs | {"val_labels": scores.argmax(axis=1)}))


def weights_in(run: Answer, at: str) -> list[np.ndarray]:
    """The tensors of the given network "before" or "after" fit, in the order of SHAPES."""
    return [one.array(at, shape) for one, shape in zip(run.parts("weights", TENSORS), SHAPES)]


@dataclass(frozen=True)
class Look:
    """One look at a set of images: when (number of the pass that ended it), and what came out."""

    at: int
    loss: float
    smooth: float  # the loss with all ten classes at once: what label smoothing mixes in
    accuracy: float
    scores: np.ndarray  # of each image, in the order of their numbers


def look_at(at: int, scores: np.ndarray, which: np.ndarray, labels: np.ndarray) -> Look:
    losses, table = numbers.cross_entropy(scores, labels[which]), np.zeros((len(labels), 10))
    right = float((scores.argmax(axis=1) == labels[which]).mean())
    table[which] = scores
    return Look(at, float(losses.mean()), float(numbers.spread(scores).mean()), right, table)


class FitRun:
    """One run of fit, its passes sorted into epochs of training and looks without learning."""

    def __init__(self, answer: Answer, inputs: dict[str, Any]):
        self.answer, self.inputs = answer, inputs
        passes = answer.part("passes")
        sizes = passes.array("sizes", (range(PASSES + 1),), "i")
        self.gradient = passes.array("gradient", sizes.shape, "b")
        self.original = passes.array("original", sizes.shape, "b")
        self.training = passes.array("training", sizes.shape, "b")
        rows = int(sizes.sum())
        if rows > ROWS or (sizes < 0).any() or (sizes > ROWS).any():
            raise ProtocolBroken("more images were seen than fit can have shown")
        edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        tags, scores = passes.array("tags", (rows,), "i"), passes.array("scores", (rows, 10))
        self.tags = [tags[a:b] for a, b in zip(edges, edges[1:])]
        self.scores = [scores[a:b] for a, b in zip(edges, edges[1:])]
        self.strange = sum(int((t == STRANGE).sum()) for t, g in zip(self.tags, self.gradient) if g)
        self.trained_on_val = [int((t >= VAL_TAG).sum()) for t, g in zip(self.tags, self.gradient) if g]
        self.epochs = self._looks(True, 0, TRAIN, "train_labels")
        self.val = self._looks(False, VAL_TAG, VAL, "val_labels")
        self.train_looks = self._looks(False, 0, TRAIN, "train_labels")
        self.read_val = any((t >= VAL_TAG).any() for t in self.tags)

    def _looks(self, gradient: bool, first: int, count: int, labels: str) -> list[Look]:
        """Complete looks at the images with tags first..first+count, learning from them or not."""
        looks: list[Look] = []
        held: list[tuple[np.ndarray, np.ndarray]] = []
        seen = 0
        for at, (tags, scores, learnt) in enumerate(zip(self.tags, self.scores, self.gradient)):
            if bool(learnt) != gradient or not ((tags >= first) & (tags < first + count)).all():
                continue
            held.append((tags, scores))
            seen += len(tags)
            if seen >= count:
                every = np.concatenate([t for t, _ in held]) - first
                looks.append(look_at(at, np.concatenate([s for _, s in held]), every, self.inputs[labels]))
                held, seen = [], 0
        return looks

    @property
    def val_in_training_mode(self) -> int:
        """Passes of validation images through the network in training mode, without learning from them."""
        looks = zip(self.tags, self.gradient, self.training)
        return sum(bool(mode) and not learnt and bool((tags >= VAL_TAG).any()) for tags, learnt, mode in looks)

    @property
    def orders(self) -> list[np.ndarray]:
        """The training images in the order in which each whole epoch learnt from them."""
        learnt = [tags for tags, learnt in zip(self.tags, self.gradient) if learnt]
        tags = np.concatenate(learnt) if learnt else np.zeros(0, int)
        return list(tags[: len(tags) // TRAIN * TRAIN].reshape(-1, TRAIN))

    @property
    def stand_ins(self) -> bool:
        """Whether the grader's own epoch and evaluation ran inside, and not the student's."""
        return self.answer.flag("stand_ins")

    @property
    def history(self) -> Answer:
        return self.answer.part("history")

    @property
    def reported(self) -> list[float]:
        """With the student's own functions inside, every number that they returned."""
        return [] if self.stand_ins else self.answer.array("reported", (range(PASSES + 1),)).tolist()

    @property
    def learnt_passes(self) -> int:
        return int(np.sum(self.gradient))

    @property
    def unchanged(self) -> list[bool]:
        """For each parameter tensor: is it bitwise as before?"""
        return [np.array_equal(old, new) for old, new in zip(self.weights("before"), self.weights("after"))]

    def weights(self, at: str) -> list[np.ndarray]:
        """The tensors of the given network "before" or "after" fit, in the order of SHAPES."""
        return weights_in(self.answer, at)

    @property
    def kept_signs(self) -> float:
        """How much of its batch's gradient, by size, had its sign when the first step was made, 0..1. nan where that
        cannot be said: the step was not made right after the first pass that was learnt from, with the weights of
        before."""
        learnt = np.flatnonzero(self.gradient)
        if not len(learnt) or not len(self.steps_after) or self.steps_after[0] != learnt[0] + 1:
            return np.nan
        tags, old = self.tags[learnt[0]], [w.astype(np.float64) for w in self.weights("before")]
        if not ((tags >= 0) & (tags < TRAIN)).all():
            return np.nan
        pixels = self.inputs["train_images"][tags].reshape(len(tags), -1)[:, 1:].astype(np.float64)
        labels = self.inputs["train_labels"][tags]
        loss, slopes = numbers.two_layers(old, pixels, labels)
        if abs(numbers.cross_entropy(self.scores[learnt[0]], labels).mean() - loss) > 1e-3:
            return np.nan
        pairs = [(w, s) for w, s in zip(slopes, self.weights("slope")) if s.any()]
        kept = sum(np.abs(w)[np.sign(w) == np.sign(s)].sum() for w, s in pairs)
        return float(kept / max(sum(np.abs(w).sum() for w, _ in pairs), 1e-300)) if pairs else np.nan

    @property
    def traces(self) -> int:
        """How many training images left something in the first layer: its change is put together from them."""
        old, new = (self.weights(at)[FIRST_LAYER].astype(np.float64) for at in ("before", "after"))
        pixels = self.inputs["train_images"].reshape(TRAIN, -1)[:, 1:].astype(np.float64)
        left = np.linalg.norm(numbers.shares(new - old, pixels), axis=0)
        return int((left > TRACE * left.max()).sum())

    @property
    def learnt(self) -> tuple[float, float, float]:
        """Of the given network on the training images: the loss before and after fit, and how far its weights went
        down the gradient of before (a cosine)."""
        old, new = ([w.astype(np.float64) for w in self.weights(at)] for at in ("before", "after"))
        pixels = self.inputs["train_images"].reshape(TRAIN, -1)[:, 1:].astype(np.float64)
        labels = self.inputs["train_labels"]
        before, slope = numbers.two_layers(old, pixels, labels)
        after, _ = numbers.two_layers(new, pixels, labels)
        changes = np.concatenate([(b - a).ravel() for a, b in zip(old, new)])
        return before, after, numbers.cosine(-changes, np.concatenate([s.ravel() for s in slope]))

    @property
    def earlier_optimizer(self) -> bool:
        """Whether a step was made by an optimizer of the run before."""
        return self.answer.flag("earlier_optimizer")

    @cached_property
    def optimizers(self) -> np.ndarray:
        """Of each step: the number of its optimizer, int64 (N,)."""
        return self.answer.part("steps").array("optimizer", (range(PASSES + 1),), "i")

    @cached_property
    def rates(self) -> np.ndarray:
        """Of each step: its learning rate, float64 (N,)."""
        return self.answer.part("steps").array("lr", self.optimizers.shape)

    @property
    def decay(self) -> float:
        """The largest weight decay of all steps."""
        return float(np.nan_to_num(self.answer.part("steps").array("decay", self.optimizers.shape)).max(initial=0.0))

    @cached_property
    def steps_after(self) -> np.ndarray:
        """Of each step: how many passes came before it, int64 (N,)."""
        return self.answer.part("steps").array("after", self.optimizers.shape, "i")

    @property
    def with_closures(self) -> bool:
        """Whether every step computed its loss itself, as LBFGS does: it may find that there is little to do."""
        closures = self.answer.part("steps").array("closure", self.optimizers.shape, "b")
        return bool(len(closures) and closures.all())

    @property
    def left(self) -> float:
        """The loss of the network that fit leaves behind, on the validation images."""
        new = [w.astype(np.float64) for w in self.weights("after")]
        pixels = self.inputs["val_images"].reshape(VAL, -1)[:, 1:].astype(np.float64)
        return numbers.two_layers(new, pixels, self.inputs["val_labels"])[0]

    @cached_property
    def learnt_at(self) -> np.ndarray:
        """The numbers of the passes that learnt from training images, int64 (N,)."""
        return np.array([n for n in np.flatnonzero(self.gradient) if (self.tags[n] < VAL_TAG).any()], dtype=np.int64)

    def window(self, epoch: int) -> tuple[int, int]:
        """Between the last pass of training epoch `epoch` (from 0) and the first of the next."""
        start = self.epochs[epoch].at
        later = self.learnt_at[self.learnt_at > start]
        return start, int(later[0]) if len(later) else len(self.tags)

    def within(self, looks: list[Look], epoch: int) -> list[Look]:
        start, end = self.window(epoch)
        return [look for look in looks if start < look.at < end]


@dataclass(frozen=True)
class Fits:
    """fit with several epochs, with one more for the same network, with one and a learning rate of 0, and with several
    that make it worse."""

    several: FitRun
    one: FitRun
    still: FitRun
    worse: FitRun
