"""Requests that nobody sends by mistake: whatever they hold, they are refused and break nothing."""

from __future__ import annotations

import asyncio
import io
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from contracts.base import make_id
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from fastapi import Response
from gateway.artifacts.shrinking import ShrinkError, shrunk
from gateway.jobs import submissions
from gateway.live.feed import CLIENT_BYTES
from gateway.live.job import LiveJob
from gateway.live.outbox import Outbox
from gateway_media import PHOTO
from gateway_stack import Stack
from gateway_story import Story
from PIL import Image

from contracts import events as e
from tests.support.samples import CONSENT_FORM

_DEEP = "[" * 240 + "]" * 240
_NO_TEXT = '"\\ud800"'


def of_params(value: str) -> dict[str, str]:
    return {"params": f'{{"train_lora":{{"steps":{value}}}}}'}


def of_stage(members: str) -> str:
    return f'{{"name":"x","graph":{{"stages":[{{"id":"a","kind":"train_lora",{members}}}]}}}}'


async def is_well(stack: Stack, api: httpx.AsyncClient) -> bool:
    """Whether the gateway still runs, and the projector understands all that the log has."""
    answer = await api.get("/api/jobs", params={"limit": "1"})
    assert stack.gateway.process is not None
    return stack.gateway.process.poll() is None and answer.status_code == 200


