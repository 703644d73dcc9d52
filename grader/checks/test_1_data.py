"""TODO 1 and 2: from picture files to batches of tensors. Tracer pictures tell what became of each of them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from grader.checks.data.loaders import DARKER, FEW_UNKNOWN, NAMES, TITLES, TURNS, Pass, Served, alone, known_pictures
from grader.checks.data.pixels import (
    SHAPES,
    GreyMap,
    grey_map,
    judge_each_image,
    judge_map,
    judge_transform,
    same_at_each_place,
)
from grader.checks.data.splits import judge_splits
from grader.checks.data.tracers import PIXELS, UNKNOWN
from grader.checks.views import TRANSPOSED, VIEWS
from grader.engine.answer import SOME, Answer
from grader.engine.check import Failed, check, fail, only_where
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student

SMALL = 1e-4  # differences below this part of a value's range are rounding
BY_CLASS = 0.8  # of the training pictures: sorted inside of each batch, fewer follow one of their class
ANOTHER = 0.02  # of the range: a smaller difference can be a rounded constant, or numbers kept in half precision
ALIKE = 0.1  # of the range of grey values: how far the loaders of a random transform may differ


@check("transform", part="data", todo=1, calls=("data.make_transform",))
def test_transform(student: Student) -> None:
    """make_transform turns a picture into a small float32 tensor"""
    judge_transform(*alone(student))


@check("batches", part="data", todo=2, calls=("data.make_loaders",))
@only_where(known_pictures)
def test_batches(student: Student) -> None:
    """The loaders give batches of pictures with their labels"""
    served = Served(student)
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
@only_where(known_pictures)
def test_preparation(student: Student) -> None:
    """Every picture is prepared the same way, whichever loader it comes from"""
    served = Served(student)
    if served.transform_finding is not None and all(follows_transform(served, name) for name in NAMES):
        return judge_test_file_unused(served)  # for the rest it is as good as make_transform, whose fault is named
    for name in NAMES:
        judge_each_batch(served, name)
    if passes_chance_on(served):
        return  # the check of TODO 1 says so
    judge_steadiness(served)
    judge_same_map(served)
    judge_all_known(served)
    judge_test_file_unused(served)
    judge_transform_used(served)


@check("splits", part="data", todo=2, calls=("data.make_loaders",))
@only_where(known_pictures)
def test_splits(student: Student) -> None:
    """Training, validation and test pictures are kept apart, complete, and drawn from the seed"""
    judge_splits(Served(student))


@check("reshuffle", part="data", todo=2, calls=("data.make_loaders",))
@only_where(known_pictures)
def test_reshuffle(student: Student) -> None:
    """The training loader gives its pictures in a new order every epoch"""
    served = Served(student)
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
    """Dtypes and shapes, except where they are as make_transform left them (a matter of TODO 1)."""
    served.read(name, turn)
    images, labels = (served.observed(name, turn).part(part) for part in ("images", "labels"))
    where, inherited = f"the {TITLES[name]} loader", served.transform_finding
    dtype = images.text("dtype")
    if dtype != "float32" and (inherited is None or inherited.id != "picture-dtype"):
        fail("picture-dtype", todo=2, where=where, dtype=dtype)
    finding = SHAPES.get(without_batch(images), "picture-size")
    if without_batch(images) != "1 x 28 x 28" and (inherited is None or inherited.id != finding):
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
    steady, inherited = not unsteady(served, name)[0], served.transform_finding
    for one in served.turns(name):
        view = one.match.turned_view(steady)
        if view and (inherited is None or inherited.facts.get("how") != VIEWS[view]):
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


# --- preparation


def follows_transform(served: Served, name: str) -> bool:
    """Whether the loader's pictures are what make_transform alone gives for the same pictures, number by number."""
    outputs = served.outputs
    if outputs is None or any(unsteady(served, name)[0] for name in NAMES):
        return False
    for one in served.turns(name):
        if one.match.unknown_share > FEW_UNKNOWN or outputs.shape[1] != one.images.shape[1]:
            return False
        wanted = outputs[one.ids[one.known]]
        if np.abs(one.images[one.known] - wanted).max() > SMALL * max(float(np.ptp(wanted)), 1e-6):
            return False
    return True


def judge_each_batch(served: Served, name: str) -> None:
    """One clean function inside each batch, another one in the next: scaled by the batch's own numbers."""
    first = served.read(name)
    known = first.known
    if first.match.unknown_share > 0.05 or grey_map(first.original[known], first.images[known]).is_function:
        return
    maps = []
    for rows in first.batches:
        rows = rows[known[rows]]
        if len(rows) > 1:
            maps.append(grey_map(first.original[rows], first.images[rows]))
    if len(maps) > 1 and all(m.is_function for m in maps):
        fail("scaled-batch-by-batch", loader=TITLES[name], first=maps[0].white, second=maps[1].white)


def passes_chance_on(served: Served) -> bool:
    """Whether make_transform is random, and all loaders pass that on alike, as far as their grey values tell."""
    inherited = served.transform_finding
    if inherited is None or inherited.id != "transform-is-random":
        return False
    if not all(unsteady(served, name)[0] for name in NAMES):
        return False
    ranges = np.array([np.quantile(served.read(name).images, (0.01, 0.5, 0.99)) for name in NAMES])
    return bool(np.ptp(ranges, axis=0).max() <= ALIKE * np.ptp(ranges))


