"""Gradients of a student's network, and a few steps by hand, without an optimizer."""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from grader.engine.worker.beside_student.describe import describe
from grader.engine.worker.beside_student.probing import is_a
from grader.probes.network.layers import parameters_of, parts_of
from grader.probes.network.scores import score_matrix, to_numpy

TRIES = 3  # draws of all weights before a layer is said to change nothing
STEP = 0.3  # length of one reference step, whatever the size of the gradient
FAINT = 1e-8  # of the largest gradient, or of a weight: float32 cannot add less to it


class BackwardStopped(Exception):
    """What PyTorch said when no gradient came back through the scores."""


def refuse_students() -> None:
    """Stop when a submitted file is among the callers: a probe calls student code, which never calls a probe."""
    frame = sys._getframe()
    while frame is not None:
        if "__submitted__" in frame.f_globals:  # set by the importer of student files
            raise PermissionError("this belongs to the grader, and is no part of an answer")
        frame = frame.f_back  # type: ignore[assignment]


def gradients(model: Any, images: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor | None] | None:
    """Gradients of the cross-entropy, one per parameter; None when the scores are attached to nothing."""
    refuse_students()
    matrix = score_matrix(model, images)
    parameters = list(parameters_of(model).values())
    trainable = [p for p in parameters if p.requires_grad]
    if matrix is None or not matrix.requires_grad or not trainable:
        return None
    loss = F.cross_entropy(matrix, labels % matrix.shape[1])
    try:
        slopes = dict(zip(map(id, trainable), torch.autograd.grad(loss, trainable, allow_unused=True)))
    except Exception as error:
        if describe(error).frames:  # of a backward of the student's
            raise
        raise BackwardStopped(str(error)) from None
    return [slopes.get(id(p)) for p in parameters]


def leaves(out: torch.Tensor) -> list[torch.Tensor]:
    """The trainable tensors the scores were computed from, found by walking the graph of gradients."""
    todo, done, reached = [out.grad_fn], set(), {}
    while todo:
        node = todo.pop()
        if node is None or node in done:
            continue
        done.add(node)
        variable: Any = getattr(node, "variable", None)
        if is_a(variable, torch.Tensor):
            reached[id(variable)] = variable
        todo += [following for following, _ in node.next_functions]
    return list(reached.values())


def felt(gradients: list[float], sizes: list[float]) -> list[float]:
    """Gradients, with 0 for those that are too small to move a weight. sizes: of the largest weight that each has."""
    most = max((gradient for gradient in gradients if gradient < math.inf), default=0.0)
    return [0.0 if gradient <= FAINT * max(most, size) else gradient for gradient, size in zip(gradients, sizes)]


def meet(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, connected: list[bool], largest: list[float]
) -> bool:
    """One backward pass in training mode; remember which parameters are in the graph and their largest gradient."""
    model.train()
    slopes = gradients(model, images, labels)
    for i, gradient in enumerate((slopes or [])[: len(connected)]):  # some make new layers in forward
        if gradient is not None:
            connected[i] = True
            largest[i] = max(largest[i], float(gradient.abs().max()) if gradient.numel() else 1.0)
    return slopes is not None


def influence(model: nn.Module, parameter: nn.Parameter, images: torch.Tensor) -> float:
    """How much the scores change when one parameter tensor is changed at random."""
    before = to_numpy(score_matrix(model, images, seed=1))
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(torch.randn_like(parameter))
        after = to_numpy(score_matrix(model, images, seed=1))
        parameter.copy_(kept)
    return float(abs(after - before).max())


def idle(model: Any, parameters: list[Any], images: torch.Tensor, largest: list[float]) -> list[bool]:
    """Which parameters are of a layer with no gradient that changes no score, whatever the other weights are.

    One tensor of a layer may well be idle (what an LSTM does with its state, when there is one step), and a layer may
    be silent for some weights, so whole layers are looked at, with several weights. All weights are lost by it.
    """
    felt_by = dict(zip(map(id, parameters), largest))
    parts = [part for part in parts_of(model).values() if part is not model]
    layers = [[p for p in part._parameters.values() if p is not None and p.numel()] for part in parts]
    still = [layer for layer in layers if layer and all(felt_by.get(id(p)) == 0.0 for p in layer)]
    for _ in range(TRIES if still else 0):
        with torch.no_grad():
            for p in parameters:
                size = float(p.square().mean().sqrt()) if p.numel() else 0.0
                p.copy_(max(size, 0.05) * torch.randn_like(p))
        still = [layer for layer in still if all(influence(model, p, images) == 0.0 for p in layer)]
    found = {id(p) for layer in still for p in layer if p.requires_grad}
    return [id(p) in found for p in parameters]


def asleep(
    model: Any, images: torch.Tensor, labels: torch.Tensor, largest: list[float], sizes: list[float]
) -> list[bool]:
    """Which parameters are of a layer that had no gradient in training mode, and has one in evaluation mode.

    largest: of their gradients in training mode, as `felt`. Whole layers, because normalisation of a batch takes out
    every bias before it.
    """
    parameters = list(parameters_of(model).values())
    had = dict(zip(map(id, parameters), largest))
    layers = [[p for p in part._parameters.values() if p is not None] for part in parts_of(model).values()]
    still = [layer for layer in layers if layer and all(had.get(id(p)) == 0.0 for p in layer)]
    if not still:
        return [False] * len(parameters)
    model.eval()
    slopes = gradients(model, images, labels) or [None] * len(parameters)
    awake = felt([0.0 if g is None or not g.numel() else float(g.abs().max()) for g in slopes], sizes)
    has = dict(zip(map(id, parameters), awake))
    found = {id(p) for layer in still for p in layer if any(has.get(id(q)) and q.ndim > 1 for q in layer)}
    return [id(p) in found for p in parameters]


def nudge(model: Any, images: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    """A few plain gradient steps of fixed length."""
    for _ in range(steps):
        slopes = gradients(model, images, labels)
        length = math.sqrt(sum(float(g.square().sum()) for g in slopes or [] if g is not None))
        if slopes is None or not 0 < length < math.inf:
            return
        with torch.no_grad():
            for p, g in zip(parameters_of(model).values(), slopes):
                if g is not None:
                    p -= STEP * g / length


def grow(model: Any, factor: float) -> None:
    """Make all weights larger; biases stay. A single number is a learnt temperature and grows too."""
    with torch.no_grad():
        for p in parameters_of(model).values():
            if p.ndim >= 2 or p.numel() == 1:
                p.mul_(factor)
