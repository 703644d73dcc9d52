"""Warm servers: one for each thread that grades, started when it is needed for the first time."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from grader.engine.worker.trusted.start import Server

T = TypeVar("T")
Start = Callable[[str | None, str | None], Server]  # (kind, isolation), as servers.start_server takes them


class Stopped(RuntimeError):
    """The servers were closed while something ran: what came of it is no verdict."""


class Warm:
    """The servers of one process for one kind and tier. Pickled, it becomes that of the process it arrives in."""

    def __init__(self, start: Start, kind: str | None = None, isolation: str | None = None):
        self.start, self.kind, self.isolation = start, kind, isolation
        self.own = threading.local()
        self.servers: list[Server] = []
        self.changing = threading.Lock()
        self.closed = False

    def __reduce__(self) -> tuple[Any, ...]:
        return of_process, (self.start, self.kind, self.isolation)

    def do(self, work: Callable[[Server], T], is_trouble: Callable[[T], bool]) -> T:
        """What `work` gives with this thread's server, and where that is trouble of ours, with a fresh one.

        Raises NotConfined, ServerFailed, Stopped.
        """
        for again in (False, True):
            found = work(self.server())
            if self.closed:
                raise Stopped
            if not is_trouble(found) or again:
                return found
            self.drop()
        raise AssertionError

    def server(self) -> Server:
        """The server of the thread that asks."""
        server: Server | None = getattr(self.own, "server", None)
        if server is None:
            if self.closed:
                raise Stopped
            server = self.start(self.kind, self.isolation)
            with self.changing:
                self.servers.append(server)
            self.own.server = server
            if self.closed:  # meanwhile
                self.shut(server)
                raise Stopped
        return server

    def drop(self) -> None:
        """Close this thread's server; the next one that it gets is fresh."""
        server, self.own.server = getattr(self.own, "server", None), None
        if server is not None:
            self.shut(server)

    def close(self) -> None:
        """End all servers, from any thread; whatever runs with one of them ends at once."""
        self.closed = True
        for server in list(self.servers):
            self.shut(server)

    def shut(self, server: Server) -> None:
        """Close a server once, whoever is first."""
        with self.changing:
            ours = server in self.servers
            if ours:
                self.servers.remove(server)
        if ours:
            server.close()


HERE: dict[tuple[Start, str | None, str | None], Warm] = {}
MAKING = threading.Lock()


def of_process(start: Start, kind: str | None, isolation: str | None) -> Warm:
    """The one of this process, which ends its servers when it ends."""
    with MAKING:
        found = HERE.get((start, kind, isolation))
        if found is None:
            found = HERE[start, kind, isolation] = Warm(start, kind, isolation)
            atexit.register(found.close)
        return found
