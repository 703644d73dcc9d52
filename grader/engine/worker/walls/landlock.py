"""Landlock: a Linux process gives up files, TCP, signals and the memory of others, without any privilege.

The three system calls by ctypes (https://docs.kernel.org/userspace-api/landlock.html): of the bindings that were
tried one left TCP and signals allowed, and the other is a first release that takes four times as long.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable

from grader.engine.worker.walls.libc import libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
VERSION_FLAG, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = EXECUTE | READ_FILE | READ_DIR
FILE_RIGHTS = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14  # 1 << 14: truncate
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 5: 16}  # how many file rights a version of the interface knows
TCP = 3  # bind and connect, from version 4
SCOPES = 3  # abstract sockets and signals, from version 6


class Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def syscall(number: int, *arguments: object) -> int:
    return libc("syscall", ctypes.c_long(number), *arguments)


def version() -> int:
    """The kernel's version of the interface; 0 where it has none or it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION_FLAG)
    except OSError:
        return 0


def restrict(read: Iterable[str], write: Iterable[str]) -> int:
    """Leave this process only these paths (and what is below them). Needs no_new_privs.

    read: may be read and executed; write: everything but devices may be done there; paths that are not there are
    skipped. Returns the version in force. Raises OSError.
    """
    abi = version()
    if not abi:
        raise OSError("this kernel has no Landlock")
    handled = (1 << max(count for since, count in RIGHTS_BY_ABI.items() if since <= abi)) - 1
    rules = Ruleset(handled, TCP if abi >= 4 else 0, SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24  # older kernels refuse fields they do not know, unless zero
    ruleset = syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    try:
        for paths, rights in ((read, READ), (write, handled & ~EXECUTE)):
            for path in paths:
                allow(ruleset, path, rights & handled)
        syscall(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= FILE_RIGHTS
        rule = PathBeneath(rights, descriptor)
        syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
