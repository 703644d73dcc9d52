"""Finds the files of a submission among everything that one student handed in.

What lies nearest counts: in the folder itself or the assignment's folder in it, then a few folders deeper, then in
archives. Only where nothing has its right name are names like `alice_data.py` and `data (1).py` looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from grader.classroom.arrival.archives import LARGEST
from grader.classroom.arrival.nodes import ARCHIVE, FILE, FOLDER, LINK, NOTEBOOK, Node
from grader.engine.contract import Contract
from grader.engine.printable import listed
from grader.engine.submission.read import LOOKED_AT, NOTEBOOK_BYTES, begun, has_exercises, may_hold

DEEPEST = 4  # folders below a student's own
AT_ONCE = 60  # seconds
LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class Unusable(ValueError):
    """A student's work that cannot be graded; the message is one sentence, or the end of one."""


@dataclass(frozen=True)
class Work:
    """Files that are one submission together.

    home: the folder they lie in; path: its name below the student's folder, as one reads it
    files: {file of the contract: the node that holds it, maybe under another name}, or a notebook alone
    problem: why the archive around it cannot be trusted to be whole; left_out: what that archive had besides
    """

    home: Node
    path: str
    files: Mapping[str, Node] = field(default_factory=dict)
    notebook: Node | None = None
    problem: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[Node]:
        return [*self.files.values(), *([self.notebook] if self.notebook else [])]

    @property
    def time(self) -> datetime | None:
        """When the newest of its files was written."""
        return max((node.time for node in self.nodes if node.time), default=None)

    @property
    def renamed(self) -> list[str]:
        """What is to be said of files that had another name; not of a number that systems give to what is handed in
        again."""
        again = re.compile(r"(.+)-\d{1,3}(\.py)")
        return [
            f"{node.shown} was taken as {file}"
            for file, node in self.files.items()
            if node.name != file and not (self.home.gathered and again.sub(r"\1\2", node.name) == file)
        ]


