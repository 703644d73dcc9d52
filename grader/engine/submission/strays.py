"""Code of a TODO that is there and does not count: beside a raise that was left, or in another place than its stub.

It is looked for in the text of what was handed in, and nothing is run. What is found chooses words, never points.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from grader.engine.printable import listed, source_lines
from grader.engine.submission import apart

Function = ast.FunctionDef | ast.AsyncFunctionDef
SURE = 0.8  # how alike two names must be before one is taken for the other


@dataclass(frozen=True)
class Stray:
    """Where the code of a TODO is, and what to do about it.

    at: the file and line, or the cell, for people; found: how it lies there, the end of a sentence; "" beside a raise
    do: what to do, one sentence
    file, line, text: the line to look at
    empty: the raise is gone and nothing is in its place, so it is still to do
    """

    todo: int
    at: str
    file: str
    line: int
    text: str
    found: str = ""
    do: str = ""
    empty: bool = False


@dataclass(frozen=True)
class Place:
    """A function in a text, and the names around it, from the outside in."""

    file: str
    around: tuple[ast.AST, ...]
    node: Function

    @property
    def path(self) -> str:
        return ".".join(str(getattr(one, "name", "")) for one in (*self.around, self.node))


class Search:
    """Looks apart, once. Calling it gives {TODO: its code that does not count}; {} where that cannot be looked for.

    It can be pickled, and looks anew where it arrives.
    """

    def __init__(self, question: bytes):
        self.question = question
        self.answer: Callable[[], Any] | None = None
        self.found: dict[int, Stray] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Search, (self.question,)

    def begin(self) -> None:
        """Look now, and do not wait."""
        self.answer = self.answer or apart.ask_ahead(__name__, self.question)

    def __call__(self) -> dict[int, Stray]:
        if self.found is None:
            self.begin()
            try:
                assert self.answer is not None
                self.found = {one["todo"]: Stray(**one) for one in self.answer()}
            except (apart.NotRead, OSError):  # it chooses words only
                self.found = {}
        return self.found


def search(
    texts: Mapping[str, str],
    todos: Sequence[tuple[int, str, str]],
    beside: tuple[str, str] = ("", ""),
    cells: bool = False,
) -> Search:
    """texts: {file: text}, those that are graded and others that lie beside them
    todos: (number, file, function or Class.method)
    beside: (name, JSON) of a notebook with the same exercises that lies beside the files
    cells: the texts were put together from cells, so their line numbers mean nothing to anybody
    """
    question = {"texts": texts, "todos": todos, "beside": beside, "cells": cells}
    return Search(json.dumps(question).encode("ascii"))


def main() -> None:
    apart.answer(reply)


def reply(question: bytes) -> list[dict[str, object]]:
    asked = json.loads(question)
    try:
        looking = Looking(asked["texts"], asked["todos"], asked["beside"], asked["cells"])
        return [asdict(stray) for stray in looking.strays()]
    except (RecursionError, MemoryError):
        return []


class Looking:
    """One look at all texts of a submission."""

    def __init__(
        self, texts: Mapping[str, str], todos: Sequence[tuple[int, str, str]], beside: tuple[str, str], cells: bool
    ):
        self.todos, self.cells = todos, cells
        self.homes = list(dict.fromkeys(file for _, file, _ in todos))
        self.texts = dict(texts) | in_notebook(beside[0], beside[1], todos)
        self.places = [place for file, text in self.texts.items() for place in functions(file, text)]
        stubs = [place for place in self.places if place.file in self.homes and raise_in(place.node) is not None]
        self.begun = {(place.file, place.path) for place in stubs} < {(file, function) for _, file, function in todos}
        self.broken = {file for file in self.homes if is_broken(texts.get(file, ""))}
        self.called = {function.split(".")[-1] for _, _, function in todos}

    def strays(self) -> Iterator[Stray]:
        for number, file, function in self.todos:
            same = [place for place in self.places if place.file == file and place.path == function]
            stub = same[-1] if same else None  # the last one counts
            left = raise_in(stub.node) if stub is not None else None
            if stub is not None and left is None:
                unwritten = not own_code(stub.node) and file not in self.broken  # else its lines may stand below it
                if unwritten and not stub.node.name.startswith("__"):
                    yield replace(self.stray(number, stub, stub.node.lineno), empty=True)
                continue
            if stub is not None and left is not None and own_code(stub.node):
                yield self.stray(number, Place(file, stub.around, stub.node), left.lineno)
                continue
            others = [place for place in self.places if place is not stub and own_code(place.node)]
            for place in sorted(others, key=lambda place: (place.file != file, place.file not in self.homes)):
                words = self.elsewhere(place, stub, file, function) or self.renamed(place, stub, file, function)
                if words is not None:
                    yield self.stray(number, place, place.node.lineno, *words)
                    break

    def stray(self, number: int, place: Place, line: int, found: str = "", do: str = "") -> Stray:
        at = f"the cell of TODO {number}" if self.cells else f"{place.file}, line {line}"
        lines = source_lines(self.texts[place.file])
        text = lines[line - 1][:200] if line <= len(lines) else ""
        return Stray(number, at, place.file, line, text, found, do)

    def at(self, file: str, node: Function) -> str:
        return "" if self.cells else f" ({file}, line {node.lineno})"

    def elsewhere(self, place: Place, stub: Place | None, file: str, function: str) -> tuple[str, str] | None:
        """(how it lies there, what to do) for a function that is the TODO's but for its place; None for another one."""
        *owner, name = function.split(".")
        inner = place.around[-1] if place.around else None
        if place.node.name != name or (name.startswith("__") and not in_class(place, owner)):
            return None
        home = f"{file}, in the place of the unfinished one" if stub is not None else file
        notebook, _, exercises = place.file.partition(": ")
        if exercises:
            if exercises != file or place.path != function:
                return None
            if not self.begun and raise_in(place.node) is not None:
                found = f"it is in {notebook}, beside the line `raise NotImplementedError`, which ends the function"
                return found, "Delete that line"
            found = f"it is in {notebook}, and the files are graded, because some of them have answers"
            return found, f"Copy it to {home}, or hand the path of {notebook} to --submission"
        if raise_in(place.node) is not None:
            return None
        if place.file != file:
            if owner and not isinstance(inner, ast.ClassDef) or not owner and inner is not None:
                return None
            graded = "" if place.file in self.homes else f", and only {listed(self.homes)} are graded"
            return f"it is in {place.file}, line {place.node.lineno}{graded}", f"Move it to {home}"
        if place.path == function:
            again = self.at(file, stub.node) if stub is not None else ""
            found = f"a second {name} further down{again} is still unfinished, and the last one counts"
            return found, "Delete that one, with its `raise`"
        edge = "the left edge of the cell" if self.cells else "the left edge of the file"
        there = f"Move it into the class {owner[0]}, indented by four spaces" if owner else f"Move it to {edge}"
        if inner is None:
            return f"it stands outside the class{self.at(file, place.node)}", there
        kind = "class" if isinstance(inner, ast.ClassDef) else "function"
        return f"it is indented into the {kind} {getattr(inner, 'name', '')}{self.at(file, place.node)}", there

    def renamed(self, place: Place, stub: Place | None, file: str, function: str) -> tuple[str, str] | None:
        """The same for a function that nobody calls and that is called almost like the stub beside it."""
        name, other = function.split(".")[-1], place.node.name
        if stub is None or place.file != file or other in self.called or place.around != stub.around:
            return None
        used = len(re.findall(rf"\b{re.escape(other)}\b", self.texts[file])) > 1
        if used or difflib.SequenceMatcher(None, name, other).ratio() < SURE:
            return None
        return f"it is called {other}{self.at(file, place.node)}", f"Call it {name}, and delete the unfinished one"


