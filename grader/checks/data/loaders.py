"""What the student's loaders served, read with the eyes of somebody who knows every picture. Trusted: numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grader.checks.data.observation import NAMES, TITLES, TURNS, Observation, tracers_of, works_alone
from grader.checks.data.tracers import CERTAIN, MOVED_LOOK, PIXELS, UNKNOWN, Match, recognise, resembling
from grader.checks.views import correlations, turned
from grader.digits import FILES
from grader.engine.answer import SOME, Answer
from grader.engine.check import Failed, Waits, fail, waits_for
from grader.engine.endings import NotSeen, ProtocolBroken
from grader.engine.student import Student

FEW_UNKNOWN = 0.05  # share of a loader's pictures; above it, some pictures are not what the file holds
MOST_UNKNOWN = 0.5  # above this, what is known of the others says nothing
WIDTHS = range(1, 3 * PIXELS + 1)  # numbers in one picture: three channels are the most that is looked at
FEWEST = 0.2  # of the pictures that a loader should serve: with fewer there is nothing to judge
HEADER, BEGINS = 16, 81  # bytes of a file before its first picture, and so many at which it may be begun


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


class Served(Observation):
    """The observation, after the questions without which nothing can be judged: three loaders that serve pictures."""

    def __init__(self, student: Student, lent: bool = False):
        super().__init__(student, lent)
        self.passes: dict[tuple[str, str, int], Pass] = student.once(f"data.passes.{lent}", dict)
        for name in NAMES:
            self.require_pictures(name)

    def turns(self, name: str) -> list[Pass]:
        """The passes through a loader that are judged."""
        return [self.read(name, turn) for turn in range(TURNS[name])]

    def require_pictures(self, name: str) -> None:
        """Stop when most images are no picture of the files, unless they change from pass to pass."""
        first = self.read(name)
        if first.match.unknown_share < 0.5 or self.changing(name):
            return
        self.require_in_step(name)
        if self.observed(name).flag("endless") or not first.known.any():
            unknown = int((~first.known).sum())
            fail("pictures-not-from-root", loader=TITLES[name], unknown=unknown, total=len(first.ids))

    def require_in_step(self, name: str) -> None:
        """Stop when the test pictures are the bytes of their file, begun at another one than the first picture's."""
        shown = self.read("test").images[:8].reshape(1, -1)
        file = np.fromfile(Path(self.arguments["root"]) / "MNIST" / "raw" / FILES["test_images"], np.uint8)
        alike = correlations(np.stack([file[begin:][: shown.size] for begin in range(BEGINS)]), shown)
        begin = int(alike.argmax())
        if begin != HEADER and alike.max() > CERTAIN:
            fail("pictures-out-of-step", loader=TITLES[name], begin=begin, header=HEADER)

    def changing(self, name: str) -> bool:
        """Whether a second pass serves other images, whoever they are."""
        first, second = (distinct(self.read(name, turn).images) for turn in range(2))
        return len(first & second) < 0.9 * min(len(first), len(second))

    def moving(self, name: str) -> bool:
        """Whether a loader serves pictures that cannot be recognised because they change, from the first pass on."""
        return self.read(name).match.unknown_share > FEW_UNKNOWN and self.changing(name)

    def named(self, name: str, turn: int = 0, call: str = "main") -> np.ndarray:
        """The ids (N,) of a pass, and for some of its unknown images that of the picture which they look like."""
        ids: np.ndarray = self.read(name, turn, call).ids.copy()
        if len(rows := looked_at(ids)):
            look = self.student.once(f"data.named.{call == 'main'}.{self.lent}", lambda: self.resembling(call))
            ids[rows] = look[call, name, turn]
        return ids

    def resembling(self, call: str) -> dict[tuple[str, str, int], np.ndarray]:
        """{(call, loader, turn): ids of some of its unknown images}, for all that are compared with such a pass."""
        keys = [("main", name, turn) for name in NAMES for turn in range(TURNS[name])]
        if call != "main":
            keys = [(call, "val", 0) for call in ("again", "reseeded")]
        passes = {key: self.read(key[1], key[2], key[0]) for key in keys}
        return resembling({key: p.images[looked_at(p.ids)] for key, p in passes.items()}, self.tracers.pictures)

    def expected(self, name: str) -> int:
        """How many pictures a loader should serve."""
        count = len(self.tracers.train_ids)
        val = round(count * self.tracers.fractions["val_fraction"])
        return len(self.tracers.test_ids) if name == "test" else val if name == "val" else count - val

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
            where = f"the {TITLES[name]} loader"
            fail("picture-size", todo=2, where=where, shape=shape, expected="B x 1 x 28 x 28")
        match = recognise(images, self.tracers.pictures, self.student.once("data.met", dict))
        original = np.zeros(images.shape, dtype=np.uint8)
        for view in np.unique(match.views[match.ids != UNKNOWN]):
            here = (match.views == view) & (match.ids != UNKNOWN)
            original[here] = turned(self.tracers.pictures[match.ids[here]], int(view)).reshape(-1, PIXELS)
        return Pass(images, labels, sizes, match, original)


