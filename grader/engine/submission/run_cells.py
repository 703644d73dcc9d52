"""What a notebook's kernel has run, as a notebook to be graded: of each exercise the source that was run last.

Sources only, never what they made in the kernel. A cell is recognised by the function or class that it defines, so that
neither its tags nor its place matter. What was never run is taken from the notebook's document, where there is one.
"""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.engine.contract import Contract, Todo
from grader.engine.printable import listed, one_line, source_lines
from grader.engine.submission.read import STUB
from grader.engine.submission.read_notebook import DEFINITION, Tagged, defined, parsed, without_magics

ALIKE, COMPARED = 0.6, 4000  # how alike two cells are that may be one, changed; characters that are compared
UNLIKE, NAMED_ALIKE = 0.25, 0.75  # how alike two cells are that are not one; and two names, one of them misspelt
RUNS_PYTHON = ("time", "timeit", "capture", "prun", "debug")  # magics of a whole cell that run it as Python
UNTOUCHED = re.compile(STUB.pattern.decode("ascii"))


@dataclass(frozen=True)
class Document:
    """The notebook as it lies on disk or stands on the page. saved_at: seconds since 1970; None for the page."""

    name: str
    cells: Sequence[Tagged] = ()
    saved_at: float | None = None


@dataclass(frozen=True)
class Exercise:
    """The TODOs of one function or class, and the names under which it may be defined."""

    todos: tuple[Todo, ...]

    @property
    def names(self) -> set[str]:
        return {name for todo in self.todos for name in (todo.function.split(".")[0], *todo.also)}

    @property
    def file(self) -> str:
        return self.todos[0].file

    @property
    def called(self) -> str:
        return f"TODO {listed([todo.number for todo in self.todos])}"

    def stub(self) -> str:
        """For one that is found nowhere: what reads as still to do."""
        raises = "raise NotImplementedError({!r})"
        if "." not in self.todos[0].function:
            head = f"def {self.todos[0].function}(*arguments, **options):\n    "
            return head + raises.format(told(self.todos[0])).replace("'", '"')
        lines = [f"class {self.todos[0].function.split('.')[0]}:"]
        for todo in self.todos:
            lines += [f"    def {todo.name}(self, *arguments, **options):"]
            lines += ["        " + raises.format(told(todo)).replace("'", '"')]
        return "\n".join(lines)


@dataclass(frozen=True)
class Picked:
    """The cells to be graded, each with its tags, and sentences that say where they come from."""

    cells: tuple[Tagged, ...]
    notes: tuple[str, ...] = ()
    runs: Mapping[int, int] = field(default_factory=dict)  # {TODO: the number of the run that its cell is from}

    def dumps(self) -> bytes:
        """As a notebook."""
        cells: list[dict[str, Any]] = [
            {"cell_type": "code", "id": f"cell-{n}", "metadata": {"tags": list(cell.tags)}, "source": cell.source,
             "execution_count": None, "outputs": []}
            for n, cell in enumerate(self.cells)
        ]  # fmt: skip
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode("ascii")


@dataclass
class Found:
    """Where the cells of the exercises were found: {what it is called: the number of its run}, and other names."""

    run: dict[str, int] = field(default_factory=dict)
    document: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # whole sentences


def told(todo: Todo) -> str:
    return f"TODO {todo.number}: {todo.function}"


def exercises(contract: Contract) -> list[Exercise]:
    groups: dict[tuple[str, str], list[Todo]] = {}
    for todo in contract.todos:
        groups.setdefault((todo.file, todo.function.split(".")[0]), []).append(todo)
    return [Exercise(tuple(todos)) for todos in groups.values()]


