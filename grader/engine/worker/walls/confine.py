"""Confines the forked child on Linux before it sees a line of student code, and says what is really in force.

Every measure stands alone: what a system lacks is left out, and only what was tried and seen to hold is named.
`confined` is the tier that has all of ESSENTIAL; with less a run is `practice`.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grader.engine.worker.tiers import ESSENTIAL, NotConfined, missing
from grader.engine.worker.walls import landlock, namespaces
from grader.engine.worker.walls.libc import libc
from grader.engine.worker.walls.limits import (
    PR_GET_NO_NEW_PRIVS,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Caps,
    limit_self,
    prctl,
)
from grader.engine.worker.walls.seccomp import load_filter

FIRST_UID = 1_900_000_000  # beyond what systemd hands out (systemd.io/UIDS-GIDS); the process id makes it unique
SHARED_MEMORY = "/dev/shm"
RUN_FOLDER = "grader-run-"  # how the names of a run's own folders begin
DEVICES = ("/dev/zero", "/dev/urandom", "/dev/random")
SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
    "/sys/devices/system/cpu", "/sys/fs/cgroup",
)  # fmt: skip
OWN_PROC = ("cpuinfo", "meminfo", "stat", "filesystems", "sys/vm", "sys/kernel/osrelease", "loadavg", "uptime")


@dataclass(frozen=True)
class Policy:
    """What a child may have.

    tier: "confined" (everything or nothing), "best" (whatever is available) or "practice" (limits only)
    reads: files and folders of this run that it may read; home: the one it may write in
    code, hidden: as in Surroundings
    """

    tier: str
    home: str
    reads: tuple[str, ...] = ()
    caps: Caps = Caps()
    code: tuple[str, ...] = ()
    hidden: str = ""


@cache
def code_paths(code: tuple[str, ...]) -> list[str]:
    """What the interpreter needs to import libraries, and of the grader only what runs beside student code."""
    worker = Path(__file__).resolve().parents[1]
    root = str(worker.parents[2])
    own = [str(worker.parent / "__init__.py"), str(worker), *code]
    paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, *SYSTEM, *own]
    paths += [p for p in sys.path if p and os.path.exists(p) and os.path.realpath(p) != root]
    real = dict.fromkeys(os.path.realpath(path) for path in paths if os.path.exists(path))
    found = [p for p in real if p not in ("/", root) and not root.startswith(p + "/")]
    links = dict.fromkeys(target for folder in found if folder.endswith("-packages") for target in linked(folder))
    return found + [path for path in links if not namespaces.under(path, found) and not root.startswith(path + "/")]


def linked(folder: str) -> Iterator[str]:
    """Where the packages of an installation lie that consists of links: pip makes none, `uv --link-mode=symlink` does.

    A package's folder may be a link, or its files.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield os.path.realpath(entry.path)
            elif entry.is_dir() and os.path.islink(start := os.path.join(entry.path, "__init__.py")):
                yield os.path.dirname(os.path.realpath(start))


