"""Runs Python where namespaces are forbidden: `python tests/no_namespaces.py [--container] -m pytest grader/`.

As Ubuntu 24.04 does to ordinary users, and Docker to everybody. With --container root has only what Docker leaves it.
Together with the other one: `python tests/ordinary_user.py tests/no_namespaces.py -m pytest grader/`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests")]

from ordinary_user import open_what_is_needed  # noqa: E402

from grader.engine.worker.walls.libc import libc  # noqa: E402
from grader.engine.worker.walls.limits import PR_SET_NO_NEW_PRIVS, prctl  # noqa: E402
from grader.engine.worker.walls.seccomp import load_filter  # noqa: E402

UNSHARE, MOUNT, SETNS = (272, 165, 308) if platform.machine() == "x86_64" else (97, 40, 268)
CLONE3 = 435
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = (
    0x20,
    0x15,
    0x06,
)  # linux/bpf_common.h; word 0 is the call
ERRNO, ALLOW = 0x0005_0000, 0x7FFF_0000  # linux/seccomp.h
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
# audit_write, setfcap: the default of Docker (docs.docker.com/engine/containers/run, "Runtime privilege")
DOCKER = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)


def program() -> bytes:
    """The filter as an array of struct sock_filter: (code, jump if true, jump if false, value)."""
    refused = {UNSHARE: errno.EPERM, MOUNT: errno.EPERM, SETNS: errno.EPERM, CLONE3: errno.ENOSYS}
    steps = [(LOAD_NUMBER, 0, 0, 0)]
    for number, error in refused.items():
        steps += [(JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | error)]
    return b"".join(struct.pack("HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])


def drop_capabilities() -> None:
    """Keep what Docker leaves to root."""
    for number in range(64):
        if number not in DOCKER and prctl_value(PR_CAPBSET_READ, number) == 1:
            prctl_value(PR_CAPBSET_DROP, number)
    kept = sum(1 << number for number in DOCKER)
    words = (ctypes.c_uint32 * 6)(kept & 0xFFFF_FFFF, kept & 0xFFFF_FFFF, 0, kept >> 32, kept >> 32, 0)
    libc("capset", (ctypes.c_uint32 * 2)(0x2008_0522, 0), words)


def prctl_value(option: int, number: int) -> int:
    return ctypes.CDLL(None).prctl(option, ctypes.c_ulong(number), 0, 0, 0)


def main(arguments: list[str]) -> None:
    container = arguments[0] == "--container"
    if os.geteuid() == 0:
        open_what_is_needed()
    else:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    load_filter(program())
    if container:
        drop_capabilities()
    os.execv(sys.executable, [sys.executable, *arguments[container:]])


if __name__ == "__main__":
    main(sys.argv[1:])
