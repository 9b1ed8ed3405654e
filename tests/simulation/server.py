"""A broker in memory: subscriptions, streams and the part of the JetStream API that is used.

It knows nothing of networks. Who is connected gives it what was sent, when that arrives, and is
given what is sent to it.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.consumers import Consumer, Outside
from tests.simulation.loop import VirtualLoop
from tests.simulation.streams import Headers, Kept, RefusedError, Stream, matches

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When the world began."""

_API = "$JS.API."
_ACK = "$JS.ACK."
Deliver = Callable[[str, str, Headers, bytes], None]
"""Takes a message's subject, its reply subject, headers and body."""


@dataclass(eq=False, slots=True)
class Subscription:
    """Who hears of a subject."""

    pattern: str
    deliver: Deliver


class Server:
    """One server. What is in its memory is lost when it restarts."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._bare = contextvars.Context()
        self.streams: dict[str, Stream] = {}
        self._consumers: dict[str, dict[str, Consumer]] = {}
        self._exact: dict[str, list[Subscription]] = {}
        self._wide: list[Subscription] = []
        self._outside = Outside(
            send=self._send,
            listens=self._exact.__contains__,
            later=self.later,
            now=loop.time,
            advise=self._advise,
        )

    def later(self, seconds: float, call: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call something after a time, on behalf of nobody."""
        return self._loop.call_later(seconds, call, *args, context=self._bare)

    def subscribe(self, pattern: str, deliver: Deliver) -> Subscription:
        """Somebody wants to hear of a subject."""
        subscription = Subscription(pattern, deliver)
        if "*" in pattern or ">" in pattern:
            self._wide.append(subscription)
        else:
            self._exact.setdefault(pattern, []).append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """And now does not."""
        if subscription in self._wide:
            self._wide.remove(subscription)
        elif subscription in (exact := self._exact.get(subscription.pattern, [])):
            exact.remove(subscription)
            if not exact:
                del self._exact[subscription.pattern]

    def publish(self, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        """A message has arrived from a client."""
        if subject.startswith(_API):
            self._asked(subject.removeprefix(_API), reply, data)
            return
        if subject.startswith(_ACK):
            self._acknowledged(subject, reply, data)
            return
        heard = self._spread(subject, reply, headers, data)
        stream = next((one for one in self.streams.values() if one.takes(subject)), None)
        if stream is None:
            if not heard and reply:
                self._nobody(subject, reply)
            return
        try:
            answer = stream.publish(subject, headers, data, self._loop.time())
        except RefusedError as error:
            answer = {"error": error.error, "stream": stream.name, "seq": 0}
        if reply and answer:
            self._send(reply, reply, "", {}, json.dumps(answer).encode())

    def _spread(self, subject: str, reply: str, headers: Headers, data: bytes) -> bool:
        hearing = [*self._exact.get(subject, ())]
        hearing += [one for one in self._wide if matches(one.pattern, subject)]
        for one in hearing:
            one.deliver(subject, reply, headers, data)
        return bool(hearing)

    def _send(self, inbox: str, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        for one in tuple(self._exact.get(inbox, ())) or tuple(self._wide):
            if matches(one.pattern, inbox):
                one.deliver(subject, reply, headers, data)

    def _nobody(self, subject: str, reply: str) -> None:
        self._send(reply, reply, "", {"Status": "503", "Nats-Subject": subject}, b"")

    def _advise(self, subject: str, about: dict[str, Any]) -> None:
        self.publish(subject, "", {}, json.dumps(about).encode())

    def _acknowledged(self, subject: str, reply: str, word: bytes) -> None:
        tokens = subject.split(".")
        consumer = self._consumers.get(tokens[2], {}).get(tokens[3])
        if consumer is None:
            if reply:
                self._nobody(subject, reply)
            return
        sequence = int(tokens[5])
        if not consumer.delivered(sequence):
            # It is of a stream of that name that is no more: nobody answers.
            return
        consumer.acknowledged(sequence, word, tokens)
        if reply:
            self._send(reply, reply, "", {}, b"")

    def _asked(self, call: str, reply: str, data: bytes) -> None:
        tokens = call.split(".")
        body = json.loads(data) if data else {}
        name = tokens[3 if tokens[1:3] == ["MSG", "NEXT"] or tokens[1:2] == ["MSG"] else 2]
        stream = self.streams.get(name)
        match tokens:
            case ["DIRECT", "GET", _] if stream is None:
                self._nobody(_API + call, reply)
            case ["DIRECT", "GET", _]:
                self._direct(stream, body, reply)
            case ["CONSUMER", "MSG", "NEXT", _, consumer]:
                if found := self._consumers.get(name, {}).get(consumer):
                    found.pull(reply, body)
                else:
                    self._nobody(_API + call, reply)
            case _:
                answer = self._administered(tokens, stream, body)
                self._send(reply, reply, "", {}, json.dumps(answer).encode())

    def _administered(
        self, tokens: list[str], stream: Stream | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        match tokens:
            case ["STREAM", "CREATE", name]:
                if stream is None:
                    self.streams[name] = Stream(body, self._loop.time(), self._grown)
                    self._consumers[name] = {}
                elif stream.config != body:
                    return _error(400, 10058, "stream name already in use")
                return {"did_create": stream is None}
            case _ if stream is None:
                return _error(404, 10059, "stream not found")
            case ["STREAM", "INFO", _]:
                created = (EPOCH + timedelta(seconds=stream.created)).isoformat()
                state = {"last_seq": stream.last, "messages": stream.length}
                return {"created": created, "state": state, "config": stream.config}
            case ["STREAM", "MSG", "DELETE", _]:
                if not stream.remove(body["seq"]):
                    return _error(400, 10043, f"sequence {body['seq']} not found")
            case ["CONSUMER", "CREATE", name, consumer, *_]:
                if consumer not in self._consumers[name]:
                    made = Consumer(stream, body["config"], self._outside)
                    self._consumers[name][consumer] = made
                return {"name": consumer}
            case ["CONSUMER", "DELETE", name, consumer]:
                if consumer not in self._consumers[name]:
                    return _error(404, 10014, "consumer not found")
                self._consumers[name].pop(consumer).end(told=True)
            case _:
                raise NotImplementedError(".".join(tokens))
        return {"success": True}

    def _direct(self, stream: Stream, body: dict[str, Any], reply: str) -> None:
        one, many = None, None
        if "last_by_subj" in body:
            one = stream.last_of(body["last_by_subj"])
        elif "multi_last" in body:
            many = stream.lasts(body["multi_last"], self._loop.time())
        elif "next_by_subj" in body:
            many = list(stream.from_(body["seq"], [body["next_by_subj"]]))
        else:
            one = stream.at(body["seq"])
        if one is None and not many:
            missing = {"Status": "404", "Description": "Message Not Found"}
            self._send(reply, reply, "", missing, b"")
        elif one is not None:
            self._send(reply, reply, "", _found(stream, one), one.data)
        else:
            self._send_many(stream, many or [], int(body["batch"]), reply)

    def _send_many(self, stream: Stream, many: list[Kept], most: int, reply: str) -> None:
        before = 0
        for index, kept in enumerate(many[:most], 1):
            headers = _found(stream, kept)
            headers |= {
                "Nats-Num-Pending": str(len(many) - index),
                "Nats-Last-Sequence": str(before),
            }
            before = kept.sequence
            self._send(reply, reply, "", headers, kept.data)
        left = {"Nats-Num-Pending": str(max(len(many) - most, 0))}
        ended = {"Status": "204", "Description": "EOB", **left, "Nats-Last-Sequence": str(before)}
        self._send(reply, reply, "", ended, b"")

    def _grown(self, stream: Stream) -> None:
        for consumer in tuple(self._consumers[stream.name].values()):
            consumer.pump()

    def restart(self) -> None:
        """All connections end, and what was in memory is gone."""
        self._exact.clear()
        self._wide.clear()
        for name in list(self.streams):
            lasting = self.streams[name].config.get("storage") == "file"
            for consumer in list(self._consumers[name].values()):
                consumer.end(told=False) if not consumer.lasts else consumer.forget_pulls()
                if not consumer.lasts:
                    del self._consumers[name][consumer.name]
            if not lasting:
                del self.streams[name], self._consumers[name]

    def read(self, stream: str, after: int) -> Iterator[Kept]:
        """What a stream holds after a sequence, for whoever judges."""
        yield from self.streams[stream].from_(after + 1, [">"])


def _found(stream: Stream, kept: Kept) -> Headers:
    stamp = (EPOCH + timedelta(seconds=kept.at)).isoformat()
    where = {"Nats-Stream": stream.name, "Nats-Subject": kept.subject}
    return {**kept.headers, **where, "Nats-Sequence": str(kept.sequence), "Nats-Time-Stamp": stamp}


def _error(code: int, err_code: int, description: str) -> dict[str, Any]:
    return {"error": {"code": code, "err_code": err_code, "description": description}}
