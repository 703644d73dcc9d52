"""One result, many forms. Each module here turns a Result into text or files and knows nothing else."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from grader.engine import trouble
from grader.engine.printable import one_line
from grader.engine.reports import github
from grader.engine.reports.words import score_words
from grader.engine.result import BadScore, Result
from grader.engine.sections import Sections
from grader.engine.submission.safe_files import write_bytes, write_text

WHY_NO_SCORE = "no-score.txt"  # beside where score.json would be: why there is none
EVIDENCE_BYTES = 64 << 20  # what evidence.npz may unpack to
NOT_DRAWN = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{score}</title>
<h1>{score}</h1><p>The pictures of this report could not be drawn. summary.md says the same in words.</p></html>
"""


def write(result: Result, folder: Path) -> None:
    """Write every form into `folder`, each file whole or not at all.

    score.json is the first and report.html the last: what goes wrong while drawing costs no score. The forms of
    Classroom 50 and Gradescope need more than a result (an environment, a rubric) and are written by their own runners.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WHY_NO_SCORE).unlink(missing_ok=True)  # of an earlier run
    write_text(folder / "score.json", result.dumps())
    write_text(folder / "summary.md", github.step_summary(result))
    (folder / "evidence.npz").unlink(missing_ok=True)  # of an earlier run: it would belong to another score
    if result.evidence:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **result.evidence)  # type: ignore[arg-type]
        write_bytes(folder / "evidence.npz", buffer.getvalue())
    trouble.write(result.trouble, folder)
    write_text(folder / "report.html", page(result))


def page(result: Result) -> str:
    """report.html, or a page that says it could not be drawn (a matplotlib that does not start, no disk for fonts)."""
    try:
        from grader.engine.reports import html  # loads jinja2, and matplotlib where something is to be drawn

        return html.report(result)
    except Exception:
        return NOT_DRAWN.format(score=score_words(result).replace("/", " of "))


def read(folder: Path, sections: Sections, links: tuple[str, ...] = ()) -> Result:
    """The result that `write` left in `folder`, with its evidence where that is whole. Raises BadScore, OSError.

    links: addresses that may become links in its reports
    """
    try:
        result = Result.from_json(json.loads((folder / "score.json").read_text(encoding="utf-8")), sections)
    except (ValueError, RecursionError) as error:
        raise BadScore(one_line(str(error))) from error
    return replace(result, evidence=evidence(folder / "evidence.npz"), links=links, trouble=trouble.read(folder))


def write_no_score(folder: Path, reason: str) -> None:
    """Leave word why a run has no score. A score.json of an earlier run goes: it would be taken for this one's."""
    (folder / "score.json").unlink(missing_ok=True)
    write_text(folder / WHY_NO_SCORE, one_line(reason, 1000) + "\n")


def why_no_score(folder: Path) -> str:
    """What `write_no_score` left, "" for nothing."""
    try:
        return one_line((folder / WHY_NO_SCORE).read_text(encoding="utf-8", errors="replace").strip(), 1000)
    except OSError:
        return ""


def evidence(source: Path | io.BytesIO) -> dict[str, np.ndarray]:
    """The arrays in an evidence.npz; {} when it is missing, damaged or too big. Nothing is unpickled."""
    try:
        with zipfile.ZipFile(source) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > EVIDENCE_BYTES:
                return {}
        if not isinstance(source, Path):
            source.seek(0)
        with np.load(source, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
