"""The same exercises as a notebook. Cells tagged with a file's name, in order, make up that file again."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

LEFT_OUT = ("main",)  # the command line has no place in a notebook
MARKDOWN = "# %% [markdown]"
EXERCISES = "# %% exercises "


def notebook(text: str, stubs: dict[str, str]) -> bytes:
    """The notebook described by `text`: blocks that begin with a line "# %% ...".

    # %% [markdown]    a block of text
    # %% code          a given cell, untagged
    # %% exercises F   every cell made from the student's file F stands here

    A file without such a block comes after the last one that has one.
    """
    cells: list[dict[str, Any]] = []
    for heading, body in with_every_file(list(blocks(text)), stubs):
        if heading == MARKDOWN:
            cells.append(cell("markdown", body, len(cells)))
        elif heading == "# %% code":
            cells.append(cell("code", body, len(cells)))
        else:
            file = heading.removeprefix(EXERCISES).strip()
            for source, exercise in pieces(stubs[file]):
                tags = ["exercise", file] if exercise else [file]
                cells.append(cell("code", source, len(cells), tags))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8")


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
    lines = text.splitlines()
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


def cell(kind: str, source: str, position: int, tags: list[str] | None = None) -> dict[str, Any]:
    """One cell; its id depends on nothing but its place and content."""
    digest = hashlib.sha256(f"{position}\n{source}".encode()).hexdigest()[:8]
    made: dict[str, Any] = {
        "cell_type": kind,
        "id": f"cell-{position:02}-{digest}",
        "metadata": {"tags": tags} if tags else {},
        "source": source.splitlines(keepends=True),
    }
    if kind == "code":
        made |= {"execution_count": None, "outputs": []}
    return made
