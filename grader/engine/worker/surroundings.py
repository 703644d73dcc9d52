"""What a worker is told about the week whose probes it runs. Both sides of the line know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Surroundings:
    """runtime: the module that warms the interpreter up: `warm(what)`, `seed(number)` and `marks()`, a value that
    changes when student code has changed something global. preload: modules imported before anything is served.
    code: files and folders of the week that student code may read, beside the worker's own. hidden: a file that it must
    not be able to read; a confined child tries.
    """

    runtime: str
    preload: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    hidden: str = ""
