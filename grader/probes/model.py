"""What model.py shows from outside: how it is built, what comes out, what learns, what depends on what.

Nothing here needs torchvision or an optimizer: a few reference steps are taken by hand, because some
faults hide behind the first random weights (a head that starts at zero hides everything before it).

A "score matrix" is (images, scores per image), float32 or float64, whatever shape forward gave it.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.engine.worker.beside_student.probing import MissingName, attempt, is_a, is_ours, probe
from grader.engine.worker.raised import Raised
from grader.probes.network.gradients import asleep, felt, grow, idle, influence, leaves, meet, nudge
from grader.probes.network.layers import hiding_places, is_bare, local_layers, own_classes, parameters_of
from grader.probes.network.scores import (
    answer_of,
    build,
    created_in_forward,
    ends_with_average,
    entered_last,
    observed,
    score_matrix,
    to_numpy,
    unseeded,
)
from grader.probes.network.tensors import plain, shape_of

NUDGES = 4  # reference steps before relations are looked at
CUT = 0.05  # part of the scores that are the lowest one, where it is worth asking why
PASSES = 12  # tries until every parameter has met a gradient: some networks skip layers at random
MORE_PASSES = 60  # before a layer is said never to meet one in training mode, where it does in evaluation mode


@probe("model", full=False)
def construct(student: Any) -> dict[str, Any]:
    """Build the network; say what DigitClassifier is, what came out, and which functions it defines.

    kind: "class", "instance" (of nn.Module) or the type's name; callable: bool
    defines, inner, outside: names of functions in the class, inside functions of the class, in the file
    model: {type: its name, is_module, initialised, answers: bool}, or what DigitClassifier() raised
    bare: whether the network keeps nothing at all; lost: names of layers that __init__ created and did not keep
    contained: attributes with layers in lists and the like, where PyTorch knows no layer of the network
    """
    maker = student.function("model", "DigitClassifier")
    is_class = is_a(maker, type)
    lost: list[str] = []
    with local_layers(maker, lost):
        model, raised = attempt(maker)
    if is_ours(model):  # a factory may hand out what is not theirs
        raise MissingName("model", "DigitClassifier", [])
    return {
        "kind": "class" if is_class else "instance" if is_a(maker, nn.Module) else type(maker).__name__,
        "callable": callable(maker),
        "defines": sorted(own_functions(maker)) if is_class else [],
        "inner": inner_functions(maker) if is_class else [],
        "outside": sorted(n for n, v in vars(student.model).items() if isinstance(v, types.FunctionType)),
        "model": raised if raised is not None else what_came_out(model),
        "bare": is_bare(model),
        "lost": lost,
        "contained": contained(student, model),
    }


def contained(student: Any, model: Any) -> list[str]:
    if not is_a(model, nn.Module) or "_modules" not in vars(model) or parameters_of(model):
        return []
    return hiding_places(student, model)["containers"]


def what_came_out(model: Any) -> dict[str, Any]:
    is_module = is_a(model, nn.Module)
    own = set().union(*(vars(c) for c in type(model).__mro__ if c not in (nn.Module, object)))
    return {
        "type": type(model).__name__,
        "is_module": is_module,
        "initialised": "_modules" in getattr(model, "__dict__", {}),
        "answers": is_module and bool({"forward", "__call__"} & (own | set(vars(model)))),
    }


def own_functions(maker: type) -> set[str]:
    """Functions written in the class itself or in a base class of the student's."""
    return {n for c in own_classes(maker) for n, v in vars(c).items() if isinstance(v, types.FunctionType)}


def inner_functions(maker: type) -> list[str]:
    """Functions defined inside other functions of the class: what a `def` indented too far becomes."""
    functions = [v for v in vars(maker).values() if is_a(v, types.FunctionType)]
    return sorted(c.co_name for f in functions for c in f.__code__.co_consts if isinstance(c, types.CodeType))


