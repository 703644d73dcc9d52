"""report.html: the report a student opens. One file, offline, no scripts; every text in it is escaped.

The page's form stands in report.html.j2; this module gathers what it shows. Evidence that is missing or of an
unexpected shape is left out, never guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape

from grader.reports import plots
from grader.reports.words import CURVES, STATUS_WORDS, accuracy_words, isolation_words, next_step, place
from grader.result import CheckResult, Result
from grader.text import clean

HERE = Path(__file__).resolve().parent
TEXT_LIMIT = 4000  # characters of any one text
EPOCHS_LISTED = 60
DOCUMENTATION = re.compile(r"https://(?:docs\.)?(?:pytorch|python)\.org/[\w/.#-]*[\w/#-]")
MISTAKES, SAMPLES, FILTERS = 25, 8, 64
SYMBOLS = {
    "passed": "✓",
    "failed": "→",
    "todo": "○",
    "blocked": "–",
    "timeout": "!",
    "crashed": "!",
    "grader_error": "?",
}


def report(result: Result) -> str:
    """The whole page."""
    heading, texts = next_step(result)
    return page().render(
        result=result,
        parts=parts(result),
        heading=heading,
        texts=texts,
        accuracy_words=accuracy_words(result),
        isolation=isolation_words(result),
        prints=prints(result),
        learning=learning(result),
        accuracy=accuracy(result),
        confusion=confusion(result.confusion),
        mistakes=mistakes(result.evidence),
        samples=samples(result.evidence),
        first_layer=first_layer(result.evidence),
    )


@cache
def page() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=fit_to_show,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["linked"] = linked
    return environment.get_template("report.html.j2")


def fit_to_show(value: Any) -> Any:
    """Texts without control characters and of bounded length; jinja escapes them after this."""
    if isinstance(value, str) and not isinstance(value, Markup):
        text = clean(value[: 2 * TEXT_LIMIT])
        return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + " ..."
    return value


def linked(text: str) -> Markup:
    """The text escaped, with links to the documentation it names; other addresses stay text, whoever wrote them."""
    shown = str(escape(fit_to_show(text)))
    return Markup(DOCUMENTATION.sub(r'<a href="\g<0>" rel="noreferrer">\g<0></a>', shown))


def parts(result: Result) -> list[dict[str, Any]]:
    """Each part with its checks, and each check with what the page says of it."""
    told: dict[tuple[Any, ...], str] = {}
    return [
        part | {"checks": [shown(check, told) for check in result.checks if check.part == part["name"]]}
        for part in result.parts
    ]


def shown(check: CheckResult, told: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    """A check for the page. told: findings shown so far, so that the same words stand there once."""
    key = (check.finding, check.message, check.hint)
    same = told.get(key, "") if check.message else ""
    told.setdefault(key, check.title)
    return {
        "check": check,
        "symbol": SYMBOLS[check.status],
        "word": STATUS_WORDS[check.status],
        "place": place(check),
        "same": same,
        "hints": [] if same or check.status in ("todo", "blocked") else check.hint.splitlines(),
        "kind": "good" if check.status == "passed" else "rest" if check.status in ("todo", "blocked") else "attention",
    }


def prints(result: Result) -> str:
    tail = clean(result.prints[-20_000:]).rstrip().splitlines()[-12:]
    return "\n".join(line[:300] for line in tail)


def numbers(values: Any) -> list[float]:
    """The finite numbers in what should be a list of them."""
    found = values if isinstance(values, (list, tuple)) else []
    return [float(v) for v in found if type(v) in (int, float) and math.isfinite(v)]


def learning(result: Result) -> dict[str, Any] | None:
    """Two drawings and the table they are drawn from, or None without a history."""
    history = result.training if isinstance(result.training, Mapping) else {}
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


def accuracy(result: Result) -> dict[str, Any] | None:
    """The bar against the thresholds, and the same as a table."""
    found = result.accuracy if isinstance(result.accuracy, Mapping) else {}
    test = numbers([found.get("test")])
    tiers = [t for t in found.get("tiers") or [] if isinstance(t, Mapping) and len(numbers([t.get("at")])) == 1]
    if not test or not tiers:
        return None
    rows = [{"at": f"{100 * t['at']:g} %", "points": t.get("points"), "reached": test[0] >= t["at"]} for t in tiers]
    return {"drawing": Markup(plots.accuracy(test[0], tiers, "tiers")), "rows": rows, "test": f"{100 * test[0]:.1f} %"}


def confusion(table: Any) -> dict[str, Any] | None:
    """Rows of (count, shade 0..5); a row's shades are shares of that digit."""
    try:
        counts = np.asarray(table, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    if counts.shape != (10, 10) or counts.min() < 0 or not counts.any():
        return None
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shades = np.digitize(share, [1e-9, 0.02, 0.05, 0.2, 0.5])  # mistakes are small shares, so the steps grow
    rows = [list(zip(row.tolist(), shade.tolist())) for row, shade in zip(counts, shades)]
    wrong = counts - np.diag(np.diag(counts))
    true, guessed = divmod(int(wrong.argmax()), 10)
    worst = {"true": true, "guessed": guessed, "count": int(wrong.max())} if wrong.any() else None
    return {"rows": rows, "right": int(np.trace(counts)), "total": int(counts.sum()), "worst": worst}


def array(evidence: Mapping[str, Any], name: str, ndim: int, most: int, side: int = 28) -> np.ndarray | None:
    """A non-empty numeric array of the evidence with pictures of at most side x side, or None."""
    found = evidence.get(name)
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb" or found.ndim != ndim or not found.size:
        return None
    if ndim > 1 and max(found.shape[-2:]) > side:
        return None
    return found[:most]


def digits(found: np.ndarray) -> list[int]:
    return [int(v) for v in found.astype(np.int64)]


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
        for image, t, g, s in zip(ink, digits(true), digits(guessed), np.nan_to_num(sureness))
    ]


def samples(evidence: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the student's own training loader gave, with its range, mean and deviation."""
    images = array(evidence, "sample_images", 4, SAMPLES)
    if images is None:
        return None
    labels = array(evidence, "sample_labels", 1, SAMPLES)
    names: Sequence[int | None] = (
        digits(labels) if labels is not None and len(labels) == len(images) else [None] * SAMPLES
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
    filters = array(evidence, "first_layer", 3, FILTERS)
    if filters is None:
        return None
    size = f"{filters.shape[1]} x {filters.shape[2]}"
    return {"picture": plots.png(plots.weights(filters)), "count": len(filters), "size": size}
