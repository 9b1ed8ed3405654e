"""Dead letters: commands that the broker gave up delivering, because every runner died of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

from contracts.subjects import CommandSubject

from contracts import subjects
from eventlog.broker import Broker
from eventlog.errors import UnavailableError
from eventlog.patience import insist
from eventlog.queue import CommandQueue
from eventlog.topology import DLQ_CONSUMER

_PULL_S = 20.0


async def dead_letters(broker: Broker) -> AsyncIterator[CommandSubject]:
    """Each command that was delivered too often, without end.

    A letter is settled, and its command taken off the queue, when the next one is asked
    for: so whoever dies over one finds it again.
    """
    queue = CommandQueue(broker)
    while True:
        try:
            msg = await broker.pull(subjects.DEAD_LETTERS, DLQ_CONSUMER, _PULL_S)
        except UnavailableError:
            await asyncio.sleep(1.0)
            continue
        if msg is None:
            continue
        advisory = json.loads(msg.data)
        # Whoever terminates a message has told the log why; only vanished runners have not.
        if advisory["type"].endswith("max_deliver"):
            sequence = int(advisory["stream_seq"])
            letter = await insist(partial(queue.subject_at, sequence))
            if letter is not None:
                yield letter
                await insist(partial(queue.remove, sequence))
        await insist(partial(broker.send, msg.reply, b"+ACK"))
