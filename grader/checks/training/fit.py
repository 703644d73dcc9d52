"""Naming what is wrong with fit: its history is compared with what its network was seen to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from grader.checks.training import wrong_numbers as numbers
from grader.checks.training.fit_run import TRAIN, FitRun, Fits, Look
from grader.engine.answer import Answer
from grader.engine.check import fail

CLOSE = 1e-3  # a student may round to three decimals
SAME_RATE = 1.02  # within an epoch, the largest rate in times of the smallest
FAR = 4.05  # how far the largest rate may be from lr, as a factor
LEARNT = 0.05  # loss that the first epoch must take off before anything can be said of the next
AS_BEFORE = 0.55  # of what the first epoch gained: an epoch that goes on where it ended gains more on average
HEAVY_DECAY = 0.1  # of the usual optimizers; usual are 0.0001 to 0.01
STILL = 1e-3  # of what the epoch before changed: an epoch that changes less stands still
SAME_SIGN = 0.75  # of a gradient: so much at least keeps its sign on the way to the step, clipped or not
WORSE = 1.1  # what is left, in times of the last epoch's loss: averages of weights stay below
WITH_TRACE = 0.8  # of the training images: so many at least are found again in the first layer
DOWNHILL = 0.05  # cosine of the weights' change with the way downhill; by chance it is 0 +- 0.01
REAL_BATCHES = 112  # an epoch of the real training set has at least so many
ENTRIES, KEYS_SHOWN = 50, 12  # of a history: so many the probe sends
PLAIN = ("number", "tensor", "tensor of shape [1]")  # types of an entry
LOOPS = ("train_one_epoch", "evaluate")  # what fit calls
KEYS = ("train_loss", "val_loss", "val_accuracy")
Candidates = Sequence[Sequence[float]]  # the numbers that each entry of a list may be


def name_untrained(run: FitRun) -> None:
    """Fail when no epoch of training on the training images was seen."""
    if run.epochs:
        return
    name_other_weights(run)
    name_validation_training(run)
    if run.answer.integer("other_models"):
        fail("model-replaced-in-fit")
    if run.learnt_passes:
        fail("not-all-images-trained", passes=run.learnt_passes, wanted=TRAIN // 2)
    fail("fit-trains-nothing")


def name_other_weights(run: FitRun) -> None:
    if calls := run.answer.integer("other_weights"):
        fail("optimizer-of-other-weights", calls=calls)


def name_validation_training(run: FitRun) -> None:
    if any(run.trained_on_val):
        fail("validation-trained-on", images=sum(run.trained_on_val))
    if run.strange:
        fail("strange-images-trained-on", images=run.strange)


def judge_history(history: Answer) -> None:
    """A dict of three lists of plain numbers."""
    kind = history.text("type")
    if "keys" not in history:
        if kind == "NoneType":
            fail("fit-returns-nothing")
        fail("fit-returns-something-else", kind=kind)
    keys, lists = history.texts("keys", range(KEYS_SHOWN + 1)), history.part("lists")
    for key in KEYS:
        if key not in keys:
            fail("history-keys", missing=key, found=", ".join(f'"{found}"' for found in keys) or "none")
        entries = lists.part(key)
        if entries.text("type") != "list":
            fail("history-not-a-list", key=key, kind=entries.text("type"))
        odd = [kind for kind in entries.texts("types", range(ENTRIES + 1)) if kind not in PLAIN]
        if odd:
            fail("history-entries-not-numbers", key=key, kind=odd[0])
        if entries.flag("graph"):
            fail("history-keeps-graph", key=key)


def lists_of(run: FitRun) -> dict[str, np.ndarray]:
    return {key: run.history.part("lists").part(key).array("values", (range(ENTRIES + 1),)) for key in KEYS}


def judge_numbers(run: FitRun, epochs: int, before: FitRun | None = None) -> None:
    """As many entries as epochs, each of them measured. before: an earlier run of fit in the same process"""
    lists = lists_of(run)
    counts = [len(values) for values in lists.values()]
    if before is not None:
        name_old_entries(lists, lists_of(before), epochs)
    done = len(run.epochs)
    if not (epochs > 1 and done) and not (epochs == 1 and counts == [0, 0, 0]):
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
    judge_reported(run, lists)


def judge_while_worse(run: FitRun) -> None:
    """Where every epoch makes validation worse, still one number of its own for each that was run: fit may stop early,
    or put the best weights back, but neither leave an epoch out nor write down the best so far."""
    lists, done = lists_of(run), len(run.epochs)
    if not done:
        return
    counts = [len(values) for values in lists.values()]
    if set(counts) not in ({done}, {run.inputs["worse_epochs"]}):  # steps with closures show images more than once
        fail("worse-epochs-left-out", entries=", ".join(map(str, counts)), done=done)
    judge_validation(run, lists)
    judge_train_loss(run, lists)


def name_old_entries(lists: dict[str, np.ndarray], old: dict[str, np.ndarray], epochs: int) -> None:
    """Fail when the lists begin with those of an earlier run."""
    kept = len(old[KEYS[0]])
    if kept and all(len(lists[k]) > kept and np.array_equal(lists[k][:kept], old[k], equal_nan=True) for k in KEYS):
        fail("history-goes-on", asked=epochs, kept=kept)


def _name_count(counts: list[int], done: int, epochs: int) -> None:
    facts: dict[str, Any] = {"asked": epochs, "entries": ", ".join(map(str, counts)), "done": done}
    if len(set(counts)) == 1 and counts[0] == done:
        fail("epochs-count", **facts)
    if set(counts) == {1}:
        fail("history-of-one-epoch", **facts)
    fail("history-lengths", **facts)


def stopped_rightly(run: FitRun) -> bool:
    """Early stopping is fine when the look at the validation images after the last epoch was no better than one after
    an earlier epoch, or than one before the first."""
    ends = [looks[-1] for looks in looks_of(run, run.val) if looks]
    if not ends:
        return False
    before, last = [look for look in run.val if look.at < run.epochs[0].at] + ends[:-1], ends[-1]
    return any(last.loss >= one.loss or last.accuracy <= one.accuracy for one in before)


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
    for key, wanted, best in (("val_loss", losses, np.minimum), ("val_accuracy", rights, np.maximum)):
        so_far = [[one] for one in best.accumulate([some[0] for some in wanted])] if all(wanted) else []
        if so_far and agrees(lists[key], so_far) and not agrees(lists[key], wanted, reported):
            fail("history-of-the-best-so-far", key=key)
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


def judge_reported(run: FitRun, lists: dict[str, np.ndarray]) -> None:
    """What the student's own functions returned may be a wrong number, and yet it must go where the loss went."""
    for key, all_looks in (("train_loss", [[one] for one in run.epochs]), ("val_loss", looks_of(run, run.val))):
        pairs = [(value, looks[0].loss) for value, looks in zip(lists[key], all_looks) if looks]
        if len(pairs) < 2 or not run.reported:
            continue
        values, measured = np.array(pairs).T
        way, wanted = np.sign([values[-1] - values[0], measured[-1] - measured[0]])
        if np.ptp(values) == 0 < np.ptp(measured):
            fail("history-same-every-epoch", key=key, got=float(values[0]))
        if key == "val_loss" and way == -wanted:
            fail("history-not-measured", key=key, epoch=len(pairs), got=float(values[-1]), expected=float(measured[-1]))