def looked_at(ids: np.ndarray) -> np.ndarray:
    """The rows of some of the unknown images."""
    unknown = np.flatnonzero(ids == UNKNOWN)
    return unknown[:: max(1, -(-len(unknown) // MOVED_LOOK))]


def apart_from_transform(judge: Callable[[Served], None]) -> Callable[[Student], None]:
    """A check of the loaders. What it finds is theirs only where it is found with a make_transform that works, too:
    where the student's is at fault, and the loaders use it, the grader's own takes its place."""

    def whole(student: Student, lent: bool) -> None:
        served = Served(student, lent)
        judge(served)
        require_all_known(served)  # last: a fault that has a name keeps it

    def both(student: Student) -> None:
        try:
            whole(student, lent=False)
        except (Failed, NotSeen, ProtocolBroken, Waits):
            if not student.once("data.lent", lambda: can_lend(student)):
                raise
            whole(student, lent=True)

    both.__name__, both.__doc__ = judge.__name__, judge.__doc__
    return both


def can_lend(student: Student) -> bool:
    """Whether make_transform is at fault, and make_loaders calls it."""
    if works_alone(student):
        return False
    _, arguments = student.drawn("data.tracers", lambda: tracers_of(student))
    try:
        return student.observe("data.loaders", **(arguments | {"lent": True})).integer("asked") > 0
    except (NotSeen, ProtocolBroken):
        return False


def require_all_known(served: Served) -> None:
    """In every pass, most of what each of them serves stands in its file (all of it, but for what changes from pass to
    pass), and it is no small part of the file, nor the same few pictures again and again."""
    for name in NAMES:
        for turn in range(TURNS[name]):
            require_known(served, name, turn)


def require_known(served: Served, name: str, turn: int) -> None:
    one = served.read(name, turn)
    known, unknown = one.ids[one.known], int((~one.known).sum())
    if one.match.unknown_share > FEW_UNKNOWN:
        if not served.moving(name):
            fail("pictures-not-from-root", loader=TITLES[name], unknown=unknown, total=len(one.ids))
        named, rows = served.named(name, turn), looked_at(one.ids)  # `preparation` names that they change
        if (named[rows] == UNKNOWN).mean() >= MOST_UNKNOWN:
            waits_for("the loaders serve pictures that can be recognised")
        known = named[named != UNKNOWN]
    if (repeated := len(known) - len(np.unique(known))) > len(known) / 2:
        fail("pictures-repeated", loader=TITLES[name], repeated=repeated, total=len(known))
    if len(one.ids) < FEWEST * served.expected(name):
        waits_for("the loaders serve most of the pictures of their files")


def distinct(images: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in images}
