"""What each release holds: {path: content}, made from the repository and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grader.authoring import archives
from grader.authoring.build import checked, made, read_solution, recorded, stale
from grader.authoring.constraints import NAME as CONSTRAINTS
from grader.authoring.constraints import PLACE
from grader.authoring.course import slug_of
from grader.authoring.handout import render
from grader.authoring.markers import leaks
from grader.contract import WEEK
from grader.engine.rubric import load_toml
from grader.engine.submission import manifest

Files = dict[str, bytes]

BUNDLE_LIMIT = 10 * 1024 * 1024  # bytes; what Classroom 50's runner fetches at most
CLASSROOM50_SECONDS = 480  # of its 15 minutes for everything, so that the result is written in any case


class NotReleasable(ValueError):
    """The repository cannot be released as it is; the message says why."""


def course(root: Path) -> dict[str, Any]:
    """What the templates of a release may use: the handout's context, the project's settings, the repository.

    slug: "owner/name" of the course's repository on GitHub, or "" while course.toml names none.
    made: the generated files of the assignment, whether this release holds them or not: all are checked alike.
    Raises BadRubric, MarkerError and NotReleasable.
    """
    values = checked(root)
    if old := stale(recorded(values), root):
        raise NotReleasable(f"{old[0]} is out of date; `python -m grader build` brings it up to date.")
    files = made(root, values)
    if found := leaks(read_solution(root), files):
        raise NotReleasable(f"a line of the solution is in a file for students: {'; '.join(found)}.")
    project = load_toml(root / "pyproject.toml")["project"]
    return values | {"project": project, "slug": slug_of(values), "workflow": True, "work": WEEK.work, "made": files}


def github(root: Path) -> Files:
    """The student repository, graded by GitHub Actions."""
    values = course(root)
    files = student_files(root, values) | templates(root, "repository", values)
    return with_manifest(files | workflow(root, values), values)


def github_classroom(root: Path) -> Files:
    """The same for GitHub Classroom's old workflows: its names, and .github/classroom/autograding.json."""
    from grader.engine.reports import reporter

    values = course(root)
    points = {part["name"]: part["points"] for part in values["parts"]}
    tests = reporter.autograding_json(setup=values["install"], parts=points)
    files = student_files(root, values) | templates(root, "repository", values)
    files |= templates(root, "github-classroom", values) | workflow(root, values)
    files[".github/classroom/autograding.json"] = dumped(tests)
    return with_manifest(files, values)


def classroom50(root: Path) -> Files:
    """The bundle for Classroom 50, a template repository without workflows, and the assignment's settings."""
    values = course(root) | {"workflow": False}
    week = f"week{values['week']}"
    repository = student_files(root, values) | templates(root, "repository", values)
    repository = with_manifest({p: c for p, c in repository.items() if not p.startswith(".github/")}, values)
    autograder = read(root / "templates/classroom50", ["autograder.py"])
    bundle = grader_home(root, values) | demanding(autograder, "autograder.py", values["isolation"])
    bundle["grader/rubric.toml"] = with_run_seconds(bundle["grader/rubric.toml"], CLASSROOM50_SECONDS)
    packed = len(archives.tar_gz(bundle))
    if packed > BUNDLE_LIMIT:
        raise NotReleasable(f"the bundle has {packed / 2**20:.1f} MiB packed, and Classroom 50 takes 10.")
    runtime = {"runs-on": "ubuntu-latest", "python": "3.12"}
    allowed = ["*", f"!{WEEK.work}/", *(f"!{path}" for path in work(values))]
    settings = {"runtime": runtime, "allowed_files": allowed, "release_assets": ["report.html"]}
    values |= {"allowed_files": allowed, "packed_mb": f"{packed / 1e6:.1f}"}
    return {
        **{f"template/{path}": content for path, content in repository.items()},
        **{f"autograders/{week}/{path}": content for path, content in bundle.items()},
        "runtime.json": dumped(runtime),
        "assignment.json": dumped(settings),
        "README.md": render(root, "classroom50/README.md.j2", values).encode(),
    }