def in_notebook(name: str, content: str, todos: Sequence[tuple[int, str, str]]) -> dict[str, str]:
    """{"NOTEBOOK: FILE": text}: the cells with a file's tag, and others that define a function of its TODOs."""
    try:
        cells = [cell for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, str] = {}
    for cell in cells:
        source, tags = "".join(cell.get("source", "")), cell.get("metadata", {}).get("tags", [])
        for file in dict.fromkeys(file for _, file, _ in todos):
            tops = "|".join(function.split(".")[0] for _, of, function in todos if of == file)
            if file in tags or re.search(rf"^(def|class) ({tops})\b", source, re.MULTILINE):
                found[f"{name}: {file}"] = found.get(f"{name}: {file}", "") + source + "\n\n"
    return found


def is_broken(text: str) -> bool:
    """Whether Python cannot compile a text, even one that it can take apart: a `return` outside its function, say."""
    try:
        compile(text, "text", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return True
    return False


def functions(file: str, text: str) -> Iterator[Place]:
    """Every function of a text; none where Python cannot read it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    waiting: list[tuple[ast.AST, tuple[ast.AST, ...]]] = [(tree, ())]
    while waiting:
        node, around = waiting.pop(0)
        if isinstance(node, Function):
            yield Place(file, around, node)
        if isinstance(node, (Function, ast.ClassDef)):
            around = (*around, node)
        waiting += [(child, around) for child in ast.iter_child_nodes(node)]


def raise_in(node: ast.stmt) -> ast.Raise | None:
    """The line of a stub that was left in a function or class, None where it is gone."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Raise) and isinstance(call := inner.exc, ast.Call):
            told = call.args[0] if call.args else None
            named = getattr(call.func, "id", "") == "NotImplementedError" and isinstance(told, ast.Constant)
            if named and re.match(r"TODO \d", str(getattr(told, "value", ""))):
                return inner
    return None


def own_code(node: Function) -> bool:
    """Whether something stands in a function that its stub does not have."""
    return any(not (is_empty(statement) or isinstance(statement, ast.Raise)) for statement in node.body)


def is_empty(statement: ast.stmt) -> bool:
    """pass, ..., a docstring, or super().__init__(), which stubs have too."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    begins = value is not None and re.match(r"super\(.*?\)\.__init__\(\)$", ast.unparse(value))
    return isinstance(statement, ast.Pass) or isinstance(value, ast.Constant) or bool(begins)


def in_class(place: Place, owner: Sequence[str]) -> bool:
    return [getattr(one, "name", "") for one in place.around] == list(owner)
