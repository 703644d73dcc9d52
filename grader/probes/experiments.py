"""The student's pipeline once more with one thing changed, or with one part exchanged for the grader's own."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from grader.engine.worker.beside_student.probing import attempt, probe
from grader.probes.pipeline import Cached, Counted, as_digits, default, drawn, float32, same

LOOPS = ("train_one_epoch", "evaluate")  # what fit calls of the student's
BATCH = 64  # of the grader's own loaders
INFINITE = float("inf")
# of torch's optimizers; but not those that say how they compute, nor the learning rate
OPTIONS = ("momentum", "dampening", "weight_decay", "betas", "eps", "alpha", "rho", "lambd", "lr_decay", "maximize")
CHUNK = 500  # images scored at once


class OutOfTime(BaseException):
    """The time for the experiments is over; no `except Exception` of the student's stops it."""


class Timed(Cached):
    """Gives images until the time is over."""

    ends = float("inf")

    def __getitem__(self, index: Any) -> Any:
        if time.process_time() > self.ends:
            raise OutOfTime
        return super().__getitem__(index)

    __getitems__ = __getitem__


class Steps:
    """Sees every step of an optimizer, from just before it: with which learning rate and which options it is made."""

    def __init__(self, steady: bool = False) -> None:
        self.steady = steady  # whether each optimizer keeps the rate that it was built with
        self.first = self.last = math.nan  # learning rates
        self.moved = False  # whether a step had another rate than its optimizer was built with
        self.options: dict[str, float] = {}  # that are not torch's defaults
        self.built: dict[int, tuple[Any, float]] = {}  # id of a parameter group -> (it, its rate)

    def __call__(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        for group in optimizer.param_groups:
            _, rate = self.built.setdefault(id(group), (group, group.get("initial_lr", group["lr"])))
            self.moved = self.moved or float(group["lr"]) != float(rate)
            if self.steady:
                group["lr"] = rate
        self.last = float(optimizer.param_groups[0]["lr"])
        if math.isnan(self.first):
            self.first, self.options = self.last, unusual(optimizer)

    @contextmanager
    def watched(self) -> Iterator[None]:
        handle = register_optimizer_step_pre_hook(self)
        try:
            yield
        finally:
            handle.remove()


def unusual(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """{name: value} of the options that an optimizer has instead of its class' defaults; of betas each of the two."""
    found: dict[str, float] = {}
    usual = inspect.signature(type(optimizer).__init__).parameters
    for name in OPTIONS:
        if name in usual and name in optimizer.param_groups[0]:
            values, defaults = optimizer.param_groups[0][name], usual[name].default
            names = ("beta1", "beta2") if name == "betas" else (name,)
            pairs = zip(values, defaults) if name == "betas" else [(values, defaults)]
            found |= {name: float(value) for name, (value, default) in zip(names, pairs) if value != default}
    return found


@dataclass
class Data:
    """Prepared tensors: training images and labels, the same for validation, and the test images in their order."""

    train: tuple[torch.Tensor, torch.Tensor]
    val: tuple[torch.Tensor, torch.Tensor]
    test: torch.Tensor
    batch_size: int

    def scaled(self) -> Data:
        """The same with pixels from 0 to 1."""
        low, high = float(self.train[0].min()), float(self.train[0].max())
        images = [(x - low) / ((high - low) or 1.0) for x in (self.train[0], self.val[0], self.test)]
        return Data((images[0], self.train[1]), (images[1], self.val[1]), images[2], self.batch_size)


@probe("train", "model", "data")
def trials(
    student: Any, root: str, code: list[str], plans: list[dict[str, Any]], images: int, tests: int, seconds: float
) -> dict[str, Any]:
    """Train in several ways, one after the other, as far as `seconds` of CPU time reach.

    root: a folder for torchvision.datasets.MNIST; images, tests: how many digits to train on and to score, 0 for all
    code: the texts of the files in grader/lent/, which no child has but in this argument
    plans: {data, network, epoch, optimizer, fit: "own" or "lent" (data: "scaled" too; optimizer: "plain" too, the
    student's with no option but the rate); lr, epochs: factors; rate: an lr in place of the default, 0 for none;
    steady: whether the optimizer keeps the rate that it was built with}
    results: one {scores: (tests, 10) float32, or what was raised} per plan that was reached, in their order
    inputs: (tests, 784) float32, the student's own test images; (0, 0) when no plan needed them
    lr, epochs: the defaults of fit, nan where they are no numbers; used: CPU seconds of this child so far
    steps: of the first plan {first, last: learning rates, options: {name: value, as `unusual` has them}}
    """
    lent: dict[str, Any] = {}
    for text in code:
        exec(compile(text, "<lent by the grader>", "exec", dont_inherit=True), lent)
    fit = student.function("train", "fit")
    Timed.ends = time.process_time() + seconds
    prepared: dict[str, Data] = {}
    known: dict[Any, Any] = {}  # plans may come to the same: three times the default, and a rate in its place
    results: list[dict[str, Any]] = []
    watched: list[Steps] = []
    for plan in plans:
        same_as = {**plan, "lr": 1, "rate": plan["rate"] or default(fit, "lr") * plan["lr"]}
        if watched:
            same_as["steady"] = plan["steady"] and watched[0].moved
            same_as["optimizer"] = (
                "own" if not watched[0].options and plan["optimizer"] == "plain" else plan["optimizer"]
            )
        if (key := repr(same_as)) not in known:
            watched.append(Steps(plan["steady"]))
            with watched[-1].watched():
                known[key] = attempt(lambda p=plan: trained(student, lent, root, p, prepared, images, tests))
        scores, raised = known[key]
        if raised is not None and raised.type == "OutOfTime":
            break
        results.append({"scores": raised or scores})
    own = prepared.get("own")
    return {
        "results": results,
        "inputs": as_digits(own.test) if own is not None else np.zeros((0, 0), np.float32),
        "used": time.process_time(),
        "lr": default(fit, "lr"),
        "epochs": default(fit, "epochs"),
        "steps": {"first": watched[0].first, "last": watched[0].last, "options": watched[0].options},
    }


def trained(
    student: Any,
    lent: dict[str, Any],
    root: str,
    plan: dict[str, Any],
    prepared: dict[str, Any],
    count: int,
    tests: int,
) -> np.ndarray:
    """Scores (tests, 10) of a network that was trained as the plan says."""
    torch.manual_seed(torch.initial_seed())
    kind = "own" if plan["data"] == "scaled" else plan["data"]
    if kind not in prepared:
        prepared[kind] = own_data(student, root, count, tests) if kind == "own" else lent_data(lent, root, count, tests)
    data: Data = prepared[kind]
    data = data.scaled() if plan["data"] == "scaled" else data
    make = student.function("model", "DigitClassifier") if plan["network"] == "own" else lent["Network"]
    model = make()
    fit = student.function("train", "fit") if plan["fit"] == "own" else lent["fit"]
    changed = {}
    for name in ("lr", "epochs"):
        if plan[name] != 1:
            value = default(fit, name) * plan[name]
            changed[name] = max(1, round(value)) if name == "epochs" else value
    if plan["rate"]:
        changed["lr"] = plan["rate"]
    with lending(student.train, lent, plan):
        fit(model, loader(data.train, data.batch_size, True), loader(data.val, data.batch_size, False), **changed)
    torch.set_grad_enabled(True)
    model.eval()
    with torch.no_grad():
        return np.concatenate([float32(model(part)) for part in torch.split(data.test, CHUNK)])


def own_data(student: Any, root: str, count: int, tests: int) -> Data:
    """What the student's loaders give: the first ones of each, 0 for all."""
    loaders = student.function("data", "make_loaders")(root)
    sizes = (count or INFINITE, tests or INFINITE, tests or INFINITE)
    train, val, test = (together(drawn(one, size)) for one, size in zip(loaders, sizes))
    return Data(train, val, test[0], getattr(loaders[0], "batch_size", None) or BATCH)


def together(batches: list[tuple[torch.Tensor, torch.Tensor]] | None) -> tuple[torch.Tensor, torch.Tensor]:
    if batches is None:
        raise ValueError("a loader gives something else than pairs of tensors")
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def lent_data(lent: dict[str, Any], root: str, count: int, tests: int) -> Data:
    images, labels, val_images, val_labels, test_images, _ = (
        x[: limit or len(x)] for x, limit in zip(lent["tensors"](root), (count, count, tests, tests, tests, tests))
    )
    return Data((images, labels), (val_images, val_labels), test_images, BATCH)


def loader(pair: tuple[torch.Tensor, torch.Tensor], size: int, shuffle: bool) -> Counted:
    made = Counted(Timed(*pair), batch_size=size, shuffle=shuffle, collate_fn=same)
    made.report = lambda **_: None
    return made


@contextmanager
def lending(module: Any, lent: dict[str, Any], plan: dict[str, Any]) -> Iterator[None]:
    """Put the grader's epoch, or its optimizer, where the student's fit finds its own."""
    changes: list[tuple[Any, str, Any]] = []
    if plan["epoch"] == "lent":
        changes += [(module, name, lent[name]) for name in LOOPS]
    if plan["optimizer"] != "own":
        for place in (torch.optim, module):
            found = [(name, value) for name, value in vars(place).items() if is_optimizer(value)]
            works = working(lent["optimizer_for"])
            changes += [(place, n, works if plan["optimizer"] == "lent" else without_options(v)) for n, v in found]
    before = [(place, name, getattr(place, name)) for place, name, _ in changes]
    try:
        for place, name, value in changes:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def is_optimizer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer


def working(make: Callable[..., Any]) -> Callable[..., Any]:
    """Takes what the student gives to an optimizer, and uses the parameters alone."""

    def optimizer(parameters: Any, *_: Any, **__: Any) -> Any:
        return make(parameters)

    return optimizer


def without_options(kind: Any) -> Callable[..., Any]:
    """Takes what the student gives to an optimizer of this class, and uses the parameters and the learning rate."""

    def optimizer(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(kind).bind(*args, **kwargs).arguments
        parameters = [
            {name: x for name, x in group.items() if name in ("params", "lr")} if isinstance(group, dict) else group
            for group in given["params"]
        ]
        return kind(parameters, **({"lr": given["lr"]} if "lr" in given else {}))

    return optimizer
