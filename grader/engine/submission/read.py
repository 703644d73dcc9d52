"""What was handed in: the allowed files of a folder, or the tagged cells of a notebook, as bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from grader.engine.contract import Contract
from grader.engine.printable import listed, one_line
from grader.engine.submission import manifest, read_notebook
from grader.engine.submission.safe_files import Tree, read_regular
from grader.engine.submission.strays import Search, Stray, search

NOTEBOOK_BYTES = 20_000_000
DEEPEST = 2  # folders below the one that was named in which a submission is looked for
LOOKED_AT = 300  # folders; more is nobody's submission
LOOKED_BESIDE, NOTEBOOK_LOOKED_AT = 20, 2_000_000  # files beside those that are graded; bytes of a notebook
NOT_SUBMITTED = ("grader", "solution", "tests", "venv", "node_modules")  # beside those that begin with . or _
STUB = re.compile(rb'raise NotImplementedError\("TODO (\d+)')

# Names that would steer Python or pytest if anything took them up. Nothing does; the report mentions them.
IGNORED = ("conftest.py", "pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "sitecustomize.py",
           "usercustomize.py", "pytest.py", "numpy.py")  # fmt: skip


class NoSubmission(ValueError):
    """The path holds no submission; the message is one sentence for the user."""


@dataclass(frozen=True)
class Submission:
    """The submitted files as bytes, and what was odd about them.

    problems: {file name: finding id} for files that cannot be taken at all ("file-missing", "file-too-big", ...)
    notes: sentences for the report
    look: gives {TODO: its code that is there and does not count}
    beside: names of other Python files that lie beside those that are graded
    cells: {file name: the cells it was put together from, and where each stands in it}; {} for files
    """

    name: str
    path: Path
    contract: Contract
    files: dict[str, bytes]
    problems: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    look: Callable[[], Mapping[int, Stray]] = field(default=dict, repr=False, compare=False)
    beside: tuple[str, ...] = ()
    cells: Mapping[str, tuple[read_notebook.Place, ...]] = field(default_factory=dict)

    @property
    def is_notebook(self) -> bool:
        """Whether the files were put together from cells, so that their line numbers mean nothing to anybody."""
        return self.path.suffix == ".ipynb"

    @property
    def strays(self) -> Mapping[int, Stray]:
        """{TODO: its code that is there and does not count}"""
        return self.look()

    @property
    def stubs(self) -> set[int]:
        """The TODOs in whose place nothing stands yet, or whose line that raises is still there."""
        empty = {todo for todo, code in self.strays.items() if code.empty}
        return empty | {int(number) for content in self.files.values() for number in STUB.findall(content)}

    @property
    def is_begun(self) -> bool:
        """Whether some stub is gone, or something else stands in its place."""
        return bool(set(self.contract.todo) - self.stubs)

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents: the same work has the same digest wherever it lies."""
        total = hashlib.sha256()
        for name in self.contract.files:
            content = self.files.get(name)
            total.update(f"{name}:{-1 if content is None else len(content)}:".encode())
            total.update(content or b"")
        return "sha256:" + total.hexdigest()

    def stage(self, folder: Path) -> None:
        """Write the files where the worker imports them from."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


def read(path: Path, contract: Contract, limit: int, name: str | None = None, ahead: bool = True) -> Submission:
    """The submission at `path`: a folder, a folder that holds the assignment's folder, or a notebook.

    It may lie up to two folders deeper, which a note says. limit: bytes a file may have. ahead: whether to begin now to
    look for code that does not count, which takes a process. Raises NoSubmission when there is nothing of that kind, or
    several of it.
    """
    submission = found(path, contract, limit, name)
    if ahead and isinstance(submission.look, Search):
        submission.look.begin()
    return submission


def found(path: Path, contract: Contract, limit: int, name: str | None) -> Submission:
    """Raises NoSubmission."""
    try:
        there, is_folder = path.exists(), path.is_dir()
    except OSError as error:  # the path is too long, or a folder on the way is closed
        raise NoSubmission(f"{one_line(str(path), 200)} cannot be opened: {error.strerror}.") from error
    if path.suffix == ".ipynb" and not is_folder:
        return from_notebook(path, contract, limit, name)
    if not there:
        raise NoSubmission(f"There is no folder {path}.")
    if not is_folder:
        raise NoSubmission(f"{path} is neither a folder with {contract.listed_files} nor a notebook.")
    tree, notes = Tree(path), []
    names, inner = ", ".join(contract.files), ""
    if not any(tree.exists(file) for file in contract.files):
        if any(tree.exists(f"{contract.work}/{file}") for file in contract.files):
            inner = f"{contract.work}/"
            notes.append(f"The files were taken from the folder {inner} in it.")
        elif tree.has_link(contract.work):
            inner = f"{contract.work}/"
            notes.append(f"{inner} is a link to another place. Links are not followed: hand in the files themselves.")
        elif answered_notebook(tree, "", contract) is None and (deeper := below(tree, contract)):
            if len(deeper) > 1:
                more = f" and {len(deeper) - 2} more" if len(deeper) > 2 else ""
                raise NoSubmission(
                    f"{path} holds several submissions ({deeper[0]}, {deeper[1]}{more}), and one is graded at a time: "
                    f"write --submission={path / deeper[0]}."
                )
            inner = f"{deeper[0]}/"
            notes.append(f"The files were taken from the folder {inner} in it.")
    files_begun = begun(contract, b"".join(tree.read(inner + file, NOTEBOOK_BYTES)[0] for file in contract.files))
    answered = answered_notebook(tree, inner, contract)
    if answered is not None and not files_begun:
        try:
            return from_notebook(path, contract, limit, name or path.resolve().name, answered)
        except NoSubmission as error:
            notes.append(str(error))
    elif answered is not None:
        notes.append(
            f"{PurePosixPath(answered).name} has answers too, but the files {names} have some and were graded; "
            f"--submission={path / answered} grades the notebook."
        )
    files, problems = {}, {}
    for file in contract.files:
        content, problem = tree.read(inner + file, limit)
        if problem:
            problems[file] = problem
        else:
            files[file] = content
    odd = (*IGNORED, *contract.steering)
    known = manifest.released(tree, contract.root)
    ignored = sorted(n for n in odd if any(tree.exists(p) and not known(p) for p in {n, inner + n}))
    if ignored:
        notes.append(f"Not used: {', '.join(ignored)} (only {names} are graded).")
    notes += manifest.notes(path, contract.root)
    others, beside = others_beside(tree, inner, contract, limit), notebook_beside(tree, inner, contract)
    strays = look_at(contract, files, others, beside)
    if (
        not files_begun
        and defines_twice(contract, beside[1])
        and any(": " in stray.file and "raise" not in stray.found for stray in strays().values())
    ):
        return from_notebook(path, contract, limit, name or path.resolve().name, inner + beside[0])
    return Submission(name or path.resolve().name, path, contract, files, problems, tuple(notes), strays, tuple(others))


def look_at(
    contract: Contract,
    files: Mapping[str, bytes],
    others: Mapping[str, bytes],
    beside: tuple[str, str] = ("", ""),
    cells: bool = False,
) -> Search:
    """The search for code of the TODOs that does not count."""
    texts = {file: content.decode("utf-8", "replace") for file, content in [*files.items(), *others.items()]}
    todos = [(todo.number, todo.file, todo.function) for todo in contract.todos]
    return search(texts, todos, beside, cells)


def others_beside(tree: Tree, inner: str, contract: Contract, limit: int) -> dict[str, bytes]:
    """The student's own Python files beside those that are graded."""
    ours = {*contract.files, *(f"{name}.py" for name in contract.given), *IGNORED, *contract.steering}
    names = [name for name in tree.names(inner or ".") if name.endswith(".py") and name not in ours]
    found = {name: tree.read(inner + name, limit) for name in names[:LOOKED_BESIDE]}
    return {name: content for name, (content, problem) in found.items() if not problem}


