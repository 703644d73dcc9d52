"""Which picture is in which set: kept apart, complete, drawn at random and from the seed. Trusted: numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.data.loaders import FEW_UNKNOWN, Pass, Served
from grader.checks.data.observation import NAMES, TITLES
from grader.checks.data.tracers import UNKNOWN
from grader.engine.answer import SOME
from grader.engine.check import Failed, Waits, fail
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student

RUNS = 0.52  # of the validation pictures: pairs of neighbours have half as many runs; drawn at random, 0.79 (6 sigma)


def judge_splits(served: Served) -> None:
    ids = {name: set().union(*(p.ids.tolist() for p in served.turns(name))) - {UNKNOWN} for name in NAMES}
    judge_files(served, ids)
    judge_val_size(served)
    for name in ("test", "val"):
        judge_complete(served, name)
    judge_train_complete(served)
    judge_seed(served, ids["val"])
    judge_long_file(served)


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
    if both := len(ids["train"] & ids["val"]):
        fail("validation-in-training", count=both, total=len(ids["val"]))
    if served.moving("train") or served.moving("val"):
        train, val = (set(served.named(name).tolist()) - {UNKNOWN} for name in ("train", "val"))
        if (both := len(train & val)) > max(2, len(val) / 10):  # single ones may be taken for another picture
            fail("validation-in-training", count=both, total=len(val))


def judge_val_size(served: Served) -> None:
    tracers, got = served.tracers, len(served.read("val").ids)
    fractions = tracers.fractions["val_fraction"], tracers.fractions["other_fraction"]
    count = len(tracers.train_ids)
    expected, other = (round(count * fraction) for fraction in fractions)
    facts: dict[str, Any] = {"fraction": fractions[0], "count": count, "expected": expected, "got": got}
    if abs(got - (count - expected)) <= 10:
        fail("split-sizes-swapped", **facts)
    resized = len(served.read("val", call="resized").ids)
    if abs(got - expected) <= 10 < abs(resized - other):
        at_first = len(served.read("val", call="other_fraction").ids)
        if abs(at_first - other) <= 10:
            fail("earlier-call-kept", argument="val_fraction", value=fractions[1], before=fractions[0])
    if abs(got - expected) > 20 and abs(resized - got) <= 3:
        fail("val-fraction-ignored", other_fraction=fractions[1], other_got=resized, **facts)
    meant, spare = got, 0
    if lost_last_batch(served, "val"):  # `judge_complete` names that
        meant, spare = served.drawn("val"), max(served.read("val", call="resized").sizes)
    if abs(meant - expected) > 10 or not -10 - spare <= resized - other <= 10:
        fail("val-size", other_fraction=fractions[1], other_expected=other, other_got=resized, **facts)


def lost_last_batch(served: Served, name: str) -> bool:
    """Full batches only, although the loader's own sampler draws a few pictures more."""
    first = served.read(name)
    return len(set(first.sizes)) == 1 and 0 < served.drawn(name) - len(first.ids) < first.sizes[0]


def shows_a_part(student: Student, name: str) -> bool:
    """Whether a loader gives fewer pictures than its dataset holds, as far as can be seen, because of a sampler or
    drop_last."""
    try:
        served = Served(student)
        return served.whole(name) > len(served.read(name).ids)
    except (Failed, NotSeen, ProtocolBroken, Waits):
        return False


def judge_complete(served: Served, name: str) -> None:
    """Each validation or test picture exactly once in a pass."""
    for one in served.turns(name):
        judge_repeated(one, name)
    first = min(served.turns(name), key=lambda one: len(one.ids))
    if name == "val":
        if missing := len(served.read(name).ids) - len(first.ids):
            fail("pictures-missing", loader=TITLES[name], missing=missing, total=len(served.read(name).ids))
        if lost_last_batch(served, name) and missing_count(served) >= 3:
            fail("last-batch-dropped", loader=TITLES[name], missing=missing_count(served), size=first.sizes[0])
        return
    missing = len(served.tracers.test_ids) - len(first.ids)
    short = len(set(first.sizes)) == 1 and missing < first.sizes[0] and served.drawn(name) != len(first.ids)
    if missing > 0 and short:
        fail("last-batch-dropped", loader=TITLES[name], missing=missing, size=first.sizes[0])
    if missing > 0:
        fail("pictures-missing", loader=TITLES[name], missing=missing, total=len(served.tracers.test_ids))
    other = served.read(name, call="resized")
    if len(other.ids) < len(first.ids) and len(set(other.sizes)) == 1:
        missing = len(first.ids) - len(other.ids)
        fail("last-batch-dropped", loader=TITLES[name], missing=missing, size=other.sizes[0])


