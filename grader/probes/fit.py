"""OBSERVE fit: what it trains, with what, and what it writes down."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook

from grader.engine.worker.beside_student.probing import is_a, probe, untouched
from grader.engine.worker.raised import Raised
from grader.probes import stand_ins as parts
from grader.probes.training import as_number, call

KEYS = ("train_loss", "val_loss", "val_accuracy")
ROLES = ("model", "loader", "optimizer", "device")  # the parameters of the loops
LOOPS = {"train_one_epoch": 1, "evaluate": 2}  # what fit calls of the student's, and how many numbers it reports
ALIKE = 0.8  # cosine of an image with the picture that it is; a validation picture and its original have 0.55
MOVED = 0.4  # the same of one that is shifted and changed; with a picture that it is not it has up to 0.2
STRANGE = -1  # the tag of an image that was learnt from, and that no picture is like
ENTRIES = 50  # of a list of the history: more are not sent


@probe("train")
def fits(
    student: Any,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    val_images: np.ndarray,
    val_labels: np.ndarray,
    train_batch: int,
    val_batch: int,
    epochs: int,
    worse_epochs: int,
    lr: float,
    loops: str,
) -> dict[str, Any]:
    """Four runs of fit with a two-layer network: several epochs, one for the same network with half the learning rate,
    one with rate 0, and several in which validation gets worse: its labels are what the network answers before it has
    learnt anything.

    images: (N, 1, 28, 28) float32, with pixel 0 as the image's tag; labels: (N,) int64
    loops: the text of grader/lent/loops.py, which no child has but in this argument
    several, one, still, worse: see `look`; with the grader's own epoch and evaluation inside, or the student's where
    that raised
    """
    student.function("train", "fit")
    data = (train_images, train_labels, train_batch, val_images, val_labels, val_batch)
    lent: dict[str, Any] = {}
    exec(compile(loops, "<lent by the grader>", "exec", dont_inherit=True), lent)
    answer: dict[str, Any] = {}
    runs = (("several", epochs, lr), ("one", 1, lr / 2), ("still", 1, 0.0), ("worse", worse_epochs, lr))
    shown = Shown()
    for name, count, rate in runs:
        shown = shown if name == "one" else Shown()
        answer[name] = look(student, data, count, rate, lent, shown, name == "worse")
        if isinstance(answer[name]["history"], Raised):
            try:
                answer[name] = look(student, data, count, rate, None, shown := Shown(), name == "worse")
            except NotImplementedError as error:  # another TODO of theirs: no reason to blame fit
                if untouched(error) is None or untouched(error) == 7:
                    raise
    return answer


class Shown:
    """What fit is given, perhaps twice: a network; and the optimizers that made a step, kept alive, so that no two
    share an id."""

    def __init__(self) -> None:
        torch.manual_seed(torch.initial_seed())  # every network begins with the same weights
        self.recorder = parts.Recorder()
        self.model = parts.Tagged(self.recorder)
        self.optimizers: list[Any] = []

    def begin(self) -> int:
        """Forget what was seen; how many optimizers are known."""
        for noted in (self.recorder.events, self.recorder.misplaced, self.recorder.forwards, self.recorder.steps):
            noted.clear()
        return len(self.optimizers)


def look(
    student: Any,
    data: tuple[Any, ...],
    epochs: int,
    lr: float,
    lent: dict[str, Any] | None,
    shown: Shown,
    worse: bool,
) -> dict[str, Any]:
    """One run of fit, with the grader's or the student's own epoch and evaluation inside.

    stand_ins: whether the grader's; history: see `written_down`, or what fit raised
    reported: (N,) float64, the numbers that epoch and evaluation returned, see LOOPS
    passes: see `passes_of`; steps: see `steps_of`; earlier_optimizer: whether one of them was made by an optimizer of
    an earlier look at the same network; other_models: how many calls were given another network
    other_weights: how many were given an optimizer with no parameter of the network beside it
    misplaced: {of LOOPS: the parameter of the student's own function in whose place fit hands something else}
    weights: one {before, after, slope: float32} per parameter tensor; slope: its gradient when the first step is made,
    0 where it has none
    """
    train_images, train_labels, train_batch, val_images, val_labels, val_batch = data
    torch.manual_seed(torch.initial_seed())
    recorder, model, earlier = shown.recorder, shown.model, shown.begin()
    before = [p.detach().clone() for p in model.parameters()]
    if worse:
        with torch.no_grad():
            pixels = parts.own(val_images, torch.float32).flatten(1)
            val_labels = model.scores(pixels).argmax(dim=1).numpy()
    train_loader = parts.loader_of(train_images, train_labels, train_batch, shuffle=True)
    val_loader = parts.loader_of(val_images, val_labels, val_batch)
    reported: list[float] = []
    with replaced(student.train, recorder, reported, lent), counted_steps(shown) as slopes:
        fit = partial(student.function("train", "fit"), epochs=epochs, lr=lr)
        history, raised = call(fit, model, train_loader, val_loader)
    return {
        "stand_ins": lent is not None,
        "history": raised or written_down(history),
        "reported": np.array(reported, dtype=np.float64),
        "passes": passes_of(recorder, np.concatenate([train_images, val_images])),
        "steps": steps_of(recorder),
        "earlier_optimizer": any(one["optimizer"] < earlier for one in recorder.steps),
        "misplaced": recorder.misplaced,
        "other_models": recorder.events.count("other model"),
        "other_weights": recorder.events.count("other weights"),
        "weights": [
            {
                name: parts.numbers_of([one], old.shape)
                for name, one in zip(("before", "after", "slope"), (old, *others))
            }
            for old, *others in zip(before, model.parameters(), slopes)
        ],
    }


@contextmanager
def replaced(
    module: Any, recorder: parts.Recorder, reported: list[float], lent: dict[str, Any] | None
) -> Iterator[None]:
    """Put the grader's functions, or the student's own with a note of what they return, in the student's module."""

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            handed = [*args, *kwargs.values()]
            if (parameter := misplaced(own.get(name), args, kwargs)) and name not in recorder.misplaced:
                recorder.misplaced[name] = parameter
            models = [a for a in handed if is_a(a, torch.nn.Module)]
            if any(model is not recorder.original for model in models):
                recorder.events.append("other model")
            groups = [group for a in handed if is_a(a, torch.optim.Optimizer) for group in a.param_groups]
            known = {id(p) for model in models for p in model.parameters()}
            if groups and known and known.isdisjoint(id(p) for group in groups for p in group["params"]):
                recorder.events.append("other weights")
            value = function(*args, **kwargs)
            items = value if is_a(value, tuple, list) else [value]
            numbers = [as_number(item) for item in islice(items, LOOPS[name])]
            reported.extend(number["value"] for number in numbers if "value" in number)
            return value

        return noted

    own = {name: getattr(module, name) for name in LOOPS if hasattr(module, name)}
    chosen = own if lent is None else {name: lent[name] for name in LOOPS}
    try:
        for name, function in chosen.items():
            setattr(module, name, noting(name, function))
        yield
    finally:
        for name in chosen:
            if name in own:
                setattr(module, name, own[name])
            else:
                delattr(module, name)


def misplaced(own: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The parameter in whose place the student's own function would get another of its arguments, or a number. "" for
    none.

    The stand-ins sort their arguments out; the student's function takes them as they come.
    """
    try:
        bound = inspect.signature(own).bind(*args, **kwargs).arguments
    except Exception:  # Python says that itself when their own is called
        return ""
    names = list(bound)
    if names and names[0] not in ROLES:
        names[0] = "model"  # under another name
    given = [role_of(value) for value in bound.values()]
    wrong = [
        (name, role)
        for name, role, value in zip(names, given, bound.values())
        if name in ROLES and role != name and value is not None
    ]
    return next((name for name, role in wrong if name in given or role == "number"), "")


def role_of(value: Any) -> str:
    """What an argument of the loops is, by what it is."""
    if isinstance(value, torch.nn.Module):
        return "model"
    if isinstance(value, torch.optim.Optimizer):
        return "optimizer"
    if isinstance(value, float):  # a whole number can name a device
        return "number"
    return "device" if isinstance(value, (str, torch.device)) else "loader"


@contextmanager
def counted_steps(shown: Shown) -> Iterator[list[torch.Tensor]]:
    """Note every step of every optimizer: which one, its learning rate, how many passes came before; and give the
    gradients of the network at the first."""
    recorder, known = shown.recorder, shown.optimizers
    weights = list(shown.model.parameters())
    slopes = [torch.zeros_like(weight) for weight in weights]

    def note(optimizer: Any, args: Any, kwargs: Any) -> None:
        if not recorder.steps:
            slopes[:] = [old if weight.grad is None else weight.grad.clone() for old, weight in zip(slopes, weights)]
        if not any(optimizer is one for one in known):
            known.append(optimizer)
        which = next(at for at, one in enumerate(known) if one is optimizer)
        lr, decay = (float(optimizer.param_groups[0].get(name, 0.0)) for name in ("lr", "weight_decay"))
        closure = len(args) > 1 or kwargs.get("closure") is not None  # the first is the optimizer
        step = {"optimizer": which, "lr": lr, "decay": decay, "after": len(recorder.forwards), "closure": closure}
        recorder.steps.append(step)

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield slopes
    finally:
        handle.remove()


def tags_of(images: torch.Tensor, served: torch.Tensor, learnt: bool, moved: dict[bytes, int]) -> torch.Tensor:
    """The tag of each image: that of the picture that the rest of it is like, or else what its own pixel 0 says.

    One that was learnt from has to be like a picture, perhaps shifted: what pixel 0 says can be made up.
    moved: the tags of shifted images so far, by their bytes: the search takes long, and they come again in every epoch
    """

    def directions(pictures: torch.Tensor) -> torch.Tensor:
        rest = pictures.double().nan_to_num()[:, 1:]
        return functional.normalize(rest - rest.mean(dim=1, keepdim=True))

    said = images[:, 0].double().nan_to_num().round().long()
    if images.shape[1] != served.shape[1]:
        return said
    alike, nearest = (directions(images) @ directions(served).T).max(dim=1)
    tags = torch.where(alike > ALIKE, served[nearest, 0].round().long(), said)
    if learnt and (odd := alike <= ALIKE).any():
        keys = [image.numpy().tobytes() for image in images[odd].float()]
        if any(key not in moved for key in keys):
            alike, nearest = shifted(images[odd], served)
            found = torch.where(alike > MOVED, served[nearest, 0].round().long(), STRANGE)
            moved.update(zip(keys, found.tolist()))
        tags[odd] = torch.tensor([moved[key] for key in keys])
    return tags


def shifted(images: torch.Tensor, served: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How much each image is like the picture that it is most like, over all shifts; and which one that is."""

    def spectrum(pictures: torch.Tensor) -> Any:
        small = pictures.float().nan_to_num().clamp(-1, 1).index_fill(1, torch.tensor([0]), 0)  # tags are large
        return torch.fft.rfft2(functional.normalize(small - small.mean(dim=1, keepdim=True)).reshape(-1, 28, 28))

    alike, nearest = torch.fft.irfft2(spectrum(images)[:, None] * spectrum(served).conj()).amax(dim=(2, 3)).max(dim=1)
    return alike, nearest


def passes_of(recorder: parts.Recorder, served: np.ndarray) -> dict[str, np.ndarray]:
    """Every pass through the network.

    tags: (N,) int64, see `tags_of`, and scores: (N, 10) float64, one row per image; one entry per pass: sizes: int64;
    gradient: whether one came back; original: whether it was the network that fit was given; training: whether it was
    in that mode; bool
    """
    passes = recorder.forwards
    pictures = parts.own(served, torch.float32).reshape(len(served), -1)
    moved: dict[bytes, int] = {}
    tags = [tags_of(one["images"].flatten(1), pictures, one["gradient"], moved) for one in passes]
    return {
        "tags": torch.cat(tags).numpy() if tags else np.zeros(0, np.int64),
        "scores": torch.cat([one["scores"] for one in passes]).double().numpy() if passes else np.zeros((0, 10)),
        "sizes": np.array([len(one["images"]) for one in passes], dtype=np.int64),
        "gradient": np.array([one["gradient"] for one in passes], dtype=bool),
        "original": np.array([one["original"] for one in passes], dtype=bool),
        "training": np.array([one["training"] for one in passes], dtype=bool),
    }


def steps_of(recorder: parts.Recorder) -> dict[str, np.ndarray]:
    """Every step of every optimizer: which (int64), its lr and weight decay (float64), passes before it (int64), and
    whether it computes its loss itself, once or more (bool)."""
    return {
        "optimizer": np.array([one["optimizer"] for one in recorder.steps], dtype=np.int64),
        "lr": np.array([one["lr"] for one in recorder.steps], dtype=np.float64),
        "decay": np.array([one["decay"] for one in recorder.steps], dtype=np.float64),
        "after": np.array([one["after"] for one in recorder.steps], dtype=np.int64),
        "closure": np.array([one["closure"] for one in recorder.steps], dtype=bool),
    }


def written_down(history: Any) -> dict[str, Any]:
    """What fit returned: {type; keys and lists, when it is a dict}.

    lists: for each of KEYS {type: "list" or its type's name; of a list values: (N,) float64, nan where there is no
    number; types: of the entries; graph: whether an entry keeps its graph}
    """
    form: dict[str, Any] = {"type": parts.type_name(history)}
    if not is_a(history, dict):
        return form
    return form | {
        "keys": [str(key)[:40] for key in islice(history, 12)],
        "lists": {key: list_form(history.get(key)) for key in KEYS},
    }


def list_form(entries: Any) -> dict[str, Any]:
    numbers = None
    with suppress(Exception):  # a tensor that cannot be taken apart
        if is_a(entries, list, tuple) or is_a(entries, np.ndarray, torch.Tensor) and entries.ndim == 1:
            numbers = [as_number(entry) for entry in islice(entries, ENTRIES)]
    if numbers is None:
        return {"type": type(entries).__name__}
    return {
        "type": "list",
        "values": np.array([number.get("value", np.nan) for number in numbers], np.float64),
        "types": [number["type"] for number in numbers],
        "graph": any(number["graph"] for number in numbers),
    }