def pick(
    contract: Contract, history: Sequence[str], document: Document | None, times: Mapping[str, float] | None = None
) -> Picked | None:
    """The cells to be graded; None when nothing was run and there is no document.

    history: the sources that were run, by their numbers, "" for none. times: {source: when it was run last}
    """
    runs = {number: source for number, source in enumerate(history) if source.strip() and is_python(source)}
    defines = {number: names_of(source) for number, source in runs.items()}
    page = list(document.cells) if document is not None else []
    on_page = [names_of(cell.source) for cell in page]
    all_names = set[str]().union(*(one.names for one in exercises(contract)))
    if not any(names & all_names for names in defines.values()):
        if document is None or not any(names & all_names for names in on_page):
            return None
        runs, defines = {}, {}
    found, taken = Found(), dict[str, tuple[int, set[str]]]()  # source: its place, and the files it belongs to
    for exercise in exercises(contract):
        own = [number for number, names in defines.items() if names & exercise.names]
        places = [cell.source for cell, names in zip(page, on_page) if names & exercise.names]
        there = next((source for source in places if not UNTOUCHED.search(source)), next(iter(places), None))
        if there is not None and UNTOUCHED.search(places[0]) and there != places[0]:
            found.said.append(
                f"{listed(sorted(names_of(there) & exercise.names))} was taken from a cell of your own: that of "
                f"{exercise.called} is still unfinished. Move your answer there."
            )
        if own and (renamed := renamed_in(runs, defines, own[-1], all_names)):
            said = f"In [{renamed}] you ran {listed(sorted(defines[renamed]))}, which looks like"
            if there is None and page:
                own.append(renamed)
            else:
                found.said.append(
                    f"{said} {listed(sorted(defines[own[-1]] & exercise.names))} under another name. Only that name "
                    f"counts, so the older [{own[-1]}] was graded. If you renamed it, change the name back."
                )
        answered = [number for number in own if not UNTOUCHED.search(runs[number])]
        if not answered and (other := named_alike(defines, exercise.names, all_names)):
            found.said.append(
                f"In [{other[1]}] you ran {other[0]}. Is that your answer to {exercise.called}? The grader looks for "
                f"the names in the unfinished cells, so change the name back."
            )
        if len(answered) > 1 and own[-1] == answered[-1] and is_another(runs[answered[-2]], runs[answered[-1]]):
            found.said.append(
                f"{listed(sorted(defines[own[-1]] & exercise.names))} was defined in [{answered[-2]}], and anew in "
                f"[{own[-1]}] by quite another cell. The one that ran last counts."
            )
        if answered and own[-1] > answered[-1]:
            found.said.append(
                f"{exercise.called} is unfinished in what ran last, [{own[-1]}], and was not in [{answered[-1]}]. If "
                f"your answer stands in another cell, run that one again."
            )
        source = runs[own[-1]] if own else there
        if own:
            found.run[exercise.called] = own[-1]
            if document and there and is_newer(document, there, [runs[number] for number in own], times or {}):
                found.changed.append(exercise.called)
        elif there is None:
            found.nowhere.append(exercise.called)
            source = exercise.stub()
        else:
            (found.waiting if UNTOUCHED.search(there) else found.document).append(exercise.called)
        place, files = taken.get(source or "", (own[-1] if own else -1, set()))
        taken[source or ""] = (place, files | {exercise.file})
    others = [cell for cell, names in zip(page, on_page) if not names & all_names]
    loose = dict.fromkeys(runs[number] for number, names in defines.items() if not names & all_names)
    answers = [Tagged(source, tuple(sorted(files))) for source, (_, files) in sorted(taken.items(), key=by_place)]
    cells = (*given(contract, others, list(loose)), *(Tagged(source, ()) for source in loose), *answers)
    ran = {todo.number: found.run[one.called] for one in exercises(contract) if one.called in found.run
           for todo in one.todos}  # fmt: skip
    return Picked(cells, tuple(sentences(found, document)), ran)


def named_alike(defines: Mapping[int, set[str]], names: set[str], all_names: set[str]) -> tuple[str, int] | None:
    """(name, run) of what was defined last under a name that is nearly one of `names`, or holds it; or None."""
    wanted = [one.lower() for one in names]
    for number in sorted(defines, reverse=True):
        for name in sorted(defines[number] - all_names):
            small = name.lower()
            if any(one in small for one in wanted) or difflib.get_close_matches(small, wanted, 1, NAMED_ALIKE):
                return name, number
    return None


