"""How strong may the secret view be, and what does it stop? Prints the table that stands in SECURITY.md.

python tests/benchmarks/view.py [--quick] [--seeds N] [--views NAME ...] [--rows learners|cheats|all] [--out DIR]

Learners are wheats, trained with their own code by the probe that the accuracy check uses; cheats guess the labels
of 600 test digits (view_stored.py, view_worked_out.py). What is measured is kept in DIR: a second call goes on where
the first one ended. A full table takes about two hours of one processor; --quick takes minutes and shows less.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from view_stored import Run, Stored, ViewMaker, as_it_is, fingerprints  # noqa: E402
from view_worked_out import affine_search, learnt, worked_out  # noqa: E402

from grader.checks.accuracy.recognise import match  # noqa: E402
from grader.corpus.entries import load as load_entry  # noqa: E402
from grader.corpus.entries import load_all, reference, source_of  # noqa: E402
from grader.digits import Digits, derangement, load, write_idx  # noqa: E402
from grader.probes.pipeline import train_and_score  # noqa: E402
from grader.view import BEND, PIXELS, SIZE, random_view, rotation, seen_through  # noqa: E402

POOL = "chosen, pool"  # the digits of the run are not among the stored ones
BENDS = {"weak": 1.2, "chosen": BEND, "strong": 2.2, POOL: BEND}
VIEWS = ("upright", "affine", *BENDS)
LEARNERS = ("minus-one-one", "factory-function", "adam-scaled-fit", "cnn-batchnorm", "lstm-rows", "attention")
FAMILIES = {one.__name__: one for one in (fingerprints, as_it_is, affine_search, worked_out, learnt)}
REFERENCE = "reference"
GUESSED = 600  # test digits that a cheat guesses


def upright(rng: np.random.Generator) -> np.ndarray:
    return PIXELS + (SIZE - 1) / 2


def affine(rng: np.random.Generator) -> np.ndarray:
    """The view before it was bent: turned, mirrored or not, a little scale and shift."""
    turn = rotation(np.deg2rad(rng.uniform(60, 300))) @ np.diag([1.0, rng.choice([-1.0, 1.0])])
    return turn @ PIXELS / rng.uniform(0.95, 1.08) + rng.uniform(-1.2, 1.2, (2, 1)) + (SIZE - 1) / 2


def maker(view: str) -> ViewMaker:
    plain = {"upright": upright, "affine": affine}
    return plain.get(view) or (lambda rng: random_view(rng, BENDS[view]))


def shown(view: str, seed: int) -> Digits:
    """The bundled digits as a run shows them, here with the true labels (as relabelled) of the test digits too."""
    rng, digits = np.random.default_rng([seed, 10]), load()
    mapping, places = derangement(rng), maker(view)(rng)
    train, test = rng.permutation(len(digits.train_labels)), rng.permutation(len(digits.test_labels))
    images = seen_through(places, digits.train_images[train]), seen_through(places, digits.test_images[test])
    return Digits(images[0], mapping[digits.train_labels[train]], images[1], mapping[digits.test_labels[test]])


def learner(name: str, view: str, seed: int) -> float:
    """Test accuracy of one submission, trained as the accuracy check trains it."""
    files = reference() if name == REFERENCE else source_of(load_entry(ROOT / "tests" / "wheats" / f"{name}.toml"))
    digits = shown(view, seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for file, text in files.items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        write_idx(Path(folder), digits.train_images, digits.train_labels, digits.test_images, digits.test_labels)
        sys.path.insert(0, folder)
        try:
            torch.manual_seed(seed)
            modules = {name: fresh(name) for name in ("data", "model", "train")}
            student = SimpleNamespace(
                function=lambda module, name: getattr(modules[module], name), progress=lambda **_: None
            )
            seen = train_and_score(student, folder)
        finally:
            sys.path.remove(folder)
    which = match(seen["inputs"], digits.test_images, digits.train_images, np.random.default_rng(0))
    return float((seen["scores"].argmax(axis=1) == digits.test_labels[which]).mean())


def fresh(name: str) -> object:
    """A module of the submission in front of the path, not the one of the submission before."""
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def cheats(family: str, view: str, seed: int, stored: Stored) -> dict[str, float]:
    digits = shown(view, seed)
    pixels = [images.astype(np.float32) / 255 for images in (digits.train_images, digits.test_images[:GUESSED])]
    guesses = FAMILIES[family](stored, Run(pixels[0], digits.train_labels.astype(int), pixels[1]))
    return {row: float((found == digits.test_labels[:GUESSED]).mean()) for row, found in guesses.items()}


def known(view: str, out: Path, small: bool) -> Stored:
    """Everything about the upright digits; with a pool the digits that are looked up are not those of the run."""
    digits = load()
    train, test = (images.astype(np.float32) / 255 for images in (digits.train_images, digits.test_images))
    labels, test_labels = digits.train_labels.astype(int), digits.test_labels.astype(int)
    looked_up = (train, labels) if view == POOL else (test, test_labels)
    kind = "chosen" if view == POOL else view
    return Stored(train, labels, *looked_up, kind, maker(view), out, small)


class Cells:
    """What was measured, one JSON line per run of a learner or of a family of cheats."""

    def __init__(self, path: Path):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.all = [json.loads(line) for line in lines]

    def has(self, what: str, view: str, seed: int) -> bool:
        return any((cell["what"], cell["view"], cell["seed"]) == (what, view, seed) for cell in self.all)

    def add(self, what: str, view: str, seed: int, measure: Callable[[], dict[str, float]]) -> None:
        if self.has(what, view, seed):
            return
        start = time.process_time()
        values = measure()
        cell = {"what": what, "view": view, "seed": seed, "values": values}
        self.all.append(cell | {"seconds": round(time.process_time() - start, 1)})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.all[-1]) + "\n")
        print(f"{what}, {view}, seed {seed}: {self.all[-1]['seconds']} s", file=sys.stderr, flush=True)

    def table(self, views: Iterable[str]) -> str:
        values: dict[str, dict[str, list[float]]] = {}
        for cell in self.all:
            for row, value in cell["values"].items():
                values.setdefault(row, {}).setdefault(cell["view"], []).append(value)
        lines = [f"| test accuracy, % | {' | '.join(views)} |", "|---|" + "---:|" * len(list(views))]
        for row, of_view in values.items():
            lines.append(f"| {row} | " + " | ".join(shown_as(of_view.get(view, [])) for view in views) + " |")
        return "\n".join(lines)


def shown_as(values: list[float]) -> str:
    """The mean and the highest, in per cent."""
    return f"{100 * statistics.mean(values):.1f} (to {100 * max(values):.1f})" if values else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, small networks, fewer learners")
    parser.add_argument("--seeds", type=int, default=3, help="runs per row and view")
    parser.add_argument("--views", nargs="+", default=VIEWS, choices=VIEWS)
    parser.add_argument("--rows", choices=("learners", "cheats", "all"), default="all")
    parser.add_argument("--names", nargs="+", help="these learners or families of cheats only")
    parser.add_argument("--weak", action="store_true", help="the wheats marked weak as well")
    parser.add_argument("--out", type=Path, help="where measured cells and trained networks are kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        cells = Cells(out / "cells.jsonl")
        names = (REFERENCE, *LEARNERS[:1]) if given.quick else (REFERENCE, *LEARNERS)
        if given.weak:
            names += tuple(entry.name for entry in load_all("wheats") if entry.weak)
        for seed in range(1, 2 if given.quick else given.seeds + 1):
            for view in given.views:
                if given.rows != "cheats" and view != POOL:
                    for name in wanted(names, given.names):
                        cells.add(name, view, seed, lambda: {name: learner(name, view, seed)})  # noqa: B023
                if given.rows != "learners":
                    stored = known(view, out, given.quick)
                    for family in wanted(FAMILIES, given.names):
                        cells.add(family, view, seed, lambda: cheats(family, view, seed, stored))  # noqa: B023
        print(cells.table(given.views))


def wanted(names: Iterable[str], only: list[str] | None) -> list[str]:
    return [name for name in names if not only or name in only]


if __name__ == "__main__":
    main()
