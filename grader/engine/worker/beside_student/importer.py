"""Imports the submitted files, and nothing else of the student's, in the process where they run.

The files come from a staged folder. They are found by exact name, before anything that is installed, and
under the names `data` and `assignment.data` alike. A file that the probe is not about, and that does not
import, is replaced by a stand-in: a fault in one file must not take the checks of another with it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from grader.engine.worker.beside_student.describe import READ


class NotThere(Exception):
    """A file the probe is about was not submitted."""


class StandIn(ModuleType):
    """A module that has every name: calling or subclassing one does nothing useful and harms nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {"__init__": lambda self, *a, **k: None})


class StudentFiles(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The finder for staged files; also a loader, so that each module executes once under both its names."""

    def __init__(
        self,
        folder: Path,
        wanted: Sequence[str],
        stand_ins: Iterable[str],
        given: Iterable[str],
        package: str,
        tell: Callable[[str], None],
    ):
        self.folder, self.wanted, self.tell = folder, tuple(wanted), tell
        self.stand_ins = {*stand_ins, *given}
        self.names = {path.stem for path in folder.glob("*.py")} | set(given)
        self.package = package
        self.main = ""  # the module being imported for the probe's own sake
        self.going_on: list[str] = []  # files whose import has begun and not ended, one imports the next

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname == self.package:
            spec = importlib.machinery.ModuleSpec(fullname, self, is_package=True)
            return spec
        name = fullname.removeprefix(self.package + ".")
        if name not in self.names:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=str(self.folder / f"{name}.py"))

    def create_module(self, spec: Any) -> ModuleType | None:
        name = spec.name.removeprefix(self.package + ".")
        other = name if spec.name != name else f"{self.package}.{name}"
        if other in sys.modules:
            return sys.modules[other]
        if name in self.stand_ins:
            return StandIn(spec.name)
        return None

    def exec_module(self, module: ModuleType) -> None:
        spec_name = module.__spec__.name if module.__spec__ else module.__name__
        name = spec_name.removeprefix(self.package + ".")
        if name == self.package or isinstance(module, StandIn) or "__submitted__" in vars(module):
            return
        path = self.folder / f"{name}.py"
        READ.add(str(path))
        module.__file__ = str(path)
        vars(module)["__submitted__"] = path.name
        self.tell(name)
        self.going_on.append(name)
        try:
            exec(compile(source_of(path), str(path), "exec", dont_inherit=True), vars(module))
        except BaseException:
            if name in self.wanted or name == self.main:
                raise
            stand_in = StandIn(module.__name__)
            sys.modules[spec_name] = stand_in
            sys.modules[module.__name__] = stand_in
        self.going_on.pop()
        self.tell(self.going_on[-1] if self.going_on else "")

    def load(self) -> dict[str, ModuleType]:
        """Import the wanted modules, in order. Raises what the student's file raises, or NotThere."""
        sys.meta_path.insert(0, self)
        sys.path.append(str(self.folder))
        for name in self.wanted:
            if name not in self.names:
                raise NotThere(name)
            self.main = name
            importlib.import_module(name)
        return {name: sys.modules[name] for name in self.wanted}

    def unload(self) -> None:
        """Forget the student's modules, so that the next probe imports them again."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if str(self.folder) in sys.path:
            sys.path.remove(str(self.folder))
        for name in list(sys.modules):
            if name.removeprefix(self.package + ".") in self.names or name == self.package:
                del sys.modules[name]


def source_of(path: Path) -> str:
    """The text of a file, decoded as Python does (UTF-8 unless it declares otherwise). Raises SyntaxError.

    In an encoding that changes ASCII characters too, such as UTF-7, a program would be another one than people read.
    """
    content = path.read_bytes()
    try:
        text = importlib.util.decode_source(content)
        if content.decode("ascii", "ignore").split() == text.encode("ascii", "ignore").decode().split():
            return text
        start, why = 0, "its encoding is not one of a Python file"
    except UnicodeDecodeError as error:
        start, why = error.start, error.reason
    except (LookupError, UnicodeError):
        start, why = 0, "its encoding is not one of a Python file"
    line = content[:start].count(b"\n") + 1
    quoted = (content.splitlines() or [b""])[line - 1].decode("ascii", "replace")
    raise SyntaxError(f"the codec can't decode it: {why}", (str(path), line, 1, quoted)) from None
