"""A larger pool of digits for the score of record: IDX files of a teacher, of which each run draws its own sample.

The bundled digits are known to everybody. A submission may hold what it knows of 10,000 digits; it cannot hold
70,000, and of a teacher's own digits it knows nothing. Trusted side only, numpy only.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from grader.digits import FILES, Digits, DigitsDamaged

AXES = {"images": 3, "labels": 1}
LEVELS = ("*ubyte*", "*/*ubyte*", "*/*/*ubyte*", "*/*/*/*ubyte*")  # not deeper: it may be somebody's home folder
PARTS = ("train", "test")  # as in FILES: train_images, train_labels, ...


@dataclass(frozen=True)
class Pool:
    """Images uint8 (N, 28, 28) and labels uint8 (N,), no picture twice; the fingerprint names them in a result."""

    images: np.ndarray
    labels: np.ndarray
    fingerprint: str


def load_pool(folder: Path) -> Pool:
    """All digits in a folder of IDX files: MNIST's training files, its test files (t10k), or both.

    The files may lie a few folders down, be compressed (.gz), and be named as on Kaggle (train-images.idx3-ubyte).
    Raises DigitsDamaged, one sentence, unless they are whole and hold all ten classes.
    """
    found = idx_files(folder)
    pairs = []
    for part in PARTS:
        paths = [found.get(FILES[f"{part}_{what}"]) for what in AXES]
        if paths[0] and paths[1]:
            pairs.append(read_pair(paths[0], paths[1]))
        elif alone := paths[0] or paths[1]:
            raise DigitsDamaged(f"The pool has {alone} but not the file that belongs to it; put both there.")
    if not pairs:
        raise DigitsDamaged(f"The pool {folder} has no {FILES['train_images']} with its labels; give another folder.")
    images, labels = (np.concatenate(arrays) for arrays in zip(*pairs))
    missing = sorted(set(range(10)) - set(labels.tolist()))
    if missing:
        raise DigitsDamaged(f"The pool {folder} has no digit {missing[0]}; a pool needs all ten.")
    _, first = np.unique(images.reshape(len(images), -1).view("V784").ravel(), return_index=True)
    kept = np.sort(first)  # a picture that is there twice could be trained on and tested as well
    fingerprint = hashlib.sha256(images[kept].tobytes() + labels[kept].tobytes()).hexdigest()[:12]
    return Pool(images[kept], labels[kept], fingerprint)


def sample(pool: Pool, rng: np.random.Generator, train: int = 7996, test: int = 2004) -> Digits:
    """Draw digits at random, none of them twice. Raises DigitsDamaged when the pool is too small."""
    if len(pool.labels) < train + test:
        raise DigitsDamaged(f"The pool has {len(pool.labels):,} different digits; a run needs {train + test:,} of it.")
    drawn = rng.permutation(len(pool.labels))[: train + test]
    images, labels = pool.images[drawn], pool.labels[drawn]
    return Digits(images[:train], labels[:train], images[train:], labels[train:])


def idx_files(folder: Path) -> dict[str, Path]:
    """{MNIST's own file name: path}; of two files with one name, the one nearest to the top."""
    found: dict[str, Path] = {}
    try:
        files = [path for level in LEVELS for path in sorted(folder.glob(level)) if path.is_file()]
    except OSError as error:
        raise DigitsDamaged(f"The pool {folder} cannot be read ({error.strerror}); give another folder.") from error
    for path in files:
        found.setdefault(path.name.removesuffix(".gz").replace(".", "-"), path)
    return found


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 28, 28) and their labels (N,), 0..9. Raises DigitsDamaged."""
    pictures, names = read_idx(images, AXES["images"]), read_idx(labels, AXES["labels"])
    if len(pictures) != len(names):
        raise DigitsDamaged(
            f"{images} has {len(pictures):,} images and {labels} has {len(names):,} labels; get files that belong "
            "together."
        )
    if names.max() > 9:
        raise DigitsDamaged(f"{labels} has the label {names.max()}; labels of digits are 0 to 9.")
    return pictures, names


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The uint8 array in an IDX file, compressed or not; digits.write_idx says what the format is."""
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DigitsDamaged(f"The digits file {path} cannot be read ({error}); get it again.") from error
    start = 4 + 4 * axes
    if len(content) < start or content[:4] != bytes([0, 0, 8, axes]):
        raise DigitsDamaged(f"{path} is not an IDX file of bytes with {axes} axes; get it again.")
    shape = struct.unpack(f">{axes}I", content[4:start])
    if shape[0] == 0 or shape[1:] not in ((), (28, 28)):
        raise DigitsDamaged(f"{path} announces the shape {shape}; it must hold pictures of 28 x 28 pixels.")
    if len(content) != start + math.prod(shape):
        raise DigitsDamaged(
            f"{path} is damaged: {len(content):,} bytes, not {start + math.prod(shape):,}; get it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
