"""MANIFEST.sha256: which files a release made, and how a student's copy of the grader differs from the course's own.

A copy that differs is not used for a score of record, so this is information for the reader, not a verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path, PurePosixPath

from grader.engine.printable import some
from grader.engine.submission.safe_files import Tree

NAME = "MANIFEST.sha256"
TEACHER_ROOMS = ("authoring", "corpus", "classroom")  # folders of grader/ that no student gets
ENTRY_POINT = "grader_entry_point.py"  # beside grader/: what pytest loads first
GUARDED = ("grader/", ENTRY_POINT, ".github/workflows/", "pyproject.toml")  # what decides how a repository is graded
LARGEST = 1_000_000  # bytes; no file of the grader comes near it
MOST_FILES = 5_000
NAMES_SHOWN = 6
CHANGED = "The grader in this repository is not the course's copy"  # how the note on such a copy begins


def digest(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal characters. Line ends of text do not count: a checkout on Windows may turn them."""
    return hashlib.sha256(content if b"\0" in content else content.replace(b"\r\n", b"\n")).hexdigest()


def dumps(hashes: Mapping[str, str], work: Collection[str] = ()) -> str:
    """The form that `sha256sum --check` reads: "<hash>  <path>" per line, sorted.

    work: paths that a student is meant to change; they stand in comments, which sha256sum skips.
    """
    fixed = "".join(f"{hashes[path]}  {path}\n" for path in sorted(hashes) if path not in work)
    return fixed + "".join(f"# {hashes[path]}  {path}\n" for path in sorted(hashes) if path in work)


def loads(text: str) -> dict[str, str]:
    """{path: hash} of all lines. Lines of another form, and paths that lead out of the folder, are left out."""
    found = {}
    for line in text.splitlines():
        value, _, path = line.removeprefix("# ").partition("  ")
        parts = PurePosixPath(path).parts
        if len(value) == 64 and parts and ".." not in parts and not PurePosixPath(path).is_absolute():
            found[path] = value
    return found


def grader_files(root: Path) -> list[str]:
    """The files of grader/ that a student gets, as sorted paths with forward slashes."""
    found = []
    for path in sorted((root / "grader").rglob("*")):
        inner = path.relative_to(root / "grader").parts
        if not path.is_file() or inner[0] in TEACHER_ROOMS:
            continue
        if any(part == "__pycache__" or part.startswith(".") for part in inner) or path.suffix == ".pyc":
            continue
        found.append(path.relative_to(root).as_posix())
    return found


def handed_out(root: Path, work: str, names: Collection[str]) -> dict[str, str]:
    """{file: hash} of a student's files as they were handed out; {} where this copy cannot know, such as the course's
    own repository: somebody may have worked in its folder `work`."""
    if not (root / NAME).is_file():
        return {}
    hashes = loads((root / NAME).read_text(encoding="utf-8", errors="replace"))
    return {name: hashes[f"{work}/{name}"] for name in names if f"{work}/{name}" in hashes}


def trusted(root: Path) -> dict[str, str]:
    """{path: hash} of what a student's copy should hold: the release's manifest, or this repository's own files."""
    manifest = root / NAME
    if manifest.is_file():
        hashes = loads(manifest.read_text(encoding="utf-8", errors="replace"))
        return {path: value for path, value in hashes.items() if path.startswith(GUARDED)}
    return {path: digest((root / path).read_bytes()) for path in grader_files(root)}


def released(tree: Tree, root: Path) -> Callable[[str], bool]:
    """known(path): whether a file in a student's folder is the release's own, unchanged.

    It goes by this copy's manifest, else by the one in that folder: nothing but a note depends on it.
    """
    ours = root / NAME
    text = ours.read_bytes() if ours.is_file() else tree.read(NAME, LARGEST)[0]
    hashes = loads(text.decode("utf-8", errors="replace"))
    return lambda path: path in hashes and digest(tree.read(path, LARGEST)[0]) == hashes[path]


def notes(submitted: Path, root: Path) -> list[str]:
    """What a report says about the copy of the grader beside a submission; [] where there is nothing to say.

    submitted: the folder or file that was handed in; a copy is looked for in it and in the folder above it.
    """
    for folder in (submitted, submitted.parent):
        tree = Tree(folder)
        if not tree.has_link("grader") and not any(
            tree.exists(f"grader/{name}") for name in ("rubric.toml", "plugin.py")
        ):
            continue  # no copy of ours
        if folder.resolve() == root.resolve():
            return []  # it is the copy that is running
        parts = [
            f"{word} {some(paths, NAMES_SHOWN)}" for word, paths in differences(folder, trusted(root)).items() if paths
        ]
        if not parts:
            return []
        return [f"{CHANGED} ({'; '.join(parts)}). It was not used: the course's own copy gave this score."]
    return []


def differences(folder: Path, hashes: Mapping[str, str]) -> dict[str, list[str]]:
    """{"changed": paths, "added": ..., "missing": ..., "a link instead of a file": ...} against {path: hash}."""
    places = {prefix.rstrip("/") for prefix in GUARDED if any(path.startswith(prefix) for path in hashes)}
    tree = Tree(folder)
    files, links = walk(tree, sorted(places))
    changed = []
    for path in sorted(files & set(hashes)):
        content, problem = tree.read(path, LARGEST)
        if (problem and problem != "file-empty") or digest(content) != hashes[path]:
            changed.append(path)
    under_link = tuple(f"{link}/" for link in links)
    missing = [p for p in sorted(set(hashes) - files - set(links)) if not (under_link and p.startswith(under_link))]
    return {
        "changed": changed,
        "added": sorted(files - set(hashes)),
        "missing": missing,
        "a link instead of a file:": sorted(links),
    }


def walk(tree: Tree, places: list[str]) -> tuple[set[str], list[str]]:
    """(files, links) at or below the named places, as paths with forward slashes. No link is followed."""
    files: set[str] = set()
    links: set[str] = set()
    waiting = [place for place in places if tree.exists(place) or tree.has_link(place)]
    while waiting and len(files) < MOST_FILES:
        path = waiting.pop()
        if tree.has_link(path):
            links.add(path)
        elif tree.is_folder(path):
            waiting += [f"{path}/{name}" for name in tree.names(path) if name != "__pycache__"]
        elif not path.endswith(".pyc"):
            files.add(path)
    return files, sorted(links)


@cache
def grader_digest(folder: Path) -> str:
    """SHA-256 over the grader's own files in `folder`: which grader gave this score."""
    total = hashlib.sha256()
    ours = (p for p in folder.rglob("*") if p.suffix in (".py", ".toml", ".json", ".j2"))
    for path in sorted(p for p in ours if p.relative_to(folder).parts[0] not in TEACHER_ROOMS):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return "sha256:" + total.hexdigest()
