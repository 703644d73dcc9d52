"""Sees that something was saved: by the contents of the files, whatever wakes it.

watchfiles tells within 20 ms, however an editor saves (it watches folders, so a file may be replaced by another of its
name). Where it is missing or fails, and in any case once a second, the files are simply read again: network drives
tell nobody, and a folder that is deleted and comes back is another folder.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from grader.engine.contract import Contract
from grader.engine.submission.safe_files import Tree

STEP, TOGETHER = 10, 60  # milliseconds: what is saved so soon after another file, and how long that may go on
LOOK_SECONDS = 1.0  # between two looks where nobody tells of a change
POLL_SECONDS = 0.25  # where nobody can
SETTLE_SECONDS, SETTLE_STEP = 0.3, 0.01  # a file that vanished or is empty is waited for: it is being saved
KINDS = (".py", ".ipynb")
FILE_BYTES = 20_000_000
MOST_FOLDERS = 50

Contents = dict[Path, str]  # file -> digest of its content, or what is odd about it


class Saves:
    """Calls `changed` with the files' names whenever what a submission is made of has another content.

    path: a folder or a notebook. It runs in a thread of its own.
    """

    def __init__(self, path: Path, contract: Contract, changed: Callable[[tuple[str, ...]], None]):
        self.path, self.contract, self.changed = path, contract, changed
        self.ending = threading.Event()
        self.known = self.look()
        self.thread = threading.Thread(target=self.watch, name="saves", daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.ending.set()

    def watch(self) -> None:
        for _ in self.wakes():
            if self.ending.is_set():
                return
            found = self.settled()
            if found != self.known:
                names = sorted({path.name for path, _ in set(found.items()) ^ set(self.known.items())})
                self.known = found
                self.changed(tuple(names))

    def wakes(self) -> Iterator[None]:
        """Yields whenever it is time to look."""
        while not self.ending.is_set():
            folders = self.folders()
            try:
                import watchfiles

                for _ in watchfiles.watch(
                    *folders,
                    watch_filter=None,
                    step=STEP,
                    debounce=TOGETHER,
                    rust_timeout=int(1000 * LOOK_SECONDS),
                    yield_on_timeout=True,
                    stop_event=self.ending,
                    raise_interrupt=False,
                    recursive=False,
                ):
                    yield
                    if self.folders() != folders:
                        break
            except Exception:  # it is missing, the folder is gone, the system has no watches left: then by looking
                self.ending.wait(POLL_SECONDS)
                yield

    def folders(self) -> dict[Path, tuple[int, int]]:
        """The folders to watch, each with what tells it from another of the same name."""
        try:
            top = self.path if self.path.is_dir() else self.path.parent
            inner = [entry for entry in sorted(top.iterdir()) if entry.name[0] not in "._" and entry.is_dir()]
            seen = {folder: folder.stat() for folder in [top, *(inner if top == self.path else [])][:MOST_FOLDERS]}
        except OSError:
            return {}
        return {folder: (stat.st_dev, stat.st_ino) for folder, stat in seen.items()}

    def look(self) -> Contents:
        """What the files hold now."""
        found: Contents = {}
        for folder in self.folders():
            tree = Tree(folder)
            for name in tree.names():
                if name.endswith(KINDS) and (folder / name == self.path or self.path.suffix != KINDS[1]):
                    content, problem = tree.read(name, FILE_BYTES)
                    found[folder / name] = problem or hashlib.sha256(content).hexdigest()
        return found

    def settled(self) -> Contents:
        """The same; a file that is gone or empty and was not is given a moment to come back."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            found = self.look()
            gone = [path for path, held in self.known.items() if len(held) == 64 and len(found.get(path, "")) != 64]
            if not gone or time.monotonic() > deadline or self.ending.is_set():
                return found
            time.sleep(SETTLE_STEP)
