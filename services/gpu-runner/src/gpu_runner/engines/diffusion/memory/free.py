"""How much memory new work could have, on a GPU or of the machine's own."""

from __future__ import annotations

from pathlib import Path

import torch

from gpu_runner.devices import memory_free

_ROOT = Path("/sys/fs/cgroup")
_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat")
_V2 = ("memory.max", "memory.current", "memory.stat")
_REUSABLE = ("inactive_file", "total_inactive_file")
"""What the kernel keeps of files, and gives up when asked for memory."""


def free_on(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where that cannot be asked."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch has taken and does not use is free for what comes.
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    known = [one for one in (memory_free(), free_of_group()) if one is not None]
    return min(known, default=None)


def free_of_group(root: Path = _ROOT) -> int | None:
    """What the limit of a container leaves; None without one.

    Kernel documentation: admin-guide/cgroup-v2 ("memory.max") and cgroup-v1/memory. Inside of a
    container its own group is at the root.
    """
    for names in (_V2, _V1):
        try:
            limit, used, stat = ((root / name).read_text() for name in names)
            rest = int(limit) - int(used)
        except (OSError, ValueError):
            continue
        reusable = [
            int(count)
            for name, _, count in (line.partition(" ") for line in stat.splitlines())
            if name in _REUSABLE
        ]
        return max(0, rest + max(reusable, default=0))
    return None
