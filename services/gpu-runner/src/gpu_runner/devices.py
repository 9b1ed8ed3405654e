"""Which processors stages can compute on, found without loading what computes."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess

from contracts.capabilities import Device


def find_devices() -> tuple[Device, ...]:
    """CUDA devices, Apple's MPS, or the CPU: the best that there is, the first to be used."""
    return _cuda() or _mps() or (_cpu(),)


def _cuda() -> tuple[Device, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
    listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    if listed.returncode != 0:
        return ()
    rows = [line.split(", ") for line in listed.stdout.strip().splitlines()]
    return tuple(
        Device(name=f"cuda:{index}", title=name, memory_bytes=int(float(mebibytes)) << 20)
        for index, name, mebibytes in rows
    )


def _mps() -> tuple[Device, ...]:
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    return (Device(name="mps", title="Apple GPU", memory_bytes=_memory()),)


def _cpu() -> Device:
    title = f"{os.cpu_count()} x {platform.processor() or platform.machine()}"
    return Device(name="cpu", title=title, memory_bytes=_memory())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
