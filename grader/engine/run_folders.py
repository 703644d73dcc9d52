"""Temporary folders of a run, and what is left of runs that could not tidy up."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

PREFIX = "grader-run-"


def sweep_stale() -> None:
    """Remove folders of runs whose process is gone without having tidied up (a power cut, a kill)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def private_folder() -> Path:
    """A temporary folder of this process, named after it so that sweep_stale knows whose it is."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
