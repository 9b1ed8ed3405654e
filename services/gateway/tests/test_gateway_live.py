"""Live updates: what a client is told, when, and that it never goes back."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from eventlog.broker import Broker
from eventlog.log import EventLog
from gateway.live.pulse import Pulse
from gateway_people import client, make_token, token_gateway
from gateway_socket import watching
from gateway_stack import Stack
from gateway_story import Story, sampled
from websockets.exceptions import InvalidStatus

from contracts import events as e


async def test_a_watcher_sees_a_job_from_its_request_to_its_end(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    async with watching(stack.url) as watcher:
        first = await watcher.subscribe(story.job)
        assert (first["type"], first["status"], first["progress"]) == ("update", "queued", 0)
        await story.plan()
        await story.start("prepare_dataset")
        running = await watcher.until(status="running")
        assert [stage["id"] for stage in running["stages"]] == ["prepare_dataset", "train_lora"]
        await story.complete("prepare_dataset")
        await watcher.until(progress=0.25)
        await story.start("train_lora")
        await story.progress("train_lora", 0.5, message="step 50", eta_s=60.0)
        update = await watcher.until(progress=0.625)
        assert update["stages"][1]["message"] == "step 50"
        assert 0 < update["etaS"] <= 60
        await story.complete("train_lora")
        await story.tell(e.JobCompleted())
        done = await watcher.until(status="completed")
        assert (done["progress"], done["etaS"]) == (1, None)


async def test_progress_never_goes_back_when_an_attempt_begins_anew(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    seen: list[float] = []
    async with watching(stack.url) as watcher:
        await watcher.subscribe(story.job)
        await story.plan()
        await story.start("prepare_dataset")
        await story.progress("prepare_dataset", 0.8)
        await story.tell(
            e.StageFailed(
                stage="prepare_dataset",
                attempt=1,
                code="crash",
                cause="it died",
                remedy="wait",
                retryable=True,
            )
        )
        await story.start("prepare_dataset", attempt=2)
        await story.progress("prepare_dataset", 0.1, attempt=2)
        await story.progress("prepare_dataset", 0.9, attempt=2)
        while not seen or seen[-1] < 0.22:
            seen.append((await watcher.hear())["progress"])
    assert seen == sorted(seen)


async def test_a_watcher_of_an_ended_job_is_told_so_at_once(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.finish()
    async with watching(stack.url) as watcher:
        await watcher.subscribe(story.job)
        while (await api.get(f"/api/status/{story.job}")).json()["status"] != "completed":
            await watcher.hear()


async def test_after_unsubscribing_nothing_more_is_said_of_the_job(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    quiet, other = await Story.begin(broker, api), await Story.begin(broker, api)
    async with watching(stack.url) as watcher:
        await watcher.subscribe(quiet.job)
        await watcher.subscribe(other.job)
        await watcher.say({"action": "unsubscribe", "jobId": quiet.job})
        response = await watcher.hear()
        assert response == {"action": "response", "message": "unsubscribed", "jobId": quiet.job}
        await quiet.plan()
        await other.plan()
        assert (await watcher.hear())["jobId"] == other.job


@pytest.mark.parametrize(
    "message",
    [
        "this is not JSON",
        "[1, 2]",
        {"action": "subscribe"},
        {"action": "subscribe", "jobId": 7},
        {"action": "subscribe", "jobId": "../../etc"},
        {"action": "subscribe", "jobId": "nobody"},
        {"action": "unsubscribe", "jobId": "nobody"},
        {"action": "explode", "jobId": "nobody"},
        b"\x00\x01",
    ],
)
async def test_what_cannot_be_done_is_answered_and_the_connection_lives(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, message: object
) -> None:
    story = await Story.begin(broker, api)
    async with watching(stack.url) as watcher:
        await watcher.say(message)
        response = await watcher.hear()
        assert (response["action"], response["message"]) == ("response", "failed")
        assert response["detail"]
        assert (await watcher.subscribe(story.job))["status"] == "queued"


async def test_many_jobs_are_watched_over_one_connection(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    stories = [await Story.begin(broker, api) for _ in range(5)]
    async with watching(stack.url) as watcher:
        for story in stories:
            await watcher.subscribe(story.job)
        await asyncio.gather(*(story.plan() for story in stories))
        heard = {(await watcher.until(type="update"))["jobId"] for _ in stories}
    assert heard == {story.job for story in stories}


async def test_a_page_of_another_site_may_not_listen(stack: Stack) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with watching(stack.url, origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_a_restarted_gateway_knows_how_jobs_stand(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.progress("prepare_dataset", 0.6)
    stack.gateway.kill()
    await story.progress("prepare_dataset", 0.8)
    stack.gateway.start()
    async with watching(stack.url) as watcher:
        first = await watcher.subscribe(story.job)
        assert (first["status"], first["progress"]) == ("running", 0.2)
        await story.complete("prepare_dataset")
        await watcher.until(progress=0.25)


async def test_with_a_place_in_the_log_every_event_comes_once_and_in_order(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")

    async def write() -> None:
        for step in range(120):
            await story.tell(sampled(step))

    writing = asyncio.create_task(write())
    heard: list[int] = []
    # Each time the history is longer, and more is told while it is read.
    for length in (30, 60, 125):
        async with watching(stack.url) as watcher:
            after = heard[-1] if heard else 0
            await watcher.say({"action": "subscribe", "jobId": story.job, "after": after})
            while len(heard) < length:
                told = await watcher.until(type="event")
                assert told["event"]["sequence"] == told["sequence"]
                heard.append(told["sequence"])
    await writing
    assert heard == [recorded.sequence async for recorded in log.read_job(story.job)]


async def test_all_jobs_of_an_owner_are_watched_those_to_come_and_those_nobody_asked_for(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    running = await Story.begin(broker, api)
    await running.plan()
    await running.start("prepare_dataset")
    stack.gateway.kill()
    stack.gateway.start()
    async with watching(stack.url) as watcher:
        await watcher.say({"action": "subscribe", "jobs": "all"})
        subscribed = {"action": "response", "message": "subscribed", "jobs": "all"}
        assert await watcher.hear() == subscribed
        assert (await watcher.until(jobId=running.job))["status"] == "running"
        story = await Story.begin(broker, api)
        assert (await watcher.until(jobId=story.job))["status"] == "queued"
        await story.finish()
        await watcher.until(jobId=story.job, status="completed")
        assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
        assert await watcher.until(jobId=story.job, type="deleted")
        await watcher.say({"action": "unsubscribe", "jobs": "all"})
        await watcher.until(message="unsubscribed")
        await running.plan()
        await watcher.say({"action": "ping"})
        assert await watcher.hear() == {"type": "pong"}
    async with watching(stack.url) as watcher:
        await watcher.say({"action": "unsubscribe", "jobs": "all"})
        assert (await watcher.hear())["message"] == "failed"


async def test_a_job_that_passes_by_after_a_restart_is_told_to_who_watches_all(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    ended = await Story.begin(broker, api)
    await ended.plan()
    await ended.start("prepare_dataset")
    await ended.fail("prepare_dataset")
    stack.gateway.kill()
    stack.gateway.start()
    async with watching(stack.url) as watcher:
        await watcher.say({"action": "subscribe", "jobs": "all"})
        await watcher.until(message="subscribed")
        await ended.tell(e.JobRetryRequested(by="local"))
        assert (await watcher.until(jobId=ended.job))["status"] == "queued"


async def test_owners_hear_only_of_their_own_jobs(stack: Stack, broker: Broker) -> None:
    with token_gateway(stack, "live-owners") as url:
        ada, eve = await make_token(url, "ada"), await make_token(url, "eve")

        def bearer(token: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {token}"}

        async with (
            client(url, ada["token"]) as api,
            watching(url, additional_headers=bearer(ada["token"])) as hers,
            watching(url, additional_headers=bearer(eve["token"])) as strangers,
        ):
            for watcher in (hers, strangers):
                await watcher.say({"action": "subscribe", "jobs": "all"})
                await watcher.until(message="subscribed")
            story = await Story.begin(broker, api)
            await hers.until(jobId=story.job)
            for wanted in ({}, {"after": 0}, {"lines": True}):
                await strangers.say({"action": "subscribe", "jobId": story.job, **wanted})
                refused = await strangers.hear()
                assert (refused["message"], refused["jobId"]) == ("failed", story.job)
            await story.plan()
            await hers.until(jobId=story.job)
            await strangers.say({"action": "ping"})
            assert await strangers.hear() == {"type": "pong"}


@pytest.mark.parametrize("after", [-1, "x", 1.5, True, 2**70])
async def test_a_place_that_is_none_is_answered_and_not_taken(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, after: object
) -> None:
    story = await Story.begin(broker, api)
    async with watching(stack.url) as watcher:
        await watcher.say({"action": "subscribe", "jobId": story.job, "after": after})
        refused = await watcher.hear()
        assert (refused["message"], refused["jobId"]) == ("failed", story.job)
        assert "after" in refused["detail"]


async def test_a_quiet_client_is_sent_heartbeats_and_one_that_takes_nothing_is_let_go() -> None:
    beats: asyncio.Queue[None] = asyncio.Queue()
    ended = asyncio.Event()
    with Pulse(lambda: beats.put_nowait(None), ended.set, 0.01, 0.02) as pulse:
        pulse.sending()
        pulse.sent()
        for _ in range(3):
            await beats.get()
        assert not ended.is_set()
        pulse.sending()
        await ended.wait()
