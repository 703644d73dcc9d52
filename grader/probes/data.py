"""OBSERVE data.py: what make_transform does to pictures, and what the three loaders serve."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from grader.engine.worker.beside_student.probing import attempt, is_a, probe
from grader.engine.worker.raised import Raised
from grader.probes.network.tensors import plain

NAMES = ("train", "val", "test")
END = object()


@probe("data")
def transform(student: Any, pictures: np.ndarray, calls: int) -> dict[str, Any]:
    """Call make_transform `calls` times and each result on every picture (uint8, N x 28 x 28).

    calls: how often; made: of the first result {type, steps: names of types; callable, is_class: bool}, or what
    make_transform raised
    failed_calls: how many results raised when applied; first_error: what the first of these raised
    form: {type, dtype: names; shape: list} of an output, the first that differs from others if there is one
    shared: whether two pictures of the first result lie in the same memory
    outputs: (calls, N, pixels) float32, and again: (N, pixels) of the first result applied once more; both only
    where all outputs are tensors of one size
    """
    from PIL import Image

    make = student.function("data", "make_transform")
    images = [Image.fromarray(picture) for picture in pictures]
    answer: dict[str, Any] = {"calls": calls, "failed_calls": 0}
    rows, kept = [], []
    for call in range(calls):
        product, raised = attempt(make)
        if raised:
            return answer | {"made": raised}
        kept.append((product, object()))  # kept alive, so that no two share an address: sets order by address
        if call == 0:
            answer["made"] = look_of(product)
            if not callable(product):
                return answer
        outputs, raised = attempt(lambda product=product: [product(image) for image in images])
        if raised:
            answer["failed_calls"] += 1
            answer.setdefault("first_error", raised)
            continue
        if call == 0:
            answer["shared"] = share_memory(outputs)
            answer["again"] = stacked([attempt(product, image)[0] for image in images])
        rows.append(stacked(outputs))
        odd = next((form for form in map(form_of, outputs) if form != form_of(outputs[0])), form_of(outputs[0]))
        if odd != answer.get("form"):
            answer["form"] = odd
    if rows and all(row is not None and row.shape == rows[0].shape for row in rows):  # type: ignore[union-attr]
        answer["outputs"] = np.stack(rows)  # type: ignore[arg-type]
    return {name: value for name, value in answer.items() if value is not None}


@probe("data")
def loaders(
    student: Any,
    root: str,
    other_root: str,
    large_root: str,
    batch_size: int,
    other_batch_size: int,
    val_fraction: float,
    other_fraction: float,
    seed: int,
    other_seed: int,
    turns: int,
    limit: int,
    long_limit: int,
    lent: bool,
) -> dict[str, Any]:
    """Build the loaders six times and read them; `main` from two to `turns` times, of the others what is compared.

    lent: whether make_transform is the grader's own; asked: how often that was called, where it was lent
    main, again (the same arguments), reseeded (another seed), resized (other sizes), retested (another test file),
    large (a long training file): what make_loaders raised, or {type: its name; count: of its items; loaders}, where
    loaders are {train, val, test: {passes, length: pictures its sampler draws or -1; whole: those in its dataset or
    -1}}, if there are three
    passes: of `main` the first, the second, and of the training loader also the last of `turns`; of others the first
    a pass: see `one_pass`; it ends after `limit` pictures
    large: {train, val: {length, counted: pictures that came in a pass, where the lengths of `main` are not what came;
    error: what that pass raised}}; it ends after `long_limit` pictures
    """
    asked = lend_transform(student) if lent else []
    usual = {"batch_size": batch_size, "val_fraction": val_fraction, "seed": seed}
    resized = usual | {"batch_size": other_batch_size, "val_fraction": other_fraction}
    main, three = built(student, root, usual)
    answer: dict[str, Any] = {"main": main}
    if three:
        main["loaders"] = {name: read(loader, turns if name == "train" else 2, limit) for name, loader in three.items()}
        told = all(tells(main["loaders"][name]) for name in ("train", "val"))
        answer["again"] = rebuilt(student, root, usual, ("val",), limit)
        answer["reseeded"] = rebuilt(student, root, usual | {"seed": other_seed}, ("val",), limit)
        answer["resized"] = rebuilt(student, root, resized, NAMES, limit)
        answer["retested"] = rebuilt(student, other_root, usual, ("val",), limit)
        answer["large"], three = built(student, large_root, usual)
        if three:
            answer["large"]["loaders"] = {n: counted(three[n], 0 if told else long_limit) for n in ("train", "val")}
    return answer | ({"asked": len(asked)} if lent else {})


@probe("data")
def split(
    student: Any,
    call: str,
    root: str,
    batch_size: int,
    val_fraction: float,
    seed: int,
    dice: int,
    limit: int,
    lent: bool,
) -> dict[str, Any]:
    """The loaders in a process where nobody built any before, whose random numbers began with `dice`.

    the value of `call`: as `again` of `loaders`; lent: as there
    """
    if lent:
        lend_transform(student)
    torch.manual_seed(dice)
    np.random.seed(dice)
    random.seed(dice)
    arguments = {"batch_size": batch_size, "val_fraction": val_fraction, "seed": seed}
    return {call: rebuilt(student, root, arguments, ("val",), limit)}


def lend_transform(student: Any) -> list[None]:
    """Put a make_transform of the grader's in the place of the student's; for each time it is called, None is added."""
    from torchvision.transforms import ToTensor

    asked: list[None] = []

    def make_transform() -> Any:
        asked.append(None)
        return ToTensor()

    student.data.make_transform = make_transform
    return asked


def share_memory(values: list[Any]) -> bool:
    """Whether two tensors begin at the same place: one is changed with the other."""
    kept = [tensor for tensor in map(plain, values) if is_a(tensor, torch.Tensor) and tensor.numel()]
    return len({tensor.data_ptr() for tensor in kept}) < len(kept)


def look_of(product: Any) -> dict[str, Any]:
    steps, _ = attempt(getattr, product, "transforms", None)
    return {
        "type": type(product).__name__,
        "steps": type(steps).__name__,
        "callable": callable(product),
        "is_class": isinstance(product, type),
    }


def form_of(value: Any) -> dict[str, Any]:
    """Type, dtype and shape of whatever a student's code handed out; of a kind of tensor, what it is as a tensor."""
    value = plain(value)
    if is_a(value, torch.Tensor):
        return {"type": "Tensor", "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if isinstance(value, np.ndarray):
        return {"type": "ndarray", "dtype": str(value.dtype), "shape": list(value.shape)}
    return {"type": type(value).__name__, "dtype": "", "shape": []}


def numbers_of(tensor: Any) -> np.ndarray | None:
    """A tensor's numbers as float32 or int64, or None when it holds something else."""
    tensor = plain(tensor)
    if not is_a(tensor, torch.Tensor) or tensor.is_complex():
        return None
    kept = tensor.detach().to("cpu")
    numbers: np.ndarray = kept.to(torch.float32 if kept.is_floating_point() else torch.int64).numpy()
    return numbers


def stacked(values: list[Any]) -> np.ndarray | None:
    """Pictures as rows, float32, or None when they are not tensors of one size."""
    arrays = [numbers_of(value) for value in values]
    if any(a is None or a.size != arrays[0].size for a in arrays):  # type: ignore[union-attr]
        return None
    return np.stack([a.reshape(-1) for a in arrays]).astype(np.float32)  # type: ignore[union-attr]


def built(student: Any, root: str, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Call make_loaders: what the probe says of what it returned, and the three loaders by name, if they are three."""
    made, raised = attempt(student.function("data", "make_loaders"), root, **arguments)
    if raised:
        return raised, {}
    if not isinstance(made, (tuple, list)):
        return {"type": type(made).__name__}, {}
    return {"type": type(made).__name__, "count": len(made)}, dict(zip(NAMES, made)) if len(made) == 3 else {}


def rebuilt(student: Any, root: str, arguments: dict[str, Any], wanted: tuple[str, ...], limit: int) -> Any:
    """Call make_loaders again and read one pass of those that are wanted."""
    call, three = built(student, root, arguments)
    if three:
        call["loaders"] = {name: {"passes": [one_pass(three[name], limit)]} for name in wanted}
    return call


def read(loader: Any, turns: int, limit: int) -> dict[str, Any]:
    """So many passes, of which the first two and the last are told."""
    passes = [one_pass(loader, limit) for _ in range(turns)]
    return {"passes": passes[:2] + passes[2:][-1:], "length": length(loader), "whole": length(loader, "dataset")}


def tells(read: dict[str, Any]) -> bool:
    """Whether a sampler draws what came, but for a last batch that was dropped."""
    sizes = read["passes"][0]["sizes"]
    return bool(sizes) and 0 <= read["length"] - sum(sizes) < max(sizes)


def counted(loader: Any, limit: int) -> dict[str, Any]:
    """How many pictures its sampler draws, and how many come until there are `limit`, for which 0 is not to count."""
    answer: dict[str, Any] = {"length": length(loader)}
    if limit:
        answer["counted"] = 0
        for batch in batches(loader):
            if isinstance(batch, Raised):
                answer["error"] = batch
                break
            images = numbers_of(batch[0]) if isinstance(batch, (tuple, list)) and batch else None
            answer["counted"] += len(images) if images is not None and images.ndim else 0
            if images is None or answer["counted"] >= limit:
                break
    return answer


def length(loader: Any, part: str = "sampler") -> int:
    """How many images its sampler draws in one pass, or its dataset holds; -1 when that does not say."""
    count, _ = attempt(lambda: len(getattr(loader, part)))
    return count if isinstance(count, int) else -1


def one_pass(loader: Any, limit: int) -> dict[str, Any]:
    """One pass over a loader, up to the end or to the first thing that is no batch of one kind.

    loader, dataset: their types' names; sizes: of its batches; endless: whether there were more than `limit` pictures
    error: what iterating raised; no_pair: what a batch was instead of (images, labels); only where that happened
    images, labels: the kind of the first batch, {type, dtype: names; shape: as "B x 1 x 28 x 28"; odd: what another
    batch had instead, if one did}; only where there was a pair
    values: {images: (N, pixels) float32, labels: (N, ...) float32 or int64}, where there were tensors
    """
    drawn_from, _ = attempt(lambda: loader.dataset)
    answer: dict[str, Any] = {"loader": type(loader).__name__, "dataset": type(drawn_from).__name__, "endless": False}
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    total = 0
    for batch in batches(loader):
        if isinstance(batch, Raised):
            answer["error"] = batch
            break
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            what = type(batch).__name__
            answer["no_pair"] = f"{what} of {len(batch)}" if isinstance(batch, (tuple, list, dict)) else what
            break
        alike = [note_kind(answer.setdefault(part, {}), value) for part, value in zip(("images", "labels"), batch)]
        pair = numbers_of(batch[0]), numbers_of(batch[1])
        if pair[0] is None or pair[1] is None or not pair[0].ndim or not pair[1].ndim or not all(alike):
            break
        total += len(pair[0])
        if total > limit and images:
            answer["endless"] = True
            break
        images.append(pair[0].reshape(len(pair[0]), -1).astype(np.float32))
        labels.append(pair[1].copy())  # not the worker's shared memory: each batch of it holds an open file
    answer["sizes"] = [len(batch) for batch in images]
    if images:
        answer["values"] = {"images": np.concatenate(images), "labels": np.concatenate(labels)}
    return answer


def note_kind(noted: dict[str, Any], value: Any) -> bool:
    """Note the kind of the images or labels of a batch; False when it is not that of the first batch."""
    form = form_of(value)
    shape = " x ".join(["B", *map(str, form["shape"][1:])] if form["shape"] else [])
    kind = {"type": form["type"], "dtype": form["dtype"], "shape": shape}
    if not noted:
        noted |= kind
    if shape != noted["shape"]:
        noted["odd"] = shape
    elif kind != {name: noted[name] for name in kind}:
        noted["odd"] = f"{form['type']} {form['dtype']}"
    return "odd" not in noted


def batches(loader: Any) -> Iterator[Any]:
    """What the loader gives, and at the end what iterating raised, if it did."""
    iterator, raised = attempt(iter, loader)
    while raised is None:
        batch, raised = attempt(next, iterator, END)
        if batch is END:
            return
        if raised is None:
            yield batch
    yield raised
