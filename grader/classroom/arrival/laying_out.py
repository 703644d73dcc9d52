"""Gives each student an id that every system lets a folder have, and lays files out where the grader reads them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from grader.classroom.arrival.archives import LARGEST
from grader.classroom.arrival.nodes import FILE, FOLDER, NOTEBOOK, ONE_STUDENT, Node
from grader.classroom.arrival.works import Unusable, Work
from grader.classroom.repositories import folder_name
from grader.engine.contract import Contract
from grader.engine.submission.read import LOOKED_BESIDE
from grader.engine.submission.safe_files import write_bytes

LONGEST = 120  # bytes of an id; 255 is what file systems take


def ids(keys: Iterable[str]) -> dict[str, str]:
    """{key: id}: names of folders that no system takes for the same. Where several keys would give one, all but the
    plainest get a suffix that depends on the key alone."""
    alike: dict[str, list[str]] = defaultdict(list)
    for key in set(keys):
        alike[short(key).casefold()].append(key)
    given = {}
    for same in alike.values():
        first, *others = sorted(same, key=lambda key: (short(key) != key, key))
        given[first] = short(first)
        for key in others:
            code = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
            length = next(n for n in range(4, 65) if f"{short(key)}-{code[:n]}".casefold() not in alike)
            given[key] = f"{short(key)}-{code[:length]}"
    return given


def short(key: str) -> str:
    name = folder_name(key)
    return name.encode("utf-8")[:LONGEST].decode("utf-8", "ignore").rstrip(".")


def source(work: Work, whole: Node, contract: Contract, place: Path) -> Path:
    """The path that the grader reads: where the files lie, if it can read them there, else `place` with a copy.

    whole: all that the student handed in. Raises Unusable, OSError.
    """
    if work.notebook is not None:
        return the_notebook(work.notebook, place)
    home = work.home
    as_they_lie = all(home.children.get(file) is node for file, node in work.files.items())
    if as_they_lie and home.kind == FOLDER and not home.gathered and not home.depth and is_text(home.place):
        is_inner = home is not whole and PurePosixPath(home.path).name == contract.work
        return home.place.parent if is_inner else home.place
    copy(work, place)
    return place


def the_notebook(notebook: Node, place: Path) -> Path:
    if notebook.depth == 0 and notebook.place.suffix == ".ipynb" and is_text(notebook.place):
        return notebook.place
    name = short(NOTEBOOK.sub("", notebook.name)) + ".ipynb"
    write_bytes(place / name, content_of(notebook))
    return place / name


def copy(work: Work, place: Path) -> None:
    """Write the files under their right names, and the Python files and notebooks that lie beside them."""
    total = 0
    for file, node in work.files.items():
        content = content_of(node)
        total += len(content)
        write_bytes(place / file, content)
    if total > ONE_STUDENT.bytes:
        raise Unusable(f"holds more than {ONE_STUDENT.bytes // 1_000_000} MB.")
    used = {id(node) for node in work.files.values()} | set(work.files)
    beside = [n for n in work.home.children.values() if n.kind == FILE and n.name.endswith((".py", ".ipynb"))]
    for node in [n for n in beside if id(n) not in used and n.name not in used][:LOOKED_BESIDE]:
        content, problem = node.read(LARGEST)
        total += len(content)
        name = PurePosixPath(node.name)
        if not problem and total <= ONE_STUDENT.bytes:
            write_bytes(place / (short(name.stem) + name.suffix), content)


def content_of(node: Node) -> bytes:
    content, problem = node.read(LARGEST)
    if problem:
        raise Unusable(f"could not be used: {node.shown} {problem}.")
    return content


def is_text(path: Path) -> bool:
    """Whether a path can be written into a table: file systems also hold names that are no text."""
    try:
        return bool(str(path).encode("utf-8"))
    except UnicodeEncodeError:
        return False
