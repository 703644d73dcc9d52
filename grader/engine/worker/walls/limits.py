"""Limits a process sets on itself, where the system has them, and the clean surroundings it starts in."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from grader.engine.worker.walls.libc import library

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39

# What a student process sees of the environment: nothing that names a token, a user or a submission.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT")
PRIVATE = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "TORCH_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")


@dataclass(frozen=True)
class Caps:
    """What one process may use: CPU seconds, bytes of memory of its own and of one file, open files, processes."""

    cpu_seconds: int = 95
    memory_bytes: int = 2_000_000_000
    file_bytes: int = 64 << 20
    open_files: int = 128  # each can hold memory that belongs to no process: a filled pipe, a socket, a shared file
    processes: int = 64


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of the worker: an allow-list, a private HOME and temporary folder, one thread per process."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in KEPT}
    private = {name: str(home) for name in PRIVATE}
    settings = {
        "PYTHONBREAKPOINT": "0",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "LOGNAME": "student",  # a user without an entry in the system's list has no name to ask for
        "USER": "student",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TQDM_MININTERVAL": "1",
    }
    return kept | private | settings


def prctl(option: int, value: int, expect: int = 0) -> bool:
    """Linux prctl(2): whether it returned `expect`; False where there is none."""
    if not sys.platform.startswith("linux"):
        return False
    zero = ctypes.c_ulong(0)
    found = library().prctl(option, ctypes.c_ulong(value), zero, zero, zero)
    return bool(found == expect)


def prctl_pointer(option: int, value: int, address: int) -> bool:
    """prctl(2) with a pointer as its third argument."""
    zero = ctypes.c_ulong(0)
    arguments = (ctypes.c_ulong(value), ctypes.c_void_p(address), zero, zero)
    return bool(library().prctl(option, *arguments) == 0)


def limit_self(caps: Caps, processes: bool = False) -> list[str]:
    """Resource limits of this process. Returns the names of those in force.

    processes: limit their number too. The system counts all processes of a user, so this is only for a process that
    has a user, or a user namespace, of its own.
    """
    if resource is None:
        return []
    done = []
    wanted = {
        "cpu": ("RLIMIT_CPU", caps.cpu_seconds),
        "memory": ("RLIMIT_DATA", caps.memory_bytes),  # not RLIMIT_AS: large libraries map several GB they never touch
        "file size": ("RLIMIT_FSIZE", caps.file_bytes),
        "open files": ("RLIMIT_NOFILE", caps.open_files),
        "core": ("RLIMIT_CORE", 1),  # too little for a file, and the value by which Linux starts no program either
    }
    if processes:
        wanted["processes"] = ("RLIMIT_NPROC", caps.processes)
    for name, (which, value) in wanted.items():
        try:
            kind = getattr(resource, which)
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)
            resource.setrlimit(kind, (value, value))
            if resource.getrlimit(kind) == (value, value):
                done.append(name)
        except (AttributeError, OSError, ValueError):
            pass
    if sys.platform == "darwin" and "memory" in done:
        done.remove("memory")  # macOS takes the limit and does not keep it
    return done
