"""The chore that follows from an event of the log: deliveries to all webhooks that want it."""

from __future__ import annotations

from datetime import timedelta

from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.job import JobState
from eventlog.log import EventLog

from gateway.chores import Chore
from gateway.webhooks.book import HookBook
from gateway.webhooks.deliveries import Deliveries, DeliveryRecord, delivery_id
from gateway.webhooks.notices import TOLD, changed, notice

# A new webhook is not told of what happened before it, give or take the clocks of machines.
_SKEW = timedelta(minutes=1)


def notifying(log: EventLog, book: HookBook, deliveries: Deliveries) -> Chore:
    """The chore. Repeating it delivers nothing twice."""

    async def notify(recorded: Recorded) -> None:
        await book.ready()
        if not book:
            return
        before, after = await _around(log, recorded)
        if after.request is None or not changed(before, after):
            return
        told = TOLD[type(recorded.event)]
        body = notice(recorded, after).to_body()
        for hook in book.of(after.request.owner):
            wants = hook.active and told in hook.events
            if not wants or recorded.time < hook.created_at - _SKEW:
                continue
            await deliveries.make(
                DeliveryRecord(
                    delivery_id=delivery_id(hook.webhook_id, recorded.id),
                    webhook_id=hook.webhook_id,
                    owner=hook.owner,
                    event=told,
                    job=recorded.job,
                    sequence=recorded.sequence,
                    body=body,
                    at=recorded.time,
                )
            )
        # Its chore is tried again until a program has read them all; who was told is told once.
        book.check_read(after.request.owner)

    return notify


async def _around(log: EventLog, recorded: Recorded) -> tuple[JobState, JobState]:
    """The job right before an event and right after it."""
    state = initial(recorded.job)
    async for earlier in log.read_job(recorded.job):
        if earlier.sequence >= recorded.sequence:
            break
        state = evolve(state, earlier)
    return state, evolve(state, recorded)
