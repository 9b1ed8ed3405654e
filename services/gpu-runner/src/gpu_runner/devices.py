"""Which processors stages can compute on, found without loading what computes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from contracts.capabilities import Device


def find_devices() -> tuple[Device, ...]:
    """CUDA devices, Apple's MPS, or the CPU: the best that there is, the first to be used."""
    return _cuda() or _mps() or (_cpu(),)


def _cuda() -> tuple[Device, ...]:
    rows = _ask_nvidia("index,name,memory.total")
    return tuple(
        Device(name=f"cuda:{index}", title=name, memory_bytes=int(float(mebibytes)) << 20)
        for index, name, mebibytes in rows
    )


def _ask_nvidia(fields: str) -> list[list[str]]:
    """The fields of each GPU, as NVIDIA's own program tells them; none if it is not there."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return []
    if listed.returncode != 0:
        return []
    return [line.split(", ") for line in listed.stdout.strip().splitlines()]


def memory_used(devices: Iterable[Device]) -> dict[str, int]:
    """Bytes in use of each device's memory, by whomever; what cannot be asked is left out."""
    used: dict[str, int] = {}
    names = {device.name for device in devices}
    if any(name.startswith("cuda:") for name in names):
        used |= {name: count for name, count in _cuda_used() if name in names}
    if "cpu" in names and (free := memory_free()) is not None:
        used["cpu"] = _memory() - free
    return used


def _cuda_used() -> list[tuple[str, int]]:
    rows = _ask_nvidia("index,memory.used")
    return [(f"cuda:{index}", int(float(mebibytes)) << 20) for index, mebibytes in rows]


def memory_free() -> int | None:
    """What new work could have of the machine's memory (proc(5), on Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) << 10 if "MemAvailable" in fields else None


def _mps() -> tuple[Device, ...]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    return (Device(name="mps", title="Apple GPU", memory_bytes=_memory()),)


def _cpu() -> Device:
    title = f"{os.cpu_count()} x {platform.processor() or platform.machine()}"
    return Device(name="cpu", title=title, memory_bytes=_memory())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
