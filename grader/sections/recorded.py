"""This week's entries of score.json, training, accuracy and confusion: their form, and how they are read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grader.engine.result import BadScore, is_number
from grader.engine.sections import strict

NUMBERS = {"type": "array", "items": {"type": "number"}}
FRACTION = {"type": "number", "minimum": 0, "maximum": 1}
COUNTS = {"type": "array", "minItems": 10, "maxItems": 10, "items": {"type": "integer", "minimum": 0}}
CURVES = ("train_loss", "val_loss", "val_accuracy")
ACCURACY = {"test", "floor", "tiers", "remarks"}
TIER = strict({"at": {"type": "number"}, "points": {"type": "integer"}})


STAYS = "does not move its images to `device` (x.to(device) gives a new tensor): it would stop on a graphics card"
# What a teacher may want to look at. No remark costs points: an honest program can cause each of them.
REMARKS = {
    "no-history": "fit returned no history, so how this accuracy came about cannot be seen",
    "too-few-passes": "fit went through the training images less often than its own `epochs` says",
    "device-ignored": f"train_one_epoch {STAYS}",
    "device-ignored-in-evaluate": f"evaluate {STAYS}",
    "device-not-handed-on": "fit does not hand `device` on to train_one_epoch: it would stop on a graphics card",
    "tensors-in-history": "the history holds tensors where the docstrings ask for plain floats",
    "pixels-far-from-standard": "the pixels after make_transform are far from mean 0 and deviation 1: "
    "Normalize takes the mean first, then the deviation, both of pixels in 0..1",
    "holds-much": "the files hold far more than a solution needs: look for stored answers or a stored network",
    "above-the-usual": "the accuracy is higher than this training file has been seen to allow",
}
FOR_STUDENTS = (
    "device-ignored",
    "device-ignored-in-evaluate",
    "device-not-handed-on",
    "tensors-in-history",
    "pixels-far-from-standard",
)


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"type": [schema["type"], "null"]}


SCHEMA: Mapping[str, Any] = {
    "training": or_null(strict(dict.fromkeys(CURVES, NUMBERS))),
    "accuracy": or_null(
        strict(
            {
                "test": FRACTION | {"description": "fraction of the run's test digits classified correctly"},
                "floor": FRACTION | {"description": "accuracy that earns all points"},
                "tiers": {"type": "array", "items": TIER},
                "remarks": {"type": "array", "items": {"enum": list(REMARKS)}},
            }
        )
    ),
    "confusion": or_null(COUNTS | {"items": COUNTS, "description": "rows: true digit, columns: predicted digit"}),
}


def read(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The three entries of a score.json from anywhere. Raises BadScore."""
    return {
        "training": curves_from_json(raw.get("training")),
        "accuracy": accuracy_from_json(raw.get("accuracy")),
        "confusion": confusion_from_json(raw.get("confusion")),
    }


def curves_from_json(raw: Any) -> Mapping[str, list[float]] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != set(CURVES):
        raise BadScore("training in score.json is of the wrong kind")
    if not all(isinstance(values, list) and all(map(is_number, values)) for values in raw.values()):
        raise BadScore("training in score.json holds something else than numbers")
    return raw


def accuracy_from_json(raw: Any) -> Mapping[str, Any] | None:
    if raw is None:
        return None
    if not isinstance(raw, dict) or set(raw) != ACCURACY or not isinstance(raw["tiers"], list):
        raise BadScore("accuracy in score.json is of the wrong kind")
    if not isinstance(raw["remarks"], list) or not all(name in REMARKS for name in raw["remarks"]):
        raise BadScore("accuracy in score.json has a remark that is not known")
    for tier in raw["tiers"]:
        if not isinstance(tier, dict) or set(tier) != {"at", "points"} or not all(map(is_number, tier.values())):
            raise BadScore("a tier in score.json is of the wrong kind")
    if not all(is_number(raw[key]) and 0 <= raw[key] <= 1 for key in ("test", "floor")):
        raise BadScore("accuracy in score.json is out of range")
    return raw


def confusion_from_json(raw: Any) -> list[list[int]] | None:
    if raw is None:
        return None
    if not isinstance(raw, list) or len(raw) != 10 or not all(isinstance(row, list) and len(row) == 10 for row in raw):
        raise BadScore("confusion in score.json is not 10 by 10")
    if not all(type(count) is int and count >= 0 for row in raw for count in row):
        raise BadScore("confusion in score.json holds something else than counts")
    return raw