def defines_twice(contract: Contract, content: str) -> bool:
    """Whether a notebook may hold a second function for some TODO, in a cell of the student's own."""
    tops = {name for names in names_of(contract).values() for name in names}
    return any(len(re.findall(rf"\b(?:def|class) {name}\b", content)) > 1 for name in tops)


def has_exercises(contract: Contract, content: bytes) -> bool:
    """Whether a notebook is the assignment's: some cell has a file's tag, or most functions of the TODOs are there."""
    tops = [name for names in names_of(contract).values() for name in names]
    there = [name for name in tops if re.search(rb"\b(?:def|class) " + name.encode() + rb"\b", content)]
    return any(f'"{file}"'.encode() in content for file in contract.files) or 2 * len(there) > len(tops)


def notebook_beside(tree: Tree, inner: str, contract: Contract) -> tuple[str, str]:
    """(name, JSON) of a notebook with the exercises beside the files; empty for none."""
    for name in tree.names(inner or "."):
        content, problem = tree.read(inner + name, NOTEBOOK_LOOKED_AT) if name.endswith(".ipynb") else (b"", "none")
        if not problem and has_exercises(contract, content):
            return name, content.decode("utf-8", "replace")
    return "", ""


def below(tree: Tree, contract: Contract) -> list[str]:
    """The folders nearest below a tree's root that hold submitted files or a begun notebook; links are not followed."""
    level = [""]
    for _ in range(DEEPEST):
        level = [f"{folder}{name}/" for folder in level for name in tree.names(folder or ".") if may_hold(name)]
        level = [folder for folder in level[:LOOKED_AT] if tree.is_folder(folder)]
        found = [place for folder in level if (place := submission_in(tree, folder, contract)) is not None]
        if found:
            return found
    return []


