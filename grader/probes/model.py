"""What model.py shows from outside: how it is built, what comes out, what learns, what depends on what.

Nothing here needs torchvision or an optimizer: a few reference steps are taken by hand, because some
faults hide behind the first random weights (a head that starts at zero hides everything before it).
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import nn

from grader.engine.worker.beside_student.probing import attempt, probe
from grader.engine.worker.raised import Raised
from grader.probes.model_tools import (
    answer,
    array,
    build,
    created_in_forward,
    gradients,
    grow,
    hiding_places,
    leaves,
    nudge,
    run,
    unseeded,
)

NUDGES = 4  # reference steps before relations are looked at
PASSES = 12  # tries until every parameter has met a gradient: some networks skip layers at random


@probe("model", full=False)
def construct(student: Any) -> dict[str, Any]:
    """Build the network; say what DigitClassifier is, what came out, and which functions it defines."""
    maker = student.function("model", "DigitClassifier")
    is_class = isinstance(maker, type)
    seen: dict[str, Any] = {
        "kind": "class" if is_class else "instance" if isinstance(maker, nn.Module) else type(maker).__name__,
        "callable": callable(maker),
        "defines": sorted(own_functions(maker)) if is_class else [],
        "inner": inner_functions(maker) if is_class else [],
        "outside": sorted(n for n, v in vars(student.model).items() if isinstance(v, types.FunctionType)),
    }
    model, raised = attempt(maker)
    seen["built"] = raised
    seen["type"] = type(model).__name__
    seen["is_module"] = isinstance(model, nn.Module)
    seen["initialised"] = "_modules" in getattr(model, "__dict__", {})
    if isinstance(model, nn.Module):
        own = set().union(*(vars(c) for c in type(model).__mro__ if c not in (nn.Module, object)))
        seen["answers"] = bool({"forward", "__call__"} & (own | set(vars(model))))
    return seen


def own_functions(maker: type) -> set[str]:
    """Functions written in the class itself or in a base class of the student's."""
    classes = [c for c in maker.__mro__ if c is not object and not c.__module__.startswith("torch.")]
    return {n for c in classes for n, v in vars(c).items() if isinstance(v, types.FunctionType)}


def inner_functions(maker: type) -> list[str]:
    """Functions defined inside other functions of the class: what a `def` indented too far becomes."""
    functions = [v for v in vars(maker).values() if isinstance(v, types.FunctionType)]
    return sorted(c.co_name for f in functions for c in f.__code__.co_consts if isinstance(c, types.CodeType))


@probe("model", full=False)
def scores(student: Any, images: Any, batch_sizes: list[int]) -> dict[str, Any]:
    """What a new network returns in evaluation mode for batches of several sizes, and in training mode."""
    pool = torch.from_numpy(images)
    seen: dict[str, Any] = {}
    for size in batch_sizes:
        batch = pool[:size].clone()
        out, raised = attempt(lambda b=batch: build(student).eval()(b))
        seen |= form_of(f"_{size}", out, raised)
    largest = pool[: max(batch_sizes)]
    out, raised = attempt(lambda: build(student).train()(largest.clone()))
    seen |= form_of("_train", out, raised)
    if seen[f"raised_{len(largest)}"] is not None:  # perhaps it wants images of another form
        for name, other in (("flat", largest.flatten(1)), ("rows", largest[:, 0])):
            out, raised = attempt(lambda b=other: build(student).eval()(b.clone()))
            seen[f"accepts_{name}"] = isinstance(out, torch.Tensor) and out.ndim == 2 and len(out) == len(largest)
    return seen


