"""The secret digits of a run, made once and written where a probe can read them."""

from __future__ import annotations

import hashlib

import numpy as np

from grader import digits, pool
from grader.engine.student import Student


def secret_digits(student: Student) -> digits.SecretDigits:
    """The run's digits, relabelled and seen through its view."""
    made: digits.SecretDigits = student.drawn(
        "digits.secret", lambda: digits.secret(drawn(student), student.rng("digits"))
    )
    return made


def drawn(student: Student) -> digits.Digits:
    """The digits of this run as a person would see them: the bundled ones, or a sample of the teacher's pool."""
    if isinstance(student.pool, pool.Pool):
        return pool.sample(student.pool, student.rng("pool"))
    return digits.load()


def secret_root(student: Student) -> str:
    """A root for torchvision.datasets.MNIST(root) with what student code may see of them."""
    shown = secret_digits(student).shown
    return written(student, shown.train_images, shown.train_labels, shown.test_images, shown.test_labels)


def written(
    student: Student,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
) -> str:
    """Write uint8 images and labels as IDX files; returns a root for torchvision.datasets.MNIST(root)."""
    key = hashlib.sha256(b"".join(a.tobytes() for a in (train_images, train_labels, test_images, test_labels)))
    root = student.folder(f"digits-{key.hexdigest()[:12]}")
    if not root.exists():
        unfinished = root.with_name(f"{root.name}.part")
        digits.write_idx(unfinished, train_images, train_labels, test_images, test_labels)
        unfinished.rename(root)  # whole or not at all: another run may come to it
    return str(root)
