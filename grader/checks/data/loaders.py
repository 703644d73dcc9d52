"""What the student's loaders served, read with the eyes of somebody who knows every picture. Trusted: numpy only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from grader.checks.data.pixels import judge_transform
from grader.checks.data.tracers import PIXELS, UNKNOWN, Match, Tracers, make_tracers, recognise, resembling
from grader.checks.secret_digits import written
from grader.checks.views import turned
from grader.engine.answer import SOME, Answer, Raised
from grader.engine.check import Failed, Finding, fail, waits_for
from grader.engine.endings import ProtocolBroken
from grader.engine.student import Student

NAMES = ("train", "val", "test")
TITLES = {"train": "training", "val": "validation", "test": "test"}
FEW_UNKNOWN = 0.05  # share of a loader's pictures; above it, some pictures are not what the file holds
MOST_UNKNOWN = 0.5  # above this, what is known of the others says nothing
WIDTHS = range(1, 3 * PIXELS + 1)  # numbers in one picture: three channels are the most that is looked at
LARGE = 6_500  # pictures in the training file of which only the lengths are looked at
NO_DATASET = ("str", "bytes", "PosixPath", "WindowsPath")  # types that name a folder and hold no pictures
NOT_FOUND = ("FileNotFoundError", "URLError", "HTTPError", "PermissionError", "NotADirectoryError", "gaierror")


@dataclass(frozen=True)
class Pass:
    """One pass through one loader, rows in the order served."""

    images: np.ndarray  # (N, 784) float32
    labels: np.ndarray  # (N, ...)
    sizes: list[int]
    match: Match
    original: np.ndarray  # (N, 784) uint8: what the file holds, turned as the image is; zeros where unknown

    @property
    def ids(self) -> np.ndarray:
        return self.match.ids

    @property
    def known(self) -> np.ndarray:
        return np.asarray(self.ids != UNKNOWN)

    @property
    def batches(self) -> list[np.ndarray]:
        """The rows of each batch."""
        return np.split(np.arange(len(self.ids)), np.cumsum(self.sizes)[:-1])


def tracers_of(student: Student) -> tuple[Tracers, dict[str, Any]]:
    """The files of this run and the arguments of the one observation all checks of loaders share."""
    tracers = make_tracers(student.rng("data.tracers"))
    train, test = tracers.file("train"), tracers.file("test")
    dark = (test[0] // 4, test[1])  # the same test file, much darker
    repeat = np.sort(np.arange(LARGE) % len(train[0]))
    arguments = {
        "root": written(student, *train, *test),
        "other_root": written(student, *train, *dark),
        "large_root": written(student, train[0][repeat], train[1][repeat], *test),
        "pictures": tracers.pictures[tracers.shared_ids],
        "limit": 3 * len(tracers.pictures) // 2,
    }
    return tracers, arguments | tracers.sizes | tracers.fractions | tracers.seeds


class Served:
    """The observation, after the questions without which nothing can be judged: three loaders that serve pictures."""

    def __init__(self, student: Student):
        self.tracers, arguments = student.drawn("data.tracers", lambda: tracers_of(student))
        self.answer = student.observe("data.loaders", **arguments)
        self.passes: dict[tuple[str, str, int], Pass] = student.once("data.passes", dict)
        self.require_loaders("main")
        for name in NAMES:
            self.require_batches(self.observed(name), name)
        for name in NAMES:
            self.require_pictures(name)

    def observed(self, name: str, turn: int = 0, call: str = "main") -> Answer:
        """What the probe says of a pass: the first or second one, through a loader of one of the calls."""
        passes = self.answer.part(call).part("loaders").part(name).parts("passes", 2 if call == "main" else 1)
        return passes[turn]

    def drawn(self, name: str, call: str = "main") -> int:
        """How many pictures the loader's own sampler draws, or -1."""
        return self.answer.part(call).part("loaders").part(name).integer("length")

    def require_loaders(self, call: str) -> None:
        error = self.answer.raised(call)
        if error is not None:
            self.explain(error, "make_loaders")
        made = self.answer.part(call)
        kind = made.text("type")
        if kind == "NoneType":
            fail("loaders-none")
        if "count" not in made:
            fail("loaders-not-three", returned=f"one {kind}")
        if made.integer("count") != 3:
            fail("loaders-not-three", returned=f"a {kind} of {made.integer('count')}")

    def require_batches(self, observed: Answer, name: str) -> None:
        title, loader = TITLES[name], observed.text("loader")
        error = observed.raised("error")
        if error is not None:
            if error.type == "TypeError" and "not iterable" in error.message:
                fail("loader-not-iterable", loader=title, type=loader)
            self.blame_transform()
            self.explain(error, f"the {title} loader")
            observed.end_if_raised("error")
        if observed.text("dataset") in NO_DATASET and ("no_pair" in observed or "values" not in observed):
            fail("loader-of-no-dataset", loader=title, type=observed.text("dataset"))
        if "no_pair" in observed:
            fail("batch-not-a-pair", loader=title, batch=observed.text("no_pair"))
        if "images" not in observed:
            fail("loader-empty", loader=title)
        labels = observed.part("labels")
        if labels.text("shape") == "" and labels.text("type") in ("int", "Tensor"):  # one label, not a row of them
            fail("datasets-instead-of-loaders", loader=title, type=loader)
        for part in ("images", "labels"):
            kind = observed.part(part)
            if kind.text("type") != "Tensor":
                type_name = f"{kind.text('type')} {kind.text('dtype')}".strip()
                fail("batch-without-tensors", loader=title, part=part, type=type_name)
            if "odd" in kind:
                first, other = kind.text("shape"), kind.text("odd")
                fail("batches-of-different-kinds", loader=title, first=first, other=other)
        if "values" not in observed:
            fail("loader-empty", loader=title)

    def explain(self, error: Raised, where: str) -> None:
        """Name the exceptions that have a usual cause; others stay `crashed`, with the student's own lines."""
        if error.type in NOT_FOUND or re.search(r"Dataset not found|Error downloading|urlopen|HTTP", error.message):
            fail("root-not-used", where=where, message=f"{error.type}: {error.message}"[:200], came_from=error)
        if error.type == "TypeError" and re.search(r"make_transform\(\) takes \d+ positional", error.message):
            line = str(error.frames[-1]["text"]) if error.frames else ""
            given = re.search(r"make_transform\(\s*\w", line)
            finding = "transform-takes-nothing" if given else "transform-not-called"
            fail(finding, where=where, message=error.message[:200], came_from=error)
        if error.type == "TypeError" and "collate" in error.message and "PIL" in error.message:
            fail("batch-without-transform", where=where, came_from=error)
        out_of_range = error.type == "IndexError" and "out of range" in error.message
        sizes = re.search(r"Sum of input lengths|index -?\d+ is out of bounds", error.message)
        line = error.frames[-1]["text"] if error.frames else ""
        if sizes and sizes[0].startswith("Sum") and not re.search(r"\d{3}", str(line)):
            fail("split-does-not-add-up", where=where, count=len(self.tracers.train_ids), came_from=error)
        if sizes or out_of_range:
            count = len(self.tracers.train_ids)
            fail("split-sizes-fixed", where=where, count=count, message=error.message[:200], came_from=error)

    def require_pictures(self, name: str) -> None:
        """Stop when most images are no picture of the files, unless they change from pass to pass."""
        first = self.read(name)
        if first.match.unknown_share < 0.5 or self.changing(name):
            return
        self.blame_transform()
        if self.observed(name).flag("endless") or not first.known.any():
            unknown = int((~first.known).sum())
            fail("pictures-not-from-root", loader=TITLES[name], unknown=unknown, total=len(first.ids))

    def changing(self, name: str) -> bool:
        """Whether a second pass serves other images, whoever they are."""
        first, second = (distinct(self.read(name, turn).images) for turn in range(2))
        return len(first & second) < 0.9 * min(len(first), len(second))

    def resembling(self) -> dict[str, float]:
        """{loader: share of its unknown images that look like a picture of the files, moved and turned a little}."""
        unknown = {name: self.read(name).images[~self.read(name).known] for name in NAMES}
        return resembling(unknown, self.tracers.pictures)

    def read(self, name: str, turn: int = 0, call: str = "main") -> Pass:
        key = (call, name, turn)
        if key not in self.passes:
            if call != "main":
                self.require_loaders(call)
            observed = self.observed(name, turn, call)
            if call != "main" or turn:
                self.require_again(observed, name, call)
            self.passes[key] = self.decoded(observed, name)
        return self.passes[key]

    def require_again(self, observed: Answer, name: str, call: str) -> None:
        """A later pass that serves nothing: the loader can be read only once."""
        if call == "main" and observed.raised("error") is None and "values" not in observed:
            fail("loader-read-only-once", loader=TITLES[name], type=observed.text("loader"))
        self.require_batches(observed, name)

    def decoded(self, observed: Answer, name: str) -> Pass:
        values, sizes = observed.part("values"), observed.integers("sizes", SOME)
        rows = range(1, 2 * len(self.tracers.pictures))
        images, labels = values.array("images", (rows, WIDTHS)), values.array("labels", None, "fi")
        if len(images) != sum(sizes):
            raise ProtocolBroken("images are not in batches of the sizes given")
        shape = observed.part("images").text("shape")
        width = images.shape[1]
        if width != PIXELS and width % PIXELS == 0:
            images = images[:, :: width // PIXELS] if shape.endswith(" x 3") else images[:, :PIXELS]
        if images.shape[1] != PIXELS:
            self.blame_transform()
            where = f"the {TITLES[name]} loader"
            fail("picture-size", todo=2, where=where, shape=shape, expected="B x 1 x 28 x 28")
        match = recognise(images, self.tracers.pictures)
        original = np.zeros(images.shape, dtype=np.uint8)
        for view in np.unique(match.views[match.ids != UNKNOWN]):
            here = (match.views == view) & (match.ids != UNKNOWN)
            original[here] = turned(self.tracers.pictures[match.ids[here]], int(view)).reshape(-1, PIXELS)
        return Pass(images, labels, sizes, match, original)

    @cached_property
    def transform(self) -> Answer | None:
        """What make_transform gave for the pictures both files share (None while it is a TODO)."""
        return self.answer.part("transform") if "transform" in self.answer else None

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


def known_pictures(student: Student) -> None:
    """What a check of the loaders needs before it may pass: most of what each of them serves stands in its file (all
    of it, but for what changes from pass to pass), and it is not the same few pictures again and again."""
    served = Served(student)
    for name in NAMES:
        first = served.read(name)
        known, unknown = first.ids[first.known], int((~first.known).sum())
        few = first.match.unknown_share <= FEW_UNKNOWN
        if not few and served.changing(name):  # `preparation` names that
            if student.once("resembling", served.resembling).get(name, 0.0) <= MOST_UNKNOWN:
                waits_for("the loaders serve pictures that can be recognised")
        elif not few:
            if served.transform_finding is not None and first.match.unknown_share <= MOST_UNKNOWN:
                waits_for("make_transform gives pictures that can be recognised")
            fail("pictures-not-from-root", loader=TITLES[name], unknown=unknown, total=len(first.ids))
        if (repeated := len(known) - len(np.unique(known))) > len(known) / 2:
            fail("pictures-repeated", loader=TITLES[name], repeated=repeated, total=len(known))


def distinct(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}