def judge_repeated(one: Pass, name: str) -> None:
    """A pass of a loader gives no picture twice."""
    known = one.ids[one.known]
    repeated = len(known) - len(np.unique(known))
    if repeated:
        fail("pictures-repeated", loader=TITLES[name], repeated=repeated, total=len(known))


def missing_count(served: Served) -> int:
    """Pictures of the training file that neither the training passes nor the validation loader show."""
    shown = [*(one.ids for one in served.turns("train")), served.read("val").ids]
    return len(np.setdiff1d(served.tracers.train_ids, np.concatenate(shown)))


def judge_train_complete(served: Served) -> None:
    """Nearly all of the training file is used; a last batch dropped in training is fine."""
    first, *later = served.turns("train")
    for one in (first, *later):
        judge_repeated(one, "train")
    unknown = int((~first.known).sum() + (~served.read("val").known).sum())
    missing = missing_count(served) - unknown
    full_batches = len(set(first.sizes)) == 1
    if missing > 0 and not (full_batches and missing < first.sizes[0]):
        fail("pictures-missing", loader=TITLES["train"], missing=missing, total=len(served.tracers.train_ids))
    fewer = len(first.ids) - min(len(one.ids) for one in later)
    if fewer >= max(first.sizes):
        fail("pictures-missing", loader=TITLES["train"], missing=fewer, total=len(served.tracers.train_ids))


def judge_seed(served: Served, val: set[int]) -> None:
    tracers = served.tracers
    if served.moving("val"):
        return judge_seed_of_moving(served)
    if served.read("val").match.unknown_share > FEW_UNKNOWN:
        return  # pictures that no file holds (judged elsewhere)
    for call in ("again", "elsewhere"):
        again = set(served.read("val", call=call).ids.tolist()) - {UNKNOWN}
        if again != val:
            fail("split-not-from-seed", seed=tracers.seeds["seed"], same=len(again & val), total=len(val))
    reseeded = set(served.read("val", call="reseeded").ids.tolist()) - {UNKNOWN}
    if reseeded == val and set(served.read("val", call="other_seed").ids.tolist()) - {UNKNOWN} != val:
        fail("earlier-call-kept", argument="seed", value=tracers.seeds["other_seed"], before=tracers.seeds["seed"])
    places = np.sort(np.fromiter(val, dtype=np.int64))
    classes = len(np.unique(tracers.labels[places]))
    if np.ptp(places) == len(places) - 1 and reseeded == val:
        where = "first" if places[0] == 0 else "last" if places[-1] == len(tracers.train_ids) - 1 else "same"
        fail("split-in-file-order", where=where, total=len(val), classes=classes)
    runs = 1 + int((np.diff(places) > 1).sum())  # of neighbours in the file
    if runs < RUNS * len(places):
        fail("split-in-file-order", where="neighbouring", total=len(val), classes=classes)
    if reseeded == val:
        fail("seed-ignored", seed=tracers.seeds["seed"], other_seed=tracers.seeds["other_seed"], total=len(val))
    if not reseeded & val:  # drawn at random, a fifth is the same: none is, once in a million times
        facts = {"seed": tracers.seeds["seed"], "other_seed": tracers.seeds["other_seed"], "total": len(val)}
        fail("splits-never-overlap", expected=round(len(val) ** 2 / len(tracers.train_ids)), **facts)


def judge_seed_of_moving(served: Served) -> None:
    """Pictures that change at random are compared by those that are recognised all the same: some of each pass."""
    val, again, reseeded = (
        set(served.named("val", call=call).tolist()) - {UNKNOWN} for call in ("main", "again", "reseeded")
    )
    seeds = served.tracers.seeds
    if len(val & again) < 0.4 * min(len(val), len(again)):
        fail("split-not-from-seed", seed=seeds["seed"], same=len(val & again), total=len(val))
    if len(val & reseeded) > 0.8 * len(val):
        fail("seed-ignored", seed=seeds["seed"], other_seed=seeds["other_seed"], total=len(val))


def judge_long_file(served: Served) -> None:
    """A cut at a fixed number of pictures shows only with a longer file: by the lengths of the samplers where these
    said the truth of the short one, else by what came."""
    served.require_loaders("large")
    seen, total = 0, served.tracers.long_count
    for name in ("train", "val"):
        long = served.answer.part("large").part("loaders").part(name)
        long.end_if_raised("error")
        seen += long.integer("counted" if "counted" in long else "length")
    if seen < total - 10 - max(served.read("train").sizes):  # a last batch of training may be dropped
        served.require_loaders("other_root")
        at_first = served.observed("val", call="other_root").integers("sizes", SOME)
        if sum(at_first) > seen:  # the probe reads no further than to its limit
            fail("earlier-call-kept", argument="root", value="a second folder", before="a first one")
        fail("pictures-missing", loader=TITLES["train"], missing=total - max(seen, 0), total=total)
