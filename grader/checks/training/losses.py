"""Naming what is wrong with the losses and accuracies that train_one_epoch and evaluate report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks.data.splits import shows_a_part
from grader.checks.training import wrong_numbers as numbers
from grader.checks.training.stand_ins import end_if_raised
from grader.engine.answer import Answer
from grader.engine.check import Failed, fail, waits_for
from grader.engine.endings import NotSeen
from grader.engine.student import Student

CLOSE = 1e-3  # a student may round to three decimals
ROUNDING = 0.0051  # wrong answers are drawn further away than this, so that also two decimals tell which one it is
# Images of a long loader: more than the real validation set has, and more than 100 batches: enough for a sum that is
# printed and begun anew every 100. The last are all wrong, so that leaving them out shows.
LONG, LONG_BATCH, LAST = (910, 1100), 8, 60
SURE = 80.0  # size of the scores of a network that is sure
UNKNOWN = ("loss-unexplained", "loss-not-a-number", "loss-not-finite")  # findings about numbers that nothing explains
VAGUE = ("loss-unexplained", "loss-of-some-batches")  # they may be of a network that is no longer what it was


@dataclass(frozen=True)
class Group:
    """One network of known answers and the loader it is shown."""

    scores: np.ndarray  # (N, 10) float64
    labels: np.ndarray  # (N,) int64
    batch_size: int

    @property
    def right(self) -> int:
        return int((self.scores.argmax(axis=1) == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.right / len(self.labels)

    @property
    def batches(self) -> int:
        return len(numbers.batches_of(len(self.labels), self.batch_size))

    @property
    def mean_loss(self) -> float:
        return float(numbers.cross_entropy(self.scores, self.labels).mean())


def arguments_of(groups: list[Group]) -> dict[str, Any]:
    """The arguments of the probes `reported_losses` and `evaluations`."""
    return {
        "table": np.concatenate([g.scores for g in groups]).astype(np.float32),
        "labels": np.concatenate([g.labels for g in groups]).astype(np.int64),
        "sizes": [len(g.labels) for g in groups],
        "batch_sizes": [g.batch_size for g in groups],
    }


def redrawn(draw: Callable[[], Group], wrong: Callable[[Group], tuple[float, list[float]]], gap: float) -> Group:
    """Draw until no known mistake gives (nearly) the right answer."""
    for _ in range(500):
        group = draw()
        true, others = wrong(group)
        if all(abs(other - true) > gap for other in others):
            return group
    raise AssertionError("no telling example found")


def loss_groups(rng: np.random.Generator) -> list[Group]:
    """Log-probabilities, mostly right, with a short and mostly wrong last batch."""

    def draw(size: int, batch_size: int, wrong_ones: int = 0) -> Group:
        scores = numbers.log_softmax(rng.normal(size=(size, 10)) * 2)
        labels = scores.argmax(axis=1)
        last = size - (wrong_ones or size % batch_size)
        labels[last:] = scores[last:].argsort(axis=1)[:, 4]
        wrong = rng.integers(0, last)
        labels[wrong] = rng.integers(0, 10)
        return Group(scores.astype(np.float32).astype(np.float64), labels, batch_size)

    def others(group: Group) -> tuple[float, list[float]]:
        each = numbers.cross_entropy(group.scores, group.labels)
        return group.mean_loss, list(numbers.averages(each, group.batch_size).values())

    short = [redrawn(lambda n=n, b=b: draw(n, b), others, 0.05) for n, b in ((7, 3), (10, 4))]  # type: ignore[misc]
    return [*short, draw(int(rng.integers(*LONG)), LONG_BATCH, LAST)]


def sure_group(rng: np.random.Generator) -> Group:
    """A network that is very sure, and wrong for some images: the probability of the right class is 0 in float32."""
    scores = numbers.log_softmax(rng.normal(size=(6, 10)) * SURE)
    return Group(scores.astype(np.float32).astype(np.float64), scores.argsort(axis=1)[:, [-1, 0]].repeat(3)[:6], 3)


def observe_reported(student: Student) -> tuple[Answer, list[Group]]:
    """The answer, and the groups that it is about: the last one is not judged with the others."""
    groups = [*loss_groups(student.rng("losses")), sure_group(student.rng("losses.sure"))]
    return student.observe("training.reported_losses", **arguments_of(groups)), groups


def judge_training_losses(answer: Answer, groups: list[Group]) -> None:
    """TODO 5's half: what train_one_epoch returned."""
    parts = answer.parts("training", len(groups))
    for part in parts:
        end_if_raised(part, "returned")
    *got, sure = [_loss(part.part("returned"), "train_one_epoch", 5) for part in parts]
    judge_losses(got, groups[:-1], "train_one_epoch", 5)
    name_sure(sure, groups[-1], "train_one_epoch", 5)


def seen_in_losses(student: Student) -> None:
    """What may be trusted of the numbers that train_one_epoch returns: they are right, or wrong in a known way."""
    try:
        judge_training_losses(*observe_reported(student))
    except Failed as failed:
        if failed.finding.id in UNKNOWN:
            waits_for("train_one_epoch returns a loss")


