"""How an attempt fails for reasons that lie outside of its stage."""

from __future__ import annotations

import errno

from gpu_runner import protocol

INPUT_MISSING = protocol.Failed(
    code="input-missing",
    cause="an input of the stage is not in the object store any more",
    remedy="Upload the files again and start a new job",
    retryable=False,
)
STORE_AWAY = protocol.Failed(
    code="store-unavailable",
    cause="the object store could not be reached, or gave something else than was put in",
    remedy="Check that the object store is running and has space; the stage is tried again",
    retryable=True,
)
DISK_FULL = protocol.Failed(
    code="disk-full",
    cause="the runner's scratch disk is full",
    remedy="Make room in the folder that MYSPINBOT_SCRATCH names; the stage is tried again",
    retryable=True,
)


def is_full_disk(error: BaseException) -> bool:
    """Whether something could not be written for want of room, or of a quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
