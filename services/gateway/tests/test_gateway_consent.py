"""Consent: asked of every job that uses a face or a voice, kept as an event, shown, and erased."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from contracts.consent import Likeness, Statement
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from gateway_media import PHOTO, RECORDING
from gateway_story import GRAPH, Story
from servicekit.objects import ObjectStore

from contracts import events as e

WORDS = {"who": "Ada", "basis": "permission", "purpose": "her talks"}
BOTH = ["face", "voice"]
IMAGE, SOUND = {"image": PHOTO}, {"voice": RECORDING}
SPEAK = {"stages": [{"id": "s", "kind": "speak", "inputs": {"clip": {"output": "clip"}}}]}


def said(**changes: Any) -> dict[str, Any]:
    return {**WORDS, "covers": BOTH, **changes}


def form(**changes: Any) -> dict[str, str]:
    return {"consent": json.dumps(said(**changes))}


async def consent_of(log: EventLog, job: str) -> e.ConsentGiven:
    consent = (await log.fold(job)).consent
    assert consent is not None
    return consent


async def gone(api: httpx.AsyncClient, store: ObjectStore, key: str) -> None:
    while [one async for one in store.keys(key)]:
        await api.get("/health")


async def without_consent(log: EventLog, job: str, **inputs: Any) -> None:
    """A training that was asked for before consent was."""
    request = e.JobRequested(type=e.JobType.TRAIN, owner="local", profile=job, inputs=inputs)
    await log.tell(job, request)


async def test_a_job_says_who_agreed_to_what_and_when_and_the_log_names_nobody(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    given = "2026-02-03T04:05:06Z"
    answer = await api.post("/api/train", files=IMAGE | SOUND, data=form(givenAt=given))
    assert answer.status_code == 202, answer.text
    job = answer.json()["jobId"]
    told = [recorded async for recorded in log.read_job(job)]
    assert [one.type for one in told][:2] == ["JobRequested", "ConsentGiven"]
    consent = await consent_of(log, job)
    assert (consent.by, consent.given_for) == ("local", None)
    assert "Ada" not in consent.to_json().decode()
    statement = Statement.model_validate_json(await store.get(consent.statement))
    assert (statement.who, statement.covers) == ("Ada", tuple(Likeness))
    assert (await api.get(f"/api/jobs/{job}")).json()["consent"] == {
        **said(givenAt=given),
        "givenFor": None,
    }


@pytest.mark.parametrize(
    ("path", "files", "data", "kind", "missing"),
    [
        ("train", IMAGE, {}, "consent-missing", ["face"]),
        ("train", IMAGE | SOUND, {}, "consent-missing", BOTH),
        ("train", IMAGE | SOUND, form(covers=["face"]), "consent-too-narrow", ["voice"]),
        ("generate", IMAGE | SOUND, {"script": "Hi."}, "consent-missing", BOTH),
        (
            "jobs",
            SOUND,
            {"type": "pipeline", "graph": json.dumps(SPEAK), **form(covers=["face"])},
            "consent-too-narrow",
            ["voice"],
        ),
        (
            "jobs",
            SOUND,
            {"type": "pipeline", "graph": json.dumps(SPEAK)},
            "consent-missing",
            ["voice"],
        ),
        ("train", IMAGE, form(who=" "), "invalid-request", None),
        ("train", IMAGE, form(purpose=""), "invalid-request", None),
        ("train", IMAGE, form(covers=[]), "invalid-request", None),
        ("train", IMAGE, form(basis="found it"), "invalid-request", None),
        ("train", IMAGE, form(givenAt="2999-01-01T00:00:00Z"), "invalid-request", None),
        ("train", IMAGE, form(mood="happy"), "invalid-request", None),
        ("train", IMAGE, {"consent": "yes"}, "malformed-body", None),
    ],
)
async def test_what_nobody_agreed_to_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient,
    store: ObjectStore,
    *,
    path: str,
    files: dict[str, bytes],
    data: dict[str, str],
    kind: str,
    missing: list[str] | None,
) -> None:
    before = {key async for key in store.keys("uploads/")}
    answer = await api.post(f"/api/{path}", files=files, data=data)
    problem = answer.json()
    assert problem["type"] == f"/problems/{kind}", answer.text
    assert problem["remedy"]
    assert problem.get("missing") == missing
    assert {key async for key in store.keys("uploads/")} == before


async def test_where_nobody_is_seen_or_heard_nobody_need_agree(
    api: httpx.AsyncClient, log: EventLog
) -> None:
    graph = {"stages": [{"id": "s", "kind": "speak", "inputs": {"script": {"output": "script"}}}]}
    body = {"type": "pipeline", "graph": graph, "script": "Hello."}
    answer = await api.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text
    job = answer.json()["jobId"]
    assert (await log.fold(job)).consent is None
    assert (await api.get(f"/api/jobs/{job}")).json()["consent"] is None


async def test_the_same_consent_sent_again_is_the_same_request_and_another_one_is_not(
    api: httpx.AsyncClient,
) -> None:
    key = {"Idempotency-Key": f"consent-{datetime.now(UTC).timestamp()}"}
    first, again = [
        await api.post("/api/train", files=IMAGE, data=form(covers=covers), headers=key)
        for covers in (BOTH, BOTH[::-1])
    ]
    assert first.json()["jobId"] == again.json()["jobId"]
    other = await api.post("/api/train", files=IMAGE, data=form(who="Bob"), headers=key)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


async def test_a_fork_and_a_video_rest_on_what_was_agreed_to_for_the_training(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    answer = await api.post("/api/train", files=IMAGE, data=form(covers=["face"]))
    story = Story(broker, answer.json()["jobId"])
    lora = await store.put(f"jobs/{story.job}/lora", b"l", "application/octet-stream")
    face = await store.put(f"jobs/{story.job}/face", PHOTO, "image/png")
    await story.finish(lora=(lora,), faces=(face,))
    body = {"type": "generate", "profileId": story.job, "script": "Hello."}
    while (video := await api.post("/api/jobs", json=body)).status_code != 202:
        assert video.status_code in (404, 409), video.text
    fork = await api.post(f"/api/jobs/{story.job}/fork", json={"from": "train_lora"})
    again = await api.post(f"/api/jobs/{fork.json()['jobId']}/fork", json={"from": "train_lora"})
    # The fork has no plan yet, so there is nothing to fork from.
    assert again.json()["type"] == "/problems/no-such-stage"
    origin = await consent_of(log, story.job)
    for other in (video, fork):
        job = other.json()["jobId"]
        assert await consent_of(log, job) == origin.model_copy(update={"given_for": story.job})
        shown = (await api.get(f"/api/jobs/{job}")).json()["consent"]
        assert (shown["who"], shown["givenFor"]) == ("Ada", story.job)
    profile = (await api.get(f"/api/profiles/{story.job}")).json()
    assert (profile["consent"]["purpose"], profile["consent"]["covers"]) == ("her talks", ["face"])
    # What the video rests on stays as long as the video does.
    assert (await api.delete(f"/api/jobs/{story.job}")).status_code == 204
    await Story(broker, fork.json()["jobId"]).tell(e.JobCancelled())
    while (await api.delete(f"/api/jobs/{fork.json()['jobId']}")).status_code != 204:
        pass
    await gone(api, store, lora.key)
    assert await store.get(origin.statement)
    video_job = video.json()["jobId"]
    await Story(broker, video_job).tell(e.JobCancelled())
    while (await api.delete(f"/api/jobs/{video_job}")).status_code != 204:
        pass
    await gone(api, store, origin.statement.key)


async def test_a_person_of_before_consent_was_asked_for_speaks_once_it_is_given(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    job = f"old{int(utc_now().timestamp())}"
    face = await store.put(f"jobs/{job}/face", PHOTO, "image/png")
    lora = await store.put(f"jobs/{job}/lora", b"l", "application/octet-stream")
    await without_consent(log, job, photos=(face,))
    await Story(broker, job).finish(lora=(lora,), faces=(face,))
    body = {"type": "generate", "profileId": job, "script": "Hello."}
    while (refused := await api.post("/api/jobs", json=body)).json()["type"] in (
        "/problems/no-such-profile",
        "/problems/profile-not-ready",
    ):
        pass
    assert refused.json()["type"] == "/problems/consent-missing"
    assert (await api.get(f"/api/profiles/{job}")).json()["consent"] is None
    made = await api.post("/api/jobs", json={**body, "consent": said()})
    assert made.status_code == 202, made.text
    assert (await consent_of(log, made.json()["jobId"])).given_for is None
    # A fork goes on with what its parent was asked for, as the parent did.
    fork = await api.post(f"/api/jobs/{job}/fork", json={"from": GRAPH.stages[1].id})
    assert fork.status_code == 202, fork.text
    assert (await log.fold(fork.json()["jobId"])).consent is None


@pytest.mark.parametrize(("ahead_s", "status"), [(-3600, 202), (30, 202), (300, 422)])
async def test_clocks_of_honest_people_may_be_a_little_ahead(
    api: httpx.AsyncClient, ahead_s: int, status: int
) -> None:
    given = (utc_now() + timedelta(seconds=ahead_s)).isoformat()
    answer = await api.post("/api/train", files=IMAGE, data=form(givenAt=given))
    assert answer.status_code == status, answer.text
