"""Profiles: looked at, listened to, used and deleted."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from contracts.artifacts import Artifact
from contracts.base import make_id
from contracts.graph import Binding, Graph, Stage
from contracts.holdings import Holdings
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from gateway_media import PHOTO, RECORDING
from gateway_story import GRAPH, Story
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.samples import CONSENT_FORM


async def trained(
    broker: Broker, api: httpx.AsyncClient, store: ObjectStore, *, clip: bool, **outputs: bytes
) -> Story:
    """The job of a training that is completed. `outputs` are sounds beside the LoRA."""
    files = {"image": PHOTO, **({"voice": RECORDING} if clip else {})}
    answer = await api.post("/api/train", files=files, data={**CONSENT_FORM, "name": "Ada"})
    story = Story(broker, answer.json()["jobId"])

    async def kept(name: str, data: bytes, media_type: str) -> tuple[Artifact, ...]:
        return (await store.put(f"jobs/{story.job}/{name}", data, media_type),)

    sounds = {name: await kept(name, data, "audio/wav") for name, data in outputs.items()}
    await story.finish(
        faces=await kept("faces.png", PHOTO, "image/png"),
        lora=await kept("lora", b"l", "application/octet-stream"),
        **sounds,
    )
    # Whoever makes a video right after it asks a gateway that may not have heard of it.
    while not (await shown(api, story.job))["ready"]:
        pass
    return story


async def shown(api: httpx.AsyncClient, profile: str) -> dict[str, Any]:
    while (answer := await api.get(f"/api/profiles/{profile}")).status_code == 404:
        pass
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def video_of(profile: str) -> dict[str, str]:
    return {"type": "generate", "profileId": profile, "script": "Hello."}


async def named_by(log: EventLog, *jobs: str) -> set[str]:
    """The keys of all objects that the jobs hold."""
    holdings = Holdings()
    for job in jobs:
        async for recorded in log.read_job(job):
            holdings.add(job, recorded.event)
    return {artifact.key for artifact, _ in holdings.wanted(lambda _: False)}


async def erased(api: httpx.AsyncClient, store: ObjectStore, objects: set[str]) -> None:
    """Return when none of them is in the store."""
    assert objects
    while objects & {key async for key in store.keys("")}:
        await api.get("/health")


async def a_video(api: httpx.AsyncClient, broker: Broker, profile: str) -> Story:
    answer = await api.post("/api/jobs", json=video_of(profile))
    assert answer.status_code == 202, answer.text
    story = Story(broker, answer.json()["jobId"])
    await story.finish()
    return story


async def test_a_profile_shows_a_face_lets_its_voice_be_heard_and_lists_its_jobs(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    training = await trained(broker, api, store, clip=True, preview=RECORDING)
    profile = training.job
    videos = [await a_video(api, broker, profile) for _ in range(2)]
    while (view := await shown(api, profile))["videos"] != 2:
        pass
    assert (view["name"], view["ready"], view["trainedBy"]) == ("Ada", True, profile)
    assert (await api.get(view["voiceUrl"])).content == RECORDING
    assert view["voiceUrl"].endswith("/preview/0")
    assert view["portraitUrl"].endswith("/thumbnail")
    jobs = [videos[1].job, videos[0].job, profile]
    assert [one["jobId"] for one in view["jobs"]] == jobs
    listed = (await api.get("/api/profiles")).json()["profiles"][0]
    assert listed == {name: value for name, value in view.items() if name != "jobs"}


@pytest.mark.parametrize("clip", [True, False])
async def test_a_voice_without_a_preview_is_heard_as_it_was_recorded(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore, *, clip: bool
) -> None:
    training = await trained(broker, api, store, clip=clip)
    url = (await shown(api, training.job))["voiceUrl"]
    assert url == (f"/api/jobs/{training.job}/inputs/clip/0" if clip else None)


async def test_an_erased_person_is_gone_with_every_job_and_object_of_theirs(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    other = await trained(broker, api, store, clip=False)
    training = await trained(broker, api, store, clip=True, preview=RECORDING)
    path = f"/api/profiles/{training.job}"
    videos = [await a_video(api, broker, training.job) for _ in range(2)]
    jobs = [training.job, *(video.job for video in videos)]
    objects = await named_by(log, *jobs)
    assert (await api.delete(path)).status_code == 204
    for gone in (path, *(f"/api/jobs/{job}" for job in jobs)):
        assert (await api.get(gone)).status_code == 404
    assert (await api.delete(path)).json()["type"] == "/problems/no-such-profile"
    await erased(api, store, objects)
    # Another person of the same owner's stays whole.
    assert {key async for key in store.keys("")} >= await named_by(log, other.job)
    told = [recorded.event async for recorded in log.read_job(training.job)]
    assert told[-2:] == [e.ProfileErased(by="local"), e.JobDeleted(by="local")]
    assert (await log.fold(training.job)).deleted
    listed = (await api.get("/api/profiles")).json()["profiles"]
    assert training.job not in [one["profileId"] for one in listed]
    assert (await api.post("/api/jobs", json=video_of(training.job))).status_code == 404


async def test_a_profile_whose_job_still_runs_is_not_deleted(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    faces = await store.put(f"jobs/{story.job}/faces", b"f", "image/png")
    lora = await store.put(f"jobs/{story.job}/lora", b"l", "application/octet-stream")
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset", {"faces": (faces,)})
    await story.start("train_lora")
    await story.complete("train_lora", {"lora": (lora,)})
    await shown(api, story.job)
    refused = await api.delete(f"/api/profiles/{story.job}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/job-is-running")
    assert refused.json()["jobs"] == [story.job]
    await story.tell(e.JobCompleted())
    while (await api.delete(f"/api/profiles/{story.job}")).status_code == 409:
        pass


async def test_what_was_begun_is_ended_when_the_gateway_that_was_asked_has_died(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    training = await trained(broker, api, store, clip=False)
    video = await a_video(api, broker, training.job)
    running = await api.post("/api/jobs", json=video_of(training.job))
    late = Story(broker, running.json()["jobId"])
    request = (await log.fold(late.job)).request
    assert request is not None
    jobs = [training.job, video.job, late.job]
    objects = await named_by(log, *jobs)
    # Others' wishes reach nobody's jobs but their own.
    await log.tell(training.job, e.ProfileErased(by="mallory"))
    # All that it had done by then; and a slow gateway still enters a job that it has looked over.
    await log.tell(training.job, e.ProfileErased(by="local"))
    behind = Story(broker, f"late{training.job}"[:30])
    await behind.tell(request)
    for story in (late, behind):
        while not (await log.fold(story.job)).cancel_requested:
            await api.get("/health")
        await story.tell(e.JobCancelled())
    for job in (*jobs, behind.job):
        while not (await log.fold(job)).deleted:
            await api.get("/health")
    await erased(api, store, objects)
    assert (await api.get(f"/api/profiles/{training.job}")).status_code == 404


async def test_a_profile_that_nobody_trained_is_not_found(api: httpx.AsyncClient) -> None:
    for unknown in (make_id(utc_now(), bytes(10)), "a.b", "A", "*"):
        for method in ("GET", "DELETE"):
            answer = await api.request(method, f"/api/profiles/{unknown}")
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-profile")
    assert (await api.get("/api/profiles", params={"before": "nobody"})).status_code == 422


async def test_a_fork_that_trains_nothing_is_of_the_same_person_and_goes_with_them(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    binding = {"lora": Binding(stage="train_lora", output="lora")}
    graph = Graph(stages=(*GRAPH.stages, Stage(id="speak", kind="speak", inputs=binding)))
    parent = await Story.begin(broker, api)
    faces = (await store.put(f"jobs/{parent.job}/faces", b"f", "image/png"),)
    lora = (await store.put(f"jobs/{parent.job}/lora", b"l", "application/octet-stream"),)
    made = {"prepare_dataset": {"faces": faces}, "train_lora": {"lora": lora}, "speak": {}}
    await parent.tell(e.JobPlanned(graph=graph))
    for stage, outputs in made.items():
        await parent.start(stage)
        await parent.complete(stage, outputs)
    await parent.tell(e.JobCompleted())
    await shown(api, parent.job)
    anew, same = [
        (await api.post(f"/api/jobs/{parent.job}/fork", json={"from": stage})).json()["jobId"]
        for stage in ("train_lora", "speak")
    ]
    assert (await api.get(f"/api/jobs/{anew}")).json()["profileId"] == anew
    assert (await api.get(f"/api/jobs/{same}")).json()["profileId"] == parent.job
    fork = Story(broker, same)
    await fork.tell(e.JobPlanned(graph=graph))
    for stage in ("prepare_dataset", "train_lora"):
        await fork.tell(
            e.StageReused(
                stage=stage,
                from_job=parent.job,
                from_stage=stage,
                input_hash="0" * 64,
                outputs=made[stage],
                metrics={},
            )
        )
    await fork.start("speak")
    await fork.complete("speak")
    ended = await fork.tell(e.JobCompleted())
    while (await api.get(f"/api/jobs/{same}")).json()["sequence"] < ended:
        pass
    assert (await api.delete(f"/api/profiles/{parent.job}")).status_code == 204
    for gone in (f"profiles/{parent.job}", f"jobs/{parent.job}", f"jobs/{same}"):
        assert (await api.get(f"/api/{gone}")).status_code == 404
    assert (await api.get(f"/api/jobs/{anew}")).status_code == 200
