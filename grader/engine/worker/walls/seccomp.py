"""A second wall behind the others: system calls no assignment needs are refused (seccomp, by libseccomp).

Made once in the server with `pyseccomp`, where that is installed (`pip install -e ".[confined]"` in the repository's
folder); each child only loads the finished program.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import socket
import tempfile

from grader.engine.worker.walls.limits import prctl_pointer

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
# io_uring goes past filters on the calls it stands for; what shmget makes counts as nobody's memory once it is let
# go of (libraries share theirs by POSIX, in /dev/shm); inotify tells what others open; the rest are doors into the
# kernel or other processes
REFUSED = (
    "io_uring_setup", "io_uring_enter", "io_uring_register", "ptrace", "process_vm_readv", "process_vm_writev",
    "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "mount",
    "umount2", "pivot_root", "chroot", "setns", "unshare", "move_mount", "open_tree", "fsopen", "fsmount",
    "mount_setattr", "init_module", "finit_module", "kexec_load", "reboot", "swapon", "acct", "syslog", "quotactl",
    "memfd_create", "memfd_secret", "io_setup", "name_to_handle_at", "open_by_handle_at", "settimeofday",
    "clock_settime", "fanotify_init", "vhangup", "shmget", "semget", "msgget",
    "inotify_init", "inotify_init1",
)  # fmt: skip
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: see clone(2)
NAMESPACES = (1 << 17, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30)
LOCAL_SOCKETS = socket.AF_UNIX if hasattr(socket, "AF_UNIX") else 1


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]


def make_filter() -> bytes:
    """The program that refuses with EPERM, as an array of struct sock_filter; empty where it cannot be made."""
    try:
        pyseccomp = importlib.import_module("pyseccomp")  # not everybody has it
    except Exception:  # not installed, or the system lacks libseccomp
        return b""
    refuse = pyseccomp.ERRNO(errno.EPERM)
    program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in REFUSED:
        try:
            program.add_rule(refuse, name)
        except (OSError, ValueError, RuntimeError):  # unknown to this libseccomp or this architecture
            pass
    for flag in NAMESPACES:
        program.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    # its flags stand in memory, where a filter cannot look; without it the C library takes clone
    program.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    # every kind of socket but the local one, which libraries' worker processes use
    program.add_rule(refuse, "socket", pyseccomp.Arg(0, pyseccomp.NE, LOCAL_SOCKETS))
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def load_filter(code: bytes) -> None:
    """Put it in force for this process and all it starts. Needs no_new_privs. Raises OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if not prctl_pointer(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
