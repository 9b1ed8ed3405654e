"""Webhooks as the rest of the gateway has them: put together once, at its start."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from eventlog.broker import Broker
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog, utc_now

from gateway.chores import Chore
from gateway.webhooks.book import HookBook
from gateway.webhooks.couriers import Couriers
from gateway.webhooks.deliveries import Deliveries
from gateway.webhooks.flights import Flights
from gateway.webhooks.notify import notifying
from gateway.webhooks.sender import Sender
from gateway.webhooks.settings import WebhookSettings


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """The webhooks, their deliveries, and who makes them."""

    broker: Broker
    config: KeyValue
    settings: WebhookSettings
    flights: Flights
    book: HookBook
    deliveries: Deliveries

    @staticmethod
    def open(broker: Broker, config: KeyValue, settings: WebhookSettings) -> WebhookDesk:
        """The desk of one gateway."""
        flights = Flights()
        return WebhookDesk(
            broker=broker,
            config=config,
            settings=settings,
            flights=flights,
            book=HookBook(flights.forget),
            deliveries=Deliveries(broker),
        )

    def chore(self, log: EventLog) -> Chore:
        """What follows from the events of `notices.TOLD`."""
        return notifying(log, self.book, self.deliveries)

    async def work(self) -> None:
        """Follow the webhooks and make deliveries, without end."""
        async with Sender(self.settings, utc_now) as sender, asyncio.TaskGroup() as group:
            couriers = Couriers(
                broker=self.broker,
                config=self.config,
                book=self.book,
                deliveries=self.deliveries,
                sender=sender,
                flights=self.flights,
                pauses_s=self.settings.retries_s,
                now=utc_now,
                chance=random.random,
            )
            group.create_task(self.book.follow(self.config))
            group.create_task(couriers.work())