def judge_evaluation_losses(answer: Answer, groups: list[Group]) -> None:
    """TODO 6's half, when evaluate can be judged at all: its form is the accuracy check's business."""
    got = []
    for part, group in zip(answer.parts("evaluation", len(groups)), groups):
        if "returned" not in part:
            return
        pair = part.part("returned")
        if pair.integer("count") != 2 or pair.text("type") not in ("tuple", "list"):
            return
        first, second = pair.part("first"), pair.part("second")
        swapped = "value" in second and _from_accuracy(first, group) < CLOSE < _from_accuracy(second, group)
        got.append(_loss(second if swapped else first, "evaluate", 6))
    *got, sure = got
    try:
        judge_losses(got, groups[:-1], "evaluate", 6)
    except Failed as failed:
        if failed.finding.id in VAGUE and changed(answer.parts("evaluation", len(groups))):
            fail("evaluate-changes-model", todo=6, names="its weights")
        raise
    name_sure(sure, groups[-1], "evaluate", 6)


def name_sure(got: float, group: Group, function: str, todo: int) -> None:
    """Fail when a loss that is right otherwise is not finite for a network that is sure and wrong."""
    if not np.isfinite(got):
        fail("loss-of-no-probability", todo=todo, function=function, got=got, expected=group.mean_loss)


def changed(parts: Sequence[Answer]) -> bool:
    """Whether a network was not left as it was, where nothing may change it."""
    return any("changed" in part and part.flag("changed") for part in parts)


def name_unseen_counted(student: Student, answer: Answer, groups: Sequence[Group], function: str) -> None:
    """Fail when the sum over the images that came is divided by all images of the dataset, and the student's own loader
    gives only a part of them. Where a loader gives all it is the same."""
    todo, name, number = 5, "train", answer.part("dropping").part(function)
    if function == "evaluate":
        todo, name, number = 6, "val", number.part("first") if "first" in number else number
    if "value" not in number:
        return
    group = groups[1]
    seen = len(group.labels) // group.batch_size * group.batch_size
    shown = float(numbers.cross_entropy(group.scores[:seen], group.labels[:seen]).mean())
    got, wrong = number.number("value"), shown * seen / len(group.labels)
    if abs(got - wrong) < CLOSE < abs(got - shown) and shows_a_part(student, name):
        facts: dict[str, Any] = {"got": got, "expected": shown, "seen": seen, "images": len(group.labels)}
        loader = {"train": "training", "val": "validation"}[name]
        fail("divided-by-images-not-shown", todo=todo, function=function, loader=loader, **facts)


def _from_accuracy(number: Answer, group: Group) -> float:
    """How far it is from the group's accuracy, or from that in percent."""
    value = number.number("value") if "value" in number else np.inf
    return min(abs(value - group.accuracy), abs(value - 100 * group.accuracy))


def _loss(number: Answer, function: str, todo: int) -> float:
    if "value" not in number:
        fail("loss-not-a-number", todo=todo, function=function, kind=number.text("type"))
    if number.flag("graph"):
        fail("loss-keeps-graph", todo=todo, function=function)
    return number.number("value")


def judge_losses(got: list[float], groups: list[Group], function: str, todo: int) -> None:
    """Right if they are the mean over images, of the cross-entropy or of one label-smoothed by the same amount."""
    if are_means(got, groups):
        return
    true = [group.mean_loss for group in groups]
    worst = int(np.argmax([abs(g - t) if np.isfinite(g) else np.inf for g, t in zip(got, true)]))
    facts: dict[str, Any] = {"function": function, "got": got[worst], "expected": true[worst]}
    if not all(np.isfinite(got)):
        fail("loss-not-finite", todo=todo, loss=got[0])
    for digits in (2, 1, 0):
        if all(abs(g - round(t, digits)) < 1e-6 for g, t in zip(got, true)):
            fail("loss-rounded", todo=todo, digits=digits, **facts)
    finding = wrong_average(got, groups)
    if finding:
        fail(finding, todo=todo, images=len(groups[worst].labels), size=groups[worst].batch_size, **facts)
    name_other_loss(got, groups, function, todo)
    each = [numbers.cross_entropy(g.scores, g.labels) for g in groups]
    if numbers.penalised(np.array(got) - np.array(true), [group.scores for group in groups]):
        fail("penalty-in-loss", todo=todo, **facts)
    divided = numbers.quotient(got, each, [g.batch_size for g in groups], CLOSE)
    if divided:
        fail("divided-by-another-number", todo=todo, number="a loss", sum=divided[0], divisor=divided[1], **facts)
    if kept_from_before(got, [each_one.sum() for each_one in each], [len(group.labels) for group in groups], CLOSE):
        fail("counters-never-reset", todo=todo, number="a loss", **facts)
    # last: two means alone may look like those of a smoothed loss
    if are_means(got[:-1], groups[:-1]) or (not any(got[:-1]) and got[-1]):
        fail("loss-of-some-batches", todo=todo, function=function, batches=groups[-1].batches,
             got=got[-1], expected=true[-1], few=got[0], few_expected=true[0])  # fmt: skip
    fail("loss-unexplained", todo=todo, **facts)


