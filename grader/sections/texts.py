"""What this week's entries say in words and in lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from grader.engine.sections import Recorded
from grader.sections.recorded import FOR_STUDENTS, REMARKS

PASSED = (
    "See what your network learnt: python assignment/train.py draws its curves and its mistakes. "
    "Then hand in: commit and push."
)
BLOCKS = "▁▂▃▄▅▆▇█"
CURVES = {"train_loss": "training loss", "val_loss": "validation loss", "val_accuracy": "validation accuracy"}


def accuracy_words(recorded: Recorded) -> str:
    if recorded.get("accuracy") is None:
        return ""
    test, floor = float(recorded["accuracy"]["test"]), float(recorded["accuracy"]["floor"])
    return f"test accuracy {100 * test:.1f} % (all points from {100 * floor:g} %)"


def remark_lines(recorded: Recorded) -> list[str]:
    """For the teacher: what is unusual about how the accuracy came about."""
    return [f"{REMARKS[name]}." for name in (recorded.get("accuracy") or {}).get("remarks", [])]


def remarks(recorded: Recorded) -> list[str]:
    """For the student: a sentence each."""
    names = (recorded.get("accuracy") or {}).get("remarks", [])
    return [f"This costs no points: {REMARKS[name]}." for name in FOR_STUDENTS if name in names]


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve as one line of blocks, from its lowest to its highest value; at most `width` of them."""
    if not values:
        return ""
    step = max(1.0, len(values) / width)
    shown = [values[min(int(i * step), len(values) - 1)] for i in range(min(width, len(values)))]
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in shown)


def curve_lines(recorded: Recorded) -> list[str]:
    """The learning curves as lines of text: name, first and last value, picture; [] when there are none."""
    lines = []
    for key, name in CURVES.items():
        values = list((recorded.get("training") or {}).get(key) or [])
        if values:
            lines.append(f"{name:<20} {values[0]:>9.3f} -> {values[-1]:<9.3f} {sparkline(values)}")
    return lines
