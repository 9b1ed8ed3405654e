"""Live updates over WebSockets: `/ws`.

A client subscribes to jobs and is sent how each stands, at once and whenever it changes, and
if it wants each event and line. Nobody is slowed down by a slow client, and one that takes
nothing at all for a while is let go.
"""

from __future__ import annotations

import asyncio

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from gateway import metrics
from gateway.context import Owner, TheGateway
from gateway.edge.connections import abort
from gateway.live.client import Client
from gateway.live.outbox import Outbox
from gateway.live.pulse import Pulse

log = structlog.get_logger(__name__)
router = APIRouter()

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
    def beat() -> None:
        outbox.respond({"type": "heartbeat"})

    def end() -> None:
        metrics.STALLED.labels("websocket").inc()
        abort(socket.scope)

    try:
        with Pulse(beat, end) as pulse:
            while True:
                await outbox.stirred.wait()
                for message in await outbox.take():
                    pulse.sending()
                    await socket.send_text(message)
                pulse.sent()
    except (WebSocketDisconnect, RuntimeError):
        # The client left; the receiving side ends the connection.
        return
    except Exception:
        # Whoever listens to a socket that nothing is sent over any more would never know.
        log.exception("socket.crashed")
        abort(socket.scope)