def looks_of(run: FitRun, looks: list[Look]) -> list[list[Look]]:
    """Those after each epoch."""
    return [run.within(looks, epoch) for epoch in range(len(run.epochs))]


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
    run = fits.several
    misplaced = run.answer.part("misplaced")
    if function := next((name for name in LOOPS if name in misplaced), ""):
        fail("call-arguments-swapped", function=function, parameter=misplaced.text(function))
    name_other_weights(run)
    name_untrained(run)
    if all(run.unchanged) and not run.original[run.gradient].any():
        fail("copy-trained")
    name_validation_training(run)
    if run.stand_ins and (passes := run.val_in_training_mode):
        fail("validation-in-training-mode", passes=passes)
    if fits.one.earlier_optimizer:
        fail("optimizer-of-an-earlier-call")
    for another in (fits.still, fits.worse):  # networks
        name_other_weights(another)
    judge_rate(run, fits.one)
    if (kept := run.kept_signs) < SAME_SIGN:
        fail("gradients-changed-before-step", lost=f"{1 - kept:.0%}")
    name_fresh_start(run)
    if not all(run.unchanged):
        judge_what_is_left(run)
    if not all(fits.still.unchanged):
        if len(fits.still.rates) and not fits.still.rates.any():
            fail("weights-changed-outside-steps")
        fail("learning-rate-ignored", seen="With lr=0 the weights changed all the same")
    if all(run.unchanged):
        fail("weights-unchanged-by-fit", passes=run.learnt_passes)
    before, after, downhill = run.learnt
    if not (after <= 1.05 * before and downhill >= DOWNHILL):
        name_heavy_decay(run)
        fail("fit-does-not-learn", before=before, after=after)
    if any(run.unchanged):
        fail("some-layers-left-out", unchanged=sum(run.unchanged), all=len(run.unchanged))
    first, *later = run.orders or [np.zeros(0, int)]
    if len(later) > 1 and all(np.array_equal(order, first) for order in later):  # the loader shuffles
        fail("same-order-every-epoch", epochs=1 + len(later))


def name_few_images(run: FitRun) -> None:
    """Fail when images went through the network, and most of them have no part in what the first layer became."""
    if run.traces < WITH_TRACE * TRAIN and not run.with_closures:
        fail("images-without-trace", count=run.traces, all=TRAIN)


