"""How the log is read fast: windows that come full, and headers that are read at once."""

import asyncio
import inspect
import secrets

import pytest
from contracts.events import JobRequested, JobType
from eventlog.broker import Broker
from eventlog.client import Frame, QuickClient, Sink, read_headers
from eventlog.log import EventLog
from eventlog.reader import EVERYTHING, read_log, read_stored_log
from nats.aio.client import Client
from nats.aio.subscription import Subscription

REQUEST = JobRequested(type=JobType.TRAIN, owner="me")


async def tell_many(log: EventLog, batches: int, size: int) -> int:
    last = 0
    for _ in range(batches):
        job = f"job-{secrets.token_hex(4)}"
        last = await log.append([log.record(job, REQUEST) for _ in range(size)], expected=0)
    return last


async def test_who_is_far_behind_gets_full_windows_and_then_what_is_left(admin: Broker) -> None:
    log = EventLog(admin, "test")
    before = (await log.position()).last_sequence
    end = await tell_many(log, batches=5, size=70)
    sizes = []
    async with asyncio.timeout(20):
        async for batch in read_stored_log(admin, before, window=100):
            sizes.append(len(batch))
            if batch[-1].sequence >= end:
                break
    assert sizes == [100, 100, 100, 50]


async def test_who_follows_gets_an_event_before_the_window_is_full(admin: Broker) -> None:
    log = EventLog(admin, "test")
    before = (await log.position()).last_sequence
    told = []
    async with asyncio.timeout(20):
        told.append(await log.tell("alone", REQUEST))
        async for batch in read_log(admin, before, window=100):
            assert [event.sequence for event in batch] == told[-1:]
            if len(told) == 3:
                break
            told.append(await log.tell("alone", REQUEST))


@pytest.mark.parametrize("last", [False, True], ids=["one between others", "the last one"])
@pytest.mark.parametrize("only", [EVERYTHING, ("jobs.*.events.JobRequested",)])
async def test_a_message_that_was_lost_on_its_way_is_read_again_and_is_no_gap(
    admin: Broker, monkeypatch: pytest.MonkeyPatch, last: bool, only: tuple[str, ...]
) -> None:
    """A server that dies takes with it what a consumer has sent, and a reader's connection holds
    or is made again before it knows."""
    log = EventLog(admin, "test")
    before = (await log.position()).last_sequence
    end = await tell_many(log, batches=1, size=5)
    unlucky, lost = end if last else end - 2, list[bytes]()
    pour = admin.client.pour

    async def lossy_pour(inbox: str, sink: Sink) -> Subscription:
        def lossy(frame: Frame) -> None:
            if not lost and frame.reply.rsplit(b".", 4)[1:2] == [b"%d" % unlucky]:
                lost.append(frame.reply)
            else:
                sink(frame)

        return await pour(inbox, lossy)

    monkeypatch.setattr(admin.client, "pour", lossy_pour)
    read: list[int] = []
    async with asyncio.timeout(20):
        async for batch in read_stored_log(admin, before, only=only):
            read += [event.sequence for event in batch]
            if read[-1] == end:
                break
    assert lost
    assert read == list(range(before + 1, end + 1))


BLOCKS = [
    b"",
    b"ce-id: 1\r\nce-type: myspinbot.JobRequested\r\n\r\n",
    b"Name:Value\r\nOther:\tvalue \r\nEmpty:\r\n",
    b"no colon\r\na b: c\r\n: nameless\r\nlink: http://host:1/\r\n",
    b"twice: 1\r\ntwice: 2\r\n",
    "who: Łucja\r\nÿ: 1\r\n".encode(),
    b"broken: \xff\r\n",
]


@pytest.mark.parametrize("block", BLOCKS)
def test_headers_are_read_as_the_library_reads_them(block: bytes) -> None:
    assert read_headers(block) == Client._parse_header_lines(block)


async def test_the_library_still_asks_for_headers_by_this_name(admin: Broker) -> None:
    read = []

    class Watched(QuickClient):
        @staticmethod
        def _parse_header_lines(raw: bytes) -> dict[str, str]:
            read.append(raw)
            return QuickClient._parse_header_lines(raw)

    assert isinstance(admin.client, QuickClient)
    headers = await Watched()._process_headers(b"NATS/1.0\r\nce-id: 1\r\n\r\n")
    assert headers == {"ce-id": "1"}
    assert read


