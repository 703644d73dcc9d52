"""The loops that stand in for a student's TODO 5 and TODO 6 while TODO 7 is looked at."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Foreign(Exception):
    """A stand-in was called with something it cannot use: the student's functions have another signature."""


def sort_out(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[nn.Module, Any, Any]:
    """Find (model, loader, optimizer or None) among the arguments, in whatever order the student hands them over."""
    handed = [*args, *kwargs.values()]
    models = [a for a in handed if isinstance(a, nn.Module) and next(a.parameters(), None) is not None]
    optimizers = [a for a in handed if isinstance(a, torch.optim.Optimizer)]
    loaders = [a for a in handed if hasattr(a, "__iter__") and not isinstance(a, (str, nn.Module))]
    if not models or not loaders:
        raise Foreign("no model or no loader among the arguments")
    if any(hasattr(a, "step") and not isinstance(a, (torch.optim.Optimizer, nn.Module)) for a in handed):
        raise Foreign("a scheduler among the arguments, which only the student's own loop knows how to use")
    if optimizers and any(callable(getattr(held, "step", None)) for held in vars(optimizers[0]).values()):
        raise Foreign("a scheduler that hangs on the optimizer, which only the student's own loop knows how to use")
    return models[0], loaders[0], optimizers[0] if optimizers else None


def train_one_epoch(*args: Any, **kwargs: Any) -> float:
    """The grader's TODO 5, put in the place of the student's while `fit` is looked at."""
    model, loader, optimizer = sort_out(args, kwargs)
    if optimizer is None:
        raise Foreign("no optimizer among the arguments")
    model.train(True)
    weights = [weight for group in optimizer.param_groups for weight in group["params"] if weight.requires_grad]
    losses = []
    for images, labels in loader:
        each = F.cross_entropy(model(images), labels, reduction="none")
        for weight, slope in zip(weights, torch.autograd.grad(each.mean(), weights, allow_unused=True)):
            weight.grad = slope
        optimizer.step()
        losses.append(each.detach())
    return float(torch.cat(losses).double().mean()) if losses else 0.0


def evaluate(*args: Any, **kwargs: Any) -> tuple[float, float]:
    """The grader's TODO 6, put in the place of the student's while `fit` is looked at."""
    model, loader, _ = sort_out(args, kwargs)
    model.train(False)
    with torch.inference_mode():
        pairs = [(model(images), labels) for images, labels in loader]
    if not pairs:
        return 0.0, 0.0
    scores, wanted = torch.cat([s for s, _ in pairs]).double(), torch.cat([w for _, w in pairs])
    hits = scores.max(dim=1).indices.eq(wanted)
    return float(F.cross_entropy(scores, wanted)), float(hits.double().mean())
