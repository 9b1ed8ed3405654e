"""One WebSocket client: what it asks for, and what it listens to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import structlog
from eventlog.errors import EventLogError, UnavailableError
from eventlog.log import EventLog, utc_now
from eventlog.rpc import NotFoundError

from gateway import metrics
from gateway.jobs.routes import is_job_id
from gateway.jobs.views import update_of
from gateway.live.job import LiveJob
from gateway.live.outbox import Outbox
from gateway.live.table import LiveJobs

log = structlog.get_logger(__name__)

_SUBSCRIPTIONS = 1000
_LONGEST_SEQUENCE = 2**63


def render(live: LiveJob) -> str:
    """How a job stands, as clients are told; that it is deleted is the last that is told."""
    if live.state.deleted:
        return json.dumps({"type": "deleted", "jobId": live.job})
    return update_of(live, utc_now()).model_dump_json(by_alias=True)


@dataclass(eq=False, slots=True)
class Client:
    """One connection and what it subscribed to."""

    live: LiveJobs
    log: EventLog
    owner: str
    outbox: Outbox = field(default_factory=lambda: Outbox(render))
    jobs: dict[str, LiveJob] = field(default_factory=dict)
    all: bool = False

    async def obey(self, text: str | None) -> None:
        """Do what a message asks for, and answer it. A binary message has no text."""
        try:
            message = json.loads(text or "")
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._fail(None, "the message is not a JSON object")
            return
        action, job = message.get("action"), message.get("jobId")
        if action == "ping":
            self.outbox.respond({"type": "pong"})
        elif message.get("jobs") == "all" and action in ("subscribe", "unsubscribe"):
            await (self._subscribe_all() if action == "subscribe" else self._unsubscribe_all())
        elif not isinstance(job, str) or not is_job_id(job):
            self._fail(job[:64] if isinstance(job, str) else None, "jobId is not the id of a job")
        elif action == "subscribe":
            await self._subscribe(job, message.get("after"), lines=message.get("lines") is True)
        elif action == "unsubscribe":
            self._unsubscribe(job)
        else:
            self._fail(job, "action must be subscribe, unsubscribe or ping")

    async def _subscribe(self, job: str, after: Any, *, lines: bool) -> None:
        if job not in self.jobs and len(self.jobs) >= _SUBSCRIPTIONS:
            self._fail(job, f"a connection can watch {_SUBSCRIPTIONS} jobs; unsubscribe from one")
            return
        if after is not None and not _is_sequence(after):
            self._fail(job, "after must be a sequence: 0 for the beginning, or that of an event")
            return
        try:
            live = await self.live.find(job, self.owner)
        except EventLogError as error:
            self._fail(job, _cause(error, job))
            return
        # At once, so that the table keeps the job and nothing of it is missed.
        known = self._listen(live)
        try:
            if lines:
                await self.live.lines.listen(live, self.outbox.line)
        except EventLogError as error:
            if not known:
                self._forget(job)
            self._fail(job, _cause(error, job))
            return
        self.outbox.respond(_response("subscribed", jobId=job))
        self.outbox.update(live)
        if after is not None:
            self.outbox.follow(self.log, live, after)

    def _listen(self, live: LiveJob) -> bool:
        """Whether it was watched already."""
        known = live.job in self.jobs
        if not known:
            self.jobs[live.job] = live
            live.listeners.add(self.outbox.update)
            metrics.SUBSCRIPTIONS.inc()
        return known

    async def _subscribe_all(self) -> None:
        self.all = True
        try:
            running = [live async for live in self.live.watch(self.owner, self.outbox.update)]
        except EventLogError as error:
            self._leave_all()
            self._fail(None, _cause(error, "all"))
            return
        self.outbox.respond(_response("subscribed", jobs="all"))
        for live in running:
            self.outbox.update(live)

    def _leave_all(self) -> None:
        self.live.leave(self.owner, self.outbox.update)
        self.all = False

    async def _unsubscribe_all(self) -> None:
        if not self.all:
            self._fail(None, "there is no subscription to all jobs")
            return
        self._leave_all()
        self.outbox.respond(_response("unsubscribed", jobs="all"))

    def _unsubscribe(self, job: str) -> None:
        if job not in self.jobs:
            self._fail(job, "there is no subscription to this job")
            return
        self._forget(job)
        self.outbox.respond(_response("unsubscribed", jobId=job))

    def close(self) -> None:
        """Stop listening to everything."""
        for job in tuple(self.jobs):
            self._forget(job)
        self.outbox.close()
        if self.all:
            self._leave_all()

    def _forget(self, job: str) -> None:
        live = self.jobs.pop(job)
        live.listeners.discard(self.outbox.update)
        self.live.lines.leave(live, self.outbox.line)
        self.outbox.forget(job)
        metrics.SUBSCRIPTIONS.dec()

    def _fail(self, job: str | None, detail: str) -> None:
        self.outbox.respond(_response("failed", jobId=job, detail=detail))


def _response(message: str, **members: str | None) -> dict[str, Any]:
    return {"action": "response", "message": message, **members}


def _is_sequence(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LONGEST_SEQUENCE


def _cause(error: EventLogError, job: str) -> str:
    match error:
        case NotFoundError():
            return "no job of yours has this id"
        case UnavailableError():
            return "the system does not answer now; try again in a few seconds"
    log.warning("socket.lookup_failed", job=job, detail=str(error))
    return "the job cannot be read now; try again later"
