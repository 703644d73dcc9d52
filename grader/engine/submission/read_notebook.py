"""The exercise cells of a notebook, put together as the files they stand for.

In a notebook all cells share one namespace, in files they do not. So what an exercise cell uses and another cell
defines comes along: imports always; functions, classes and simple values where their name is used.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import json
import subprocess
import symtable
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from grader.engine.worker.processes import bootstrap
from grader.engine.worker.walls.limits import Caps, limit_self

DISPLAY = "def display(*things, **options):\n    pass"  # IPython has it, Python does not
CELLS = 2000
CELL_CHARACTERS, ALL_CHARACTERS = 100_000, 1_000_000  # of code that is looked into for what it defines


READ_SECONDS, READ_MEMORY = 20, 1_000_000_000  # of computing, and bytes, to read one notebook
ANSWER_BYTES = 20_000_000


class NotANotebook(ValueError):
    """These bytes are not a notebook; the message says what reading it ended with."""


class Cell(NamedTuple):
    """One code cell: its text without magics, its statements (none when Python cannot read it), its tags."""

    source: str
    body: list[ast.stmt]
    tags: list[str]


def read_apart(content: bytes, names: Sequence[str]) -> dict[str, str]:
    """`files_in`, in a process of its own with limits: a notebook can be made to hurt whoever reads it.

    Raises NotANotebook.
    """
    question = json.dumps(list(names)).encode("ascii") + b"\n" + content
    command = bootstrap(f"from {__name__} import main; main()")
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=4 * READ_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotANotebook("reading it takes too long") from error
    if done.returncode != 0 or len(done.stdout) > ANSWER_BYTES:
        raise NotANotebook("reading it takes too much time or memory")
    answer = json.loads(done.stdout)
    if "problem" in answer:
        raise NotANotebook(answer["problem"])
    files: dict[str, str] = answer["files"]
    return files


def main() -> None:
    """In the limited process: names and a notebook on standard input, {"files"} or {"problem"} on standard output."""
    limit_self(Caps(cpu_seconds=READ_SECONDS, memory_bytes=READ_MEMORY))
    names, _, content = sys.stdin.buffer.read().partition(b"\n")
    try:
        answer: dict[str, object] = {"files": files_in(content, json.loads(names))}
    except NotANotebook as error:
        answer = {"problem": str(error)}
    except (RecursionError, MemoryError) as error:
        answer = {"problem": type(error).__name__}
    sys.stdout.write(json.dumps(answer))  # ASCII: lone surrogates of a cell cross it too


def files_in(content: bytes, names: Sequence[str]) -> dict[str, str]:
    """{file name: text} for each of `names` that some cell is tagged with. Raises NotANotebook."""
    cells = [Cell(source, parsed(source), tags) for source, tags in code_cells(content)]
    imports = list(dict.fromkeys(line for cell in cells for line in imports_of(cell.body)))
    tagged = {name: [cell for cell in cells if name in cell.tags] for name in names}
    own = {
        name: f"from {file.removesuffix('.py')} import {name}"
        for file, cells_of_it in tagged.items()
        for cell in cells_of_it
        for name in defined(cell.body)
    }
    loose = [cell for cell in cells if not set(cell.tags) & set(names)]
    lent = {name: statement for cell in loose for name, statement in lendable(cell, set(own))}
    files = {}
    for name, cells_of_it in tagged.items():
        if cells_of_it:
            text = "\n\n".join(cell.source for cell in cells_of_it) + "\n"
            lines = [*map(tolerant, imports), "", *borrowed(text, imports, own | lent)]
            files[name] = "\n".join(lines) + "\n\n" + text
    return files


def code_cells(content: bytes) -> list[tuple[str, list[str]]]:
    """(source without magics, tags) of every code cell. Raises NotANotebook when it is not a notebook of version 4."""
    import nbformat

    try:
        book = nbformat.reads(content.decode("utf-8"), as_version=4)
        cells = [c for c in book.cells if c.cell_type == "code"]
        found = [(str(c.source), [str(t) for t in c.metadata.get("tags", [])]) for c in cells[:CELLS]]
    except Exception as error:  # nbformat raises many kinds; whichever it is, the file is not a notebook
        raise NotANotebook(type(error).__name__) from error
    total = itertools.accumulate(len(source) for source, _ in found)
    within = [cell for cell, characters in zip(found, total) if characters <= ALL_CHARACTERS]
    return [(without_magics(source), tags) for source, tags in within]


def without_magics(source: str) -> str:
    """The cell without lines that only IPython understands (%matplotlib inline, !pip install, %%time).

    Each becomes `pass` at its own indentation, so that a loop body does not change.
    """
    lines = []
    for line in source.splitlines():
        bare = line.lstrip()
        magic = bare.startswith(("!", "%", "?")) or (bare.endswith("?") and " " not in bare)
        lines.append(line[: len(line) - len(bare)] + "pass  # " + bare if magic else line)
    return "\n".join(lines)


def parsed(source: str) -> list[ast.stmt]:
    """The statements of a cell; none when Python cannot read it, or nobody wrote it by hand."""
    if len(source) > CELL_CHARACTERS:
        return []
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def imports_of(body: Iterable[ast.stmt]) -> list[str]:
    """The top-level import statements of a cell: they serve every cell below."""
    found = [n for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
    return [ast.unparse(n) for n in found if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]


def tolerant(statement: str) -> str:
    """An import taken over from some other cell may name a package that only that cell needs (google.colab)."""
    return f"try:\n    {statement}\nexcept ImportError:\n    pass"


def defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """The names that top-level statements define."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (t.id for t in targets if isinstance(t, ast.Name))


