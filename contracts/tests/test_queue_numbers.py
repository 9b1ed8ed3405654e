"""A queue that was lost with the broker's memory is another queue: nothing of the old counts."""

import asyncio
import json
from pathlib import Path

from contracts.commands import Lane, StageCommand
from contracts.subjects import CommandSubject
from eventlog.broker import API, Broker, connect
from eventlog.deadletters import dead_letters
from eventlog.errors import UnavailableError
from eventlog.patience import insist
from eventlog.queue import CommandQueue, Delivery
from eventlog.topology import ensure, ensure_derived

from contracts import subjects
from tests.support.broker import NatsServer, nats_server


def command(attempt: int) -> StageCommand:
    return StageCommand(
        job="j",
        stage="s",
        attempt=attempt,
        kind="k",
        engine="mini",
        lane=Lane.CPU,
        params={},
        inputs={},
        seed=1,
    )


async def taken(queue: CommandQueue, attempts: tuple[int, ...]) -> list[Delivery]:
    """Commands that were published and are in a runner's hands."""
    consumer = await queue.open("k", Lane.CPU)
    for attempt in attempts:
        assert await queue.publish(command(attempt), None)
    found = [await queue.pull(consumer, wait_s=5) for _ in attempts]
    return [delivery for delivery in found if delivery is not None]


async def restarted(server: NatsServer, broker: Broker) -> None:
    back = asyncio.Event()

    async def returned() -> None:
        back.set()

    broker.on_reconnect(returned)
    server.kill()
    server.start()
    async with asyncio.timeout(30):
        await back.wait()
    await insist(lambda: ensure_derived(broker))


async def test_a_late_acknowledgement_leaves_the_commands_of_a_new_queue_alone(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        queue = CommandQueue(broker)
        former = await taken(queue, (1, 2))
        await restarted(server, broker)
        anew = await taken(queue, (11, 12))
        for delivery in former:
            # Nobody is there to confirm it.
            await broker.send(delivery.reply, b"+ACK")
        await broker.client.flush()
        info = await broker.api(f"STREAM.INFO.{subjects.COMMANDS}")
        assert info["state"]["messages"] == len(anew) == 2
        await broker.close()


async def test_a_dead_letter_of_a_former_queue_is_about_nothing(tmp_path: Path) -> None:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        queue = CommandQueue(broker)
        (former,) = await taken(queue, (1,))
        number = int(former.reply.split(".")[-4])
        advisory = {"type": "io.nats.jetstream.advisory.v1.max_deliver", "stream_seq": number}
        subject = subjects.ADVISORIES[0].replace(">", "k-cpu")
        await restarted(server, broker)
        _, killed = await taken(queue, (11, 12))
        await broker.publish(subject, json.dumps(advisory).encode())
        # One of the queue as it is now comes after it, and is the first that anybody hears of.
        advisory["stream_seq"] = int(killed.reply.split(".")[-4])
        await broker.publish(subject, json.dumps(advisory).encode())
        letters: list[CommandSubject] = []
        async with asyncio.timeout(30):
            async for letter in dead_letters(broker):
                letters.append(letter)
                break
        assert [letter.attempt for letter in letters] == [12]
        await broker.close()


async def test_a_command_that_is_off_the_queue_already_may_be_removed_again(admin: Broker) -> None:
    queue = CommandQueue(admin)
    (delivery,) = await taken(queue, (21,))
    number = int(delivery.reply.split(".")[-4])
    await queue.remove(number)
    await queue.remove(number)
    assert await queue.subject_at(number) is None


async def test_what_is_sent_while_too_much_waits_for_a_broker_is_an_outage(tmp_path: Path) -> None:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        gone = asyncio.Event()
        broker.on_disconnect(gone.set)
        server.kill()
        async with asyncio.timeout(30):
            await gone.wait()
        outage = False
        for _ in range(64):
            try:
                await broker.send(f"{API}INFO", bytes(1 << 16))
            except UnavailableError:
                outage = True
                break
        assert outage
        await broker.close()
