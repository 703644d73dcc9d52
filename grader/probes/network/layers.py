"""The layers and weights of a student's network, and where weights may stand that PyTorch does not find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from grader.engine.worker.beside_student.probing import is_a
from grader.probes.network.tensors import plain

MODULE_FIELDS = set(vars(nn.Module()))
PLAIN = (int, float, bool, str, type(None))  # types that hold no layer


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


def own_classes(kind: type) -> list[type]:
    """A class and what it builds on, without what comes with PyTorch and Python."""
    return [one for one in kind.__mro__ if not str(one.__module__).startswith(("torch.", "builtins"))]


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
