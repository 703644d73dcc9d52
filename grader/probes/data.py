"""OBSERVE data.py: what make_transform does to pictures, and what the three loaders serve."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from grader.engine.worker.beside_student.probing import MissingName, attempt, probe

NAMES = ("train", "val", "test")
END = object()
CALLS = 12  # of make_transform: a random order of its steps must show


@probe("data")
def transform(student: Any, pictures: np.ndarray) -> dict[str, Any]:
    """Call make_transform CALLS times and each result on every picture (uint8, N x 28 x 28)."""
    return prepared(student, pictures, CALLS)


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
    pictures: np.ndarray,
    limit: int,
) -> dict[str, Any]:
    """Build the loaders six times and read them; `main` twice through, of the others what the comparison needs.

    again: the same arguments. reseeded: another seed. resized: other sizes. retested: another test file.
    large: a long training file, of which only the lengths are looked at.
    """
    usual = {"batch_size": batch_size, "val_fraction": val_fraction, "seed": seed}
    seen: dict[str, Any] = {}
    main = built(student, seen, "main", root, usual)
    if main is not None:
        for name, loader in main.items():
            for turn in range(2):
                draw(seen, f"main_{name}_{turn}", loader, limit)
            seen[f"main_{name}_length"] = length(loader)
        others: tuple[tuple[str, str, dict[str, Any], tuple[str, ...]], ...] = (
            ("again", root, usual, ("val",)),
            ("reseeded", root, usual | {"seed": other_seed}, ("val",)),
            ("resized", root, usual | {"batch_size": other_batch_size, "val_fraction": other_fraction}, NAMES[:2]),
            ("retested", other_root, usual, ("val",)),
        )
        for call, folder, arguments, wanted in others:
            made = built(student, seen, call, folder, arguments)
            for name in wanted if made else ():
                draw(seen, f"{call}_{name}_0", made[name], limit)  # type: ignore[index]
        made = built(student, seen, "large", large_root, usual)
        for name, loader in (made or {}).items():
            seen[f"large_{name}_length"] = length(loader)
    try:  # only for the diagnosis: loaders need not use make_transform, so it may well be missing
        seen |= {f"transform_{name}": value for name, value in prepared(student, pictures, 2).items()}
    except (MissingName, NotImplementedError):
        pass
    return seen


def prepared(student: Any, pictures: np.ndarray, calls: int) -> dict[str, Any]:
    """Kinds and values of what the student's transforms return; kinds are those of the first odd result."""
    from PIL import Image

    make = student.function("data", "make_transform")
    images = [Image.fromarray(picture) for picture in pictures]
    seen: dict[str, Any] = {"raised_calls": 0, "calls": calls}
    rows, kept = [], []
    for call in range(calls):
        product, raised = attempt(make)
        if raised:
            return seen | {"make_error": raised}
        kept.append((product, object()))  # kept alive, so that no two share an address: sets order by address
        if call == 0:
            seen |= {"product": type(product).__name__, "callable": callable(product)}
            seen |= {"is_class": isinstance(product, type), "steps": kind_of_steps(product)}
            if not callable(product):
                return seen
        outputs, raised = attempt(lambda product=product: [product(image) for image in images])
        if raised:
            seen["raised_calls"] += 1
            seen.setdefault("apply_error", raised)
            continue
        if call == 0:
            seen["again"] = stacked([attempt(product, image)[0] for image in images])
        rows.append(stacked(outputs))
        odd = next((out for out in outputs if describe(out) != describe(outputs[0])), outputs[0])
        if "type" not in seen or describe(odd) != (seen["type"], seen["dtype"], seen["shape"]):
            seen["type"], seen["dtype"], seen["shape"] = describe(odd)
    if rows and all(row is not None and row.shape == rows[0].shape for row in rows):  # type: ignore[union-attr]
        seen["outputs"] = np.stack(rows)  # type: ignore[arg-type]
    return {name: value for name, value in seen.items() if value is not None}


def kind_of_steps(product: Any) -> str:
    steps, _ = attempt(getattr, product, "transforms", None)
    return type(steps).__name__


