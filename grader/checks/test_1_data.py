"""TODO 1 and 2: from picture files to batches of tensors. Tracer pictures tell what became of each of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from grader.checks.data.loaders import FEW_UNKNOWN, Served, apart_from_transform
from grader.checks.data.observation import NAMES, TITLES, TURNS, alone
from grader.checks.data.pixels import SHAPES, judge_transform
from grader.checks.data.preparation import (
    judge_all_known,
    judge_each_batch,
    judge_same_map,
    judge_steadiness,
    judge_test_file_unused,
    judge_transform_used,
    unsteady,
)
from grader.checks.data.splits import judge_splits
from grader.checks.data.tracers import UNKNOWN
from grader.checks.views import TRANSPOSED, VIEWS
from grader.engine.answer import Answer
from grader.engine.check import check, fail
from grader.engine.student import Student

BY_CLASS = 0.8  # of the training pictures: sorted inside of each batch, fewer follow one of their class


@check("transform", part="data", todo=1, calls=("data.make_transform",))
def test_transform(student: Student) -> None:
    """make_transform turns a picture into a small float32 tensor"""
    judge_transform(*alone(student))


@check("batches", part="data", todo=2, calls=("data.make_loaders",))
@apart_from_transform
def test_batches(served: Served) -> None:
    """The loaders give batches of pictures with their labels"""
    judge_order(served)
    for name in NAMES:
        for turn in range(TURNS[name]):
            judge_kinds(served, name, turn)
    judge_batch_size(served)
    for name in NAMES:
        judge_view(served, name)
    for name in NAMES:
        for turn in range(TURNS[name]):
            judge_labels(served, name, turn)


@check("preparation", part="data", todo=2, calls=("data.make_loaders",))
@apart_from_transform
def test_preparation(served: Served) -> None:
    """Every picture is prepared the same way, whichever loader it comes from"""
    for name in NAMES:
        judge_each_batch(served, name)
    judge_steadiness(served)
    judge_same_map(served)
    judge_all_known(served)
    judge_test_file_unused(served)
    judge_transform_used(served)


@check("splits", part="data", todo=2, calls=("data.make_loaders",))
@apart_from_transform
def test_splits(served: Served) -> None:
    """Training, validation and test pictures are kept apart, complete, and drawn from the seed"""
    judge_splits(served)


@check("reshuffle", part="data", todo=2, calls=("data.make_loaders",))
@apart_from_transform
def test_reshuffle(served: Served) -> None:
    """The training loader gives its pictures in a new order every epoch"""
    for one, other in combinations(range(TURNS["train"]), 2):
        judge_same_order(served, one, other)
    for first, second in combinations(served.turns("train"), 2):
        groups = [{frozenset(p.ids[rows].tolist()) for rows in p.batches} for p in (first, second)]
        groups = [{group for group in one if len(group) > 1} for one in groups]  # a picture is always with itself
        if len(groups[0]) > 2 and len(groups[0] & groups[1]) >= len(groups[0]) - 1:
            fail("same-batches-every-epoch", same=len(groups[0] & groups[1]), batches=len(groups[0]))
        pairs = [{frozenset(pair) for pair in zip(p.ids.tolist(), p.ids.tolist()[1:])} for p in (first, second)]
        if len(pairs[0] & pairs[1]) > len(pairs[0]) / 2 and first.match.unknown_share <= FEW_UNKNOWN:
            fail("train-not-reshuffled", order="most pictures have the same neighbours, wherever a pass begins")
    if not odd_sizes(served):
        judge_mixed(served)


def judge_same_order(served: Served, one: int, other: int) -> None:
    """Two passes: does the same picture come at each place?"""
    first, second = served.named("train", one), served.named("train", other)
    if len(first) != len(second):
        return
    both = (first != UNKNOWN) & (second != UNKNOWN)
    if both.sum() >= 10 and (first == second)[both].mean() > 0.95:
        in_file = bool((np.diff(first[both]) > 0).all())
        order = "the order of the file" if in_file else "mixed once, and then always the same"
        fail("train-not-reshuffled", order=order)


def judge_mixed(served: Served) -> None:
    """Fail when in each pass nearly every picture follows one of its own class."""
    for one in served.turns("train"):
        labels = served.tracers.labels[one.ids[one.known]]
        alike, pairs = int((labels[1:] == labels[:-1]).sum()), len(labels) - 1
        if alike <= BY_CLASS * pairs or one.match.unknown_share > FEW_UNKNOWN:
            return
    fail("training-class-by-class", alike=alike, pairs=pairs)


# --- batches


def judge_order(served: Served) -> None:
    """Three loaders, but in another order than (train, val, test)?"""
    tracers = served.tracers
    only_test = {name: np.isin(served.read(name).ids, tracers.only_test_ids).mean() for name in NAMES}
    from_test = [name for name in NAMES if only_test[name] > 0.5]
    if len(from_test) == 1 and from_test != ["test"]:
        fail("loaders-in-another-order", found=f"the test file comes from the {TITLES[from_test[0]]} loader")
    train, val = served.read("train"), served.read("val")
    swapped = len(val.ids) > len(train.ids) and not np.array_equal(val.ids, served.read("val", 1).ids)
    if swapped and np.array_equal(train.ids, served.read("train", 1).ids):
        sizes = f"the first loader has {len(train.ids)} pictures and the second, reshuffled one {len(val.ids)}"
        fail("loaders-in-another-order", found=sizes)


def judge_kinds(served: Served, name: str, turn: int) -> None:
    """Dtypes and shapes."""
    served.read(name, turn)
    images, labels = (served.observed(name, turn).part(part) for part in ("images", "labels"))
    where = f"the {TITLES[name]} loader"
    dtype = images.text("dtype")
    if dtype != "float32":
        fail("picture-dtype", todo=2, where=where, dtype=dtype)
    if without_batch(images) != "1 x 28 x 28":
        finding = SHAPES.get(without_batch(images), "picture-size")
        fail(finding, todo=2, where=where, shape=images.text("shape"), expected="B x 1 x 28 x 28")
    if without_batch(labels) == "10":
        fail("labels-one-hot", loader=TITLES[name])
    if without_batch(labels):
        fail("labels-shape", loader=TITLES[name], shape=labels.text("shape"))
    if labels.text("dtype") != "int64":
        fail("labels-dtype", loader=TITLES[name], dtype=labels.text("dtype"))


def without_batch(kind: Answer) -> str:
    """The shape "B x 1 x 28 x 28" as "1 x 28 x 28"."""
    return kind.text("shape").removeprefix("B").removeprefix(" x ")


def odd_sizes(served: Served) -> list[int]:
    """The sizes of the batches in a training pass that has more than one short batch, or a longer one; if there is."""
    asked, passes = served.tracers.sizes["batch_size"], [one.sizes for one in served.turns("train")]
    return next((s for s in passes if max(s) > asked or s.count(asked) < max(len(s) - 1, 1)), [])


def judge_batch_size(served: Served) -> None:
    sizes = odd_sizes(served)
    if not sizes:
        return
    first, labels = served.read("train"), served.tracers.labels
    if all(len(set(labels[first.ids[rows]])) == 1 for rows in first.batches):
        judge_mixed(served)  # one class in each batch leaves many short
    other = served.read("train", call="resized").sizes[0]
    fail(
        "batch-size-ignored",
        asked=served.tracers.sizes["batch_size"],
        got=max(sizes, key=sizes.count),
        other_asked=served.tracers.sizes["other_batch_size"],
        other_got=other,
    )


def judge_view(served: Served, name: str) -> None:
    steady = not unsteady(served, name)[0]
    for one in served.turns(name):
        view = one.match.turned_view(steady)
        if view:
            finding = "picture-transposed" if view == TRANSPOSED else "picture-turned"
            fail(finding, todo=2, where=f"the {TITLES[name]} loader", how=VIEWS[view])


def judge_labels(served: Served, name: str, turn: int) -> None:
    """Each recognised picture must come with the label its file gives it."""
    first = served.read(name, turn)
    if first.labels.shape != first.ids.shape:
        fail("labels-do-not-match", loader=TITLES[name], wrong=len(first.labels), total=len(first.ids))
    known, truth = first.known, served.tracers.labels.astype(np.int64)
    got, right = first.labels[known], truth[first.ids[known]]
    wrong = int((got != right).sum())
    if not wrong:
        return judge_labels_of_moving(served, name, turn)
    if (got == right + 1).all():
        fail("labels-from-one", loader=TITLES[name], low=got.min(), high=got.max())
    if got.min() < 0 or got.max() > 9:
        fail("labels-out-of-range", loader=TITLES[name], low=got.min(), high=got.max())
    file = served.tracers.test_ids if name == "test" else served.tracers.train_ids
    place = np.full(len(truth), -1)
    place[file] = np.arange(len(file))
    places = place[first.ids[known]]
    for shift in [s for n in range(1, 21) for s in (n, -n)]:
        if (places >= 0).all() and (got == truth[file[(places + shift) % len(file)]]).all():
            fail("labels-shifted", loader=TITLES[name], shift=abs(shift), wrong=wrong, total=len(got))
    fail("labels-do-not-match", loader=TITLES[name], wrong=wrong, total=len(got))


def judge_labels_of_moving(served: Served, name: str, turn: int) -> None:
    """The same for pictures that change at random, by those that are recognised all the same."""
    if not served.moving(name):
        return
    ids, labels = served.named(name, turn), served.read(name, turn).labels
    rows = np.flatnonzero(ids != UNKNOWN)
    wrong = int((labels[rows] != served.tracers.labels[ids[rows]]).sum())
    if wrong > len(rows) / 10 + 1:  # single ones may be taken for another picture
        fail("labels-do-not-match", loader=TITLES[name], wrong=wrong, total=len(rows))