def confine(policy: Policy, host_pid: int, parent: int, filter_code: bytes = b"") -> list[str]:
    """Apply a policy to this process, for good. Returns the names of the measures in force, sorted.

    host_pid: this process's id as the server sees it. parent: the server's. Raises NotConfined.
    """
    if policy.tier == "practice":
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        return sorted([*limit_self(policy.caps), *seen(policy, parent, ("no new privileges",))])
    reads = [*code_paths(policy.code), *(os.path.realpath(path) for path in policy.reads)]
    home = os.path.realpath(policy.home)
    done = []
    root, admin = os.geteuid() == 0, namespaces.capable(namespaces.CAP_SYS_ADMIN)
    uid = FIRST_UID + host_pid if root and namespaces.capable(namespaces.CAP_SETUID) else os.geteuid()
    if root:
        for path in policy.reads:
            open_to_all(path)
    sockets = namespaces.named_sockets() if admin else []
    if admin:
        worked(lambda: libc("unshare", namespaces.CLONE_NEWNET))
    other = uid != os.geteuid()
    own_files = admin and worked(lambda: namespaces.private_mounts(reads, home, uid, other, sockets))
    own_proc = own_files and os.getpid() == 1 and worked(lambda: namespaces.mount("proc", "/proc", "proc", 2 | 4 | 8))
    if own_files:
        done.append("private temporary files")
    reachable = own_files or can_reach([*reads, home])
    if uid != os.geteuid() and reachable and worked(lambda: become(uid, home, own_files)):
        done.append("own user")
    os.chdir(home)
    worked(namespaces.drop_capabilities)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    alone = "own user" in done or (admin and not root)  # the limit on processes counts by user and user namespace
    done += limit_self(policy.caps, processes=alone)
    proc = ["/proc"] if own_proc else [f"/proc/{os.getpid()}", *(f"/proc/{name}" for name in OWN_PROC)]
    shared = [SHARED_MEMORY] if os.access(SHARED_MEMORY, os.W_OK) else []
    worked(lambda: landlock.restrict([*reads, *proc, *DEVICES], [home, "/dev/null", *shared]))
    # after the change of user the kernel marks this process undumpable and forgets whose death it dies with
    prctl(PR_SET_DUMPABLE, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if filter_code and worked(lambda: load_filter(filter_code)):
        done.append("system calls")
    done += seen(policy, parent, (*ESSENTIAL, "processes of others"))
    if policy.tier == "confined" and missing(done):
        raise NotConfined(f"not in force here: {', '.join(missing(done))}")
    return sorted(done)


def worked(step: Callable[[], object]) -> bool:
    try:
        step()
    except (OSError, AttributeError):
        return False
    return True


def can_reach(paths: list[str]) -> bool:
    """Whether another user gets to all of these, once the run's own folder lets them pass.

    An interpreter in a folder of root's alone (a version manager in /root) could import nothing as another user.
    """
    closed = (namespaces.first_closed(path) for path in paths)
    return all(folder is None or Path(folder).name.startswith(RUN_FOLDER) for folder in closed)


def become(uid: int, home: str, own_files: bool) -> None:
    """Another user, for good, with no group in common with anybody."""
    if not own_files:  # the real folder then, below one that only root may pass
        os.chown(home, uid, uid)
        for folder in Path(home).parents:
            if folder.name.startswith(RUN_FOLDER):
                folder.chmod(0o711)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def open_to_all(path: str) -> None:
    """Let another user read what was staged for it, whatever root's umask is."""
    for folder, _, files in os.walk(path):
        for entry in (folder, *(os.path.join(folder, name) for name in files)):
            mode = os.lstat(entry).st_mode
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                os.chmod(entry, stat.S_IMODE(mode) | (0o555 if stat.S_ISDIR(mode) else 0o444))


# -- trying whether it holds -----------------------------------------------------------------------------------


def seen(policy: Policy, parent: int, names: tuple[str, ...]) -> list[str]:
    """Those of the measures that hold when they are tried."""
    trials: dict[str, Callable[[], bool]] = {
        "files": lambda: no_files(policy),
        "network": no_network,
        "signals": lambda: no_signals(parent),
        "memory of others": lambda: refused(lambda: os.close(os.open(f"/proc/{parent}/mem", os.O_RDONLY))),
        "no new privileges": lambda: prctl(PR_GET_NO_NEW_PRIVS, 0, expect=1),
        "no privileges": lambda: namespaces.capabilities() == 0,
        "processes of others": lambda: os.getpid() == 1 and not os.path.exists(f"/proc/{parent}/cmdline"),
    }
    return [name for name in names if trials[name]()]


def refused(step: Callable[[], object]) -> bool:
    try:
        step()
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ESRCH, errno.ENETUNREACH, errno.EROFS)
    return False


def no_files(policy: Policy) -> bool:
    """Neither the grader's judging half can be read or touched, nor the root listed, nor the submission written."""
    forbidden = [(policy.hidden or "/", os.O_RDONLY), ("/", os.O_RDONLY), ("/etc/passwd", os.O_RDONLY)]
    forbidden += [(path, os.O_RDWR | os.O_TMPFILE) for path in policy.reads if os.path.isdir(path)]
    own = [str(Path(__file__).resolve()), *policy.reads]  # the owner of a file may do this past Landlock
    if not all(refused(lambda p=path: os.chmod(p, stat.S_IMODE(os.stat(p).st_mode))) for path in own):  # type: ignore[misc]
        return False
    return all(refused(lambda p=path, f=flags: os.close(os.open(p, f))) for path, flags in forbidden)  # type: ignore[misc]


def no_network() -> bool:
    """UDP even to this machine itself; a filter may already refuse to make the socket."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"", ("127.0.0.1", 9))

    def connect() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.settimeout(0.2)
            tcp.connect(("127.0.0.1", 9))

    return refused(send) and refused(connect)


def no_signals(parent: int) -> bool:
    """Signal 0 only asks for permission; in a process namespace of its own the child has no name for the server."""
    if os.getpid() == 1:
        return os.getppid() == 0
    return refused(lambda: os.kill(parent, 0))
