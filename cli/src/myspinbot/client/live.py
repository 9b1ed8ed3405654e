"""What happens to a job while it happens: updates over a WebSocket, events and lines over SSE.

All of it survives a cut: updates because each tells how the job stands as a whole, events and
lines because they are asked for from the last one that came.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from myspinbot.client.errors import ApiError, UnreachableError
from myspinbot.client.replies import JobUpdate, Status, TimelineEvent
from myspinbot.client.transport import RETRY_S, Transport

PATIENCE_S = 60.0
"""How long a gateway may be away that is known to come back, for it may be starting again."""
_SILENCE_S = 60.0
"""Heartbeats come more often than this: after such a silence the connection is dead."""
_REFUSALS = frozenset({401, 403, 421})


class _Patience:
    """Counts how long nobody has answered."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._since: float | None = None

    def answered(self) -> None:
        self._since = None

    async def wait(self, error: Exception) -> None:
        """Until the next try; UnreachableError when there is none."""
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since > PATIENCE_S:
            raise UnreachableError(self._api) from error
        await asyncio.sleep(RETRY_S)


async def watch(transport: Transport, job: str) -> AsyncGenerator[JobUpdate]:
    """How a job stands now, and then every change until it has ended."""
    patience = _Patience(transport.target.api)
    while True:
        try:
            async with transport.socket() as socket:
                await socket.send(json.dumps({"action": "subscribe", "jobId": job}))
                while True:
                    async with asyncio.timeout(_SILENCE_S):
                        text = await socket.recv()
                    update = await _update(transport, json.loads(text), job)
                    if update is None:
                        continue
                    patience.answered()
                    yield update
                    if update.status.ended:
                        return
        except InvalidStatus as error:
            if error.response.status_code in _REFUSALS:
                # The HTTP route says why, with a remedy.
                await transport.get(Status, f"/api/status/{job}")
            await patience.wait(error)
        except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError) as error:
            await patience.wait(error)


async def _update(transport: Transport, message: Mapping[str, Any], job: str) -> JobUpdate | None:
    """The update in a message; ApiError if the gateway does not know the job."""
    if message.get("type") == "update" and message.get("jobId") == job:
        return JobUpdate.model_validate(message)
    if message.get("message") == "failed":
        # The HTTP route says why, with a remedy, if that is not over already.
        await transport.get(Status, f"/api/status/{job}")
        raise ConnectionResetError(str(message.get("detail", "")))
    return None


async def events(transport: Transport, job: str, after: int = 0) -> AsyncGenerator[TimelineEvent]:
    """Every event of a job's log after a position, in order, each once, until it has ended."""
    async for message in happenings(transport, job, after):
        if message.event == "log":
            yield TimelineEvent.model_validate_json(message.data)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event of a stream of server-sent events. `id` is empty where none was sent."""

    event: str
    data: str
    id: str = ""


async def happenings(transport: Transport, job: str, after: int = 0) -> AsyncGenerator[ServerEvent]:
    """All that a job's stream tells, connected anew when it breaks, until the job has ended.

    The first is of the event `open`, and comes again with each new connection: from then on
    nothing is missed.
    """
    patience = _Patience(transport.target.api)
    while True:
        try:
            stream = transport.stream(
                f"/api/jobs/{job}/events",
                {"Accept": "text/event-stream", "Last-Event-ID": str(after)},
                timeout_s=_SILENCE_S,
            )
            async with stream as response:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                patience.answered()
                heard = False
                async for message in parse_events(response.aiter_lines()):
                    if not heard:
                        # Only now does the gateway listen for what happens.
                        heard = True
                        yield ServerEvent("open", "")
                    if message.id.isdecimal():
                        after = max(after, int(message.id))
                    yield message
                    if message.event == "end":
                        return
            await asyncio.sleep(RETRY_S)
        except httpx.TransportError as error:
            await patience.wait(error)
        except ApiError as error:
            if error.status not in (502, 503, 504):
                raise
            await patience.wait(error)


async def parse_events(lines: AsyncIterator[str]) -> AsyncIterator[ServerEvent]:
    """Server-sent events from lines (https://html.spec.whatwg.org/#event-stream-interpretation)."""
    event, identifier, data = "", "", list[str]()
    async for line in lines:
        if not line:
            if data:
                yield ServerEvent(event or "message", "\n".join(data), identifier)
            event, identifier, data = "", "", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            identifier = value
