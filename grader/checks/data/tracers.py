"""Pictures that can be recognised again: small picture files of which every image says who it is.

A tracer looks like noise, no two are alike, and each holds (nearly) all grey values, so that after any
increasing map of its pixels it still correlates best with itself. Turned, mirrored or transposed it
correlates best with its turned self, which tells what happened. The training file is sorted by label, so
a split that is not random shows; some pictures stand in both files, so the same picture can be compared
as training, validation and test picture. Trusted side: numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from grader.checks.views import VIEWS, direction, turned

Key = TypeVar("Key")

PIXELS = 28 * 28
CERTAIN = 0.5  # correlation with the right picture is 0.77 even of a black-and-white copy, with a wrong one below 0.4
UNKNOWN = -1
MOVED, CLEARLY, MOVED_LOOK = 0.4, 0.07, 40  # correlation with a moved picture, how far the next stays behind; a look
SIDE = 28
PLACES = np.mgrid[:SIDE, :SIDE].reshape(2, -1) - (SIDE - 1) / 2  # (2, 784), from the centre
LOOK = 40  # unknown images that are looked at first


@dataclass(frozen=True)
class Tracers:
    """Two picture files. Every picture has one id: its row in `pictures`, whichever file it stands in."""

    pictures: np.ndarray  # (ids, 28, 28) uint8
    labels: np.ndarray  # (ids,) uint8
    train_ids: np.ndarray  # the training file, in the order of the file: sorted by label
    test_ids: np.ndarray
    shared_ids: np.ndarray  # pictures that stand in both files
    sizes: dict[str, int]  # batch_size, other_batch_size
    fractions: dict[str, float]  # val_fraction, other_fraction
    seeds: dict[str, int]  # seed, other_seed
    turns: int  # passes through the training loader
    long_count: int  # pictures in the training file of which only the numbers are looked at

    def file(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        ids = self.train_ids if name == "train" else self.test_ids
        return self.pictures[ids], self.labels[ids]

    @property
    def only_test_ids(self) -> np.ndarray:
        return np.setdiff1d(self.test_ids, self.shared_ids)


@dataclass(frozen=True)
class Match:
    """Which picture each image is: its id or UNKNOWN, and what it was turned to (an index into VIEWS)."""

    ids: np.ndarray
    views: np.ndarray

    @property
    def unknown_share(self) -> float:
        return float(np.mean(self.ids == UNKNOWN)) if len(self.ids) else 0.0

    def turned_view(self, steady: bool) -> int:
        """How recognised images are turned, else 0 (upright). steady: whether they are the same in every pass; where
        they are not, turned ones are augmentation, unless nearly all share a view."""
        known = self.views[self.ids != UNKNOWN]
        counts = np.bincount(known, minlength=len(VIEWS))
        if steady and counts[1:].any():
            return int(counts[1:].argmax()) + 1
        return int(counts.argmax()) if len(known) and counts.max() >= 0.95 * len(known) else 0


def make_tracers(rng: np.random.Generator) -> Tracers:
    """Fresh files; sizes leave a short last batch in every loader, whichever way a fraction is rounded.

    The other batch size leaves one test picture alone; the other fraction is not near one part of a whole number.
    """
    while True:
        train_count, test_count = int(rng.integers(290, 340)), int(rng.integers(101, 127))
        batch, other_batch = (int(n) for n in rng.choice(np.arange(17, 31), size=2, replace=False))
        fraction, other_fraction = int(rng.integers(18, 24)) / 100, int(rng.integers(40, 45)) / 100
        val_count = round(train_count * fraction)
        remainders = [test_count % batch, test_count % 64]
        remainders += [(val_count + d) % batch for d in (-1, 0, 1)]
        remainders += [(train_count - val_count + d) % batch for d in (-1, 0, 1)]
        exact = all((1 - f) + f == 1.0 for f in (fraction, other_fraction))  # random_split adds the fractions up
        part = train_count * fraction % 1  # rounded up for validation: a training part that is rounded up, too, is seen
        if min(remainders) >= 3 and test_count % other_batch == 1 and 0.5 < part < 0.95 and exact:
            break
    labels = np.concatenate([np.arange(10).repeat(8), rng.integers(0, 10, train_count - 80)])
    labels = np.concatenate([np.sort(labels), rng.integers(0, 10, test_count)]).astype(np.uint8)
    shared = rng.choice(train_count, size=30, replace=False)
    only_test = np.arange(train_count, train_count + test_count - len(shared))
    return Tracers(
        pictures=draw_pictures(rng, train_count + len(only_test)),
        labels=labels[: train_count + len(only_test)],
        train_ids=np.arange(train_count),
        test_ids=rng.permutation(np.concatenate([shared, only_test])),
        shared_ids=np.sort(shared),
        sizes={"batch_size": batch, "other_batch_size": other_batch},
        fractions={"val_fraction": fraction, "other_fraction": other_fraction},
        # the default of the contract, which is also the one that a slip takes for "no"
        seeds={"seed": 0, "other_seed": int(rng.integers(1, 10_000))},
        turns=int(rng.integers(3, 6)),
        long_count=int(rng.integers(6_000, 7_000)),
    )


def draw_pictures(rng: np.random.Generator, count: int) -> np.ndarray:
    """Blobs plus noise, spread over the grey values; brightness and contrast differ from picture to picture."""
    blobs = np.kron(rng.normal(size=(count, 7, 7)), np.ones((4, 4)))
    noise = (blobs + 0.8 * rng.normal(size=(count, 28, 28))).reshape(count, PIXELS)
    rank = noise.argsort(axis=1).argsort(axis=1) / (PIXELS - 1)
    full = rng.random((count, 1)) < 0.4
    full[:2] = True  # black and white occur for certain, also in a few pictures
    low = np.where(full, 0, rng.integers(0, 60, (count, 1)))
    high = np.where(full, 255, rng.integers(180, 256, (count, 1)))
    grey = low + (high - low) * rank ** rng.uniform(0.5, 2.0, (count, 1))
    return np.rint(grey).astype(np.uint8).reshape(count, 28, 28)


def on_black(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As digits are: black, but for a part of each picture, which need not be in the middle."""
    seen = np.zeros(pictures.shape, dtype=bool)
    for one, top, left in zip(seen, rng.integers(1, 11, len(seen)), rng.integers(1, 18, len(seen))):
        one[top : top + 16, left : left + 9] = True
    return np.where(seen, pictures, 0).astype(np.uint8)


