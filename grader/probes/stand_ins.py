"""The grader's own parts around the functions of train.py: models, an optimizer, an epoch, an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from grader.engine.worker.beside_student.probing import is_a
from grader.probes.network.layers import parts_of


def own(values: Any, dtype: torch.dtype) -> torch.Tensor:
    """A tensor with memory of its own: what arrives here is read-only, and student code may change a batch in place."""
    return (values if isinstance(values, torch.Tensor) else torch.from_numpy(values.copy())).to(dtype, copy=True)


def numbers_of(tensors: Iterable[torch.Tensor], shape: Sequence[int]) -> np.ndarray:
    """A copy of what pieces of one tensor hold now; nan where student code has made something else of them."""
    try:
        pieces = [torch.Tensor.detach(one).to("cpu").reshape(-1) for one in tensors]
        whole = torch.cat(pieces).reshape(tuple(shape))
        return (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()
    except Exception:  # another shape, or a layout or a device without numbers
        return np.full(shape, np.nan)


def loader_of(
    images: Any, labels: Any, batch_size: int, shuffle: bool = False, drop_last: bool = False
) -> DataLoader[Any]:
    """A genuine DataLoader, in fixed order or not: student loops ask it for len(), .dataset and .batch_size."""
    data = TensorDataset(own(images, torch.float32), own(labels, torch.int64))
    return DataLoader(data, batch_size=int(batch_size), shuffle=shuffle, drop_last=drop_last)


class Recorder:
    """What happened, in order.

    The stand-ins reach it through a closure alone. So no attribute leads student code to it, and a copy of a network
    keeps it, or a trained copy would go unseen. Whoever walks closures or asks gc finds it: it is evidence, no secret.
    """

    def __init__(self) -> None:
        self.original: nn.Module | None = None
        self.events: list[str] = []
        self.misplaced: dict[str, str] = {}  # functions of the student's, and a parameter that was handed another
        self.forwards: list[dict[str, Any]] = []
        self.steps: list[dict[str, Any]] = []

    def forward(self, model: nn.Module, scores: torch.Tensor, images: torch.Tensor) -> None:
        """Note one pass and, later, whether a gradient came back to its scores.

        training, evaluating: whether all its layers are in that mode, of whatever kind they are
        """
        modes = {part.training for part in parts_of(model).values()}
        one = {
            "training": modes == {True},
            "evaluating": modes == {False},
            "graph": scores.requires_grad,
            "gradient": False,
            "original": model is self.original,
            "images": images.detach().clone(),
            "scores": scores.detach().clone(),
        }
        self.forwards.append(one)
        self.events.append("forward")
        if scores.requires_grad:
            scores.register_hook(lambda gradient: self._backward(one, gradient))  # type: ignore[no-untyped-call]

    def _backward(self, one: dict[str, Any], gradient: torch.Tensor) -> None:
        one["gradient"] = True
        one["arrived"] = gradient.detach().clone()
        self.events.append("backward")


class GraderModel(nn.Module):
    """Base of the stand-in networks. They give log-probabilities, for which NLL and cross-entropy loops agree."""

    def __init__(self, recorder: Recorder | None = None):
        """recorder: a new one that nobody reads for networks that student code makes (`model.__class__()`)"""
        super().__init__()
        kept = recorder or Recorder()
        kept.original = self
        self._note: Callable[..., None] = lambda *seen: kept.forward(*seen)
        self.dropout = nn.Dropout(0.0)  # a child, because the mode must reach the children

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("each stand-in defines its own")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = flat(images)
        scores = self.scores(pixels)
        self._note(self, scores, images)
        return scores


def flat(images: Any) -> torch.Tensor:
    """Images as rows of pixels. Raises TypeError, as a layer of the student's own network would."""
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"the network takes a tensor of images, not {type(images).__name__}")
    return images.reshape(len(images), -1)


def type_name(value: Any) -> str:
    """The type of a returned value as students know it: a stand-in is their network."""
    return "DigitClassifier" if is_a(value, GraderModel) else type(value).__name__


