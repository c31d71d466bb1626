"""Runs a node's module whose disk begins to fail: `python -m tests.processes.no_sync MODULE ARGUMENTS`.

At SIGUSR1 a seccomp filter is put in, by which the kernel answers fsync, fdatasync and msync of this process with EIO.
The program under test is as it is. Source: seccomp(2), linux/filter.h; x86-64 and arm64.
"""

import ctypes
import errno
import platform
import runpy
import signal
import struct
import sys
from types import FrameType

PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 38, 1, 1
LOAD_NUMBER = (0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS, offset of seccomp_data.nr
JUMP_EQUAL, RETURN = 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000 | errno.EIO
# seccomp, then what is to fail: fsync, fdatasync, msync
SYSCALLS = {"x86_64": (317, 74, 75, 26), "aarch64": (277, 82, 83, 227)}


def fail_syncs(_number: int, _frame: FrameType | None) -> None:
    """From now on, in all threads."""
    seccomp, *failing = SYSCALLS[platform.machine()]
    program = [LOAD_NUMBER]
    for at, syscall in enumerate(failing):
        program.append((JUMP_EQUAL, len(failing) - at, 0, syscall))
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, FAIL)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, ctypes.byref(described)
    ):
        raise OSError(ctypes.get_errno(), "no seccomp filter here")


def main() -> None:
    signal.signal(signal.SIGUSR1, fail_syncs)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
