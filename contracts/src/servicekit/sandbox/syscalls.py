"""What a process asks the kernel for, and what a confined one is refused: a seccomp filter.

A list of what is refused, not of what is allowed, since libraries ask for other harmless things
with every release. What it refuses: opening files, sockets, other programs, other processes, and
ways around the filter. See seccomp(2) and Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import platform
import struct
import sys
import threading
from functools import cache

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_MODE_FILTER = 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
# Of classic BPF: load a word, compare it with a constant, return.
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Of struct seccomp_data, on a machine whose low bytes come first, as both below do.
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32 = 0x40000000
_CLONE3, _CLONE_THREAD = 435, 0x00010000

# From asm/unistd_64.h and asm-generic/unistd.h. Those of files: open, creat, openat, openat2,
# open_by_handle_at, and whatever changes a folder. Of sockets: all but reading and writing. A new
# process is refused too, a thread is not: each machine's constant, number of clone, numbers.
_ALIKE = (425, 426, 427, 434, 437, 438)  # io_uring, pidfd_open, openat2, pidfd_getfd
_MACHINES = {
    "x86_64": (
        0xC000003E,
        56,
        (
            "2 85 257 304 82 83 84 86 87 88 90 92 133 258 259 260 263 264 265 266 268 316 41 42 43 "
            "44 46 49 50 53 288 307 57 58 59 322 62 200 234 101 160 165 298 310 311 321 323"
        ),
    ),
    "aarch64": (
        0xC00000B7,
        220,
        (
            "56 265 33 34 35 36 37 38 53 54 276 198 199 200 201 202 203 206 211 242 269 221 281 "
            "129 130 131 117 164 40 241 270 271 280 282"
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


@cache
def supported() -> bool:
    """Whether this kernel and this processor are ones that the filter is for.

    It is tried, in a thread of its own that ends with it: some kernels know the call and refuse it.
    """
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return False
    done: list[bool] = []

    def attempt() -> None:
        with contextlib.suppress(OSError):
            refuse()
            done.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(done)


def refuse() -> None:
    """Refuse these calls to this thread, and to all that it starts, from now on. For good.

    Raises:
        OSError: the kernel does not do it.

    """
    architecture, clone, numbers = _MACHINES[platform.machine()]
    code = _compiled(architecture, clone, (*map(int, numbers.split()), *_ALIKE))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _compiled(architecture: int, clone: int, numbers: tuple[int, ...]) -> bytes:
    """The filter as instructions of (code, steps if true, steps if false, constant)."""
    count = len(numbers)
    flags_at, refuse_at, absent_at = 7 + count, 10 + count, 11 + count
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, refuse_at - 2, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_AT_LEAST, refuse_at - 4, 0, _X32),
        # Its flags lie in memory, where a filter cannot look. Libraries then take the older call.
        (_IF_EQUAL, absent_at - 5, 0, _CLONE3),
        (_IF_EQUAL, flags_at - 6, 0, clone),
        *((_IF_EQUAL, refuse_at - 7 - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_IF_ANY, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
