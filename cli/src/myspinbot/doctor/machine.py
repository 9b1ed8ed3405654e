"""The machine: space, memory, graphics card, clock."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from myspinbot.doctor.findings import Finding, failed, passed, warned
from myspinbot.screen import size

GB = 1_000_000_000
LEAST_DISK, GOOD_DISK = 1 * GB, 5 * GB
LEAST_MEMORY, GOOD_MEMORY = int(1.5 * GB), 4 * GB
"""The main job needs about 1.2 GB beside the 0.5 GB of the system itself."""
_CUDA = re.compile(r"^cuda\b[^=]*=\s*'([^']+)'", re.MULTILINE)
_SKEW = timedelta(seconds=5)


def check(folder: Path) -> Iterator[Finding]:
    """Everything about the machine; `folder` is where the data is or will be."""
    yield space(folder)
    if (memory_bytes := available_memory()) is not None:
        yield memory(memory_bytes, os.cpu_count() or 1)
    yield graphics(nvidia_driver(), torch_cuda())


def space(folder: Path) -> Finding:
    """Whether there is room where a folder is or will be."""
    place = _nearest(folder)
    return disk(place, shutil.disk_usage(place).free)


def disk(folder: Path, free: int) -> Finding:
    """Whether there is room for jobs; `free` in bytes."""
    told = f"{size(free)} free at {folder}"
    if free >= GOOD_DISK:
        return passed("disk", told)
    remedy = "Delete jobs (`myspinbot delete`) or other files, or move the data with --home."
    if free >= LEAST_DISK:
        return warned("disk", f"Only {told}.", remedy)
    return failed("disk", f"Only {told}: the log and the object store would stop.", remedy)


def memory(available: int, processors: int) -> Finding:
    """Whether a training fits; `available` in bytes."""
    told = f"{size(available)} available, {processors} processors"
    if available >= GOOD_MEMORY:
        return passed("memory", told)
    if available >= LEAST_MEMORY:
        return warned("memory", f"{told}: large jobs may be slow.", "Close other programs.")
    return failed(
        "memory", f"{told}: a training would not fit.", "Close other programs, or add swap."
    )


def graphics(driver: str | None, cuda: str | None) -> Finding:
    """Whether a card that is there can be used: driver version, CUDA version of PyTorch."""
    if driver is None:
        return passed("graphics", "no NVIDIA card; the built-in engines need none")
    if cuda is None:
        return warned(
            "graphics",
            f"There is an NVIDIA card (driver {driver}), and PyTorch is built without CUDA.",
            "Run `make clean setup` without TORCH_INDEX, so that PyTorch comes with CUDA.",
        )
    return passed("graphics", f"NVIDIA driver {driver}, PyTorch for CUDA {cuda}")


def clock(served: datetime, sent: datetime, received: datetime) -> Finding:
    """Whether the system's clock and ours agree; `served` is its time between the other two."""
    skew = max(sent - served - timedelta(seconds=1), served - received, timedelta(0))
    if skew <= _SKEW:
        return passed("clock", f"agrees with the system's, {received.astimezone():%Y-%m-%d %H:%M}")
    return warned(
        "clock",
        f"The clocks of this machine and of the system are {skew.total_seconds():.0f} s apart: "
        "times left and signed links go wrong.",
        "Turn on time synchronisation on both: sudo timedatectl set-ntp true",
    )


def newest(folder: Path, now: datetime) -> Finding | None:
    """A finding if files of the home are of the future, as after a clock that was set back."""
    try:
        written = datetime.fromtimestamp((folder / "stack.json").stat().st_mtime, UTC)
    except OSError:
        return None
    if written <= now + _SKEW:
        return None
    return warned(
        "clock",
        f"The system last ran at {written.astimezone():%Y-%m-%d %H:%M}, which is yet to come.",
        "Set the clock right: sudo timedatectl set-ntp true",
    )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that programs can still get, or None where that is not told."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def nvidia_driver(path: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of the NVIDIA driver, or None without one."""
    try:
        found = re.search(r"Module\s+(?:for x86_64\s+)?(\d+[\d.]*)", path.read_text())
    except OSError:
        return None
    return found[1] if found else "of unknown version"


def torch_cuda() -> str | None:
    """The CUDA version that PyTorch was built for, read without loading PyTorch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    found = _CUDA.search((Path(spec.origin).parent / "version.py").read_text())
    return found[1] if found else None


def _nearest(folder: Path) -> Path:
    """The folder, or the closest one above it that is there."""
    return next(each for each in (folder, *folder.parents) if each.exists())
