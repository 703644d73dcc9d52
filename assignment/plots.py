"""Given, nothing to do here: what you see of your digits, your training and your network's mistakes.

    python assignment/plots.py      saves a picture of eight digits; it works before the first TODO

Each draw_... function saves one PNG in the folder plots/ and returns its path.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure  # without pyplot: pictures are saved, so no display is needed
from matplotlib.ticker import MaxNLocator

FOLDER = Path(__file__).resolve().parent / "plots"
CLASSES = Path(__file__).resolve().parent / "digits" / "classes.txt"  # their names, one a line, by label
BLUE, ORANGE, GREY = "#2166ac", "#d9730d", "#666666"


class Progress:
    """A loader that shows a progress bar while it is read; in everything else it is the loader it was given."""

    def __init__(self, loader: Any):
        self.loader = loader
        self.epoch = 0

    def __iter__(self) -> Iterator[Any]:
        from tqdm import tqdm

        self.epoch += 1
        yield from tqdm(self.loader, desc=f"epoch {self.epoch}", unit="batch", leave=False)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not set yet, as while unpickling
            raise AttributeError(name)
        return getattr(self.loader, name)


def print_history(history: dict[str, list[float]]) -> None:
    """One line per epoch: losses and validation accuracy."""
    wanted = ("train_loss", "val_loss", "val_accuracy")
    if not isinstance(history, dict) or any(name not in history for name in wanted):
        raise SystemExit(f"TODO 7: fit must return a dict with the keys {', '.join(wanted)}; it returned {history!r}")
    print("\nepoch  train loss  val loss  val accuracy")
    columns = zip(*(history[name] for name in wanted), strict=False)
    for epoch, (train_loss, val_loss, accuracy) in enumerate(columns, start=1):
        print(f"{epoch:5}  {float(train_loss):10.3f}  {float(val_loss):8.3f}  {float(accuracy):12.3f}")


def draw_all(history: dict[str, list[float]], model: Any, loader: Any, device: str = "cpu") -> None:
    """Draw curves, confusion matrix and worst mistakes; print where they are."""
    seen = predictions(model, loader, device)
    for path in (draw_curves(history), draw_confusion(*seen), draw_mistakes(*seen)):
        print(f"saved {path}")


def predictions(model: Any, loader: Any, device: str = "cpu") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (N, 28, 28), labels (N,) and scores (N, 10) of a whole loader, as numpy arrays."""
    import torch

    pictures, answers, outputs = [], [], []
    model.train(False)
    with torch.inference_mode():
        for batch, wanted in loader:
            outputs.append(model(batch.to(device)).float().cpu().numpy())
            pictures.append(batch.reshape(-1, 28, 28).numpy())
            answers.append(wanted.numpy())
    return np.concatenate(pictures), np.concatenate(answers), np.concatenate(outputs)


def class_names() -> list[str]:
    """What the labels 0 to 9 stand for."""
    return CLASSES.read_text(encoding="utf-8").splitlines() if CLASSES.is_file() else list("0123456789")


def show_digits(root: Path | str, count: int = 8) -> Path:
    """Draw the first digits of the training file, as they are before any preparation."""
    from digits_source import read_idx

    raw = Path(root) / "MNIST" / "raw"
    images = read_idx(raw / "train-images-idx3-ubyte")[:count]
    labels = read_idx(raw / "train-labels-idx1-ubyte")[:count]
    names = class_names()
    figure = Figure(figsize=(1.4 * count, 1.9), layout="constrained")
    for axes, image, label in zip(row_of_axes(figure, 1, count), images, labels, strict=False):
        picture(axes, image, f"label {label}" if names[label] == str(label) else f"{label}: {names[label]}")
    return save(figure, "digits.png")


def draw_curves(history: dict[str, list[float]]) -> Path:
    """Draw the losses and the validation accuracy over the epochs."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = row_of_axes(figure, 1, 2)
    curve(left, history["train_loss"], BLUE, "training")
    curve(left, history["val_loss"], ORANGE, "validation")
    curve(right, history["val_accuracy"], ORANGE, "validation")
    left.set(title="Loss: lower is better", xlabel="epoch", ylim=(0, None))
    right.set(title="Accuracy: higher is better", xlabel="epoch")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return save(figure, "curves.png")


def draw_confusion(images: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> Path:
    """Draw how often each digit (row) is taken for each digit (column)."""
    guesses = np.argmax(scores, axis=1)
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (labels, guesses), 1)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(table > 0):
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, str(table[row, column]), ha="center", va="center", color=colour, fontsize=9)
    right = int(np.trace(table))
    names = class_names()
    axes.set(xlabel="what the network says", ylabel="what it is")
    axes.set_xticks(range(10), names, rotation=0 if max(map(len, names)) < 4 else 90)
    axes.set_yticks(range(10), names)
    axes.set_title(f"{right:,} of {len(labels):,} right ({right / max(len(labels), 1):.1%})")
    return save(figure, "confusion.png")


def draw_mistakes(images: np.ndarray, labels: np.ndarray, scores: np.ndarray, count: int = 12) -> Path:
    """Draw the digits where the network is wrong and most sure of it."""
    guesses = np.argmax(scores, axis=1)
    rows = np.arange(len(labels))
    sureness = scores[rows, guesses] - scores[rows, labels]  # 0 where the answer is right
    names = class_names()
    worst = [i for i in np.argsort(-sureness, kind="stable")[:count] if guesses[i] != labels[i]]

    columns = 6
    figure = Figure(figsize=(1.5 * columns, 1.9 * -(-count // columns) + 0.3), layout="constrained")
    figure.suptitle("Wrong and sure of it" if worst else "Not one mistake")
    for place, axes in enumerate(row_of_axes(figure, -(-count // columns), columns)):
        if place < len(worst):
            i = worst[place]
            picture(axes, images[i], f"{names[labels[i]]} seen as {names[guesses[i]]}")
        else:
            axes.axis("off")
    return save(figure, "mistakes.png")


def row_of_axes(figure: Figure, rows: int, columns: int) -> list[Axes]:
    return list(figure.subplots(rows, columns, squeeze=False).flat)


def curve(axes: Axes, values: list[float], colour: str, label: str) -> None:
    heights = [float(value) for value in values]
    axes.plot(range(1, len(heights) + 1), heights, marker="o", color=colour, label=label)


def picture(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, cmap="gray_r")
    axes.set_title(title, fontsize=10, color=GREY)
    axes.axis("off")


def save(figure: Figure, name: str) -> Path:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n", encoding="utf-8")  # pictures of one run are nothing to commit
    figure.savefig(FOLDER / name, dpi=120)
    return FOLDER / name


if __name__ == "__main__":
    from command_line import kind_endings
    from digits_source import find_digits

    with kind_endings():
        print(f"saved {show_digits(find_digits('bundled', Path(__file__).parent))}")
