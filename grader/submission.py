"""What was handed in: the allowed files of a folder, or the tagged cells of a notebook, as bytes."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from grader import manifest, notebook
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
    def is_notebook(self) -> bool:
        """Whether the files were put together from cells, so that their line numbers mean nothing to anybody."""
        return self.path.suffix == ".ipynb"

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
    files_begun = begun(b"".join(read_regular(folder / file, NOTEBOOK_BYTES)[0] for file in FILES))
    answered = answered_notebook(folder)
    if answered is not None and not files_begun:
        try:
            return from_notebook(answered, limit, name or path.resolve().name)
        except NoSubmission as error:
            notes.append(str(error))
    elif answered is not None:
        notes.append(
            f"{answered.name} has answers too, but the files {', '.join(FILES)} have some and were graded; "
            f"--submission={path / answered.relative_to(path)} grades the notebook."
        )
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


def answered_notebook(folder: Path) -> Path | None:
    """The assignment's notebook in a folder, if somebody has begun to solve it."""
    for path in sorted(folder.glob("*.ipynb")):
        content, problem = read_regular(path, NOTEBOOK_BYTES)
        # in the notebook's JSON the quotes are escaped; without a tagged cell it is a notebook of the student's own
        tagged = any(f'"{file}"'.encode() in content for file in FILES)
        if not problem and tagged and begun(content.replace(b'\\"', b'"')):
            return path
    return None


def begun(content: bytes) -> bool:
    """Whether some stub is gone. Without any content there is nothing that could have been begun."""
    return bool(content) and len(set(STUB.findall(content))) < TODOS


def from_notebook(path: Path, limit: int, name: str | None = None) -> Submission:
    """The cells tagged data.py, model.py and train.py, in order, each kind one file."""
    content, problem = read_regular(path, NOTEBOOK_BYTES)
    if problem == "file-missing":
        raise NoSubmission(f"There is no notebook {path}.")
    if problem:
        raise NoSubmission(f"{path} cannot be read as a notebook ({problem}).")
    try:
        texts = notebook.files_in(content, FILES)
    except notebook.NotANotebook as error:
        raise NoSubmission(
            f"{path} is not a readable notebook ({error}); save it again from Jupyter or Colab."
        ) from error
    files, problems = {}, {}
    for file in FILES:
        if file not in texts:
            problems[file] = "file-missing"
        elif len(texts[file].encode("utf-8", "replace")) > limit:
            problems[file] = "file-too-big"
        else:
            files[file] = texts[file].encode("utf-8", "replace")
    notes = (f"Graded: the exercise cells of {path.name}.", *manifest.notes(path.parent))
    return Submission(name or path.stem, path, files, problems, notes)
