"""What every kind of worker offers to the engine, and how one is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from grader.engine.worker.processes import remove_tree
from grader.engine.worker.surroundings import Surroundings
from grader.engine.worker.tiers import NotConfined, missing
from grader.engine.worker.trusted.job import Job, Request
from grader.engine.worker.walls.limits import PR_SET_DUMPABLE, prctl

OnProgress = Callable[[Mapping[str, Any]], None]


class Server(Protocol):
    """What runs student code: fork_client.ForkServer or spawn_client.SpawnServer."""

    kind: str

    @property
    def isolation(self) -> str: ...
    def measures(self) -> tuple[str, ...]: ...
    def submit(self, request: Request, on_progress: OnProgress | None = None) -> Job: ...
    def close(self) -> None: ...


def start(
    kind: str | None,
    home: Path,
    isolation: str | None,
    surroundings: Surroundings,
    remove: Callable[[Path], None] = remove_tree,
) -> Server:
    """A warm server: "fork" on Linux, "spawn" elsewhere and on request. When it closes, `remove` removes `home`.

    isolation: "confined" to have that tier or raise NotConfined, "practice" for resource limits only, None for what
    the system offers.
    """
    prctl(PR_SET_DUMPABLE, 0)  # this process holds what checks compare with: no other of this user looks into it
    if kind is None:
        kind = "fork" if sys.platform.startswith("linux") else "spawn"
    if kind == "fork" and not sys.platform.startswith("linux"):
        raise NotConfined("--worker=fork works on Linux only; leave it out.")
    if kind == "fork":
        from grader.engine.worker.trusted.fork_client import ForkServer

        server: Server = ForkServer(home, surroundings, isolation, remove)
    else:
        from grader.engine.worker.trusted.spawn_client import SpawnServer

        server = SpawnServer(home, surroundings, remove)
    if isolation == "confined" and server.isolation != "confined":
        lacking = ", ".join(missing(server.measures())) if kind == "fork" else "it needs --worker=fork"
        server.close()
        raise NotConfined(f"The isolation tier confined is not available here ({lacking}).")
    return server
