"""The simulated broker is held to the real one: the same questions, the same answers."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from eventlog.broker import Broker, connect
from eventlog.topology import ensure
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError

from contracts import subjects
from tests.simulation.lives import Life
from tests.simulation.loop import VirtualLoop
from tests.simulation.server import EPOCH, Server
from tests.simulation.weather import Weather
from tests.support.broker import nats_server

_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_KIND = "k-cpu"
_NEXT = f"$JS.API.CONSUMER.MSG.NEXT.CMD.{_KIND}"
_ACK_WAIT_S = 0.5
_FIRST = int(EPOCH.timestamp() * 1000)
"""The first number in the queue."""
_TOLD = {"Status", "Nats-Sequence", "Nats-Subject", "Nats-Num-Pending", "Nats-Last-Sequence"}
_TOLD |= {"Nats-Msg-Id", "Nats-Pending-Messages", "Nats-Last-Consumer"}
_REPLY = re.compile(r"(\$JS\.ACK\.\w+\.[\w-]+\.\d+\.\d+\.\d+)\.\d+(\.\d+)")
"""Without the time; and how many are left is only asked of the log, where none comes again."""


class Questions:
    """Asks one broker, and keeps what it answers in a form in which two can be compared."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.answers: list[Any] = []
        self.receipts: list[str] = []

    async def ask(
        self, subject: str, data: bytes = b"", headers: dict[str, str] | None = None, most: int = 1
    ) -> None:
        """One message, and the answers to it until one of them is the last."""
        inbox = self.broker.client.new_inbox()
        subscription = await self.broker.client.subscribe(inbox)
        await self.broker.client.publish(subject, data, reply=inbox, headers=headers)
        answers = []
        for _ in range(most):
            try:
                msg = await subscription.next_msg(2.0)
            except NatsTimeoutError:
                answers.append("silence")
                break
            answers.append(self._told(msg, inbox))
            if (msg.headers or {}).get("Status") not in (None, "100"):
                break
        await subscription.unsubscribe()
        self.answers.append((_without_time(subject), data, answers))

    def _told(self, msg: Msg, inbox: str) -> Any:
        headers = {name: value for name, value in (msg.headers or {}).items() if name in _TOLD}
        if msg.reply:
            self.receipts.append(msg.reply)
        where = "inbox" if msg.subject == inbox else msg.subject
        return where, _without_time(msg.reply), headers, _content(msg.data)


def _without_time(subject: str) -> str:
    return _REPLY.sub(r"\1\2" if ".JOBS." in subject else r"\1", subject)


def _content(data: bytes) -> Any:
    if not data.startswith(b"{"):
        return data
    told = json.loads(data)
    kept = {"seq", "duplicate", "count", "stream_seq", "deliveries", "reason", "consumer_seq"}
    return {
        "error": told.get("error", {}).get("err_code"),
        "type": told.get("type", "").rpartition(".")[2] if "stream_seq" in told else None,
        "last": told.get("state", {}).get("last_seq"),
        **{name: told[name] for name in kept & told.keys()},
    }


