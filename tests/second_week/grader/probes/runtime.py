"""How a worker gets ready for this week's probes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from grader.engine.worker.beside_student.marks import names_of


def warm(what: str) -> None:
    """Nothing more than numpy, which is imported above; there is no heavier half of the week."""


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)


def marks() -> dict[str, Any]:
    """What student code could change for the next probe."""
    return {"linalg": names_of(np.linalg), "errors": np.geterr()}
