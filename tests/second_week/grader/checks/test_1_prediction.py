"""Part 1: from a line to its heights."""

from __future__ import annotations

import numpy as np

from grader.engine.check import check, fail
from grader.engine.student import Student

SLOPE, INTERCEPT = 2.0, -1.0


@check("predicts", part="prediction", todo=1, calls=("line.predict",))
def test_predicts(student: Student) -> None:
    """A line has a height at every point"""
    x = student.rng("predicts").uniform(-1, 1, 20)
    got = student.observe("line.heights", x=x, slope=SLOPE, intercept=INTERCEPT)["heights"]
    if got.shape != x.shape:
        fail("heights-of-another-shape", shape=list(got.shape), expected=list(x.shape))
    if np.allclose(got, SLOPE * x):
        fail("intercept-not-added")
    if not np.allclose(got, SLOPE * x + INTERCEPT):
        fail("heights-wrong", got=float(got[0]), expected=float(SLOPE * x[0] + INTERCEPT), x=float(x[0]))