async def on_the_log(ask: Questions, chance: random.Random) -> None:
    """Appends of all sorts, right and wrong, alone and together, and all ways to read them."""
    ids = [f"id-{number}" for number in range(12)]
    for number in range(60):
        job = chance.choice(("a", "b"))
        guard = {_EXPECT: str(chance.randint(0, 12)), f"{_EXPECT}-Subject": f"jobs.{job}.>"}
        match chance.choice(("one", "batch", "hole", "last", "page", "at", "info", "nobody")):
            case "one":
                headers = {"Nats-Msg-Id": chance.choice(ids)} | (
                    guard if chance.random() < 0.5 else {}
                )
                await ask.ask(f"jobs.{job}.events.X", b"one", headers)
            case "batch" | "hole" as how:
                size = chance.randint(2, 3)
                for index in range(1, size + 1):
                    headers = {
                        "Nats-Batch-Id": f"batch-{number}",
                        "Nats-Batch-Sequence": str(index),
                    }
                    headers["Nats-Msg-Id"] = chance.choice(ids) + f"-{number}"
                    if chance.random() < 0.1:
                        headers["Nats-Msg-Id"] = chance.choice(ids)
                    if index == 1:
                        headers |= guard if chance.random() < 0.5 else {}
                        if how == "hole":
                            continue
                    if index < size:
                        await ask.broker.client.publish(
                            f"jobs.{job}.events.Y", b"some", headers=headers
                        )
                        continue
                    headers["Nats-Batch-Commit"] = "1"
                    await ask.ask(f"jobs.{job}.events.Y", b"some", headers)
            case "last":
                wanted = chance.choice((f"jobs.{job}.>", "jobs.>", "jobs.c.>", "jobs.*.events.Y"))
                body = json.dumps({"last_by_subj": wanted}).encode()
                await ask.ask("$JS.API.DIRECT.GET.JOBS", body)
            case "page":
                body = {"batch": chance.randint(1, 4), "seq": chance.randint(1, 20)}
                body_json = json.dumps(body | {"next_by_subj": f"jobs.{job}.>"}).encode()
                await ask.ask("$JS.API.DIRECT.GET.JOBS", body_json, most=10)
            case "at":
                body_json = json.dumps({"seq": chance.randint(1, 30)}).encode()
                await ask.ask("$JS.API.DIRECT.GET.JOBS", body_json)
            case "info":
                await ask.ask("$JS.API.STREAM.INFO.JOBS")
            case "nobody":
                await ask.ask(chance.choice(("$JS.API.STREAM.INFO.NONE", "nobody.hears")))


async def on_a_board(ask: Questions, chance: random.Random) -> None:
    """The latest values, posted blindly and by who has seen the last one."""
    await ask.ask("$JS.API.STREAM.CREATE.B", json.dumps(_BOARD).encode())
    ask.answers.clear()
    for _ in range(30):
        key = f"board.{chance.choice('xyz')}"
        match chance.choice(("post", "guarded", "all", "get")):
            case "post":
                await ask.ask(key, b"value")
            case "guarded":
                await ask.ask(key, b"guarded", {_EXPECT: str(chance.randint(0, 15))})
            case "all":
                body = json.dumps(
                    {"multi_last": [chance.choice(("board.>", "board.q"))], "batch": 9}
                )
                await ask.ask("$JS.API.DIRECT.GET.B", body.encode(), most=9)
            case "get":
                await ask.ask("$JS.API.DIRECT.GET.B", json.dumps({"last_by_subj": key}).encode())


_BOARD = {
    "name": "B",
    "subjects": ["board.>"],
    "storage": "memory",
    "allow_direct": True,
    "max_msgs_per_subject": 1,
}
_QUEUE = {
    "name": _KIND,
    "durable_name": _KIND,
    "filter_subject": "cmd.stage.k.cpu.>",
    "ack_policy": "explicit",
    "ack_wait": int(_ACK_WAIT_S * 1e9),
    "max_deliver": 2,
    "max_ack_pending": 10_000,
}


