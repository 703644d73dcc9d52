"""What an expression of the code that judges can be, followed through assignments, loops, tables and functions.

Nothing is run. Only as much of Python is understood as checks are written in; the rest raises NotFollowed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from grader.contract import WEEK

ENGINE = WEEK.folder / "engine"
# what names findings and gives their facts
JUDGES = (
    *sorted((WEEK.folder / "checks").rglob("*.py")),
    ENGINE / "endings.py",
    ENGINE / "run.py",
    *sorted((ENGINE / "submission").glob("*.py")),
)


class NotFollowed(ValueError):
    """What an expression can be is not visible in the code; the message is the expression."""


@dataclass(eq=False)
class Module:
    """A file that judges: its tree, and for each node the one around it."""

    path: Path
    tree: ast.Module
    around: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            self.around |= dict.fromkeys(ast.iter_child_nodes(node), node)

    @property
    def name(self) -> str:
        return ".".join(self.path.relative_to(WEEK.root).with_suffix("").parts)

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        return tuple(node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    @cached_property
    def defined(self) -> dict[str, ast.AST]:
        """{name: the function, or the value} of what stands at the top of the file."""
        found: dict[str, ast.AST] = {n.name: n for n in self.tree.body if isinstance(n, ast.FunctionDef)}
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                found |= {t.id: node.value for t in targets if isinstance(t, ast.Name)}
        return found

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """{local name: (module, name in it)}"""
        nodes = [n for n in self.tree.body if isinstance(n, ast.ImportFrom)]
        return {a.asname or a.name: (n.module or "", a.name) for n in nodes for a in n.names}

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.around:
            node = self.around[node]
            yield node

    def function_around(self, node: ast.AST) -> ast.FunctionDef | None:
        return next((n for n in self.ancestors(node) if isinstance(n, ast.FunctionDef)), None)

    def place(self, node: ast.expr) -> str:
        return f"{self.path.relative_to(WEEK.root).as_posix()}, line {node.lineno}"


@cache
def modules() -> dict[str, Module]:
    parsed = [Module(path, ast.parse(path.read_text(encoding="utf-8"))) for path in JUDGES]
    return {module.name: module for module in parsed}


# -- texts


def texts_of(module: Module, node: ast.AST, seen: frozenset[ast.AST]) -> set[str]:
    """Every string that an expression can be, or hold. Raises NotFollowed for what comes in from elsewhere."""
    if node in seen:
        return set()
    seen |= {node}
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.FunctionDef):
        returned = [n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
        return together(texts_of(module, value, seen) for value in returned)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        try:  # a method (`SHAPES.get(...)`, `name.split(...)`) or a function of another module
            called = texts_of(module, node.func, seen)
        except NotFollowed:
            called = texts_of(module, node.func.value, seen)
        return called | together(texts_of(module, a, seen) for a in node.args if isinstance(a, ast.Constant))
    if isinstance(node, ast.Call):
        return texts_of(module, node.func, seen)
    if isinstance(node, (ast.Name, ast.Attribute)):
        return together(texts_of(where, value, seen) for where, value in values_of(module, node))
    if isinstance(node, ast.Dict):
        return together(texts_of(module, n, seen) for n in (*node.keys, *node.values) if isinstance(n, ast.Constant))
    if isinstance(node, ast.IfExp):
        return texts_of(module, node.body, seen) | texts_of(module, node.orelse, seen)
    if isinstance(node, ast.Subscript):
        return texts_of(module, node.value, seen)
    if isinstance(node, ast.DictComp):
        return texts_of(module, node.key, seen)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
        return texts_of(module, node.elt, seen)
    return together(texts_of(module, n, seen) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr))


def together(sets: Iterable[set[str]]) -> set[str]:
    return set().union(*sets)


def values_of(module: Module, node: ast.Name | ast.Attribute) -> list[tuple[Module, ast.AST]]:
    """What a name stands for: what its function assigned to it, else the top of a file. Raises NotFollowed."""
    if isinstance(node, ast.Attribute):
        home = modules().get(".".join(module.imported.get(getattr(node.value, "id", ""), ("", ""))))
        if home is None or node.attr not in home.defined:
            raise NotFollowed(ast.unparse(node))
        return [(home, home.defined[node.attr])]
    for outer in module.ancestors(node):  # the loop around it that gives it its values
        loops = outer.generators if isinstance(outer, (ast.ListComp, ast.DictComp, ast.GeneratorExp)) else [outer]
        for loop in loops:
            if isinstance(loop, (ast.For, ast.comprehension)) and (found := items_of(module, loop, node.id)):
                return found
    function = module.function_around(node)
    if function is not None:
        assigned = [n for n in ast.walk(function) if isinstance(n, (ast.Assign, ast.AnnAssign, ast.NamedExpr))]
        found = [(module, n.value) for n in assigned if n.value is not None and node.id in bound(n)]
        if found:
            return found
        if node.id in {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}:
            raise NotFollowed(node.id)
    if node.id in module.defined:
        return [(module, module.defined[node.id])]
    home_name, name = module.imported.get(node.id, ("", ""))
    if home_name in modules() and name in modules()[home_name].defined:
        return [(modules()[home_name], modules()[home_name].defined[name])]
    raise NotFollowed(node.id)


def bound(node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {t.id for t in targets if isinstance(t, ast.Name)}


def items_of(module: Module, loop: ast.For | ast.comprehension, name: str) -> list[tuple[Module, ast.AST]]:
    """What a loop variable goes through: in `for loss, finding in TABLE`, the second thing of each row."""
    if isinstance(loop.target, ast.Name):
        return [(module, loop.iter)] if loop.target.id == name else []
    names = [getattr(t, "id", "") for t in getattr(loop.target, "elts", [])]
    if name not in names:
        return []
    if isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "attr", "") == "items":
        return [(module, loop.iter.func.value)]  # type: ignore[attr-defined]
    tables: list[tuple[Module, ast.AST]] = [(module, loop.iter)]
    if isinstance(loop.iter, (ast.Name, ast.Attribute)):
        tables = values_of(module, loop.iter)
    rows = [(where, row) for where, table in tables for row in getattr(table, "elts", [])]
    return [(where, row.elts[names.index(name)]) for where, row in rows if isinstance(row, (ast.Tuple, ast.List))]


# -- dicts


def keys_of(module: Module, node: ast.expr, at: ast.AST) -> set[str]:
    """The keys that a dict certainly has when `at` is reached. Raises NotFollowed."""
    if isinstance(node, ast.Dict):
        plain = {str(k.value) for k in node.keys if isinstance(k, ast.Constant)}
        return plain.union(*(keys_of(module, v, at) for k, v in zip(node.keys, node.values) if k is None))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return keys_of(module, node.left, at) | keys_of(module, node.right, at)
    if isinstance(node, ast.IfExp):
        return keys_of(module, node.body, at) & keys_of(module, node.orelse, at)
    if isinstance(node, ast.Call):
        return keys_returned(module, node)
    if isinstance(node, ast.Name):
        return keys_of_name(module, node, at)
    raise NotFollowed(ast.unparse(node))


def keys_returned(module: Module, call: ast.Call) -> set[str]:
    if getattr(call.func, "id", "") == "dict":
        return {k.arg for k in call.keywords if k.arg}
    if not isinstance(call.func, (ast.Name, ast.Attribute)):
        raise NotFollowed(ast.unparse(call))
    found = []
    for where, function in values_of(module, call.func):
        returns = [n for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
        found += [keys_of(where, n.value, n) for n in returns if n.value is not None]
    return set.intersection(*found) if found else set()


def keys_of_name(module: Module, node: ast.Name, at: ast.AST) -> set[str]:
    """Follow the assignments that must have run before `at`, from the last one back."""
    function = module.function_around(at)
    if function is None:
        raise NotFollowed(node.id)
    blocks = {at, *module.ancestors(at)}
    before = [
        n
        for n in ast.walk(function)
        if isinstance(n, (ast.Assign, ast.AnnAssign, ast.AugAssign))
        and module.around[n] in blocks
        and n.lineno < at.lineno  # type: ignore[attr-defined]
    ]
    found: set[str] = set()
    for step in sorted(before, key=lambda n: -n.lineno):
        targets = step.targets if isinstance(step, ast.Assign) else [step.target]
        if node.id in {getattr(t, "id", "") for t in targets} and step.value is not None:
            found |= keys_of(module, step.value, step)
            if not isinstance(step, ast.AugAssign):
                return found
    return found | keys_of_parameter(module, function, node.id)


def keys_of_parameter(module: Module, function: ast.FunctionDef, name: str) -> set[str]:
    """What every caller of a function hands over."""
    names = [a.arg for a in function.args.args]
    if name not in names:
        raise NotFollowed(name)
    found = []
    for caller in modules().values():
        for call in caller.calls:
            if getattr(call.func, "id", getattr(call.func, "attr", "")) == function.name:
                given = dict(zip(names, call.args)) | {k.arg: k.value for k in call.keywords if k.arg}
                if name in given:
                    found.append(keys_of(caller, given[name], call))
    if not found:
        raise NotFollowed(name)
    return set.intersection(*found)