def name_fresh_start(run: FitRun) -> None:
    """Fail when no epoch goes on where the one before it ended: each begins with as high a loss as the first."""
    if not run.val or len(run.epochs) < 3 or run.with_closures:
        return
    first, *later = (epoch.loss for epoch in run.epochs)
    gained = run.learnt[0] - run.val[0].loss
    if gained > LEARNT and all(loss > first - AS_BEFORE * gained for loss in later):
        name_heavy_decay(run)
        fail("weights-begin-anew", first=first, second=later[0])


def name_heavy_decay(run: FitRun) -> None:
    """Why little is learnt, where the optimizer takes from the weights what it gives them."""
    if run.decay >= HEAVY_DECAY:
        fail("weights-held-back", decay=run.decay)


def judge_what_is_left(run: FitRun) -> None:
    """fit leaves the weights of its last epoch, or of its best one."""
    looks, left = looks_of(run, run.val), run.left
    if len(looks) < 2 or not all(looks):
        return
    ends = [after_epoch[-1] for after_epoch in looks]
    found = [abs(left - look.loss) <= CLOSE * max(1.0, look.loss) for look in ends]
    fine = [ends[-1], min(ends, key=lambda look: look.loss), max(ends, key=lambda look: look.accuracy)]
    if any(same and look in fine for same, look in zip(found, ends)):
        return
    if any(found):
        fail("fit-keeps-another-epoch", epoch=found.index(True) + 1, epochs=len(ends))
    if np.isfinite(ends[-1].loss) and not left <= WORSE * ends[-1].loss:
        fail("fit-leaves-other-weights", left=left, last=ends[-1].loss)


def judge_optimizer(run: FitRun) -> None:
    """One optimizer for all epochs (or several, side by side), whose learning rate changes between epochs alone."""
    if len(run.rates) == 0 or not run.epochs:
        return
    which, after = run.optimizers, run.steps_after
    ends = [epoch.at + 1 for epoch in run.epochs]  # passes seen when the last step of each epoch is made
    first, *later = (set(which[(after > a) & (after <= b)].tolist()) for a, b in zip([-1, *ends], ends))
    if len(first) > 2 or len(set().union(*later) - first) > 1:
        fail("optimizer-rebuilt", count=len(set(which.tolist())), epochs=len(run.epochs))
    if taken := [at for at, one in enumerate(later, 2) if one and (one != later[0] or not one <= first)]:
        fail("optimizer-exchanged", epoch=taken[0], epochs=len(run.epochs))
    rates = run.rates[after <= ends[0]]
    if len(rates) < 3 or rates[0] <= 0:
        return
    ratios = rates[1:] / np.maximum(rates[:-1], 1e-300)
    steady = np.allclose(ratios, ratios[0], rtol=1e-3) and ratios[0] ** REAL_BATCHES < 0.01
    if rates.min() <= 0.05 * rates[0] or steady:
        fail("learning-rate-collapses", first=rates[0], last=rates.min(), batches=len(rates))
    if rates.max() > SAME_RATE * rates.min():
        fail("rate-changes-inside-epoch", first=rates[0], last=rates[-1], batches=len(rates))


def name_standstill(run: FitRun) -> None:
    """Fail when an epoch but the last changes next to nothing: the scores of the epoch after it are as before."""
    if run.with_closures:
        return
    moves = [float(np.abs(b.scores - a.scores).max()) for a, b in zip(run.epochs, run.epochs[1:])]
    for at, (before, now) in enumerate(zip(moves, moves[1:])):
        if now < STILL * before:
            fail("epochs-stand-still", epoch=at + 2, before=before, now=now)


def judge_rate(run: FitRun, half: FitRun) -> None:
    """The rate of the steps comes from lr: not far from it, and half of it when lr is half."""
    if len(run.rates) == 0:
        return
    largest, given = float(run.rates.max()), run.inputs["lr"]
    pairs = ((largest, half.rates.max()), (run.rates[0], half.rates[0])) if len(half.rates) else ()
    if pairs and all(abs(one - other) < 0.02 * other for one, other in pairs):
        fail(
            "learning-rate-ignored",
            seen=f"With lr={given:.4g} and with half of it the steps had a rate of {largest:.4g}",
        )
    if not given / FAR <= largest <= given * FAR:
        fail("rate-is-another", used=largest, given=given)
    if len(half.rates) == 0 or half.rates.min() <= 0 or run.rates.min() <= 0:
        return
    ratios = largest / half.rates.max(), run.rates[0] / half.rates[0]  # a warm-up may depend on the number of epochs
    if not any(abs(ratio - 2) < 0.3 for ratio in ratios):
        fail("rate-not-in-proportion", whole=largest, half=float(half.rates.max()), given=given, other=given / 2)
