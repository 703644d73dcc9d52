"""The digits of a run: the view they are seen through, and the pool they may be drawn from."""

from __future__ import annotations

import gzip
import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from grader.digits import DigitsDamaged, load, secret, write_idx
from grader.pool import load_pool, sample
from grader.view import BEND, CENTRE, PIXELS, SIZE, displacement, random_view, seen_through

BUNDLED = load()
SEEDS = range(12)


# -- the view ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_view_is_one_to_one_and_keeps_neighbours(seed):
    """The grid of pixels does not fold: every cell keeps its side up, and no two pixels look at the same place."""
    places = random_view(np.random.default_rng(seed)).reshape(2, SIZE, SIZE)
    down, right = np.diff(places, axis=1)[:, :, :-1], np.diff(places, axis=2)[:, :-1]
    area = down[0] * right[1] - down[1] * right[0]
    assert (area > 0).all() or (area < 0).all()
    flat = places.reshape(2, -1)
    apart = np.hypot(*(flat[:, :, None] - flat[:, None, :]))
    between = np.hypot(*(PIXELS[:, :, None] - PIXELS[:, None, :]))
    ratio = apart[between > 0] / between[between > 0]
    assert ratio.min() > 0.03 and ratio.max() < 3  # STEEPEST leaves 0.05 of a distance, times scale and stretch


@pytest.mark.parametrize("seed", SEEDS)
def test_a_view_is_no_affine_map(seed):
    """Left over after the best affine map, near the middle: as much as was asked for."""
    near = np.hypot(*PIXELS) <= 12
    plane = np.vstack([PIXELS, np.ones(SIZE * SIZE)])[:, near].T
    for bend in (BEND / 2, BEND):
        field = displacement(np.random.default_rng(seed), bend)[:, near]
        left = field - (plane @ np.linalg.lstsq(plane, field.T, rcond=None)[0]).T
        assert np.sqrt((left**2).sum(axis=0).mean()) == pytest.approx(bend)


def test_hardly_any_ink_is_cut_off():
    """Ink that leaves the picture: weighed with the area that each pixel looks at."""
    ink = np.rint(BUNDLED.test_images.mean(axis=0)).astype(np.uint8)
    for seed in SEEDS:
        places = random_view(np.random.default_rng(seed))
        across = np.gradient(places.reshape(2, SIZE, SIZE), axis=(1, 2))
        area = np.abs(across[0][0] * across[1][1] - across[0][1] * across[1][0])
        assert (seen_through(places, ink[None])[0] * area).sum() > 0.95 * ink.sum(), seed


def test_an_upright_view_changes_nothing_and_outside_is_black():
    images = BUNDLED.test_images[:700]  # more than one block
    assert np.array_equal(seen_through(PIXELS + CENTRE, images), images)
    moved = seen_through(PIXELS + CENTRE - [[1.0], [0.0]], images)
    assert np.array_equal(moved[:, 1:], images[:, :-1]) and not moved[:, 0].any()
    assert not seen_through(PIXELS + 100, images).any()
    halfway = seen_through(PIXELS + CENTRE + [[0.0], [0.5]], images)[:, :, :-1]
    assert np.abs(halfway - (images[:, :, :-1] / 2 + images[:, :, 1:] / 2)).max() <= 0.5


def test_a_run_shows_all_its_digits_through_one_view():
    """The same random numbers give the same run; the same picture looks the same in both files."""
    doubled = type(BUNDLED)(*(array[:400] for array in (BUNDLED.train_images, BUNDLED.train_labels) * 2))
    made, again, other = (secret(doubled, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert pictures(made.shown.train_images) == pictures(made.shown.test_images)
    assert np.array_equal(made.shown.train_images, again.shown.train_images)
    assert np.array_equal(made.truth, again.truth)
    assert not pictures(made.shown.train_images) & pictures(other.shown.train_images)


def test_fingerprints_of_the_shipped_digits_stay_below_the_first_tier():
    """The best single fingerprint of the benchmark, which tells every digit when they are only turned and mirrored."""
    features = benchmark("view_features")
    stored, labels = BUNDLED.test_images, BUNDLED.test_labels

    def recognised(places: np.ndarray) -> float:
        seen = seen_through(places, stored[:400])
        ours, theirs = (standardised(features.affine_fourier_rings(x / np.float32(255))) for x in (seen, stored))
        nearest = ((theirs**2).sum(axis=1) - 2 * ours @ theirs.T).argmin(axis=1)
        return float((labels[nearest] == labels[:400]).mean())

    turned = np.array([[np.cos(2), np.sin(2)], [np.sin(2), -np.cos(2)]]) @ PIXELS + CENTRE
    assert recognised(turned) > 0.95
    reached = [recognised(random_view(np.random.default_rng(seed))) for seed in range(4)]
    assert max(reached) < 0.70  # the first tier as it was shipped


def standardised(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(axis=0)) / features.std(axis=0)


def benchmark(name: str):
    path = Path(__file__).parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
