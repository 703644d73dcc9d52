"""How pictures are prepared: the same in every pass and loader, as make_transform does it. Trusted: numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.checks.data.loaders import Pass, Served
from grader.checks.data.observation import DARKER, NAMES, TITLES, alone, works_alone
from grader.checks.data.pixels import GreyMap, grey_map, judge_each_image, judge_map, same_at_each_place
from grader.checks.data.tracers import PIXELS, UNKNOWN
from grader.engine.answer import SOME
from grader.engine.check import Failed, fail
from grader.engine.endings import NotSeen, ProtocolBroken

SMALL = 1e-4  # differences below this part of a value's range are rounding
ANOTHER = 0.02  # of the range: a smaller difference can be a rounded constant, or numbers kept in half precision


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
    if served.lent or not works_alone(served.student):
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
