"""What the student's loaders served, read with the eyes of somebody who knows every picture. Trusted: numpy only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grader.checks.data.pixels import judge_transform
from grader.checks.data.tracers import PIXELS, UNKNOWN, Array, Match, Tracers, make, recognise, turn
from grader.checks.secret_digits import written
from grader.engine.check import Failed, Finding, fail
from grader.engine.student import Student

NAMES = ("train", "val", "test")
TITLES = {"train": "training", "val": "validation", "test": "test"}
LARGE = 6_500  # pictures in the training file of which only the lengths are looked at
NOT_FOUND = ("FileNotFoundError", "URLError", "HTTPError", "PermissionError", "NotADirectoryError", "gaierror")


@dataclass(frozen=True)
class Pass:
    """One pass through one loader, rows in the order served."""

    images: Array  # (N, 784) float32
    labels: Array
    sizes: list[int]
    match: Match
    original: Array  # (N, 784) uint8: what the file holds, turned as the image is; zeros where unknown

    @property
    def ids(self) -> Array:
        return self.match.ids

    @property
    def known(self) -> Array:
        known: Array = self.ids != UNKNOWN
        return known


def tracers_of(student: Student) -> tuple[Tracers, dict[str, Any]]:
    """The files of this run and the arguments of the one observation all checks of loaders share."""
    rng = student.rng("data.tracers")
    tracers = make(rng)
    train, test = tracers.file("train"), tracers.file("test")
    dark = (test[0] // 4, test[1])  # the same test file, much darker
    repeat = np.sort(np.arange(LARGE) % len(train[0]))
    arguments = {
        "root": written(student, *train, *test),
        "other_root": written(student, *train, *dark),
        "large_root": written(student, train[0][repeat], train[1][repeat], *test),
        "pictures": tracers.pictures[tracers.shared_ids],
        "limit": 3 * len(tracers.pictures),
    }
    return tracers, arguments | tracers.sizes | tracers.fractions | tracers.seeds


class Prefixed:
    """The part of an answer whose names begin with `prefix`."""

    def __init__(self, answer: Any, prefix: str):
        self.answer, self.prefix = answer, prefix

    def __getitem__(self, name: str) -> Any:
        return self.answer[self.prefix + name]

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.answer

    def raised(self, name: str) -> Any:
        return self.answer.raised(self.prefix + name)


class Served:
    """The observation, after the questions without which nothing can be judged: three loaders that serve pictures."""

    def __init__(self, student: Student):
        self.tracers, arguments = student.once("data.tracers", lambda: tracers_of(student))
        self.answer = student.observe("data.loaders", **arguments)
        self.passes: dict[str, Pass] = student.once("data.passes", dict)
        self.require_loaders("main")
        for name in NAMES:
            self.require_batches(f"main_{name}_0", TITLES[name])
        for name in NAMES:
            self.require_pictures(name)

    def require_loaders(self, call: str) -> None:
        error = self.answer.raised(f"{call}_error")
        if error is not None:
            self.explain(error, "make_loaders")
            self.answer[f"{call}_error"]
        kind = self.answer[f"{call}_type"]
        if kind == "NoneType":
            fail("loaders-none")
        if f"{call}_count" not in self.answer:
            fail("loaders-not-three", returned=f"one {kind}")
        if self.answer[f"{call}_count"] != 3:
            fail("loaders-not-three", returned=f"a {kind} of {self.answer[f'{call}_count']}")

    def require_batches(self, name: str, title: str) -> None:
        answer = self.answer
        error = answer.raised(f"{name}_error")
        if error is not None:
            if error.type == "TypeError" and "not iterable" in error.message:
                fail("loader-not-iterable", loader=title, type=answer[f"{name}_loader"])
            self.blame_transform()
            self.explain(error, f"the {title} loader")
            answer[f"{name}_error"]
        if f"{name}_batch" in answer:
            fail("batch-not-a-pair", loader=title, batch=answer[f"{name}_batch"])
        single = answer.get(f"{name}_labels_shape") == ""  # one label, not a row of them
        if single and answer[f"{name}_labels_kind"].split()[0] in ("int", "Tensor"):
            fail("datasets-instead-of-loaders", loader=title, type=answer[f"{name}_loader"])
        for part in ("images", "labels"):
            kind = answer.get(f"{name}_{part}_kind", "Tensor")
            if not kind.startswith("Tensor"):
                fail("batch-without-tensors", loader=title, part=part, type=kind.strip())
            if f"{name}_{part}_odd" in answer:
                first = answer[f"{name}_{part}_shape"]
                fail("batches-of-different-kinds", loader=title, first=first, other=answer[f"{name}_{part}_odd"])
        if f"{name}_images" not in answer:
            fail("loader-empty", loader=title)

    def explain(self, error: Any, where: str) -> None:
        """Name the exceptions that have a usual cause; others stay `crashed`, with the student's own lines."""
        if error.type in NOT_FOUND or re.search(r"Dataset not found|Error downloading|urlopen|HTTP", error.message):
            fail("root-not-used", where=where, message=f"{error.type}: {error.message}"[:200])
        if error.type == "TypeError" and "collate" in error.message and "PIL" in error.message:
            fail("batch-without-transform", where=where)
        if "Sum of input lengths" in error.message or re.search(r"index -?\d+ is out of bounds", error.message):
            count = len(self.tracers.train_ids)
            fail("split-sizes-fixed", where=where, count=count, message=error.message[:200])
        if error.type == "IndexError" and "out of range" in error.message:
            fail("split-sizes-fixed", where=where, count=len(self.tracers.train_ids), message=error.message[:200])

    def require_pictures(self, name: str) -> None:
        """Stop when most images are no picture of the files, unless they change from pass to pass."""
        served = self.read(name)
        if served.match.unknown_share < 0.5 or self.changing(name):
            return
        self.blame_transform()
        if f"main_{name}_0_endless" in self.answer or not self.recognisable(name):
            fail(
                "pictures-not-from-root", loader=TITLES[name], unknown=int((~served.known).sum()), total=len(served.ids)
            )

    def recognisable(self, name: str) -> bool:
        return bool(self.read(name).known.any())

    def changing(self, name: str) -> bool:
        """Whether a second pass serves other images, whoever they are."""
        first, second = (distinct(self.read(name, turn).images) for turn in range(2))
        return len(first & second) < 0.9 * min(len(first), len(second))

    def read(self, name: str, turn_number: int = 0, call: str = "main") -> Pass:
        key = f"{call}_{name}_{turn_number}"
        if key not in self.passes:
            if call != "main":
                self.require_loaders(call)
            if call != "main" or turn_number:
                self.require_second(key, name, call)
            self.passes[key] = self.decoded(key)
        return self.passes[key]

    def require_second(self, key: str, name: str, call: str) -> None:
        """A later pass that serves nothing: the loader can be read only once."""
        if call == "main" and self.answer.raised(f"{key}_error") is None and f"{key}_images" not in self.answer:
            fail("loader-read-only-once", loader=TITLES[name], type=self.answer[f"{key}_loader"])
        self.require_batches(key, TITLES[name])

    def decoded(self, key: str) -> Pass:
        images = self.answer[f"{key}_images"]
        width = images.shape[1]
        if width != PIXELS and width % PIXELS == 0:
            last = self.answer[f"{key}_images_shape"].endswith(" x 3")
            images = images[:, :: width // PIXELS] if last else images[:, :PIXELS]
        if images.shape[1] != PIXELS:
            self.blame_transform()
            fail(
                "picture-size",
                todo=2,
                where=f"the {TITLES[key.split('_')[1]]} loader",
                shape=self.shape(key),
                expected="B x 1 x 28 x 28",
            )
        match = recognise(images, self.tracers.pictures)
        original = np.zeros(images.shape, dtype=np.uint8)
        for view in np.unique(match.views[match.ids != UNKNOWN]):
            here = (match.views == view) & (match.ids != UNKNOWN)
            original[here] = turn(self.tracers.pictures[match.ids[here]], int(view)).reshape(-1, PIXELS)
        return Pass(images, self.answer[f"{key}_labels"], self.answer[f"{key}_sizes"], match, original)

    def shape(self, key: str) -> str:
        return str(self.answer[f"{key}_images_shape"])

    @cached_property
    def transform(self) -> Prefixed | None:
        """What make_transform gave for the pictures both files share (None while it is a TODO)."""
        seen = Prefixed(self.answer, "transform_")
        return seen if "calls" in seen else None

    @cached_property
    def transform_finding(self) -> Finding | None:
        """What the check of TODO 1 would say: a fault made there is not made a second time here."""
        if self.transform is None:
            return None
        try:
            judge_transform(self.transform, self.tracers.pictures[self.tracers.shared_ids])
        except Failed as failed:
            return failed.finding
        return None

    def blame_transform(self) -> None:
        """End with the transform's own fault, if it has one: the loaders only pass it on."""
        if self.transform_finding is not None:
            raise Failed(self.transform_finding)


def distinct(images: Array) -> set[bytes]:
    return {image.tobytes() for image in images}
