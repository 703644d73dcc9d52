"""The worker of a run is started before pytest has loaded its other plugins: it imports its libraries meanwhile."""

from __future__ import annotations

import pytest

from grader.engine.contract import Contract
from grader.engine.servers import start_server
from grader.engine.worker.trusted.start import Server

AHEAD = pytest.StashKey[Server]()


def begin(config: pytest.Config, contract: Contract, kind: str | None) -> None:
    """Start it, with the tier that the system offers; where nobody takes it, it ends with pytest."""
    config.stash[AHEAD] = server = start_server(contract, kind)

    def end() -> None:
        if config.stash.get(AHEAD, None) is server:
            server.close()

    config.add_cleanup(end)


def taken(config: pytest.Config) -> Server | None:
    """The worker that was started ahead, now its taker's to close; None where there is none."""
    server = config.stash.get(AHEAD, None)
    if server is not None:
        del config.stash[AHEAD]
    return server
