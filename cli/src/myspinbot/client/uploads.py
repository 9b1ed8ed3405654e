"""Files on their way to the gateway: in parts, again where one was lost, once for each content."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from myspinbot.client.errors import ApiError, FileChangedError
from myspinbot.client.replies import Upload, UploadPart
from myspinbot.client.transport import Transport

Kind = Literal["photo", "clip", "music"]
OnSent = Callable[[int], None]
"""Told how many more bytes have arrived."""
_AT_ONCE = 4
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    kind: Kind
    size: int
    sha256: str


class AsyncUploads:
    """Files that jobs are to be made from."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def send(
        self, paths: Iterable[Path], kind: Kind, on_sent: OnSent | None = None
    ) -> list[Upload]:
        """Upload files, a few at once; returns one upload for each content.

        What the gateway has already is not sent again, and what has arrived of a file stays
        there for a day: the next call, from whatever program, goes on from it.
        """
        files = [await asyncio.to_thread(_examine, path, kind) for path in paths]
        tell = on_sent or (lambda _count: None)
        crowd = asyncio.Semaphore(_AT_ONCE)

        async def one(file: _File) -> Upload:
            async with crowd:
                try:
                    sent = await self._send(file, tell)
                except ApiError as error:
                    raise error.about(file.path.name) from None
                return sent.model_copy(update={"name": file.path.name})

        # The same picture twice teaches nothing more.
        contents = {file.sha256: file for file in files}
        for file in files:
            if contents[file.sha256] is not file:
                tell(file.size)
        tasks = [asyncio.create_task(one(file)) for file in contents.values()]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    async def _send(self, file: _File, tell: OnSent) -> Upload:
        announced = {"kind": file.kind, "size": file.size, "sha256": file.sha256}
        upload = await self._transport.post(Upload, "/api/uploads", announced)
        if upload.state == "complete":
            tell(file.size)
            return upload
        tell(sum(part.size for part in upload.parts if part.done))
        while True:
            for part in upload.parts:
                if not part.done:
                    await self._put(file, upload, part)
                    tell(part.size)
            try:
                return await self.complete(upload.upload_id)
            except ApiError as error:
                upload = await self._lacking(upload, error)

    async def _lacking(self, upload: Upload, error: ApiError) -> Upload:
        """The upload with the parts that were lost on the way; `error` if that is not the cause."""
        try:
            now = await self.get(upload.upload_id)
        except ApiError:
            raise error from None
        if all(part.done for part in now.parts):
            raise error
        return now

    async def get(self, upload: str) -> Upload:
        """What has arrived of a file."""
        return await self._transport.get(Upload, f"/api/uploads/{upload}")

    async def complete(self, upload: str) -> Upload:
        """Have a file checked that has arrived as a whole."""
        return await self._transport.post(Upload, f"/api/uploads/{upload}/complete")

    async def delete(self, upload: str) -> None:
        """Give a file up."""
        await self._transport.delete(f"/api/uploads/{upload}")

    async def _put(self, file: _File, upload: Upload, part: UploadPart) -> None:
        first = (part.number - 1) * upload.part_bytes
        await self._transport.request(
            "PUT", part.url, content=partial(_slice, file.path, first, part.size), size=part.size
        )


def _examine(path: Path, kind: Kind) -> _File:
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256")
        return _File(path, kind, opened.tell(), digest.hexdigest())


async def _slice(path: Path, first: int, size: int) -> AsyncIterator[bytes]:
    """A part of a file, in blocks, so that no part need fit into memory."""
    with path.open("rb") as file:
        file.seek(first)
        while size:
            block = file.read(min(size, _BLOCK))
            if not block:
                raise FileChangedError(path.name)
            size -= len(block)
            yield block
