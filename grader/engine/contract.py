"""What the engine is told about the week it grades: one frozen table, and the only door to the week's content.

The engine itself names no file, part, TODO or check of a student's. `grader/contract.py` fills this table in.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from grader.engine.check import Check, Finding, GraderTrouble
from grader.engine.printable import listed
from grader.engine.result import Status
from grader.engine.sections import NO_SECTIONS, Sections


@dataclass(frozen=True)
class Todo:
    """One TODO: a function, or a method as "Class.method".

    also: names that may stand in its place (a factory function instead of a class)
    read: pages to read before it is begun, by their names in hints/links.toml
    """

    number: int
    file: str
    function: str
    also: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    @property
    def is_method(self) -> bool:
        """A method that the grader's own code calls through an object, not Class() itself."""
        return "." in self.function and not self.name.startswith("__")

    @property
    def name(self) -> str:
        """The function as a student would say it: the method's own name, without its class."""
        return self.function.split(".")[-1]

    @property
    def said(self) -> str:
        """The function as a sentence has it: a class for what creates it."""
        return self.function.split(".")[0] if self.name.startswith("__") else self.name


@dataclass(frozen=True)
class Part:
    """A group of checks with points of its own. checks: the module in checks/ that holds them."""

    name: str
    title: str
    checks: str


class Pool(Protocol):
    """Data of a teacher's own, from which a run draws its sample. fingerprint: names it in a result."""

    @property
    def fingerprint(self) -> str: ...


TRYING = "trying"  # told of an experiment, beside what probes tell


@dataclass(frozen=True)
class LiveWords:
    """What stands in the live picture of a run for the check that takes long.

    running: {names} in it are filled with the counts that its probe tells: `student.progress(round=3)`
    trying: while it looks for the reason of what came out
    """

    waiting: str = "waiting"
    running: str = "running"
    trying: str = "looking for the reason"

    def told(self, numbers: Mapping[str, Any]) -> str:
        """`running` with what a probe tells, "" where that does not fill it. Student code can tell too: only counts
        are shown."""
        if numbers.get(TRYING):
            return self.trying
        counts = {name: value for name, value in numbers.items() if type(value) is int and 0 < value < 100_000}
        try:
            return self.running.format_map(counts)
        except KeyError:
            return ""


