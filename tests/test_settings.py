"""What submitted files set for the whole process is put back before the grader's own parts work in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grader.probes.runtime import seed

kept = []  # a mode lasts as long as somebody holds it


def enter(mode) -> None:
    kept.append(mode)
    mode.__enter__()


@pytest.mark.parametrize("setting", [
    lambda: np.seterr(all="raise"),
    lambda: torch.set_default_device("meta"),
    lambda: torch.use_deterministic_algorithms(True),
    lambda: torch.autograd.set_detect_anomaly(True),
    lambda: torch.set_grad_enabled(False),
    lambda: enter(torch.no_grad()),
    lambda: enter(torch.inference_mode()),
    lambda: enter(torch.autocast("cpu", torch.bfloat16)),
])  # fmt: skip
def test_a_setting_is_put_back(setting):
    setting()
    seed(1)
    weight = torch.nn.Linear(2, 2).weight
    (weight @ torch.ones(2, 1)).sum().backward()
    assert weight.grad is not None and weight.grad.numpy().tolist() == [[1, 1], [1, 1]]
    assert (weight @ torch.ones(2, 1)).dtype == torch.float32
    assert np.float32(1) / np.float32(3e38) * np.float32(1e-30) == 0  # numpy lets numbers run out below
    assert not torch.are_deterministic_algorithms_enabled() and not torch.is_anomaly_enabled()
