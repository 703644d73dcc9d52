"""Attacks as data: tests/attacks/*.toml.

    what = "Ends Python with status 0 at import."
    source = "A01"
    parts = ["model"]             # what is graded; the rest is not touched by it
    allowed = ["crashed"]         # optional: the only statuses its checks may end with
    finding = "answer-malformed"  # optional: what a check must end with
    silent = ["READ"]             # optional: what must not stand in the report: the attack prints it when it succeeds
    tier = "confined"             # optional: practice does not promise to stop it
    needs = "system calls"        # optional: a measure of SECURITY.md without which nothing stops it
    base = "worthless"            # the submission without the hostile lines: worthless (the default) earns 0,
                                  # unready 3 points, reference everything
    links = { "model.py" = "/etc/passwd" }   # optional: links instead of files
    sizes = { "data.py" = 6000000 }          # optional: files filled up to a size

    [insert]                      # hostile lines, put in where the base says `# here: NAME`
    model = '''import os
    os._exit(0)'''

    [[patch]]                     # or a change of one text that occurs once: file, old, new
    [files]                       # or whole files, of any name

{grader}, {root}, {other}, {canary} and {temporary} in them stand for real folders, {listening} for a socket outside.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from grader.corpus import entries as corpus
from grader.engine.rubric import load_toml

ANY = ("failed", "crashed", "blocked", "timeout", "todo")


@dataclass(frozen=True)
class Attack:
    """One hostile submission, and the same without its hostile lines."""

    name: str
    what: str
    parts: tuple[str, ...]
    allowed: tuple[str, ...]
    silent: tuple[str, ...]
    tier: str
    base: dict[str, str]
    files: dict[str, str]
    links: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    needs: str = ""


def filled(text: str, places: dict[str, Path]) -> str:
    for name, path in places.items():
        text = text.replace("{" + name + "}", str(path))
    return text


def load(path: Path) -> Attack:
    raw = load_toml(path)
    name = raw.get("base", "worthless")
    base = corpus.reference() if name == "reference" else corpus.source_of(corpus.load(corpus.base_path(name)))
    entry = corpus.load(path)
    files = corpus.source_of(entry, base)
    for place, code in raw.get("insert", {}).items():
        files = inserted(files, place, code)
    return Attack(
        name=path.stem,
        what=raw["what"],
        parts=tuple(raw["parts"]),
        allowed=tuple(raw.get("allowed", ANY)),
        silent=tuple(raw.get("silent", ())),
        tier=raw.get("tier", "practice"),
        base=base,
        files=files,
        links=raw.get("links", {}),
        sizes=raw.get("sizes", {}),
        findings=entry.findings,
        needs=raw.get("needs", ""),
    )


def inserted(files: dict[str, str], place: str, code: str) -> dict[str, str]:
    """The files with lines of code where one of them says `# here: PLACE`, at its indentation."""
    mark = f"# here: {place}\n"
    name = next(n for n, text in files.items() if mark in text)
    line = next(line for line in files[name].splitlines(keepends=True) if line.endswith(mark))
    indent = line[: len(line) - len(mark)]
    return files | {name: files[name].replace(line, textwrap.indent(code.rstrip("\n") + "\n", indent), 1)}
