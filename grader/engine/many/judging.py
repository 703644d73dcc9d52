"""What of the grader decides a verdict: as long as it is the same, what was seen once need not be seen again."""

from __future__ import annotations

import hashlib
import socket
from functools import cache
from pathlib import Path

# Texts, reports and the teacher's rooms decide no verdict, so changing them keeps finished runs valid.
POINTS = "rubric.toml"  # whoever keeps a verdict knows which of it matters
NOT_JUDGING = ("authoring/", "corpus/", "classroom/", "sections/", "engine/reports/", "engine/front/", "engine/many/",
               "engine/watching/")  # fmt: skip


@cache
def code_digest(folder: Path) -> str:
    """Digest of the grader's code in `folder` and of the records beside it, as this process has read them first."""
    total = hashlib.sha256()
    for path in sorted([*folder.rglob("*.py"), *(path for path in folder.glob("*.toml") if path.name != POINTS)]):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(NOT_JUDGING):
            total.update(f"{name}\0{path.read_text(encoding='utf-8')}\0\0".encode())
    return total.hexdigest()[:24]


class OtherGrader(RuntimeError):
    """A worker has another grader than the session that asks it; the message is one sentence."""


def demand_same(folder: Path, code: str) -> None:
    """code: what `code_digest` gives where the work was handed out. Raises OtherGrader."""
    if (here := code_digest(folder)) != code:
        raise OtherGrader(
            f"A worker on {socket.gethostname()} has another version of the grader ({here[:8]}, not {code[:8]}, in "
            f"{folder}): bring the same one there, and start the workers again."
        )
