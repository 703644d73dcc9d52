"""Building a student's network and running it: what comes out, and what happens on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from grader.engine.worker.beside_student.probing import MissingName, attempt, is_a, is_ours
from grader.probes.network.layers import parameters_of, parts_of
from grader.probes.network.tensors import NO_NUMBERS, plain, shape_of

WIDEST = 2000  # scores of one image: more are not looked at
AVERAGES = ("mean.", "avg_pool", "_adaptive_avg_pool")  # names of operations
COPIES = 1e-2  # numbers that differ by less beside each other than from image to image are one number
SEED = torch.manual_seed
WIDTHS: dict[int, tuple[Any, int]] = {}  # of the scores of each network: the first answer counts


class AnotherWidth(Exception):
    """A network that gave another number of scores for an image than the time before, or none."""


class WeightsWithoutNumbers(Exception):
    """The name of a weight whose numbers cannot be read."""


def build(student: Any) -> Any:
    model = student.function("model", "DigitClassifier")()
    if is_ours(model):  # a factory may hand out what is not theirs
        raise MissingName("model", "DigitClassifier", [])
    return model


def observed(body: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """{"network": what `body` observes}, with "usable": False when that is None, or what it raised in its place."""

    def steady() -> dict[str, Any] | None:
        try:
            return body()
        except AnotherWidth:
            return None

    values, raised = attempt(steady)
    if raised is not None:
        return {"network": raised}
    return {"network": {"usable": False} if values is None else {"usable": True, **values}}


def answer_of(model: Any, images: torch.Tensor) -> Any:
    """What forward gives for images (B, 1, 28, 28).

    One that refuses them and takes them flat, or without their channel axis, is looked at further with those: one
    check names that fault, and the others have something to look at.
    """
    try:
        return model(images)
    except Exception:
        for other in (images.flatten(1), images[:, 0]) if images.ndim == 4 else ():
            out = plain(attempt(model, other)[0])
            if is_a(out, torch.Tensor) and out.ndim == 2 and len(out) == len(images):
                return out
        raise


def score_matrix(model: Any, images: torch.Tensor, seed: int | None = None) -> Any:
    """The scores as a matrix (images, scores per image), or None when what comes back holds no such thing."""
    if seed is not None:
        SEED(seed)
    out = answer_of(model, images.clone())  # some networks change what they are given
    if is_a(out, tuple, list):
        items = map(plain, out)
        out = next((item for item in items if is_a(item, torch.Tensor) and item.dtype.is_floating_point), None)
    out = plain(out)
    if not is_a(out, torch.Tensor) or not out.dtype.is_floating_point or not out.ndim:
        return None
    if out.shape[0] != len(images) and out.ndim == 2 and out.shape[1] == len(images):
        out = out.t()  # the wrong way round is the business of one check alone
    if out.shape[0] != len(images) or out.numel() < 2 * len(images) and len(images) > 1:
        return None
    matrix = out.reshape(len(images), -1)
    if id(model) not in WIDTHS:  # lazy layers have their weights now
        WIDTHS[id(model)] = model, matrix.shape[1]
        for name, p in parameters_of(model).items():
            if is_lazy(p) or plain(p) is NO_NUMBERS:
                raise WeightsWithoutNumbers(name)
    if WIDTHS[id(model)][1] != matrix.shape[1]:
        raise AnotherWidth
    return matrix


def to_numpy(tensor: torch.Tensor | None) -> np.ndarray:
    """A copy of the numbers, in a matrix the first WIDEST of each row; float32, or float64 where they were that."""
    if tensor is None:  # of `score_matrix`, for a network that gave some before
        raise AnotherWidth
    kept = torch.Tensor.detach(tensor).to("cpu")
    kept = kept[:, :WIDEST] if kept.ndim == 2 else kept
    numbers = kept.to(kept.dtype if kept.dtype in (torch.float32, torch.float64) else torch.float32).numpy()
    return np.array(numbers)


@contextmanager
def unseeded() -> Iterator[None]:
    """Let a seed written into __init__ have no effect, so that two networks differ."""

    def ignore(seed: int) -> torch.Generator:
        return torch.default_generator

    torch.manual_seed = ignore
    try:
        yield
    finally:
        torch.manual_seed = SEED


def created_in_forward(model: nn.Module, images: torch.Tensor) -> list[str]:
    """Kinds of layers with weights that come into being while images pass through."""
    created: list[str] = []
    register = nn.Module.register_parameter

    def spy(self: nn.Module, name: str, param: Any) -> None:
        if param is not None:
            created.append(type(self).__name__)
        register(self, name, param)

    nn.Module.register_parameter = spy  # type: ignore[method-assign]
    try:
        score_matrix(model, images)
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
    return sorted(set(created))


def entered_last(model: nn.Module, images: torch.Tensor) -> dict[str, Any] | None:
    """The layer in which a pass stops: {name: as in code, kind: its type, got: the shape that came; before: the name of
    the last layer that changed the shape before it, gave: the shape that it gave}; None where it stops in no layer."""
    inside: list[tuple[str, nn.Module, list[int]]] = []
    done: list[tuple[str, list[int]]] = [("", [int(n) for n in images.shape])]

    def enter(name: str) -> Any:
        def note(module: nn.Module, inputs: Any) -> None:
            inside.append((name, module, shape_of(inputs[0] if inputs else None)))

        return note

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        name, _, came = inside.pop()
        if shape_of(output)[1:] != came[1:] and not isinstance(module, nn.Flatten):
            done.append((name, shape_of(output)))

    for name, module in parts_of(model).items():
        if name and not module._modules:
            module.register_forward_pre_hook(enter("self." + re.sub(r"\.(\d+)", r"[\1]", name)))
            module.register_forward_hook(leave)
    _, raised = attempt(model, images)
    if raised is None or not inside:
        return None
    name, module, got = inside[-1]
    before, gave = done[-1]
    return {"name": name[:80], "kind": type(module).__name__, "got": got, "before": before[:80], "gave": gave}


class Averages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the last average that is taken meanwhile: the numbers, the axes where they are said, what came of it."""

    last: tuple[Any, ...] = ()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.__name__.startswith(AVERAGES):
            self.last = args[0], args[1] if func.__name__ == "mean.dim" else [], out
        return out


def ends_with_average(model: Any, images: torch.Tensor) -> bool:
    """Whether the scores are averages of more numbers, as of a global average pooling: an activation before it cuts
    none of them. Numbers that only ever change together are copies of one."""
    with torch.no_grad(), Averages() as noted:  # type: ignore[no-untyped-call]
        scores = score_matrix(model, images)
    if not noted.last or scores is None:
        return False
    values, axes, means = noted.last
    if means.numel() != scores.numel() or not torch.equal(means.flatten(), scores.flatten()):
        return False
    groups = values.movedim(axes, list(range(-len(axes), 0))).reshape(means.numel(), -1).double()
    sizes = torch.linalg.svdvals(groups - groups.mean(0))
    return len(sizes) > 1 and bool(sizes[1] > COPIES * sizes[0])