@dataclass(frozen=True)
class Bundle:
    """What `build` makes of the data that a student gets.

    values: what templates may use as `data`
    pages: {file in the student's folder: the template in templates/ that it is made from}
    given: {file in the student's folder: text}; recorded: {file in grader/: text}
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, str] = field(default_factory=dict)


Judged = tuple[Status, Finding | None, dict[str, Any]]
JudgedAgain = Callable[[Finding | None, Mapping[str, Any], Sequence[Any]], Judged | None]


@dataclass(frozen=True)
class Contract:
    """Everything the engine knows about a week.

    folder: holds checks/, probes/, hints/ and rubric.toml; `package` is its name for Python
    files: {submitted file: the parts in which its own code runs, first the one that judges it}
    given: modules a student was given and does not hand in; work: the folder they get, with the files in it
    parts: in the order of reports; run_order: in which they run, what needs the least imported first
    long: the id of the check that takes long: it begins ahead, and has a limit of its own, `<part>_seconds`
    consequence: the id of the check whose failure is a consequence of the others' findings
    tiered: the id of the check that earns its points in tiers, `[<part>] tiers` in rubric.toml
    measured: what that check measured, a fraction, from what a run recorded; None where it did not come so far
    judged_again: its status, finding and records after (finding, recorded, the rubric's tiers of now); None where only
    another run can tell
    runtime: the module that warms a worker up; preload: modules every worker imports before it serves
    bundled: folders of `work` that are not generated; verify: raises GraderTrouble when the week's data is damaged
    open_pool: reads a folder with data of a teacher's own (`--pool DIR`), None where the week has no use for one;
    raises GraderTrouble
    bundle: what the data is, from the student's folder and [data] of course.toml; raises BadRubric
    known_good: the files of a submission that earns everything, {} where this copy of the grader has none (a student's)
    steering: names in a submission that would steer its libraries if anything took them up
    reading: {library that students use: its names that read files}; no other code in it reads one of the student's
    """

    folder: Path
    package: str
    files: Mapping[str, tuple[str, ...]]
    todos: tuple[Todo, ...]
    parts: tuple[Part, ...]
    run_order: tuple[str, ...]
    given: tuple[str, ...] = ()
    work: str = "assignment"
    long: str = ""
    consequence: str = ""
    tiered: str = ""
    measured: Callable[[Mapping[str, Any]], float | None] = lambda recorded: None
    judged_again: JudgedAgain = lambda finding, recorded, tiers: None
    runtime: str = "probes.runtime"
    preload: tuple[str, ...] = ()
    bundled: tuple[str, ...] = ()
    verify: Callable[[], object] = lambda: None
    open_pool: Callable[[Path], Pool] | None = None
    bundle: Callable[[Path, Any], Bundle] = lambda work, told: Bundle()
    known_good: Callable[[], Mapping[str, bytes]] = dict
    steering: tuple[str, ...] = ()
    reading: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    live: LiveWords = LiveWords()
    sections: Sections = field(default=NO_SECTIONS, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError, with one sentence, for a table that contradicts itself."""
        names = self.part_names
        for what, named in (
            ("TODO", [str(todo.number) for todo in self.todos]),
            ("function", [f"{todo.function} in {todo.file}" for todo in self.todos]),
            ("part", names),
        ):
            if twice := [one for one in named if named.count(one) > 1]:
                raise ValueError(f"contract.py: the {what} {twice[0]} stands there twice.")
        if odd := [name for name in names if not name.isidentifier()]:
            raise ValueError(f"contract.py: the part {odd[0]!r} cannot be chosen with -m; use letters, numbers and _.")
        if sorted(self.run_order) != sorted(names):
            raise ValueError(f"contract.py: run_order must name every part once: {', '.join(names)}.")
        for file, parts in self.files.items():
            if not parts or set(parts) - set(names):
                raise ValueError(f"contract.py: {file} needs the parts in which it runs, out of {', '.join(names)}.")
        for todo in self.todos:
            if todo.file not in self.files:
                raise ValueError(
                    f"contract.py: TODO {todo.number} stands in {todo.file}, which is not among the files."
                )

    def pool(self, folder: Path) -> Pool:
        """The teacher's own data. Raises GraderTrouble, one sentence."""
        if self.open_pool is None:
            raise GraderTrouble("This assignment cannot draw its data from a folder of yours; leave --pool out.")
        return self.open_pool(folder)

    @property
    def root(self) -> Path:
        """The repository: above grader/."""
        return self.folder.parent

    @property
    def rubric_path(self) -> Path:
        return self.folder / "rubric.toml"

    @property
    def hints_path(self) -> Path:
        return self.folder / "hints"

    @property
    def part_names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts)

    @cached_property
    def todo(self) -> dict[int, Todo]:
        """{number: TODO}"""
        return {todo.number: todo for todo in self.todos}

    def called(self, file: str, name: str) -> int:
        """The first TODO that stands in a file under this name, 0 for none."""
        return next((t.number for t in self.todos if t.file == file and name in t.function.split(".")), 0)

    @property
    def listed_files(self) -> str:
        """The submitted files as a sentence has them: "a.py, b.py and c.py"."""
        return listed(list(self.files))

    def module(self, name: str) -> str:
        """A module of the week as Python imports it: "grader.probes.runtime"."""
        return f"{self.package}.{name}"

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in report order: part by part, inside a part as written. Imports checks/, and no probe."""
        found: list[Check] = []
        for part in self.parts:
            name = self.module(f"checks.{part.checks}")
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name != name:
                    raise
                told = f"the part {part.name} has its checks in checks/{part.checks}.py, and there is no such file."
                raise ValueError(f"contract.py: {told}") from error
            declared = [v.declared_check for v in vars(module).values() if hasattr(v, "declared_check")]
            if strays := [check for check in declared if check.part != part.name or check.todo not in self.todo]:
                raise ValueError(
                    f"checks/{part.checks}.py: the check {strays[0].id} has a part or TODO that contract.py does not "
                    "know for it."
                )
            found += declared
        ids = [check.id for check in found]
        if twice := [name for name in ids if ids.count(name) > 1]:
            raise ValueError(f"checks/: two checks have the id {twice[0]}; give each one of its own.")
        for field_name in ("long", "consequence", "tiered"):
            if (name := getattr(self, field_name)) and name not in ids:
                raise ValueError(f"contract.py: {field_name} names the check {name}, and there is no such check.")
        return tuple(found)

    @property
    def check(self) -> dict[str, Check]:
        """{id: check}"""
        return {check.id: check for check in self.checks}

    def todos_of(self, part: str) -> tuple[Todo, ...]:
        """The TODOs that this part judges first: none where all its checks come back to TODOs of earlier parts."""
        first = {check.todo: check.part for check in reversed(self.checks)}
        return tuple(todo for todo in self.todos if first.get(todo.number) == part)

    def files_of(self, part: str) -> tuple[str, ...]:
        """The files of a part's TODOs; where it has none, those whose code runs in it."""
        own = {todo.file for todo in self.todos_of(part)}
        return tuple(file for file, parts in self.files.items() if (file in own if own else part in parts))

    def part_of(self, check_id: str) -> str:
        """The part of a check named in this table; "" for none."""
        return self.check[check_id].part if check_id else ""

    def in_run_order(self, checks: tuple[Check, ...] | list[Check]) -> list[Check]:
        return sorted(checks, key=lambda check: self.run_order.index(check.part))

    @property
    def quick_parts(self) -> tuple[str, ...]:
        """The parts without the check that takes long."""
        return tuple(name for name in self.part_names if name != self.part_of(self.long))
