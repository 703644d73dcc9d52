"""OBSERVE train.py: every function runs with the grader's own parts around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.engine.worker.beside_student.probing import MissingName, attempt, probe, untouched
from grader.engine.worker.raised import Raised
from grader.probes.stand_ins import Line, Recorder, RecordingSGD, Table, Tender, loader_of, own, type_name


def number(value: Any) -> dict[str, Any]:
    """What a student's function gave back in the place of a number: its type, its value when it has one."""
    if isinstance(value, torch.Tensor):
        plain = torch.Tensor.detach(value)
        kind = "tensor" if plain.dim() == 0 else f"tensor of shape {list(plain.shape)}"
        single = plain.numel() == 1 and not plain.is_complex()
        inside = float(plain.to("cpu").reshape(-1)[0].item()) if single else None
        return {"type": kind, "value": inside, "graph": bool(value.requires_grad)}
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "fiu":
        return {"type": "number", "value": float(value.reshape(-1)[0]), "graph": False}
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        return {"type": type_name(value), "value": None, "graph": False}
    return {"type": "number", "value": float(value), "graph": False}


def pair(value: Any) -> dict[str, Any]:
    """What evaluate gave back: how many things, and the first two as numbers."""
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    told: dict[str, Any] = {"type": type(value).__name__, "count": len(parts)}
    for name, part in zip(("first", "second"), parts):
        told |= {f"{name}_{key}": item for key, item in number(part).items()}
    return told


def tolerant(function: Callable[..., Any], *args: Any) -> tuple[Any, Raised | None, bool]:
    """Like `attempt`, but an untouched or missing function is also just an answer: (value, raised, todo)."""
    torch.set_grad_enabled(True)  # an earlier call may have left it off
    try:
        value, raised = attempt(function, *args)
        return value, raised, False
    except (NotImplementedError, MissingName) as error:
        if isinstance(error, NotImplementedError) and untouched(error) is None:
            raise
        return None, None, True


def named(prefix: str, facts: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}_{key}": fact for key, fact in facts.items()}


@probe("train")
def epochs(
    student: Any, images: Any, labels: Any, batch_size: int, weight: Any, frozen: Any, small: float, large: float
) -> dict[str, Any]:
    """train_one_epoch of a one-layer network, over three batches and over each of them alone."""
    train_one_epoch = student.function("train", "train_one_epoch")
    whole = list(range(len(images)))
    batches = [whole[at : at + batch_size] for at in range(0, len(images), batch_size)]
    answer: dict[str, Any] = {}

    def run(name: str, parts: list[list[int]], lr: float, momentum: float = 0.0) -> None:
        recorder = Recorder()
        model = Line(recorder, weight, frozen)
        optimizer = RecordingSGD(recorder, model.parameters(), lr, momentum)
        raised = value = None
        for chosen in parts:  # each part is one call; gradients are cleared in between
            model.eval()  # as evaluate leaves it
            model.weight.grad = None
            torch.set_grad_enabled(True)
            loader = loader_of(images[chosen], labels[chosen], batch_size)
            value, raised = attempt(train_one_epoch, model, loader, optimizer)
            if raised is not None:
                break
        answer.update(named(name, number(value)))
        answer[f"{name}_raised"] = raised if raised is not None else ""
        answer[f"{name}_weight"] = model.weight.detach().numpy()
        answer[f"{name}_lr"] = attempt(lambda: float(optimizer.param_groups[0]["lr"]))[0] or 0.0
        answer[f"{name}_events"] = recorder.events
        answer[f"{name}_training"] = used_in_training(recorder)
        answer[f"{name}_images_kept"] = images_kept(recorder, images)

    for number_of, chosen in enumerate(batches, start=1):
        run(f"alone_{number_of}", [chosen], small)
    run("together", [whole], small)
    run("momentum", [whole], small, 0.9)
    run("large", [whole], large)
    run("split", batches, large)
    run("still", [whole], 0.0)
    return answer


def used_in_training(recorder: Recorder) -> list[bool]:
    """The mode of each pass that was learnt from; of all passes, when none was."""
    learnt = [seen["training"] for seen in recorder.forwards if seen["gradient"]]
    with_graph = [seen["training"] for seen in recorder.forwards if seen["graph"]]
    return learnt or with_graph or [seen["training"] for seen in recorder.forwards]


def images_kept(recorder: Recorder, images: Any) -> bool:
    """Did the model get the loader's pictures as they were?"""
    served = own(images, torch.float32).reshape(len(images), -1)
    for seen in recorder.forwards:
        got = seen["images"].reshape(len(seen["images"]), -1).float()
        if got.shape[1] != served.shape[1] or torch.cdist(got, served).min(dim=1).values.max() > 1e-6:
            return False
    return True


def table_parts(table: Any, labels: Any, sizes: list[int], batch_sizes: list[int]) -> list[tuple[Recorder, Table, Any]]:
    """One table network and one loader for each group of rows."""
    parts = []
    start = 0
    for size, batch_size in zip(sizes, batch_sizes):
        rows = slice(start, start + size)
        start += size
        images = torch.zeros(size, 1, 28, 28)
        images[:, 0, 0, 0] = torch.arange(size)
        recorder = Recorder()
        parts.append((recorder, Table(recorder, table[rows]), loader_of(images, labels[rows], batch_size)))
    return parts