async def on_the_queue(ask: Questions, _: random.Random) -> None:
    """A command's ways: taken, given back, forgotten, given up, refused, and done too late."""
    create = f"$JS.API.CONSUMER.CREATE.CMD.{_KIND}.cmd.stage.k.cpu.>"
    await ask.ask(create, json.dumps({"stream_name": "CMD", "config": _QUEUE}).encode())
    ask.answers.clear()
    take = b'{"batch": 1, "expires": 1500000000}'
    look = b'{"batch": 1, "no_wait": true}'
    for number in (1, 2, 3, 4):
        await ask.ask(f"cmd.stage.k.cpu.j.s.{number}", b"do")
    await ask.ask("cmd.stage.k.cpu.j.s.1", b"again")
    await ask.ask("$JS.API.CONSUMER.MSG.NEXT.CMD.nobody", look)
    await ask.ask(_NEXT, take)
    first = ask.receipts[-1]
    await ask.ask(first, b"+WPI")
    await ask.ask(first, b"+ACK")
    await ask.ask(first, b"+ACK")
    await ask.ask("cmd.stage.k.cpu.j.s.1", b"anew")
    await ask.ask(_NEXT, take)
    await ask.ask(ask.receipts[-1], b'-NAK {"delay": 100000000}')
    for _round in range(4):
        await ask.ask(_NEXT, take)
    # All that is not settled has come for the last time, and is now given up.
    await asyncio.sleep(3 * _ACK_WAIT_S)
    await ask.ask(_NEXT, look)
    await ask.ask("cmd.stage.k.cpu.j.s.9", b"refused")
    await ask.ask(_NEXT, take)
    await ask.ask(ask.receipts[-1], b"+TERM why")
    # The broker writes a letter when it finds the time.
    for _letter in range(3):
        await ask.ask("$JS.API.CONSUMER.MSG.NEXT.DLQ.planner", take)
    second, third, hundredth = (_FIRST + after for after in (1, 2, 99))
    await ask.ask("$JS.API.DIRECT.GET.CMD", json.dumps({"seq": second}).encode())
    await ask.ask(f"$JS.ACK.CMD.{_KIND}.2.{second}.9.1.0", b"+ACK")
    await ask.ask("$JS.API.DIRECT.GET.CMD", json.dumps({"seq": second}).encode())
    await ask.ask("$JS.API.STREAM.MSG.DELETE.CMD", json.dumps({"seq": third}).encode())
    await ask.ask("$JS.API.STREAM.MSG.DELETE.CMD", json.dumps({"seq": third}).encode())
    await ask.ask(f"$JS.ACK.CMD.{_KIND}.1.{hundredth}.99.1.0", b"+ACK")


async def by_a_reader(ask: Questions, _: random.Random) -> None:
    """A window on the log: what is there, heartbeats, and what ends it."""
    for number in range(3):
        await ask.ask(f"jobs.r.events.E{number}", b"told")
    config = {
        "name": "r1",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": 2,
        "ack_policy": "none",
        "filter_subject": "jobs.>",
        "mem_storage": True,
    }
    create = json.dumps({"stream_name": subjects.JOBS, "config": config}).encode()
    await ask.ask("$JS.API.CONSUMER.CREATE.JOBS.r1.jobs.>", create)
    ask.answers.pop()
    window = {"batch": 5, "expires": 1_200_000_000, "idle_heartbeat": 500_000_000}
    await ask.ask("$JS.API.CONSUMER.MSG.NEXT.JOBS.r1", json.dumps(window).encode(), most=9)
    await ask.ask("$JS.API.CONSUMER.DELETE.JOBS.r1")
    await ask.ask("$JS.API.CONSUMER.DELETE.JOBS.r1")
    await ask.ask("$JS.API.CONSUMER.MSG.NEXT.JOBS.r1", b'{"batch": 1, "no_wait": true}')


Script = Callable[[Questions, random.Random], Awaitable[None]]


async def really(script: Script, seed: int, folder: Path) -> list[Any]:
    with nats_server(folder) as server:
        broker = await connect(server.address("admin"))
        await ensure(broker, now=lambda: EPOCH)
        ask = Questions(broker)
        await script(ask, random.Random(seed))
        await broker.close()
    return ask.answers


def simulated(script: Script, seed: int) -> list[Any]:
    loop = VirtualLoop()
    network = Weather(random.Random(0))
    network.calm, network._usual_s = True, 0.0001
    life = Life(loop, Server(loop), network, "admin")
    answers: list[Any] = []

    async def ask_all() -> None:
        broker = life.connect("admin")
        await ensure(broker, now=lambda: EPOCH)
        ask = Questions(broker)
        await script(ask, random.Random(seed))
        answers.extend(ask.answers)

    task = life.start(ask_all())
    loop.run_until_complete(task)
    loop.close()
    return answers


@pytest.mark.parametrize(
    ("script", "seed"),
    [
        *((on_the_log, seed) for seed in range(4)),
        *((on_a_board, seed) for seed in range(2)),
        (on_the_queue, 0),
        (by_a_reader, 0),
    ],
)
async def test_the_simulated_broker_answers_as_the_real_one(
    script: Script, seed: int, tmp_path: Path
) -> None:
    found = await really(script, seed, tmp_path / "nats")
    expected = await asyncio.to_thread(simulated, script, seed)
    for number, (real, model) in enumerate(zip(found, expected, strict=True)):
        assert real == model, f"step {number}"
