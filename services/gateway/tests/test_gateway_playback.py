"""A job's past told again: the messages of the live stream, in order, at another pace."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from contracts.fold import evolve, initial
from contracts.stagelog import StageLine
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.stagelogs import StageLogs
from gateway.live.playback import Pace
from gateway_people import client, make_token, token_gateway
from gateway_sse import Event, listening
from gateway_stack import Stack
from gateway_story import Story

from contracts import events as e

FAST = "speed=1000&longest=0"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def played(stack: Stack, story: Story, query: str = FAST) -> list[Event]:
    async with listening(stack.url, f"/api/jobs/{story.job}/playback?{query}") as stream:
        assert stream.status == 200
        assert "content-type: text/event-stream" in stream.headers
        return [event async for event in stream.events()]


async def history(broker: Broker, api: httpx.AsyncClient) -> Story:
    """A finished training that said something between its events."""
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.say("prepare_dataset", 1, loss=0.5)
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    for step in range(3):
        await story.say("train_lora", step, loss=0.5)
    await story.complete("train_lora")
    last = await story.tell(e.JobCompleted())
    while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < last:
        pass
    return story


async def test_the_past_is_told_as_the_live_stream_told_it(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await history(broker, api)
    told = await played(stack, story)
    async with listening(stack.url, f"/api/jobs/{story.job}/events") as stream:
        live = [event async for event in stream.events()]
    assert [one.data for one in told if one.name == "log"] == [
        one.data for one in live if one.name == "log"
    ]
    assert (told[-1].name, told[-1].json) == (live[-1].name, live[-1].json)
    assert told[-1].json == {"jobId": story.job, "status": "completed"}
    state = initial(story.job)
    updates = [one.json for one in told if one.name == "update"]
    async for recorded in log.read_job(story.job):
        state = evolve(state, recorded)
        update = updates.pop(0)
        assert (update["sequence"], update["status"]) == (recorded.sequence, state.status)
        assert {one["id"]: one["status"] for one in update["stages"]} == {
            one.id: one.status for one in state.stages.values()
        }
    assert updates == []


async def test_lines_come_between_the_events_where_they_were_said(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await history(broker, api)
    order = [
        (one.name, one.json.get("type") or one.json["step"])
        for one in await played(stack, story)
        if one.name in ("log", "line")
    ]
    first = order.index(("line", 1))
    assert order[first - 1] == ("log", "StageStarted")
    assert order[first + 1] == ("log", "StageCompleted")
    assert [one for one in order if one[0] == "line"][1:] == [("line", step) for step in range(3)]


async def test_it_begins_after_any_event_with_how_the_job_stood_then(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await history(broker, api)
    sequences = [recorded.sequence async for recorded in log.read_job(story.job)]
    told = await played(stack, story, f"{FAST}&after={sequences[5]}")
    assert (told[0].name, told[0].json["sequence"]) == ("update", sequences[5])
    assert [int(one.id) for one in told if one.name == "log"] == sequences[6:]
    # What was said before is not said again.
    assert [one.json["step"] for one in told if one.name == "line"] == [0, 1, 2]
    path = f"/api/jobs/{story.job}/playback?{FAST}"
    async with listening(stack.url, path, Last_Event_ID=str(sequences[-2])) as stream:
        rest = [one async for one in stream.events() if one.name == "log"]
    assert [one.json["type"] for one in rest] == ["JobCompleted"]
    async with listening(stack.url, path, Last_Event_ID=str(sequences[-1])) as stream:
        assert stream.status == 204


async def test_of_a_job_that_runs_what_was_recorded_so_far_is_told(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    started = await story.start("prepare_dataset")
    while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < started:
        pass
    told = await played(stack, story)
    assert [int(one.id) for one in told if one.name == "log"][-1] == started
    assert (told[-1].name, told[-1].json["status"]) == ("end", "running")


async def test_nothing_comes_of_it(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await history(broker, api)
    before = (await log.position()).last_sequence
    view = (await api.get(f"/api/jobs/{story.job}")).json()
    await played(stack, story)
    assert (await log.position()).last_sequence == before
    assert (await api.get(f"/api/jobs/{story.job}")).json() == view


async def test_more_events_and_lines_than_a_page_are_told_once_and_in_order(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    lines = StageLogs(broker)
    for step in range(450):
        at = datetime.now(UTC)
        await lines.write(
            StageLine(job=story.job, stage="prepare_dataset", attempt=1, at=at, step=step)
        )
    await broker.client.flush()
    for _ in range(220):
        await story.tell(e.StageStarted(stage="prepare_dataset", attempt=1, runner="r", device="c"))
    last = await story.fail("prepare_dataset")
    while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < last:
        pass
    told = await played(stack, story)
    sequences = [recorded.sequence async for recorded in log.read_job(story.job)]
    assert [int(one.id) for one in told if one.name == "log"] == sequences
    assert [one.json["step"] for one in told if one.name == "line"] == list(range(450))


async def test_a_viewer_who_leaves_in_a_pause_is_forgotten(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await history(broker, api)

    async def open_streams() -> float:
        metrics = (await api.get("/metrics")).text
        [line] = [one for one in metrics.splitlines() if one.startswith("myspinbot_gateway_sse_c")]
        return float(line.split()[1])

    # A thousandth of the speed: the pause after the first event takes its full minute.
    slow = f"/api/jobs/{story.job}/playback?speed=0.00001&longest=60"
    async with listening(stack.url, slow) as stream:
        assert (await stream.next("log")).json["type"] == "JobRequested"
        assert await open_streams() >= 1
    async with asyncio.timeout(10):
        while await open_streams():
            pass


@pytest.mark.parametrize(
    "query",
    ["speed=0", "speed=-1", "speed=1001", "speed=nan", "speed=inf", "speed=x", "longest=-1",
     "longest=61", "after=-1"],
)  # fmt: skip
async def test_a_pace_that_is_none_is_refused(
    api: httpx.AsyncClient, broker: Broker, query: str
) -> None:
    story = await Story.begin(broker, api)
    answer = await api.get(f"/api/jobs/{story.job}/playback?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_nothing_is_played_of_a_job_that_is_not_there_or_a_strangers(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    answer = await api.get("/api/jobs/nobody/playback")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-job")
    with token_gateway(stack, "playback-owners") as url:
        ada, eve = await make_token(url, "ada"), await make_token(url, "eve")
        async with client(url, ada["token"]) as hers, client(url, eve["token"]) as strangers:
            story = await Story.begin(broker, hers)
            assert (await strangers.get(f"/api/jobs/{story.job}/playback")).status_code == 404


@pytest.mark.parametrize(
    ("speed", "recorded_s", "paused_s"),
    [(1, 2.0, 2.0), (10, 20.0, 2.0), (0.5, 2.0, 4.0), (10, 3600.0, 5.0), (10, -30.0, 0.0)],
)
def test_pauses_are_as_recorded_but_faster_and_never_long(
    speed: float, recorded_s: float, paused_s: float
) -> None:
    pace = Pace(speed, 5.0)
    assert pace.pause_s(NOON, NOON + timedelta(seconds=recorded_s)) == paused_s
    assert pace.pause_s(None, NOON) == 0.0
