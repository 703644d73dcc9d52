"""Part 2: from points to their line."""

from __future__ import annotations

import numpy as np

from grader.engine.check import check, fail
from grader.engine.student import Student


@check("fits", part="fitting", todo=2, calls=("line.fit",))
def test_fits(student: Student) -> None:
    """The line is the one with the least squared error"""
    rng = student.rng("fits")
    x = rng.uniform(1, 3, 50)
    y = 2 * x - 1 + rng.normal(0, 0.3, 50)  # noise: without it every sensible rule finds the same line
    answer = student.observe("line.fitted", x=x, y=y)
    slope, intercept = answer["slope"], answer["intercept"]
    right = np.polyfit(x, y, 1)
    if np.allclose([slope, intercept], right):
        return
    if np.allclose([intercept, slope], right):
        fail("slope-and-intercept-swapped")
    if np.isclose(slope, (x * y).sum() / (x * x).sum()):
        fail("line-through-origin", slope=slope, expected=float(right[0]))
    fail("line-wrong", slope=slope, intercept=intercept, expected=[round(float(v), 3) for v in right])
