"""Splits what was given into students: by the form some system gave it, or by the names of folders, archives and files.

A class stands on one level of folders, maybe below a few that hold nothing else, maybe once for each section. Below a
student's own folder no name means anything: nobody can hand in for somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from grader.classroom.arrival import exports
from grader.classroom.arrival.exports import Form, Owner
from grader.classroom.arrival.laying_out import short
from grader.classroom.arrival.nodes import A_CLASS, ARCHIVE, FILE, FOLDER, NOTEBOOK, Node, gathered
from grader.classroom.arrival.works import Works
from grader.engine.submission.read import NOT_SUBMITTED

DEEPEST = 4  # folders around a class
FORMED, NAMED = 4, 8  # students that make a class: where a system gave it its form, and where only names tell
NOBODYS = "Nobody can say whose it is: put it into a folder that is called as the student's in students/."
CODE = re.compile(r"\.(py|ipynb)(\.txt)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Unit:
    """What one student handed in at once, and where it lay, as one reads it."""

    owner: Owner
    node: Node
    where: str


@dataclass
class Split:
    """The students of a class, and (what, why) of what belongs to none or cannot be used."""

    units: list[Unit] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Split) -> None:
        self.units += other.units
        self.unusable += other.unusable


class Classes:
    def __init__(self, works: Works):
        self.works = works

    def split(self, node: Node, above: str = "", deep: int = 0) -> Split:
        """The students in a folder or archive. above: where it lies, for people."""
        if deep == 0 and not node.gathered and (form := exports.form_of(node)) and len(owners(node, form)) > 1:
            return self.of_form(node, form, above)  # what else lies in an export does not make it one student's
        if is_place(node) and self.works.home(node) is not None:
            return Split([self.unit(node, above)])
        submitted = node.children.get("submitted")
        if submitted is not None and submitted.kind == FOLDER:  # nbgrader's course folder holds other copies beside it
            return self.split(submitted, within(above, submitted.shown), deep + 1)
        form = exports.form_of(node)
        found = self.of_form(node, form, above) if form else self.by_names(node, above, deep)
        if node.gathered and not any(unit.node is node for unit in found.units):
            loose = [child for child in node.children.values() if child.kind == FILE]
            found.unusable += [(within(above, one.shown), NOBODYS) for one in loose if self.works.is_bare(one.name)]
        for said in dict.fromkeys([*([node.problem] if node.problem else []), *node.left_out]):
            found.unusable.append((above or node.shown, said if said.endswith(".") else f"{said}."))
        return found

    def of_form(self, folder: Node, form: Form, above: str) -> Split:
        """The students of a class in a system's form: all parts of one student come together."""
        found, parts = Split(unusable=list(form.missing)), dict[str, list[tuple[Owner, str, Node]]]()
        for node in folder.children.values():
            owners = form.of(node)
            for owner, rest in owners:
                if rest:
                    parts.setdefault(owner.key, []).append((owner, rest, node))
                else:
                    found.units.append(Unit(owner, node, within(above, node.shown)))
            if not owners and (node.kind != FILE or CODE.search(node.name)):
                found.unusable.append(
                    (within(above, node.shown), f"is nobody's: {form.kind} names its files otherwise.")
                )
        for several in parts.values():
            several.sort(key=lambda part: [int(number) for number in re.findall(r"\d+", part[2].name)])
            late = [owner.late for owner, _, _ in several if owner.late is not None]
            owner = replace(several[0][0], late=any(late) if late else None)
            whole = gathered(owner.key, {rest: replace(node, name=rest) for _, rest, node in several})
            found.units.append(Unit(owner, whole, within(above, several[0][2].shown)))
        return found

    def by_names(self, folder: Node, above: str, deep: int) -> Split:
        """The students of a class whose folders, archives or files are named after them."""
        units = list(self.named(folder, above))
        if len(units) == 1 and is_place(units[0].node) and deep < DEEPEST:
            return self.alone(units[0], deep)
        full, found = list[Unit](), Split()
        for unit in units:
            if self.works(unit.node):
                full.append(unit)
            else:
                found.unusable.append((unit.where, self.works.why_none(unit.node)))
        if len(full) == 1 and is_place(full[0].node) and deep < DEEPEST:
            found.add(self.alone(full[0], deep))
        elif not full and self.works(folder):
            return Split([self.unit(folder, above)])
        elif len(full) == 1 and full[0].owner.kind == "notebooks" and not folder.gathered:
            found.units.append(self.unit(folder, above))  # one notebook alone is named by its folder
        else:
            sections = self.sections(full, folder.gathered) if deep < DEEPEST else set()
            classes = self.whole_classes(full) - sections if folder.gathered else set()
            for unit in full:
                if id(unit.node) in sections | classes:
                    found.add(self.split(unit.node, unit.where, deep + 1))
            known = dict[str, Owner]()
            for owner in [unit.owner for unit in found.units] if classes else ():
                known |= {owner.key: owner, short(owner.key): owner}
            for unit in full:
                if id(unit.node) not in sections | classes:
                    found.add(self.beside_a_class(unit, known, deep))
        return found

    def whole_classes(self, units: list[Unit]) -> set[int]:
        """The ids of the nodes, of several that a teacher named one by one, that hold far more students than there are
        other nodes: a class, with somebody's newer file given beside it."""
        others = len(units) - 1
        held = {
            id(unit.node): len(owners(unit.node, form))
            if (form := exports.form_of(unit.node))
            else len(set(self.students_in(unit.node))) * FORMED // NAMED
            for unit in units
        }
        return {node for node, count in held.items() if count >= max(FORMED, 3 * others)}

    def beside_a_class(self, unit: Unit, known: Mapping[str, Owner], deep: int) -> Split:
        """What was given beside a whole class: one student's, or a folder with folders that are called as students.

        known: {what a folder may be called: whose it then is}
        """
        inner = self.split(unit.node, unit.where, deep + 1) if known and is_place(unit.node) else Split()
        if not inner.units or any(one.owner.key not in known for one in inner.units):
            inner = Split([unit])
        for at, one in enumerate(inner.units):
            if (owner := known.get(one.owner.key)) is not None:
                inner.units[at] = replace(one, owner=replace(owner, time=None, late=None, notes=()))
        return inner

    def named(self, folder: Node, above: str) -> Iterator[Unit]:
        """What may be a student's in a folder, by its name."""
        loose: dict[str, dict[str, Node]] = {}
        for node in folder.children.values():
            said = self.works.said(node.name) if node.kind == FILE else None
            if node.kind != FILE and node.name not in NOT_SUBMITTED:
                yield self.unit(node, within(above, node.shown))
            elif said is not None and said[0]:
                end = node.name[len(said[0]) :].lstrip("-_. ")
                loose.setdefault(said[0], {})[end] = replace(node, name=end)
            elif said is None and (CODE.search(node.name) or folder.gathered):
                loose.setdefault(node.stem if NOTEBOOK.search(node.name) else node.name, {})[node.name] = node
        for student, nodes in loose.items():
            whole, first = gathered(student, nodes), next(iter(nodes))
            kind = "notebooks" if len(nodes) == 1 and NOTEBOOK.search(first) else "loose files"
            where = nodes[first].shown if first in folder.children else f"{whole.shown}_*"
            yield Unit(exports.by_name(whole, kind), whole, within(above, where))

    def alone(self, unit: Unit, deep: int) -> Split:
        """The students in the only folder or archive that holds anything: a class in it, or one student's work."""
        unit.node.limits = A_CLASS
        if self.works.home(unit.node) is not None:
            return Split([unit])
        inner = self.split(unit.node, unit.where, deep + 1)
        if len(inner.units) == 1 and inner.units[0].owner.kind in exports.BY_NAME:
            return Split([unit])
        return (
            inner if inner.units or inner.unusable else Split(unusable=[(unit.where, self.works.why_none(unit.node))])
        )

    def sections(self, units: list[Unit], given: bool) -> set[int]:
        """The ids of the nodes, of several, that hold a class each; none, unless that is so of most of them.

        A student may hand in two versions, with names like the next one's: `old` and `new`. In a section there are
        more, and each has a name of its own. given: the teacher named the folders one by one, maybe of several days
        with the same students in each
        """
        held = {id(unit.node): self.students_in(unit.node) for unit in units}
        every = [name for names in held.values() for name in names]
        least = 2 if given else 3
        differ = given or 10 * len(set(every)) >= 9 * len(every)
        formed = {id(unit.node) for unit in units if exports.form_of(unit.node)}
        are = formed | {node for node, names in held.items() if len(names) > 1}
        by_names = differ and len(every) >= least * len(units) and 2 * len(are) > len(units)
        return are if by_names or 2 * len(formed) > len(units) else set()

    def students_in(self, node: Node) -> list[str]:
        """The names that several works in a folder differ by."""
        paths = [work.path.split("/") for work in self.works(node)]
        while len(paths) > 1 and all(path[:1] == paths[0][:1] and len(path) > 1 for path in paths):
            paths = [path[1:] for path in paths]
        return [path[0] for path in paths]

    def unit(self, node: Node, where: str) -> Unit:
        kind = {ARCHIVE: "archives", FOLDER: "clones" if node.is_clone else "folders"}.get(node.kind, "files")
        return Unit(exports.by_name(node, kind), node, where or node.shown)


def owners(node: Node, form: Form) -> set[str]:
    """The keys of all to whom something in a class's folder belongs."""
    return {owner.key for child in node.children.values() for owner, _ in form.of(child)}


def is_place(node: Node) -> bool:
    """Whether others may lie in it: a folder that is there, or an archive."""
    return node.kind in (FOLDER, ARCHIVE) and not node.gathered


def within(above: str, name: str) -> str:
    return f"{above}/{name}" if above else name
