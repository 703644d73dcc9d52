"""The observation that all checks of loaders share, and what must be there before anything can be judged.

Trusted: numpy only.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from grader.checks.data.pixels import CALLS, judge_transform
from grader.checks.data.tracers import Tracers, draw_pictures, make_tracers, on_black
from grader.checks.secret_digits import written
from grader.engine.answer import Answer, Raised
from grader.engine.check import Failed, fail
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student

NAMES = ("train", "val", "test")
TITLES = {"train": "training", "val": "validation", "test": "test"}
TURNS = {"train": 3, "val": 2, "test": 2}  # passes that are told: the first two, and the last
FRESH = {  # calls that are the first of a process: {name: {argument: where it differs from `main`, which one is given}}
    "elsewhere": {},
    "other_fraction": {"val_fraction": "other_fraction"},
    "other_seed": {"seed": "other_seed"},
    "other_root": {"root": "large_root"},
    "darker": {"root": "dark_root"},
}
DARKER = 4  # what the grey values of a file are divided by, for the same pictures in much less light
NO_DATASET = ("str", "bytes", "PosixPath", "WindowsPath")  # types that name a folder and hold no pictures
NOT_FOUND = ("FileNotFoundError", "URLError", "HTTPError", "PermissionError", "NotADirectoryError", "gaierror")


def tracers_of(student: Student) -> tuple[Tracers, dict[str, Any]]:
    """The files of this run and the arguments of the one observation all checks of loaders share."""
    tracers = make_tracers(student.rng("data.tracers"))
    train, test = tracers.file("train"), tracers.file("test")
    dark = (test[0] // DARKER, test[1])
    repeat = np.sort(np.arange(tracers.long_count) % len(train[0]))
    arguments = {
        "root": written(student, *train, *test),
        "other_root": written(student, *train, *dark),
        "large_root": written(student, train[0][repeat], train[1][repeat], *test),
        "turns": tracers.turns,
        "limit": 3 * len(tracers.pictures) // 2,
        "long_limit": 2 * tracers.long_count,
    }
    return tracers, arguments | tracers.sizes | tracers.fractions | tracers.seeds | {"lent": False}


def alone(student: Student) -> tuple[Answer, np.ndarray]:
    """What make_transform does in a process of its own, and the pictures that it was given there: the first one faint,
    so that a largest value of all so far shows, and one mirrored, which has the sum of another."""
    rng = student.rng("data.transform")
    drawn = draw_pictures(rng, 4)
    pictures = np.concatenate([drawn[:1] // 3, drawn, drawn[:1, :, ::-1], on_black(draw_pictures(rng, 2), rng)])
    return student.observe("data.transform", pictures=pictures, calls=CALLS), pictures


def works_alone(student: Student) -> bool:
    """Whether the check of TODO 1 passes."""
    try:
        judge_transform(*alone(student))
    except (Failed, NotSeen, ProtocolBroken):
        return False
    return True


class Observation:
    """The observation, after the questions without which nothing can be read: three loaders that serve batches.

    lent: whether the loaders are given the grader's own make_transform
    """

    def __init__(self, student: Student, lent: bool = False):
        self.student, self.lent = student, lent
        self.tracers, self.arguments = student.drawn("data.tracers", lambda: tracers_of(student))
        self.arguments = self.arguments | {"lent": lent}
        self.answer = student.observe("data.loaders", **self.arguments)  # last: students read what it printed
        self.require_loaders("main")
        for name in NAMES:
            self.require_batches(self.observed(name), name)

    def observed(self, name: str, turn: int = 0, call: str = "main") -> Answer:
        """What the probe says of a pass: one of TURNS, through a loader of one of the calls."""
        count = TURNS[name] if call == "main" else 1
        return self.told(call).part(call).part("loaders").part(name).parts("passes", count)[turn]

    def told(self, call: str) -> Answer:
        """The observation in which make_loaders was called so: another process for those of FRESH."""
        if call not in FRESH:
            return self.answer
        names = ("root", "batch_size", "val_fraction", "seed", "limit", "lent")
        given = self.arguments | (self.dark_root() if call == "darker" else {})
        asked = {name: given[FRESH[call].get(name, name)] for name in names}
        return self.student.observe("data.split", call=call, dice=self.arguments["other_seed"], **asked)

    def dark_root(self) -> dict[str, str]:
        """A folder in which the training file is darker: hardly anybody is asked for it."""
        images, labels = self.tracers.file("train")
        return {"dark_root": written(self.student, images // DARKER, labels, *self.tracers.file("test"))}

    def drawn(self, name: str) -> int:
        """How many pictures the loader's own sampler draws, or -1."""
        return self.answer.part("main").part("loaders").part(name).integer("length")

    def whole(self, name: str) -> int:
        """How many pictures the loader's dataset holds, as len() says it, or -1."""
        return self.answer.part("main").part("loaders").part(name).integer("whole")

    def require_loaders(self, call: str) -> None:
        error = self.told(call).raised(call)
        if error is not None:
            self.explain(error, "make_loaders")
        made = self.told(call).part(call)
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
