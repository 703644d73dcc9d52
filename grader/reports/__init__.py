"""One result, many forms. Each module here turns a Result into text or files and knows nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from grader.reports import markdown
from grader.result import Result, write_bytes, write_text


def write(result: Result, folder: Path) -> list[Path]:
    """Write every form into `folder`, each file whole or not at all; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "score.json", result.dumps())
    write_text(folder / "summary.md", markdown.summary(result))
    written = [folder / "score.json", folder / "summary.md"]
    if result.evidence:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **result.evidence)  # type: ignore[arg-type]
        write_bytes(folder / "evidence.npz", buffer.getvalue())
        written.append(folder / "evidence.npz")
    return written