async def test_the_library_still_parses_with_ours_and_gives_the_rest_to_this_method(
    admin: Broker,
) -> None:
    """Without them messages would come by the queue, to the same end and later."""
    callers: list[str] = []

    def sink(_frame: Frame) -> None:
        callers.append(inspect.stack()[1].function)

    inbox = admin.client.new_inbox()
    subscription = await admin.client.pour(inbox, sink)
    # An answer of the broker's has no headers, and an event that was told has.
    await ask_how_it_is(admin, inbox)
    await admin.client.publish(inbox, b"x", reply="somebody", headers={"a": "b"})
    await admin.api("INFO")
    await admin.client.stop_pouring(subscription)
    await ask_how_it_is(admin, inbox)
    assert callers == ["_process_msg", "_pour"]


async def test_a_flush_is_behind_what_was_sent_before_it(admin: Broker) -> None:
    """The library's ping once overtook a subscription, which then missed what it was meant for."""
    sent: list[bytes] = []
    transport = admin.client._transport
    assert transport is not None
    write, writelines = transport.write, transport.writelines
    transport.write = lambda data: (sent.append(bytes(data)), write(data))[1]
    transport.writelines = lambda lines: (sent.extend(map(bytes, lines)), writelines(lines))[1]
    await admin.client.subscribe(admin.client.new_inbox())
    await admin.client.flush()
    assert [line.split()[0] for line in sent] == [b"SUB", b"PING"]


SENT = [
    Frame(
        b"jobs.1.A",
        b"$JS.ACK.1",
        b"NATS/1.0\r\nce-id: 1\r\n\r\n",
        b'{"a":"\r\nHMSG x 7 y 1 2\r\n"}',
    ),
    Frame(b"jobs.2.B", b"$JS.ACK.2", b"NATS/1.0\r\n\r\n", b""),
    Frame(b"jobs.3.C", b"$JS.ACK.3", b"NATS/1.0\r\nce-id: 3\r\n\r\n", b"z" * 5000),
]
SILENCE = Frame(b"inbox", b"", b"NATS/1.0 100 Idle Heartbeat\r\n\r\n", b"")


def on_the_wire(frame: Frame) -> bytes:
    sizes = b"%d %d" % (len(frame.headers), len(frame.headers) + len(frame.body))
    line = b" ".join(part for part in (b"HMSG", frame.subject, b"7", frame.reply, sizes) if part)
    return line + b"\r\n" + frame.headers + frame.body + b"\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, 64, 1000, 100_000])
async def test_frames_are_the_same_wherever_what_arrives_is_cut(size: int) -> None:
    frames: list[Frame] = []
    others: list[tuple[object, ...]] = []

    async def theirs(sid: int, subject: bytes, reply: bytes, data: bytes, _headers: bytes) -> None:
        others.append((sid, subject, reply, data))

    class Watched(QuickClient):
        async def _process_msg(self, sid: int, *message: bytes) -> None:
            await (theirs(sid, *message) if sid == 8 else super()._process_msg(sid, *message))

    client = Watched()
    client.sinks[7] = frames.append
    pieces = [
        b"+OK\r\n",
        on_the_wire(SENT[0]),
        on_the_wire(SENT[1]),
        b"MSG other 8 2\r\nhi\r\n",
        on_the_wire(SENT[2]),
        on_the_wire(SILENCE),
        on_the_wire(SENT[0]).replace(b" 7 ", b" 8 ", 1),
        on_the_wire(SENT[1]),
    ]
    wire = b"".join(pieces)
    for start in range(0, len(wire), size):
        await client._ps.parse(wire[start : start + size])
    assert frames == [*SENT, SILENCE, SENT[1]]
    assert others == [(8, b"other", b"", b"hi"), (8, b"jobs.1.A", b"$JS.ACK.1", SENT[0].body)]
    assert not client._ps.buf


async def ask_how_it_is(broker: Broker, inbox: str) -> None:
    """The broker answers to the inbox, and after that to us."""
    await broker.client.publish("$JS.API.INFO", b"", reply=inbox)
    await broker.api("INFO")
