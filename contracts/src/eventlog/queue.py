"""The work queue of stage commands: published by the planner, worked off by runners.

There is one durable consumer for each kind of stage and lane. A message that is neither
finished nor heard of for some time is delivered again, to any runner.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from contracts.commands import Lane, StageCommand
from contracts.subjects import CommandSubject
from nats.aio.msg import Msg

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.errors import BrokerError
from eventlog.receipt import ACK_WAIT_S, BEATS, Receipt

MAX_DELIVERIES = 5
_SECOND = 1_000_000_000
_SUBJECT_IS_TAKEN = (10077,)
_NO_SUCH_SEQUENCE = 10043


@dataclass(frozen=True, slots=True)
class Delivery(Receipt):
    """A command in a runner's hands."""

    subject: CommandSubject
    body: bytes
    traceparent: str | None


class CommandQueue:
    """The queue, as the planner and the runners see it.

    All runners must agree on `ack_wait_s`: the consumer is as the last of them has opened it.
    """

    def __init__(self, broker: Broker, ack_wait_s: float = ACK_WAIT_S) -> None:
        self._broker = broker
        self._ack_wait_s = ack_wait_s
        self.heartbeat_s = ack_wait_s / BEATS

    async def publish(self, command: StageCommand, traceparent: str | None) -> bool:
        """Put a command on the queue; False if it is there already."""
        subject = CommandSubject(
            command.kind, command.lane, command.job, command.stage, command.attempt
        )
        headers = {"content-type": "application/json"}
        if traceparent:
            headers["traceparent"] = traceparent
        reply = await self._broker.publish(str(subject), command.to_json(), headers)
        error = reply.get("error")
        if error is None:
            return True
        if int(error.get("err_code", 0)) in _SUBJECT_IS_TAKEN:
            return False
        raise BrokerError(str(subject), int(error["err_code"]), error.get("description", ""))

    async def open(self, kind: str, lane: Lane) -> str:
        """Make sure that the consumer for a kind and lane exists; returns its name."""
        name = f"{kind}-{lane}"
        await self._broker.api(
            f"CONSUMER.CREATE.{subjects.COMMANDS}.{name}.{subjects.commands(kind, lane)}",
            {
                "stream_name": subjects.COMMANDS,
                "config": {
                    "name": name,
                    "durable_name": name,
                    "filter_subject": subjects.commands(kind, lane),
                    "ack_policy": "explicit",
                    "ack_wait": int(self._ack_wait_s * _SECOND),
                    "max_deliver": MAX_DELIVERIES,
                    "max_ack_pending": 10_000,
                },
            },
        )
        return name

    async def pull(self, consumer: str, wait_s: float = 0.0) -> Delivery | None:
        """The next command of a consumer, or None if there is none within `wait_s`."""
        msg = await self._broker.pull(subjects.COMMANDS, consumer, wait_s)
        return None if msg is None else self._delivery(msg)

    async def hints(self, lane: Lane, hint: Callable[[str], None]) -> None:
        """Call `hint` with the kind of every command that is published for a lane from now on.

        It spares idle runners from asking all the time; a lost hint costs only a delay.
        """

        async def published(msg: Msg) -> None:
            hint(CommandSubject.parse(msg.subject).kind)

        await self._broker.client.subscribe(subjects.commands("*", lane), cb=published)

    def _delivery(self, msg: Msg) -> Delivery:
        return Delivery(
            subject=CommandSubject.parse(msg.subject),
            body=msg.data,
            traceparent=(msg.headers or {}).get("traceparent"),
            broker=self._broker,
            reply=msg.reply,
        )

    async def subject_at(self, sequence: int) -> CommandSubject | None:
        """What the message at a sequence of the queue is about, if it is still there."""
        body = json.dumps({"seq": sequence}).encode()
        reply = await self._broker.request(f"{API}DIRECT.GET.{subjects.COMMANDS}", body)
        subject = (reply.headers or {}).get("Nats-Subject")
        return CommandSubject.parse(subject) if subject else None

    async def remove(self, sequence: int) -> None:
        """Delete a message that nobody may receive any more; one that is gone is no error."""
        try:
            await self._broker.api(f"STREAM.MSG.DELETE.{subjects.COMMANDS}", {"seq": sequence})
        except BrokerError as error:
            # Another planner, or the last runner after all, has settled it.
            if error.code != _NO_SUCH_SEQUENCE:
                raise
