"""Live updates: what a client is told, when, and that it never goes back."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from eventlog.broker import Broker
from gateway_socket import watching
from gateway_stack import Stack
from gateway_story import Story
from websockets.exceptions import ConnectionClosed, InvalidStatus

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


async def test_a_slow_watcher_is_sent_the_latest_and_not_all_that_was(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    async with (
        watching(stack.url, sock=_narrow(stack), max_queue=1) as slow,
        watching(stack.url) as quick,
    ):
        await slow.say({"action": "subscribe", "jobId": story.job})
        await quick.subscribe(story.job)
        for step in range(1, 401):
            await story.progress("prepare_dataset", step / 400, message="m" * 20_000)
        await quick.until(progress=0.25)
        heard = 0
        while (await slow.hear()).get("progress") != 0.25:
            heard += 1
    assert heard < 400


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


async def test_whoever_asks_without_end_and_reads_nothing_is_let_go(stack: Stack) -> None:
    async with watching(
        stack.url, sock=_narrow(stack), max_queue=1, ping_interval=None, close_timeout=1
    ) as flood:
        with pytest.raises(ConnectionClosed):
            await flood.say_for_ever({"action": "explode", "jobId": "n" * 64})


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


def _narrow(stack: Stack) -> socket.socket:
    """A connection with little room for what is not read, so that it fills soon."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", int(stack.url.rpartition(":")[2])))
    return narrow
