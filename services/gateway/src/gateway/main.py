"""Where the gateway is put together: the one place that knows all of its parts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import structlog
import uvicorn
from contracts.events import JobDeleted, JobRequested, ProfileErased
from contracts.upcasting import UnknownEventError
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog, utc_now
from eventlog.registry import live_planners, live_runners
from fastapi import FastAPI
from servicekit import service
from servicekit.objects import ObjectStore, ObjectStoreError, StoreAddress, open_store
from servicekit.sandbox.confinement import tell_lacking
from servicekit.service import Service
from servicekit.waiting import Need

from gateway import app as application
from gateway.access.authenticator import Authenticator
from gateway.artifacts.thumbnails import Thumbnails
from gateway.chores import Chores, do_chores
from gateway.context import Gateway
from gateway.edge.connections import HttpProtocol, WebSocketProtocol
from gateway.erasure import erasing
from gateway.installation.outlook import Outlook
from gateway.installation.queue import LiveQueue
from gateway.jobs.cards import Cards
from gateway.jobs.names import Names, Texts
from gateway.live import LiveJobs
from gateway.live.table import Passer
from gateway.orphans import collect_for_ever
from gateway.profiles.erasure import erasing_people
from gateway.settings import Settings
from gateway.unread import Unread
from gateway.uploads.browsers import admit
from gateway.uploads.sweeper import sweep_for_ever
from gateway.webhooks.desk import WebhookDesk
from gateway.webhooks.notices import TOLD

log = structlog.get_logger(__name__)

_GRACE_S = 5
_STORE_PATIENCE_S = 10.0


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the service decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield


async def body(running: Service) -> None:
    """Listen at once, so that probes are answered, then connect and serve until cancelled."""
    # It tells of every connection, with its address; spans and metrics tell more.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    settings = Settings.of(running.environment)
    address = StoreAddress.of(running.environment)
    running.readiness.lost("objects")
    running.readiness.lost("log")
    running.readiness.lost("tokens")
    access = Authenticator(settings.access)
    app = application.build(running.readiness)
    server = Server(
        uvicorn.Config(
            application.guarded(app, settings, access),
            host=settings.host,
            port=settings.port,
            loop="none",
            http=HttpProtocol,
            ws=WebSocketProtocol,
            # It would cost each client more memory than all that may wait for it, and time.
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever is believed to be a proxy decides what address and scheme we see.
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=sorted(settings.proxies),
            ws_max_size=1 << 12,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    serving = asyncio.create_task(server.serve())
    working = asyncio.create_task(_work(running, settings, address, access, app))
    try:
        done, _ = await asyncio.wait({serving, working}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        # Requests that are under way end before what they work with goes.
        application.close(app)
        server.should_exit = True
        await asyncio.wait({serving})
        working.cancel()
        await asyncio.wait({working})


async def _work(
    running: Service,
    settings: Settings,
    address: StoreAddress,
    access: Authenticator,
    app: FastAPI,
) -> None:
    tell_lacking()
    async with (
        running.broker("gateway") as broker,
        # Somebody waits for the answer, and is rather told soon that there is none.
        open_store(address, _STORE_PATIENCE_S) as store,
        _public(settings, address) as public_store,
    ):
        await Need("objects", running.readiness).insist(store.ensure_bucket, ObjectStoreError)
        if public_store is not None:
            await admit(store, settings)
        event_log, config = EventLog(broker, "gateway"), KeyValue(broker)
        runners, planners = live_runners(broker, utc_now), live_planners(broker, utc_now)
        outlook = Outlook(lambda: runners.live)
        live = LiveJobs(broker, event_log, outlook)
        queue = LiveQueue(broker, live, outlook)
        texts = Texts(store)
        webhooks = WebhookDesk.open(broker, config, settings.webhooks)
        names = Names(live, texts)
        gateway = Gateway(
            settings=settings,
            broker=broker,
            log=event_log,
            live=live,
            queue=queue,
            outlook=outlook,
            config=config,
            names=names,
            texts=texts,
            cards=Cards(live, names),
            runners=runners,
            planners=planners,
            store=store,
            access=access,
            thumbnails=Thumbnails(store, settings.limits.photo_pixels),
            webhooks=webhooks,
            public_store=public_store,
        )
        chores: Chores = [
            ((JobDeleted,), erasing(broker, store)),
            ((ProfileErased, JobRequested), erasing_people(broker, event_log)),
            (TOLD, webhooks.chore(event_log)),
        ]

        def started() -> None:
            application.connect(app, gateway)
            running.readiness.reached("log")
            running.readiness.reached("start")
            # Only now is it known from where on the tail tells of every event.
            group.create_task(queue.run())

        def tokens_read() -> None:
            running.readiness.reached("tokens")

        async with asyncio.TaskGroup() as group:
            group.create_task(access.follow(config, tokens_read))
            group.create_task(runners.follow())
            group.create_task(planners.follow())
            group.create_task(_follow(live, started, queue.passed, running))
            group.create_task(outlook.follow(broker))
            unread, ack_wait_s = Unread(running.readiness), running.environment.ack_wait_s()
            group.create_task(do_chores(broker, chores, unread, ack_wait_s=ack_wait_s))
            group.create_task(webhooks.work())
            group.create_task(sweep_for_ever(store))
            group.create_task(collect_for_ever(broker, event_log, store))


async def _follow(
    live: LiveJobs, started: Callable[[], None], passer: Passer, running: Service
) -> None:
    try:
        await live.run(started, passer)
    except UnknownEventError as error:
        log.error("gateway.halted", after=live.position, detail=str(error))  # noqa: TRY400 - said
        running.readiness.lost(
            f"operator: jobs are followed up to event {live.position}, as a later one cannot be "
            f"understood: {error}; install the version that wrote it"
        )
        # Views, downloads and changes still work, and a newer gateway takes over from here.
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _public(settings: Settings, address: StoreAddress) -> AsyncIterator[ObjectStore | None]:
    """The store at the address where browsers reach it. Only addresses are made with it."""
    if settings.public_store is None:
        yield None
        return
    async with open_store(replace(address, endpoint=settings.public_store)) as store:
        yield store


def main() -> None:
    """Run the gateway until it is told to stop."""
    service.run("gateway", body)


if __name__ == "__main__":
    main()
