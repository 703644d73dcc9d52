"""The bundled images as `build` finds them: whole, of ten classes, and recorded with their hashes and names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from grader.contract import WEEK
from grader.digits import FILES, RECORD, DigitsDamaged
from grader.engine.rubric import BadRubric
from grader.pool import read_pair

CLASSES = 10
FEWEST = 10  # of each class in the test file; fewer are no measurement
RECORDED = f"grader/{RECORD.name}"


def bundled(root: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """[data] of course.toml with what the files hold: `files`, `rows` (one a class), `train` and `test` (counts).

    Raises BadRubric unless both pairs of files are whole and hold all ten classes.
    """
    raw = root / WEEK.work / WEEK.bundled[0] / "MNIST" / "raw"
    counts, files = {}, []
    try:
        for part in ("train", "test"):
            _, labels = read_pair(raw / FILES[f"{part}_images"], raw / FILES[f"{part}_labels"])
            counts[part] = np.bincount(labels, minlength=CLASSES)
    except DigitsDamaged as error:
        raise BadRubric(str(error)) from error
    for part, found in counts.items():
        if rare := [label for label, count in enumerate(found.tolist()) if count < FEWEST]:
            raise BadRubric(
                f"{raw / FILES[f'{part}_labels']} has the label {rare[0]} {found[rare[0]]} times; "
                f"each of the {CLASSES} classes needs at least {FEWEST} images in training and in testing."
            )
        for what in ("images", "labels"):
            path = raw / FILES[f"{part}_{what}"]
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            files.append({"name": path.name, "count": int(found.sum()), "what": what, "sha256": digest})
    rows = [
        {"label": label, "name": name, "train": int(counts["train"][label]), "test": int(counts["test"][label])}
        for label, name in enumerate(data["classes"])
    ]
    return {
        **data,
        "files": files,
        "rows": rows,
        "train": int(counts["train"].sum()),
        "test": int(counts["test"].sum()),
    }


def record(data: Mapping[str, Any]) -> str:
    """grader/digits.toml: what a run holds the files against, and what reports call the classes."""
    lines = [
        f"# Written by `python -m grader build`: {WEEK.work}/{WEEK.bundled[0]}/, and [data] of course.toml.",
        f"classes = {json.dumps(data['classes'], ensure_ascii=False)}",
        "",
        "[sha256]",
        *(f'{file["name"]} = "{file["sha256"]}"' for file in data["files"]),
    ]
    return "\n".join(lines) + "\n"
