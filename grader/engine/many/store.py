"""Finished runs in one SQLite file: each is there whole or not at all, whatever ends the process."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from grader.engine import reports

TABLES = ("runs", "before")
BUSY_SECONDS = 30.0  # how long somebody else who looks into the file may take
FULL = ("disk is full", "disk I/O error")  # as SQLite says it; a quota that is used up is the second


class CannotKeep(OSError):
    """Results cannot be kept, or written; the message is one sentence: what, where, and what to do."""


class Store:
    """key -> (told, evidence): what can be said in JSON, and arrays. Usable from several threads.

    A second one for the same file, in whatever process, is refused. Everything here raises CannotKeep.
    """

    def __init__(self, path: Path):
        self.path, self.changing = path, threading.Lock()
        lock = FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
        with self.trouble():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except NotImplementedError:
                pass  # a file system without locks: nobody can be kept away there
            self.lock = lock
            self.file = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
            try:
                self.open()
            except BaseException:
                self.close()
                raise

    def open(self) -> None:
        self.file.execute("PRAGMA synchronous = FULL")
        found = self.file.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        with self.file:
            for table in TABLES:
                columns = "key TEXT PRIMARY KEY, told TEXT NOT NULL, evidence BLOB NOT NULL"
                self.file.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns}) WITHOUT ROWID")

    def put(self, key: str, told: Mapping[str, Any], evidence: Mapping[str, np.ndarray] | None = None) -> None:
        row = (key, json.dumps(told, ensure_ascii=True), packed(evidence or {}))
        with self.trouble(), self.changing, self.file:
            self.file.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", row)

    def get(self, key: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        with self.trouble(), self.changing:
            found = self.file.execute("SELECT told, evidence FROM runs WHERE key = ?", (key,)).fetchone()
        return None if found is None else (json.loads(found[0]), unpacked(found[1]))

    def __contains__(self, key: str) -> bool:
        with self.trouble(), self.changing:
            return self.file.execute("SELECT 1 FROM runs WHERE key = ?", (key,)).fetchone() is not None

    def told(self, table: str = "runs") -> dict[str, dict[str, Any]]:
        """{key: told} of all runs, without the arrays. table: "before" for those that were set aside"""
        with self.trouble(), self.changing:
            return told_in(self.file, table)

    def set_aside(self) -> None:
        """From now on all runs are those of before; where there are none, those of before stay what they are."""
        with self.trouble(), self.changing, self.file:
            if self.file.execute("SELECT 1 FROM runs").fetchone() is not None:
                self.file.execute("DELETE FROM before")
                self.file.execute("INSERT INTO before SELECT * FROM runs")
                self.file.execute("DELETE FROM runs")

    def close(self) -> None:
        """What cannot be closed any more (the disk is full) has been said."""
        try:
            self.file.close()
        except sqlite3.Error:
            pass
        self.lock.release()

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Turns what goes wrong with the file into a sentence."""
        try:
            yield
        except Timeout as error:
            raise CannotKeep(
                f"Another run is writing to {self.path.parent} now; wait until it has ended, or give another --out."
            ) from error
        except (sqlite3.Error, OSError) as error:
            raise CannotKeep(sentence(self.path, error)) from error


def sentence(path: Path, error: Exception) -> str:
    why = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
    if any(word in why for word in FULL) or "No space" in why:
        return f"{path} takes no more results ({why}): make room on the disk and start again; what is in it is kept."
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return f"{path} is damaged ({why}): move it away, or take it from a backup, and start again."
    return f"The folder {path.parent} cannot be written ({why}); give another --out."


def told_in(file: sqlite3.Connection, table: str = "runs") -> dict[str, dict[str, Any]]:
    assert table in TABLES
    return {key: json.loads(told) for key, told in file.execute(f"SELECT key, told FROM {table} ORDER BY key")}


def read_told(path: Path) -> dict[str, dict[str, Any]]:
    """{key: told} of a store that may be in use. Raises CannotKeep where it is none."""
    try:
        file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            return told_in(file)
        finally:
            file.close()
    except sqlite3.Error as error:
        raise CannotKeep(f"{path} cannot be read as a file of finished runs ({error}).") from error


def packed(evidence: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    if evidence:
        np.savez_compressed(buffer, **evidence)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, np.ndarray]:
    return reports.evidence(io.BytesIO(content)) if content else {}