class InPieces(GraderModel):
    """Keeps one tensor as two to five parameters, cut at random: a loop must not care how a network is built."""

    def __init__(self, recorder: Recorder, values: Any, dtype: torch.dtype):
        super().__init__(recorder)
        whole = own(values, dtype)
        cuts = (torch.randperm(len(whole) - 1)[: int(torch.randint(1, 5, ()))] + 1).sort().values
        for number, piece in enumerate(whole.tensor_split(cuts.tolist())):
            self.register_parameter(f"weight_{number}", nn.Parameter(piece.clone()))
        self._start: Callable[[], torch.Tensor] = lambda: whole

    def whole(self) -> torch.Tensor:
        return torch.cat([piece for piece in self._parameters.values() if piece is not None])

    def changed(self) -> bool:
        """Whether a number of it is no longer what it was."""
        start = self._start()
        return not np.array_equal(numbers_of(self._parameters.values(), start.shape), start.numpy())  # type: ignore[arg-type]


class OneLayer(InPieces):
    """One layer, log_softmax((W + C) x): every gradient can be recomputed in numpy.

    C is frozen and large, so that the scores differ although images and gradients are small (below any
    clipping threshold). W is float64: a tiny update is still seen exactly.
    """

    def __init__(self, recorder: Recorder, weight: Any, frozen: Any):
        super().__init__(recorder, weight, torch.float64)
        self.frozen: torch.Tensor
        self.register_buffer("frozen", own(frozen, torch.float64))

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(pixels.double() @ (self.whole() + self.frozen).T, dim=1).float()


class Table(InPieces):
    """Its scores are looked up: pixel 0 of an image says which row. A network whose every answer is known."""

    def __init__(self, recorder: Recorder, rows: Any):
        super().__init__(recorder, rows, torch.float32)
        self.count = len(rows)

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.whole()[self.wanted(pixels)]

    def wanted(self, pixels: torch.Tensor) -> torch.Tensor:
        """Which row belongs to each image, int64 (N,)."""
        return pixels[:, 0].detach().double().nan_to_num().round().long().clamp(0, self.count - 1)


class Tagged(GraderModel):
    """Two layers, and a parameter that is part of no layer and has four axes, as those of convolutions; pixel 0 is the
    image's tag and takes no part in the scores.

    Its BatchNorm is never used: who looks for one finds that there is one.
    """

    def __init__(self, recorder: Recorder | None = None):
        super().__init__(recorder)
        self.offset = nn.Parameter(torch.zeros(10, 1, 1, 1))
        self.hidden = nn.Linear(28 * 28 - 1, 16)
        self.output = nn.Linear(16, 10)
        self.norm = nn.BatchNorm1d(1, affine=False)

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.output(torch.tanh(self.hidden(pixels[:, 1:]))) + self.offset.flatten(), dim=1)


class Tender(GraderModel):
    """Dropout and BatchNorm: a network that suffers when it is evaluated in the wrong mode."""

    def __init__(self, recorder: Recorder | None = None):
        super().__init__(recorder)
        self.hidden = nn.Linear(28 * 28, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(8, 10)
        self.fixed = nn.Parameter(torch.zeros(1), requires_grad=False)

    def scores(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.log_softmax(self.output(self.dropout(torch.relu(self.norm(self.hidden(pixels))))), dim=1)


for stand_in in (OneLayer, Table, Tagged, Tender):  # messages of Python name the class: to students it is their network
    stand_in.__name__ = stand_in.__qualname__ = "DigitClassifier"


class RecordingSGD(torch.optim.SGD):
    """Plain SGD that notes whether there was a gradient at each step."""

    def __init__(self, recorder: Recorder, params: Any, lr: float, momentum: float = 0.0):
        super().__init__(params, lr=lr, momentum=momentum)
        self._note: Callable[[str], None] = lambda event: recorder.events.append(event)

    def step(self, closure: Any = None) -> Any:
        def watched() -> Any:
            loss = closure and closure()
            gradients = [p.grad for group in self.param_groups for p in group["params"]]
            moving = any(g is not None and bool((g != 0).any()) for g in gradients)
            self._note("step" if moving else "empty-step")
            return loss

        return super().step(watched)


RecordingSGD.__name__ = RecordingSGD.__qualname__ = "SGD"
