"""Takes due deliveries off the queue and makes them, in every gateway.

The queue is the broker's: a delivery whose gateway dies comes again to any gateway, and one
that failed comes again at its time. A delivery may thus arrive twice, always with the same
`webhook-id`; it never gets lost within its tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError
from eventlog.keyvalue import KeyValue, RevisionError, UnreadableRecordError
from eventlog.receipt import Receipt
from eventlog.topology import DELIVERIES_CONSUMER
from prometheus_client import Counter

from contracts import subjects
from gateway.webhooks.book import HookBook
from gateway.webhooks.deliveries import Deliveries, DeliveryState, Kept
from gateway.webhooks.flights import MOST, Flights
from gateway.webhooks.hooks import TEST, Webhook
from gateway.webhooks.retries import Outcome, settle
from gateway.webhooks.sender import Sender

log = structlog.get_logger(__name__)

_PULL_S = 20.0
_PAUSE_S = 1.0
_AFTER_MISTAKE_S = 60.0

TRIES = Counter("myspinbot_webhook_tries_total", "Tries to deliver to webhooks", ["outcome"])
for _outcome in ("delivered", "failed"):
    TRIES.labels(_outcome)


@dataclass(slots=True)
class Couriers:
    """Makes deliveries. `chance` gives numbers from 0 to 1, `clock` seconds."""

    broker: Broker
    config: KeyValue
    book: HookBook
    deliveries: Deliveries
    sender: Sender
    flights: Flights
    pauses_s: tuple[float, ...]
    now: Callable[[], datetime]
    chance: Callable[[], float]
    clock: Callable[[], float] = time.monotonic
    _in_hand: set[str] = field(default_factory=set)

    async def work(self) -> None:
        """Make deliveries without end."""
        await self.book.ready()
        slots = asyncio.Semaphore(MOST)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                try:
                    msg = await self.broker.pull(subjects.DELIVERIES, DELIVERIES_CONSUMER, _PULL_S)
                except UnavailableError as error:
                    log.warning("webhooks.waiting", detail=str(error))
                    await asyncio.sleep(_PAUSE_S)
                    msg = None
                if msg is None:
                    slots.release()
                    continue
                task = group.create_task(self._take(msg.subject, Receipt(self.broker, msg.reply)))
                task.add_done_callback(lambda _: slots.release())

    async def _take(self, subject: str, receipt: Receipt) -> None:
        try:
            pause_s = await self._handle(subject)
            if pause_s is None:
                await receipt.done()
            else:
                await receipt.later(pause_s)
        except UnreadableRecordError as error:
            log.warning("webhook.kept_for_newer", subject=subject, detail=str(error))
            with contextlib.suppress(EventLogError):
                await receipt.later(_AFTER_MISTAKE_S)
        except EventLogError as error:
            # Not settled: it comes again once the broker has waited long enough.
            log.warning("webhook.again", subject=subject, detail=str(error))
        except Exception:
            # One delivery's mistake must not stop the others.
            log.exception("webhook.broken", subject=subject)
            with contextlib.suppress(EventLogError):
                await receipt.later(_AFTER_MISTAKE_S)

    async def _handle(self, subject: str) -> float | None:
        """Make a delivery, if it is its time; the seconds until it is to come again, or None."""
        _, owner, webhook_id, delivery = subject.split(".")
        hook = self.book.find(owner, webhook_id)
        # What is for a webhook that only a newer program can read waits for that program.
        self.book.check_read(owner, webhook_id)
        kept = await self.deliveries.get(owner, webhook_id, delivery)
        if hook is None or kept is None or kept.record.state is not DeliveryState.PENDING:
            return None
        if kept.record.next_at is not None and kept.record.next_at > self.now():
            return (kept.record.next_at - self.now()).total_seconds()
        if not hook.active and kept.record.event != TEST:
            await self._settled(kept, Outcome(error="the webhook is not active"), ())
            return None
        if delivery in self._in_hand:
            return _PAUSE_S
        pause_s = self.flights.admit(webhook_id, self.clock())
        if pause_s is not None:
            return pause_s
        return await self._try(hook, kept)

    async def _try(self, hook: Webhook, kept: Kept) -> float | None:
        record = kept.record
        self._in_hand.add(record.delivery_id)
        begun = self.clock()
        outcome = Outcome()
        try:
            outcome = await self.sender.send(hook, record.delivery_id, record.body)
        finally:
            took_s = self.clock() - begun
            self.flights.leave(hook.webhook_id, took_s, delivered=outcome.delivered)
            self._in_hand.discard(record.delivery_id)
        TRIES.labels("delivered" if outcome.delivered else "failed").inc()
        # Whoever tries a webhook wants to know at once how it went.
        pause_s = await self._settled(kept, outcome, () if record.event == TEST else self.pauses_s)
        if outcome.gone or (outcome.delivered and record.event == TEST):
            await set_active(self.config, self.book, hook, active=not outcome.gone)
        return pause_s

    async def _settled(
        self, kept: Kept, outcome: Outcome, pauses_s: tuple[float, ...]
    ) -> float | None:
        now = self.now()
        record = settle(kept.record, outcome, pauses_s, now, self.chance())
        try:
            await self.deliveries.put(record, kept.revision)
        except RevisionError:
            # Another gateway had it too, or somebody asks for it once more: theirs counts.
            return _PAUSE_S
        log.info(
            "webhook.tried",
            webhook=record.webhook_id,
            delivery=record.delivery_id,
            state=record.state,
            status=outcome.status,
        )
        return (record.next_at - now).total_seconds() if record.next_at else None


async def set_active(values: KeyValue, book: HookBook, hook: Webhook, *, active: bool) -> None:
    """Begin or cease to deliver to a webhook, unless it was deleted meanwhile."""
    if hook.active == active:
        return
    entry = await values.get(hook.key)
    if entry is None:
        return
    changed = hook.model_copy(update={"active": active})
    try:
        await values.put(hook.key, changed.to_json(), entry.revision)
    except RevisionError:
        return
    book.note(changed)
    log.info("webhook.active" if active else "webhook.inactive", webhook=hook.webhook_id)
