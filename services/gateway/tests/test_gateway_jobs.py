"""Jobs over HTTP, against a running gateway, broker, store and projector."""

from __future__ import annotations

import httpx
from eventlog.log import EventLog
from gateway_media import PHOTO, RECORDING
from servicekit.objects import ObjectStore


async def test_photos_and_a_recording_become_a_training_job(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    answer = await api.post(
        "/api/train",
        files=[("image", ("a.png", PHOTO)), ("image", ("b.png", PHOTO)), ("voice", RECORDING)],
        data={"name": "Ada", "prompt": "in a garden"},
    )
    assert answer.status_code == 202
    job = answer.json()["jobId"]
    assert answer.json() == {"jobId": job, "type": "train", "status": "queued", "progress": 0}
    request = (await log.fold(job)).request
    assert request is not None
    assert [len(request.inputs[name]) for name in ("photos", "clip", "name", "prompt")] == [
        2,
        1,
        1,
        1,
    ]
    assert await store.get(request.inputs["photos"][1]) == PHOTO
    assert await store.get(request.inputs["name"][0]) == b"Ada"
    assert request.inputs["clip"][0].media_type == "audio/wav"
    assert (await api.get(f"/api/status/{job}")).json() == answer.json()


async def test_a_job_is_found_at_once_in_the_list_and_by_its_id(api: httpx.AsyncClient) -> None:
    created = await api.post("/api/train", files={"image": PHOTO}, data={"name": "Grace"})
    job = created.json()["jobId"]
    listed = (await api.get("/api/jobs")).json()["jobs"][0]
    assert (listed["jobId"], listed["name"]) == (job, "Grace")
    found = (await api.get(f"/api/jobs/{job}")).json()
    assert (found["jobId"], found["name"], found["status"]) == (job, "Grace", "queued")
