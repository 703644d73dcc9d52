"""`python -m grader release OUT --for SERVICE`: what students get, or what a grading service wants, in one folder.

A release remembers in MANIFEST.sha256 which files it made and what was in them. Made again over an older one, it
replaces what it made, removes what it no longer makes, and leaves everything else alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from grader.authoring.archives import is_program
from grader.authoring.build import ROOT
from grader.authoring.contents import TARGETS, Files, NotReleasable
from grader.authoring.course import load_course, slug_of
from grader.authoring.markers import MarkerError
from grader.contract import WEEK
from grader.engine.contract import Contract
from grader.engine.submission import manifest
from grader.engine.submission.safe_files import write_bytes

FOR = "# for "  # with the target: the first line of a release's manifest


@dataclass
class Plan:
    """What a release would do to a folder: paths by what happens to them.

    in_the_way: differs from the release and was not made by an earlier one, or was edited since
    left: an earlier release made it, this one does not, and it was edited since: it stays
    """

    create: list[str] = field(default_factory=list)
    update: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    in_the_way: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        words = {
            "create": self.create,
            "update": self.update,
            "remove": self.remove,
            "edited or not ours": self.in_the_way,
            "no longer made, but edited, so it stays": self.left,
        }
        return [f"{word}: {path}" for word, paths in words.items() for path in paths]


def complete(files: Files, target: str) -> Files:
    """With a manifest, where the target has none of its own, that says on its first line whom it is for."""
    hashes = {path: manifest.digest(content) for path, content in files.items()}
    listed = files.get(manifest.NAME) or manifest.dumps(hashes).encode()
    return files | {manifest.NAME: f"{FOR}{target}\n".encode() + listed}


def plan(files: Files, folder: Path, target: str) -> Plan:
    """Compare a release with a folder; nothing is written.

    Raises NotReleasable for links in the folder's paths, and where an earlier release was for another target.
    """
    if folder.exists() and not folder.is_dir():
        raise NotReleasable(f"{folder} is a file; give the name of a folder.")
    known = folder / manifest.NAME
    text = known.read_text(encoding="utf-8", errors="replace") if known.is_file() else ""
    made, first = manifest.loads(text), text.partition("\n")[0]
    if first.startswith(FOR) and first != f"{FOR}{target}":
        before = first.removeprefix(FOR)
        raise NotReleasable(f"{folder} holds a release for {before}; choose another folder for {target}.")
    found = Plan()
    for path in sorted(files):
        present = content_of(folder, path)
        if present is None:
            found.create.append(path)
        elif manifest.digest(present) == manifest.digest(files[path]):
            continue
        elif path == manifest.NAME or made.get(path) == manifest.digest(present):
            found.update.append(path)
        else:
            found.in_the_way.append(path)
    for path in sorted(set(made) - set(files)):
        present = content_of(folder, path)
        if present is not None:
            (found.remove if manifest.digest(present) == made[path] else found.left).append(path)
    return found


def content_of(folder: Path, path: str) -> bytes | None:
    place = folder / path
    for above in [place, *place.parents]:
        if above == folder:
            break
        if above.is_symlink():
            raise NotReleasable(f"{above} is a link, and a release writes only into its own folder.")
    if place.is_dir():
        raise NotReleasable(f"{place} is a folder where a file should be.")
    return place.read_bytes() if place.is_file() else None


def write(files: Files, folder: Path, planned: Plan) -> None:
    """Carry out a plan. A new folder appears whole or not at all; in an old one each file does, the manifest last."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            staging.chmod(0o755)
            put(files, staging, sorted(files))
            staging.rename(folder)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return
    put(files, folder, [*planned.create, *planned.update, *planned.in_the_way])
    for path in planned.remove:
        (folder / path).unlink(missing_ok=True)
        for above in (folder / path).parents:
            if above == folder or any(above.iterdir()):
                break
            above.rmdir()


def put(files: Files, folder: Path, paths: list[str]) -> None:
    for path in sorted(paths, key=lambda p: p == manifest.NAME):
        write_bytes(folder / path, files[path])
        if is_program(files[path]):
            (folder / path).chmod(0o755)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader release`"""
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to make, or to bring up to date")
    parser.add_argument("--for", dest="target", choices=sorted(TARGETS), required=True)
    parser.add_argument("--dry-run", action="store_true", help="write nothing; show what would change")
    parser.add_argument("--overwrite", action="store_true", help="also replace files that were edited or not made here")


def run(arguments: argparse.Namespace, contract: Contract = WEEK, root: Path = ROOT) -> int:
    """Exit status: 0 done (or --dry-run), 1 something is in the way, 2 the repository must be fixed."""
    folder = arguments.out.resolve()
    try:
        if arguments.dry_run and arguments.overwrite:
            raise NotReleasable("--dry-run writes nothing, so there is nothing to --overwrite; leave one of them out.")
        if folder == root or folder in root.parents:
            raise NotReleasable(f"{folder} is this repository or holds it; choose another folder.")
        if root in folder.parents:
            raise NotReleasable(
                f"{folder} is inside this repository; choose a folder beside it, like ../{folder.name}."
            )
        files = complete(TARGETS[arguments.target](root), arguments.target)
        planned = plan(files, folder, arguments.target)
    except MarkerError as error:
        print(f"Nothing was released: solution/{error}", file=sys.stderr)
        return 2
    except ValueError as error:  # NotReleasable, BadRubric, and what the contract says of itself
        print(f"Nothing was released: {error}", file=sys.stderr)
        return 2
    except (KeyError, OSError) as error:
        print(f"Nothing was released: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    size = sum(map(len, files.values())) / 1e6
    if arguments.dry_run:
        print("\n".join(planned.lines()) or "Nothing would change.")
        return 0
    if planned.in_the_way and not arguments.overwrite:
        print("\n".join(Plan(in_the_way=planned.in_the_way).lines()))
        print("Nothing was written, because of what is edited or not ours. --overwrite replaces it.", file=sys.stderr)
        return 1
    try:
        write(files, folder, planned)
    except OSError as error:
        print(f"The release could not be written: {error}", file=sys.stderr)
        return 2
    for line in Plan(remove=planned.remove, left=planned.left).lines():
        print(line)
    changed = len(planned.create) + len(planned.update) + len(planned.in_the_way)
    print(f"{folder}: {len(files)} files, {size:.1f} MB, {changed} of them new or changed.")
    if not slug_of(load_course(root)):
        print(
            "Note: repository in templates/course.toml names no repository on GitHub yet. Until it does, students "
            "are graded by the copy in their own repository (practice), and on Colab the notebook finds no files."
        )
    return 0
