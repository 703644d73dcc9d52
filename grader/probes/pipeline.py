"""The student's whole pipeline on the digits of the run: loaders, model, training, scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from grader.engine.worker.beside_student.probing import probe

SAMPLES = 8  # images of the student's training loader shown in the report
FILTERS = 64  # first-layer weights shown in the report


class Cached(Dataset[Any]):
    """Prepared images and labels in memory; a whole batch is taken at once."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index], self.labels[index]

    __getitems__ = __getitem__


class Counted(DataLoader[Any]):
    """A DataLoader that reports each pass over it, which is an epoch."""

    report: Any = None
    passes = 0

    def __iter__(self) -> Any:
        batches = super().__iter__()
        self.passes += 1
        self.report(epoch=self.passes)
        return batches


@probe("train", "model", "data")
def train_and_score(student: Any, root: str) -> dict[str, Any]:
    """Train as the student's code does, with its own defaults, and return the scores of the test images.

    root: a folder for torchvision.datasets.MNIST. Returns inputs (N, 784) and scores (N, 10) in the order of
    the student's test loader, the history, and arrays for the report.
    """
    train_loader, val_loader, test_loader = student.function("data", "make_loaders")(root)
    batches = draw(train_loader)
    steady = batches is not None and agrees(train_loader)
    used = cached(train_loader, batches, student.progress) if steady else train_loader
    used_val = cached(val_loader, draw(val_loader), None, shuffle=False) if steady else val_loader
    model = student.function("model", "DigitClassifier")()
    history = student.function("train", "fit")(model, used, used_val if used_val is not None else val_loader)
    model.eval()
    inputs, scores = score(model, test_loader)
    answer: dict[str, Any] = {"inputs": inputs, "scores": scores, "cached": steady}
    for key in ("train_loss", "val_loss", "val_accuracy"):
        answer[key] = numbers(history.get(key)) if isinstance(history, dict) else []
    first = batches[0] if batches else next(iter(train_loader))
    answer["sample_images"] = plain(first[0][:SAMPLES])
    answer["sample_labels"] = plain(first[1][:SAMPLES]).astype(np.int64)
    if (layer := first_layer(model)) is not None:
        answer["first_layer"] = layer
    return answer


def draw(loader: Any) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    """One pass over a loader, or None when it is not a DataLoader of (images, labels) tensors."""
    if not isinstance(loader, DataLoader):
        return None
    batches = []
    for batch in loader:
        if not (isinstance(batch, (list, tuple)) and len(batch) == 2 and all(map(torch.is_tensor, batch))):
            return None
        batches.append((batch[0], batch[1]))
    return batches or None


def agrees(loader: Any) -> bool:
    """Whether the same image is prepared alike every time, so that drawing it once is enough."""
    dataset = loader.dataset
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        return False
    try:
        for index in range(0, len(dataset), max(1, len(dataset) // 12)):
            one, two = dataset[index], dataset[index]
            if not (torch.is_tensor(one[0]) and torch.equal(one[0], two[0])):
                return False
    except Exception:  # an IterableDataset has a __getitem__ that only raises; a sampler may use other indices
        return False
    return True


def cached(loader: Any, batches: Any, report: Any, shuffle: bool = True) -> Any:
    """A loader over the drawn tensors with the student's batch size, reshuffled every epoch."""
    if batches is None:
        return loader
    dataset = Cached(torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches]))
    size = loader.batch_size or len(batches[0][1])
    fast = Counted(dataset, batch_size=size, shuffle=shuffle, drop_last=loader.drop_last and shuffle, collate_fn=same)
    fast.report = report or (lambda **_: None)
    return fast


def same(batch: Any) -> Any:
    return batch


def score(model: Any, loader: Any) -> tuple[np.ndarray, np.ndarray]:
    inputs, scores = [], []
    with torch.no_grad():
        for images, _ in loader:
            scores.append(plain(model(images)))
            inputs.append(plain(images).reshape(len(images), -1))
    return np.concatenate(inputs), np.concatenate(scores)


def plain(tensor: Any) -> np.ndarray:
    return np.asarray(torch.as_tensor(tensor).detach().to("cpu", torch.float32).numpy())


def numbers(values: Any) -> list[float]:
    found = []
    for value in list(values)[:1000] if isinstance(values, (list, tuple)) else []:
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            found.append(float("nan"))
    return found


def first_layer(model: Any) -> np.ndarray | None:
    """The first weights that look at pixels: (units, 28, 28) of a linear layer, or (filters, h, w) of a convolution."""
    for weight in parameters(model):
        if weight.ndim == 2 and weight.shape[1] == 784:
            return plain(weight[:FILTERS]).reshape(-1, 28, 28)
        if weight.ndim == 4 and weight.shape[1] == 1:
            return plain(weight[:FILTERS, 0])
    return None


def parameters(model: Any) -> Iterator[torch.Tensor]:
    yield from model.parameters() if isinstance(model, torch.nn.Module) else ()