def may_hold(name: str) -> bool:
    return not name.startswith((".", "_")) and name not in NOT_SUBMITTED


def submission_in(tree: Tree, folder: str, contract: Contract) -> str | None:
    """The folder itself (a path that ends with a slash), or the assignment's folder in it, without that slash."""
    for place in (folder, f"{folder}{contract.work}/"):
        if any(tree.exists(place + file) for file in contract.files) or answered_notebook(tree, place, contract):
            return place.rstrip("/")
    return None


def answered_notebook(tree: Tree, folder: str, contract: Contract) -> str | None:
    """The assignment's notebook in a folder, if somebody has begun to solve it; its path in the tree."""
    for name in tree.names(folder or "."):
        if not name.endswith(".ipynb"):
            continue
        content, problem = tree.read(folder + name, NOTEBOOK_BYTES)
        # in the notebook's JSON the quotes are escaped; without the exercises it is a notebook of the student's own
        if not problem and has_exercises(contract, content) and begun(contract, content.replace(b'\\"', b'"')):
            return folder + name
    return None


def begun(contract: Contract, content: bytes) -> bool:
    """Whether some stub is gone. Without any content there is nothing that could have been begun."""
    return bool(content) and len(set(STUB.findall(content))) < len(contract.todos)


def from_notebook(path: Path, contract: Contract, limit: int, name: str | None = None, inside: str = "") -> Submission:
    """The cells tagged with the name of a file, in order, each kind one file.

    path: the notebook; or a folder, and `inside` the notebook's path in it.
    """
    content, problem = Tree(path).read(inside, NOTEBOOK_BYTES) if inside else read_regular(path, NOTEBOOK_BYTES)
    path = path / inside
    if problem == "file-missing":
        raise NoSubmission(f"There is no notebook {path}.")
    if problem:
        raise NoSubmission(f"{path} cannot be read as a notebook ({problem}).")
    try:
        made, taken = read_notebook.read_apart(content, names_of(contract))
    except read_notebook.NotANotebook as error:
        raise NoSubmission(
            f"{path} is not a readable notebook ({error}); save it again from Jupyter or Colab."
        ) from error
    texts = {file: one.text.encode("utf-8", "replace") for file, one in made.items()}
    problems = {file: "file-missing" for file in contract.files if file not in texts}
    problems |= {file: "file-too-big" for file, text in texts.items() if len(text) > limit}
    files = {file: texts[file] for file in contract.files if file not in problems}
    cells = {file: one.cells for file, one in made.items()}
    notes = [f"Graded: the exercise cells of {path.name}."]
    if taken:
        notes.append(
            f"From cells of your own: {listed(taken)}. The exercise cell is still unfinished, or has lost its tag."
        )
    notes += manifest.notes(path.parent, contract.root)
    strays = look_at(contract, files, {}, cells=True)
    return Submission(name or path.stem, path, contract, files, problems, tuple(notes), strays, cells=cells)


def names_of(contract: Contract) -> dict[str, list[str]]:
    """{file: the functions and classes of its TODOs}"""
    named = {file: [t.function.split(".")[0] for t in contract.todos if t.file == file] for file in contract.files}
    return {file: list(dict.fromkeys(names)) for file, names in named.items()}