def form_of(suffix: str, out: Any, raised: Raised | None) -> dict[str, Any]:
    """Type, shape, dtype and values of a returned value, without calling anything of the student's on it."""
    seen: dict[str, Any] = {f"raised{suffix}": raised, f"type{suffix}": type(out).__name__}
    if isinstance(out, (tuple, list)):
        seen[f"type{suffix}"] = "tuple" if isinstance(out, tuple) else "list"
        seen[f"items{suffix}"] = ", ".join(type(item).__name__ for item in out[:4])
    if isinstance(out, torch.Tensor):
        seen[f"type{suffix}"] = "Tensor"
        seen[f"shape{suffix}"] = [int(n) for n in out.shape]
        seen[f"dtype{suffix}"] = str(out.dtype).removeprefix("torch.")
        if out.dtype.is_floating_point and out.numel() <= 1_000_000:
            seen[f"values{suffix}"] = array(out)
    return seen


@probe("model", full=False)
def learn(student: Any, images: Any, labels: Any) -> dict[str, Any]:
    """Which parameters a gradient reaches in training mode, which move, and whether neurons stay alike."""
    return answer(lambda: reach(student, torch.from_numpy(images), torch.from_numpy(labels)))


def reach(student: Any, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    with unseeded():
        model, other = build(student).eval(), build(student).eval()
    if run(model, images) is None or run(other, images) is None:
        return {"unusable": True}
    names = [name for name, _ in model.named_parameters()]
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]
    connected, largest = [False] * len(names), [0.0] * len(names)
    attached = meet(model, images, labels, connected, largest)
    model.eval()  # dropout would tell identical neurons apart
    nudge(model, images, labels, NUDGES)
    spread, moved = [], []
    for p, before in zip(parameters, start):
        rows = p.detach().flatten(1) if p.ndim >= 2 and p.shape[0] > 1 else torch.zeros(0, 1)
        alike = len(rows) > 1 and bool((before.flatten(1) == before.flatten(1)[:1]).all())
        spread.append(float((rows - rows[:1]).abs().max()) if alike else -1.0)  # -1: not alike to begin with
        moved.append(float((p.detach() - before).abs().max()) if p.numel() else 0.0)
    for _ in range(PASSES):
        if all(c or not p.requires_grad for c, p in zip(connected, parameters)) and all(largest):
            break
        attached = meet(model, images, labels, connected, largest) or attached
        nudge(model, images, labels, 1)
    model.eval()
    return {
        "attached": attached,
        "names": names,
        "sizes": [p.numel() for p in parameters],
        "trainable": [p.requires_grad for p in parameters],
        "random": [bool((p != q).any()) for p, q in zip(start, other.parameters())],
        "connected": connected,
        "largest": largest,
        "spread": spread,
        "moved": moved,
        "influence": [0.0 if c else influence(model, p, images) for c, p in zip(connected, parameters)],
    }


def meet(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, connected: list[bool], largest: list[float]
) -> bool:
    """One backward pass in training mode; remember which parameters are in the graph and their largest gradient."""
    model.train()
    found = gradients(model, images, labels)
    for i, gradient in enumerate(found or []):
        if gradient is not None:
            connected[i] = True
            largest[i] = max(largest[i], float(gradient.abs().max()) if gradient.numel() else 1.0)
    return found is not None


def influence(model: nn.Module, parameter: nn.Parameter, images: torch.Tensor) -> float:
    """How much the scores change when one parameter tensor is changed at random."""
    before = array(run(model, images, seed=1))
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter.add_(torch.randn_like(parameter))
        after = array(run(model, images, seed=1))
        parameter.copy_(kept)
    return float(abs(after - before).max())


@probe("model", full=False)
def transplant(student: Any, images: Any, labels: Any) -> dict[str, Any]:
    """Train one network a little, copy its state into a second one, and look for weights outside that state."""
    return answer(lambda: copied(student, torch.from_numpy(images), torch.from_numpy(labels)))


