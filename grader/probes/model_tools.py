"""Handling a student's network without an optimizer: run it, take a few steps by hand, look for stray weights."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from grader.engine.worker.beside_student.probing import MissingName, attempt, is_ours

WIDEST = 2000  # scores of one image: more are not looked at
TRIES = 3  # draws of all weights before a layer is said to change nothing
STEP = 0.3  # length of one reference step, whatever the size of the gradient
MODULE_FIELDS = set(vars(nn.Module()))
PLAIN = (int, float, bool, str, type(None))  # types that hold no layer
SEED = torch.manual_seed


def build(student: Any) -> Any:
    model = student.function("model", "DigitClassifier")()
    if is_ours(model):  # a factory may hand out what is not theirs
        raise MissingName("model", "DigitClassifier", [])
    return model


class AnotherWidth(Exception):
    """A network that gave another number of scores for an image than the time before."""


WIDTHS: dict[int, tuple[Any, int]] = {}  # of the scores of each network: the first answer counts


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
            out, _ = attempt(model, other)
            if isinstance(out, torch.Tensor) and out.ndim == 2 and len(out) == len(images):
                return out
        raise


def score_matrix(model: Any, images: torch.Tensor, seed: int | None = None) -> Any:
    """The scores as a matrix (images, scores per image), or None when what comes back holds no such thing."""
    if seed is not None:
        SEED(seed)
    out = answer_of(model, images.clone())  # some networks change what they are given
    if isinstance(out, (tuple, list)):
        items = map(plain, out)
        out = next((item for item in items if isinstance(item, torch.Tensor) and item.dtype.is_floating_point), None)
    out = plain(out)
    if not isinstance(out, torch.Tensor) or not out.dtype.is_floating_point or not out.ndim:
        return None
    if out.shape[0] != len(images) and out.ndim == 2 and out.shape[1] == len(images):
        out = out.t()  # the wrong way round is the business of one check alone
    if out.shape[0] != len(images) or out.numel() < 2 * len(images) and len(images) > 1:
        return None
    matrix = out.reshape(len(images), -1)
    if WIDTHS.setdefault(id(model), (model, matrix.shape[1]))[1] != matrix.shape[1]:
        raise AnotherWidth
    return matrix


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
    parameters = list(model.parameters())
    trainable = [p for p in parameters if p.requires_grad]
    if matrix is None or not matrix.requires_grad or not trainable:
        return None
    loss = F.cross_entropy(matrix, labels % matrix.shape[1])
    slopes = dict(zip(map(id, trainable), torch.autograd.grad(loss, trainable, allow_unused=True)))
    return [slopes.get(id(p)) for p in parameters]


def meet(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, connected: list[bool], largest: list[float]
) -> bool:
    """One backward pass in training mode; remember which parameters are in the graph and their largest gradient."""
    model.train()
    slopes = gradients(model, images, labels)
    for i, gradient in enumerate(slopes or []):
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


def idle(model: nn.Module, images: torch.Tensor, largest: list[float]) -> list[bool]:
    """Which parameters are of a layer with no gradient that changes no score, whatever the other weights are.

    One tensor of a layer may well be idle (what an LSTM does with its state, when there is one step), and a layer may
    be silent for some weights, so whole layers are looked at, with several weights. All weights are lost by it.
    """
    places = {id(p): i for i, p in enumerate(model.parameters())}
    layers = [[p for p in part.parameters(recurse=False) if p.numel()] for part in model.modules() if part is not model]
    still = [layer for layer in layers if layer and all(largest[places[id(p)]] == 0.0 for p in layer)]
    for _ in range(TRIES if still else 0):
        with torch.no_grad():
            for p in model.parameters():
                size = float(p.square().mean().sqrt()) if p.numel() else 0.0
                p.copy_(max(size, 0.05) * torch.randn_like(p))
        still = [layer for layer in still if all(influence(model, p, images) == 0.0 for p in layer)]
    found = {id(p) for layer in still for p in layer if p.requires_grad}
    return [id(p) in found for p in model.parameters()]


def nudge(model: Any, images: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    """A few plain gradient steps of fixed length."""
    for _ in range(steps):
        slopes = gradients(model, images, labels)
        length = math.sqrt(sum(float(g.square().sum()) for g in slopes or [] if g is not None))
        if slopes is None or not 0 < length < math.inf:
            return
        with torch.no_grad():
            for p, g in zip(model.parameters(), slopes):
                if g is not None:
                    p -= STEP * g / length


def grow(model: Any, factor: float) -> None:
    """Make all weights larger; biases stay. A single number is a learnt temperature and grows too."""
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim >= 2 or p.numel() == 1:
                p.mul_(factor)


def plain(value: Any) -> Any:
    """A tensor of any subclass as a plain one, which says its own shape and type; anything else as it is."""
    if not isinstance(value, torch.Tensor) or type(value) is torch.Tensor:
        return value
    with torch._C.DisableTorchFunctionSubclass():
        return torch.Tensor.as_subclass(value, torch.Tensor)


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A copy of the numbers, in a matrix the first WIDEST of each row; float32, or float64 where they were that."""
    kept = torch.Tensor.detach(tensor).to("cpu")
    kept = kept[:, :WIDEST] if kept.ndim == 2 else kept
    numbers = kept.to(kept.dtype if kept.dtype in (torch.float32, torch.float64) else torch.float32).numpy()
    return np.array(numbers)