def kept_from_before(got: list[float], sums: Sequence[float], counts: Sequence[int], close: float) -> bool:
    """Whether these are the means of everything so far: of all earlier calls too, or of their sums only."""
    above, below = np.cumsum(sums), np.cumsum(counts)
    return any(all(abs(g - a / n) < close for g, a, n in zip(got, above, by)) for by in (below, np.array(counts)))


def are_means(got: list[float], groups: list[Group]) -> bool:
    true = [group.mean_loss for group in groups]
    if _all_near(got, true):
        return True
    smooth = [float(numbers.spread(group.scores).mean()) - t for group, t in zip(groups, true)]
    amounts = [(g - t) / s for g, t, s in zip(got, true, smooth)]
    return np.ptp(amounts) < 2 * CLOSE and -CLOSE < amounts[0] < numbers.SMOOTHING + CLOSE


def wrong_average(got: list[float], groups: list[Group]) -> str | None:
    """The known wrong average that gives these numbers, of the plain or else of a smoothed cross-entropy."""
    plain = [numbers.averages(numbers.cross_entropy(g.scores, g.labels), g.batch_size) for g in groups]
    spread = [numbers.averages(numbers.spread(g.scores), g.batch_size) for g in groups]
    for finding in plain[0]:
        if _all_near(got, [p[finding] for p in plain]):
            return finding
    for finding in plain[0]:
        amounts = [(g - p[finding]) / (f[finding] - p[finding]) for g, p, f in zip(got, plain, spread)]
        if np.ptp(amounts) < CLOSE and CLOSE < amounts[0] < numbers.SMOOTHING + CLOSE:
            return finding
    return None


def name_other_loss(got: list[float], groups: list[Group], function: str, todo: int) -> None:
    """Is it another loss, averaged over images or over batches?"""
    for finding, loss in numbers.OTHER_LOSSES:
        for over_images in (True, False):
            if _all_near(got, [_averaged(loss, group, over_images) for group in groups]):
                fail(finding, todo=todo, function=function)


def _averaged(loss: numbers.Loss, group: Group, over_images: bool) -> float:
    batches = numbers.batches_of(len(group.labels), group.batch_size)
    values = [loss(group.scores[b], group.labels[b]) for b in batches]
    return float(np.average(values, weights=[len(b) for b in batches] if over_images else None))


def _all_near(got: list[float], wanted: list[float]) -> bool:
    return all(abs(g - w) < CLOSE for g, w in zip(got, wanted))


# -- the student's own loop with the student's own network


def observe_own_pair(student: Student) -> tuple[Answer | None, np.ndarray, int]:
    """(the answer, the labels, the batch size); None when the network cannot be used, which others judge."""
    rng, batch_size = student.rng("own pair"), 4
    labels = rng.integers(0, 10, 8)
    images = rng.normal(size=(8, 1, 28, 28)).astype(np.float32)
    try:
        answer = student.observe("training.own_pair", images=images, labels=labels, batch_size=batch_size)
    except NotSeen:  # model.py does not even import
        return None, labels, batch_size
    return answer, labels, batch_size


def _normalised(scores: np.ndarray) -> bool:
    return bool(np.allclose(np.exp(np.minimum(scores, 50)).sum(axis=1), 1, atol=1e-3))


def name_raw_nll_in_training(student: Student) -> None:
    """NLL is right for log-probabilities; here the gradient it sends shows it was given raw scores."""
    answer, labels, size = observe_own_pair(student)
    for at, one in enumerate(answer.parts("passes", range(3)) if answer is not None else []):
        scores = one.array("scores", (None, 10))
        gradient = one.array("gradient", scores.shape)
        wanted = labels[at * size : (at + 1) * size]
        if len(scores) != size or _normalised(scores):
            return
        if numbers.cosine(gradient, -numbers.one_hot(wanted)) > 0.9999:
            total = float(np.exp(np.minimum(scores[0], 50)).sum())
            fail("nll-on-raw-scores", function="train_one_epoch", total=total)


def name_raw_nll_in_evaluation(student: Student) -> None:
    answer, labels, _ = observe_own_pair(student)
    if answer is None or "evaluation" not in answer:
        return
    evaluation = answer.part("evaluation")
    pair, scores = evaluation.part("returned"), evaluation.array("scores", (None, 10))
    if pair.text("type") not in ("tuple", "list") or "first" not in pair or "value" not in pair.part("first"):
        return
    if len(scores) != len(labels) or _normalised(scores):
        return
    got = pair.part("first").number("value")
    wrong, right = numbers.raw_loss(scores, labels), float(numbers.cross_entropy(scores, labels).mean())
    if abs(got - wrong) < CLOSE < abs(got - right):
        total = float(np.exp(np.minimum(scores[0], 50)).sum())
        fail("nll-on-raw-scores", todo=6, function="evaluate", total=total)