def gradescope(root: Path) -> Files:
    """The autograder zip for Gradescope, and how to use it."""
    values = course(root) | {"workflow": False}
    programs = read(root / "templates/gradescope", ["setup.sh", "run_autograder"])
    programs = demanding(programs, "run_autograder", values["isolation"])
    minutes = int(values["rubric"]["limits"]["run_seconds"]) // 60 + 5
    archive = archives.zipped(grader_home(root, values) | programs)
    return {
        f"week{values['week']}-autograder.zip": archive,
        "README.md": render(root, "gradescope/README.md.j2", values | {"timeout_minutes": minutes}).encode(),
    }


TARGETS = {
    "github": github,
    "github-classroom": github_classroom,
    "classroom50": classroom50,
    "gradescope": gradescope,
}


def work(values: Mapping[str, Any]) -> list[str]:
    """The files of a student repository that its student changes."""
    return [f"{WEEK.work}/{name}" for name in (*WEEK.files, f"week{values['week']}.ipynb")]


def student_files(root: Path, values: Mapping[str, Any]) -> Files:
    """The assignment, its bundled data and grader/ as a student gets them."""
    generated = {f"{WEEK.work}/{name}": content for name, content in values["made"].items()}
    return grader_files(root) | generated | constraints(root)


def grader_files(root: Path) -> Files:
    folders = [root / WEEK.work / name for name in WEEK.bundled]
    bundled = [p.relative_to(root).as_posix() for folder in folders for p in folder.rglob("*") if p.is_file()]
    return read(root, [*manifest.grader_files(root), *bundled, manifest.ENTRY_POINT, "LICENSE"])


def grader_home(root: Path, values: Mapping[str, Any]) -> Files:
    """The grader on its own, ready to install: what a grading service runs."""
    settings = render(root, "repository/pyproject.toml.j2", dict(values)).encode()
    readme = f"# The grader of week {values['week']}\n\nMade by `python -m grader release`. Not for students.\n"
    home = grader_files(root) | {"pyproject.toml": settings, "README.md": readme.encode()} | constraints(root)
    return with_manifest(home, values)  # before anything is fitted to the service: it is what students' copies hold


def constraints(root: Path) -> Files:
    """The versions that every installation of this release takes."""
    if not (root / PLACE).is_file():
        raise NotReleasable(f"{PLACE} is missing; `python -m grader constraints` makes it.")
    return {CONSTRAINTS: read(root, [PLACE])[PLACE]}


def workflow(root: Path, values: Mapping[str, Any]) -> Files:
    """The reusable workflow that grades."""
    path = ".github/workflows/grade.yml"
    return demanding(read(root, [path]), path, values["isolation"])


def demanding(files: Files, path: str, isolation: str) -> Files:
    """The same files, and the one that starts the grader asks for the isolation that course.toml names."""
    option = b"--isolation=best"
    if files[path].count(option) != 1:
        raise NotReleasable(f"{path} must have {option.decode()} once, where it starts the grader.")
    return files | {path: files[path].replace(option, f"--isolation={isolation}".encode())}


def templates(root: Path, name: str, values: Mapping[str, Any]) -> Files:
    """A folder of templates/, filled in."""
    folder = root / "templates" / name
    return {
        path.relative_to(folder).as_posix().removesuffix(".j2"): render(
            root, path.relative_to(root / "templates").as_posix(), dict(values)
        ).encode()
        for path in sorted(folder.rglob("*.j2"))
    }


def read(root: Path, paths: list[str]) -> Files:
    """Files as they are, text with LF line ends whatever the checkout has."""
    contents = {path: (root / path).read_bytes() for path in paths}
    return {path: c if b"\0" in c else c.replace(b"\r\n", b"\n") for path, c in contents.items()}


def with_manifest(files: Files, values: Mapping[str, Any]) -> Files:
    hashes = {path: manifest.digest(content) for path, content in files.items()}
    return files | {manifest.NAME: manifest.dumps(hashes, work(values)).encode()}


def with_run_seconds(rubric: bytes, seconds: int) -> bytes:
    """rubric.toml with a limit for the whole run of at most `seconds`."""
    text, pattern = rubric.decode("utf-8"), re.compile(r"^run_seconds *= *([\d_.]+)", re.MULTILINE)
    return pattern.sub(lambda m: f"run_seconds = {min(float(m[1]), seconds):.0f}", text, count=1).encode("utf-8")


def dumped(content: Any) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode("utf-8")
