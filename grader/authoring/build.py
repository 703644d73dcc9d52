"""solution/ and templates/ -> assignment/: what a student gets.

`build` is a pure function of what stands in the repository; `write` and `stale` compare it with a folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from grader.authoring.course import load_known_hints
from grader.authoring.handout import context, render
from grader.authoring.make_notebook import notebook
from grader.authoring.markers import MarkerError, every_todo_is_there, given_as_it_is, leaks, student_version
from grader.contract import WEEK
from grader.engine.contract import Bundle, Contract
from grader.engine.reports import schema
from grader.engine.rubric import BadRubric, load_rubric
from grader.engine.submission.safe_files import write_bytes

ROOT = Path(__file__).resolve().parents[2]
PICTURES = (".png", ".svg")  # of templates/samples/, for the handout


def build(root: Path = ROOT) -> dict[str, bytes]:
    """Every generated file of assignment/, {relative path: content}. Nothing is written.

    Raises BadRubric before anything else, for whatever `checked` refuses, and MarkerError for a solution.
    """
    return made(root, checked(root))


def checked(root: Path) -> dict[str, Any]:
    """What templates may use, once all that a teacher edits is read and fit: what cannot grade is not published.

    Raises BadRubric. `build` and every `release` begin with it.
    """
    load_rubric(WEEK, root / "grader" / "rubric.toml")
    load_known_hints(root)
    return context(root)


def made(root: Path, values: dict[str, Any]) -> dict[str, bytes]:
    """The files of `build`, from what `checked` read."""
    solutions = read_solution(root)
    if missing := [name for name in WEEK.files if name not in solutions]:
        raise MarkerError(missing[0], 1, "the file is missing; grader/contract.py names it")
    stubs = {name: student_version(name, solutions[name], values["todos"]) for name in WEEK.files}
    for name in WEEK.files:
        every_todo_is_there(name, solutions[name])
    given = {name: given_as_it_is(name, text) for name, text in solutions.items() if name not in WEEK.files}
    texts = {**stubs, **given, "README.md": render(root, "handout.md.j2", values)}
    outputs = {name: text.encode("utf-8") for name, text in texts.items()}
    pictures = [path for path in sorted((root / "templates" / "samples").glob("*")) if path.suffix in PICTURES]
    outputs |= {path.name: same_lines(path) or b"" for path in pictures}
    outputs[f"week{values['week']}.ipynb"] = notebook(render(root, "notebook.py.j2", values), stubs)
    bundle: Bundle = values["bundle"]
    outputs |= {name: text.encode("utf-8") for name, text in bundle.given.items()}
    outputs |= {name: render(root, template, values).encode("utf-8") for name, template in bundle.pages.items()}
    return outputs


def recorded(values: dict[str, Any], contract: Contract = WEEK) -> dict[str, bytes]:
    """The generated files of grader/: the form of score.json, and what the bundled data is."""
    bundle: Bundle = values["bundle"]
    found = {f"grader/{name}": text.encode("utf-8") for name, text in bundle.recorded.items()}
    return {"grader/score.schema.json": schema.dumps(contract)} | found


def read_solution(root: Path) -> dict[str, str]:
    """The files of solution/, {name: text}, with LF line ends whatever the checkout has. Raises MarkerError."""
    found = {}
    for path in sorted((root / "solution").glob("*.py")):
        try:
            found[path.name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise MarkerError(path.name, 1, "the file is not UTF-8; save it as UTF-8") from error
    return found


def write(outputs: dict[str, bytes], folder: Path) -> list[str]:
    """Bring `folder` up to date; return what changed. Files that are not in `outputs` are left alone."""
    changed = stale(outputs, folder)
    for name in changed:
        write_bytes(folder / name, outputs[name])
    return changed


def stale(outputs: dict[str, bytes], folder: Path) -> list[str]:
    """The names whose file is missing or different. Line ends do not count: a Windows checkout may turn them."""
    return [name for name, content in outputs.items() if same_lines(folder / name) != content]


def same_lines(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    content = path.read_bytes()
    return content if b"\0" in content else content.replace(b"\r\n", b"\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`python -m grader build`"""
    parser.add_argument("--check", action="store_true", help="write nothing; fail when assignment/ is out of date")


def run(arguments: argparse.Namespace, contract: Contract = WEEK, root: Path = ROOT) -> int:
    """Exit status: 0 up to date or written, 1 out of date (--check), 2 solution/ or templates/ must be fixed."""
    try:
        values = checked(root)
        outputs = made(root, values)
        if found := leaks(read_solution(root), outputs):
            raise BadRubric(f"a line of the solution is in a file for students: {'; '.join(found)}.")
    except MarkerError as error:
        print(f"Nothing was built: solution/{error}", file=sys.stderr)
        return 2
    except ValueError as error:  # BadRubric, and what the contract says of itself
        print(f"Nothing was built: {error}", file=sys.stderr)
        return 2
    except (KeyError, OSError) as error:
        print(f"Nothing was built: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    folder, records = root / contract.work, recorded(values, contract)
    for path in sorted(set(folder.glob("week*.ipynb")) - {folder / name for name in outputs}):
        print(f"Note: {path.relative_to(root)} is of another week; no release takes it, and you can delete it.")
    if arguments.check:
        old = [*stale(outputs, folder), *stale(records, root)]
        print(f"{contract.work}/ is out of date: {', '.join(old)}" if old else f"{contract.work}/ is up to date")
        return 1 if old else 0
    changed = [*write(outputs, folder), *write(records, root)]
    for name in sorted(set(changed) & {f"grader/{name}" for name in values["bundle"].recorded}):
        print(f"Note: the bundled data, or what it is called, is other than before; {name} records it.")
    print(f"wrote {', '.join(changed)}" if changed else f"{contract.work}/ was up to date")
    return 0
