"""The secret view of a run: one smooth warp, through which all digits of the run are seen.

A digit is turned, perhaps mirrored, sheared, magnified until it fills the picture, and bent by a random field of
long waves. Everything is decided anew for each run and is the same for all of its digits, so whoever learns from the
run's training digits loses nothing, and what was stored about upright digits no longer fits. How strong it is was
chosen by measurement: tests/benchmarks/view.py; what it does not stop stands in SECURITY.md. Numpy only.
"""

from __future__ import annotations

import numpy as np

SIZE = 28  # pixels on a side
CENTRE = (SIZE - 1) / 2
INK = 10.0  # pixels from the centre: MNIST scales its digits to 20 pixels and centres them
REACH = 12.0  # pixels from the centre: where the ink is seen
BEND = 2.0  # pixels: how far the field moves a point within REACH (root mean square), what an affine map does apart
STEEPEST = 0.95  # pixels per pixel: below 1 the bent picture never folds, see displacement()
WAVES, LONGEST, SHORTEST = 8, 30.0, 18.0  # how many waves are added up; their lengths in pixels
RANGES = ((SHORTEST, LONGEST), (0, 2 * np.pi), (0, 2 * np.pi))  # of a wave's length, direction and phase
BLOCK = 500  # digits mapped at once: they fit into the processor's cache

PIXELS = np.mgrid[:SIZE, :SIZE].reshape(2, -1) - CENTRE  # (2, 784) rows and columns, from the centre


def random_view(rng: np.random.Generator, bend: float = BEND) -> np.ndarray:
    """Where each pixel of the seen picture looks: float (2, 784), rows and columns of the upright picture.

    Turned by 60 to 300 degrees, mirrored or not, one direction stretched by up to 1.2 times as much as the other,
    sheared by up to 0.15, bent by `bend` pixels, scaled so that the ink just fits, shifted by up to half a pixel.
    """
    turn = rotation(np.deg2rad(rng.uniform(60, 300))) @ np.diag([1.0, rng.choice([-1.0, 1.0])])
    axes = rotation(rng.uniform(0, np.pi))
    unequal = np.exp(rng.uniform(-0.1, 0.1))
    stretch = axes @ np.array([[unequal, rng.uniform(-0.15, 0.15)], [0, 1 / unequal]]) @ axes.T
    places = turn @ stretch @ (PIXELS + displacement(rng, bend))
    edge = np.abs(PIXELS).max(axis=0) == CENTRE
    places *= INK / np.hypot(*places[:, edge]).min()
    return np.asarray(places + rng.uniform(-0.5, 0.5, (2, 1)) + CENTRE)


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def displacement(rng: np.random.Generator, bend: float) -> np.ndarray:
    """A field of long waves, in pixels (2, 784), without its affine part; drawn until it is nowhere too steep.

    A field u whose steepest slope is below 1 moves two points by less than the distance between them, so p + u(p) is
    one-to-one and neighbours stay neighbours.
    """
    near = np.hypot(*PIXELS) <= REACH
    plane = np.vstack([PIXELS, np.ones(PIXELS.shape[1])])
    while True:
        length, angle, phase = (rng.uniform(low, high, WAVES) for low, high in RANGES)
        wave = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (2 * np.pi / length)[:, None]  # (WAVES, 2)
        field = rng.standard_normal((2, WAVES)) @ np.sin(wave @ PIXELS + phase[:, None])
        affine = np.linalg.lstsq(plane[:, near].T, field[:, near].T, rcond=None)[0]
        field -= affine.T @ plane
        field *= bend / np.sqrt((field[:, near] ** 2).sum(axis=0).mean())
        slopes = np.stack(np.gradient(field.reshape(2, SIZE, SIZE), axis=(1, 2)))  # (direction, axis, row, column)
        if np.linalg.norm(slopes, ord=2, axis=(0, 1)).max() < STEEPEST:
            return np.asarray(field)


def seen_through(view: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Images uint8 (N, 28, 28) through a view, bilinear, black outside; uint8 (N, 28, 28)."""
    low = np.floor(view).astype(int)
    part = (view - low).astype(np.float32)
    corners = []
    for down in (0, 1):
        for right in (0, 1):
            row, column = (np.clip(low[axis] + step, -1, SIZE) + 1 for axis, step in ((0, down), (1, right)))
            weight = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1])
            corners.append((row * (SIZE + 2) + column, weight[:, None]))
    seen = np.empty((len(images), SIZE * SIZE), np.uint8)
    for start in range(0, len(images), BLOCK):
        framed = np.pad(images[start : start + BLOCK], ((0, 0), (1, 1), (1, 1)))  # a black frame for what is outside
        pixels = np.ascontiguousarray(framed.reshape(len(framed), -1).T)  # (900, BLOCK): whole rows are picked
        seen[start : start + BLOCK] = np.rint(sum(pixels[place] * weight for place, weight in corners)).T
    return seen.reshape(images.shape)