def describe(value: Any) -> tuple[str, str, list[int]]:
    """Type, dtype and shape of whatever a student's code handed out."""
    if isinstance(value, torch.Tensor):
        return "Tensor", str(value.dtype).removeprefix("torch."), list(value.shape)
    if isinstance(value, np.ndarray):
        return "ndarray", str(value.dtype), list(value.shape)
    return type(value).__name__, "", []


def array(tensor: Any) -> np.ndarray | None:
    """A tensor's numbers as float32 or int64, or None when it holds something else."""
    if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_complex():
        return None
    plain = torch.Tensor.detach(tensor).as_subclass(torch.Tensor).to("cpu")
    numbers: np.ndarray = plain.to(torch.float32 if plain.is_floating_point() else torch.int64).numpy()
    return numbers


def stacked(values: list[Any]) -> np.ndarray | None:
    """Pictures as rows, float32, or None when they are not tensors of one size."""
    arrays = [array(value) for value in values]
    if any(a is None or a.size != arrays[0].size for a in arrays):  # type: ignore[union-attr]
        return None
    return np.stack([a.reshape(-1) for a in arrays]).astype(np.float32)  # type: ignore[union-attr]


def built(student: Any, seen: dict[str, Any], call: str, root: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """Call make_loaders; the three loaders by name, or None with a note of what came instead."""
    made, raised = attempt(student.function("data", "make_loaders"), root, **arguments)
    if raised:
        seen[f"{call}_error"] = raised
        return None
    seen[f"{call}_type"] = type(made).__name__
    if not isinstance(made, (tuple, list)):
        return None
    seen[f"{call}_count"] = len(made)
    return dict(zip(NAMES, made)) if len(made) == 3 else None


def length(loader: Any) -> int:
    """How many images its sampler draws in one pass, -1 when it does not say."""
    found, _ = attempt(lambda: len(loader.sampler))
    return found if isinstance(found, int) else -1


def draw(seen: dict[str, Any], name: str, loader: Any, limit: int) -> None:
    """One pass: images and labels row by row, batch sizes, and the kinds of the first batch that is odd."""
    seen[f"{name}_loader"] = type(loader).__name__
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    sizes: list[int] = []
    total = 0
    for batch in batches(seen, name, loader):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            what = type(batch).__name__
            seen[f"{name}_batch"] = f"{what} of {len(batch)}" if isinstance(batch, (tuple, list, dict)) else what
            break
        kinds = [describe(batch[0]), describe(batch[1])]
        for part, kind in zip(("images", "labels"), kinds):
            kind[2][:1] = [] if not kind[2] else ["B"]  # type: ignore[list-item]
            text = " x ".join(str(size) for size in kind[2])
            if seen.setdefault(f"{name}_{part}_kind", f"{kind[0]} {kind[1]}") != f"{kind[0]} {kind[1]}":
                seen[f"{name}_{part}_odd"] = f"{kind[0]} {kind[1]}"
            if seen.setdefault(f"{name}_{part}_shape", text) != text:
                seen[f"{name}_{part}_odd"] = text
        pair = array(batch[0]), array(batch[1])
        if pair[0] is None or pair[1] is None or not pair[0].ndim or f"{name}_images_odd" in seen:
            break
        if f"{name}_labels_odd" in seen or not pair[1].ndim:
            break
        images.append(pair[0].reshape(len(pair[0]), -1).astype(np.float32))
        labels.append(pair[1])
        sizes.append(len(pair[0]))
        total += len(pair[0])
        if total > limit:
            seen[f"{name}_endless"] = True
            break
    seen[f"{name}_sizes"] = sizes
    if images:
        seen[f"{name}_images"], seen[f"{name}_labels"] = np.concatenate(images), np.concatenate(labels)


def batches(seen: dict[str, Any], name: str, loader: Any) -> Iterator[Any]:
    """Iterate, but keep what the student's code raises as data."""
    iterator, raised = attempt(iter, loader)
    while raised is None:
        batch, raised = attempt(next, iterator, END)
        if batch is END:
            return
        if raised is None:
            yield batch
    seen[f"{name}_error"] = raised
