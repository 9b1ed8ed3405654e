"""The programs of the projector as an operator starts them, and what they say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any

from projector_running import environment

from tests.support.broker import NatsServer


async def started(
    server: NatsServer, database_url: str, module: str, *arguments: str, **more: str
) -> Process:
    """The program, begun."""
    values = {**os.environ, **environment(server, database_url), **more}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=values, stdout=PIPE, stderr=DEVNULL
    )


async def lines_of(process: Process) -> list[dict[str, Any]]:
    """All that it still says."""
    said, _ = await process.communicate()
    return [json.loads(line) for line in said.decode().splitlines()]


async def ran(
    server: NatsServer, database_url: str, module: str, *arguments: str, **more: str
) -> tuple[int | None, list[dict[str, Any]]]:
    """(exit status, the lines it said)."""
    process = await started(server, database_url, module, *arguments, "--progress", "json", **more)
    lines = await lines_of(process)
    return process.returncode, lines