@contextmanager
def local_layers(maker: Any, names: list[str]) -> Iterator[None]:
    """Note the local variables that hold a layer when an __init__ of this class ends; self is none of them."""
    codes = {getattr(vars(kind).get("__init__"), "__code__", None) for kind in getattr(maker, "__mro__", ())}

    def watch(frame: Any, event: str, value: Any) -> None:
        if event == "return" and frame.f_code in codes - {None, nn.Module.__init__.__code__}:
            itself = next(iter(frame.f_locals.values()), None)
            kept: set[int] = set()
            if isinstance(itself, nn.Module) and "_modules" in vars(itself):
                kept = {id(module) for module in itself.modules()}
            found = {n: v for n, v in list(frame.f_locals.items()) if isinstance(v, nn.Module) and v is not itself}
            names.extend(name for name, value in found.items() if id(value) not in kept)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def is_bare(model: Any) -> bool:
    """Whether a network keeps no layer, no weight and nothing else, and its class has none either."""
    own = (kind for kind in type(model).__mro__ if not kind.__module__.startswith(("torch.", "builtins")))
    return (
        isinstance(model, nn.Module)
        and not any(isinstance(value, (nn.Module, torch.Tensor)) for kind in own for value in vars(kind).values())
        and all(name in MODULE_FIELDS or type(value) in PLAIN for name, value in vars(model).items())
        and not any(vars(model).get(kind) for kind in ("_modules", "_parameters", "_buffers"))
    )


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

    for name, module in model.named_modules():
        if name and not list(module.children()):
            module.register_forward_pre_hook(enter("self." + re.sub(r"\.(\d+)", r"[\1]", name)))
            module.register_forward_hook(leave)
    _, raised = attempt(model, images)
    if raised is None or not inside:
        return None
    name, module, got = inside[-1]
    before, gave = done[-1]
    return {"name": name[:80], "kind": type(module).__name__, "got": got, "before": before[:80], "gave": gave}


def shape_of(value: Any) -> list[int]:
    return [int(n) for n in value.shape][:8] if isinstance(value, torch.Tensor) else []


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


def leaves(out: torch.Tensor) -> list[torch.Tensor]:
    """The trainable tensors the scores were computed from, found by walking the graph of gradients."""
    todo, done, reached = [out.grad_fn], set(), {}
    while todo:
        node = todo.pop()
        if node is None or node in done:
            continue
        done.add(node)
        if hasattr(node, "variable"):
            reached[id(node.variable)] = node.variable
        todo += [following for following, _ in node.next_functions]
    return list(reached.values())


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


def hiding_places(student: Any, model: nn.Module) -> dict[str, list[str]]:
    """Where weights may stand that PyTorch does not find: this names a fault, it proves none.

    containers, tensors: attributes of the network; on_class: of its classes; outside: global names of model.py.
    """
    known = {id(t) for t in (*model.parameters(), *model.buffers())}
    places: dict[str, list[str]] = {"containers": [], "tensors": [], "on_class": [], "outside": []}
    for part in model.modules():
        for name, value in vars(part).items():
            if name in MODULE_FIELDS or isinstance(value, nn.Module) or not strays(value, known):
                continue
            kind = "tensors" if isinstance(value, torch.Tensor) else "containers"
            places[kind].append(f"self.{name} ({type(value).__name__})")
        for owner in type(part).__mro__:
            if not owner.__module__.startswith(("torch.", "builtins")):
                places["on_class"] += [n for n, value in vars(owner).items() if strays(value, known)]
    places["outside"] = [n for n, value in vars(student.model).items() if strays(value, known)]
    return places


def strays(value: Any, known: set[int]) -> bool:
    """Whether there are weights in this value that are not among the known ones."""
    if isinstance(value, nn.Module):
        return any(id(p) not in known for p in value.parameters())
    if isinstance(value, torch.Tensor):
        return value.dtype.is_floating_point and value.numel() > 1 and id(value) not in known
    if isinstance(value, (list, tuple, set, dict)):
        return any(strays(item, known) for item in (value.values() if isinstance(value, dict) else value))
    return False
