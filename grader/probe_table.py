"""Which probes there are and what each needs, read from their source: importing them would import torch here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PACKAGE = "grader.probes"


def address(probe: str) -> str:
    """ "model.scores" as the worker imports it: "grader.probes.model:scores"."""
    return f"{PACKAGE}.{probe.replace('.', ':')}"


def modules_of(probe: str) -> tuple[str, ...]:
    """The student's files that a probe imports, the one it is about first."""
    return probe_table()[probe][0]


def needs_of(probe: str) -> str:
    """Which server can run it: "light" (torch) or "full" (torchvision and optimizers)."""
    return "full" if probe_table()[probe][1] else "light"


@cache
def probe_table() -> dict[str, tuple[tuple[str, ...], bool]]:
    """{"model.scores": (modules, full)} for every probe."""
    table = {}
    folder = Path(__file__).resolve().parent / "probes"
    for path in sorted(folder.glob("[a-z]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "probe":
                    modules = tuple(str(ast.literal_eval(argument)) for argument in call.args)
                    full = all(ast.literal_eval(k.value) for k in call.keywords if k.arg == "full")
                    table[f"{path.stem}.{node.name}"] = (modules, full)
    return table
