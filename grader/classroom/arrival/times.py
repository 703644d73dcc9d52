"""When something was handed in: times as exports write them, as archives hold them, and of a clone's last commit."""

from __future__ import annotations

import re
import shutil
import struct
import zipfile
from datetime import datetime, timezone
from pathlib import Path

from grader.classroom import git
from grader.engine.submission.safe_files import Tree

WRITTEN = re.compile(
    r"\s*(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?\s*(?:(Z|UTC)|([+-]\d\d):?(\d\d))\s*", re.IGNORECASE
)
EARLIEST = 631_152_000  # 1990: archives made by programs often hold 1970 or 1980 for "no time"
UNIX_TIMES = 0x5455  # the field of a zip's entry with seconds since 1970
OF_GIT = 1_000_000  # bytes of a packed-refs file


def moment(text: str) -> datetime | None:
    """A written time with a zone, such as "2026-12-01 22:59:59.123 UTC"; None for anything else."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, _, hours, minutes = found.groups()
    zone = f"{hours}:{minutes}" if hours else "+00:00"
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0').ljust(6, '0')}{zone}")
    except ValueError:
        return None


def of_seconds(seconds: float) -> datetime | None:
    """seconds: since 1970. None for what stands there when nobody knew."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc) if seconds > EARLIEST else None
    except (ValueError, OverflowError, OSError):
        return None


def of_zip(entry: zipfile.ZipInfo) -> datetime | None:
    """In UTC where the entry says so, else on this computer's clock: then the zone it was packed in is unknown."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == UNIX_TIMES and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            return of_seconds(struct.unpack("<i", extra[5:9])[0])
        extra = extra[4 + size :]
    try:
        return of_seconds(datetime(*entry.date_time).timestamp())
    except (ValueError, OverflowError, OSError):
        return None


def of_clone(clone: Path, scratch: Path) -> datetime | None:
    """When the last commit of a clone was made; None where that cannot be known, as without git.

    scratch: a folder for an empty repository, which only borrows the clone's objects: nothing in the clone's own
    settings is obeyed.
    """
    sha = head(Tree(clone))
    objects = str(clone.resolve() / ".git" / "objects")
    if not sha or shutil.which("git") is None or "\n" in objects or objects.startswith(('"', "#")):
        return None
    try:
        if not (scratch / "HEAD").is_file():
            git.run("init", "--quiet", "--bare", "--template=", str(scratch))
        (scratch / "objects" / "info").mkdir(exist_ok=True)
        (scratch / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        told = git.run("--git-dir", str(scratch), "log", "--no-walk", "--format=%ct", sha, "--")
        return of_seconds(int(told))
    except (git.GitFailed, OSError, ValueError):
        return None


def head(clone: Tree) -> str:
    """The commit that a clone has checked out, "" where that is not plain."""
    named = text_of(clone, ".git/HEAD")
    if named.startswith("ref: "):
        name = named.removeprefix("ref: ")
        packed = re.search(
            rf"^([0-9a-f]{{40,64}}) {re.escape(name)}$", text_of(clone, ".git/packed-refs"), re.MULTILINE
        )
        named = text_of(clone, f".git/{name}") or (packed[1] if packed else "")
    return named if re.fullmatch(r"[0-9a-f]{40,64}", named) else ""


def text_of(tree: Tree, path: str) -> str:
    return tree.read(path, OF_GIT)[0].decode("utf-8", "replace").strip()
