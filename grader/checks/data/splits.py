"""Which picture is in which set: kept apart, complete, drawn at random and from the seed. Trusted: numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.data.loaders import LARGE, NAMES, TITLES, Pass, Served
from grader.checks.data.tracers import UNKNOWN
from grader.engine.check import fail


def judge_splits(served: Served) -> None:
    ids = {name: set(served.read(name).ids.tolist()) - {UNKNOWN} for name in NAMES}
    judge_files(served, ids)
    judge_val_size(served)
    for name in ("test", "val"):
        judge_complete(served, name)
    judge_train_complete(served)
    judge_seed(served, ids["val"])
    judge_long_file(served, len(ids["val"]))


def judge_files(served: Served, ids: dict[str, set[int]]) -> None:
    """Which file do the pictures come from, and is one in two sets?"""
    tracers = served.tracers
    only_test, train_file = set(tracers.only_test_ids.tolist()), set(tracers.train_ids.tolist())
    foreign = {name: len(ids[name] & only_test) for name in ("train", "val")}
    own = len(ids["test"] & train_file - set(tracers.shared_ids.tolist()))
    if foreign["val"] and foreign["val"] >= 0.9 * len(only_test):
        fail("validation-is-test", count=len(ids["val"] & set(tracers.test_ids.tolist())), total=len(ids["val"]))
    if foreign["train"]:
        fail("test-in-training", count=foreign["train"])
    if foreign["val"]:
        fail("test-in-validation", count=foreign["val"])
    if own:
        fail("test-from-training-file", count=own, total=len(ids["test"]))
    both = len((ids["train"] | set(served.read("train", 1).ids.tolist()) - {UNKNOWN}) & ids["val"])
    if both:
        fail("validation-in-training", count=both, total=len(ids["val"]))


def judge_val_size(served: Served) -> None:
    tracers, got = served.tracers, len(served.read("val").ids)
    fractions = tracers.fractions["val_fraction"], tracers.fractions["other_fraction"]
    count = len(tracers.train_ids)
    expected, other = (round(count * fraction) for fraction in fractions)
    facts: dict[str, Any] = {"fraction": fractions[0], "count": count, "expected": expected, "got": got}
    if abs(got - (count - expected)) <= 10:
        fail("split-sizes-swapped", **facts)
    resized = len(served.read("val", call="resized").ids)
    if abs(got - expected) > 20 and abs(resized - got) <= 3:
        fail("val-fraction-ignored", other_fraction=fractions[1], other_got=resized, **facts)
    if not lost_last_batch(served, "val") and (abs(got - expected) > 10 or abs(resized - other) > 10):
        fail("val-size", other_fraction=fractions[1], other_expected=other, other_got=resized, **facts)


def lost_last_batch(served: Served, name: str) -> bool:
    """Full batches only, although the loader's own sampler draws a few pictures more."""
    first = served.read(name)
    return len(set(first.sizes)) == 1 and 0 < served.drawn(name) - len(first.ids) < first.sizes[0]


def judge_complete(served: Served, name: str) -> None:
    """Each validation or test picture exactly once in a pass."""
    first = judge_repeated(served, name)
    if name == "val":
        if lost_last_batch(served, name) and missing_count(served) >= 3:
            fail("last-batch-dropped", loader=TITLES[name], missing=missing_count(served), size=first.sizes[0])
        return
    missing = len(served.tracers.test_ids) - len(first.ids)
    short = len(set(first.sizes)) == 1 and missing < first.sizes[0] and served.drawn(name) != len(first.ids)
    if missing > 0 and short:
        fail("last-batch-dropped", loader=TITLES[name], missing=missing, size=first.sizes[0])
    if missing > 0:
        fail("pictures-missing", loader=TITLES[name], missing=missing, total=len(served.tracers.test_ids))


def judge_repeated(served: Served, name: str) -> Pass:
    """The first pass of a loader, which gives no picture twice."""
    first = served.read(name)
    known = first.ids[first.known]
    repeated = len(known) - len(np.unique(known))
    if repeated:
        fail("pictures-repeated", loader=TITLES[name], repeated=repeated, total=len(known))
    return first


def missing_count(served: Served) -> int:
    """Pictures of the training file that neither two training passes nor the validation loader show."""
    shown = [served.read("train").ids, served.read("train", 1).ids, served.read("val").ids]
    return len(np.setdiff1d(served.tracers.train_ids, np.concatenate(shown)))


def judge_train_complete(served: Served) -> None:
    """Nearly all of the training file is used; a last batch dropped in training is fine."""
    first = judge_repeated(served, "train")
    unknown = int((~first.known).sum() + (~served.read("val").known).sum())
    missing = missing_count(served) - unknown
    full_batches = len(set(first.sizes)) == 1
    if missing > 0 and not (full_batches and missing < first.sizes[0]):
        fail("pictures-missing", loader=TITLES["train"], missing=missing, total=len(served.tracers.train_ids))


def judge_seed(served: Served, val: set[int]) -> None:
    if served.read("val").match.unknown_share > 0.05:
        return  # pictures that change at random (judged elsewhere) cannot be compared by who they are
    again = set(served.read("val", call="again").ids.tolist()) - {UNKNOWN}
    tracers = served.tracers
    if again != val:
        fail("split-not-from-seed", seed=tracers.seeds["seed"], same=len(again & val), total=len(val))
    reseeded = set(served.read("val", call="reseeded").ids.tolist()) - {UNKNOWN}
    if reseeded != val:
        return
    places = np.sort(np.fromiter(val, dtype=np.int64))
    classes = len(np.unique(tracers.labels[places]))
    if np.ptp(places) == len(places) - 1:
        where = "first" if places[0] == 0 else "last" if places[-1] == len(tracers.train_ids) - 1 else "same"
        fail("split-in-file-order", where=where, total=len(val), classes=classes)
    fail("seed-ignored", seed=tracers.seeds["seed"], other_seed=tracers.seeds["other_seed"], total=len(val))


def judge_long_file(served: Served, val_count: int) -> None:
    """A cut at a fixed number of pictures shows only with a longer file, by the lengths of the samplers."""
    counts = {"train": len(served.tracers.train_ids) - val_count, "val": val_count}
    if any(served.drawn(name) != count for name, count in counts.items()):
        return  # these samplers do not tell how many pictures are drawn
    if served.answer.raised("large") is not None or "loaders" not in served.answer.part("large"):
        return
    drawn = sum(served.drawn(name, call="large") for name in counts)
    if 0 < drawn < LARGE - 10:
        fail("pictures-missing", loader=TITLES["train"], missing=LARGE - drawn, total=LARGE)
