"""What must follow from an event of the log: objects erased, webhooks told.

Every gateway takes events from one durable consumer of the log, so each event is handled
by one of them, in no promised order, and again until all its handlers succeeded, whatever
dies meanwhile. A handler must therefore be safe to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog
from contracts.envelope import Recorded
from contracts.events import Event
from contracts.upcasting import UnknownEventError
from eventlog.broker import Broker
from eventlog.errors import EventLogError, UnavailableError
from eventlog.reader import from_delivery, sequence_of
from eventlog.receipt import ACK_WAIT_S, BEATS, Receipt
from eventlog.topology import CHORES_CONSUMER
from servicekit.failpoints import Failpoint, reached
from servicekit.objects import ObjectStoreError

from contracts import subjects
from gateway.unread import AGAIN_S, Unread

log = structlog.get_logger(__name__)

Chore = Callable[[Recorded], Awaitable[None]]
"""Does what follows from an event. Whatever it raises, it is called again later."""
Chores = Sequence[tuple[Collection[type[Event]], Chore]]
"""Each chore with the types of events that it follows from."""

_WORKERS = 4
_PULL_S = 20.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 300.0


async def do_chores(
    broker: Broker,
    chores: Chores,
    unread: Unread,
    workers: int = _WORKERS,
    ack_wait_s: float = ACK_WAIT_S,
) -> None:
    """Handle the log's events without end. Those that cannot be read wait for who can."""
    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(_work(broker, chores, unread, ack_wait_s / BEATS))


async def _work(broker: Broker, chores: Chores, unread: Unread, heartbeat_s: float) -> None:
    while True:
        try:
            msg = await broker.pull(subjects.JOBS, CHORES_CONSUMER, _PULL_S)
            unread.forget()
            if msg is None:
                continue
            receipt = Receipt(broker, msg.reply)
            try:
                recorded = from_delivery(msg)
            except UnknownEventError as error:
                unread.met(sequence_of(msg), error)
                await receipt.later(AGAIN_S)
            else:
                await _handle(recorded, receipt, chores, heartbeat_s)
        except UnavailableError as error:
            log.warning("chores.waiting", detail=str(error))
            await asyncio.sleep(_FIRST_PAUSE_S)


async def _handle(recorded: Recorded, receipt: Receipt, chores: Chores, heartbeat_s: float) -> None:
    wanted = [chore for types, chore in chores if type(recorded.event) in types]
    beating = asyncio.create_task(_beat(receipt, heartbeat_s)) if wanted else None
    try:
        for chore in wanted:
            await reached(Failpoint.GATEWAY_BEFORE_CHORE)
            await chore(recorded)
            await reached(Failpoint.GATEWAY_CHORE_BEFORE_ACK)
    except (EventLogError, ObjectStoreError) as error:
        log.warning("chore.again", job=recorded.job, type=recorded.type, detail=str(error))
        await receipt.later(_pause_s(receipt.number))
    except Exception:
        # One chore's mistake must neither stop the others nor the gateway.
        log.exception("chore.failed", job=recorded.job, type=recorded.type)
        await receipt.later(_pause_s(receipt.number))
    else:
        await receipt.done()
    finally:
        if beating is not None:
            beating.cancel()


def _pause_s(failures: int) -> float:
    return float(min(_FIRST_PAUSE_S * 2 ** min(failures - 1, 20), _LONGEST_PAUSE_S))


async def _beat(receipt: Receipt, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await receipt.working()
