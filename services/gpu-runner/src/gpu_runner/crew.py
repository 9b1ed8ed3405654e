"""The processes of one stage that is spread over several devices.

The first is the stage's child, which alone speaks to the runner. It starts a mate for each further
device: the same program on the same task, whose results are thrown away. They find each other by
the variables of torch's own launcher (https://docs.pytorch.org/docs/stable/elastic/run.html), and
compute one training together by accelerate. They are in the child's process group and die with it;
if one dies, the exchange with it fails, and so does the stage.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpu_runner import protocol

_LOOPBACK = "127.0.0.1"
_ENDS_WITHIN_S = 10.0


@contextlib.contextmanager
def muster(task: protocol.Task, folder: Path) -> Iterator[None]:
    """Start the mates of a task in `folder`, if it has several devices; end them at last."""
    if len(task.devices) < 2:
        yield
        return
    common = {
        "MASTER_ADDR": _LOOPBACK,
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(len(task.devices)),
    }
    mates = [
        _start(task, folder, rank, {**os.environ, **common, **_place(task, rank)})
        for rank in range(1, len(task.devices))
    ]
    os.environ.update(common | _place(task, 0))
    try:
        yield
    finally:
        for mate in mates:
            with contextlib.suppress(subprocess.TimeoutExpired):
                mate.wait(_ENDS_WITHIN_S)
            mate.kill()
            mate.wait()


def _start(
    task: protocol.Task, folder: Path, rank: int, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    own = Path(tempfile.mkdtemp(prefix=f"mate-{rank}-", dir=folder))
    output, scratch = own / "output", own / "scratch"
    output.mkdir()
    scratch.mkdir()
    mine = task.model_copy(
        update={
            "device": task.devices[rank],
            "devices": (),
            "output": output,
            "scratch": scratch,
        }
    )
    (own / protocol.TASK_FILE).write_text(mine.model_dump_json())
    # What it reports goes nowhere; what it prints goes where the child's own words go.
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "gpu_runner.child", str(own)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _place(task: protocol.Task, rank: int) -> dict[str, str]:
    # Accelerate takes the local rank for the number of the device.
    number = task.devices[rank].partition(":")[2]
    return {"RANK": str(rank), "LOCAL_RANK": number or str(rank)}


def size() -> int:
    """How many processes compute this stage together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_mate() -> bool:
    """Whether this process is not the first of its stage."""
    return int(os.environ.get("RANK", "0")) > 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        return int(listener.getsockname()[1])
