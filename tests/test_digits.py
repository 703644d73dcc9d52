"""The digits of a run: the view they are seen through, and the pool they may be drawn from."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from grader.digits import DigitsDamaged, load, write_idx
from grader.pool import load_pool, sample

BUNDLED = load()


# -- the pool ------------------------------------------------------------------------------------------------


def test_a_run_draws_its_own_digits_from_the_pool(tmp_path):
    """The bundled training digits as a pool of 7,996, split into two files."""
    raw = written(tmp_path, 5_000, 2_996)
    pool = load_pool(tmp_path)
    assert len(pool.labels) == 7_996
    one, again, other = (sample(pool, np.random.default_rng(seed), train=3_000, test=800) for seed in (1, 1, 2))
    assert one.train_images.shape == (3_000, 28, 28) and one.test_images.shape == (800, 28, 28)
    assert np.array_equal(one.test_images, again.test_images) and np.array_equal(one.train_labels, again.train_labels)
    assert len(pictures(one.test_images) & pictures(other.test_images)) < 200  # 80 by chance
    assert not pictures(one.train_images) & pictures(one.test_images)
    label_of = dict(zip(map(bytes, BUNDLED.train_images), BUNDLED.train_labels))
    for images, labels in ((one.train_images, one.train_labels), (one.test_images, one.test_labels)):
        assert all(label_of[bytes(image)] == label for image, label in zip(images, labels))
    for name in raw.iterdir():  # the order of the files in the folder says nothing
        name.touch()
    assert load_pool(tmp_path).fingerprint == pool.fingerprint


def written(folder: Path, train: int = 300, test: int = 100) -> Path:
    """The first bundled training digits as the four files of MNIST; returns the folder of the files."""
    images, labels = BUNDLED.train_images, BUNDLED.train_labels
    write_idx(folder, images[:train], labels[:train], images[train : train + test], labels[train : train + test])
    return folder / "MNIST" / "raw"


def pictures(images: np.ndarray) -> set[bytes]:
    return set(map(bytes, images))


def test_kaggle_names_compressed_files_and_one_part_alone_are_read(tmp_path):
    raw = written(tmp_path)
    whole = load_pool(tmp_path)
    for path in list(raw.iterdir()):
        path.rename(raw / path.name.replace("-idx", ".idx"))
    assert load_pool(tmp_path).fingerprint == whole.fingerprint
    for path in list(raw.iterdir()):
        nested = raw / path.name.replace(".idx", "-idx")
        nested.mkdir()
        path.rename(nested / nested.name)
    assert load_pool(tmp_path).fingerprint == whole.fingerprint
    for path in list(raw.glob("*/*")):
        (raw / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load_pool(tmp_path).fingerprint == whole.fingerprint
    for path in raw.glob("t10k*.gz"):
        path.unlink()
    assert len(load_pool(tmp_path).labels) == 300


def test_a_picture_that_is_there_twice_is_drawn_once(tmp_path):
    images, labels = BUNDLED.train_images, BUNDLED.train_labels
    write_idx(tmp_path, images[:300], labels[:300], images[200:400], labels[200:400])
    pool = load_pool(tmp_path)
    assert len(pool.labels) == 400
    drawn = sample(pool, np.random.default_rng(0), train=300, test=100)
    assert not pictures(drawn.train_images) & pictures(drawn.test_images)


def test_a_pool_that_is_too_small_says_how_many_it_has(tmp_path):
    written(tmp_path)
    with pytest.raises(DigitsDamaged, match="400 different digits; a run needs 10,000"):
        sample(load_pool(tmp_path), np.random.default_rng(0))


def shortened(raw: Path) -> None:
    path = raw / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])


def wide(raw: Path) -> None:
    path = raw / "t10k-images-idx3-ubyte"
    path.write_bytes(struct.pack(">HBB3I", 0, 8, 3, 100, 14, 56) + path.read_bytes()[16:])


def of_floats(raw: Path) -> None:
    path = raw / "t10k-images-idx3-ubyte"
    path.write_bytes(struct.pack(">HBB", 0, 13, 3) + path.read_bytes()[4:])


def empty(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(b"")


def none_at_all(raw: Path) -> None:
    (raw / "train-images-idx3-ubyte").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 0, 28, 28))


def too_many(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 2**32 - 1) + b"\1")


def no_labels(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").unlink()


def other_labels(raw: Path) -> None:
    (raw / "train-labels-idx1-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())


def letters(raw: Path) -> None:
    path = raw / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")


def no_sevens(raw: Path) -> None:
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
        content = (raw / name).read_bytes()
        (raw / name).write_bytes(content[:8] + content[8:].replace(b"\7", b"\1"))


def half_a_gz(raw: Path) -> None:
    path = raw / "train-images-idx3-ubyte"
    (raw / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:-20])
    path.unlink()


def nothing(raw: Path) -> None:
    for path in raw.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (shortened, "train-images-idx3-ubyte is damaged: 235,215 bytes, not 235,216"),
        (wide, r"t10k-images-idx3-ubyte announces the shape \(100, 14, 56\)"),
        (of_floats, "t10k-images-idx3-ubyte is not an IDX file of bytes"),
        (empty, "train-labels-idx1-ubyte is not an IDX file of bytes"),
        (none_at_all, r"announces the shape \(0, 28, 28\)"),
        (too_many, "9 bytes, not 4,294,967,303"),
        (no_labels, "has .*train-images-idx3-ubyte but not the file that belongs to it"),
        (other_labels, "has 300 images and .* has 100 labels"),
        (letters, "has the label 11"),
        (no_sevens, "has no digit 7"),
        (half_a_gz, "train-images-idx3-ubyte.gz cannot be read"),
        (nothing, "has no train-images-idx3-ubyte"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_pool_ends_with_one_sentence(tmp_path, damage, says):
    damage(written(tmp_path))
    with pytest.raises(DigitsDamaged, match=says) as raised:
        load_pool(tmp_path)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_a_pool_that_is_not_there_says_so(tmp_path):
    with pytest.raises(DigitsDamaged, match="nowhere has no train-images"):
        load_pool(tmp_path / "nowhere")
