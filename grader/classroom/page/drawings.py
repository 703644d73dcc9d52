"""Drawings of the class page, as SVG in the page's own colours. A screen reader gets the table behind each instead."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

from grader.engine.rubric import Tier

OPENING = Markup('<svg aria-hidden="true" focusable="false" viewBox="0 0 {} {}">')
TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
LINE = Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>')
BAR = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5" class="column"/>')
DOT = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="dot"/>')
CLOSING = Markup("</svg>")


def columns(counts: Sequence[int], labels: Sequence[str], width: int = 280, height: int = 140) -> Markup:
    """One column for each bin, its count above it and its label below."""
    top, bottom = 18, height - 22
    step, most = width / len(counts), max(*counts, 1)
    pieces = [OPENING.format(width, height), LINE.format(0, bottom, width, bottom, "axis")]
    for n, (count, label) in enumerate(zip(counts, labels)):
        middle, tall = (n + 0.5) * step, (bottom - top) * count / most
        if count:
            pieces.append(BAR.format(n * step + 0.09 * step, bottom - tall, 0.82 * step, tall))
        pieces.append(TEXT.format(middle, bottom - tall - 5, "middle", "count" if count else "none", count))
        pieces.append(TEXT.format(middle, bottom + 15, "middle", "label", escape(label)))
    return Markup("").join([*pieces, CLOSING])


def scatter(points: Sequence[tuple[float, int]], tiers: Sequence[Tier], max_score: int, name: str) -> Markup:
    """Scores over accuracies (0..1), one dot a student, and the steps of the accuracy as lines."""
    width, height, left, right, top, bottom = 640, 334, 44, 26, 36, 42
    low = min([math.floor(10 * min((a for a, _ in points), default=0)) / 10, 0.9])

    def x(accuracy: float) -> float:
        return left + (width - left - right) * (accuracy - low) / (1 - low)

    def y(score: float) -> float:
        return height - bottom - (height - top - bottom) * score / (max_score or 1)

    pieces = [OPENING.format(width, height)]
    for score in range(0, max_score + 1, max(1, max_score // 4)):
        pieces.append(LINE.format(left, y(score), width - right, y(score), "grid"))
        pieces.append(TEXT.format(left - 7, y(score) + 4, "end", "label", score))
    for n in range(round(10 * low), 11):
        pieces.append(TEXT.format(x(n / 10), height - bottom + 17, "middle", "label", f"{10 * n} %"))
    for tier in tiers:
        if tier.at >= low:
            pieces.append(LINE.format(x(tier.at), top, x(tier.at), height - bottom, "tier"))
            pieces.append(TEXT.format(x(tier.at), top - 8, "middle", "label", f"{100 * tier.at:g} %"))
    pieces += [DOT.format(x(accuracy), y(score)) for accuracy, score in points]
    pieces.append(TEXT.format((left + width - right) / 2, height - 6, "middle", "label", escape(name)))
    pieces.append(TEXT.format(2, 11, "start", "label", "score"))
    return Markup("").join([*pieces, CLOSING])
