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
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from grader.engine.worker.beside_student.describe import describe
from grader.engine.worker.beside_student.probing import MissingName, attempt, is_a, is_ours

WIDEST = 2000  # scores of one image: more are not looked at
TRIES = 3  # draws of all weights before a layer is said to change nothing
STEP = 0.3  # length of one reference step, whatever the size of the gradient
MODULE_FIELDS = set(vars(nn.Module()))
PLAIN = (int, float, bool, str, type(None))  # types that hold no layer
FAINT = 1e-8  # of the largest gradient, or of a weight: float32 cannot add less to it
OF_NUMPY = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)  # the usual ones
NO_NUMBERS = type("tensor without numbers", (), {})()  # what `plain` gives for one whose numbers cannot be read
AVERAGES = ("mean.", "avg_pool", "_adaptive_avg_pool")  # names of operations
COPIES = 1e-2  # numbers that differ by less beside each other than from image to image are one number
SEED = torch.manual_seed


def build(student: Any) -> Any:
    model = student.function("model", "DigitClassifier")()
    if is_ours(model):  # a factory may hand out what is not theirs
        raise MissingName("model", "DigitClassifier", [])
    return model


class AnotherWidth(Exception):
    """A network that gave another number of scores for an image than the time before, or none."""


class WeightsWithoutNumbers(Exception):
    """The name of a weight whose numbers cannot be read."""


class BackwardStopped(Exception):
    """What PyTorch said when no gradient came back through the scores."""


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


def parts_of(model: Any) -> dict[str, Any]:
    """The network and all layers in it, by name, as PyTorch keeps them: methods of theirs could tell of others."""
    found: dict[int, tuple[str, Any]] = {}
    todo = [("", model)]
    while todo:
        name, part = todo.pop()
        if id(part) not in found and is_a(part, nn.Module):
            found[id(part)] = name, part
            todo += [(f"{name}.{inner}".lstrip("."), child) for inner, child in reversed(part._modules.items())]
    return dict(found.values())


def parameters_of(model: Any) -> dict[str, Any]:
    """Its parameters by name, found the same way."""
    found: dict[int, tuple[str, Any]] = {}
    for name, part in parts_of(model).items():
        for inner, p in part._parameters.items():
            if p is not None:
                found.setdefault(id(p), (f"{name}.{inner}".lstrip("."), p))
    return dict(found.values())


def plain(value: Any) -> Any:
    """A tensor of any kind as a plain one, which says its own shape and type; anything else as it is.

    NO_NUMBERS for one whose numbers cannot be copied (sparse, quantized, nested, without memory, ...), and for what
    only says that it is a tensor.
    """
    if not isinstance(value, torch.Tensor):
        return value
    try:
        with torch._C.DisableTorchFunctionSubclass():
            tensor = value if type(value) is torch.Tensor else torch.Tensor.as_subclass(value, torch.Tensor)
            tensor = tensor.resolve_neg()
            numbers = tensor.detach().cpu()
            (numbers if numbers.dtype in OF_NUMPY else numbers.float()).numpy()
            return tensor
    except Exception:
        return NO_NUMBERS


def to_numpy(tensor: torch.Tensor | None) -> np.ndarray:
    """A copy of the numbers, in a matrix the first WIDEST of each row; float32, or float64 where they were that."""
    if tensor is None:  # of `score_matrix`, for a network that gave some before
        raise AnotherWidth
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
            if is_a(itself, nn.Module) and "_modules" in vars(itself):
                kept = {id(module) for module in parts_of(itself).values()}
            found = {n: v for n, v in list(frame.f_locals.items()) if is_a(v, nn.Module) and v is not itself}
            names.extend(name for name, value in found.items() if id(value) not in kept)

    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def is_bare(model: Any) -> bool:
    """Whether a network keeps no layer, no weight and nothing else, and its class has none either."""
    of_class = (value for kind in own_classes(type(model)) for value in vars(kind).values())
    return (
        is_a(model, nn.Module)
        and not any(is_a(value, nn.Module, torch.Tensor) for value in of_class)
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


def shape_of(value: Any) -> list[int]:
    value = plain(value)
    return [int(n) for n in value.shape][:8] if is_a(value, torch.Tensor) else []


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
        variable: Any = getattr(node, "variable", None)
        if is_a(variable, torch.Tensor):
            reached[id(variable)] = variable
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
    parts = parts_of(model).values()
    known = {id(t) for part in parts for kept in (part._parameters, part._buffers) for t in kept.values()}
    places: dict[str, list[str]] = {"containers": [], "tensors": [], "on_class": [], "outside": []}
    for part in parts:
        for name, value in vars(part).items():
            if name in MODULE_FIELDS or is_a(value, nn.Module) or not strays(value, known):
                continue
            kind = "tensors" if is_a(value, torch.Tensor) else "containers"
            places[kind].append(f"self.{name} ({type(value).__name__})")
        for owner in own_classes(type(part)):
            places["on_class"] += [n for n, value in vars(owner).items() if strays(value, known)]
    places["outside"] = [n for n, value in vars(student.model).items() if strays(value, known)]
    return places


def own_classes(kind: type) -> list[type]:
    """A class and what it builds on, without what comes with PyTorch and Python."""
    return [one for one in kind.__mro__ if not str(one.__module__).startswith(("torch.", "builtins"))]


def strays(value: Any, known: set[int], depth: int = 5) -> bool:
    """Whether there are weights in this value, so many containers deep, that are not among the known ones."""
    if is_a(value, nn.Module):
        return any(id(p) not in known for p in parameters_of(value).values())
    if is_a(value, torch.Tensor):
        kept = plain(value)
        return is_a(kept, torch.Tensor) and kept.is_floating_point() and kept.numel() > 1 and id(value) not in known
    if depth and is_a(value, list, tuple, set, dict):
        return any(strays(item, known, depth - 1) for item in (value.values() if is_a(value, dict) else value))
    return False