@probe("train")
def reported_losses(student: Any, table: Any, labels: Any, sizes: list[int], batch_sizes: list[int]) -> dict[str, Any]:
    """The losses that train_one_epoch (lr 0) and evaluate report for a network whose scores are known."""
    train_one_epoch = student.function("train", "train_one_epoch")
    answer: dict[str, Any] = {"groups": len(sizes)}
    for at, (recorder, model, loader) in enumerate(table_parts(table, labels, sizes, batch_sizes)):
        torch.set_grad_enabled(True)
        value, raised = attempt(train_one_epoch, model, loader, RecordingSGD(recorder, model.parameters(), 0.0))
        answer |= named(f"train_{at}", number(value)) | {f"train_{at}_raised": raised or ""}
    for at, (_, model, loader) in enumerate(table_parts(table, labels, sizes, batch_sizes)):
        value, raised, todo = tolerant(lambda *args: student.function("train", "evaluate")(*args), model, loader)
        usable = raised is None and not todo
        answer |= named(f"evaluate_{at}", pair(value)) | {f"evaluate_{at}_usable": usable}
    return answer


@probe("train")
def evaluations(student: Any, table: Any, labels: Any, sizes: list[int], batch_sizes: list[int]) -> dict[str, Any]:
    """What evaluate returns for networks whose scores are known."""
    evaluate = student.function("train", "evaluate")
    answer: dict[str, Any] = {}
    for at, (recorder, model, loader) in enumerate(table_parts(table, labels, sizes, batch_sizes)):
        torch.set_grad_enabled(True)
        value, raised = attempt(evaluate, model, loader)
        served = sum(len(seen["images"]) for seen in recorder.forwards)
        answer |= named(f"group_{at}", pair(value)) | {f"group_{at}_raised": raised or "", f"group_{at}_served": served}
    return answer


@probe("train")
def clean_evaluation(student: Any, images: Any, labels: Any, batch_size: int) -> dict[str, Any]:
    """evaluate, twice, of a network with dropout and BatchNorm: what it felt, and what changed."""
    evaluate = student.function("train", "evaluate")
    torch.set_grad_enabled(True)
    recorder = Recorder()
    model = Tender(recorder).train()
    loader = loader_of(images, labels, batch_size)
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    answer: dict[str, Any] = {}
    for name in ("once", "again"):
        value, raised = attempt(evaluate, model, loader)
        answer |= named(name, pair(value)) | {f"{name}_raised": raised or ""}
    answer["grad_left_on"] = torch.is_grad_enabled()
    answer["training"] = [seen["training"] for seen in recorder.forwards]
    answer["graph"] = [seen["graph"] for seen in recorder.forwards]
    answer["trainable"] = [p.requires_grad for p in model.parameters()]
    for at, (name, value) in enumerate(model.state_dict().items()):
        answer |= {f"before_{at}": before[name].numpy(), f"after_{at}": value.detach().numpy(), f"name_{at}": name}
    answer["tensors"] = len(before)
    if not answer["grad_left_on"]:  # harmful only if the student's training does not switch it on again
        answer["still_trains"] = trains(student, images, labels, batch_size)
    torch.set_grad_enabled(True)
    return answer


def trains(student: Any, images: Any, labels: Any, batch_size: int) -> bool:
    """Does the student's train_one_epoch move weights, with the grad mode as evaluate left it?"""
    recorder = Recorder()
    model = Line(recorder, torch.zeros(10, 28 * 28), torch.zeros(10, 28 * 28))
    try:
        student.function("train", "train_one_epoch")(
            model, loader_of(images, labels, batch_size), RecordingSGD(recorder, model.parameters(), 0.1)
        )
    except Exception:
        return False
    return bool((model.weight != 0).any())


@probe("train", "model")
def own_pair(student: Any, images: Any, labels: Any, batch_size: int) -> dict[str, Any]:
    """The student's loops with the student's own network: its scores, and the gradient the loss sends to them."""
    answer: dict[str, Any] = {"usable": False, "passes": 0, "evaluated": False}
    recorder = Recorder()
    model, raised, todo = tolerant(lambda: student.function("model", "DigitClassifier")())
    if raised is not None or todo or not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        return answer

    def note(module: nn.Module, given: Any, scores: Any) -> None:
        if (
            isinstance(scores, torch.Tensor)
            and scores.dim() == 2
            and scores.shape[1] == 10
            and scores.is_floating_point()
        ):
            recorder.forward(module, scores, module.training, torch.empty(len(scores)))

    model.register_forward_hook(note)
    loader = loader_of(images, labels, batch_size)
    optimizer = RecordingSGD(recorder, model.parameters(), 0.0)
    _, raised, todo = tolerant(lambda: student.function("train", "train_one_epoch")(model, loader, optimizer))
    learnt = [seen for seen in recorder.forwards if seen["gradient"]]
    for at, seen in enumerate(learnt):
        answer[f"scores_{at}"] = seen["scores"].double().numpy()
        answer[f"arrived_{at}"] = seen["arrived"].double().numpy()
    answer |= {"usable": raised is None and not todo, "passes": len(learnt)}

    recorder.forwards.clear()
    value, raised, todo = tolerant(lambda: student.function("train", "evaluate")(model, loader))
    if raised is None and not todo and recorder.forwards:
        answer |= named("evaluate", pair(value)) | {"evaluated": True}
        answer["evaluate_scores"] = torch.cat([seen["scores"] for seen in recorder.forwards]).double().numpy()
    torch.set_grad_enabled(True)
    return answer
