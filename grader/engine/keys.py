"""The key of an installation: what a run draws comes from the run's seed and this key, so the seed alone tells nothing.

Student code sees a seed of its own, may find the run's seed in a report, and can compute whatever follows from seeds
alone. It cannot read the key (in the tier `confined`; in `practice` it runs as the same user and can).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

APPLICATION = "grader-of-misconceptions"
NAME = "key"
LENGTH = 32  # bytes


class BadKey(ValueError):
    """A key file that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class Key:
    """secret: LENGTH bytes. kept: whether a later run can have the same one."""

    secret: bytes
    kept: bool = True

    def __repr__(self) -> str:
        return f"Key({self.fingerprint})"  # a traceback or a log must not show the secret

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that tell keys apart and lead back to none."""
        return self._mac("fingerprint").hex()[:12]

    def rng(self, seed: int, name: str) -> np.random.Generator:
        """Random numbers of a run; the same key, seed and name give the same numbers."""
        return np.random.default_rng(int.from_bytes(self._mac(f"rng {seed} {name}"), "big"))

    def number(self, seed: int, name: str, bits: int = 31) -> int:
        """One number of a run, of which nothing else of the run can be told."""
        return int.from_bytes(self._mac(f"number {seed} {name}"), "big") >> (256 - bits)

    def _mac(self, text: str) -> bytes:
        return hmac.new(self.secret, text.encode("utf-8"), hashlib.sha256).digest()


def passing_key() -> Key:
    """A key for one run alone: nothing can repeat it."""
    return Key(secrets.token_bytes(LENGTH), kept=False)


def read_key(path: Path) -> Key:
    """The key in a file. Raises BadKey."""
    try:
        text = path.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except OSError as error:
        raise BadKey(f"The key file {path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise BadKey(f"The key file {path} is not a key: it should hold {2 * LENGTH} hexadecimal digits.") from error
    if len(secret) != LENGTH:
        raise BadKey(f"The key file {path} is not a key: it should hold {2 * LENGTH} hexadecimal digits.")
    return Key(secret)


def make_key(path: Path) -> Key:
    """Write a new key, readable by this user alone; if another process was first, take that one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(LENGTH).hex().encode("ascii") + b"\n")
        try:
            os.link(temporary, path)  # fails where the file is there already, unlike a rename
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            if not path.exists():
                os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return read_key(path)


def key_path() -> Path:
    """Where this installation keeps its key: outside every repository, in the user's own data folder."""
    return Path(platformdirs.user_data_path(APPLICATION, appauthor=False)) / NAME


def installation_key() -> Key:
    """The key of this user on this machine, made at first use; where it cannot be kept, one for this run alone."""
    path = key_path()
    try:
        return read_key(path) if path.exists() else make_key(path)
    except (OSError, BadKey):
        return passing_key()