def recognise(images: np.ndarray, pictures: np.ndarray, met: dict[bytes, tuple[int, int]]) -> Match:
    """Find each image (N, 784) among the pictures, upright first, then turned; also with grey values wrapped round.

    met: (id, view) of images that were found before, by their bytes; those found now come to it.
    """
    keys = [image.tobytes() for image in images]
    before = np.array([met.get(key, (UNKNOWN, 0)) for key in keys], dtype=np.int64).reshape(-1, 2)
    ids, views = before[:, 0].copy(), before[:, 1].copy()
    if (ids == UNKNOWN).any():
        shown, known = direction(images), direction(pictures).reshape(-1, 28, 28)
        for view in range(len(VIEWS)):
            if (ids != UNKNOWN).all():
                break
            seen = turned(known, view).reshape(len(known), -1).T
            settle(ids, views, view, lambda rows, seen=seen: np.abs(shown[rows] @ seen))  # type: ignore[misc]
    if (ids == UNKNOWN).any():
        points, circled = on_circle(images), on_circle(pictures).conj().T
        settle(ids, views, 0, lambda rows: np.abs(points[rows] @ circled) / PIXELS)
    met |= {key: (at, view) for key, at, view in zip(keys, ids.tolist(), views.tolist()) if at != UNKNOWN}
    return Match(ids, views)


def settle(ids: np.ndarray, views: np.ndarray, view: int, similar: Callable[[np.ndarray], np.ndarray]) -> None:
    """Enter those of the unknown images that are sure. A look at some of them says whether it is worth while."""
    rows = np.flatnonzero(ids == UNKNOWN)
    for some in (rows[:: max(1, len(rows) // LOOK)], rows):
        if not len(some):
            return
        alike = similar(some)
        best = alike.argmax(axis=1)
        sure = alike[np.arange(len(some)), best] > CERTAIN
        if not sure.any():
            return
    ids[some[sure]], views[some[sure]] = best[sure], view


def resembling(groups: Mapping[Key, np.ndarray], pictures: np.ndarray) -> dict[Key, np.ndarray]:
    """{group: for each of its images (N, 784) the id of the picture that it looks like, moved and turned a little, or
    UNKNOWN}.

    As augmentation does. The best of the places that are tried correlates below 0.25 for noise, below 0.4 for noise in
    blobs. What moved out of sight leaves a black border, which looks like that of many others. All groups at once,
    because the pictures are what takes time to move.
    """
    some, shown = direction(np.concatenate([*groups.values()])), pictures.astype(np.float32)
    alike = np.zeros((len(some), len(shown)), np.float32)
    for degrees in (-10, 0, 10):
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for shift in np.mgrid[-4:5:2, -4:5:2].reshape(2, -1).T:
            places = np.rint(turn @ PLACES + (SIDE - 1) / 2 + shift[:, None]).astype(int)
            inside = ((places >= 0) & (places < SIDE)).all(axis=0)
            moved = shown[:, places[0] % SIDE, places[1] % SIDE] * inside
            np.maximum(alike, some @ direction(moved).T, out=alike)
    next_best, best = np.sort(alike, axis=1)[:, -2:].T
    ids = np.where((best > MOVED) & (best > next_best + CLEARLY), alike.argmax(axis=1), UNKNOWN)
    parts = np.split(ids, np.cumsum([len(images) for images in groups.values()])[:-1])
    return dict(zip(groups, parts))


def on_circle(images: np.ndarray) -> np.ndarray:
    """Grey values as angles: wrapping round by any amount is then one common turn."""
    flat = np.nan_to_num(images.reshape(len(images), -1).astype(np.float64))
    spread = np.ptp(flat)
    angles = (flat - flat.min()) / (spread if spread > 0 else 1.0) * (2 * np.pi * 255 / 256)
    points = np.exp(1j * angles)
    centred: np.ndarray = (points - points.mean(axis=1, keepdims=True)).astype(np.complex64)
    return centred
