"""What line.py shows from outside."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.engine.worker.beside_student.probing import probe


@probe("line", full=False)
def heights(student: Any, x: Any, slope: float, intercept: float) -> dict[str, Any]:
    """What predict gives for points x of shape (n,)."""
    return {"heights": np.asarray(student.function("line", "predict")(x, slope, intercept), dtype=np.float64)}


@probe("line")
def fitted(student: Any, x: Any, y: Any) -> dict[str, Any]:
    """What fit gives for points (x, y), each of shape (n,)."""
    slope, intercept = student.function("line", "fit")(x, y)
    return {"slope": float(slope), "intercept": float(intercept)}