def unsteady(served: Served, name: str) -> tuple[int | str, int]:
    """(how many pictures are another tensor in a later pass, or "many"; how many were compared)"""
    first, *later = served.turns(name)
    changed, compared = max(changed_pictures(first, one) for one in later)
    if not changed and first.match.unknown_share > 0.05 and served.changing(name):
        return "many", len(first.ids)
    return changed, compared


def judge_steadiness(served: Served) -> None:
    """The same picture in all passes must be the same tensor."""
    for name in ("test", "val", "train"):
        changed, compared = unsteady(served, name)
        if not changed:
            continue
        inherited = served.transform_finding
        if inherited is not None and inherited.id == "transform-is-random":
            served.blame_transform()
        facts: dict[str, Any] = {"loader": TITLES[name], "changed": changed, "compared": compared}
        fail("training-is-augmented" if name == "train" else "evaluation-is-random", **facts)


def changed_pictures(first: Pass, second: Pass) -> tuple[int, int]:
    """How many pictures recognised in both passes are not the same tensor, and how many were compared."""
    common, at_first, at_second = np.intersect1d(first.ids, second.ids, return_indices=True)
    keep = common != UNKNOWN
    a, b = first.images[at_first[keep]], second.images[at_second[keep]]
    if not len(a):
        return 0, 0
    return int((np.abs(a - b).max(axis=1) > SMALL * max(float(np.ptp(a)), 1e-6)).sum()), len(a)


def judge_same_map(served: Served) -> None:
    """One increasing function of the grey value, the same in all three loaders."""
    maps: dict[str, GreyMap] = {}
    originals, images = [], []
    for name in NAMES:
        first = served.read(name)
        if not np.isfinite(first.images).all():
            fail("pixels-not-finite", todo=2, where=f"the {TITLES[name]} loader")
        originals.append(first.original[first.known])
        images.append(first.images[first.known])
        maps[name] = grey_map(originals[-1], images[-1])
    if all(m.is_function for m in maps.values()):
        judge_equal(served, maps)
        return judge_map(maps["train"], "your loaders", todo=2)
    if same_at_each_place(np.concatenate(originals), np.concatenate(images)):
        return
    for name, original, image in zip(NAMES, originals, images):
        if not maps[name].is_function and not same_at_each_place(original, image):
            judge_each_image(original[:40], image[:40], f"the {TITLES[name]} loader", todo=2)
            fail("picture-changed", todo=2, where=f"the {TITLES[name]} loader")
    fail("prepared-differently-at-each-place", loader=TITLES["test"])


def judge_all_known(served: Served) -> None:
    """Where one map prepares all that is known, and nothing moves, the rest is in no file."""
    for name in NAMES:
        for one in served.turns(name):
            if unknown := int((~one.known).sum()):
                fail("pictures-not-from-root", loader=TITLES[name], unknown=unknown, total=len(one.ids))


def judge_equal(served: Served, maps: dict[str, GreyMap]) -> None:
    odd = [name for name in NAMES if max(maps[name].differs(maps[other]) for other in NAMES) > SMALL]
    if not odd:
        return
    own = {name: served.read(name).images for name in NAMES}
    if all(abs(own[name].mean()) < 0.05 and abs(own[name].std() - 1) < 0.05 for name in ("train", "test")):
        fail("each-file-its-own-scale", train_white=maps["train"].white, test_white=maps["test"].white)
    pairs = (("train", "val", "test"), ("val", "test", "train"), ("train", "test", "val"))
    other, _, odd_one = next((p for p in pairs if maps[p[0]].differs(maps[p[1]]) <= SMALL), ("train", "", "test"))
    facts: dict[str, Any] = {"black": maps[other].black, "white": maps[other].white}
    facts |= {"odd_black": maps[odd_one].black, "odd_white": maps[odd_one].white}
    fail("prepared-differently", loader=TITLES[other], odd=TITLES[odd_one], **facts)


def judge_test_file_unused(served: Served) -> None:
    """With another test file, the validation pictures must stay what they were."""
    before, after = served.read("val"), served.read("val", call="retested")
    if np.isin(before.ids, served.tracers.only_test_ids).any():
        return  # they stand in the test file: `splits` names that
    changed, compared = changed_pictures(before, after)
    if changed:
        fail("scale-learnt-from-test", changed=changed, compared=compared)


def judge_transform_used(served: Served) -> None:
    """Loaders that prepare in another way than make_transform must have learnt it: then it changes with the file."""
    if served.transform_finding is not None:
        return
    try:
        answer, pictures = alone(served.student)
        outputs = answer.array("outputs", (SOME, len(pictures), PIXELS))
        wanted, own = grey_map(pictures.reshape(-1, PIXELS), outputs[0]), map_of(served.read("train"))
        if own.differs(wanted) <= ANOTHER:
            return
        darker = map_of(served.read("val", call="darker"), DARKER)
    except (Failed, NotSeen, ProtocolBroken):
        return  # a make_transform that gives nothing, or loaders that refuse such a file
    if darker.differs(own) <= ANOTHER:
        facts: dict[str, Any] = {"wanted_black": wanted.black, "wanted_white": wanted.white}
        fail("transform-not-used", black=own.black, white=own.white, **facts)


def map_of(one: Pass, darker: int = 1) -> GreyMap:
    """From the grey values of the file, which were divided by `darker`, to those of a pass."""
    return grey_map(one.original[one.known] // darker, one.images[one.known])
