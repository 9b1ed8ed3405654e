"""The life of a service process: start, say when ready, run until told to stop, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
import uvloop
from eventlog.broker import Broker, connect
from eventlog.log import EventLog, utc_now
from eventlog.metrics import CONNECTED

from servicekit import admin, failpoints, logs, metrics, traces
from servicekit.admin import Readiness
from servicekit.jobspans import JobSpanProcessor
from servicekit.settings import Environment, SettingsError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Service:
    """What a running service is given."""

    name: str
    environment: Environment
    readiness: Readiness = field(default_factory=Readiness)
    spans: JobSpanProcessor | None = None
    drain: Callable[[], Awaitable[None]] | None = None
    """What the body wants done, once it is told to stop, before it is cancelled."""
    now: Callable[[], datetime] = utc_now
    entropy: Callable[[int], bytes] = secrets.token_bytes

    def event_log(self, broker: Broker, source: str) -> EventLog:
        """The log, told by this service's clock under the name of a source."""
        return EventLog(broker, source, self.now, self.entropy)

    @contextlib.asynccontextmanager
    async def broker(self, role: str) -> AsyncIterator[Broker]:
        """A connection to the broker, awaited for as long as it takes."""
        self.readiness.lost("broker")
        broker = await connect(self.environment.broker(role))
        CONNECTED.set_function(lambda: float(broker.connected))
        self.readiness.reached("broker")

        async def reconnected() -> None:
            self.readiness.reached("broker")

        broker.on_disconnect(lambda: self.readiness.lost("broker"))
        broker.on_reconnect(reconnected)
        try:
            async with self.spans.sending(broker) if self.spans else contextlib.nullcontext():
                yield broker
        finally:
            await broker.close()


def run(name: str, body: Callable[[Service], Awaitable[None]]) -> None:
    """Run a service's body until it ends or the process is told to stop.

    Ends the process with status 2 if its settings are wrong, and 1 if the body raised.
    """
    environment = Environment.current()
    try:
        logs.configure(name, environment.text("LOG_LEVEL", "INFO"))
        failpoints.refuse_elsewhere(environment)
        tracing = traces.configure(name, environment)
        service = Service(name, environment, spans=tracing.jobs if tracing else None)
        metrics.READY.set_function(lambda: float(service.readiness.ready))
        port = int(environment.number("ADMIN_PORT", 0))
        host = environment.text("ADMIN_HOST", "127.0.0.1")
        stop = admin.serve(port, service.readiness, host) if port else None
    except SettingsError as error:
        log.error("service.misconfigured", detail=str(error))  # noqa: TRY400 - no trace needed
        sys.exit(2)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(service, body))
    except SettingsError as error:
        log.error("service.misconfigured", detail=str(error))  # noqa: TRY400 - no trace needed
        sys.exit(2)
    except Exception:
        log.exception("service.crashed")
        sys.exit(1)
    finally:
        if stop:
            stop()
        if tracing:
            tracing.shutdown()


async def _until_stopped(service: Service, body: Callable[[Service], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    log.info("service.started")
    work = asyncio.ensure_future(body(service))
    stopped = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not work.done():
        log.info("service.stopping")
        stopping.clear()
        await _drained(service, work, stopping)
        work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    log.info("service.stopped")


async def _drained(service: Service, work: asyncio.Future[None], stopping: asyncio.Event) -> None:
    """Let a service finish what it has in hand; being told to stop once more cuts it short."""
    if service.drain is None:
        return
    service.readiness.lost("stopping")
    draining = asyncio.ensure_future(service.drain())
    again = asyncio.ensure_future(stopping.wait())
    waits: set[asyncio.Future[Any]] = {work, draining, again}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, again):
        task.cancel()
    for result in await asyncio.gather(draining, again, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("service.drain_failed", detail=str(result))
