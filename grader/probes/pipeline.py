"""The student's whole pipeline on the digits of the run: loaders, model, training, scores."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from grader.engine.worker.beside_student.probing import attempt, probe
from grader.engine.worker.raised import Raised

SAMPLES = 8  # images of the student's training loader shown in the report
FILTERS = 64  # first-layer weights shown in the report
PIXELS = 28 * 28
LABELS_BEGIN = 8  # bytes of an IDX file before its labels
EPOCHS = 1000  # of the history: more are not sent
HISTORY = ("train_loss", "val_loss", "val_accuracy")


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


# messages of Python name the class of what they speak of: these are to students what they had before
Counted.__name__ = Counted.__qualname__ = "DataLoader"
Cached.__name__ = Cached.__qualname__ = "Dataset"


@probe("train", "model", "data")
def train_and_score(student: Any, root: str) -> dict[str, Any]:
    """Train as the student's code does, with its own defaults, and return the scores of the test images.

    Where that stops: {stage: its name below, stopped: what was raised}, and nothing else.

    root: a folder for torchvision.datasets.MNIST
    inputs: (N, 784) float32, and scores: what the network gave for them, float32, (N, 10) if it is right; both in
    the order of the student's test loader (or of the one that stands in its place, see `the_one_to_score`)
    history: {train_loss, val_loss, val_accuracy: lists of floats}, as fit returned them; empty where it did not
    tensors: whether the history holds some where numbers are asked for
    passes: how often fit began to go through the training loader, -1 where that was not counted
    epochs: the default of fit's argument of that name, nan where it has none
    samples: {images, labels: int64} of the first training batch, at most SAMPLES, in the shape they came
    first_layer: (units, 28, 28) or (filters, height, width) float32, where there is such a layer
    """
    try:
        return whole(student, root)
    except Stopped as error:
        return {"stage": error.stage, "stopped": error.raised}


def whole(student: Any, root: str) -> dict[str, Any]:
    loaders = stage("make_loaders", student.function("data", "make_loaders"), root)
    train_loader, val_loader, test_loader = stage("make_loaders", three, loaders)
    batches = stage("training loader", drawn, train_loader)
    steady = batches is not None and agrees(train_loader)
    used = cached(train_loader, batches, student.progress) if steady else train_loader
    val_batches = stage("validation loader", drawn, val_loader) if steady else None
    used_val = cached(val_loader, val_batches, None, shuffle=False)
    model = stage("DigitClassifier", student.function("model", "DigitClassifier"))
    fit = student.function("train", "fit")
    history = stage("fit", fit, model, used, used_val)
    inputs, scores = stage("scores", score, model, the_one_to_score(root, test_loader, val_loader))
    first = batches[0] if batches else next(iter(train_loader))
    answer = {
        "inputs": inputs,
        "scores": scores,
        "history": {key: floats(history.get(key)) if isinstance(history, dict) else [] for key in HISTORY},
        "tensors": isinstance(history, dict) and any(map(holds_tensors, history.values())),
        "passes": used.passes if isinstance(used, Counted) else -1,
        "epochs": default(fit, "epochs"),
        "samples": {"images": float32(first[0][:SAMPLES]), "labels": float32(first[1][:SAMPLES]).astype(np.int64)},
    }
    if (layer := first_layer(model)) is not None:
        answer["first_layer"] = layer
    return answer


class Stopped(Exception):
    """A step of the pipeline raised something."""

    def __init__(self, stage: str, raised: Raised):
        super().__init__(stage)
        self.stage, self.raised = stage, raised


def stage(name: str, function: Any, *args: Any) -> Any:
    """One step of the pipeline, by its name. Raises Stopped."""
    value, raised = attempt(function, *args)
    if raised is not None:
        raise Stopped(name, raised)
    return value


def three(loaders: Any) -> tuple[Any, Any, Any]:
    """As every caller of make_loaders takes what it gives. Raises what Python says where these are not three things."""
    train_loader, val_loader, test_loader = loaders
    return train_loader, val_loader, test_loader


def the_one_to_score(root: str, test_loader: Any, val_loader: Any) -> Any:
    """The test loader; that for validation where it alone has as many images as the test file: they are swapped.

    Another check names that, and the accuracy is what it is.
    """
    tests = (Path(root) / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").stat().st_size - LABELS_BEGIN
    sizes = [attempt(lambda loader=loader: len(loader.dataset))[0] for loader in (test_loader, val_loader)]
    return val_loader if sizes[1] == tests != sizes[0] else test_loader


def default(function: Any, name: str) -> float:
    """The default of an argument, nan where it is no number or there is none."""
    try:
        value = inspect.signature(function).parameters[name].default
        return float(value) if type(value) in (int, float) else float("nan")
    except (TypeError, ValueError, KeyError, OverflowError):
        return float("nan")


def drawn(loader: Any, enough: float = float("inf")) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    """One pass over a loader, or None when it is not a DataLoader of (images, labels) tensors. enough: images."""
    if not isinstance(loader, DataLoader):
        return None
    batches = []
    for batch in loader:
        if not (isinstance(batch, (list, tuple)) and len(batch) == 2 and all(map(torch.is_tensor, batch))):
            return None
        # not the shared memory of a loader's workers: each batch of it holds two open files
        batches.append((batch[0].clone(), batch[1].clone()))
        enough -= len(batch[1])
        if enough <= 0:
            break
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
    model.eval()
    inputs, scores = [], []
    with torch.no_grad():
        for images, _ in loader:
            inputs.append(as_digits(images).copy())  # before: forward may write into its batch
            scores.append(float32(model(images)))
    return np.concatenate(inputs), np.concatenate(scores)


def as_digits(images: Any) -> np.ndarray:
    """(N, 784) float32, by which the trusted side knows them: colours averaged, and brought to 28 x 28."""
    pictures = torch.as_tensor(images).detach().to("cpu", torch.float32)
    count = len(pictures)
    if pictures.numel() != count * PIXELS and pictures.ndim in (3, 4):
        grey = pictures.mean(dim=1, keepdim=True) if pictures.ndim == 4 else pictures[:, None]
        pictures = torch.nn.functional.interpolate(grey, size=(28, 28), mode="bilinear", antialias=True)
    return np.asarray(pictures.reshape(count, -1)[:, :PIXELS].numpy())


def float32(tensor: Any) -> np.ndarray:
    return np.asarray(torch.as_tensor(tensor).detach().to("cpu", torch.float32).numpy())


def floats(values: Any) -> list[float]:
    """A list of the history; nan for an entry that is no number."""
    entries = []
    for value in list(values)[:EPOCHS] if isinstance(values, (list, tuple)) else []:
        try:
            entries.append(float(value))
        except (TypeError, ValueError):
            entries.append(float("nan"))
    return entries


def holds_tensors(values: Any) -> bool:
    return torch.is_tensor(values) or (isinstance(values, (list, tuple)) and any(map(torch.is_tensor, values[:EPOCHS])))


def first_layer(model: Any) -> np.ndarray | None:
    """The first weights that look at pixels: (units, 28, 28) of a linear layer, or (filters, h, w) of a convolution."""
    for weight in parameters(model):
        if weight.ndim == 2 and weight.shape[1] == 784:
            return float32(weight[:FILTERS]).reshape(-1, 28, 28)
        if weight.ndim == 4 and weight.shape[1] == 1:
            return float32(weight[:FILTERS, 0])
    return None


def parameters(model: Any) -> Iterator[torch.Tensor]:
    yield from model.parameters() if isinstance(model, torch.nn.Module) else ()
