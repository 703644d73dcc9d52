"""From a solution file to what a student gets: each solution region becomes a TODO that announces itself.

    # BEGIN SOLUTION            (three hashes too)
    ...
    # END SOLUTION

A region inside one of the contract's functions becomes a stub at the same indentation. A region at the top
level of the file (a helper, a constant, an import that only the solution needs) leaves nothing behind.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from grader.contract import WEEK
from grader.engine.printable import source_lines

# (file, function) -> TODO
CONTRACT = {(todo.file, name): todo.number for todo in WEEK.todos for name in (todo.function, *todo.also)}

MARKER = re.compile(r"^(?P<indent>[ \t]*)#{1,3} ?(?P<kind>BEGIN|END) SOLUTION[ \t]*$")
ALMOST = re.compile(r"#.*\b(begin|end)[ _-]*solution", re.IGNORECASE)


class MarkerError(ValueError):
    """Solution markers that do not make sense; the message begins with file:line."""

    def __init__(self, file: str, line: int, problem: str):
        super().__init__(f"{file}:{line}: {problem}")


@dataclass(frozen=True)
class Region:
    """One solution region: the lines of its markers, counted from 1, and the function it stands in."""

    begin: int
    end: int
    indent: str
    function: str | None


@dataclass(frozen=True)
class Definition:
    """A function, class or method: where its `def` or `class` stands."""

    name: str
    line: int
    column: int
    is_function: bool


def student_version(name: str, text: str, invitations: dict[str, str]) -> str:
    """The file with stubs for solutions. `invitations` maps a TODO's number, as text, to its comment line."""
    lines = source_lines(text)
    found = list(regions(name, text))
    every_function_has_one(name, text, found)
    for region in reversed(found):  # from the end, so that line numbers stay right
        lines[region.begin - 1 : region.end] = stub(name, region, invitations)
    made = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).rstrip("\n") + "\n"
    try:
        ast.parse(made)
    except SyntaxError as error:
        raise MarkerError(
            name, error.lineno or 1, f"without the solution this is not valid Python ({error.msg}): move the markers"
        ) from error
    return made


def given_as_it_is(name: str, text: str) -> str:
    """A file of solution/ that students get unchanged. Raises MarkerError where it is no Python, or has markers."""
    if found := next(regions(name, text), None):
        raise MarkerError(
            name, found.begin, "students get this file as it is, so markers hide nothing in it; take them away"
        )
    return text


def stub(name: str, region: Region, invitations: dict[str, str]) -> list[str]:
    if region.function is None:
        return []
    number = CONTRACT.get((name, region.function))
    if number is None:
        expected = ", ".join(function for file, function in CONTRACT if file == name)
        raise MarkerError(
            name,
            region.begin,
            f"{region.function} is not a TODO of the contract (those of {name}: {expected}). A renamed TODO gets its "
            "name back; around a helper of your own put the markers at the top level",
        )
    invitation = f"# TODO {number}: {invitations[str(number)]}"
    return [region.indent + invitation, f'{region.indent}raise NotImplementedError("TODO {number}: {region.function}")']


def regions(name: str, text: str) -> Iterator[Region]:
    """Every solution region, in order. Raises MarkerError for markers that do not pair up."""
    known = definitions(name, text)
    opened: tuple[int, str] | None = None
    for number, line in enumerate(source_lines(text), start=1):
        marker = MARKER.match(line)
        if marker is None:
            if ALMOST.search(line):
                raise MarkerError(name, number, "write a marker alone on its line: # BEGIN SOLUTION or # END SOLUTION")
        elif marker["kind"] == "BEGIN":
            if opened:
                raise MarkerError(name, number, f"BEGIN SOLUTION inside the region that begins in line {opened[0]}")
            opened = number, marker["indent"]
        else:
            if not opened:
                raise MarkerError(name, number, "END SOLUTION without a BEGIN SOLUTION before it")
            yield Region(opened[0], number, opened[1], innermost(known, opened[0], opened[1]))
            opened = None
    if opened:
        raise MarkerError(name, opened[0], "BEGIN SOLUTION is never closed by an END SOLUTION")


def definitions(name: str, text: str) -> list[Definition]:
    """Top-level functions and classes, and the methods of those classes, in the order of their lines."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise MarkerError(name, error.lineno or 1, f"not valid Python: {error.msg}") from error
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found.append(Definition(node.name, node.lineno, node.col_offset, False))
            methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
            found += [Definition(f"{node.name}.{m.name}", m.lineno, m.col_offset, True) for m in methods]
        elif isinstance(node, ast.FunctionDef):
            found.append(Definition(node.name, node.lineno, node.col_offset, True))
    return found


def innermost(known: list[Definition], line: int, indent: str) -> str | None:
    """The function a marker stands in, or None. Comments are not in the syntax tree: indentation tells."""
    around = [one for one in known if one.line < line and one.column < len(indent.expandtabs())]
    return around[-1].name if around and around[-1].is_function else None


def every_function_has_one(name: str, text: str, found: list[Region]) -> None:
    """A contract function without markers would hand out its solution."""
    marked = {region.function for region in found}
    for one in definitions(name, text):
        if one.is_function and (name, one.name) in CONTRACT and one.name not in marked:
            raise MarkerError(
                name, one.line, f"{one.name} has no solution markers inside it, so students would get its solution"
            )


def every_todo_is_there(name: str, text: str) -> None:
    """What the contract names and a file does not have would be no stub. Raises MarkerError."""
    there = {one.name for one in definitions(name, text)}
    for todo in WEEK.todos:
        if todo.file == name and not there & {todo.function, *todo.also}:
            raise MarkerError(name, 1, f"there is no {todo.function} in it, TODO {todo.number} of grader/contract.py")


def solution_lines(name: str, text: str) -> set[str]:
    """The lines inside solution regions that say something, without indentation and comments."""
    lines = source_lines(text)
    inside = {bare(line) for region in regions(name, text) for line in lines[region.begin : region.end - 1]}
    return {line for line in inside if re.search(r"\w", line) and line not in TRIVIAL}


SHORT = 12  # a shorter line ("model,") is only a leak where it stands alone
TRIVIAL = {"return", "pass", "break", "continue", "else:", "try:", "finally:"}


def bare(line: str) -> str:
    return re.sub(r"(^|\s+)#\s.*$", "", line).strip()


def leaks(solutions: dict[str, str], outputs: dict[str, bytes]) -> list[str]:
    """Every line of a solution that a generated file contains, even inside a longer line, as "file: line"."""
    secret = sorted(
        set().union(*(solution_lines(name, text) for name, text in solutions.items() if name in WEEK.files))
    )
    found = []
    for path, content in outputs.items():
        text = content.decode("utf-8", "replace").replace('\\"', '"')  # a notebook is JSON
        whole = {bare(line.removesuffix('\\n",')) for line in text.splitlines()}
        for line in secret:
            inside = len(line) >= SHORT and re.search(rf"(?<!\w){re.escape(line)}(?!\w)", text)
            if inside or line in whole:
                found.append(f"{path}: {line}")
    return found
