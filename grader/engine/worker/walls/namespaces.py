"""Linux namespaces: processes, mounts and a network of a child's own. See namespaces(7) and mount(2).

By ctypes, because Python has unshare and setns only from 3.12 on, and mount not at all. Root makes namespaces
directly; anybody else first enters a user namespace, which not every system permits.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from grader.engine.worker.walls.libc import libc

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x0002_0000, 0x0800_0000, 0x1000_0000
CLONE_NEWPID, CLONE_NEWNET = 0x2000_0000, 0x4000_0000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x4_0000
MOUNT_SETATTR, MOUNT_ATTR_RDONLY, AT_FDCWD, AT_RECURSIVE = 442, 1, -100, 0x8000
CAP_SYS_ADMIN, CAP_SETUID = 21, 7
CAPABILITY_VERSION = 0x2008_0522  # _LINUX_CAPABILITY_VERSION_3: two words per set
COVERED = ("/tmp", "/var/tmp", "/run", "/dev/shm")  # where others leave files and sockets
BOUND = "/proc/net/unix"  # the sockets that have a name; see proc_net(5)
OWN_FILES = "size=268435456,nr_inodes=4096"  # what a child may write in all, in each of its folders: 256 MB


def capabilities() -> int:
    """The capabilities in force for this process in its user namespace, one bit each. Raises OSError. See capget(2)."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    words = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable of the lower 32 bits; then of the upper
    libc("capget", header, words)
    return int(words[0]) | int(words[3]) << 32


def capable(number: int) -> bool:
    return bool(capabilities() >> number & 1)


def enter_user_namespace() -> None:
    """Take a user namespace of our own where that is needed and permitted. Call before there are threads.

    It is tried in a fork first: where the system grants the namespace and then no rights in it (AppArmor on
    Ubuntu 24.04), this process stays outside.
    """
    if capable(CAP_SYS_ADMIN):
        return
    pid = os.fork()
    if pid == 0:
        try:
            become_mapped()
            libc("unshare", CLONE_NEWNS | CLONE_NEWNET)
            os._exit(0)
        except BaseException:
            os._exit(1)
    if os.waitpid(pid, 0)[1] == 0:
        become_mapped()


def become_mapped() -> None:
    uid, gid = os.geteuid(), os.getegid()
    libc("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", "ascii")  # a group map needs it: user_namespaces(7)
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", "ascii")


def drop_capabilities() -> None:
    """Give up every capability, for good."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    libc("capset", header, none)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    libc("mount", source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())


def named_sockets() -> list[str]:
    """The paths of the local sockets that others listen on. Ask before there is a network namespace of our own.

    With all that lie in the same folders: a socket may have been given another name since. Those with a relative path,
    and those of other network namespaces, are not known.
    """
    try:
        lines = re.split(rb"\n(?=[0-9a-f]{8,16}: )", Path(BOUND).read_bytes().removesuffix(b"\n"))
    except OSError:
        return []
    paths = {os.fsdecode(one[7]) for line in lines if len(one := line.split(maxsplit=7)) == 8}
    folders = {os.path.dirname(path) for path in paths if path.startswith("/")}
    return sorted(path for folder in folders if not under(folder, COVERED) for path in sockets_in(folder))


def sockets_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            odd = [e.path for e in entries if not (e.is_file(follow_symlinks=False) or e.is_dir(follow_symlinks=False))]
    except OSError:  # out of reach, for the child too
        return []
    return [path for path in odd if is_socket(path)]


def private_mounts(reads: Iterable[str], home: str, uid: int, everybody: bool, sockets: Iterable[str]) -> None:
    """In namespaces of its own: cover what belongs to others, and put back what the child needs.

    reads: real paths of files and folders that must stay reachable. home: becomes an empty folder in memory.
    everybody: the child will be another user, so folders closed to others are covered and bridged too. sockets: paths
    to which no connection may be made: neither Landlock nor a read-only mount stops connect(2). Raises OSError.
    """
    libc("unshare", CLONE_NEWNS | CLONE_NEWIPC)
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    make_read_only("/")  # for what Landlock leaves to the owner of a file: its mode, its times, its attributes
    wanted = [*reads, home]
    covers = [path for path in COVERED if os.path.isdir(path) and os.path.realpath(path) == path]
    if everybody:
        covers += {closed for path in wanted if (closed := first_closed(path)) and not under(closed, covers)}
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in wanted if under(path, covers)]
    for cover in covers:
        # only shared memory is writable there: what else a child writes belongs into its home
        options = f"mode=1777,{OWN_FILES}" if cover == "/dev/shm" else "mode=755,size=1m"
        mount("tmpfs", cover, "tmpfs", MS_NOSUID | MS_NODEV, options)
    for path in sockets:
        if not under(path, covers):
            hide_socket(path)
    for path, descriptor in kept:
        put_back(path, descriptor)
        os.close(descriptor)
    mount("tmpfs", home, "tmpfs", MS_NOSUID | MS_NODEV, f"mode=700,uid={uid},{OWN_FILES}")


def hide_socket(path: str) -> None:
    try:
        mount("/dev/null", path, "", MS_BIND)
    except OSError:
        if is_socket(path):  # and has not gone meanwhile
            raise


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


def make_read_only(path: str) -> None:
    """A mount and all below it, in this namespace only. mount_setattr(2) is there from Linux 5.12 on."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
    here, size = ctypes.c_int(AT_FDCWD), ctypes.c_size_t(ctypes.sizeof(attributes))
    libc("syscall", ctypes.c_long(MOUNT_SETATTR), here, path.encode(), AT_RECURSIVE, attributes, size)


def put_back(path: str, descriptor: int) -> None:
    """Bind what a descriptor holds to its old path, below a cover."""
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(f"/proc/self/fd/{descriptor}", path, "", MS_BIND | MS_REC)


def under(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def first_closed(path: str) -> str | None:
    """The outermost folder above `path` that other users may not pass, or None."""
    for folder in reversed(Path(path).parents):
        if not os.stat(folder).st_mode & stat.S_IXOTH:
            return str(folder)
    return None
