"""The history of a job: page by page, and the job as it was at any event."""

from __future__ import annotations

import httpx
import pytest
from contracts.fold import evolve, initial
from eventlog.broker import Broker
from eventlog.log import EventLog
from gateway_people import client, make_token, token_gateway
from gateway_stack import Stack
from gateway_story import Story

from contracts import events as e


async def test_pages_of_the_timeline_together_are_the_log(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.finish()
    recorded = [item async for item in log.read_job(story.job)]
    after, events, pages = 0, [], 0
    while after is not None:
        answer = await api.get(
            f"/api/jobs/{story.job}/timeline", params={"after": after, "limit": 3}
        )
        page = answer.json()
        assert page["jobId"] == story.job
        events += page["events"]
        after = page["next"]
        pages += 1
    assert pages == -(-len(recorded) // 3)
    assert [event["sequence"] for event in events] == [item.sequence for item in recorded]
    assert [event["id"] for event in events] == [item.id for item in recorded]
    started = next(event for event in events if event["type"] == "StageStarted")
    assert (started["stage"], started["attempt"]) == ("prepare_dataset", 1)
    assert started["data"]["runner"] == "r1"
    assert started["source"] == "/myspinbot/story"


async def test_after_the_last_event_there_is_nothing(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    answer = await api.get(f"/api/jobs/{story.job}/timeline?after={2**62}")
    assert answer.json() == {"jobId": story.job, "events": [], "next": None}


@pytest.mark.parametrize("query", ["after=-1", "limit=0", "limit=1001", "after=x"])
async def test_a_page_that_cannot_be_is_refused(
    api: httpx.AsyncClient, broker: Broker, query: str
) -> None:
    story = await Story.begin(broker, api)
    answer = await api.get(f"/api/jobs/{story.job}/timeline?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


@pytest.mark.parametrize("path", ["timeline", "logs", "events"])
async def test_what_is_not_there_or_belongs_to_another_has_no_history(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, path: str
) -> None:
    answer = await api.get(f"/api/jobs/nobody/{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-job")
    with token_gateway(stack, f"history-{path}") as url:
        ada, eve = await make_token(url, "ada"), await make_token(url, "eve")
        async with client(url, ada["token"]) as hers, client(url, eve["token"]) as strangers:
            story = await Story.begin(broker, hers)
            assert (await strangers.get(f"/api/jobs/{story.job}/{path}")).status_code == 404
            assert (await strangers.get(f"/api/jobs/{story.job}?at=1")).status_code == 404


async def test_a_job_is_shown_as_it_was_right_after_each_event(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.progress("prepare_dataset", 0.9)
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
    await story.complete("prepare_dataset", attempt=2)
    await story.start("train_lora")
    await story.complete("train_lora")
    await story.tell(e.JobCompleted())
    state = initial(story.job)
    async for recorded in log.read_job(story.job):
        state = evolve(state, recorded)
        shown = (await api.get(f"/api/jobs/{story.job}?at={recorded.sequence}")).json()
        assert shown["sequence"] == recorded.sequence
        assert shown["status"] == state.status
        # By the log alone: what was said of progress meanwhile is not known any more.
        assert shown["progress"] == round(state.progress, 4)
        assert {one["id"]: one["status"] for one in shown["stages"]} == {
            one.id: one.status for one in state.stages.values()
        }
        assert shown["etaS"] is None or shown["etaS"] >= 0


async def test_between_two_events_a_job_is_as_after_the_earlier_one(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story, other = await Story.begin(broker, api), await Story.begin(broker, api)
    planned = await story.plan()
    between = await other.plan()
    last = await story.start("prepare_dataset")
    shown = (await api.get(f"/api/jobs/{story.job}?at={between}")).json()
    assert (shown["sequence"], shown["status"]) == (planned, "queued")
    beyond = (await api.get(f"/api/jobs/{story.job}?at={last + 1000}")).json()
    assert (beyond["sequence"], beyond["status"]) == (last, "running")


async def test_before_its_first_event_there_was_no_job(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    await Story.begin(broker, api)
    story = await Story.begin(broker, api)
    first = (await api.get(f"/api/jobs/{story.job}/timeline")).json()["events"][0]["sequence"]
    answer = await api.get(f"/api/jobs/{story.job}?at={first - 1}")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/before-the-job")
    assert "timeline" in answer.json()["remedy"]
    assert (await api.get(f"/api/jobs/{story.job}?at=0")).status_code == 422