def is_another(old: str, new: str) -> bool:
    """Whether two cells that define the same name have little else in common."""
    return difflib.SequenceMatcher(None, old[:COMPARED], new[:COMPARED], autojunk=False).ratio() < UNLIKE


def renamed_in(runs: Mapping[int, str], defines: Mapping[int, set[str]], last: int, all_names: set[str]) -> int | None:
    """The run of what seems to be the same cell, changed so that it defines another function or class; or None."""
    old = runs[last][:COMPARED]
    for number in sorted(runs, reverse=True):
        new = runs[number][:COMPARED]
        if number <= last or not defines[number] or defines[number] & all_names or not DEFINITION.search(new):
            continue
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        if matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE:  # the first is no less, and cheap
            return number
    return None


def by_place(taken: tuple[str, tuple[int, set[str]]]) -> int:
    """What was run later comes later: it defines anew."""
    return taken[1][0]


def given(contract: Contract, others: Iterable[Tagged], loose: Sequence[str]) -> list[Tagged]:
    """The document's cells without an exercise, each as it was run last if it was."""
    cells = []
    for cell in others:
        names = names_of(cell.source)
        again = [source for source in loose if names and names_of(source) & names]
        tags = tuple(tag for tag in cell.tags if tag in contract.files)
        cells.append(Tagged(again[-1] if again and tags else cell.source, tags))
    return cells


def is_python(source: str) -> bool:
    """Whether a cell runs as Python: not under a magic that hands it to something else (%%bash, %%writefile)."""
    magic = re.match(r"\s*%%(\w+)", source)
    return magic is None or magic[1] in RUNS_PYTHON


def names_of(source: str) -> set[str]:
    """The functions, classes and values that a cell defines; not what it only wraps (`fit = timed(fit)`)."""
    body = parsed(without_magics(source))
    if not body:
        return set(DEFINITION.findall(source))
    used = {n.id for n in values_in(body) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    functions = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    return {name for name in defined(body) if name in functions or name not in used}


def values_in(body: Iterable[ast.stmt]) -> Iterator[ast.AST]:
    """All that stands in the assignments of a cell."""
    return (inner for node in body if isinstance(node, (ast.Assign, ast.AnnAssign)) for inner in ast.walk(node))


def is_newer(document: Document, source: str, runs: Iterable[str], times: Mapping[str, float]) -> bool:
    """Whether the document has a text that was not run, and that is no older than what was."""
    runs = list(runs)
    if plain(source) in map(plain, runs) or UNTOUCHED.search(source):
        return False
    return document.saved_at is None or document.saved_at > times.get(runs[-1], 0.0)


def plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source_lines(without_magics(source).strip()))


def sentences(found: Found, document: Document | None) -> Iterable[str]:
    """Which cells were taken, for the student."""
    name = one_line(document.name, 80) if document is not None else ""
    on_page = document is not None and document.saved_at is None
    if found.run:
        where = ", ".join(f"{name} in [{number}]" for name, number in found.run.items())
        yield f"Graded: what you ran last, without later changes ({where})."
        if found.document:
            yield f"Not run since the kernel started, so taken from {name}: {together(found.document)}."
        if found.waiting:
            where = f"{together(found.waiting)}. If your answer is there, run its cell (or Run all), then grade again."
            yield f"Not run since the kernel started: {where}"
    else:
        as_it_is = "as it stands on the page" if on_page else "as it was saved"
        yield f"Nothing was run since the kernel started, so {name} was graded {as_it_is}."
    if found.nowhere:
        yield f"Not found in what you ran: {together(found.nowhere)}. Run those cells to have them graded."
    yield from found.said
    if found.changed:
        where = "on the page" if on_page else f"in {name}"
        yield f"Changed {where} and not run since: {together(found.changed)}. Run it to have the change graded."


def together(called: Sequence[str]) -> str:
    """Several TODOs in one phrase."""
    numbers = [number for one in called for number in re.findall(r"\d+", one)]
    return f"TODO {listed(numbers)}"
