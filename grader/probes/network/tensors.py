"""What a tensor of a student's holds, whatever kind of tensor it is."""

from __future__ import annotations

from typing import Any

import torch

from grader.engine.worker.beside_student.probing import is_a

OF_NUMPY = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)  # the usual ones
NO_NUMBERS = type("tensor without numbers", (), {})()  # what `plain` gives for one whose numbers cannot be read


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


def shape_of(value: Any) -> list[int]:
    value = plain(value)
    return [int(n) for n in value.shape][:8] if is_a(value, torch.Tensor) else []