class Works:
    """Finds works, and remembers them.

    contract: which files are looked for
    """

    def __init__(self, contract: Contract):
        self.contract = contract
        self.known: dict[int, tuple[Node, list[Work]]] = {}
        stems = "|".join(re.escape(name.removesuffix(".py")) for name in contract.files)
        self.pattern = re.compile(
            rf"(?P<prefix>.*[-_. ])?(?P<stem>{stems})[-_ ]?\(?(?P<number>\d{{0,3}})\)?\.py(\.txt)?",
            re.IGNORECASE,
        )

    def __call__(self, node: Node) -> list[Work]:
        """The works nearest to a student's folder or archive; [] for none. Several: nothing in them says which."""
        if id(node) not in self.known:
            found = self.nearest(node, self.exact) or self.nearest(node, self.misnamed)
            self.known[id(node)] = (node, [out_of(node, work) for work in found])
        return self.known[id(node)][1]

    def chosen(self, node: Node) -> tuple[Work, list[str]]:
        """The one work that counts, and what is to be said about it. Raises Unusable."""
        works = self(node)
        if not works:
            raise Unusable(self.why_none(node))
        works = together(works)
        most = max(len(work.files) for work in works)
        full = [work for work in works if len(work.files) == most]
        full = [work for work in full if self.is_begun(work)] or full if len(full) > 1 else full
        newest = max(full, key=lambda work: work.time or LONG_AGO)
        others = [work for work in works if work is not newest]
        if rivals := [w for w in full if w is not newest and at_once(w.time, newest.time) and not same(w, newest)]:
            raise Unusable(
                f"holds several submissions ({listed([w.path for w in [newest, *rivals]][:3])}), and nothing says "
                "which one counts: keep one, or give it alone if it is a class."
            )
        if problem := self.problem(newest):
            raise Unusable(problem)
        notes = [*newest.renamed, *(f"left out: {what}" for what in newest.left_out)]
        if others:
            why = "the newer one counts" if len(full) > 1 else "the fuller one counts"
            names = listed([work.path for work in others[:5]])
            notes.insert(0, f"{numbered(len(works))} submissions: {why}, {newest.path}; not {names}")
        return newest, notes

    def is_begun(self, work: Work) -> bool:
        """Whether somebody has done anything to it since it was handed out."""
        content = b"".join(node.read(NOTEBOOK_BYTES)[0] for node in work.nodes)
        return begun(self.contract, content.replace(b'\\"', b'"') if work.notebook else content)

    def problem(self, work: Work) -> str:
        """Why a work cannot be graded, "" where it can. A link in a folder is the grader's to speak of."""
        if work.problem:
            return work.problem
        for node in work.nodes:
            problem = node.read(NOTEBOOK_BYTES)[1] if node is work.notebook else node.problem
            if problem and (node.kind != LINK or node.depth or work.home.gathered):
                return f"could not be used: {node.shown} {problem}."
        return ""

    def nearest(self, node: Node, find: Callable[[Node, str], Iterator[Work]], above: str = "") -> list[Work]:
        """What find(folder, path) gives for the folders of the first level that has something; archives come last."""
        level, archives = [(above, node)], list[tuple[str, Node]]()
        for _ in range(DEEPEST + 1):
            if found := [work for path, folder in level for work in find(folder, path)]:
                return found
            below = [(join(path, n.name), n) for path, folder in level for n in folder.children.values()]
            archives += [(path, child) for path, child in below if child.kind == ARCHIVE]
            level = [(p, child) for p, child in below if child.kind == FOLDER and may_hold(child.name)][:LOOKED_AT]
        for depth in sorted({path.count("/") for path, _ in archives}):
            there = [(path, child) for path, child in archives if path.count("/") == depth]
            if found := [out_of(child, work) for path, child in there for work in self.nearest(child, find, path)]:
                return found
        return []

    def exact(self, folder: Node, path: str) -> Iterator[Work]:
        """The work in a folder, or in the assignment's folder in it; without files, each notebook of the assignment."""
        if (home := self.home(folder, path)) is not None:
            yield home
            return
        for where, place in self.places(folder, path):
            for node in place.children.values():
                if node.kind == FILE and NOTEBOOK.search(node.name) and self.is_ours(node):
                    yield Work(place, join(where, node.shown), notebook=node)

    def home(self, folder: Node, path: str = "") -> Work | None:
        """The files that lie in a folder, or in the assignment's folder in it."""
        for where, place in self.places(folder, path):
            if any(node.kind in (FILE, LINK) and name in self.contract.files for name, node in place.children.items()):
                names = self.names(place)[""]
                files = {file: names[file] for file in self.contract.files if file in names}
                return Work(place, where or folder.shown, files)
        return None

    def places(self, folder: Node, path: str) -> list[tuple[str, Node]]:
        inner = folder.children.get(self.contract.work)
        return [(path, folder)] + ([(join(path, inner.name), inner)] if inner and inner.kind == FOLDER else [])

    def misnamed(self, folder: Node, path: str) -> Iterator[Work]:
        """The works in a folder by names that are nearly right: those with the same words before them are one."""
        for prefix, names in self.names(folder).items():
            yield Work(folder, join(path, prefix) if prefix else path or folder.shown, names)

    def names(self, folder: Node) -> dict[str, dict[str, Node]]:
        """{words before the name: {file of the contract: its node}}.

        Where a file is there as data.py and data-1.py, the right name counts; the higher number, where loose files
        were gathered: systems number what is handed in again.
        """
        found: dict[str, dict[str, list[tuple[int, Node]]]] = {}
        for node in folder.children.values():
            said = self.said(node.name) if node.kind in (FILE, LINK) else None
            if said is not None:
                prefix, file, number = said
                found.setdefault(prefix, {}).setdefault(file, []).append((number, node))

        def best(file: str, ones: list[tuple[int, Node]]) -> Node:
            return max(ones, key=lambda one: (one[1].name == file and not folder.gathered, one[0], one[1].name))[1]

        return {prefix: {file: best(file, ones) for file, ones in files.items()} for prefix, files in found.items()}

    def said(self, name: str) -> tuple[str, str, int] | None:
        """(words before it, file of the contract, number after it) of a file's name; None for another file."""
        found = self.pattern.fullmatch(name)
        if found is None:
            return None
        file = next(file for file in self.contract.files if file.removesuffix(".py").lower() == found["stem"].lower())
        return (found["prefix"] or "").rstrip("-_. "), file, int(found["number"] or 0)

    def is_bare(self, name: str) -> bool:
        """Whether a file's name is one of the contract's and says nothing of a student."""
        said = self.said(name)
        return said is not None and not said[0]

    def is_ours(self, notebook: Node) -> bool:
        """Whether it has the exercises; one that cannot be read is not judged here."""
        content, problem = notebook.read(NOTEBOOK_BYTES)
        return bool(problem) or has_exercises(self.contract, content)

    def why_none(self, node: Node) -> str:
        """The end of a sentence that begins with the student."""
        inside = list(everything(node))
        if node.problem:
            return f"{node.problem}."
        for one in inside:
            if one.problem and (one.kind != FILE or one.name in self.contract.files):
                return f"could not be used: {one.shown} {one.problem}."
        books = [one.shown for one in inside if NOTEBOOK.search(one.name)]
        if books:
            return f"has no exercise of this assignment in {books[0]}, and no {listed(list(self.contract.files))}."
        handed = [one.shown for one in inside if one.kind == FILE]
        what = f"; there is {listed(handed[:3])}" + (" and more" if len(handed) > 3 else "") if handed else ""
        refused = f"; left out: {node.left_out[0]}" if node.left_out else ""
        return f"holds none of {listed(list(self.contract.files))}, and no notebook of the assignment{what}{refused}."


def everything(node: Node, most: int = 1000) -> Iterator[Node]:
    """What is in a node, level by level."""
    level = [node]
    for _ in range(DEEPEST + 2):
        level = [child for one in level for child in one.children.values()][:most]
        yield from level


def out_of(node: Node, work: Work) -> Work:
    """The work, with what is to be said where it lies in an archive."""
    if node.kind != ARCHIVE:
        return work
    problem = work.problem or (f"{node.problem}." if node.problem else "")
    return replace(work, problem=problem, left_out=(*work.left_out, *node.left_out))


def together(works: Sequence[Work]) -> list[Work]:
    """Works that each hold other files, in folders of their own, are one."""
    files = [file for work in works for file in work.files]
    if len(works) < 2 or len(set(files)) < len(files) or any(work.notebook for work in works):
        return list(works)
    merged = {file: node for work in works for file, node in work.files.items()}
    return [replace(works[0], path=listed([work.path for work in works]), files=merged)]


def at_once(one: datetime | None, other: datetime | None) -> bool:
    """Whether two times tell no order: copying and cloning give every file a time of its own, seconds apart."""
    return one is None or other is None or abs((one - other).total_seconds()) < AT_ONCE


def same(one: Work, other: Work) -> bool:
    """Whether two works hold the same bytes."""

    def contents(work: Work) -> dict[str, bytes]:
        named = {**work.files, **({"": work.notebook} if work.notebook else {})}
        return {file: node.read(LARGEST)[0] for file, node in named.items()}

    return contents(one) == contents(other)


def join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def numbered(count: int) -> str:
    return {2: "two", 3: "three", 4: "four"}.get(count, str(count))
