"""How a worker gets ready for this week's probes: what is imported before a submission is seen, seeds, global state."""

from __future__ import annotations

import random
import sys
from typing import Any

from grader.engine.worker.beside_student.marks import names_of
from grader.probes.settings import settle

WATCHED = (
    "torch", "torch.nn", "torch.nn.functional", "torch.optim", "torch.utils.data", "torch.autograd",
    "torchvision", "torchvision.datasets", "torchvision.transforms",
)  # fmt: skip
CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.nn.Linear", "torch.optim.Optimizer", "torch.optim.SGD",
           "torch.utils.data.DataLoader", "torchvision.datasets.MNIST")  # fmt: skip


def warm(what: str) -> None:
    """Import what probes need. "light": torch. "full": torchvision, an optimizer, and the probes themselves.

    The first optimizer and torchvision both import torch._dynamo (about a second), so that is paid once, here.
    """
    import torch

    # Before any tensor operation: a forked child that inherits a used thread pool hangs.
    torch.set_num_threads(1)
    if what == "full":
        import torchvision.datasets
        import torchvision.transforms  # noqa: F401

        from grader.probes import data, experiments, fit, pipeline, training  # noqa: F401

        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def seed(number: int) -> None:
    """It fixes initialisation and shuffling in student code, and every setting."""
    settle()
    random.seed(number)
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed(number % 2**32)
    if torch is not None:
        torch.manual_seed(number)


def marks() -> dict[str, Any]:
    """What student code could change for the next probe: settings of torch, and what its names are bound to."""
    torch = sys.modules["torch"]
    found: dict[str, Any] = {
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "grad": torch.is_grad_enabled(),
    }
    for name in WATCHED:
        if name in sys.modules:
            found[name] = names_of(sys.modules[name])
    for name in CLASSES:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            found[name] = names_of(getattr(sys.modules[module], attribute))
    return found
