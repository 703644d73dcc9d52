"""Limits a process sets on itself, where the system has them, and the clean surroundings it starts in."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

# What a student process sees of the environment: nothing that names a token, a user or a submission.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT")


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of the worker: an allow-list, a private HOME and temporary folder, one thread a process."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
    private = {n: str(home) for n in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "TORCH_HOME", "XDG_CACHE_HOME")}
    settings = {
        "PYTHONBREAKPOINT": "0",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(home),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TQDM_MININTERVAL": "1",
    }
    return kept | private | settings


def prctl(option: int, value: int) -> bool:
    """Linux prctl(2); False where there is none."""
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)


def limit_self(cpu_seconds: int, file_bytes: int = 64 << 20) -> list[str]:
    """Resource limits of this process: CPU, file size, no core. Returns the names of those in force."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    done = []
    wanted = {
        "cpu": (resource.RLIMIT_CPU, cpu_seconds),
        "file size": (resource.RLIMIT_FSIZE, file_bytes),
        "core": (resource.RLIMIT_CORE, 0),
    }
    for name, (kind, value) in wanted.items():
        try:
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            resource.setrlimit(kind, (value, value))
            done.append(name)
        except (OSError, ValueError):
            pass
    return done
