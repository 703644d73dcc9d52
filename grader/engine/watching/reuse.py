"""When a check need not run again: everything that it can reach has the same bytes, so it would see the same."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache

from grader.engine.run import Kept
from grader.engine.submission.read import Submission

LASTING = ("passed", "failed", "todo")  # a limit of time, or a crash, may have been the machine's doing
# Python's own modules that read no file of the student's; the week's libraries stand in its contract
HARMLESS = {
    "__future__", "abc", "collections", "copy", "dataclasses", "enum", "functools", "itertools", "math", "random",
    "statistics", "time", "typing", "warnings",
}  # fmt: skip
READERS = {
    "open", "exec", "eval", "compile", "getattr", "globals", "locals", "vars", "breakpoint", "input", "modules", "sys",
    "os", "importlib", "builtins", "pathlib",
}  # fmt: skip
OWN_NAMES = {"__init__", "__name__", "__main__", "__call__", "__len__", "__getitem__", "__iter__", "__next__",
             "__repr__", "__str__", "__doc__", "__enter__", "__exit__", "__all__", "__post_init__"}  # fmt: skip


def may_stand(before: Kept, then: Submission, now: Submission) -> bool:
    """Whether what a check left in a run on `then` stands for it in a run on `now`, with the same seed and key.

    Where it did not pass, `same_words` has the last word.
    """
    if before.seen.status not in LASTING or not before.reached:
        return False
    return all(same(file, then, now) for file in reached(before.reached, then) | reached(before.reached, now))


def same_words(before: Kept, then: Submission, now: Submission) -> bool:
    """Whether what is said of a check that did not pass is still true: of its cells, and of code that lies elsewhere.

    It waits for the search for such code.
    """
    todo = now.contract.check[before.seen.check].todo
    return then.cells == now.cells and then.strays.get(todo) == now.strays.get(todo)


def same(file: str, then: Submission, now: Submission) -> bool:
    return then.files.get(file) == now.files.get(file) and then.problems.get(file) == now.problems.get(file)


def reached(modules: Iterable[str], submission: Submission) -> frozenset[str]:
    """The submitted files that code in these modules can reach: theirs, and those that they import, and so on."""
    files, everything = submission.files, frozenset(submission.contract.files)
    names = {file.removesuffix(".py"): file for file in everything}
    contract = submission.contract
    harmless = frozenset([*HARMLESS, *contract.reading, *names, *contract.given, contract.work])
    readers = frozenset([*READERS, *(name for told in contract.reading.values() for name in told)])
    found: set[str] = set()
    waiting = [f"{module}.py" for module in modules]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        imported = imports(files.get(file, b""), harmless, readers)
        if imported is None:
            return everything
        waiting += [names[name] for name in imported if name in names]
    return frozenset(found)


@lru_cache(maxsize=64)
def imports(content: bytes, harmless: frozenset[str], readers: frozenset[str]) -> frozenset[str] | None:
    """The names that a file imports, at any depth; None where it might reach more than that.

    harmless: what it may import without that; readers: names that nobody should use who reaches no more
    """
    try:
        tree = ast.parse(content)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    found: set[str] = set()
    for node in ast.walk(tree):
        if any(name in readers or is_hidden(name) for name in used(node)):
            return None
        if isinstance(node, ast.Import):
            found.update(part for alias in node.names for part in alias.name.split("."))
            roots = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.update([*(node.module or "").split("."), *(alias.name for alias in node.names)])
            roots = [(node.module or "").split(".")[0]] if node.level == 0 else []
        else:
            continue
        if any(root not in harmless for root in roots):
            return None
    return frozenset(found)


def used(node: ast.AST) -> Iterator[str]:
    """The names that one node of the syntax takes from elsewhere."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.name for alias in node.names)


def is_hidden(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in OWN_NAMES