def copied(student: Any, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    with unseeded():  # two networks of one seed would agree whatever is copied
        first, second = build(student).eval(), build(student).eval()
    if run(second, images) is None or run(first, images) is None:
        return {"unusable": True}
    once, again = (array(run(first, images, seed=1)) for _ in range(2))
    mine = {id(p) for p in first.parameters()}
    seen: dict[str, Any] = {
        "shared": [name for name, p in second.named_parameters() if id(p) in mine],
        "parameters": sum(p.numel() for p in first.parameters()),
        "created": created_in_forward(first, images),
        "once": once,
        "again": again,
    }
    nudge(first, images, labels, NUDGES)
    out = run(first, images, seed=1)
    seen["stray"] = [str(list(t.shape)) for t in leaves(out) if id(t) not in mine]
    seen["original"] = array(out)
    seen["original_again"] = array(run(first, images, seed=1))
    seen["without"] = array(run(second, images, seed=1))
    second.load_state_dict(first.state_dict(), strict=False)
    seen["copy"] = array(run(second, images, seed=1))
    return seen | hiding_places(student, first)


@probe("model", full=False)
def response(student: Any, images: Any, labels: Any, lines: Any, factors: list[float]) -> dict[str, Any]:
    """Scores of a new network, after a few steps, with larger images, and with weights scaled up.

    `lines` are triples of images: two, and the one half-way between them.
    """
    pictures, on_lines = torch.from_numpy(images), torch.from_numpy(lines)

    def settings() -> dict[str, Any]:
        model = build(student).eval()
        seen: dict[str, Any] = {}

        def note(name: str, factor: float = 1.0) -> bool:
            plain, line = run(model, pictures * factor), run(model, on_lines * factor)
            if plain is None or line is None:
                return False
            seen[f"scores_{name}"], seen[f"lines_{name}"] = array(plain), array(line)
            return True

        if not note("start"):
            return {"unusable": True}
        nudge(model, pictures, torch.from_numpy(labels), NUDGES)
        note("stepped")
        note("bright", 30.0)
        fresh = run(build(student).train(), pictures)
        if fresh is not None:
            seen["scores_training"] = array(fresh)
        grown = 1.0
        for number, factor in enumerate(factors):
            grow(model, factor / grown)
            grown = factor
            note(f"grown_{number}", 10.0)
        return seen

    return answer(settings)


@probe("model", full=False)
def companions(student: Any, images: Any, labels: Any, others: Any, order: Any, changed: list[int]) -> dict[str, Any]:
    """Scores of the same images twice, in another order, alone, and beside other images, in evaluation mode."""
    batch, strangers = torch.from_numpy(images), torch.from_numpy(others)

    def together() -> dict[str, Any]:
        model = build(student).eval()
        given = batch.clone()
        model(given)
        if run(model, batch) is None:
            return {"unusable": True}
        seen: dict[str, Any] = {"after": given.detach().numpy()}
        nudge(model, batch, torch.from_numpy(labels), NUDGES)
        model.eval()
        for name in ("one", "two"):  # chance goes on from call to call
            seen[name] = array(run(model, batch))
        for name in ("same_chance_one", "same_chance_two"):  # chance starts anew: what differs now is memory
            seen[name] = array(run(model, batch, seed=1))
        seen["ordered"] = array(run(model, batch[torch.from_numpy(order)], seed=1))
        half = len(batch) // 2
        seen["beside_others"] = array(run(model, torch.cat([batch[:half], strangers[half:]]), seed=1))
        for i in changed:
            other = batch.clone()
            other[i] = strangers[i]
            seen[f"changed_{i}"] = array(run(model, other, seed=1))
        alone, raised = attempt(lambda: run(model, batch[:1], seed=1))
        if raised is None and alone is not None:
            seen["alone"] = array(alone)
        grow(model, 4.0)  # a fresh recurrent layer forgets too fast for a kept state to show
        for name in ("grown_one", "grown_two"):
            seen[name] = array(run(model, batch, seed=1))
        return seen

    return answer(together) | {"created": attempt(lambda: created_in_forward(build(student).eval(), batch))[0] or []}
