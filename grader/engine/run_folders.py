"""Temporary folders of a run, what is left of runs that could not tidy up, and files that must not get lost in them.

Each folder holds a lock of the process that made it. The system lets go of the lock when that process ends, however it
ends and whatever container it ran in; so a folder whose lock can be had belongs to nobody any more.
"""

from __future__ import annotations

import atexit
import os
import stat
import tempfile
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from grader.engine.worker.processes import remove_tree

PREFIX = "grader-run-"
LOCK = "in-use"

HELD: dict[Path, BaseFileLock] = {}  # this process's own folders


@atexit.register
def remove_held() -> None:
    """What a run that was interrupted while it began could not remove. A forked child leaves without coming here."""
    for folder in list(HELD):
        remove_folder(folder)


def private_folder() -> Path:
    """A new temporary folder of this process, until `remove_folder`."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        if hold(folder):
            return folder


def hold(folder: Path) -> bool:
    """Lock a folder for as long as this process lives. False when a sweep was there first."""
    try:
        lock = locked(folder)
    except (Timeout, FileNotFoundError, FileExistsError):  # the last two: it vanished while it was being locked
        return False
    except (OSError, NotImplementedError):  # a file system without locks: nobody can sweep there either
        return True
    if not (folder / LOCK).exists():  # a sweep had it in the moment before
        lock.release()
        return False
    HELD[folder] = lock
    return True


def locked(folder: Path) -> BaseFileLock:
    """The lock of a folder. Raises Timeout when somebody has it, OSError or NotImplementedError when there is none."""
    lock = FileLock(folder / LOCK, thread_local=False)
    lock.acquire(timeout=0)
    return lock


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it, and let go of it."""
    lock = HELD.pop(folder, None)
    if lock is not None:
        lock.release()  # before: Windows removes no file that is open
    remove_tree(folder)


def sweep_stale() -> None:
    """Remove folders of runs that ended without having tidied up (a power cut, a kill)."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder in HELD or not is_ours(folder):
            continue
        try:
            lock = locked(folder)
        except (OSError, NotImplementedError):
            continue
        # while the lock is held: whoever is just making this folder sees that it is lost
        remove_tree(folder)
        lock.release()
        if os.name == "nt":  # the lock's file was open; elsewhere a new owner's could be there by now
            remove_tree(folder)


def is_ours(folder: Path) -> bool:
    """Whether it is a folder, no link, of the user who runs this process."""
    try:
        seen = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and (not hasattr(os, "getuid") or seen.st_uid == os.getuid())


class KeptFiles:
    """Files of ours that lie where student code runs, in a run's folder: put back when somebody has deleted them."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.contents: dict[Path, bytes] = {}

    def keep(self, path: Path) -> None:
        """Remember every file below `path`."""
        for file in path.rglob("*"):
            if file not in self.contents and file.is_file():
                self.contents[file] = file.read_bytes()

    def missing(self) -> list[Path]:
        return [file for file in self.contents if not file.is_file()]

    def put_back(self) -> None:
        """Write what is missing again. Raises OSError."""
        if not (self.folder / LOCK).is_file():
            if lock := HELD.pop(self.folder, None):
                lock.release()
            self.folder.mkdir(mode=0o700, exist_ok=True)
            if not is_ours(self.folder) or not hold(self.folder):
                raise OSError(f"the run's folder {self.folder} has been taken by somebody else")
        for file in self.missing():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.contents[file])
