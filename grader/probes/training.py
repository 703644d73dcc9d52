"""OBSERVE train.py: every function runs with the grader's own parts around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.engine.worker.beside_student.probing import MissingName, attempt, is_a, probe, untouched
from grader.engine.worker.raised import Raised
from grader.probes.settings import settle
from grader.probes.stand_ins import (
    OneLayer,
    Recorder,
    RecordingSGD,
    Table,
    Tender,
    loader_of,
    numbers_of,
    own,
    type_name,
)

NUMBERS = 8  # of what evaluate returned: more are not looked at
MANY = 2_000  # things in what evaluate returned: more are not counted


def as_number(value: Any) -> dict[str, Any]:
    """What a student's function gave in the place of a number: {type; graph: bool; value, when it has one}."""
    try:
        return number_form(value)
    except Exception:  # a tensor without numbers to copy (sparse, nested, meta), a class that misbehaves
        return {"type": type_name(value), "graph": False}


def number_form(value: Any) -> dict[str, Any]:
    if is_a(value, torch.Tensor):
        plain = torch.Tensor.detach(value)
        kind = "tensor" if plain.dim() == 0 else f"tensor of shape {list(plain.shape)}"
        form = {"type": kind, "graph": bool(value.requires_grad)}
        single = plain.numel() == 1 and not plain.is_complex()
        return form | ({"value": float(plain.to("cpu").reshape(-1)[0].item())} if single else {})
    if is_a(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiu":
        return {"type": "number", "graph": False, "value": float(value.reshape(-1)[0])}
    if is_a(value, bool, np.bool_) or not is_a(value, int, float, np.number):
        return {"type": type_name(value), "graph": False}
    return {"type": "number", "graph": False, "value": float(value)}


def as_pair(value: Any) -> dict[str, Any]:
    """What evaluate gave back: {type; count: of things in it; first, second: as numbers, when they are there;
    found: the numbers anywhere in it, at most NUMBERS}."""
    parts = list(islice(value, MANY)) if is_a(value, tuple, list) else [value]
    form: dict[str, Any] = {"type": type(value).__name__, "count": len(parts)}
    form["found"] = []
    with suppress(Exception):  # as in `as_number`
        form["found"] = numbers_in(value)
    return form | {name: as_number(part) for name, part in zip(("first", "second"), parts)}


def numbers_in(value: Any) -> list[float]:
    """The numbers in a tuple, a list, a dict, a tensor or an array, in order; at most NUMBERS."""
    many = is_a(value, tuple, list, dict) or is_a(value, torch.Tensor, np.ndarray) and value.ndim == 1
    values = value.values() if is_a(value, dict) else value if many else [value]
    return [number["value"] for number in map(as_number, islice(values, NUMBERS)) if "value" in number]


def call(function: Callable[..., Any], *args: Any) -> tuple[Any, Raised | None]:
    """Like `attempt`, whatever the call before left off or on, and with nothing of that kind left behind."""
    settle()
    try:
        return attempt(function, *args)
    finally:
        settle()


def tolerant(function: Callable[..., Any], *args: Any) -> tuple[Any, Raised | None, bool]:
    """Like `call`, but an untouched or missing function is also just an answer: (value, raised, todo)."""
    try:
        return *call(function, *args), False
    except (NotImplementedError, MissingName) as error:
        if isinstance(error, NotImplementedError) and untouched(error) is None:
            raise
        return None, None, True


@probe("train")
def epochs(
    student: Any,
    images: np.ndarray,
    labels: np.ndarray,
    other_labels: np.ndarray,
    many_images: np.ndarray,
    many_labels: np.ndarray,
    batch_size: int,
    weight: np.ndarray,
    loose: np.ndarray,
    frozen: np.ndarray,
    small: float,
    large: float,
) -> dict[str, Any]:
    """train_one_epoch of a one-layer network, over several batches, over each of them alone, and over many others.

    images: (N, 1, 28, 28) float32; labels: (N,) int64; weight, frozen: (10, 784), what the network starts with;
    loose: weights of size 1 for `still`
    other_labels: the same with other ones in the first batch; many_images, many_labels: of a long epoch
    small, large: learning rates
    alone: one epoch for each batch, with `small`; together: all batches, with `small`; momentum: the same with 0.9;
    resumed: with 0.9, in one call per batch; uncleared: with 0, and with the gradients that a call leaves
    large: all batches, with `large`; split: one call per batch, with `large`; still: all batches, learning rate 0
    relabelled: the first batch alone, with `small` and the other labels
    many: the long epoch, with `small`; pieces: the same in one call for every len(alone) of its batches
    each of them is {loss: as returned, or what was raised; left out when it is no number; weight: (10, 784) float64,
    afterwards; lr: of the optimizer, afterwards; events: forward, backward, step and empty-step in order;
    training: the mode of each pass that was learnt from, bools; of one batch also images_kept: whether the network got
    the images as they are, and slope: (10, 784) float64, see `slope_of`}
    """
    train_one_epoch = student.function("train", "train_one_epoch")
    whole, long = list(range(len(images))), list(range(len(many_images)))
    batches = [whole[at : at + batch_size] for at in range(0, len(images), batch_size)]
    pieces = [long[at : at + len(images)] for at in range(0, len(long), len(images))]

    def epoch(
        calls: list[list[int]],
        lr: float,
        momentum: float = 0.0,
        cleared: bool = True,
        images: np.ndarray = images,
        labels: np.ndarray = labels,
        weight: np.ndarray = weight,
    ) -> dict[str, Any]:
        recorder = Recorder()
        model = OneLayer(recorder, weight, frozen)
        optimizer = RecordingSGD(recorder, model.parameters(), lr, momentum)
        raised = value = None
        for chosen in calls:
            model.eval()  # as evaluate leaves it
            if cleared:
                model.zero_grad()
            loader = loader_of(images[chosen], labels[chosen], batch_size)
            value, raised = call(train_one_epoch, model, loader, optimizer)
            if raised is not None:
                break
        loss = raised if raised is not None else as_number(value).get("value")
        seen: dict[str, Any] = {} if loss is None else {"loss": loss}
        if len(calls) == 1 and len(calls[0]) <= batch_size:
            seen |= {"images_kept": images_kept(recorder, images), "slope": slope_of(recorder)}
        return seen | {
            "weight": numbers_of(model.parameters(), weight.shape),
            "lr": attempt(lambda: float(optimizer.param_groups[0]["lr"]))[0] or 0.0,
            "events": recorder.events,
            "training": used_in_training(recorder),
        }

    return {
        "alone": [epoch([chosen], small) for chosen in batches],
        "together": epoch([whole], small),
        "momentum": epoch([whole], small, 0.9),
        "resumed": epoch(batches, small, 0.9),
        "uncleared": epoch(batches, small, cleared=False),
        "large": epoch([whole], large),
        "split": epoch(batches, large),
        "still": epoch([whole], 0.0, weight=loose),
        "relabelled": epoch(batches[:1], small, labels=other_labels),
        "many": epoch([long], small, images=many_images, labels=many_labels),
        "pieces": epoch(pieces, small, images=many_images, labels=many_labels),
    }


def slope_of(recorder: Recorder) -> np.ndarray:
    """The gradient of a one-layer network's weights that belongs to what came back to its scores, over all passes."""
    total = torch.zeros(10, 28 * 28, dtype=torch.float64)
    for one in recorder.forwards:
        if one["gradient"]:
            arrived, chances = one["arrived"].double(), one["scores"].double().exp()
            sent = arrived - chances * arrived.sum(dim=1, keepdim=True)  # through log_softmax
            total += sent.T @ one["images"].reshape(len(sent), -1).double()
    return total.numpy()


class Seen(Exception):
    """Ends a loop once its network has seen its first images."""


class Looking(nn.Module):
    """A network that only looks where its images are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.device = ""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.device = images.device.type
        raise Seen


@probe("train")
def devices(student: Any) -> dict[str, Any]:
    """Where images go when they are sent to "meta": a device of every computer, where tensors have no values.

    train_one_epoch, evaluate, fit: the device of the first images that the network got from each; "" if it got none
    """
    loader = loader_of(np.zeros((4, 1, 28, 28), np.float32), np.zeros(4, np.int64), 2)

    def seen(name: str, model: Looking, *given: Any) -> str:
        def until_seen() -> None:
            with suppress(Seen):  # raised on purpose: no trouble of the grader's
                student.function("train", name)(model, *given, device="meta")

        tolerant(until_seen)
        return model.device

    model = Looking()
    return {
        "train_one_epoch": seen("train_one_epoch", model, loader, torch.optim.SGD(model.parameters(), lr=0.1)),
        "evaluate": seen("evaluate", Looking(), loader),
        "fit": seen("fit", Looking(), loader, loader),
    }


def used_in_training(recorder: Recorder) -> list[bool]:
    """The mode of each pass that was learnt from; of all passes, when none was."""
    learnt = [one["training"] for one in recorder.forwards if one["gradient"]]
    with_graph = [one["training"] for one in recorder.forwards if one["graph"]]
    return learnt or with_graph or [one["training"] for one in recorder.forwards]


def images_kept(recorder: Recorder, images: np.ndarray) -> bool:
    """Did the model get the loader's pictures as they were?"""
    served = own(images, torch.float32).reshape(len(images), -1)
    for one in recorder.forwards:
        got = one["images"].reshape(len(one["images"]), -1).float()
        if got.shape[1] != served.shape[1] or torch.cdist(got, served).min(dim=1).values.max() > 1e-6:
            return False
    return True


def table_parts(
    table: np.ndarray, labels: np.ndarray, sizes: list[int], batch_sizes: list[int], drop_last: bool = False
) -> list[tuple[Recorder, Table, Any]]:
    """One table network and one loader for each group of rows."""
    parts = []
    start = 0
    for size, batch_size in zip(sizes, batch_sizes):
        rows = slice(start, start + size)
        start += size
        images = torch.zeros(size, 1, 28, 28)
        images[:, 0, 0, 0] = torch.arange(size)
        recorder = Recorder()
        parts.append(
            (recorder, Table(recorder, table[rows]), loader_of(images, labels[rows], batch_size, drop_last=drop_last))
        )
    return parts


@probe("train")
def reported_losses(
    student: Any, table: np.ndarray, labels: np.ndarray, sizes: list[int], batch_sizes: list[int]
) -> dict[str, Any]:
    """The losses that train_one_epoch (lr 0) and evaluate report for networks whose scores are known.

    table: (N, 10) float32 scores, and labels: (N,) int64, of all groups; sizes, batch_sizes: one entry per group
    training: one {returned: see `as_number`, or what was raised; changed: whether the network was} per group
    evaluation: one {returned: see `as_pair`, changed} per group, empty where evaluate raised or is a TODO
    dropping: what train_one_epoch (see `as_number`) and evaluate (see `as_pair`) returned for the second group without
    its last batch, which its loader drops; {} where they raised
    """
    train_one_epoch = student.function("train", "train_one_epoch")
    training, evaluation = [], []
    for recorder, model, loader in table_parts(table, labels, sizes, batch_sizes):
        value, raised = call(train_one_epoch, model, loader, RecordingSGD(recorder, model.parameters(), 0.0))
        training.append({"returned": raised or as_number(value), "changed": model.changed()})
    for _, model, loader in table_parts(table, labels, sizes, batch_sizes):
        value, raised, todo = tolerant(lambda *args: student.function("train", "evaluate")(*args), model, loader)
        seen = {"returned": as_pair(value), "changed": model.changed()}
        evaluation.append({} if raised is not None or todo else seen)
    _, (recorder, model, loader), *_ = table_parts(table, labels, sizes, batch_sizes, drop_last=True)
    value, raised = call(train_one_epoch, model, loader, RecordingSGD(recorder, model.parameters(), 0.0))
    pair, failed, todo = tolerant(lambda *args: student.function("train", "evaluate")(*args), model, loader)
    dropping = {
        "train_one_epoch": {} if raised is not None else as_number(value),
        "evaluate": {} if failed is not None or todo else as_pair(pair),
    }
    return {"training": training, "evaluation": evaluation, "dropping": dropping}


@probe("train")
def evaluations(
    student: Any, table: np.ndarray, labels: np.ndarray, sizes: list[int], batch_sizes: list[int]
) -> dict[str, Any]:
    """What evaluate returns for networks whose scores are known; the arguments are those of `reported_losses`.

    groups: one {returned: see `as_pair`, or what was raised; shown: how many of its images the network got; changed:
    whether the network was} per group
    """
    evaluate = student.function("train", "evaluate")
    groups = []
    for recorder, model, loader in table_parts(table, labels, sizes, batch_sizes):
        value, raised = call(evaluate, model, loader)
        rows = [model.wanted(one["images"].reshape(len(one["images"]), -1)) for one in recorder.forwards]
        shown = len(set(torch.cat(rows).tolist())) if rows else 0
        groups.append({"returned": raised or as_pair(value), "shown": shown, "changed": model.changed()})
    return {"groups": groups}


@probe("train")
def clean_evaluation(student: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> dict[str, Any]:
    """evaluate, twice, of a network with dropout and BatchNorm: what it felt, and what changed.

    images: (N, 1, 28, 28) float32; labels: (N,) int64
    once, again: see `as_pair`, or what was raised; later: the same, once the weights are others
    training, graph: whether anything was in training mode in each pass, and whether it recorded gradients; trainable:
    of each parameter, but for one that was frozen before; thawed: that one; bools
    state: one {name, before, after: arrays of one shape} per tensor of the network's state
    grad_left_on: whether gradients can be recorded afterwards; still_trains: if they cannot, whether
    train_one_epoch moves weights all the same
    """
    evaluate = student.function("train", "evaluate")
    recorder = Recorder()
    model = Tender(recorder).train()
    loader = loader_of(images, labels, batch_size)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    answer: dict[str, Any] = {}
    for name in ("once", "again"):
        value, raised = attempt(evaluate, model, loader)
        answer[name] = raised or as_pair(value)
    answer["grad_left_on"] = torch.is_grad_enabled()
    answer["training"] = [not one["evaluating"] for one in recorder.forwards]
    answer["graph"] = [one["graph"] for one in recorder.forwards]
    answer["trainable"] = [p.requires_grad for p in model.parameters() if p is not model.fixed]
    answer["thawed"] = model.fixed.requires_grad
    settle()
    after = model.state_dict()
    answer["state"] = [
        {"name": name, "before": value.numpy(), "after": numbers_of([after.get(name, torch.empty(0))], value.shape)}
        for name, value in before.items()
    ]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    value, raised = call(evaluate, model, loader)
    answer["later"] = raised or as_pair(value)
    if not answer["grad_left_on"]:  # harmful only if the student's training does not switch it on again
        answer["still_trains"] = trains(student, images, labels, batch_size)
    return answer


def trains(student: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> bool:
    """Does the student's train_one_epoch move weights where gradients are off, as evaluate left them?"""
    recorder = Recorder()
    model = OneLayer(recorder, torch.zeros(10, 28 * 28), torch.zeros(10, 28 * 28))
    torch.set_grad_enabled(False)
    try:
        student.function("train", "train_one_epoch")(
            model, loader_of(images, labels, batch_size), RecordingSGD(recorder, model.parameters(), 0.1)
        )
    except Exception:
        return False
    finally:
        settle()
    return any(bool((piece != 0).any()) for piece in model.parameters())


@probe("train", "model")
def own_pair(student: Any, images: np.ndarray, labels: np.ndarray, batch_size: int) -> dict[str, Any]:
    """The student's loops with the student's own network: its scores, and the gradient the loss sends to them.

    images: (N, 1, 28, 28) float32; labels: (N,) int64
    passes: of the first two that train_one_epoch (lr 0) learnt from, {scores, gradient: (B, 10) float64}; none where
    the network or the loop cannot be used
    evaluation: {returned: see `as_pair`; scores: (N, 10) float64, of all passes}, where evaluate can be used
    """
    answer: dict[str, Any] = {"passes": []}
    recorder = Recorder()
    model, raised, todo = tolerant(lambda: student.function("model", "DigitClassifier")())
    if raised is not None or todo or not is_a(model, nn.Module) or next(model.parameters(), None) is None:
        return answer

    def note(module: nn.Module, inputs: Any, scores: Any) -> None:
        matrix = isinstance(scores, torch.Tensor) and scores.dim() == 2 and scores.shape[1] == 10
        if matrix and scores.is_floating_point():
            recorder.forward(module, scores, torch.empty(len(scores)))

    model.register_forward_hook(note)
    loader = loader_of(images, labels, batch_size)
    optimizer = RecordingSGD(recorder, model.parameters(), 0.0)
    _, raised, todo = tolerant(lambda: student.function("train", "train_one_epoch")(model, loader, optimizer))
    if raised is None and not todo:
        answer["passes"] = [
            {"scores": one["scores"].double().numpy(), "gradient": one["arrived"].double().numpy()}
            for one in recorder.forwards
            if one["gradient"]
        ][:2]

    recorder.forwards.clear()
    value, raised, todo = tolerant(lambda: student.function("train", "evaluate")(model, loader))
    if raised is None and not todo and recorder.forwards:
        scores = torch.cat([one["scores"] for one in recorder.forwards]).double().numpy()
        answer["evaluation"] = {"returned": as_pair(value), "scores": scores}
    return answer
