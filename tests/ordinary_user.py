"""Runs Python as an ordinary user: `python tests/ordinary_user.py -m pytest -m attacks`.

For root on Linux, to try what a student without rights has. An interpreter or a checkout in a folder that only root
may pass stays reachable: in a mount namespace of its own, that folder is covered and what is needed put back.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from grader.engine.worker.walls import namespaces  # noqa: E402
from grader.engine.worker.walls.libc import libc  # noqa: E402

UID = 20_001  # nobody's


def open_what_is_needed() -> None:
    """Cover folders that only root may pass, and put the interpreter and the checkout back."""
    needed = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, ROOT)}
    closed = {folder for path in needed if (folder := namespaces.first_closed(path))}
    if closed:
        libc("unshare", namespaces.CLONE_NEWNS)
        namespaces.mount("none", "/", "", namespaces.MS_REC | namespaces.MS_PRIVATE)
        kept = [(p, os.open(p, os.O_PATH)) for p in needed if namespaces.under(p, closed)]
        for folder in closed:
            namespaces.mount("tmpfs", folder, "tmpfs", 0, "mode=755")
        for path, descriptor in kept:
            namespaces.put_back(path, descriptor)


def main(arguments: list[str]) -> None:
    open_what_is_needed()
    home = tempfile.mkdtemp(prefix="ordinary-user-")
    os.chown(home, UID, UID)
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.environ |= {"HOME": home, "TMPDIR": home, "HYPOTHESIS_STORAGE_DIRECTORY": home, "USER": "ordinary"}
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