@probe("model", full=False)
def scores(student: Any, images: np.ndarray, batch_sizes: list[int]) -> dict[str, Any]:
    """What a new network returns in evaluation mode for batches of several sizes, and in training mode.

    images: (N, 1, 28, 28) float32, of which the first ones are a batch
    batches: one {returned: form, or what forward raised} per batch size
    training: form for the largest batch in training mode, or what was raised
    form: {type; items: types of a tuple's items; of a tensor shape, dtype and, where floating, values of that shape}
    accepts: of a network that refuses the largest batch: which of "flat" (B, 784) and "rows" (B, 28, 28) it takes
    stopped: the layer in which it refused that batch, see `entered_last`; only where there is one
    """
    pool = torch.from_numpy(images)
    batches = []
    for size in batch_sizes:
        batch = pool[:size].clone()
        out, raised = attempt(lambda b=batch: build(student).eval()(b))
        batches.append({"returned": returned_form(out, raised)})
    largest = pool[: max(batch_sizes)]
    out, raised = attempt(lambda: build(student).train()(largest.clone()))
    accepts = []
    if isinstance(batches[batch_sizes.index(len(largest))]["returned"], Raised):
        for name, other in (("flat", largest.flatten(1)), ("rows", largest[:, 0])):
            taken = plain(attempt(lambda b=other: build(student).eval()(b.clone()))[0])
            if is_a(taken, torch.Tensor) and taken.ndim == 2 and len(taken) == len(largest):
                accepts.append(name)
    answer = {"batches": batches, "training": returned_form(out, raised), "accepts": accepts}
    if isinstance(batches[batch_sizes.index(len(largest))]["returned"], Raised):
        model, _ = attempt(lambda: build(student).eval())
        if is_a(model, nn.Module) and (stopped := entered_last(model, largest.clone())):
            answer["stopped"] = stopped
    return answer


def returned_form(out: Any, raised: Raised | None) -> dict[str, Any] | Raised:
    """Type, shape, dtype and values of a returned value, without calling anything of the student's on it."""
    if raised is not None:
        return raised
    if is_a(out, tuple, list):
        kind = "tuple" if is_a(out, tuple) else "list"
        return {"type": kind, "items": ", ".join(type(item).__name__ for item in out[:4])}
    out = plain(out)
    if not is_a(out, torch.Tensor):
        return {"type": type(out).__name__}
    form: dict[str, Any] = {"type": "Tensor", "shape": [int(n) for n in out.shape][:9]}
    form["dtype"] = str(out.dtype).removeprefix("torch.")
    if out.dtype.is_floating_point and out.ndim <= 9 and out.numel() <= 1_000_000:
        form["values"] = to_numpy(out)
    return form


