"""Starting and ending worker processes, on every system."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psutil


class ServerFailed(RuntimeError):
    """The worker itself did not start or has died: never the student's fault."""


def bootstrap(call: str) -> list[str]:
    """The command of a worker: isolated from PYTHON* variables and the current folder; our own folder comes last."""
    root = str(Path(__file__).resolve().parents[3])
    return [sys.executable, "-I", "-X", "utf8", "-c", f"import sys; sys.path.append({root!r}); {call}"]


def remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def kill_family(pid: int) -> None:
    """Kill a process and all below it, the root last, so that no child escapes to a new parent unseen."""
    try:
        root = psutil.Process(pid)
        members = [*root.children(recursive=True), root]
    except psutil.Error:
        return
    for member in members:
        try:
            member.kill()
        except psutil.Error:
            pass
