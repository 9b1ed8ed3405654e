"""Lines of stages: kept in pages, and told as they come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from contracts.stagelog import Level, StageLine
from eventlog.broker import Broker
from eventlog.stagelogs import StageLogs
from gateway_socket import watching
from gateway_stack import Stack
from gateway_story import Story


async def write(broker: Broker, job: str, stage: str = "train_lora", **more: Any) -> None:
    line = StageLine(
        job=job,
        stage=stage,
        attempt=more.pop("attempt", 1),
        at=datetime.now(UTC),
        **more,
    )
    await StageLogs(broker).write(line)


async def kept(
    api: httpx.AsyncClient, broker: Broker, job: str, count: int
) -> list[dict[str, Any]]:
    """The lines of a job, once so many have arrived."""
    await broker.client.flush()
    while True:
        page = (await api.get(f"/api/jobs/{job}/logs")).json()
        if len(page["lines"]) >= count:
            return list(page["lines"])


async def test_lines_are_kept_in_order_with_what_was_measured(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    for step in range(1, 4):
        await write(broker, story.job, step=step, values={"loss": 1 / step, "lr": 1e-4})
    await write(broker, story.job, level=Level.WARNING, message="the clip is short")
    lines = await kept(api, broker, story.job, 4)
    assert [line["values"].get("loss") for line in lines] == [1, 0.5, 1 / 3, None]
    assert (lines[3]["level"], lines[3]["message"]) == ("warning", "the clip is short")
    assert [line["id"] for line in lines] == sorted({line["id"] for line in lines})


async def test_lines_come_in_pages_and_by_stage_and_attempt(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    for number in range(7):
        await write(broker, story.job, message=f"{number}")
    await write(broker, story.job, message="again", attempt=2)
    await write(broker, story.job, "prepare_dataset", message="faces")
    everything = await kept(api, broker, story.job, 9)
    path, after, found = f"/api/jobs/{story.job}/logs", 0, []
    while after is not None:
        page = (await api.get(path, params={"after": after, "limit": 4})).json()
        assert len(page["lines"]) <= 4
        found += page["lines"]
        after = page["next"]
    assert found == everything
    of_stage = (await api.get(path, params={"stage": "prepare_dataset"})).json()["lines"]
    assert [line["message"] for line in of_stage] == ["faces"]
    second = (await api.get(path, params={"stage": "train_lora", "attempt": 2})).json()["lines"]
    assert [line["message"] for line in second] == ["again"]


@pytest.mark.parametrize("query", ["stage=*", "stage=a.b", "stage=>", "attempt=0", "limit=0"])
async def test_a_question_that_makes_no_sense_is_refused(
    api: httpx.AsyncClient, broker: Broker, query: str
) -> None:
    story = await Story.begin(broker, api)
    answer = await api.get(f"/api/jobs/{story.job}/logs?{query}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_a_watcher_is_told_each_line_as_it_is_kept(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story, other = await Story.begin(broker, api), await Story.begin(broker, api)
    await write(broker, story.job, message="before")
    await kept(api, broker, story.job, 1)
    async with watching(stack.url) as watcher, watching(stack.url) as deaf:
        await watcher.say({"action": "subscribe", "jobId": story.job, "lines": True})
        await watcher.until(type="update")
        await deaf.subscribe(story.job)
        for number in range(20):
            await write(broker, story.job, step=number, values={"loss": 0.5})
            await write(broker, other.job, message="of another job")
        lines = [(await watcher.until(type="line"))["line"] for _ in range(20)]
        assert lines == (await kept(api, broker, story.job, 21))[1:]
        await watcher.say({"action": "unsubscribe", "jobId": story.job})
        await watcher.until(message="unsubscribed")
        await write(broker, story.job, message="unheard")
        await watcher.say({"action": "ping"})
        assert await watcher.hear() == {"type": "pong"}
        await story.plan()
        assert (await deaf.hear())["type"] == "update"


async def test_there_are_no_lines_of_a_job_that_is_not_there(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/jobs/nobody/logs")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-job")
