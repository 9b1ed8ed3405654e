"""Live updates over WebSockets.

A client subscribes to jobs and is sent how each stands, at once and whenever it changes.
A slow client is never sent what is out of date: of each job only the latest state waits
for it, so what waits is bounded by what it subscribed to, and nobody else is slowed down.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

import structlog
from eventlog.errors import EventLogError, UnavailableError
from eventlog.log import utc_now
from eventlog.rpc import NotFoundError
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from gateway import metrics
from gateway.context import Gateway, Owner, TheGateway
from gateway.jobs import is_job_id
from gateway.live import LiveJob
from gateway.views import update_of

log = structlog.get_logger(__name__)
router = APIRouter()

HEARTBEAT_S = 15.0
_SUBSCRIPTIONS = 1000
_RESPONSES = 256
_POLICY_VIOLATION = 1008


@dataclass(slots=True)
class Outbox:
    """What waits to be sent to one client: responses in order, and the jobs that changed."""

    responses: deque[bytes] = field(default_factory=deque)
    changed: OrderedDict[str, LiveJob] = field(default_factory=OrderedDict)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def respond(self, response: dict[str, Any]) -> None:
        """Add an answer to what the client said."""
        self.responses.append(json.dumps(response).encode())
        self.stirred.set()

    def update(self, live: LiveJob) -> None:
        """Note that a job has changed; however often, it waits once."""
        self.changed[live.job] = live
        self.stirred.set()

    def take(self) -> list[bytes]:
        """Everything that waits, answers first."""
        self.stirred.clear()
        messages = list(self.responses)
        self.responses.clear()
        messages += [live.rendered(_render) for live in self.changed.values()]
        self.changed.clear()
        return messages


def _render(live: LiveJob) -> bytes:
    return update_of(live, utc_now()).model_dump_json(by_alias=True).encode()


@dataclass(slots=True)
class Client:
    """One connection and what it subscribed to."""

    gateway: Gateway
    owner: str
    outbox: Outbox = field(default_factory=Outbox)
    jobs: dict[str, LiveJob] = field(default_factory=dict)

    async def obey(self, text: str | None) -> None:
        """Do what a message asks for, and answer it. A binary message has no text."""
        try:
            message = json.loads(text or "")
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._fail(None, "the message is not a JSON object")
            return
        action, job = message.get("action"), message.get("jobId")
        if not isinstance(job, str) or not is_job_id(job):
            self._fail(job[:64] if isinstance(job, str) else None, "jobId is not the id of a job")
        elif action == "subscribe":
            await self._subscribe(job)
        elif action == "unsubscribe":
            self._unsubscribe(job)
        else:
            self._fail(job, "action must be subscribe or unsubscribe")

    async def _subscribe(self, job: str) -> None:
        if job not in self.jobs and len(self.jobs) >= _SUBSCRIPTIONS:
            self._fail(job, f"a connection can watch {_SUBSCRIPTIONS} jobs; unsubscribe from one")
            return
        try:
            live = await self.gateway.live.find(job, self.owner)
        except NotFoundError:
            self._fail(job, "no job of yours has this id")
            return
        except UnavailableError:
            self._fail(job, "the system does not answer now; try again in a few seconds")
            return
        except EventLogError as error:
            log.warning("socket.lookup_failed", job=job, detail=str(error))
            self._fail(job, "the job cannot be read now; try again later")
            return
        if job not in self.jobs:
            self.jobs[job] = live
            live.listeners.add(self.outbox.update)
            metrics.SUBSCRIPTIONS.inc()
        self.outbox.respond({"action": "response", "message": "subscribed", "jobId": job})
        self.outbox.update(live)

    def _unsubscribe(self, job: str) -> None:
        if job not in self.jobs:
            self._fail(job, "there is no subscription to this job")
            return
        self._forget(job)
        self.outbox.changed.pop(job, None)
        self.outbox.respond({"action": "response", "message": "unsubscribed", "jobId": job})

    def close(self) -> None:
        """Stop listening to every job."""
        for job in tuple(self.jobs):
            self._forget(job)

    def _forget(self, job: str) -> None:
        self.jobs.pop(job).listeners.discard(self.outbox.update)
        metrics.SUBSCRIPTIONS.dec()

    def _fail(self, job: str | None, detail: str) -> None:
        self.outbox.respond(
            {"action": "response", "message": "failed", "jobId": job, "detail": detail}
        )


@router.websocket("/ws")
async def live_updates(socket: WebSocket, gateway: TheGateway, owner: Owner) -> None:
    """Serve one client until it leaves."""
    await socket.accept()
    client = Client(gateway, owner)
    with metrics.SOCKETS.track_inprogress():
        sending = asyncio.create_task(_send(socket, client.outbox))
        try:
            while len(client.outbox.responses) < _RESPONSES:
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
    heartbeat = '{"type":"heartbeat"}'
    try:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await outbox.stirred.wait()
            except TimeoutError:
                await socket.send_text(heartbeat)
                continue
            for message in outbox.take():
                await socket.send_text(message.decode())
    except (WebSocketDisconnect, RuntimeError):
        # The client left; the receiving side ends the connection.
        return
