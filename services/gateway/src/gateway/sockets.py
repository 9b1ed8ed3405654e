"""Live updates over WebSockets: `/ws`.

A client subscribes to jobs and is sent how each stands, at once and whenever it changes, and
if it wants each event and line. Nobody is slowed down by a slow client, and one that takes
nothing at all for a while is let go.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from gateway import metrics
from gateway.connections import abort
from gateway.context import Owner, TheGateway
from gateway.live.client import Client
from gateway.live.outbox import Outbox

router = APIRouter()

HEARTBEAT_S = 15.0
STALLED_S = 30.0
_HEARTBEAT = '{"type":"heartbeat"}'
_POLICY_VIOLATION = 1008


@router.websocket("/ws")
async def live_updates(socket: WebSocket, gateway: TheGateway, owner: Owner) -> None:
    """Serve one client until it leaves."""
    await socket.accept()
    client = Client(gateway.live, gateway.log, owner)
    with metrics.SOCKETS.track_inprogress():
        sending = asyncio.create_task(_send(socket, client.outbox))
        try:
            while not client.outbox.overrun:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await client.obey(message.get("text"))
            # Whoever asks and asks and never reads the answers is not served any longer.
            await socket.close(_POLICY_VIOLATION, "too many unread responses")
        finally:
            sending.cancel()
            client.close()


async def _send(socket: WebSocket, outbox: Outbox) -> None:
    try:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await outbox.stirred.wait()
            except TimeoutError:
                messages = [_HEARTBEAT]
            else:
                messages = await outbox.take()
            for message in messages:
                async with asyncio.timeout(STALLED_S):
                    await socket.send_text(message)
    except TimeoutError:
        metrics.STALLED.labels("websocket").inc()
        abort(socket.scope)
    except (WebSocketDisconnect, RuntimeError):
        # The client left; the receiving side ends the connection.
        return
