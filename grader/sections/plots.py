"""Drawings for report.html: curves as SVG, pictures of digits as PNG, both as text to put into a page.

matplotlib is imported only when something is drawn, without pyplot. Every function takes plain numbers and is
deterministic: the same numbers give the same bytes.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# Drawn in these colours, which are then replaced by the page's own variables, so that dark mode reaches the drawings.
COLOURS = {
    "#010201": "var(--text)",
    "#010202": "var(--muted)",
    "#010203": "var(--line)",
    "#010204": "var(--series-1)",
    "#010205": "var(--series-2)",
    "#010206": "var(--page)",
}
TEXT, MUTED, LINE, FIRST, SECOND, PAGE = COLOURS
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, selected, read out and enlarged
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": TEXT,
    "text.color": TEXT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
}


def curves(series: Mapping[str, Sequence[float]], title: str, name: str, percent: bool = False) -> str:
    """One drawing of values over epochs, {label: values}; `name` makes its ids differ from other drawings'."""
    from matplotlib.ticker import MaxNLocator

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        looks = ((FIRST, "o", "-"), (SECOND, "s", "--"))  # told apart without colour, too
        for (label, values), (colour, marker, line) in zip(series.items(), looks):
            few = len(values) <= 30
            epochs = range(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=label, marker=marker if few else None, linestyle=line)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        longest = max(map(len, series.values()))
        axes.set_xlim(1 - 0.04 * longest, longest * 1.04)
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.6g} %")
            axes.set_ylim(*widened([v for values in series.values() for v in values]))
        elif all(0 <= value < 10 for values in series.values() for value in values):
            axes.set_ylim(0, 1.08 * max(0.01, *(value for values in series.values() for value in values)))
        if len(series) > 1:
            axes.legend(frameon=False)

    return drawn(draw, (5.2, 3.1), name)


def widened(values: Sequence[float], least: float = 0.05) -> tuple[float, float]:
    """Limits of an axis around fractions, at least `least` apart: noise must not look like a trend."""
    low, high = min(values), max(values)
    margin = max((least - (high - low)) / 2, 0.08 * (high - low))
    return max(low - margin, -0.01), min(high + margin, 1.01)


def accuracy(test: float, tiers: Sequence[Mapping[str, Any]], name: str) -> str:
    """The accuracy reached (0..1) as a bar, and the thresholds as lines with their points."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.barh([0], [100 * test], height=0.5, color=FIRST)
        for tier in tiers:
            axes.axvline(100 * tier["at"], color=TEXT, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.set_xlim(0, 100)
        axes.set_ylim(-0.4, 0.4)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("% of new images recognised")
        top = axes.secondary_xaxis("top")
        labelled = apart(tiers)
        top.set_xticks([100 * tier["at"] for tier in labelled], [str(tier["points"]) for tier in labelled])
        top.spines["top"].set_visible(False)
        top.tick_params(length=0)
        top.set_xlabel("points from here on", fontsize=10)

    return drawn(draw, (5.2, 1.7), name)


def apart(tiers: Sequence[Mapping[str, Any]], gap: float = 0.05) -> list[Mapping[str, Any]]:
    """Those thresholds whose labels have room beside each other, the highest first; the table has all of them."""
    kept: list[Mapping[str, Any]] = []
    for tier in sorted(tiers, key=lambda tier: -tier["at"]):
        if not kept or kept[-1]["at"] - tier["at"] >= gap - 1e-9:
            kept.append(tier)
    return kept


def drawn(draw: Any, size: tuple[float, float], name: str) -> str:
    """The SVG element that `draw` makes of a Figure; decoration for a screen reader, which gets the table instead."""
    import matplotlib
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return inline(buffer.getvalue(), name)


def inline(svg: str, name: str) -> str:
    """A whole SVG file as an element of a page: no prologue or metadata, ids of its own, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?<=\sid=")|(?<=xlink:href="#)|(?<=url\(#)', f"{name}-", svg)
    svg = re.sub(r'(<svg\b[^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    for drawn_in, shown in COLOURS.items():
        svg = svg.replace(drawn_in, shown)
    return svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1).strip()


def png(pixels: np.ndarray) -> str:
    """A data URI of a picture: uint8 (h, w), 255 drawn black as ink, or uint8 (h, w, 3) in its own colours."""
    from PIL import Image

    shown = 255 - pixels if pixels.ndim == 2 else pixels
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(shown)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def inked(images: np.ndarray) -> np.ndarray:
    """Any numbers as ink 0..255, one scale for all of them: the lowest is white, the highest black."""
    images = np.nan_to_num(images.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = images.min(), images.max()
    scaled = (images - low) / (high - low) if high > low else np.zeros_like(images)
    return np.asarray(np.round(255 * scaled), np.uint8)


def weights(filters: np.ndarray, columns: int = 8) -> np.ndarray:
    """Filters (k, h, w) side by side in colour, one scale around zero (nearly white): uint8 (H, W, 3)."""
    import matplotlib

    filters = np.nan_to_num(filters.astype(np.float64), posinf=0.0, neginf=0.0)
    reach = float(np.percentile(np.abs(filters), 99.5)) or 1.0  # a single large weight must not pale the others
    tiles = matplotlib.colormaps["PuOr"](0.5 - np.clip(filters / (2 * reach), -0.5, 0.5))[..., :3]
    grow = max(1, 28 // max(filters.shape[1:]))
    tiles = np.round(255 * tiles).astype(np.uint8).repeat(grow, axis=1).repeat(grow, axis=2)
    count, height, width = tiles.shape[:3]
    columns = min(columns, count)
    rows = -(-count // columns)
    gap = 4
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet
