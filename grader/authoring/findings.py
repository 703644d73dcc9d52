"""Which findings the code can name, where, and with which facts: read from the code itself, nothing is run.

A finding is named by `fail(ID, fact=...)` or `Finding(ID, facts)`. Where ID or the facts are a variable, reading_code
follows it to where it comes from.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

from grader.authoring.reading_code import ENGINE, Module, NotFollowed, keys_of, modules, texts_of
from grader.contract import WEEK
from grader.engine.causes import load_causes

NAMERS = ("fail", "Finding")
NOT_FACTS = ("todo", "share", "came_from")  # keywords of `fail` with a meaning of their own
ID = re.compile(r"[a-z]+(?:-[a-z0-9]+)+")  # among other texts; a finding that is named literally is any text


@dataclass(frozen=True)
class Naming:
    """One place that can name a finding, and the facts that it gives."""

    finding: str
    place: str
    facts: frozenset[str]


@cache
def namings() -> tuple[tuple[Naming, ...], tuple[str, ...]]:
    """(every naming, the places that could not be followed)"""
    found: list[Naming] = []
    lost: list[str] = []
    for module in modules().values():
        for call in module.calls:
            if getattr(call.func, "id", "") not in NAMERS or not call.args:
                continue
            try:
                facts, place = facts_of(module, call), module.place(call)
                found += [Naming(finding, place, facts) for finding in sorted(ids_of(module, call))]
            except NotFollowed as error:
                lost.append(f"{module.place(call)}: {ast.unparse(call.args[0])} ({error})")
    return tuple(found), tuple(lost)


@cache
def from_outside() -> dict[str, set[str]]:
    """{expression: ids} for findings that come to the engine as data."""
    reading = [m for m in modules().values() if m.path.parent == ENGINE / "submission"]
    texts = {n.value for m in reading for n in ast.walk(m.tree) if isinstance(n, ast.Constant)}
    files = {text for text in texts if isinstance(text, str) and ID.fullmatch(text) and text.startswith("file-")}
    return {"cause.id": {cause.id for cause in load_causes(WEEK.hints_path)}, "outcome.detail": files}


# -- which findings


def ids_of(module: Module, call: ast.Call) -> set[str]:
    """The ids that the first argument of a call can be. Raises NotFollowed."""
    argument = call.args[0]
    if (known := from_outside().get(ast.unparse(argument))) is not None:
        return known
    branches = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    if all(isinstance(branch, ast.Constant) for branch in branches):
        return {str(branch.value) for branch in branches if isinstance(branch, ast.Constant)}
    found = {text.partition(":")[0] for text in texts_of(module, argument, frozenset())}
    found = {text for text in found if ID.fullmatch(text)}
    return narrowed(module, call, argument, found)


def narrowed(module: Module, call: ast.Call, argument: ast.expr, found: set[str]) -> set[str]:
    """Inside `if name == "a-finding":` the name is that one; elsewhere in the function it is another."""
    names = {n.id for n in ast.walk(argument) if isinstance(n, ast.Name)}
    inside = list(module.ancestors(call))
    for node in ast.walk(module.function_around(call) or module.tree):
        test = node.test if isinstance(node, ast.If) else None
        if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
            continue
        if getattr(test.left, "id", "") in names and isinstance(value := test.comparators[0], ast.Constant):
            found = {str(value.value)} if node in inside else found - {value.value}
    return found


# -- which facts


def facts_of(module: Module, call: ast.Call) -> frozenset[str]:
    """The names of the facts that a call gives for certain. Raises NotFollowed."""
    if getattr(call.func, "id", "") == "fail":
        plain = {k.arg for k in call.keywords if k.arg and k.arg not in NOT_FACTS}
        spread = [keys_of(module, k.value, call) for k in call.keywords if k.arg is None]
        return frozenset(plain.union(*spread))
    given = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "facts")]
    return frozenset(set().union(*(keys_of(module, value, call) for value in given)))
