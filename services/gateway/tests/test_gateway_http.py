"""Downloads, capabilities, problems, probes, security and telemetry of a running gateway."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.base import make_id
from contracts.capabilities import Device, EngineManifest, RunnerManifest, Weights
from contracts.commands import Lane
from contracts.events import Quality
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from eventlog.registry import announce
from gateway_media import PHOTO, RECORDING, photo
from gateway_stack import Stack, make_streams
from gateway_story import Story
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.samples import CONSENT_FORM

VIDEO = bytes(range(256)) * 5000


async def a_result(
    broker: Broker, api: httpx.AsyncClient, store: ObjectStore, data: bytes = VIDEO
) -> tuple[str, dict[str, Any]]:
    """The path and the description of something that a job has made."""
    story = await Story.begin(broker, api)
    artifact = await store.put(f"jobs/{story.job}/video.mp4", data, "video/mp4")
    sequence = await story.finish(video=(artifact,))
    while True:
        view = (await api.get(f"/api/jobs/{story.job}")).json()
        if view["sequence"] >= sequence:
            [described] = [one for one in view["artifacts"] if one["output"] == "video"]
            return described["url"], described


async def test_a_result_is_downloaded_whole_and_under_a_name(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    url, described = await a_result(broker, api, store)
    answer = await api.get(url, params={"download": "true"})
    assert answer.content == VIDEO
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["etag"] == f'"{described["sha256"]}"'
    assert answer.headers["content-disposition"].startswith('attachment; filename="video-')
    assert answer.headers["content-disposition"].endswith('.mp4"')
    assert "sandbox" in answer.headers["content-security-policy"]
    head = await api.head(url)
    assert (head.headers["content-length"], head.content) == (str(len(VIDEO)), b"")


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        ("bytes=0-99", 206, 0, 99),
        ("bytes=1279990-", 206, 1279990, 1279999),
        ("bytes=-10", 206, 1279990, 1279999),
        ("bytes=-9999999", 206, 0, 1279999),
        ("bytes=100-9999999", 206, 100, 1279999),
        ("bytes=1-0", 200, 0, 1279999),
        ("bytes=0-1,5-6", 200, 0, 1279999),
        ("lines=1-2", 200, 0, 1279999),
        ("bytes=-", 200, 0, 1279999),
    ],
)
async def test_a_player_gets_the_range_it_asks_for(
    api: httpx.AsyncClient,
    broker: Broker,
    store: ObjectStore,
    *,
    asked: str,
    status: int,
    first: int,
    last: int,
) -> None:
    url, _ = await a_result(broker, api, store)
    answer = await api.get(url, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, VIDEO[first : last + 1])
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(VIDEO)}"


async def test_a_range_outside_is_refused_and_what_is_known_is_not_sent_again(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    url, described = await a_result(broker, api, store)
    beyond = await api.get(url, headers={"Range": f"bytes={len(VIDEO)}-"})
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/problems/range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(VIDEO)}"
    etag = f'"{described["sha256"]}"'
    assert (await api.get(url, headers={"If-None-Match": etag})).status_code == 304
    changed = await api.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, VIDEO)


async def test_an_artifact_that_is_not_there_or_was_erased_is_told_apart(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    url, _ = await a_result(broker, api, store)
    for wrong in (url[:-1] + "1", url.replace("video", "audio"), url[:-1] + "-1"):
        absent = await api.get(wrong)
        assert (absent.status_code, absent.json()["type"]) == (404, "/problems/no-such-artifact")
    job = url.split("/")[3]
    await store.delete(f"jobs/{job}/video.mp4")
    erased = await api.get(url)
    assert (erased.status_code, erased.json()["type"]) == (410, "/problems/artifact-erased")


SCHEMA = {
    "type": "object",
    "properties": {"steps": {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}


def engine(name: str, **more: Any) -> EngineManifest:
    return EngineManifest(
        kind="train_lora",
        engine=name,
        version="1",
        title=name,
        lane=Lane.GPU,
        qualities=(Quality.STANDARD,),
        params_schema=SCHEMA,
        **more,
    )


async def a_runner(broker: Broker, api: httpx.AsyncClient) -> dict[str, Any]:
    weights = Weights(
        name="base-xl", size_bytes=6_900_000_000, licence="OpenRAIL", how_to_get="put it there"
    )
    await announce(
        broker,
        RunnerManifest(
            runner="r1",
            devices=(Device(name="cpu", title="a processor", memory_bytes=1),),
            engines=(engine("mini"), engine("large", available=False, missing=(weights,))),
            announced_at=datetime.now(UTC),
        ),
    )
    while True:
        found = (await api.get("/api/capabilities")).json()
        if found["runners"]:
            return dict(found)


async def test_capabilities_are_the_merge_of_live_runners_and_the_limits(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    found = await a_runner(broker, api)
    assert [one["engine"] for one in found["kinds"]["train_lora"]] == ["large", "mini"]
    assert found["kinds"]["train_lora"][1]["paramsSchema"] == SCHEMA
    assert found["limits"]["photos"] == 4


@pytest.mark.parametrize(
    ("engines", "params", "status", "kind", "says"),
    [
        ({}, {"train_lora": {"steps": 5}}, 202, None, ""),
        ({"train_lora": "mini"}, {}, 202, None, ""),
        ({"train_lora": "huge"}, {}, 422, "unknown-engine", "large, mini"),
        ({"train_cat": "mini"}, {}, 422, "unknown-engine", "train_lora"),
        ({"train_lora": "large"}, {}, 409, "missing-weights", "base-xl (6.9 GB, licence OpenRAIL)"),
        ({}, {"train_lora": {"steps": 0}}, 422, "invalid-params", "minimum"),
        ({}, {"train_lora": {"stepz": 1}}, 422, "invalid-params", "steps"),
    ],
)
async def test_a_wish_that_no_runner_can_fulfil_is_refused_with_what_is_possible(
    api: httpx.AsyncClient,
    broker: Broker,
    *,
    engines: dict[str, str],
    params: dict[str, Any],
    status: int,
    kind: str | None,
    says: str,
) -> None:
    await a_runner(broker, api)
    answer = await api.post(
        "/api/train",
        files={"image": PHOTO},
        data={**CONSENT_FORM, "engines": json.dumps(engines), "params": json.dumps(params)},
    )
    assert answer.status_code == status, answer.text
    if kind is not None:
        problem = answer.json()
        assert problem["type"] == f"/problems/{kind}"
        assert says in problem["detail"] + problem["remedy"]


async def test_every_error_is_a_problem_that_leads_to_its_explanation(
    api: httpx.AsyncClient,
) -> None:
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/page/nothing.js", 404),
        ("DELETE", "/api/train", 405),
        ("GET", "/api/jobs?limit=0", 422),
        ("GET", "/api/jobs?status=great", 422),
        ("GET", "/problems/none", 404),
    ):
        answer = await api.request(method, path)
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, problem["status"]) == (status, status)
        assert problem["remedy"]
        assert (await api.get(problem["type"])).json()["title"] == problem["title"]
    assert "POST" in (await api.delete("/api/train")).headers["allow"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
async def test_a_rebound_name_is_not_let_in(api: httpx.AsyncClient, host: str) -> None:
    answer = await api.get("/api/jobs", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (421, "/problems/foreign-host")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:99", "[::1]:8", "bot.example", "LOCALHOST"]
)
async def test_a_known_name_is_let_in(api: httpx.AsyncClient, host: str) -> None:
    assert (await api.get("/api/jobs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
    ],
)
async def test_a_page_of_another_site_cannot_begin_a_job(
    api: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    await api.get("/")
    answer = await api.post(
        "/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=headers
    )
    assert answer.status_code == status


async def test_the_gateways_own_page_can(api: httpx.AsyncClient, stack: Stack) -> None:
    headers = {"Origin": stack.url}
    stranger = await api.post(
        "/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=headers
    )
    assert (stranger.status_code, stranger.json()["type"]) == (403, "/problems/no-session")
    await api.get("/")
    answer = await api.post(
        "/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=headers
    )
    assert answer.status_code == 202


async def test_the_page_asks_nothing_of_other_sites(api: httpx.AsyncClient) -> None:
    page = await api.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/docs", "/page/main.js", "/page/style.css", "/page/strings.js"):
        text = (await api.get(path)).text
        assert "https://" not in text
        assert text


async def test_the_openapi_document_names_every_route_and_body(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {"/api/train", "/api/generate", "/api/jobs", "/api/status/{job}"} <= set(
        document["paths"]
    )
    form = document["paths"]["/api/train"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(form["schema"]["required"]) == {"image", "consent"}
    references = {
        word.split('"')[0] for word in json.dumps(document).split("#/components/schemas/")[1:]
    }
    assert references <= set(document["components"]["schemas"])


async def test_requests_are_counted_by_route_and_not_by_id(api: httpx.AsyncClient) -> None:
    await api.get("/api/status/nobody")
    text = (await api.get("/metrics")).text
    wanted = 'requests_total{method="GET",route="/api/status/{job}",status="404"}'
    assert f"myspinbot_gateway_{wanted}" in text
    assert "nobody" not in text


async def test_a_job_goes_on_with_the_trace_of_its_request(
    api: httpx.AsyncClient, log: EventLog, stack: Stack
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = await api.post(
        "/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=headers
    )
    told = (await log.fold(answer.json()["jobId"])).traceparent
    assert told is not None
    assert told.split("-")[1] == trace
    spans = stack.folder / "spans" / "gateway.jsonl"
    while not spans.exists() or "http.response.status_code" not in text_of(spans, trace):
        await api.get("/health")
    found = [json.loads(line) for line in text_of(spans, trace).splitlines()]
    [span] = [one for one in found if one["name"] == "POST /api/train"]
    assert span["attributes"]["http.response.status_code"] == 202
    assert {one["context"]["trace_id"] for one in found} == {f"0x{trace}"}


def text_of(file: Path, words: str) -> str:
    """The lines that have these words."""
    return "\n".join(line for line in file.read_text().splitlines() if words in line)


async def test_a_large_upload_takes_no_more_memory_than_a_small_one(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    def resident() -> int:
        assert stack.gateway.process is not None
        status = open(f"/proc/{stack.gateway.process.pid}/status").read()  # noqa: PTH123, SIM115
        return int(status.split("VmHWM:")[1].split()[0])

    big = photo(1900, 1900, "BMP")
    assert len(big) > 10_000_000
    await api.post("/api/train", files={"image": big, "voice": RECORDING}, data=CONSENT_FORM)
    once = resident()
    clip = RECORDING + bytes(45_000_000)
    answer = await api.post(
        "/api/train", files=[("image", big)] * 4 + [("voice", clip)], data=CONSENT_FORM
    )
    assert answer.status_code == 202
    assert resident() - once < 25_000


async def test_without_the_projector_what_needs_it_says_so_and_then_works_again(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    created = await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
    stack.projector.kill()
    # A job that was begun here is known from the log.
    assert (await api.get(f"/api/status/{created.json()['jobId']}")).status_code == 200
    answer = await api.get("/api/jobs")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert int(answer.headers["retry-after"]) > 0
    stack.projector.start()
    assert (await api.get("/api/jobs")).status_code == 200


async def test_without_the_broker_the_gateway_says_so_and_comes_back_with_it(
    api: httpx.AsyncClient, stack: Stack
) -> None:
    key = {"Idempotency-Key": make_id(utc_now(), b"9876543210")}
    stack.server.kill()
    while (await api.get("/ready")).status_code != 503:
        pass
    assert (await api.get("/health")).status_code == 200
    answer = await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=key)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    stack.server.start()
    await make_streams(stack.server)
    while (await api.get("/ready")).status_code != 200:
        pass
    again = await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=key)
    assert again.status_code == 202
    assert (await api.get(f"/api/status/{again.json()['jobId']}")).status_code == 200


async def test_told_to_end_the_gateway_ends_well(stack: Stack) -> None:
    assert stack.gateway.stop() == 0
    stack.gateway.start()


async def test_a_view_that_has_not_changed_is_not_sent_again(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.tell(e.JobCancelled())
    path = f"/api/jobs/{story.job}"
    while (first := await api.get(path)).json()["status"] != "cancelled":
        pass
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = await api.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in again.headers
    other = await api.get(path, headers={"If-None-Match": 'W/"other"'})
    assert (other.status_code, other.content) == (200, first.content)
    for listed in ("/api/jobs", "/api/profiles", "/api/capabilities", "/api/pipelines"):
        assert (await api.get(listed)).headers["etag"].startswith('W/"')
    assert "etag" not in (await api.get("/api/jobs/nobody")).headers


async def test_a_wrong_method_is_told_all_right_ones(api: httpx.AsyncClient) -> None:
    for path, allowed in (
        ("/api/jobs/nobody", "DELETE, GET"),
        ("/api/webhooks", "GET, POST"),
        ("/api/jobs/a/inputs/photos/0", "GET, HEAD"),
    ):
        answer = await api.patch(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.json()["type"] == "/problems/method-not-allowed"
