"""The exercise cells of a notebook, put together as the files they stand for.

In a notebook all cells share one namespace, in files they do not. So what an exercise cell uses and another cell
defines comes along: imports always; functions, classes and simple values where their name is used.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import json
import re
import symtable
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from grader.engine.printable import source_lines
from grader.engine.submission import apart
from grader.engine.submission.strays import raise_in

DEFINITION = re.compile(r"^(?:async +def|def|class) +(\w+)", re.MULTILINE)
DISPLAY = "def display(*things, **options):\n    pass"  # IPython has it, Python does not
CELLS = 2000
MAGICS = 50  # lines of a cell that only IPython understands; in one with more, all that look so are taken for that
CELL_CHARACTERS, ALL_CHARACTERS = 100_000, 1_000_000  # of code that is looked into for what it defines


class Tagged(NamedTuple):
    """The source of a code cell, and its tags."""

    source: str
    tags: Sequence[str]


class Place(NamedTuple):
    """Where a cell stands in the file that was put together: its first and last line, and the names it defines."""

    first: int
    last: int
    names: tuple[str, ...]


class PutTogether(NamedTuple):
    """A file made of cells, and where each of them stands in it."""

    text: str
    cells: tuple[Place, ...]


Answer = tuple[str, tuple[str, ...]]  # the source of a cell, and the names that it defines


class NotANotebook(ValueError):
    """These bytes are not a notebook; the message says what reading it ended with."""


class Cell(NamedTuple):
    """One code cell: its text without magics, its statements (none when Python cannot read it), its tags."""

    source: str
    body: list[ast.stmt]
    tags: Sequence[str]


def read_apart(content: bytes, names: Mapping[str, Sequence[str]]) -> tuple[dict[str, PutTogether], list[str]]:
    """`files_in`, in a process of its own with limits: a notebook can be made to hurt whoever reads it.

    Raises NotANotebook.
    """
    try:
        answer = apart.ask(__name__, json.dumps(names).encode("ascii") + b"\n" + content)
    except apart.NotRead as error:
        raise NotANotebook(str(error)) from error
    if "problem" in answer:
        raise NotANotebook(answer["problem"])
    files = {
        name: PutTogether(text, tuple(Place(first, last, tuple(names)) for first, last, names in cells))
        for name, (text, cells) in answer["files"].items()
    }
    return files, answer["taken"]


def main() -> None:
    apart.answer(reply)


def reply(question: bytes) -> dict[str, object]:
    """{"files", "taken"} or {"problem"} for names and a notebook."""
    names, _, content = question.partition(b"\n")
    try:
        files, taken = files_in(content, json.loads(names))
        return {"files": files, "taken": taken}
    except NotANotebook as error:
        return {"problem": str(error)}
    except (RecursionError, MemoryError) as error:
        return {"problem": type(error).__name__}


def files_in(content: bytes, names: Mapping[str, Sequence[str]]) -> tuple[dict[str, PutTogether], list[str]]:
    """{file: its text and cells} for each file that some cell is tagged with, and what came from cells without the tag.

    names: {file: the functions and classes of its TODOs}. One that no tagged cell answers is taken from a cell of the
    student's own. Raises NotANotebook.
    """
    plain = [(without_magics(cell.source), cell.tags) for cell in code_cells(content)]
    cells = [Cell(source, parsed(source), tags) for source, tags in plain]
    imports = list(dict.fromkeys(line for cell in cells for line in imports_of(cell.body)))
    tagged = {file: [cell for cell in cells if file in cell.tags] for file in names}
    loose = [cell for cell in cells if not set(cell.tags) & set(names)]
    taken = {file: untagged_answers(tagged[file], loose, wanted) for file, wanted in names.items()}
    own = {
        name: f"from {file.removesuffix('.py')} import {name}"
        for file, cells_of_it in tagged.items()
        for name in [*(name for cell in cells_of_it for name in defined(cell.body)), *taken[file]]
    }
    exercises = {name for wanted in names.values() for name in wanted}
    lent = {name: statement for cell in loose for name, statement in lendable(cell, set(own), exercises)}
    files = {}
    for file, cells_of_it in tagged.items():
        answers = [(cell.source, tuple(names_in(cell))) for cell in cells_of_it]
        answers += [(source, (name,)) for name, source in taken[file].items()]
        if answers:
            text = "\n\n".join(source for source, _ in answers)
            here = {name for _, named in answers for name in named}
            first, answers = in_order(borrowed(text, imports, own | lent, here), answers)
            above = "\n".join([*map(tolerant, imports), "", *first]) + "\n\n"
            text = "\n\n".join(source for source, _ in answers) + "\n"
            files[file] = PutTogether(above + text, tuple(places(answers, above.count("\n") + 1)))
    return files, [name for one in taken.values() for name in one]


def in_order(lent: Iterable[str], answers: Sequence[Answer]) -> tuple[list[str], list[Answer]]:
    """(what can stand above all answers, the answers with the other values below what they are computed from)."""
    first, below = list[str](), [[answer] for answer in answers]
    home = {name: n for n, (_, named) in enumerate(answers) for name in named}  # below which answer it is known
    for statement in lent:
        body = parsed(statement)
        known = [home[name] for name in missing_in(statement) if name in home]
        if known and all(isinstance(node, (ast.Assign, ast.AnnAssign)) for node in body):
            names = tuple(defined(body))
            below[max(known)].append((statement, names))
            home |= dict.fromkeys(names, max(known))
        else:
            first.append(statement)
    return first, [one for group in below for one in group]


def untagged_answers(tagged: Sequence[Cell], loose: Sequence[Cell], wanted: Sequence[str]) -> dict[str, str]:
    """{name: its definition} for what no tagged cell answers: the last one, as in the notebook itself."""
    found = {}
    for name in wanted:
        here = [node for cell in tagged for node in definitions(cell, name)]
        if here and not raise_in(here[-1]):
            continue
        for cell in reversed(loose):
            nodes = [node for node in definitions(cell, name) if not (here and raise_in(node))]
            if nodes:
                found[name] = whole(cell, nodes[-1])
                break
    return found


def definitions(cell: Cell, name: str) -> list[ast.stmt]:
    return [node for node in cell.body if name in defined([node])]


def whole(cell: Cell, node: ast.stmt) -> str:
    """The text of a definition, with its decorators."""
    lines = cell.source.encode("utf-8").splitlines(keepends=True)
    above = [f"@{ast.unparse(one)}\n" for one in getattr(node, "decorator_list", [])]
    return "".join(above) + segment(lines, node)


def places(cells: Iterable[tuple[str, Iterable[str]]], line: int) -> Iterator[Place]:
    """Where each (source, names) stands when the first one begins at `line` and an empty line follows each."""
    for source, names in cells:
        last = line + source.count("\n")
        yield Place(line, last, tuple(names))
        line = last + 2


def names_in(cell: Cell) -> Iterator[str]:
    """The functions, classes and values that a cell defines, as far as a cell that Python cannot read shows it."""
    yield from defined(cell.body) if cell.body else DEFINITION.findall(cell.source)


def code_cells(content: bytes) -> list[Tagged]:
    """The code cells. Raises NotANotebook when it is not a notebook of version 4."""
    import nbformat

    try:
        book = nbformat.reads(content.decode("utf-8"), as_version=4)
        cells = [c for c in book.cells if c.cell_type == "code"]
        found = [Tagged(str(c.source), [str(t) for t in c.metadata.get("tags", [])]) for c in cells[:CELLS]]
    except Exception as error:  # nbformat raises many kinds; whichever it is, the file is not a notebook
        raise NotANotebook(type(error).__name__) from error
    total = itertools.accumulate(len(cell.source) for cell in found)
    return [cell for cell, characters in zip(found, total) if characters <= ALL_CHARACTERS]


def without_magics(source: str) -> str:
    """The cell without lines that only IPython understands (%matplotlib inline, !pip install, %%time).

    Each becomes `pass` at its own indentation, so that a loop body does not change. A line of Python may begin with
    % or != too, inside brackets: so only those are taken that Python cannot read, as far as the others can be read.
    """
    lines = source_lines(source)
    magic = {number for number, line in enumerate(lines) if looks_magic(line)}
    tried = list(lines)
    for _ in range(MAGICS + 1 if magic and len(source) <= CELL_CHARACTERS else 0):
        try:
            ast.parse("\n".join(tried))
            return "\n".join(tried)
        except SyntaxError as error:
            wrong = (error.lineno or 0) - 1
        except (ValueError, RecursionError, MemoryError):
            break
        if wrong not in magic or tried[wrong] != lines[wrong]:
            break
        tried[wrong] = as_pass(lines[wrong])
    return "\n".join(as_pass(line) if number in magic else line for number, line in enumerate(lines))


def looks_magic(line: str) -> bool:
    bare = line.strip()
    return bare.startswith(("!", "%", "?")) or (bare.endswith("?") and " " not in bare)


def as_pass(line: str) -> str:
    bare = line.lstrip()
    return line[: len(line) - len(bare)] + "pass  # " + bare


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
            inner = [one for t in targets for one in (t.elts if isinstance(t, (ast.Tuple, ast.List)) else [t])]
            yield from (t.id for t in inner if isinstance(t, ast.Name))


def lendable(cell: Cell, own: set[str], exercises: set[str]) -> Iterator[tuple[str, str]]:
    """(name, statement) for the definitions of an untagged cell that exercise cells may use.

    Not the values made with the exercises themselves (`made = TheirClass()`): computing them is a run of the
    notebook, no part of a file.
    """
    lines = cell.source.encode("utf-8").splitlines(keepends=True)
    for node in cell.body:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        value = isinstance(node, (ast.Assign, ast.AnnAssign))
        for name in defined([node]):
            if name not in own and not (value and names & exercises):
                yield name, segment(lines, node)


def segment(lines: list[bytes], node: ast.stmt) -> str:
    """The text of a top-level statement. ast.get_source_segment splits the whole cell for each: quadratic."""
    first, last, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1, node.end_col_offset
    if first == last:
        return lines[first][node.col_offset : end].decode("utf-8")
    whole = [lines[first][node.col_offset :], *lines[first + 1 : last], lines[last][:end]]
    return b"".join(whole).decode("utf-8")


def borrowed(text: str, imports: Iterable[str], lent: dict[str, str], here: set[str]) -> list[str]:
    """The source of what `text` uses and does not define, in the order it is needed.

    lent: {name: the statement that defines or imports it}; here: names that the text defines
    """
    known = {alias for line in imports for alias in bound_by(line)} | set(dir(builtins)) | here
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
