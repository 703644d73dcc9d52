"""Half-finished submissions: tests/states/*.toml, laid out as a student's files or notebook."""

from __future__ import annotations

import json
import re
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

from grader.authoring.markers import student_version
from grader.contract import WEEK
from grader.corpus import entries as corpus
from grader.engine.rubric import load_toml

FOLDER = Path(__file__).parent / "states"
INVITATIONS = {str(number): "your turn." for number in WEEK.todo}
STUB = re.compile(r"( *)# TODO (\d+): .*\n( *raise NotImplementedError\(.*\)\n)")


def states() -> list[dict[str, Any]]:
    return [state for path in sorted(FOLDER.glob("*.toml")) for state in load_toml(path).get("state", ())]


@cache
def handed_out() -> dict[str, str]:
    return {name: student_version(name, text, INVITATIONS) for name, text in corpus.reference().items()}


@cache
def bodies() -> dict[int, str]:
    """{TODO: the reference's code between the markers of that TODO}"""
    found = {}
    for file, text in corpus.reference().items():
        regions = re.findall(r"^ *# BEGIN SOLUTION\n(.*?)^ *# END SOLUTION\n", text, re.DOTALL | re.MULTILINE)
        numbers = [number for number, todo in sorted(WEEK.todo.items()) if todo.file == file]
        assert len(regions) == len(numbers)
        found |= {number: textwrap.dedent(region) for number, region in zip(numbers, regions)}
    return found


def files_of(state: dict[str, Any]) -> dict[str, str]:
    own = {int(number) for kind in ("code", "above", "below") for number in state.get(kind, {})}
    solved = state.get("solved", [number for number in WEEK.todo if number < min(own, default=0)])
    files = {}
    for name, text in handed_out().items():

        def filled(match: re.Match[str]) -> str:
            indent, number, line = match[1], match[2], match[3]

            def block(code: str) -> str:
                return textwrap.indent(code.strip("\n") + "\n", indent)

            if code := state.get("code", {}).get(number) or (bodies()[int(number)] if int(number) in solved else ""):
                return block(code)
            above, below = (state.get(kind, {}).get(number) for kind in ("above", "below"))
            return (block(above) if above else "") + line + (block(below) if below else "")

        files[name] = STUB.sub(filled, text) + state.get("append", {}).get(name, "")
    for file, old, new in state.get("patch", []):
        assert files[file].count(old) == 1, (state["name"], old)
        files[file] = files[file].replace(old, new)
    files |= state.get("files", {})
    return {name: text for name, text in files.items() if name not in state.get("remove", [])}


def lay_out(state: dict[str, Any], folder: Path) -> Path:
    """The folder of a student in this state."""
    folder.mkdir()
    files = files_of(state)
    if state.get("notebook"):
        (folder / "week3.ipynb").write_text(json.dumps(notebook_of(state, files)), encoding="utf-8")
        files = files_of({"name": state["name"], "solved": state.get("in_files", [])})
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def notebook_of(state: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """The notebook as it is handed out, with what stands in the files in its exercise cells."""
    book = json.loads((WEEK.root / "assignment" / "week3.ipynb").read_text(encoding="utf-8"))
    kept = []
    for cell in book["cells"]:
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        top = re.search(r"^(?:def|class) (\w+)", source, re.MULTILINE)
        name = top[1] if top else "imports" if tags else ""
        if top and tags:
            text = re.search(
                rf"^(?:def|class) {name}\b.*?(?=^(?:def|class|# From here)|\Z)", files[tags[-1]], re.S | re.M
            )
            source = text[0].rstrip() + "\n" if text else source
        if name in state.get("untag", ()):
            cell["metadata"] = {}
        if name not in state.get("drop", ()):
            kept.append(cell | {"source": source})
    extra = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    kept += [extra | {"id": f"own{n}", "source": source} for n, source in enumerate(state.get("cells", ()))]
    return book | {"cells": kept}
