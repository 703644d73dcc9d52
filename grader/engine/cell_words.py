"""For a notebook: the words of a result with its cells in them, in the place of files that nobody has opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from grader.engine.contract import Contract
from grader.engine.printable import listed
from grader.engine.result import CheckResult
from grader.engine.submission.read import Submission
from grader.engine.submission.read_notebook import Place
from grader.engine.worker.trusted.job import Outcome

NOT_IMPORTED = ", which cannot be imported"  # as wording.place says it
IMPORTS = (
    ("cannot be imported", "cannot be run"),
    ("can be imported", "can be run"),
    ("while it is being imported", "while it is being run"),
    ("was still not imported", "had still not ended"),
    ("Importing", "Running"),
    ("the import lines at the top of the cell", "the cell with the import lines, above the cell"),
)


@dataclass(frozen=True)
class CellWords:
    """What the cells of a submission are called.

    cells: {file: where each of its cells stands in it}
    """

    contract: Contract
    cells: Mapping[str, tuple[Place, ...]]

    def todos(self, file: str, place: Place | None = None) -> list[int]:
        """The TODOs of a file, or of one of its cells."""
        own = [todo for todo in self.contract.todos if todo.file == file]
        if place is not None:
            own = [todo for todo in own if {todo.function.split(".")[0], *todo.also} & set(place.names)]
        return [todo.number for todo in own]

    def code(self, file: str) -> str:
        """What a whole file is in a notebook: the code of its TODOs."""
        return f"the code of TODO {listed(self.todos(file))}"

    def cell(self, file: str, line: int) -> str:
        """The cell of a line, by its TODOs; a helper's by the TODO that it stands above."""
        own = self.cells.get(file, ())
        at = next((n for n, place in enumerate(own) if place.first <= line <= place.last), None)
        if at is None:
            return "another cell of yours" if own and 0 < line < own[0].first else self.code(file)
        if todos := self.todos(file, own[at]):
            return f"the cell of TODO {listed(todos)}"
        below = next((todos for place in own[at:] if (todos := self.todos(file, place))), [])
        return f"the cell above TODO {below[0]}" if below else f"a cell below TODO {self.todos(file)[-1]}"

    def line(self, file: str, line: int) -> int:
        """The line in its cell, 0 for one that stands in none."""
        own = self.cells.get(file, ())
        return next((line - place.first + 1 for place in own if place.first <= line <= place.last), 0)

    def place(self, file: str, line: int) -> str:
        """The cell of a line, and the line in it."""
        number = self.line(file, line)
        return self.cell(file, line) + (f", line {number}" if number else "")

    def told(self, text: str, here: Mapping[str, str] | None = None) -> str:
        """A text of ours with cells where it names files. here: {file: the cell that this text is about}."""
        names = "|".join(map(re.escape, self.contract.files))
        text = re.sub(rf"(TODO \d+, [\w.]+) in (?:{names})(?![\w'\"])", r"\1", text)
        pattern = rf"(?<![\w/\\.'\"-])(`?)(?P<file>{names})\1(?![\w'\"`])(?:, line (?P<line>\d+)|, TODO (?P<todo>\d+))?"

        def words(found: re.Match[str]) -> str:
            file, line, todo = found["file"], found["line"], found["todo"]
            name = (here or {}).get(file) or self.code(file)
            name = f"the cell of TODO {todo}" if todo else self.place(file, int(line)) if line else name
            begins = found.start() == 0 or text[: found.start()].endswith((". ", "? ", "\n"))
            return name[0].upper() + name[1:] if begins else name

        told = re.sub(pattern, words, text)
        if told != text:
            for of_files, of_cells in IMPORTS:
                told = told.replace(of_files, of_cells)
        return told


def in_cells(result: CheckResult, submission: Submission) -> CheckResult:
    """A check's result with cells where it names files; its frames point into the notebook."""
    words = CellWords(submission.contract, submission.cells)
    here = {str(frame["file"]): words.cell(str(frame["file"]), int(frame["line"])) for frame in result.frames}
    place = words.told(result.place, here)
    if result.place.endswith(NOT_IMPORTED):
        file = result.place.removesuffix(NOT_IMPORTED)
        place = f"{here.get(file) or words.code(file)}, which cannot be run"
    frames = tuple(
        {**frame, "file": submission.path.name, "line": 0, "function": words.place(str(frame["file"]), frame["line"])}
        for frame in result.frames[-1:]
    )
    message, hint, quote = (words.told(text, here) for text in (result.message, result.hint, result.quote))
    return replace(result, message=message, hint=hint, quote=quote, place=place, frames=frames)


def lines_in_cells(outcome: Outcome, submission: Submission) -> Outcome:
    """An ending whose message counts lines as the cell does in which it came about."""
    error = outcome.raised
    if error is None:
        return outcome
    file = str(error.frames[-1]["file"]) if error.frames else f"{outcome.importing}.py"
    words = CellWords(submission.contract, submission.cells)

    def counted(found: re.Match[str]) -> str:
        number = words.line(file, int(found["line"]))
        return f"{found[1]}{number}{found[3]}" if number else ""

    message = re.sub(r"( \(?(?:on|at) line )(?P<line>\d{1,6})(\)?)", counted, error.message)
    return replace(outcome, values=outcome.values | {"error": replace(error, message=message)})
