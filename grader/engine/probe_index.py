"""Which probes there are and what each needs, read from their source: importing them would import too much here."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grader.engine.contract import Contract


@dataclass(frozen=True)
class ProbeIndex:
    """{"file.probe": (the student's files it imports, whether it needs the full worker)} of a week."""

    package: str
    probes: dict[str, tuple[tuple[str, ...], bool]]

    @classmethod
    def of(cls, contract: Contract) -> ProbeIndex:
        return index(contract.module("probes"), contract.folder / "probes")

    def address(self, probe: str) -> str:
        """ "file.probe" as the worker imports it: "package.probes.file:probe"."""
        return f"{self.package}.{probe.replace('.', ':')}"

    def modules_of(self, probe: str) -> tuple[str, ...]:
        """The student's files that a probe imports, the one it is about first."""
        return self.probes[probe][0]

    def needs_of(self, probe: str) -> str:
        """Which server can run it: "light" or "full", as the week's runtime warms them up."""
        return "full" if self.probes[probe][1] else "light"


@cache
def index(package: str, folder: Path) -> ProbeIndex:
    table = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "probe":
                    modules = tuple(str(ast.literal_eval(argument)) for argument in call.args)
                    full = all(ast.literal_eval(k.value) for k in call.keywords if k.arg == "full")
                    table[f"{path.stem}.{node.name}"] = (modules, full)
    return ProbeIndex(package, table)
