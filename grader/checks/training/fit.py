"""Naming what is wrong with fit: its history is compared with what its network was seen to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.engine.check import fail
from grader.engine.student import Student

TRAIN, VAL = 60, 40  # images
VAL_TAG = 1000  # pixel 0 of a picture is its number; validation pictures count from here
LR = 0.008  # slow enough that validation accuracy rises over all three epochs
NOISE = 9.0  # length of the noise on a validation picture; the picture itself has 6
CLOSE = 1e-3  # a student may round to three decimals
REAL_BATCHES = 112  # an epoch of the real training set has at least so many
KEYS = ("train_loss", "val_loss", "val_accuracy")


def observe_fits(student: Student) -> tuple[Any, dict[str, Any]]:
    """Validation pictures are noisy copies of training pictures: every epoch improves, nobody stops early."""
    rng = student.rng("fits")
    pictures = rng.normal(size=(TRAIN, 784)) * 6 / 28
    labels = rng.permutation(np.arange(TRAIN) % 10)
    chosen = rng.permutation(TRAIN)[:VAL]
    val = pictures[chosen] + rng.normal(size=(VAL, 784)) * NOISE / 28
    val_labels = labels[chosen].copy()
    val_labels[:2] = (val_labels[:2] + 5) % 10  # two stay wrong: no network reaches accuracy 1
    pictures[:, 0], val[:, 0] = np.arange(TRAIN), VAL_TAG + np.arange(VAL)
    given = {
        "train_images": pictures.reshape(-1, 1, 28, 28).astype(np.float32),
        "train_labels": labels.astype(np.int64),
        "val_images": val.reshape(-1, 1, 28, 28).astype(np.float32),
        "val_labels": val_labels.astype(np.int64),
        "train_batch": 2,
        "val_batch": 5,
        "lr": LR,
    }
    return student.observe("training_fit.fits", **given), given


@dataclass(frozen=True)
class Measured:
    """One look at a set of images: when (number of the pass that ended it), and what came out."""

    at: int
    loss: float
    smooth: float  # the loss with all ten classes at once: what label smoothing mixes in
    accuracy: float


def measured(at: int, scores: Any, labels: Any) -> Measured:
    losses = numbers.cross_entropy(scores, labels)
    right = float((scores.argmax(axis=1) == labels).mean())
    return Measured(at, float(losses.mean()), float(numbers.spread(scores).mean()), right)


class Run:
    """The passes of one run of fit, sorted into epochs of training and looks without learning."""

    def __init__(self, seen: Any, given: dict[str, Any], name: str):
        sizes, self.gradient = seen[f"{name}_sizes"], seen[f"{name}_gradient"]
        self.original = seen[f"{name}_original"]
        edges = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        tags, scores = seen[f"{name}_tags"], seen[f"{name}_scores"]
        self.tags = [tags[a:b] for a, b in zip(edges, edges[1:])]
        self.scores = [scores[a:b] for a, b in zip(edges, edges[1:])]
        self.given = given
        self.trained_on_val = [int((t >= VAL_TAG).sum()) for t, g in zip(self.tags, self.gradient) if g]
        self.epochs = self._looks(True, 0, TRAIN, "train_labels")
        self.val = self._looks(False, VAL_TAG, VAL, "val_labels")
        self.train_looks = self._looks(False, 0, TRAIN, "train_labels")
        self.read_val = any((t >= VAL_TAG).any() for t in self.tags)

    def _looks(self, gradient: bool, first: int, count: int, labels: str) -> list[Measured]:
        """Complete looks at the images with tags first..first+count, learning from them or not."""
        found: list[Measured] = []
        held: list[tuple[Any, Any]] = []
        for at, (tags, scores, learnt) in enumerate(zip(self.tags, self.scores, self.gradient)):
            if bool(learnt) != gradient or not ((tags >= first) & (tags < first + count)).all():
                continue
            held.append((tags, scores))
            if sum(len(t) for t, _ in held) >= count:
                every = np.concatenate([t for t, _ in held]) - first
                found.append(measured(at, np.concatenate([s for _, s in held]), self.given[labels][every]))
                held = []
        return found

    @property
    def learnt_passes(self) -> int:
        return int(np.sum(self.gradient))

    def window(self, epoch: int) -> tuple[int, int]:
        """Between the last pass of training epoch `epoch` (from 0) and the first of the next."""
        start = self.epochs[epoch].at
        later = [at for at in np.flatnonzero(self.gradient) if at > start and (self.tags[at] < VAL_TAG).any()]
        return start, int(later[0]) if later else len(self.tags)

    def within(self, looks: list[Measured], epoch: int) -> list[Measured]:
        start, end = self.window(epoch)
        return [look for look in looks if start < look.at < end]


def name_untrained(seen: Any, run: Run, name: str) -> None:
    """Fail when no epoch of training on the training images was seen."""
    if run.epochs:
        return
    name_validation_training(run)
    if seen[f"{name}_other_models"]:
        fail("model-replaced-in-fit")
    if run.learnt_passes:
        fail("not-all-images-trained", passes=run.learnt_passes, wanted=TRAIN // 2)
    fail("fit-trains-nothing")


def name_validation_training(run: Run) -> None:
    if any(run.trained_on_val):
        fail("validation-trained-on", images=sum(run.trained_on_val))


def judge_form(seen: Any, name: str) -> None:
    """A dict of three lists of plain numbers."""
    if not seen[f"{name}_is_dict"]:
        kind = seen[f"{name}_type"]
        if kind == "NoneType":
            fail("fit-returns-nothing")
        fail("fit-returns-something-else", kind=kind)
    found = ", ".join(f'"{key}"' for key in seen[f"{name}_keys"]) or "none"
    for key in KEYS:
        if f"{key}" not in list(seen[f"{name}_keys"]):
            fail("history-keys", missing=key, found=found)
        if seen[f"{name}_{key}_type"] != "list":
            fail("history-not-a-list", key=key, kind=seen[f"{name}_{key}_type"])
        odd = [t for t in seen[f"{name}_{key}_types"] if t not in ("number", "tensor", "tensor of shape [1]")]
        if odd:
            fail("history-entries-not-numbers", key=key, kind=odd[0])
        if seen[f"{name}_{key}_graph"]:
            fail("history-keeps-graph", key=key)


def judge_numbers(seen: Any, given: dict[str, Any], name: str, epochs: int) -> None:
    """As many entries as epochs, each of them measured."""
    run = Run(seen, given, name)
    lists = {key: np.asarray(seen[f"{name}_{key}_values"], dtype=float) for key in KEYS}
    counts = [len(values) for values in lists.values()]
    done = len(run.epochs)
    if not (epochs == 3 and done) and not (epochs == 1 and counts == [0, 0, 0]):
        name_untrained(seen, run, name)
    stopped = set(counts) == {done} and 0 < done < epochs and stopped_rightly(run)
    if set(counts) != {epochs} and not stopped:
        _name_count(counts, done, epochs)
    if done < counts[0]:
        fail("history-longer-than-training", entries=counts[0], done=done)
    if not run.read_val:
        fail("validation-never-read")
    told = None if seen[f"{name}_stand_ins"] else seen[f"{name}_told"]
    judge_validation(run, lists, told)
    judge_train_loss(run, lists, told)


def _name_count(counts: list[int], done: int, epochs: int) -> None:
    facts: dict[str, Any] = {"asked": epochs, "entries": ", ".join(map(str, counts)), "done": done}
    if len(set(counts)) == 1 and counts[0] == done:
        fail("epochs-count", **facts)
    if set(counts) == {1}:
        fail("history-of-one-epoch", **facts)
    fail("history-lengths", **facts)


def stopped_rightly(run: Run) -> bool:
    """Early stopping is fine when the last look at the validation images was no better than one before."""
    if not run.val:
        return False
    before, last = run.val[:-1], run.val[-1]
    return any(last.loss >= one.loss or last.accuracy <= one.accuracy for one in before)


def agrees(values: Any, candidates: list[list[float]], told: Any = None) -> bool:
    """Is every entry one of its epoch's candidates (or, with the student's own functions, what they returned)?"""
    for value, possible in zip(values, candidates):
        every = list(possible) + ([] if told is None else list(told))
        if not any(abs(value - one) <= CLOSE * max(1.0, abs(one)) for one in every):
            return False
    return True


def judge_validation(run: Run, lists: dict[str, Any], told: Any) -> None:
    """val_loss and val_accuracy against the looks at the validation images after each epoch."""
    epochs = range(len(lists["val_loss"]))
    looks = [run.within(run.val, e) for e in epochs]
    losses, rights = [[one.loss for one in some] for some in looks], [[one.accuracy for one in some] for some in looks]
    if agrees(lists["val_loss"], losses, told) and agrees(lists["val_accuracy"], rights, told):
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
        _name_entry(key, lists[key], wanted, told)


def _begin(run: Run, epoch: int) -> int:
    return run.epochs[epoch - 1].at if epoch else 0


def _name_entry(key: str, values: Any, wanted: list[list[float]], told: Any) -> None:
    """The first entry that is not what was measured."""
    for at, (value, possible) in enumerate(zip(values, wanted)):
        if agrees([value], [possible], told):
            continue
        if not possible:
            fail("no-validation-after-epoch", epoch=at + 1)
        if len(values) > 1 and np.ptp(values) == 0:
            fail("history-same-every-epoch", key=key, got=value)
        fail("history-not-measured", key=key, epoch=at + 1, got=value, expected=possible[0])


def judge_train_loss(run: Run, lists: dict[str, Any], told: Any) -> None:
    """train_loss: the mean while learning (smoothed or not), or measured on the training images afterwards."""
    values = lists["train_loss"]
    learning = run.epochs[: len(values)]
    looks = [[one.loss] + [x.loss for x in run.within(run.train_looks, e)] for e, one in enumerate(learning)]
    if agrees(values, looks, told):
        return
    for amount in np.linspace(0, numbers.SMOOTHING, 61):  # label smoothing in a loop of fit's own
        if agrees(values, [[(1 - amount) * one.loss + amount * one.smooth] for one in learning]):
            return
    on_val = [[one.loss for one in run.within(run.val, e)] for e in range(len(values))]
    if agrees(values, on_val):
        fail("history-lists-swapped", one="train_loss", other="val_loss")
    _name_entry("train_loss", values, looks, told)


def unchanged(seen: Any, name: str) -> list[bool]:
    """For each parameter tensor: is it bitwise as before?"""
    result = []
    for at in range(4):
        result.append(np.array_equal(seen[f"{name}_before_{at}"], seen[f"{name}_after_{at}"]))
    return result


def judge_training(seen: Any, given: dict[str, Any]) -> None:
    """The given network's weights change, through training images and the given learning rate alone."""
    run = Run(seen, given, "three")
    name_untrained(seen, run, "three")
    learnt = np.asarray(run.original)[np.asarray(run.gradient)]
    same = unchanged(seen, "three")
    if all(same) and not learnt.any():
        fail("copy-trained")
    name_validation_training(run)
    if not all(unchanged(seen, "still")):
        fail("learning-rate-ignored")
    if all(same):
        fail("weights-unchanged-by-fit", passes=run.learnt_passes)
    if any(same):
        fail("some-layers-left-out", unchanged=sum(same), all=len(same))


def judge_optimizer(seen: Any, given: dict[str, Any]) -> None:
    """One optimizer for all epochs, whose learning rate does not collapse inside the first."""
    which, lrs, after = (seen[f"three_step_{key}"] for key in ("optimizer", "lr", "after"))
    run = Run(seen, given, "three")
    if not seen["three_stand_ins"] or len(which) == 0 or not run.epochs:
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
