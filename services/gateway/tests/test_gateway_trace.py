"""The trace of a job over HTTP: what services told of it, and what the log knows besides."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from contracts.spans import Span, SpanKind, SpanLink
from eventlog.broker import Broker
from eventlog.spans import JobSpans
from eventlog.topology import ensure_derived
from gateway_media import PHOTO
from gateway_stack import Stack, another_gateway
from gateway_story import Story

from contracts import events as e
from tests.support.samples import CONSENT_FORM

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def span(name: str, after_s: float = 0, took_s: float = 1, **more: Any) -> Span:
    began = datetime(2026, 11, 22, 18, tzinfo=UTC) + timedelta(seconds=after_s)
    given = {"trace_id": TRACE, "span_id": secrets.token_hex(8), "service": "planner", **more}
    return Span(name=name, started_at=began, duration_s=took_s, **given)


async def trace_of(api: httpx.AsyncClient, job: str, *names: str) -> dict[str, Any]:
    """The trace, once it has spans of these names."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.get(f"/api/jobs/{job}/trace")
            assert answer.status_code == 200, answer.text
            trace = dict(answer.json())
            if {one["name"] for one in trace["spans"]} >= set(names):
                return trace
            await asyncio.sleep(0.05)


async def test_the_request_and_the_rows_it_led_to_are_in_it(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    trace = await trace_of(api, story.job, "POST /api/train", "process JOBS")
    names = {one["name"]: one for one in trace["spans"]}
    root = names["POST /api/train"]
    assert (root["depth"], root["parentId"], root["source"]) == (0, None, "span")
    assert trace["sampled"]
    below = [one["name"] for one in trace["spans"] if one["parentId"] == root["spanId"]]
    assert {"S3/PutObject", "send JOBS", "process JOBS"} <= set(below)
    assert trace["traceId"] == root["traceId"]
    assert trace["durationS"] >= root["durationS"]


async def test_requests_that_only_look_leave_nothing(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    for _ in range(3):
        await api.get(f"/api/jobs/{story.job}")
    trace = await trace_of(api, story.job, "POST /api/train")
    assert not [one for one in trace["spans"] if one["name"].startswith(("GET ", "query "))]


async def test_the_log_tells_of_what_runs_and_of_what_nobody_told(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    trace = await trace_of(api, story.job, "stage train_lora")
    told = {one["name"]: one for one in trace["spans"] if one["source"] == "log"}
    assert told["queue prepare_dataset"]["status"] == "ok"
    assert told["stage prepare_dataset"]["status"] == "ok"
    running = told["stage train_lora"]
    assert (running["status"], running["stage"], running["attempt"]) == ("running", "train_lora", 1)
    await story.fail("train_lora")
    async with asyncio.timeout(20):
        while (await trace_of(api, story.job))["spans"][-1]["status"] != "failed":
            pass


async def test_spans_are_a_tree_in_the_order_of_time(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    job = (await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()["jobId"]
    top = span("top", 0, 9)
    late, early = (span(name, after, parent_id=top.span_id) for name, after in (("b", 2), ("a", 1)))
    inner = span("inner", 2.5, 0.5, parent_id=late.span_id, failed=True)
    lost = span("lost", 4, parent_id=secrets.token_hex(8), kind=SpanKind.CLIENT)
    linked = SpanLink(trace_id=TRACE, span_id=early.span_id, attributes={"myspinbot.link": "like"})
    other = span("other", 5, links=(linked,))
    spans = JobSpans(broker)
    await spans.write(job, [inner, lost, other])
    await spans.write(job, [late, early, top, top])
    found = (await trace_of(api, job, "top", "lost"))["spans"]
    mine = [one for one in found if one["traceId"] == TRACE]
    assert [(one["name"], one["depth"]) for one in mine] == [
        ("top", 0),
        ("a", 1),
        ("b", 1),
        ("inner", 2),
        ("lost", 0),
        ("other", 0),
    ]
    assert [one["offsetS"] for one in mine] == [0, 1, 2, 2.5, 4, 5]
    assert [one["status"] for one in mine] == ["ok", "ok", "ok", "failed", "ok", "ok"]
    [link] = mine[-1]["links"]
    assert link == {"traceId": TRACE, "spanId": early.span_id, "relation": "like", "here": True}


async def test_a_span_that_cannot_be_read_hides_no_other(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await broker.client.publish(f"spans.{story.job}", b'{"version": 1, "spans": "none"}')
    await JobSpans(broker).write(story.job, [span("readable")])
    await trace_of(api, story.job, "readable", "POST /api/train")


async def test_a_circle_of_spans_is_shown_without_end(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    one = span("one", parent_id="a" * 16, span_id="b" * 16)
    two = span("two", parent_id="b" * 16, span_id="a" * 16)
    self = span("self", parent_id="c" * 16, span_id="c" * 16)
    await JobSpans(broker).write(story.job, [one, two, self])
    trace = await trace_of(api, story.job, "self")
    assert len([one for one in trace["spans"] if one["name"] == "self"]) == 1


@pytest.mark.parametrize("job", ["nobody", "No.Job", "%3E"])
async def test_there_is_no_trace_of_a_job_that_is_not_there(
    api: httpx.AsyncClient, job: str
) -> None:
    answer = await api.get(f"/api/jobs/{job}/trace")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-job")


async def test_the_trace_is_looked_at_where_the_installation_says(
    stack: Stack, api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    here = (await api.get(f"/api/jobs/{story.job}")).json()
    assert here["traceUrl"] == f"/#/job/{story.job}?view=trace"
    template = "https://grafana.example/explore?trace={traceId}&job={jobId}"
    with another_gateway(stack, "elsewhere", TRACE_URL=template) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as other:
            there = (await other.get(f"/api/jobs/{story.job}")).json()
            assert there["traceUrl"] == (
                f"https://grafana.example/explore?trace={here['traceId']}&job={story.job}"
            )
            trace = (await other.get(f"/api/jobs/{story.job}/trace")).json()
            assert trace["traceUrl"] == there["traceUrl"]


async def test_a_gateway_that_keeps_no_spans_shows_the_log(stack: Stack, broker: Broker) -> None:
    off = {"JOB_SPANS": "off", "SPANS_DIR": ""}
    with another_gateway(stack, "untraced", **off) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as untraced:
            story = await Story.begin(broker, untraced)
            await story.finish()
            trace = await trace_of(untraced, story.job, "stage train_lora")
            assert (trace["sampled"], trace["traceId"]) == (False, None)
            assert [one["name"] for one in trace["spans"]] == [
                "request",
                "queue prepare_dataset",
                "stage prepare_dataset",
                "queue train_lora",
                "stage train_lora",
            ]
            assert {one["source"] for one in trace["spans"]} == {"log"}


async def test_a_cancelled_job_has_nothing_that_runs(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.tell(e.JobCancelled())
    trace = await trace_of(api, story.job, "stage prepare_dataset")
    assert "running" not in {one["status"] for one in trace["spans"]}


async def test_a_broker_that_has_forgotten_all_spans_leaves_the_log(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await broker.api("STREAM.DELETE.SPANS")
    try:
        trace = await trace_of(api, story.job, "stage prepare_dataset")
        assert {one["source"] for one in trace["spans"]} == {"log"}
        assert not trace["sampled"]
        # What there is to see has the ids that spans of it would have.
        assert trace["spans"][0]["traceId"] == trace["traceId"]
    finally:
        await ensure_derived(broker)
