"""The same exercises as a notebook. Cells tagged with a file's name, in order, make up that file again."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

import nbformat
from nbformat import v4

from grader.engine.printable import listed, source_lines
from grader.engine.rubric import BadRubric

LEFT_OUT = ("main",)  # the command line has no place in a notebook
MARKDOWN = "# %% [markdown]"
EXERCISES = "# %% exercises "


def notebook(text: str, stubs: dict[str, str]) -> bytes:
    """The notebook described by `text`: blocks that begin with a line "# %% ...".

    # %% [markdown]    a block of text
    # %% code          a given cell, untagged
    # %% exercises F   every cell made from the student's file F stands here

    A file without such a block comes after the last one that has one. Raises BadRubric for any other block.
    """
    cells: list[Any] = []
    for heading, body in with_every_file(list(blocks(text)), stubs):
        if heading == MARKDOWN:
            cells.append(v4.new_markdown_cell(body))
        elif heading == "# %% code":
            cells.append(v4.new_code_cell(body))
        else:
            file = heading.removeprefix(EXERCISES).strip()
            if not heading.startswith(EXERCISES) or file not in stubs:
                raise BadRubric(
                    f'templates/notebook.py.j2: "{heading}" is no kind of block; there are "{MARKDOWN}", '
                    f'"# %% code", and "{EXERCISES}FILE" for {listed(list(stubs))}.'
                )
            for source, exercise in pieces(stubs[file]):
                tags = ["exercise", file] if exercise else [file]
                cells.append(v4.new_code_cell(source, metadata={"tags": tags}))
    for position, cell in enumerate(cells):  # nbformat draws ids at random; these depend on place and content only
        digest = hashlib.sha256(f"{position}\n{cell.source}".encode()).hexdigest()[:8]
        cell.id = f"cell-{position:02}-{digest}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    return f"{nbformat.writes(book)}\n".encode()


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(heading line, text below it) for each block."""
    parts = re.split(r"^(# %% .*)$", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        yield heading.strip(), body.strip("\n")


def with_every_file(found: list[tuple[str, str]], files: Iterable[str]) -> list[tuple[str, str]]:
    """The blocks, and one for each file that the text does not name."""
    named = [heading for heading, _ in found]
    last = max((place for place, heading in enumerate(named, 1) if heading.startswith(EXERCISES)), default=len(named))
    missing = [(EXERCISES + file, "") for file in files if EXERCISES + file not in named]
    return [*found[:last], *missing, *found[last:]]


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """(source, is it an exercise?) for each cell of a student file.

    Joined in order they are the file again, without its docstring and its command line. One class or function
    with a TODO is one exercise; what stands between (imports, constants, helpers) is kept together.
    """
    lines = source_lines(text)
    body = ast.parse(text).body
    waiting: list[str] = []
    start = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        start = body.pop(0).end_lineno or 0
    for node in body:
        source = "\n".join(lines[start : node.end_lineno])
        start = node.end_lineno or start
        if is_command_line(node):
            continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and 'NotImplementedError("TODO' in source:
            if waiting:
                yield "\n".join(waiting).strip("\n"), False
                waiting = []
            yield source.strip("\n"), True
        else:
            waiting.append(source)
    if waiting:
        yield "\n".join(waiting).strip("\n"), False


def is_command_line(node: ast.stmt) -> bool:
    if isinstance(node, ast.If):
        return "__name__" in ast.dump(node.test)
    return isinstance(node, ast.FunctionDef) and node.name in LEFT_OUT