def lendable(cell: Cell, own: set[str]) -> Iterator[tuple[str, str]]:
    """(name, statement) for the definitions of an untagged cell that exercise cells may use.

    Not the values made with the exercises themselves (`made = TheirClass()`): computing them is a run of the
    notebook, no part of a file.
    """
    lines = [line.encode("utf-8") for line in cell.source.splitlines(keepends=True)]
    for node in cell.body:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        value = isinstance(node, (ast.Assign, ast.AnnAssign))
        for name in defined([node]):
            if name not in own and not (value and names & own):
                yield name, segment(lines, node)


def segment(lines: list[bytes], node: ast.stmt) -> str:
    """The text of a top-level statement. ast.get_source_segment splits the whole cell for each: quadratic."""
    first, last, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1, node.end_col_offset
    if first == last:
        return lines[first][node.col_offset : end].decode("utf-8")
    whole = [lines[first][node.col_offset :], *lines[first + 1 : last], lines[last][:end]]
    return b"".join(whole).decode("utf-8")


def borrowed(text: str, imports: Iterable[str], lent: dict[str, str]) -> list[str]:
    """The source of what `text` uses and does not define, in the order it is needed.

    lent: {name: the statement that defines or imports it}
    """
    known = {alias for line in imports for alias in bound_by(line)} | set(dir(builtins))
    found: list[str] = []
    # Each entry: a statement to put down (None for the text itself), and the names it still waits for. A chain of
    # definitions may be longer than Python's stack is deep, so this does not call itself.
    waiting: list[tuple[str | None, list[str]]] = [(None, sorted(missing_in(text), reverse=True))]
    while waiting:
        statement, needs = waiting[-1]
        if not needs:
            waiting.pop()
            if statement is not None:
                found.append(statement)
            continue
        name = needs.pop()
        if name in known:
            continue
        known.add(name)
        if name in lent:
            waiting.append((lent[name], sorted(missing_in(lent[name]), reverse=True)))
        elif name == "display":
            found.append(DISPLAY)
    return found


def bound_by(statement: str) -> Iterator[str]:
    for node in parsed(statement):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def missing_in(source: str) -> set[str]:
    """The global names that a text uses and does not bind."""
    try:
        top = symtable.symtable(source, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    used, tables = set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        used |= {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
    used |= {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    return used - {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
