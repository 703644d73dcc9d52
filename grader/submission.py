"""What was handed in: the allowed files of a folder, or the tagged cells of a notebook, as bytes."""

from __future__ import annotations

import ast
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from grader import manifest
from grader.files import read_regular

FILES = ("data.py", "model.py", "train.py")
GIVEN = ("plots", "command_line", "digits_source")  # helpers the student was given and does not hand in
NOTEBOOK_BYTES = 20_000_000
STUB = re.compile(rb'raise NotImplementedError\("TODO (\d+)')
TODOS = 7

# Names that would steer Python or pytest if anything took them up. Nothing does; the report mentions them.
IGNORED = ("conftest.py", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "sitecustomize.py",
           "usercustomize.py", "pytest.py", "torch.py", "torchvision.py", "numpy.py")  # fmt: skip


class NoSubmission(ValueError):
    """The path holds no submission; the message is one sentence for the user."""


@dataclass(frozen=True)
class Submission:
    """The submitted files as bytes, and what was odd about them.

    problems: {file name: finding id} for files that cannot be taken at all ("file-missing", "file-too-big", ...)
    notes: sentences for the report
    """

    name: str
    path: Path
    files: dict[str, bytes]
    problems: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents: the same work has the same digest wherever it lies."""
        total = hashlib.sha256()
        for name in FILES:
            content = self.files.get(name)
            total.update(f"{name}:{-1 if content is None else len(content)}:".encode())
            total.update(content or b"")
        return "sha256:" + total.hexdigest()

    def stage(self, folder: Path) -> None:
        """Write the files where the worker imports them from."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def read(path: Path, limit: int, name: str | None = None) -> Submission:
    """The submission at `path`: a folder, a folder that holds assignment/, or a notebook.

    limit: bytes a file may have. Raises NoSubmission when there is nothing of that kind.
    """
    if path.suffix == ".ipynb" and not path.is_dir():
        return from_notebook(path, limit, name)
    if not path.exists():
        raise NoSubmission(f"There is no folder {path}.")
    if not path.is_dir():
        raise NoSubmission(f"{path} is neither a folder with data.py, model.py and train.py nor a notebook.")
    notes = []
    folder = path
    inner = path / "assignment"
    if not any((path / file).exists() for file in FILES) and any((inner / file).exists() for file in FILES):
        folder = inner
        notes.append("The files were taken from the folder assignment/ in it.")
    notebook = fuller_notebook(folder)
    if notebook is not None:
        try:
            return from_notebook(notebook, limit, name or path.resolve().name)
        except NoSubmission as error:
            notes.append(str(error))
    files, problems = {}, {}
    for file in FILES:
        content, problem = read_regular(folder / file, limit)
        if problem:
            problems[file] = problem
        else:
            files[file] = content
    places = {folder, path}
    ignored = sorted(n for n in IGNORED if any(os.path.lexists(place / n) for place in places))
    if ignored:
        notes.append(f"Not used: {', '.join(ignored)} (only {', '.join(FILES)} are graded).")
    notes += manifest.notes(path)
    return Submission(name or path.resolve().name, path, files, problems, tuple(notes))


def fuller_notebook(folder: Path) -> Path | None:
    """The notebook among the files, when the files are untouched (or none is there) and the notebook is not."""
    files = b"".join(read_regular(folder / file, NOTEBOOK_BYTES)[0] for file in FILES)
    if files and len(stubs_in(files)) < TODOS:
        return None
    for notebook in sorted(folder.glob("*.ipynb")):
        content, problem = read_regular(notebook, NOTEBOOK_BYTES)
        # in the notebook's JSON the quotes are escaped; without a tagged cell it is a notebook of the student's own
        tagged = any(f'"{file}"'.encode() in content for file in FILES)
        if not problem and tagged and len(stubs_in(content.replace(b'\\"', b'"'))) < TODOS:
            return notebook
    return None


def stubs_in(content: bytes) -> set[bytes]:
    return set(STUB.findall(content))


def from_notebook(path: Path, limit: int, name: str | None = None) -> Submission:
    """The cells tagged data.py, model.py and train.py, in order, each kind one file."""
    content, problem = read_regular(path, NOTEBOOK_BYTES)
    if problem == "file-missing":
        raise NoSubmission(f"There is no notebook {path}.")
    if problem:
        raise NoSubmission(f"{path} cannot be read as a notebook ({problem}).")
    cells = notebook_cells(content, path)
    imports: list[str] = []
    for source, _ in cells:
        for line in imports_of(source):
            if line not in imports:
                imports.append(line)
    files, problems = {}, {}
    for file in FILES:
        sources = [source for source, tags in cells if file in tags]
        text = "\n".join(map(tolerant, imports)) + "\n\n" + "\n\n".join(map(without_magics, sources)) + "\n"
        if not sources:
            problems[file] = "file-missing"
        elif len(text.encode()) > limit:
            problems[file] = "file-too-big"
        else:
            files[file] = text.encode()
    notes = (f"Graded: the exercise cells of {path.name}.", *manifest.notes(path.parent))
    return Submission(name or path.stem, path, files, problems, notes)


def notebook_cells(content: bytes, path: Path) -> list[tuple[str, list[str]]]:
    """(source, tags) of every code cell. Raises NoSubmission when it is no notebook of version 4."""
    import nbformat

    try:
        notebook = nbformat.reads(content.decode("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
        cells = [c for c in notebook.cells if c.cell_type == "code"]
        return [(str(c.source), [str(t) for t in c.metadata.get("tags", [])]) for c in cells[:2000]]
    except Exception as error:  # nbformat raises many kinds; whichever it is, the file is no notebook
        raise NoSubmission(
            f"{path} is not a readable notebook ({type(error).__name__}); save it again from Jupyter or Colab."
        ) from error


def without_magics(source: str) -> str:
    """The cell without lines that only IPython understands (%matplotlib inline, !pip install, %%time).

    Each becomes `pass` at its own indentation, so that a loop body or line numbers do not change.
    """
    lines = []
    for line in source.splitlines():
        bare = line.lstrip()
        magic = bare.startswith(("!", "%", "?")) or (bare.endswith("?") and " " not in bare)
        lines.append(line[: len(line) - len(bare)] + "pass  # " + bare if magic else line)
    return "\n".join(lines)


def imports_of(source: str) -> list[str]:
    """The top-level import statements of a cell: in a notebook they serve every cell below."""
    try:
        tree = ast.parse(without_magics(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return [ast.unparse(n) for n in found if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]


def tolerant(statement: str) -> str:
    """An import taken over from some other cell may name a package that only that cell needs (google.colab)."""
    return f"try:\n    {statement}\nexcept ImportError:\n    pass"
