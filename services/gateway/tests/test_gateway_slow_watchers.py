"""Watchers that read slowly or not at all: they keep nobody waiting, and learn what they missed."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import httpx
import pytest
from contracts.stagelog import StageLine
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from gateway_socket import Watcher, watching
from gateway_stack import Stack
from gateway_story import Story, sampled
from websockets.exceptions import ConnectionClosed

LENGTH = 120
WORDS = "w" * 20_000
"""So many of these are more than gateway, system and client hold for one that does not read."""


def narrow(stack: Stack) -> socket.socket:
    """A connection with little room for what is not read, so that it fills soon."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", int(stack.url.rpartition(":")[2])))
    return made


async def test_a_slow_watcher_is_sent_the_latest_and_not_all_that_was(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    async with (
        watching(stack.url, sock=narrow(stack), max_queue=1) as slow,
        watching(stack.url) as quick,
    ):
        await slow.say({"action": "subscribe", "jobId": story.job})
        await quick.subscribe(story.job)
        for step in range(1, LENGTH + 1):
            await story.progress("prepare_dataset", step / LENGTH, message=WORDS)
        await quick.until(progress=0.25)
        heard = 0
        while (await slow.hear()).get("progress") != 0.25:
            heard += 1
    assert heard < LENGTH


async def test_what_a_slow_watcher_cannot_be_sent_is_told_as_a_gap(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    started = await story.start("prepare_dataset")
    async with (
        watching(stack.url, sock=narrow(stack), max_queue=1) as slow,
        watching(stack.url) as quick,
    ):
        await slow.say({"action": "subscribe", "jobId": story.job, "after": 0})
        # Until it has caught up, nothing is left out: the log has all of it.
        await slow.until(type="event", sequence=started)
        await quick.subscribe(story.job)
        for step in range(LENGTH):
            await story.tell(sampled(step, WORDS))
        last = await story.fail("prepare_dataset")
        await quick.until(status="failed")
        told = [recorded.sequence async for recorded in log.read_job(story.job)]
        heard: list[int] = []
        place, gaps = started, 0
        while place < last:
            message = await slow.hear()
            if message["type"] == "gap":
                assert message["jobId"] == story.job
                assert message["after"] == place
                place = message["before"] - 1
                gaps += 1
            elif message["type"] == "event":
                heard.append(message["sequence"])
                # Nothing lies between it and what was told before it.
                assert [one for one in told if place < one <= heard[-1]] == [heard[-1]]
                place = heard[-1]
    assert gaps
    assert len(heard) < LENGTH
    fetched = (await api.get(f"/api/jobs/{story.job}/timeline?limit=1000")).json()["events"]
    assert [event["sequence"] for event in fetched] == told


async def test_lines_beyond_what_may_wait_are_counted(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    lines = StageLogs(broker)
    async with (
        watching(stack.url, sock=narrow(stack), max_queue=1) as slow,
        watching(stack.url) as quick,
    ):
        for watcher in (slow, quick):
            await watcher.say({"action": "subscribe", "jobId": story.job, "lines": True})
            await watcher.until(type="update")
        for step in range(LENGTH):
            await lines.write(
                StageLine(
                    job=story.job,
                    stage="prepare_dataset",
                    attempt=1,
                    at=datetime.now(UTC),
                    message=WORDS,
                    step=step,
                )
            )
        # All of them have come by before the slow one begins to read.
        await counted(quick)
        heard, left_out = await counted(slow)
    assert left_out
    assert heard


async def counted(watcher: Watcher) -> tuple[int, int]:
    """How many of the lines a watcher heard, and how many it was told are left out."""
    heard = left_out = 0
    while heard + left_out < LENGTH:
        message = await watcher.hear()
        heard += message["type"] == "line"
        left_out += message["count"] if message["type"] == "linesLeftOut" else 0
    return heard, left_out


async def test_whoever_asks_without_end_and_reads_nothing_is_let_go(stack: Stack) -> None:
    async with watching(
        stack.url, sock=narrow(stack), max_queue=1, ping_interval=None, close_timeout=1
    ) as flood:
        with pytest.raises(ConnectionClosed):
            await flood.say_for_ever({"action": "explode", "jobId": "n" * 64})
