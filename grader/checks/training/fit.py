"""Naming what is wrong with fit: its history is compared with what its network was seen to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.engine.answer import Answer
from grader.engine.check import fail
from grader.engine.student import Student

TRAIN, VAL = 60, 40  # images
VAL_TAG = 1000  # pixel 0 of a picture is its number; validation pictures count from here
LR = 0.008  # slow enough that validation accuracy rises over all three epochs
VAL_NOISE = 9.0  # length of the noise on a validation picture; the picture itself has 6
CLOSE = 1e-3  # a student may round to three decimals
REAL_BATCHES = 112  # an epoch of the real training set has at least so many
TENSORS = 4  # of the probe's two-layer network
KEYS = ("train_loss", "val_loss", "val_accuracy")


def observe_fits(student: Student) -> Fits:
    """Validation pictures are noisy copies of training pictures: every epoch improves, nobody stops early."""
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
        "lr": LR,
    }
    answer = student.observe("fit.fits", **inputs)
    return Fits(*(FitRun(answer.part(name), inputs) for name in ("three", "one", "still")))


@dataclass(frozen=True)
class Look:
    """One look at a set of images: when (number of the pass that ended it), and what came out."""

    at: int
    loss: float
    smooth: float  # the loss with all ten classes at once: what label smoothing mixes in
    accuracy: float


def look_at(at: int, scores: np.ndarray, labels: np.ndarray) -> Look:
    losses = numbers.cross_entropy(scores, labels)
    right = float((scores.argmax(axis=1) == labels).mean())
    return Look(at, float(losses.mean()), float(numbers.spread(scores).mean()), right)


class FitRun:
    """One run of fit, its passes sorted into epochs of training and looks without learning."""

    def __init__(self, answer: Answer, inputs: dict[str, Any]):
        self.answer, self.inputs = answer, inputs
        passes = answer.part("passes")
        sizes = passes.array("sizes", (None,), "i")
        self.gradient = passes.array("gradient", sizes.shape, "b")
        self.original = passes.array("original", sizes.shape, "b")
        rows = int(sizes.sum())
        edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        tags, scores = passes.array("tags", (rows,), "i"), passes.array("scores", (rows, 10))
        self.tags = [tags[a:b] for a, b in zip(edges, edges[1:])]
        self.scores = [scores[a:b] for a, b in zip(edges, edges[1:])]
        self.trained_on_val = [int((t >= VAL_TAG).sum()) for t, g in zip(self.tags, self.gradient) if g]
        self.epochs = self._looks(True, 0, TRAIN, "train_labels")
        self.val = self._looks(False, VAL_TAG, VAL, "val_labels")
        self.train_looks = self._looks(False, 0, TRAIN, "train_labels")
        self.read_val = any((t >= VAL_TAG).any() for t in self.tags)

    def _looks(self, gradient: bool, first: int, count: int, labels: str) -> list[Look]:
        """Complete looks at the images with tags first..first+count, learning from them or not."""
        looks: list[Look] = []
        held: list[tuple[np.ndarray, np.ndarray]] = []
        for at, (tags, scores, learnt) in enumerate(zip(self.tags, self.scores, self.gradient)):
            if bool(learnt) != gradient or not ((tags >= first) & (tags < first + count)).all():
                continue
            held.append((tags, scores))
            if sum(len(t) for t, _ in held) >= count:
                every = np.concatenate([t for t, _ in held]) - first
                looks.append(look_at(at, np.concatenate([s for _, s in held]), self.inputs[labels][every]))
                held = []
        return looks

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
        return [] if self.stand_ins else self.answer.array("reported", (None,)).tolist()

    @property
    def learnt_passes(self) -> int:
        return int(np.sum(self.gradient))

    @property
    def unchanged(self) -> list[bool]:
        """For each parameter tensor: is it bitwise as before?"""
        weights = self.answer.parts("weights", TENSORS)
        return [np.array_equal(one.array("before", None), one.array("after", None)) for one in weights]

    def window(self, epoch: int) -> tuple[int, int]:
        """Between the last pass of training epoch `epoch` (from 0) and the first of the next."""
        start = self.epochs[epoch].at
        later = [at for at in np.flatnonzero(self.gradient) if at > start and (self.tags[at] < VAL_TAG).any()]
        return start, int(later[0]) if later else len(self.tags)

    def within(self, looks: list[Look], epoch: int) -> list[Look]:
        start, end = self.window(epoch)
        return [look for look in looks if start < look.at < end]


@dataclass(frozen=True)
class Fits:
    """fit with three epochs, with one, and with one and a learning rate of 0."""

    three: FitRun
    one: FitRun
    still: FitRun


def name_untrained(run: FitRun) -> None:
    """Fail when no epoch of training on the training images was seen."""
    if run.epochs:
        return
    name_validation_training(run)
    if run.answer.integer("other_models"):
        fail("model-replaced-in-fit")
    if run.learnt_passes:
        fail("not-all-images-trained", passes=run.learnt_passes, wanted=TRAIN // 2)
    fail("fit-trains-nothing")


def name_validation_training(run: FitRun) -> None:
    if any(run.trained_on_val):
        fail("validation-trained-on", images=sum(run.trained_on_val))


def judge_form(history: Answer) -> None:
    """A dict of three lists of plain numbers."""
    kind = history.text("type")
    if "keys" not in history:
        if kind == "NoneType":
            fail("fit-returns-nothing")
        fail("fit-returns-something-else", kind=kind)
    keys, lists = history.texts("keys"), history.part("lists")
    for key in KEYS:
        if key not in keys:
            fail("history-keys", missing=key, found=", ".join(f'"{found}"' for found in keys) or "none")
        entries = lists.part(key)
        if entries.text("type") != "list":
            fail("history-not-a-list", key=key, kind=entries.text("type"))
        odd = [kind for kind in entries.texts("types") if kind not in ("number", "tensor", "tensor of shape [1]")]
        if odd:
            fail("history-entries-not-numbers", key=key, kind=odd[0])
        if entries.flag("graph"):
            fail("history-keeps-graph", key=key)


def judge_numbers(run: FitRun, epochs: int) -> None:
    """As many entries as epochs, each of them measured."""
    lists = {key: run.history.part("lists").part(key).array("values", (None,)) for key in KEYS}
    counts = [len(values) for values in lists.values()]
    done = len(run.epochs)
    if not (epochs == 3 and done) and not (epochs == 1 and counts == [0, 0, 0]):
        name_untrained(run)
    stopped = set(counts) == {done} and 0 < done < epochs and stopped_rightly(run)
    if set(counts) != {epochs} and not stopped:
        _name_count(counts, done, epochs)
    if done < counts[0]:
        fail("history-longer-than-training", entries=counts[0], done=done)
    if not run.read_val:
        fail("validation-never-read")
    judge_validation(run, lists)
    judge_train_loss(run, lists)


def _name_count(counts: list[int], done: int, epochs: int) -> None:
    facts: dict[str, Any] = {"asked": epochs, "entries": ", ".join(map(str, counts)), "done": done}
    if len(set(counts)) == 1 and counts[0] == done:
        fail("epochs-count", **facts)
    if set(counts) == {1}:
        fail("history-of-one-epoch", **facts)
    fail("history-lengths", **facts)


def stopped_rightly(run: FitRun) -> bool:
    """Early stopping is fine when the last look at the validation images was no better than one before."""
    if not run.val:
        return False
    before, last = run.val[:-1], run.val[-1]
    return any(last.loss >= one.loss or last.accuracy <= one.accuracy for one in before)


Candidates = Sequence[Sequence[float]]  # the numbers that each entry of a list may be


def agrees(values: Iterable[float], candidates: Candidates, reported: Sequence[float] = ()) -> bool:
    """Is every entry one of its epoch's candidates (or, with the student's own functions, what they returned)?"""
    for value, possible in zip(values, candidates):
        if not any(abs(value - one) <= CLOSE * max(1.0, abs(one)) for one in (*possible, *reported)):
            return False
    return True


def judge_validation(run: FitRun, lists: dict[str, np.ndarray]) -> None:
    """val_loss and val_accuracy against the looks at the validation images after each epoch."""
    epochs, reported = range(len(lists["val_loss"])), run.reported
    looks = [run.within(run.val, e) for e in epochs]
    losses, rights = [[one.loss for one in some] for some in looks], [[one.accuracy for one in some] for some in looks]
    if agrees(lists["val_loss"], losses, reported) and agrees(lists["val_accuracy"], rights, reported):
        return
    if agrees(lists["val_loss"], rights) and agrees(lists["val_accuracy"], losses):
        fail("history-lists-swapped", one="val_loss", other="val_accuracy")
    if agrees(lists["val_accuracy"], losses) and agrees(lists["val_loss"], losses):
        fail("history-lists-swapped", one="val_accuracy", other="val_loss")
    if agrees(lists["train_loss"], losses) and not agrees(lists["val_loss"], losses):
        fail("history-lists-swapped", one="train_loss", other="val_loss")
    if agrees(lists["val_loss"], losses) and agrees(lists["val_accuracy"] / 100, rights):
        fail("history-in-percent", got=lists["val_accuracy"][0], expected=rights[0][0])
    on_train = [run.within(run.train_looks, e) for e in epochs]
    for key, kind in (("val_loss", "loss"), ("val_accuracy", "accuracy")):
        if all(on_train) and agrees(lists[key], [[getattr(one, kind) for one in some] for some in on_train]):
            fail("validation-on-training-images", key=key)
    early = [[one for one in run.val if one.at < run.epochs[e].at and one.at >= _begin(run, e)] for e in epochs]
    if all(early) and agrees(lists["val_loss"], [[one.loss for one in some] for some in early]):
        fail("evaluated-before-training")
    for key, wanted in (("val_loss", losses), ("val_accuracy", rights)):
        _name_entry(key, lists[key], wanted, reported)


def _begin(run: FitRun, epoch: int) -> int:
    return run.epochs[epoch - 1].at if epoch else 0


def _name_entry(key: str, values: np.ndarray, wanted: Candidates, reported: Sequence[float]) -> None:
    """The first entry that is not what was measured."""
    for at, (value, possible) in enumerate(zip(values, wanted)):
        if agrees([value], [possible], reported):
            continue
        if not possible:
            fail("no-validation-after-epoch", epoch=at + 1)
        if len(values) > 1 and np.ptp(values) == 0:
            fail("history-same-every-epoch", key=key, got=value)
        fail("history-not-measured", key=key, epoch=at + 1, got=value, expected=possible[0])


def judge_train_loss(run: FitRun, lists: dict[str, np.ndarray]) -> None:
    """train_loss: the mean while learning (smoothed or not), or measured on the training images afterwards."""
    values = lists["train_loss"]
    learning = run.epochs[: len(values)]
    looks = [[one.loss] + [x.loss for x in run.within(run.train_looks, e)] for e, one in enumerate(learning)]
    if agrees(values, looks, run.reported):
        return
    for amount in np.linspace(0, numbers.SMOOTHING, 61):  # label smoothing in a loop of fit's own
        if agrees(values, [[(1 - amount) * one.loss + amount * one.smooth] for one in learning]):
            return
    on_val = [[one.loss for one in run.within(run.val, e)] for e in range(len(values))]
    if agrees(values, on_val):
        fail("history-lists-swapped", one="train_loss", other="val_loss")
    _name_entry("train_loss", values, looks, run.reported)


def judge_training(fits: Fits) -> None:
    """The given network's weights change, through training images and the given learning rate alone."""
    run = fits.three
    name_untrained(run)
    if all(run.unchanged) and not run.original[run.gradient].any():
        fail("copy-trained")
    name_validation_training(run)
    if not all(fits.still.unchanged):
        fail("learning-rate-ignored")
    if all(run.unchanged):
        fail("weights-unchanged-by-fit", passes=run.learnt_passes)
    if any(run.unchanged):
        fail("some-layers-left-out", unchanged=sum(run.unchanged), all=len(run.unchanged))


def judge_optimizer(run: FitRun) -> None:
    """One optimizer for all epochs, whose learning rate does not collapse inside the first."""
    steps = run.answer.part("steps")
    which = steps.array("optimizer", (None,), "i")
    lrs, after = steps.array("lr", which.shape), steps.array("after", which.shape, "i")
    if not run.stand_ins or len(which) == 0 or not run.epochs:
        return
    end = run.epochs[0].at + 1  # passes seen when the last step of epoch 1 is made
    first, later = set(which[after <= end].tolist()), set(which[after > end].tolist())
    if len(first) > 2 or (first and later and not first & later):
        fail("optimizer-rebuilt", count=len(first | later), epochs=len(run.epochs))
    rates = lrs[after <= end]
    if len(rates) < 3 or rates[0] <= 0:
        return
    ratios = rates[1:] / np.maximum(rates[:-1], 1e-300)
    steady = np.allclose(ratios, ratios[0], rtol=1e-3) and ratios[0] ** REAL_BATCHES < 0.01
    if rates.min() <= 0.05 * rates[0] or steady:
        fail("learning-rate-collapses", first=rates[0], last=rates.min(), batches=len(rates))
