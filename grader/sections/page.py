"""What this week adds to report.html: curves, accuracy, confusion, mistakes, samples, first layer.

Their form stands in sections.html.j2; this module gathers what they show. Evidence that is missing or of an unexpected
shape is left out, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from grader.digits import class_names
from grader.engine.reports.html import environment
from grader.engine.sections import Evidence, Recorded
from grader.sections import plots
from grader.sections.texts import CURVES

HERE = Path(__file__).resolve().parent
EPOCHS_LISTED = 60
MISTAKES, SAMPLES, FILTERS = 25, 8, 64
PATTERNS, PATTERN_SIDE = range(4, 17), 5  # how many pictures of weights are worth a look, and from which size on
PATTERN = 0.3  # likeness of neighbouring weights: about 0 in noise, 0.4 to 0.8 where a stroke can be seen


def sections(recorded: Recorded, evidence: Evidence) -> str:
    """The sections of a result, as HTML."""
    return template().render(
        learning=learning(recorded),
        accuracy=accuracy(recorded),
        confusion=confusion(recorded.get("confusion")),
        mistakes=mistakes(evidence),
        samples=samples(evidence),
        first_layer=first_layer(evidence),
    )


@cache
def template() -> jinja2.Template:
    return environment(HERE).get_template("sections.html.j2")


@cache
def style() -> str:
    return (HERE / "sections.css").read_text(encoding="utf-8")


def numbers(values: Any) -> list[float]:
    """The finite numbers in what should be a list of them."""
    found = values if isinstance(values, (list, tuple)) else []
    return [float(v) for v in found if type(v) in (int, float) and math.isfinite(v)]


def learning(recorded: Recorded) -> dict[str, Any] | None:
    """Two drawings and the table they are drawn from, or None without a history."""
    history = recorded.get("training") or {}
    series = {key: numbers(history.get(key)) for key in CURVES}
    if not any(series.values()):
        return None
    losses = {label: series[key] for key, label in (("train_loss", "training"), ("val_loss", "validation"))}
    losses = {label: values for label, values in losses.items() if values}
    drawings = []
    if losses:
        drawings.append(Markup(plots.curves(losses, "Loss: lower is better", "loss")))
    if series["val_accuracy"]:
        values = {"validation": series["val_accuracy"]}
        title = "Validation accuracy: higher is better"
        drawings.append(Markup(plots.curves(values, title, "accuracy", percent=max(series["val_accuracy"]) <= 1)))
    epochs = max(map(len, series.values()))
    listed = sorted({round(i) for i in np.linspace(0, epochs - 1, min(epochs, EPOCHS_LISTED))})
    rows = [[i + 1, *(f"{v[i]:.4g}" if i < len(v) else "" for v in series.values())] for i in listed]
    return {"drawings": drawings, "columns": list(CURVES.values()), "rows": rows, "cut": epochs > len(listed)}


def accuracy(recorded: Recorded) -> dict[str, Any] | None:
    """The bar against the thresholds, and the same as a table."""
    found = recorded.get("accuracy") or {}
    test = numbers([found.get("test")])
    tiers = [t for t in found.get("tiers") or [] if isinstance(t, Mapping) and len(numbers([t.get("at")])) == 1]
    if not test or not tiers:
        return None
    rows = [{"at": f"{100 * t['at']:g} %", "points": t.get("points"), "reached": test[0] >= t["at"]} for t in tiers]
    return {"drawing": Markup(plots.accuracy(test[0], tiers, "tiers")), "rows": rows, "test": f"{100 * test[0]:.1f} %"}


def confusion(table: Any) -> dict[str, Any] | None:
    """Rows of (count, shade 0..3); a row's shades are shares of that class, and the caption says which."""
    try:
        counts = np.asarray(table, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    if counts.shape != (10, 10) or counts.min() < 0 or not counts.any():
        return None
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = np.digitize(share, [1e-9, 0.05, 0.5])
    rows = [list(zip(row.tolist(), shade.tolist())) for row, shade in zip(counts, shades)]
    wrong = counts - np.diag(np.diag(counts))
    true, guessed = divmod(int(wrong.argmax()), 10)
    names = class_names()
    worst = {"true": names[true], "guessed": names[guessed], "count": int(wrong.max())} if wrong.any() else None
    return {"rows": rows, "right": int(np.trace(counts)), "total": int(counts.sum()), "worst": worst, "names": names}


def array(evidence: Mapping[str, Any], name: str, ndim: int, most: int, side: int = 28) -> np.ndarray | None:
    """A non-empty numeric array of the evidence with pictures of at most side x side, or None."""
    found = evidence.get(name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb" or found.ndim != ndim or not found.size:
        return None
    if ndim > 1 and max(found.shape[-2:]) > side:
        return None
    return found[:most]


def named(found: np.ndarray) -> list[str]:
    """Labels as the names of their classes; a label that is none stays a number."""
    names = class_names()
    return [names[v] if 0 <= v < len(names) else str(v) for v in found.astype(np.int64).tolist()]


def mistakes(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The most confident mistakes, the most confident first."""
    images = array(evidence, "worst_images", 3, MISTAKES)
    columns = [array(evidence, f"worst_{name}", 1, MISTAKES) for name in ("true", "guessed", "sureness")]
    if images is None or any(column is None or len(column) != len(images) for column in columns):
        return []
    true, guessed, sureness = (column for column in columns if column is not None)
    ink = images if images.dtype == np.uint8 else plots.inked(images)
    return [
        {"picture": plots.png(image), "true": t, "guessed": g, "sure": f"{100 * min(max(float(s), 0.0), 1.0):.1f} %"}
        for image, t, g, s in zip(ink, named(true), named(guessed), np.nan_to_num(sureness))
    ]


def samples(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the student's own training loader gave, with its range, mean and deviation."""
    images = array(evidence, "sample_images", 4, SAMPLES)
    if images is None:
        return None
    labels = array(evidence, "sample_labels", 1, SAMPLES)
    names: Sequence[str | None] = (
        named(labels) if labels is not None and len(labels) == len(images) else [None] * SAMPLES
    )
    values = images.astype(np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    seen = {"lowest": finite.min(), "highest": finite.max(), "mean": finite.mean(), "deviation": finite.std()}
    ink = plots.inked(images[:, 0])
    return {
        "pictures": [{"picture": plots.png(image), "label": label} for image, label in zip(ink, names)],
        "numbers": {name: f"{value:.3g}" for name, value in seen.items()},
        "shape": " x ".join(map(str, images.shape[1:])),
    }


def first_layer(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """The clearest pictures of weights; None where too few show more than noise."""
    filters = array(evidence, "first_layer", 3, FILTERS)
    if filters is None or min(filters.shape[1:]) < PATTERN_SIDE:
        return None
    clear = np.array([likeness(one) for one in filters.astype(np.float64)])
    order = [i for i in np.argsort(-clear, kind="stable") if clear[i] >= PATTERN]
    if len(order) < PATTERNS.start:
        return None
    filters = filters[order[: PATTERNS.stop - 1]]
    size = f"{filters.shape[1]} x {filters.shape[2]}"
    return {"picture": plots.png(plots.weights(filters)), "count": len(filters), "size": size}


def likeness(picture: np.ndarray) -> float:
    """How much neighbouring weights of a picture (h, w) are alike, -1..1; 0 where that cannot be said."""
    if not np.isfinite(picture).all():
        return 0.0
    centred = picture - picture.mean()
    spread = float((centred**2).mean())
    beside = float((centred[:, 1:] * centred[:, :-1]).mean() + (centred[1:] * centred[:-1]).mean()) / 2
    return beside / spread if spread > 0 else 0.0
