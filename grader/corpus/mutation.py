"""Programs that are one change away from a right one: the mutation operators of the field, on the syntax tree.

Statement deletion, duplication and swap, indentation, relational, arithmetic and boolean operators, constants,
arguments, brackets and indices. What is given beside the TODOs, and what only prints, is left alone.
"""

from __future__ import annotations

import ast
import copy
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

Change = Callable[[Any], Any]  # changes a node in place, or returns the expression to put there

SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.GtE: ast.Lt,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
LONGEST = 160  # characters of a change that is shown


@dataclass(frozen=True)
class Mutant:
    """One change of one file. before, after: the changed lines; text: the whole file."""

    wheat: str
    file: str
    operator: str
    line: int
    before: str
    after: str
    text: str


def mutants(wheat: str, file: str, text: str) -> Iterator[Mutant]:
    """Every program that is one change away from the one in `text`."""
    tree = ast.parse(text)
    plain = ast.unparse(tree)
    skipped = {inner for node in ast.walk(tree) if is_no_answer(node) for inner in ast.walk(node)}
    for number, node in enumerate(ast.walk(tree)):
        for operator, change in changes_of(node) if node not in skipped else ():
            after = changed(tree, number, change)
            if after is not None and after != plain:
                old, new = difference(plain, after)
                yield Mutant(wheat, file, operator, getattr(node, "lineno", 0), old, new, after)


def is_no_answer(node: ast.AST) -> bool:
    """What is given beside the TODOs, or only prints."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "main"
    if isinstance(node, ast.If):
        return "__name__" in ast.unparse(node.test)
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"


def changed(tree: ast.Module, number: int, change: Change) -> str | None:
    """The program with its node of this number changed; None where that is no Python."""
    other: ast.AST = copy.deepcopy(tree)
    target = next(node for place, node in enumerate(ast.walk(other)) if place == number)
    instead = change(target)
    if isinstance(instead, ast.expr):
        other = Replace(target, instead).visit(other)
    try:
        text = ast.unparse(ast.fix_missing_locations(other))
        compile(text, "changed", "exec")
    except (SyntaxError, ValueError, AttributeError):
        return None
    return text


def difference(one: str, other: str) -> tuple[str, str]:
    """The lines of each that the other has not, as one line."""
    lines = [line for line in difflib.ndiff(one.splitlines(), other.splitlines()) if line[0] in "+-"]
    sides = ([" ".join(line[2:].split()) for line in lines if line[0] == sign] for sign in "-+")
    old, new = (" / ".join(side)[:LONGEST] for side in sides)
    return old, new


class Replace(ast.NodeTransformer):
    """Puts a node in the place of another."""

    def __init__(self, target: ast.AST, node: ast.AST):
        self.target, self.node = target, node

    def visit(self, node: ast.AST) -> ast.AST:
        return self.node if node is self.target else self.generic_visit(node)


# -- the operators -------------------------------------------------------------------------------------------


def changes_of(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """(operator, change) for all that can be done to a node."""
    if isinstance(node, (ast.FunctionDef, ast.For, ast.With, ast.If)):
        yield from of_block(node)
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPPED:
        yield "operator", partial(put, "op", SWAPPED[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield "relation", partial(put, "ops", [SWAPPED[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.If):
        yield "negate", partial(put, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Constant):
        yield from of_constant(node.value)
    if isinstance(node, ast.Call):
        yield from of_call(node)
    if isinstance(node, ast.Subscript):
        yield "drop index", partial(put, "slice", ast.Slice(None, None, None))


def of_block(node: ast.FunctionDef | ast.For | ast.With | ast.If) -> Iterator[tuple[str, Change]]:
    body = node.body
    has_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    for at in range(1 if has_text else 0, len(body)):
        yield "delete", partial(in_body, lambda body, at: body.__setitem__(at, ast.Pass()), at)
        yield "duplicate", partial(in_body, lambda body, at: body.insert(at, body[at]), at)
        if at + 1 < len(body):
            yield "swap statements", partial(in_body, lambda body, at: body.insert(at, body.pop(at + 1)), at)
    for at, inner in enumerate(body):
        if isinstance(inner, (ast.For, ast.With)) and len(inner.body) > 1:
            yield "move out", partial(in_body, lambda body, at: body.insert(at + 1, body[at].body.pop()), at)
        if isinstance(inner, (ast.For, ast.With)) and at + 1 < len(body):
            yield "move in", partial(in_body, lambda body, at: body[at].body.append(body.pop(at + 1)), at)


def of_constant(value: Any) -> Iterator[tuple[str, Change]]:
    if type(value) is bool:
        yield "boolean", partial(put, "value", not value)
    elif type(value) is int:
        yield "one more", partial(put, "value", value + 1)
        yield "one less", partial(put, "value", value - 1)
        if value in (0, 1):
            yield "axis", partial(put, "value", 1 - value)
    elif type(value) is float:
        yield "zero", partial(put, "value", 0.0)
        yield "tenfold", partial(put, "value", value * 10)


def of_call(node: ast.Call) -> Iterator[tuple[str, Change]]:
    if isinstance(node.func, ast.Attribute) and not node.args and not node.keywords:
        yield "drop brackets", lambda call: call.func
        yield "drop call", lambda call: call.func.value
    if len(node.args) > 1:
        yield "exchange arguments", partial(put, "args", [node.args[1], node.args[0], *node.args[2:]])
    for at in range(len(node.keywords)):
        yield "drop keyword", partial(put, "keywords", [*node.keywords[:at], *node.keywords[at + 1 :]])


def put(field: str, value: Any, node: ast.AST) -> None:
    setattr(node, field, value)


def in_body(change: Callable[[list[Any], int], object], at: int, node: Any) -> None:
    change(node.body, at)
