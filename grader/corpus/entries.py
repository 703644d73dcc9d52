"""Wheats and chaffs as data: one TOML file each, a patch on the reference solution.

what = "The network ends with softmax although the loss applies it again."
source = "Karpathy, A Recipe for Training Neural Networks"
finding = "scores-are-probabilities"    # chaffs only: the finding that must come first (or a list of right ones)
also = ["model-not-used-in-evaluate"]   # chaffs only: findings of later checks, which a first one comes before
parts = ["accuracy"]                    # optional: only these parts show it, not those that judge its files
weak = "nearly straight"                # wheats only: why it is right but learns too little for the accuracy points
base = "cnn-batchnorm"                  # optional: the wheat this stands on, instead of the reference

[[patch]]                               # any number; `old` must occur exactly once
file = "model.py"
old = "return self.output(x)"
new = "return self.output(x).softmax(dim=1)"

[files]                                 # or whole files
"model.py" = '''...'''
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.contract import WEEK
from grader.engine.rubric import BadRubric, load_toml

ROOT = WEEK.root
SUBMITTED = tuple(WEEK.files)


class CorpusDamaged(ValueError):
    """A file of the corpus that says something it should not; the message is one sentence and names the file."""


class DoesNotFit(ValueError):
    """A patch whose `old` text does not occur exactly once in the base."""


@dataclass(frozen=True)
class Entry:
    """One wheat or chaff."""

    name: str
    what: str
    source: str
    findings: tuple[str, ...]
    base: str | None
    patches: tuple[tuple[str, str, str], ...]
    files: dict[str, str]
    weak: str = ""
    also: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


def load(path: Path) -> Entry:
    """Raises CorpusDamaged."""
    try:
        return entry_of(path.stem, load_toml(path))
    except BadRubric as error:
        raise CorpusDamaged(str(error)) from error
    except OSError as error:
        raise CorpusDamaged(f"{path} cannot be read ({error.strerror}).") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusDamaged(
            f"{path} lacks or has a wrong {error}; grader/corpus/entries.py shows the format."
        ) from error


def entry_of(name: str, raw: dict[str, Any]) -> Entry:
    finding = raw.get("finding", [])
    return Entry(
        name=name,
        what=raw["what"],
        source=raw.get("source", ""),
        findings=(finding,) if isinstance(finding, str) else tuple(finding),
        base=raw.get("base"),
        patches=tuple((p["file"], p["old"], p["new"]) for p in raw.get("patch", [])),
        files=raw.get("files", {}),
        weak=raw.get("weak", ""),
        also=tuple(raw.get("also", ())),
        parts=tuple(raw.get("parts", ())),
    )


def load_all(kind: str, folder: Path = ROOT / "tests") -> list[Entry]:
    """Every entry of tests/KIND ("wheats", "chaffs"), by name; `folder`: another corpus. Raises CorpusDamaged."""
    return [load(path) for path in sorted((folder / kind).glob("*.toml"))]


def reference() -> dict[str, str]:
    """The reference solution's submitted files, {name: text}."""
    return {name: (ROOT / "solution" / name).read_text(encoding="utf-8") for name in SUBMITTED}


def base_path(name: str) -> Path:
    """Where the entry of this name stands on its own: a wheat, or the worthless base of the attacks."""
    worthless = ROOT / "tests" / "attacks" / "base" / f"{name}.toml"
    return worthless if worthless.exists() else ROOT / "tests" / "wheats" / f"{name}.toml"


def source_of(entry: Entry, base: dict[str, str] | None = None) -> dict[str, str]:
    """The submission this entry describes, {file name: text}. Raises DoesNotFit."""
    if base is None:
        base = source_of(load(base_path(entry.base))) if entry.base else reference()
    files = dict(base) | entry.files
    for file, old, new in entry.patches:
        found = files.get(file, "").count(old)
        if found != 1:
            raise DoesNotFit(f"{entry.name}: {file} has {found} times: {old!r}")
        files[file] = files[file].replace(old, new)
    return files
