"""A faulty preparation of the pictures does not cost the accuracy that was reached with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torchvision import transforms

from grader import digits
from grader.checks.accuracy.recognise import match
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.rubric import load_rubric
from grader.probes.pipeline import as_digits

STEPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "as it is": lambda picture: picture,
    "scaled": transforms.Normalize((0.1,), (0.3,)),
    "inverted": lambda picture: 1 - picture,
    "black and white": lambda picture: (picture > 0.5).float(),
    "each on its own scale": lambda picture: (picture - picture.mean()) / picture.std(),
    "transposed": lambda picture: picture.transpose(1, 2),
    "three colours": lambda picture: picture.repeat(3, 1, 1),
    "larger": transforms.Resize(40, antialias=True),
    "channel last": lambda picture: picture.permute(1, 2, 0),
    "flat": torch.flatten,
}
AT_RANDOM = {  # recognised where the order of the file is kept
    "turned": transforms.RandomRotation(15),
    "mirrored": transforms.RandomHorizontalFlip(),
    "moved": transforms.RandomCrop(28, padding=4),
    "with a border": transforms.Pad(2),
}


@pytest.fixture(scope="module")
def shown() -> digits.Digits:
    return digits.secret(digits.load(), np.random.default_rng(3)).shown


def prepared(images: np.ndarray, step: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    torch.manual_seed(0)
    return as_digits(torch.stack([step(picture) for picture in torch.tensor(images).float()[:, None] / 255]))


def found(inputs: np.ndarray, shown: digits.Digits) -> np.ndarray:
    return match(inputs, shown.test_images, shown.train_images, np.random.default_rng(2))


@pytest.mark.parametrize("name", STEPS)
def test_digits_are_known_in_any_order(name, shown):
    order = np.random.default_rng(1).permutation(len(shown.test_labels))
    assert np.mean(found(prepared(shown.test_images[order], STEPS[name]), shown) == order) > 0.98


@pytest.mark.parametrize("name", AT_RANDOM)
def test_digits_that_change_are_known_in_the_order_of_the_file(name, shown):
    which = found(prepared(shown.test_images[:500], AT_RANDOM[name]), shown)
    assert which.tolist() == list(range(500))


def test_what_is_no_test_digit_counts_as_none_and_each_counts_once(shown):
    assert (found(prepared(shown.train_images[: len(shown.test_labels)], STEPS["scaled"]), shown) == -1).all()
    noise = np.random.default_rng(0).normal(size=(500, 28 * 28)).astype(np.float32)
    assert (found(noise, shown) == -1).all()
    few = prepared(shown.test_images[:40], STEPS["inverted"])
    which = found(np.concatenate([few, few, few]), shown)
    assert sorted(which[which >= 0]) == list(range(40))


@pytest.mark.parametrize("name", ["one pixel", "scaled", "mirrored", "turned"])
def test_training_pictures_that_were_touched_up_count_as_none(name, shown):
    inputs = prepared(shown.train_images[: 2 * len(shown.test_labels)], (STEPS | AT_RANDOM).get(name, STEPS["scaled"]))
    inputs[0, 0] += 5.0 * np.ptp(inputs)  # then none of them is found exactly
    assert (found(inputs, shown) == -1).all()


def test_digits_that_change_at_random_are_known_in_another_order_too(shown):
    order = np.random.default_rng(1).permutation(len(shown.test_labels))
    which = found(prepared(shown.test_images[order], AT_RANDOM["turned"]), shown)
    assert np.mean(which >= 0) > 0.9 and np.mean(which == order) > 0.4


def test_inverted_pictures_and_swapped_loaders_keep_the_accuracy_they_reach(graded):
    step, order = "transforms.Normalize((MEAN,), (STD,)),", "return train_loader, val_loader, test_loader"
    data = corpus.reference()["data.py"]
    assert step in data and order in data
    data = data.replace(step, "transforms.RandomInvert(p=1.0), transforms.Normalize((0.5,), (0.5,)),")
    data = data.replace(order, "return train_loader, test_loader, val_loader")
    result = graded(corpus.reference() | {"data.py": data}, load_rubric(WEEK), parts=["data", "accuracy"])
    found = [check.finding for check in result.checks]
    assert result.recorded["accuracy"]["test"] > 0.8 and "accuracy-images-missing" not in found
    assert {"inverted-pixels", "loaders-in-another-order"} <= set(found)
