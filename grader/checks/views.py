"""The eight ways to turn a picture, and how alike two pictures are: pictures of any grey scale are recognised by it."""

from __future__ import annotations

import numpy as np

VIEWS = (
    "upright",
    "turned by a quarter to the left",
    "upside down, turned by half",
    "turned by a quarter to the right",
    "transposed: rows and columns are exchanged",
    "mirrored: top and bottom are exchanged",
    "mirrored along the other diagonal",
    "mirrored: left and right are exchanged",
)
TRANSPOSED = 4


def turned(pictures: np.ndarray, view: int) -> np.ndarray:
    """Pictures (N, 28, 28) as VIEWS[view] describes."""
    if view >= TRANSPOSED:
        pictures = pictures.transpose(0, 2, 1)
    return np.rot90(pictures, view % 4, axes=(1, 2))


def correlations(images: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """(N, M), -1..1: of every image (N, 784) with every picture (M, 784 or 28, 28)."""
    return np.asarray(direction(images) @ direction(pictures).T)


def direction(images: np.ndarray) -> np.ndarray:
    """Each image with its mean taken away and its length made 1, so that a product is a correlation."""
    flat = np.nan_to_num(images.reshape(len(images), -1).astype(np.float32), posinf=0.0, neginf=0.0)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.where(length > 1e-6, length, np.inf))  # an image of one grey has no direction
