"""How a worker for a week is started. Light to import: the worker is started before all else."""

from __future__ import annotations

from grader.engine.contract import Contract
from grader.engine.run_folders import private_folder, remove_folder
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.trusted.start import Server, start


def start_server(contract: Contract, kind: str | None = None, isolation: str | None = None) -> Server:
    """A warm server with what the week's probes need imported; for one run or for many."""
    return start(kind, private_folder(), isolation, surroundings(contract), remove_folder)


def surroundings(contract: Contract) -> Surroundings:
    """What a worker must know of a week."""
    return Surroundings(
        runtime=contract.module(contract.runtime),
        preload=tuple(map(contract.module, contract.preload)),
        code=(str(contract.folder / "__init__.py"), str(contract.folder / "probes")),
        hidden=str(contract.rubric_path),
    )