@probe("model", full=False)
def learn(
    student: Any, images: np.ndarray, alike: np.ndarray, others: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Which parameters a gradient reaches in training mode, which move, and whether neurons stay alike.

    images, alike, others: (B, 1, 28, 28) float32, `alike` being the images hardly changed; labels: (B,) int64
    network: {usable: bool; attached: whether the scores had a graph; tensors; states}, or what was raised
    states: one {scores, alike, others: score matrices} in training mode for the new network, after some steps, and
    then with larger images
    tensors: lists with one entry per parameter tensor: names; sizes: numbers in it; trainable: so, and parameters()
    tells of it; random: differs in a second network; connected: a gradient came; largest: size of that gradient, 0
    where it is too small to move anything; spread: how far its neurons came apart, -1 where they were not alike to
    begin with; moved: the largest change; influence: how much the scores
    change with it, where no gradient came; idle: neither it nor another of its layer ever had a gradient that is not
    zero, nor changes the scores, whatever the other weights are; asleep: nor did its layer in training mode, however
    often, but it has one in evaluation mode
    """
    kinds = {"scores": images, "alike": alike, "others": others}
    shown = {name: torch.from_numpy(kind) for name, kind in kinds.items()}
    return observed(lambda: reach(student, shown, torch.from_numpy(labels)))


def reach(student: Any, shown: dict[str, torch.Tensor], labels: torch.Tensor) -> dict[str, Any] | None:
    images = shown["scores"]
    with unseeded():
        model, other = build(student).eval(), build(student).eval()
    if score_matrix(model, images) is None or score_matrix(other, images) is None:
        return None
    names, parameters = list(parameters_of(model)), list(parameters_of(model).values())
    told = {id(p) for p in model.parameters()}  # what an optimizer is given
    trainable = [p.requires_grad and id(p) in told for p in parameters]
    start = {name: p.detach().clone() for name, p in zip(names, parameters)}
    sizes = [float(p.abs().max()) if p.numel() else 0.0 for p in start.values()]
    connected, largest = [False] * len(names), [0.0] * len(names)
    attached = meet(model, images, labels, connected, largest)
    model.eval()  # dropout would tell identical neurons apart
    nudge(model, images, labels, NUDGES)
    spread, moved = [], []
    for p, before in zip(parameters, start.values()):
        rows = p.detach().flatten(1) if p.ndim >= 2 and p.shape[0] > 1 else torch.zeros(0, 1)
        alike = len(rows) > 1 and bool((before.flatten(1) == before.flatten(1)[:1]).all())
        spread.append(float((rows - rows[:1]).abs().max()) if alike else -1.0)
        moved.append(float((p.detach() - before).abs().max()) if p.numel() else 0.0)
    for _ in range(PASSES):
        if all(c or not p.requires_grad for c, p in zip(connected, parameters)) and all(felt(largest, sizes)):
            break
        attached = meet(model, images, labels, connected, largest) or attached
        nudge(model, images, labels, 1)
    sleeping = asleep(model, images, labels, felt(largest, sizes), sizes)
    for _ in range(MORE_PASSES if any(sleeping) else 0):
        meet(model, images, labels, connected, largest)
    largest = felt(largest, sizes)
    sleeping = [was and not gradient for was, gradient in zip(sleeping, largest)]
    model.eval()
    others = parameters_of(other)
    tensors = {
        "names": names,
        "sizes": [p.numel() for p in parameters],
        "trainable": trainable,
        "random": [name not in others or not torch.equal(p, others[name]) for name, p in start.items()],
        "connected": connected,
        "largest": largest,
        "spread": spread,
        "moved": moved,
        "influence": [0.0 if c else influence(model, p, images) for c, p in zip(connected, parameters)],
    }
    states = []
    for network, factor in ((other.train(), 1.0), (model.train(), 1.0), (model, 30.0)):
        given = {name: score_matrix(network, kind * factor, seed=1) for name, kind in shown.items()}
        if all(scores is not None for scores in given.values()):
            states.append({name: to_numpy(scores) for name, scores in given.items()})
    tensors |= {"idle": idle(model.eval(), parameters, images, largest), "asleep": sleeping}
    return {"attached": attached, "tensors": tensors, "states": states}


@probe("model", full=False)
def transplant(student: Any, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Train one network a little, copy its state into a second one, and look for weights outside that state.

    images: (B, 1, 28, 28) float32; labels: (B,) int64
    network: what was raised, or {usable: bool; once, again: score matrices of the new network, asked twice;
    original, original_again: after a few steps; copy: of the second network with the first one's state;
    parameters: how many numbers; shared: parameters that both have; created: layers that came into being in
    forward; stray: shapes of tensors that learn and are no parameter; places: see hiding_places}
    """
    return observed(lambda: copied(student, torch.from_numpy(images), torch.from_numpy(labels)))


def copied(student: Any, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any] | None:
    with unseeded():  # two networks of one seed would agree whatever is copied
        first, second = build(student).eval(), build(student).eval()
    if score_matrix(second, images) is None or score_matrix(first, images) is None:
        return None
    once, again = (to_numpy(score_matrix(first, images, seed=1)) for _ in range(2))
    mine = {id(p): p for p in parameters_of(first).values()}
    values: dict[str, Any] = {
        "shared": [name for name, p in parameters_of(second).items() if id(p) in mine],
        "parameters": sum(p.numel() for p in mine.values()),
        "created": created_in_forward(first, images),
        "once": once,
        "again": again,
    }
    nudge(first, images, labels, NUDGES)
    out = score_matrix(first, images, seed=1)
    values["stray"] = [str(shape_of(t)) for t in leaves(out) if id(t) not in mine]
    values["original"] = to_numpy(out)
    values["original_again"] = to_numpy(score_matrix(first, images, seed=1))
    nn.Module.load_state_dict(second, nn.Module.state_dict(first), strict=False)
    values["copy"] = to_numpy(score_matrix(second, images, seed=1))
    return {**values, "places": hiding_places(student, first)}


@probe("model", full=False)
def response(
    student: Any,
    images: np.ndarray,
    alike: np.ndarray,
    others: np.ndarray,
    labels: np.ndarray,
    lines: np.ndarray,
    factors: list[float],
) -> dict[str, Any]:
    """Scores of a new network, after a few steps, with larger images, and with weights scaled up.

    images, alike, others, lines: (B, 1, 28, 28) float32, `alike` being the images hardly changed, `lines` triples of
    two images and the one half-way between them
    network: what was raised, or {usable: bool; states; averaged: see `ends_with_average`, False where no scores are cut
    below; training: score matrix of a new network in training mode, where it has one; training_grown: with the largest
    two sizes of weights in that mode}
    states: one {scores, alike, others, lines: score matrices} for each state from the new network to the largest
    weights, without those in which no score matrix came
    """
    kinds = {"scores": images, "alike": alike, "others": others, "lines": lines}
    pictures = torch.from_numpy(images)

    def settings() -> dict[str, Any] | None:
        model = build(student).eval()
        states: list[dict[str, Any]] = []

        def note(factor: float = 1.0) -> None:
            shown = {name: torch.from_numpy(kind) * factor for name, kind in kinds.items()}
            given = {name: score_matrix(model, kind, seed=1) for name, kind in shown.items()}
            if all(scores is not None for scores in given.values()):
                states.append({name: to_numpy(scores) for name, scores in given.items()})

        note()
        if not states:
            return None
        nudge(model, pictures, torch.from_numpy(labels), NUDGES)
        note()
        note(30.0)
        training = score_matrix(build(student).train(), pictures)
        grown = 1.0
        for factor in factors:
            grow(model, factor / grown)
            grown = factor
            note(10.0)
        values: dict[str, Any] = {"states": states, "averaged": False}
        if training is not None:
            values["training"] = to_numpy(training)
        model.train()
        grow(model, factors[-2] / grown)
        for factor in (1.0, grown / factors[-2]):
            grow(model, factor)
            scores = score_matrix(model, pictures * 10.0, seed=1)
            values.setdefault("training_grown", []).extend([] if scores is None else [to_numpy(scores)])
        if any(map(cut_below, [*(state["scores"] for state in states), *values["training_grown"]])):
            model = build(student).eval()  # its first look at operations imports much, which takes a second
            values["averaged"] = bool(attempt(ends_with_average, model, pictures[:2])[0])
        return values

    return observed(settings)


def cut_below(scores: np.ndarray) -> bool:
    """Whether many scores are the lowest one."""
    with np.errstate(all="ignore"):
        return bool((scores <= scores.min() + 1e-3 * np.ptp(scores)).mean() > CUT)


@probe("model", full=False)
def companions(
    student: Any,
    images: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    order: np.ndarray,
    changed: list[int],
    sizes: list[int],
) -> dict[str, Any]:
    """Scores of the same images twice, in another order, alone, and beside other images, in evaluation mode.

    images, others: (B, 1, 28, 28) float32; order: a permutation of B; changed: places where others[i] is put in;
    sizes: of smaller batches
    network: what was raised, or {usable: bool; after: the images when forward was done with them, and score matrices:
    chance_goes_on: two calls; same_chance: two with one seed; grown: two of the network with large weights;
    ordered: of images[order]; beside_others: with the second half from `others`; changed: one per place;
    calm: of images squeezed into 0..1; beside_loud: of these, but the last is of `others`;
    alone: of images[:1], where it gave one; smaller: of images[:size], one {scores: matrix, or what was raised} each}
    created: layers that came into being in forward
    """
    batch, strangers = torch.from_numpy(images), torch.from_numpy(others)

    def together() -> dict[str, Any] | None:
        model = build(student).eval()
        handed = batch.clone()
        answer_of(model, handed)
        if score_matrix(model, batch) is None:
            return None
        values: dict[str, Any] = {"after": handed.detach().numpy()}
        nudge(model, batch, torch.from_numpy(labels), NUDGES)
        model.eval()
        values["chance_goes_on"] = [to_numpy(score_matrix(model, batch)) for _ in range(2)]
        # with the same chance, what differs is memory
        values["same_chance"] = [to_numpy(score_matrix(model, batch, seed=1)) for _ in range(2)]
        values["ordered"] = to_numpy(score_matrix(model, batch[torch.from_numpy(order)], seed=1))
        half = len(batch) // 2
        values["beside_others"] = to_numpy(score_matrix(model, torch.cat([batch[:half], strangers[half:]]), seed=1))
        calm = (batch - batch.min()) / (batch.max() - batch.min())
        loud = torch.cat([calm[:-1], strangers[-1:]])
        values |= {
            name: to_numpy(score_matrix(model, x, seed=1)) for name, x in (("calm", calm), ("beside_loud", loud))
        }
        values["changed"] = []
        for i in changed:
            other = batch.clone()
            other[i] = strangers[i]
            values["changed"].append(to_numpy(score_matrix(model, other, seed=1)))
        alone, raised = attempt(lambda: score_matrix(model, batch[:1], seed=1))
        if raised is None and alone is not None:
            values["alone"] = to_numpy(alone)
        values["smaller"] = []
        for size in sizes:
            few, raised = attempt(lambda n=size: score_matrix(model, batch[:n], seed=1))
            values["smaller"].append({"scores": raised} if few is None else {"scores": to_numpy(few)})
        grow(model, 4.0)  # a fresh recurrent layer forgets too fast for a kept state to show
        values["grown"] = [to_numpy(score_matrix(model, batch, seed=1)) for _ in range(2)]
        return values

    answer = observed(together)
    created, _ = attempt(lambda: created_in_forward(build(student).eval(), batch))
    return answer | {"created": created or []}
