"""Which checks a change concerns most: those of the function that changed come first."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from grader.engine.check import Check
from grader.engine.contract import Contract, Todo


def in_order(
    checks: Sequence[Check], contract: Contract, before: Mapping[str, bytes], now: Mapping[str, bytes]
) -> list[Check]:
    """The checks of the functions that changed, then those of the files that changed, then the others; the one that
    takes long comes last. Without any change, as in any other run.

    before, now: {submitted file: its content}
    """
    files = {file for file in contract.files if before.get(file) != now.get(file)}
    functions = {todo.number for todo in contract.todos if todo.file in files and changed(todo, before, now)}

    def distance(check: Check) -> tuple[bool, int]:
        nearness = 0 if check.todo in functions else 1 if contract.todo[check.todo].file in files else 2
        return check.id == contract.long, nearness

    usual = contract.in_run_order(list(checks))
    return sorted(usual, key=distance) if files and before else usual


def changed(todo: Todo, before: Mapping[str, bytes], now: Mapping[str, bytes]) -> bool:
    """Whether the function of a TODO says something else than before; one that cannot be read has changed."""
    codes = [code_of(todo, files.get(todo.file, b"")) for files in (before, now)]
    return codes[0] != codes[1]


def code_of(todo: Todo, content: bytes) -> str:
    """What a TODO's function says, without comments and layout; "" where it is not there or cannot be read."""
    try:
        found: ast.AST | None = ast.parse(content)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return ""
    for name in todo.function.split("."):
        inside = getattr(found, "body", [])
        named = [node for node in inside if getattr(node, "name", "") == name]
        found = named[-1] if named else None
    return ast.dump(found) if found is not None else ""
