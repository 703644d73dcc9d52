"""Wheats and chaffs as data: one TOML file each, a patch on tests/base/, the solution as it was shipped.

A teacher who changes solution/ changes nothing here. What their contract has more (a TODO, a file) is taken from
solution/ and put beside what an entry says.

what = "The network ends with softmax although the loss applies it again."
source = "Karpathy, A Recipe for Training Neural Networks"
finding = "scores-are-probabilities"    # chaffs only: the finding that must come first (or a list of right ones)
also = ["model-not-used-in-evaluate"]   # chaffs only: findings of later checks, which a first one comes before
parts = ["accuracy"]                    # optional: only these parts show it, not those that judge its files
weak = "nearly straight"                # wheats only: why it is right but learns too little for the accuracy points
exotic = "a recurrent network"          # wheats only: why a beginner hands in no such thing: no top tier waits for it
base = "cnn-batchnorm"                  # optional: the wheat this stands on, instead of tests/base/

[[patch]]                               # any number; `old` must occur exactly once
file = "model.py"
old = "return self.output(x)"
new = "return self.output(x).softmax(dim=1)"

[files]                                 # or whole files
"model.py" = '''...'''
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from grader.contract import WEEK
from grader.engine.contract import Todo
from grader.engine.printable import source_lines
from grader.engine.rubric import BadRubric, load_toml

ROOT = WEEK.root
SUBMITTED = tuple(WEEK.files)


class CorpusDamaged(ValueError):
    """A file of the corpus that says something it should not; the message is one sentence and names the file."""


class DoesNotFit(ValueError):
    """An entry that does not fit its base or the contract, such as a patch whose `old` text is not there once."""


@dataclass(frozen=True)
class Entry:
    """One wheat or chaff."""

    name: str
    what: str
    source: str
    findings: tuple[str, ...]
    base: str | None
    patches: tuple[tuple[str, str, str], ...]
    files: dict[str, str]
    weak: str = ""
    exotic: str = ""
    also: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def load(path: Path) -> Entry:
    """Raises CorpusDamaged."""
    try:
        return entry_of(path.stem, load_toml(path))
    except BadRubric as error:
        raise CorpusDamaged(str(error)) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusDamaged(
            f"{path} lacks or has a wrong {error}; grader/corpus/entries.py shows the format."
        ) from error


def entry_of(name: str, raw: dict[str, Any]) -> Entry:
    finding = raw.get("finding", [])
    return Entry(
        name=name,
        what=raw["what"],
        source=raw.get("source", ""),
        findings=(finding,) if isinstance(finding, str) else tuple(finding),
        base=raw.get("base"),
        patches=tuple((p["file"], p["old"], p["new"]) for p in raw.get("patch", [])),
        files=raw.get("files", {}),
        weak=raw.get("weak", ""),
        exotic=raw.get("exotic", ""),
        also=tuple(raw.get("also", ())),
        parts=tuple(raw.get("parts", ())),
    )


def load_all(kind: str, folder: Path = ROOT / "tests") -> list[Entry]:
    """Every entry of tests/KIND ("wheats", "chaffs"), by name; `folder`: another corpus. Raises CorpusDamaged."""
    return [load(path) for path in sorted((folder / kind).glob("*.toml"))]


def demand_known(names: Collection[str], known: Collection[str], kind: str, places: str) -> None:
    """Raises CorpusDamaged when one of the names is unknown: with the closest one, and where all of them stand."""
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise CorpusDamaged(f"There is no {kind} called {name}; the names are those of the files {places}.{meant}")


def reference() -> dict[str, str]:
    """The shipped solution's submitted files, {name: text}, with what the contract has more. Raises DoesNotFit."""
    return completed("tests/base", shipped())


@cache
def shipped() -> dict[str, str]:
    paths = [ROOT / "tests" / "base" / name for name in SUBMITTED]
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}


@cache
def course() -> dict[str, str]:
    """The submitted files of solution/, {name: text}."""
    return {name: (ROOT / "solution" / name).read_text(encoding="utf-8") for name in SUBMITTED}


# -- what the contract has more than tests/base ----------------------------------------------------------------


@cache
def later_todos() -> tuple[Todo, ...]:
    return tuple(todo for todo in WEEK.todos if not defines(shipped().get(todo.file, ""), todo.function))


def completed(name: str, files: dict[str, str]) -> dict[str, str]:
    """The files, and for every TODO that tests/base does not know what solution/ says. Raises DoesNotFit.

    A file that is missing comes whole; a function with the helpers and imports of its file that are not there yet.
    """
    files = {file: course()[file] for file in SUBMITTED if file not in shipped()} | files
    for todo in later_todos():
        if defines(files[todo.file], todo.function):
            continue
        if "." in todo.function:
            raise DoesNotFit(f"{name}: {todo.file} has no {todo.function}, TODO {todo.number} of the contract; add it.")
        files[todo.file] += "".join(f"\n\n{text}\n" for text in missing_in(files[todo.file], course()[todo.file]))
    return files


def defines(text: str, function: str) -> bool:
    """Whether a file has a function, or "Class.method"; also when it is no valid Python."""
    owner, _, method = function.rpartition(".")
    if not owner:
        return bool(re.search(rf"^(async def|def|class) {method}\b|^{method}\b.*=", text, re.MULTILINE))
    return bool(re.search(rf"^[ \t]+(async )?def {method}\b|^def {owner}\b|^{owner} =", text, re.MULTILINE))


def missing_in(text: str, source: str) -> Iterator[str]:
    """The imports and definitions at the top level of a source that a text does not have, as they stand there."""
    lines = source_lines(source)
    for node in ast.parse(source).body:
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        said = "\n".join(lines[first - 1 : node.end_lineno])
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            known = said in text or getattr(node, "module", "") == "__future__"
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            known = defines(text, node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known = all(defines(text, target.id) for target in targets if isinstance(target, ast.Name))
        else:
            known = True  # `if __name__ == "__main__":` and the docstring
        if not known:
            yield said


def base_path(name: str) -> Path:
    """Where the entry of this name stands on its own: a wheat, or the worthless base of the attacks."""
    worthless = ROOT / "tests" / "attacks" / "base" / f"{name}.toml"
    return worthless if worthless.exists() else ROOT / "tests" / "wheats" / f"{name}.toml"


def source_of(entry: Entry, base: dict[str, str] | None = None) -> dict[str, str]:
    """The submission this entry describes, {file name: text}. Raises DoesNotFit."""
    if unknown := set(entry.parts) - set(WEEK.part_names):
        raise DoesNotFit(f"{entry.name}: the contract has no part {min(unknown)}")
    if base is None:
        base = source_of(load(base_path(entry.base))) if entry.base else reference()
    files = dict(base) | entry.files
    for file, old, new in entry.patches:
        found = files.get(file, "").count(old)
        if found != 1:
            raise DoesNotFit(f"{entry.name}: {file} has {found} times: {old!r}")
        files[file] = files[file].replace(old, new)
    return completed(entry.name, files)
