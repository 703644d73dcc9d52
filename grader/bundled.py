"""The bundled images as `build` finds them: whole, of ten classes, and recorded with their hashes and names.

They are told by the table [data] of templates/course.toml and by the files themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grader.digits import FILES, RECORD, DigitsDamaged
from grader.engine.contract import Bundle
from grader.engine.rubric import BadRubric
from grader.pool import read_pair

FOLDER = "digits"  # of the folder that students get
CLASSES, LONGEST = 10, 24  # their number, and the characters of a name: it heads a column of the report
FEWEST = 10  # images of each class in each file; fewer are no measurement
TEXTS = ("name", "source", "licence")
SETTINGS = "templates/course.toml"


def bundle(work: Path, told: Any) -> Bundle:
    """work: the folder with digits/ in it; told: [data] of course.toml. Raises BadRubric.

    values: [data], and `files`, `rows` (one a class), `train` and `test` (counts)
    """
    names, found = class_names(told), counted(work / FOLDER / "MNIST" / "raw")
    files = [
        {"name": path.name, "count": int(counts.sum()), "what": what, "sha256": digest}
        for path, what, counts, digest in found
    ]
    train, test = (counts.tolist() for _, what, counts, _ in found if what == "labels")
    rows = [
        {"label": label, "name": name, "train": in_train, "test": in_test}
        for label, (name, in_train, in_test) in enumerate(zip(names, train, test))
    ]
    return Bundle(
        values={**told, "files": files, "rows": rows, "train": sum(train), "test": sum(test)},
        pages={f"{FOLDER}/README.md": "digits.md.j2"},
        given={f"{FOLDER}/classes.txt": "".join(f"{name}\n" for name in names)},
        recorded={RECORD.name: record(names, files)},
    )


def class_names(told: Any) -> list[str]:
    if not isinstance(told, dict):
        raise BadRubric(f"{SETTINGS}: the table [data], with {', '.join(TEXTS)} and classes, is missing.")
    for name in TEXTS:
        if not isinstance(told.get(name), str) or not told[name].strip():
            raise BadRubric(f'{SETTINGS}: [data] {name} is missing or no text; write {name} = "...".')
    if unknown := sorted(set(told) - {*TEXTS, "classes"}):
        raise BadRubric(f"{SETTINGS}: [data] has an unknown {unknown[0]}; it knows {', '.join(TEXTS)} and classes.")
    names = told.get("classes")
    if not isinstance(names, list) or len(names) != CLASSES or not all(isinstance(name, str) for name in names):
        raise BadRubric(
            f"{SETTINGS}: [data] classes must be {CLASSES} names in quotation marks, for the labels 0 to 9."
        )
    for name in names:
        if not 0 < len(name) <= LONGEST or not name.isprintable() or set(name) & set("|<>`") or name != name.strip():
            raise BadRubric(
                f"{SETTINGS}: [data] the class {name!r} cannot be shown in a table; a name has 1 to {LONGEST} "
                "characters, none of them | < > or `."
            )
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadRubric(f"{SETTINGS}: [data] two classes are called {twice[0]!r}; give each a name of its own.")
    return names


def counted(raw: Path) -> list[tuple[Path, str, np.ndarray, str]]:
    """(file, "images" or "labels", images of each class, SHA-256) for the four files. Raises BadRubric."""
    found = []
    for part in ("train", "test"):
        pair = {what: raw / FILES[f"{part}_{what}"] for what in ("images", "labels")}
        try:
            counts = np.bincount(read_pair(pair["images"], pair["labels"])[1], minlength=CLASSES)
        except DigitsDamaged as error:
            raise BadRubric(str(error)) from error
        if rare := [label for label, count in enumerate(counts.tolist()) if count < FEWEST]:
            raise BadRubric(
                f"{pair['labels']} has the label {rare[0]} {counts[rare[0]]} times; each of the {CLASSES} classes "
                f"needs at least {FEWEST} images in training and in testing."
            )
        found += [(path, what, counts, hashlib.sha256(path.read_bytes()).hexdigest()) for what, path in pair.items()]
    return found


def record(names: list[str], files: Sequence[Mapping[str, Any]]) -> str:
    """digits.toml: what a run holds the files against, and what reports call the classes."""
    lines = [
        f"# Written by `python -m grader build`, from {FOLDER}/ and from [data] in templates/course.toml.",
        f"classes = {json.dumps(names, ensure_ascii=False)}",
        "",
        "[sha256]",
        *(f'{file["name"]} = "{file["sha256"]}"' for file in files),
    ]
    return "\n".join(lines) + "\n"
