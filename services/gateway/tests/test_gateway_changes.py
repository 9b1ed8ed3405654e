"""Jobs forked, deleted and erased, and requests that are sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.artifacts import Artifact
from contracts.base import make_id
from contracts.envelope import Recorded
from contracts.job import JobStatus
from eventlog.broker import Broker, connect
from eventlog.errors import UnavailableError
from eventlog.log import EventLog, utc_now
from gateway.chores import do_chores
from gateway.unread import Unread
from gateway_media import PHOTO, RECORDING, photo
from gateway_stack import Stack, another_gateway, make_streams
from gateway_story import Story
from servicekit.admin import Readiness
from servicekit.objects import MissingObjectError, ObjectStore

from contracts import events as e
from tests.support.broker import nats_server
from tests.support.samples import CONSENT_FORM


async def seen(api: httpx.AsyncClient, job: str, sequence: int) -> dict[str, Any]:
    """The job once the gateway has seen the log so far."""
    while True:
        view = (await api.get(f"/api/jobs/{job}")).json()
        if view["sequence"] >= sequence:
            return dict(view)


async def trained(
    broker: Broker, api: httpx.AsyncClient, store: ObjectStore, **data: str
) -> tuple[Story, Artifact]:
    """A job that has ended, and what it made."""
    story = await Story.begin(broker, api, **data)
    lora = await store.put(f"jobs/{story.job}/lora", b"weights", "application/octet-stream")
    await seen(api, story.job, await story.finish(lora=(lora,)))
    return story, lora


def key() -> dict[str, str]:
    return {"Idempotency-Key": make_id(utc_now(), b"0123456789")}


async def there(store: ObjectStore, artifact: Artifact) -> bool:
    try:
        await store.get(artifact)
    except MissingObjectError:
        return False
    return True


async def test_a_job_shows_what_it_was_given_and_what_was_tried(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    answer = await api.post(
        "/api/generate",
        files={"image": PHOTO, "voice": RECORDING},
        data={
            **CONSENT_FORM,
            "script": "Guten Tag.",
            "prompt": "by the sea",
            "name": "Ada",
            "seed": "7",
            "quality": "draft",
        },
    )
    job = answer.json()["jobId"]
    assert answer.headers["location"] == f"/api/jobs/{job}"
    story = Story(broker, job)
    await story.plan()
    await story.start("prepare_dataset")
    shown = await store.put(f"jobs/{job}/sample", PHOTO, "image/png")
    for caption in ("step 5", "step 5 again"):
        await story.tell(
            e.StageSampled(
                stage="prepare_dataset", attempt=1, step=5, caption=caption, artifact=shown
            )
        )
    view = await seen(api, job, await story.fail("prepare_dataset"))
    texts = {name: view[name] for name in ("name", "script", "prompt", "seed", "quality")}
    assert texts == {
        "name": "Ada",
        "script": "Guten Tag.",
        "prompt": "by the sea",
        "seed": 7,
        "quality": "draft",
    }
    given = [(one["input"], one["mediaType"], one["url"]) for one in view["inputs"]]
    assert given == [
        ("photos", "image/png", f"/api/jobs/{job}/inputs/photos/0"),
        ("clip", "audio/wav", f"/api/jobs/{job}/inputs/clip/0"),
    ]
    assert len(view["traceId"]) == 32
    assert (view["forkedFrom"], view["queuePosition"]) == (None, None)
    assert view["traceUrl"] == f"/#/job/{view['jobId']}?view=trace"
    [stage] = [one for one in view["stages"] if one["id"] == "prepare_dataset"]
    assert [one["caption"] for one in stage["samples"]] == ["step 5", "step 5 again"]
    assert [one["url"].rpartition("/")[2] for one in stage["samples"]] == ["1-5-0", "1-5-1"]
    [attempt] = stage["attempts"]
    assert (attempt["attempt"], attempt["outcome"], attempt["device"]) == (1, "failed", "cpu")
    assert attempt["failure"]["code"] == "no-face"
    [item] = (await api.get("/api/jobs", params={"limit": 1})).json()["jobs"]
    assert (item["jobId"], item["quality"], item["videoUrl"]) == (job, "draft", None)
    assert item["thumbnailUrl"] == f"/api/jobs/{job}/inputs/photos/0/thumbnail"


async def test_jobs_are_listed_by_several_states_and_times(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    before = utc_now()
    queued = await Story.begin(broker, api)
    cancelled = await Story.begin(broker, api)
    await seen(api, cancelled.job, await cancelled.tell(e.JobCancelled()))
    completed = await Story.begin(broker, api)
    await seen(api, completed.job, await completed.finish())

    async def found(**params: Any) -> set[str]:
        answer = await api.get("/api/jobs", params={"createdAfter": before.isoformat(), **params})
        assert answer.status_code == 200, answer.text
        return {job["jobId"] for job in answer.json()["jobs"]}

    assert await found() == {queued.job, cancelled.job, completed.job}
    assert await found(status=["queued", "cancelled"]) == {queued.job, cancelled.job}
    assert await found(createdBefore=before.isoformat()) == set()
    wrong = await api.get("/api/jobs", params={"createdAfter": "2026-01-01T00:00:00"})
    assert (wrong.status_code, wrong.json()["type"]) == (422, "/problems/invalid-request")


async def test_a_fork_takes_over_what_the_parent_was_given_and_changes_the_rest(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    story, _ = await trained(broker, api, store, name="Ada", seed="5", prompt="at home")
    body = {"from": "train_lora", "quality": "best", "prompt": "at sea"}
    answer = await api.post(f"/api/jobs/{story.job}/fork", json=body)
    assert answer.status_code == 202, answer.text
    job = answer.json()["jobId"]
    assert answer.headers["location"] == f"/api/jobs/{job}"
    parent, request = (await log.fold(story.job)).request, (await log.fold(job)).request
    assert parent is not None
    assert request is not None
    assert request.forked_from == e.Fork(job=story.job, stage="train_lora")
    assert (request.quality, request.seed, request.profile) == (e.Quality.BEST, 5, job)
    assert request.inputs["photos"] == parent.inputs["photos"]
    view = (await api.get(f"/api/jobs/{job}")).json()
    assert (view["name"], view["prompt"]) == ("Ada", "at sea")
    assert view["forkedFrom"] == {"jobId": story.job, "stage": "train_lora"}


async def test_a_fork_that_is_sent_again_is_one_job(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    story, _ = await trained(broker, api, store)
    headers, path = key(), f"/api/jobs/{story.job}/fork"
    first = await api.post(path, json={"from": "train_lora"}, headers=headers)
    again = await api.post(path, json={"from": "train_lora"}, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    other = await api.post(path, json={"from": "train_lora", "seed": 3}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"from": "dance"}, 422, "no-such-stage"),
        ({"from": "Dance!"}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
        ({"from": "train_lora", "mood": "happy"}, 422, "invalid-request"),
        ({"from": "train_lora", "script": "Hi"}, 422, "invalid-request"),
        ({"from": "train_lora", "topic": "Hi"}, 422, "invalid-request"),
        ({"from": "train_lora", "name": "n" * 81}, 422, "invalid-request"),
        ({"from": "train_lora", "seed": -1}, 422, "invalid-request"),
    ],
)
async def test_a_fork_that_cannot_be_is_told_why(
    api: httpx.AsyncClient,
    broker: Broker,
    store: ObjectStore,
    *,
    body: dict[str, Any],
    status: int,
    kind: str,
) -> None:
    story, _ = await trained(broker, api, store)
    answer = await api.post(f"/api/jobs/{story.job}/fork", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


@pytest.mark.parametrize(("words", "status"), [("script", 422), ("topic", 202)])
async def test_a_fork_has_another_topic_where_its_parent_had_one(
    api: httpx.AsyncClient, broker: Broker, words: str, status: int
) -> None:
    said = {**CONSENT_FORM, words: "The sea."}
    asked = await api.post("/api/generate", files={"image": PHOTO}, data=said)
    story = Story(broker, asked.json()["jobId"])
    await story.plan()
    [first, *_] = (await api.get(f"/api/jobs/{story.job}")).json()["stages"]
    body = {"from": first["id"], "topic": "the hills"}
    answer = await api.post(f"/api/jobs/{story.job}/fork", json=body)
    assert answer.status_code == status, answer.text
    if status == 202:
        view = (await api.get(f"/api/jobs/{answer.json()['jobId']}")).json()
        assert view["topic"] == "the hills"


async def test_a_fork_needs_a_plan_and_completed_stages_before_it(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    path, body = f"/api/jobs/{story.job}/fork", {"from": "train_lora"}
    early = await api.post(path, json=body)
    assert (early.status_code, early.json()["type"]) == (422, "/problems/no-such-stage")
    await seen(api, story.job, await story.plan())
    lacking = await api.post(path, json=body)
    assert (lacking.status_code, lacking.json()["missing"]) == (409, ["prepare_dataset"])
    assert lacking.json()["type"] == "/problems/not-forkable"
    assert (await api.post(path, json={"from": "prepare_dataset"})).status_code == 202
    assert (await api.post("/api/jobs/nobody/fork", json=body)).status_code == 404


async def test_a_key_cancels_once_and_one_job_only(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    one, other = await Story.begin(broker, api), await Story.begin(broker, api)
    headers = key()
    assert (await api.post(f"/api/jobs/{one.job}/cancel", headers=headers)).status_code == 202
    await seen(api, one.job, await one.tell(e.JobCancelled()))
    # Without the key this would be refused, as the job has ended.
    assert (await api.post(f"/api/jobs/{one.job}/cancel", headers=headers)).status_code == 202
    assert (await api.post(f"/api/jobs/{one.job}/cancel")).status_code == 409
    for path in (f"/api/jobs/{other.job}/cancel", f"/api/jobs/{one.job}/retry"):
        reused = await api.post(path, headers=headers)
        assert reused.json()["type"] == "/problems/idempotency-key-reused"
    kinds = [recorded.type async for recorded in log.read_job(one.job)]
    assert kinds.count("JobCancelRequested") == 1


async def test_a_key_retries_once_however_often_the_job_fails_after_it(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await seen(api, story.job, await story.fail("prepare_dataset"))
    headers, path = key(), f"/api/jobs/{story.job}/retry"
    assert (await api.post(path, headers=headers)).json()["status"] == "queued"
    await story.start("prepare_dataset", attempt=2)
    await seen(api, story.job, await story.fail("prepare_dataset", attempt=2))
    assert (await api.post(path, headers=headers)).json()["status"] == "failed"
    kinds = [recorded.type async for recorded in log.read_job(story.job)]
    assert kinds.count("JobRetryRequested") == 1
    assert (await api.post(path)).json()["status"] == "queued"


async def test_a_deleted_job_is_nowhere_and_what_only_it_needs_is_erased(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    story, lora = await trained(broker, api, store, name="Ada")
    request = (await log.fold(story.job)).request
    assert request is not None
    uploaded, name = request.inputs["photos"][0], request.inputs["name"][0]
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
    for path in ("", "/artifacts/train_lora/lora/0", "/timeline", "/logs"):
        assert (await api.get(f"/api/jobs/{story.job}{path}")).status_code == 404, path
    assert (await api.get(f"/api/status/{story.job}")).status_code == 404
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 404
    listed = (await api.get("/api/jobs", params={"limit": 200})).json()["jobs"]
    assert story.job not in {job["jobId"] for job in listed}
    for artifact in (uploaded, name, lora):
        while await there(store, artifact):
            await api.get("/health")


async def test_what_a_fork_uses_stays_when_its_parent_is_deleted(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    story, lora = await trained(broker, api, store)
    fork = await api.post(f"/api/jobs/{story.job}/fork", json={"from": "train_lora"})
    request = (await log.fold(fork.json()["jobId"])).request
    assert request is not None
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
    while await there(store, lora):
        await api.get("/health")
    assert await there(store, request.inputs["photos"][0])


async def test_a_job_that_runs_is_not_deleted(api: httpx.AsyncClient, broker: Broker) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await seen(api, story.job, await story.start("prepare_dataset"))
    refused = await api.delete(f"/api/jobs/{story.job}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/job-is-running")
    assert (await api.get(f"/api/jobs/{story.job}")).status_code == 200
    assert (await api.delete("/api/jobs/nobody")).status_code == 404


async def test_a_key_of_a_deleted_job_does_not_bring_it_back(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    headers = key()
    asked = {"files": {"image": photo(seed=81)}, "data": CONSENT_FORM, "headers": headers}
    job = (await api.post("/api/train", **asked)).json()["jobId"]
    await seen(api, job, await Story(broker, job).tell(e.JobCancelled()))
    assert (await api.delete(f"/api/jobs/{job}")).status_code == 204
    again = await api.post("/api/train", **asked)
    assert (again.status_code, again.json()["type"]) == (404, "/problems/no-such-job")


async def test_a_gateway_that_dies_leaves_its_chores_to_the_others(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore, stack: Stack
) -> None:
    story, lora = await trained(broker, api, store)
    with another_gateway(stack, "second"):
        # Whichever of the two takes the event, and the second is killed right after.
        assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
    while await there(store, lora):
        await api.get("/health")


@pytest.mark.parametrize("error", [UnavailableError("somebody"), KeyError("a mistake")])
async def test_a_chore_that_fails_is_done_again_and_holds_up_no_other(
    tmp_path: Path, error: Exception
) -> None:
    with nats_server(tmp_path) as server:
        await make_streams(server)
        broker = await connect(server.address("gateway"))
        log = EventLog(broker, "test")
        for job in ("first", "second"):
            await log.tell(job, e.JobDeleted(by="ada"))
            await log.tell(job, e.JobCancelRequested(by="ada"))
        done: list[str] = []
        all_done = asyncio.Event()

        async def chore(recorded: Recorded) -> None:
            done.append(recorded.job)
            if done.count("first") == 1 and recorded.job == "first":
                raise error
            if len(done) == 3:
                all_done.set()

        working = asyncio.create_task(
            do_chores(broker, [((e.JobDeleted,), chore)], Unread(Readiness()), workers=1)
        )
        try:
            async with asyncio.timeout(60):
                await all_done.wait()
        finally:
            working.cancel()
            await asyncio.wait({working})
            await broker.close()
        assert done == ["first", "second", "first"]


async def test_what_is_done_to_a_job_goes_by_the_log_and_not_by_what_was_read_of_it(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    for _ in range(5):
        story = await Story.begin(broker, api)
        await story.plan()
        await story.start("prepare_dataset")
        await story.fail("prepare_dataset")
        # Nobody waits until the gateway has read of the failure.
        retried = await api.post(f"/api/jobs/{story.job}/retry")
        assert (retried.status_code, retried.json()["status"]) == (202, "queued")
        assert (await log.fold(story.job)).status is JobStatus.QUEUED
        await story.tell(e.JobCancelled())
        assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
