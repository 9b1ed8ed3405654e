"""Dead letters: listed, told in full, tried again and let rest."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from contracts.base import make_id
from contracts.envelope import Recorded
from contracts.queries import LetterStatus
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from gateway.deadletters.trail import Trail
from gateway_people import ADMIN_TOKEN, client, make_token, token_gateway
from gateway_stack import Stack
from gateway_story import Story

from contracts import events as e

STAGE = "prepare_dataset"


async def died(broker: Broker, api: httpx.AsyncClient, **data: str) -> Story:
    """A job whose first stage took two runners with it."""
    story = await Story.begin(broker, api, **data)
    await story.plan()
    await story.start(STAGE)
    for step in range(3):
        await story.say(STAGE, step, loss=1.0)
    again = e.StageStarted(stage=STAGE, attempt=1, runner="r2", device="cuda:0", delivery=2)
    await story.tell(again)
    await told_until(api, story, await story.lose(STAGE))
    return story


async def told_until(api: httpx.AsyncClient, story: Story, sequence: int) -> None:
    async with asyncio.timeout(30):
        while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < sequence:
            pass


def path(story: Story, act: str = "") -> str:
    return f"/api/dead-letters/{story.job}/{STAGE}/1{act}"


async def listed(api: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/api/dead-letters", params={"limit": 200, **params})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["letters"])


async def of(api: httpx.AsyncClient, story: Story, **params: Any) -> list[dict[str, Any]]:
    return [one for one in await listed(api, **params) if one["jobId"] == story.job]


async def test_a_letter_is_listed_and_told_in_full(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await died(broker, api, name="Ada")
    [item] = await of(api, story, status="open")
    assert (item["stage"], item["attempt"], item["kind"]) == (STAGE, 1, STAGE)
    assert (item["status"], item["name"], item["runner"]) == ("open", "Ada", "r2")
    failed = [one async for one in log.read_job(story.job) if one.type == "StageFailed"]
    assert item["sequence"] == failed[0].sequence
    letter = (await api.get(path(story))).json()
    assert {name: letter[name] for name in item} == item
    assert letter["cause"] == "every runner that worked on it vanished"
    assert (letter["jobStatus"], letter["engine"], letter["engineVersion"]) == (
        "failed",
        "mini",
        "1",
    )
    assert [(one["delivery"], one["runner"], one["device"]) for one in letter["deliveries"]] == [
        (1, "r1", "cpu"),
        (2, "r2", "cuda:0"),
    ]
    assert [line["step"] for line in letter["lines"]] == [0, 1, 2]
    then = (await api.get(f"/api/jobs/{story.job}?at={letter['sequence']}")).json()
    assert [one["status"] for one in then["stages"] if one["id"] == STAGE] == ["failed"]


async def test_only_the_last_lines_are_told(api: httpx.AsyncClient, broker: Broker) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start(STAGE)
    for step in range(1010):
        await story.say(STAGE, step)
    await told_until(api, story, await story.lose(STAGE))
    lines = (await api.get(path(story))).json()["lines"]
    assert [line["step"] for line in lines] == list(range(960, 1010))


async def test_a_letter_is_tried_again_once(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await died(broker, api)
    key = {"Idempotency-Key": make_id(utc_now(), b"0123456789")}
    first = await api.post(path(story, "/retry"), headers=key)
    assert (first.status_code, first.json()["status"]) == (202, "retried")
    assert (first.json()["jobStatus"], first.json()["settledBy"]) == ("queued", "local")
    again = await api.post(path(story, "/retry"), headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    without = await api.post(path(story, "/retry"))
    assert (without.status_code, without.json()["type"]) == (409, "/problems/nothing-to-retry")
    assert "queued" in without.json()["detail"]
    assert "tried again by local" in without.json()["detail"]
    wishes = [one async for one in log.read_job(story.job) if one.type == "JobRetryRequested"]
    assert len(wishes) == 1
    assert await of(api, story, status="open") == []
    [item] = await of(api, story, status="retried")
    assert item["status"] == "retried"
    dropped = await api.post(path(story, "/drop"))
    assert (dropped.status_code, dropped.json()["type"]) == (409, "/problems/dead-letter-retried")


async def test_a_letter_is_dropped_and_the_job_stays_failed(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await died(broker, api)
    for _ in range(2):
        answer = await api.post(path(story, "/drop"))
        assert (answer.status_code, answer.json()["status"]) == (202, "dropped")
        assert answer.json()["jobStatus"] == "failed"
    told = [one.event async for one in log.read_job(story.job) if one.type == "DeadLetterDropped"]
    assert told == [e.DeadLetterDropped(stage=STAGE, attempt=1, by="local")]
    assert await of(api, story, status="open") == []
    assert [one["status"] for one in await of(api, story)] == ["dropped"]


async def test_what_is_no_dead_letter_is_not_found(api: httpx.AsyncClient, broker: Broker) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start(STAGE)
    await told_until(api, story, await story.fail(STAGE))
    for place, kind in (
        (f"{story.job}/{STAGE}/1", "no-such-dead-letter"),
        (f"{story.job}/{STAGE}/2", "no-such-dead-letter"),
        (f"{story.job}/nothing/1", "no-such-dead-letter"),
        (f"nobody/{STAGE}/1", "no-such-job"),
    ):
        for method, act in (("GET", ""), ("POST", "/retry"), ("POST", "/drop")):
            answer = await api.request(method, f"/api/dead-letters/{place}{act}")
            assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{kind}")


@pytest.mark.parametrize(
    "wrong", ["?status=lost", "?limit=0", "?before=0", "?before=x", "/j/s/0", "/j/s/x"]
)
async def test_a_question_that_cannot_be_is_refused(api: httpx.AsyncClient, wrong: str) -> None:
    answer = await api.get(f"/api/dead-letters{wrong}")
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_pages_of_letters_are_the_list(api: httpx.AsyncClient, broker: Broker) -> None:
    for _ in range(3):
        await died(broker, api)
    whole = await listed(api)
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = (await api.get("/api/dead-letters", params=params)).json()
        found += page["letters"]
        if page["next"] is None:
            break
        params["before"] = page["next"]
    assert found == whole
    assert [one["sequence"] for one in found] == sorted(
        (one["sequence"] for one in found), reverse=True
    )


async def test_an_administrator_sees_and_settles_everybodys_letters(
    stack: Stack, broker: Broker, log: EventLog
) -> None:
    with token_gateway(stack, "letters") as url:
        ada = await make_token(url, "ada")
        async with client(url, ada["token"]) as hers, client(url, ADMIN_TOKEN) as admin:
            story = await died(broker, hers, name="Ada")
            other = await died(broker, hers)
            for refused in (
                await hers.get("/api/dead-letters?everyone=true"),
                await hers.get(path(story) + "?everyone=true"),
                await hers.post(path(story, "/drop") + "?everyone=true"),
            ):
                assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
            assert await of(admin, story) == []
            assert (await admin.get(path(story))).status_code == 404
            [item] = await of(admin, story, everyone=True)
            assert (item["owner"], item["name"]) == ("ada", None)
            full = await admin.get(path(story) + "?everyone=true")
            assert (full.status_code, full.json()["owner"]) == (200, "ada")
            assert (await admin.post(path(story, "/retry") + "?everyone=true")).status_code == 202
            assert (await admin.post(path(other, "/drop") + "?everyone=true")).status_code == 202
            assert [one["status"] for one in await listed(hers)] == ["dropped", "retried"]
    [wish] = [one async for one in log.read_job(story.job) if one.type == "JobRetryRequested"]
    assert wish.event == e.JobRetryRequested(by="local")


def recorded(sequence: int, event: e.Event) -> Recorded:
    return Recorded(
        job="j", id=f"e{sequence}", time=utc_now(), source="/t", event=event, sequence=sequence
    )


def lost(attempt: int = 1) -> e.StageFailed:
    return e.StageFailed(
        stage="s", attempt=attempt, code=e.RUNNER_LOST, cause="c", remedy="r", retryable=False
    )


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([lost()], LetterStatus.OPEN),
        ([lost(), e.DeadLetterDropped(stage="s", attempt=2, by="me")], LetterStatus.OPEN),
        ([e.JobRetryRequested(by="me"), lost()], LetterStatus.OPEN),
        ([lost(), e.JobRetryRequested(by="me")], LetterStatus.RETRIED),
        (
            [
                lost(),
                e.JobRetryRequested(by="me"),
                e.DeadLetterDropped(stage="s", attempt=1, by="x"),
            ],
            LetterStatus.RETRIED,
        ),
        (
            [
                lost(),
                e.DeadLetterDropped(stage="s", attempt=1, by="me"),
                e.JobRetryRequested(by="x"),
            ],
            LetterStatus.DROPPED,
        ),
    ],
)
def test_what_is_done_first_settles_a_letter(events: list[e.Event], status: LetterStatus) -> None:
    trail = Trail("s", 1)
    trail.follow(recorded(number, event) for number, event in enumerate(events, 1))
    assert trail.status is status
    assert trail.settled_by == (None if status is LetterStatus.OPEN else "me")


def test_another_failure_makes_no_letter() -> None:
    trail = Trail("s", 1)
    trail.follow([recorded(1, lost(2))])
    trail.follow([recorded(2, lost().model_copy(update={"code": "crash"}))])
    assert trail.failure is None
