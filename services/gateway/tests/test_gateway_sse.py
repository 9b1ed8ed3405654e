"""Server-sent events: every event of the log once, in order, however often the line is cut."""

from __future__ import annotations

import asyncio
import random
import socket
from datetime import UTC, datetime

import httpx
import pytest
from contracts.stagelog import StageLine
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from gateway_people import client, make_token, token_gateway
from gateway_sse import Parser, listening
from gateway_stack import Stack
from gateway_story import Story, sampled


async def sequences(log: EventLog, job: str) -> list[int]:
    return [recorded.sequence async for recorded in log.read_job(job)]


async def shown(api: httpx.AsyncClient, job: str, status: str) -> None:
    """Return once the gateway has seen that the job stands so."""
    while (await api.get(f"/api/status/{job}")).json()["status"] != status:
        pass


async def test_an_ended_job_is_told_from_its_request_to_its_end(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.finish()
    async with listening(stack.url, f"/api/jobs/{story.job}/events") as stream:
        assert stream.status == 200
        assert "content-type: text/event-stream" in stream.headers
        assert "cache-control: no-store" in stream.headers
        heard = [event async for event in stream.events()]
    told = [event for event in heard if event.name == "log"]
    assert [int(event.id) for event in told] == await sequences(log, story.job)
    assert [event.json["type"] for event in told][:2] == ["JobRequested", "ConsentGiven"]
    assert told[-1].json["type"] == "JobCompleted"
    assert heard[-1].name == "end"
    assert heard[-1].json == {"jobId": story.job, "status": "completed"}
    last_update = [event for event in heard if event.name == "update"][-1]
    assert last_update.json["status"] == "completed"


@pytest.mark.parametrize("seed", range(4))
async def test_cut_at_any_byte_and_taken_up_again_nothing_is_missed_or_doubled(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog, seed: int
) -> None:
    chance = random.Random(seed)
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")

    async def write() -> None:
        for step in range(60):
            await story.tell(sampled(step))
            await story.progress("prepare_dataset", step / 60, message="…" * chance.randrange(40))
        await story.fail("prepare_dataset")

    writing = asyncio.create_task(write())
    heard: list[int] = []
    last_id, cuts, ended = "", 0, False
    while not ended:
        last = {"Last_Event_ID": last_id} if last_id else {}
        async with listening(stack.url, f"/api/jobs/{story.job}/events", **last) as stream:
            if stream.status == 204:
                break
            assert stream.status == 200
            stream.parser.last_id = last_id
            # Long enough to hear something now and then, short enough to be cut often.
            async for event in stream.events(chance.randrange(1, 4000)):
                if event.name == "log":
                    heard.append(int(event.id))
                ended = event.name == "end"
            last_id = stream.parser.last_id
            cuts += 1
    await writing
    assert cuts > 10
    assert heard == await sequences(log, story.job)


async def test_whoever_comes_back_after_the_end_is_told_to_stop(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    last = await story.finish()
    path = f"/api/jobs/{story.job}/events"
    await shown(api, story.job, "completed")
    async with listening(stack.url, path, Last_Event_ID=str(last)) as stream:
        assert stream.status == 204
    # What an EventSource sends of itself is newer than the address that it was made with.
    async with listening(stack.url, f"{path}?after=1", Last_Event_ID=str(last)) as stream:
        assert stream.status == 204
    before = (await sequences(log, story.job))[-2]
    async with listening(stack.url, f"{path}?after={before}") as stream:
        heard = [event async for event in stream.events()]
    assert [event.json["type"] for event in heard if event.name == "log"] == ["JobCompleted"]


async def test_a_job_that_is_tried_again_goes_on_in_a_new_stream(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    last = await story.fail("prepare_dataset")
    await shown(api, story.job, "failed")
    retried = await api.post(f"/api/jobs/{story.job}/retry")
    assert retried.status_code == 202
    async with listening(stack.url, f"/api/jobs/{story.job}/events?after={last}") as stream:
        assert (await stream.next("log")).json["type"] == "JobRetryRequested"


async def test_progress_and_lines_come_without_an_id_between_the_events(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    started = await story.start("prepare_dataset")
    async with listening(stack.url, f"/api/jobs/{story.job}/events") as stream:
        while (await stream.next("log")).id != str(started):
            pass
        await story.progress("prepare_dataset", 0.5)
        while (update := await stream.next("update")).json["progress"] != 0.125:
            pass
        assert update.id == str(started)
        line = StageLine(
            job=story.job,
            stage="prepare_dataset",
            attempt=1,
            at=datetime.now(UTC),
            message="loss",
            step=3,
            values={"loss": 0.5},
        )
        await StageLogs(broker).write(line)
        heard = await stream.next("line")
        assert heard.id == str(started)
        [kept] = (await api.get(f"/api/jobs/{story.job}/logs")).json()["lines"]
        assert heard.json == kept


async def test_a_reader_that_is_slow_still_hears_every_event(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", int(stack.url.rpartition(":")[2])))
    async with listening(stack.url, f"/api/jobs/{story.job}/events", narrow) as stream:
        for step in range(300):
            await story.tell(sampled(step, "c" * 20_000))
        await story.fail("prepare_dataset")
        heard = [int(event.id) async for event in stream.events() if event.name == "log"]
    assert heard == await sequences(log, story.job)


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=99999999999999999999"])
async def test_a_place_that_is_none_is_refused(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, query: str
) -> None:
    story = await Story.begin(broker, api)
    answer = await api.get(f"/api/jobs/{story.job}/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-request"


async def test_there_are_no_events_of_a_job_that_is_not_there(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/jobs/nobody/events")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-job")


async def test_a_stranger_is_told_nothing_of_a_job(stack: Stack, broker: Broker) -> None:
    with token_gateway(stack, "sse-owners") as url:
        ada, eve = await make_token(url, "ada"), await make_token(url, "eve")
        async with client(url, ada["token"]) as api:
            story = await Story.begin(broker, api)
        path = f"/api/jobs/{story.job}/events"
        async with listening(url, path, Authorization=f"Bearer {eve['token']}") as stream:
            assert stream.status == 404
        async with listening(url, path) as stream:
            assert stream.status == 401
        async with listening(url, path, Authorization=f"Bearer {ada['token']}") as stream:
            assert (await stream.next("log")).json["type"] == "JobRequested"


async def test_a_client_that_leaves_is_forgotten(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)

    async def open_streams() -> float:
        metrics = (await api.get("/metrics")).text
        [line] = [one for one in metrics.splitlines() if one.startswith("myspinbot_gateway_sse_c")]
        return float(line.split()[1])

    async with listening(stack.url, f"/api/jobs/{story.job}/events") as stream:
        await stream.next("log")
        assert await open_streams() >= 1
    async with asyncio.timeout(10):
        while await open_streams():
            pass


def test_the_tests_own_parser_counts_an_event_only_with_its_blank_line() -> None:
    parser = Parser()
    assert parser.feed("id: 7\nevent: log\ndata: {}\n") == []
    assert parser.last_id == ""
    assert [event.id for event in parser.feed("\n")] == ["7"]