@pytest.mark.parametrize(
    "value",
    [_DEEP, "NaN", "1e999", "9" * 100, _NO_TEXT, f"{{{_NO_TEXT}:1}}"],
    ids=["deep", "nan", "infinite", "long", "half-a-pair", "half-a-pair-as-key"],
)
async def test_parameters_that_the_log_could_not_give_back_never_enter_it(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, value: str
) -> None:
    answer = await api.post(
        "/api/train", files={"image": PHOTO}, data=CONSENT_FORM | of_params(value)
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    parent = await Story.begin(broker, api)
    await parent.finish()
    fork = f'{{"from":"train_lora","params":{{"train_lora":{{"steps":{value}}}}}}}'
    json_body = {"Content-Type": "application/json"}
    forked = await api.post(f"/api/jobs/{parent.job}/fork", content=fork, headers=json_body)
    assert (forked.status_code, forked.json()["type"]) == (422, "/problems/invalid-request")
    assert await is_well(stack, api)


@pytest.mark.parametrize(
    "members",
    [
        f'"params":{{"steps":{_DEEP}}}',
        '"weight":1e999',
        '"weight":1e300',
        '"deadlineS":1e300',
        '"retry":{"factor":1e300}',
        '"retry":{"firstDelayS":1e300}',
        '"retry":{"longestDelayS":1e300}',
    ],
)
async def test_a_graph_that_nobody_could_reckon_with_is_refused(
    stack: Stack, api: httpx.AsyncClient, members: str
) -> None:
    json_body = {"Content-Type": "application/json"}
    answer = await api.post("/api/pipelines", content=of_stage(members), headers=json_body)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    graph = json.dumps({"type": "pipeline"})[:-1] + "," + of_stage(members)[12:]
    asked = await api.post("/api/jobs", content=graph, headers=json_body)
    assert (asked.status_code, asked.json()["type"]) == (422, "/problems/invalid-request")
    assert await is_well(stack, api)


@pytest.mark.parametrize("body", ["[" * 100_000, '{"seed":' + "9" * 5000 + "}"])
@pytest.mark.parametrize("path", ["/api/jobs", "/api/tokens", "/api/uploads"])
async def test_json_that_python_gives_up_on_is_told_as_malformed(
    api: httpx.AsyncClient, path: str, body: str
) -> None:
    answer = await api.post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-body")


async def test_an_answer_is_no_longer_for_mistakes_without_number(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/tokens", json={"name": "x"} | {f"m{n}": 0 for n in range(9999)})
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 50)
    assert "(9998 more)" in answer.json()["detail"]


async def test_the_fields_of_a_form_may_be_as_long_as_they_like(api: httpx.AsyncClient) -> None:
    seed = await api.post(
        "/api/train", files={"image": PHOTO}, data={**CONSENT_FORM, "seed": "9" * 5000}
    )
    assert (seed.status_code, seed.json()["type"]) == (422, "/problems/invalid-request")
    deep = await api.post(
        "/api/train", files={"image": PHOTO}, data={**CONSENT_FORM, "params": "[" * 100_000}
    )
    assert (deep.status_code, deep.json()["type"]) == (400, "/problems/malformed-body")


async def test_what_is_no_text_is_refused_and_not_quoted(api: httpx.AsyncClient) -> None:
    body = f'{{"type":"train",{_NO_TEXT}:1,"name":{_NO_TEXT}}}'
    answer = await api.post("/api/jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


@pytest.mark.parametrize("asked", ["bytes=0-" + "9" * 5000, "bytes=-" + "9" * 5000])
async def test_a_range_of_thousands_of_digits_is_no_range(
    api: httpx.AsyncClient, asked: str
) -> None:
    job = (await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()["jobId"]
    answer = await api.get(f"/api/jobs/{job}/inputs/photos/0", headers={"Range": asked})
    assert answer.status_code == 200


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_a_time_that_is_none_in_utc_is_refused(api: httpx.AsyncClient, time: str) -> None:
    answer = await api.get("/api/jobs", params={"createdAfter": time})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_problems_are_not_kept_by_anybody(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/jobs/nobodys")
    assert answer.headers["cache-control"] == "no-store"


async def test_a_file_of_the_page_tells_what_it_takes(api: httpx.AsyncClient) -> None:
    answer = await api.post("/page/main.js")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_a_damaged_avif_is_told_as_damaged() -> None:
    made = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(made, "AVIF")
    with pytest.raises(ShrinkError, match="damaged"):
        shrunk(made.getvalue()[:-16] + bytes(16), 64, 1_000_000)


async def test_one_client_that_wants_the_histories_of_many_jobs_takes_little_memory(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    log, parts = EventLog(broker, "test"), Outbox(lambda live: live.job)
    told: set[tuple[str, int]] = set()
    wanted: set[tuple[str, int]] = set()
    for number in range(8):
        job = f"history-{make_id(utc_now(), bytes(10))}-{number}"
        bulk = {"k": {"x": ["y" * 1000] * 60}}
        asked = e.JobRequested(type=e.JobType.TRAIN, owner="nobody", params=bulk)
        wanted |= {(job, await log.tell(job, asked)), (job, await log.tell(job, asked))}
        parts.follow(log, LiveJob(await log.fold(job)), 0)
    async with asyncio.timeout(20):
        while told != wanted:
            await parts.stirred.wait()
            messages = await parts.take()
            assert sum(map(len, messages)) < 2 * CLIENT_BYTES
            for message in map(json.loads, messages):
                told.add((message["jobId"], message["sequence"]))


async def test_a_request_whose_gateway_stops_while_it_enters_the_log_keeps_its_files() -> None:
    class Stopping:
        def record(self, job: str, event: Any) -> Any:
            return job, event

        async def append(self, _: Any, **__: Any) -> int:
            raise asyncio.CancelledError

    kept: list[bool] = []
    uploads: Any = SimpleNamespace(keep=lambda: kept.append(True))
    gateway: Any = SimpleNamespace(log=Stopping())
    event = e.JobRequested(type=e.JobType.TRAIN, owner="me")
    with pytest.raises(asyncio.CancelledError):
        await submissions.enter(gateway, uploads, Response(), "j", event, consent=None)
    assert kept == [True]


async def test_signing_out_takes_what_the_browser_kept(api: httpx.AsyncClient) -> None:
    answer = await api.delete("/api/session")
    assert answer.headers["clear-site-data"] == '"cache"'


@pytest.mark.parametrize("path", ["/metrics", "/api/pipelines/train/mermaid", "/health"])
async def test_what_says_nothing_of_caches_is_kept_in_none(
    api: httpx.AsyncClient, path: str
) -> None:
    assert (await api.get(path)).headers["cache-control"] == "no-store"
