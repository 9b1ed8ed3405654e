"""Files on their way from the gateway: they appear when they are whole, and go on after a cut."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx

from myspinbot.client.errors import DamagedDownloadError, UnreachableError
from myspinbot.client.replies import ArtifactLink, InputLink
from myspinbot.client.transport import RETRY_S, Transport

OnReceived = Callable[[int], None]
"""Told how many more bytes are there."""
_TRIES = 5
_BLOCK = 1 << 20


async def download(
    transport: Transport,
    link: ArtifactLink | InputLink,
    path: Path,
    on_received: OnReceived | None = None,
) -> Path:
    """Fetch what a link leads to into `path`, and return that.

    What has arrived is kept beside it as `.<name>.<hash>.part`, also when the program ends, and
    the next call goes on from there. Raises DamagedDownloadError if the hash of the whole is not
    what was announced; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{link.sha256[:12]}.part")
    with partial.open("ab+") as file:
        await _complete(transport, link, file, on_received or (lambda _count: None))
        file.flush()
        sound = await asyncio.to_thread(_hash, file) == link.sha256
    if not sound:
        partial.unlink()
        raise DamagedDownloadError(path.name)
    partial.replace(path)
    return path


async def _complete(
    transport: Transport, link: ArtifactLink | InputLink, file: IO[bytes], tell: OnReceived
) -> None:
    """Receive until the file is as long as it should be, or longer, which no hash survives."""
    if file.tell() > link.size:
        _begin_anew(file)
    tell(file.tell())
    idle = 0
    while (have := file.tell()) < link.size:
        try:
            await transport.insist(lambda: _receive(transport, link, file, tell))
        except UnreachableError:
            idle = 0 if file.tell() > have else idle + 1
            if idle >= _TRIES or file.tell() == 0:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            if file.tell() <= have:
                return


async def _receive(
    transport: Transport, link: ArtifactLink | InputLink, file: IO[bytes], tell: OnReceived
) -> None:
    have = file.tell()
    wanted = {"Range": f"bytes={have}-", "If-Range": f'"{link.sha256}"'} if have else {}
    async with transport.stream(link.url, wanted) as response:
        if have and response.status_code != httpx.codes.PARTIAL_CONTENT:
            _begin_anew(file)
            tell(-have)
        async for chunk in response.aiter_bytes():
            file.write(chunk)
            tell(len(chunk))


def _begin_anew(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


def _hash(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
