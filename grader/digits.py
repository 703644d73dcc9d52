"""The digits of a run: read from the grader's own checkout, relabelled, seen through a view, written as IDX.

Trusted side only, numpy only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grader.engine.check import GraderTrouble
from grader.engine.rubric import BadRubric, load_toml
from grader.view import random_view, seen_through

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
BUNDLED = Path(__file__).resolve().parents[1] / "assignment" / "digits"
RECORD = Path(__file__).with_name("digits.toml")  # written by `build`: the classes' names, and each file's SHA-256


def write_idx(
    root: Path, train_images: np.ndarray, train_labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray
) -> None:
    """Write uint8 images (N, 28, 28) and labels (N,) under root/MNIST/raw, as torchvision.datasets.MNIST reads them.

    The IDX format (two zero bytes, type 0x08 for uint8, number of axes, then big-endian sizes) is described on
    the MNIST page, http://yann.lecun.com/exdb/mnist/.
    """
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    arrays = zip(FILES.values(), (train_images, train_labels, test_images, test_labels))
    for name, array in arrays:
        array = np.ascontiguousarray(array, dtype=np.uint8)
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (raw / name).write_bytes(header + array.tobytes())


class DigitsDamaged(GraderTrouble):
    """The bundled digits are missing or changed; the message is one sentence for the user."""


@dataclass(frozen=True)
class Digits:
    """Images uint8 (N, 28, 28) and labels uint8 (N,) of the training and the test file."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


@dataclass(frozen=True)
class SecretDigits:
    """The digits of one run. `shown` is what student code gets; the rest stays on the trusted side.

    truth: the labels the returned scores are counted against, in the order of shown.test_images
    upright, true_labels: the same test digits as a person would see them, for the report
    to_true: to_true[mapped label] = the digit it stands for
    """

    shown: Digits
    truth: np.ndarray
    upright: np.ndarray
    true_labels: np.ndarray
    to_true: np.ndarray


def record() -> Mapping[str, Any]:
    """What `build` recorded of the bundled digits: `classes` and `sha256`. Raises DigitsDamaged."""
    try:
        found = load_toml(RECORD)
        return {"classes": tuple(map(str, found["classes"])), "sha256": dict(found["sha256"])}
    except (BadRubric, KeyError, TypeError, ValueError) as error:
        raise DigitsDamaged(f"{RECORD} is missing or damaged; `python -m grader build` writes it.") from error


def class_names() -> tuple[str, ...]:
    """The ten classes' names, by label. Raises DigitsDamaged."""
    names: tuple[str, ...] = record()["classes"]
    return names


def load(folder: Path = BUNDLED) -> Digits:
    """The bundled digits, checked by SHA-256. Raises DigitsDamaged."""
    arrays, hashes = {}, record()["sha256"]
    for key, name in FILES.items():
        path = folder / "MNIST" / "raw" / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DigitsDamaged(
                f"The digits file {path} cannot be read ({error.strerror}); get the folder digits/ again."
            ) from error
        if hashlib.sha256(content).hexdigest() != hashes.get(name):
            raise DigitsDamaged(
                f"The digits file {path} is damaged or was changed; get the folder digits/ again (in the course's own "
                "repository: `python -m grader build` records a change that is meant)."
            )
        axes = content[3]
        shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
        arrays[key] = np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    return Digits(**arrays)


def secret(digits: Digits, rng: np.random.Generator) -> SecretDigits:
    """Relabel, warp and reorder the digits, all drawn from `rng`.

    Labels go through a derangement: no digit keeps its label, so stored answers score about 0. All pictures go
    through one smooth warp (grader/view.py), so stored pictures and features hardly fit. The test labels handed out are
    random.
    """
    mapping = derangement(rng)
    train_order, test_order = rng.permutation(len(digits.train_labels)), rng.permutation(len(digits.test_labels))
    view = random_view(rng)
    true_labels = digits.test_labels[test_order]
    shown = Digits(
        seen_through(view, digits.train_images[train_order]),
        mapping[digits.train_labels[train_order]],
        seen_through(view, digits.test_images[test_order]),
        rng.integers(0, 10, len(test_order)).astype(np.uint8),
    )
    return SecretDigits(shown, mapping[true_labels], digits.test_images[test_order], true_labels, np.argsort(mapping))


def derangement(rng: np.random.Generator) -> np.ndarray:
    """A permutation of 0..9 without a fixed point; uniform, by rejection (about one in e is kept)."""
    while True:
        mapping = rng.permutation(10).astype(np.uint8)
        if not np.any(mapping == np.arange(10)):
            return mapping
