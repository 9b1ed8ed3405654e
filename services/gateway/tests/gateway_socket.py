"""A WebSocket client for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


class Watcher:
    """One connection to `/ws`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        await self._connection.send(text)

    async def say_for_ever(self, message: Any) -> None:
        while True:
            await self.say(message)

    async def hear(self, timeout_s: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            return dict(json.loads(await self._connection.recv()))

    async def subscribe(self, job: str) -> dict[str, Any]:
        """The first update, after the response that is due before it."""
        await self.say({"action": "subscribe", "jobId": job})
        assert await self.hear() == {"action": "response", "message": "subscribed", "jobId": job}
        return await self.hear()

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """The first update that has these members."""
        while True:
            update = await self.hear()
            if all(update.get(name) == value for name, value in wanted.items()):
                return update


@contextlib.asynccontextmanager
async def watching(url: str, **options: Any) -> AsyncIterator[Watcher]:
    # Whoever leaves amid what it is sent does not stay to read the rest.
    options.setdefault("close_timeout", 0.5)
    async with connect(url.replace("http", "ws", 1) + "/ws", **options) as connection:
        yield Watcher(connection)
