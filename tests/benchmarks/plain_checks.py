"""The grader's assertions without its worker: student code runs in the process that asks. For benchmarks only.

demand("transform")   # judges the data.py, model.py and train.py of the current folder; raises where the check fails
demand_accuracy()     # the accuracy as a teacher would test it: the student's own loaders, fit and evaluate
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from grader.contract import WEEK
from grader.engine.rubric import load_rubric
from grader.engine.run import Run
from grader.engine.servers import surroundings
from grader.engine.submission.read import read
from grader.engine.worker.in_process import InProcessServer

CHECKS = {check.id: check for check in WEEK.checks}


def demand(check: str, folder: Path | None = None) -> None:
    """Raises what the check named `check` finds; returns where it passes."""
    CHECKS[check].function(opened(folder or Path.cwd()).student(CHECKS[check]))


def demand_accuracy() -> None:
    """Trains once with the defaults, on the digits as they are; raises below the highest tier."""
    import data
    import model
    import torch
    import train

    torch.manual_seed(1)
    loaders = data.make_loaders(str(WEEK.root / "assignment" / "digits"))
    network = model.DigitClassifier()
    train.fit(network, *loaders[:2])
    accuracy, least = train.evaluate(network, loaders[2])[1], load_rubric(WEEK).tiers[-1].at
    assert accuracy >= least, f"{accuracy:.3f} is below {least}"


@cache
def opened(folder: Path) -> Run:
    """One run for all checks of a process: they share what one of them has seen. Its folder goes with the process."""
    return Run(read(folder, WEEK, 64_000, ahead=False), InProcessServer(surroundings(WEEK)), seed=1)
