"""Jobs over HTTP, against a running gateway, broker, store and projector."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import httpx
import pytest
from contracts.base import make_id
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from gateway_media import PHOTO, RECORDING, photo
from gateway_story import Story
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.samples import CONSENT, CONSENT_FORM

OTHER_PHOTO = photo(seed=2)


async def test_photos_and_a_recording_become_a_training_job(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    answer = await api.post(
        "/api/train",
        files=[
            ("image", ("a.png", PHOTO)),
            ("image", ("b.png", OTHER_PHOTO)),
            ("voice", RECORDING),
        ],
        data={**CONSENT_FORM, "name": "Ada", "prompt": "in a garden"},
    )
    assert answer.status_code == 202
    job = answer.json()["jobId"]
    assert answer.json() == {"jobId": job, "type": "train", "status": "queued", "progress": 0}
    request = (await log.fold(job)).request
    assert request is not None
    counts = {name: len(artifacts) for name, artifacts in request.inputs.items()}
    assert counts == {"photos": 2, "photo_names": 1, "clip": 1, "name": 1, "prompt": 1}
    assert await store.get(request.inputs["photos"][1]) == OTHER_PHOTO
    assert await store.get(request.inputs["name"][0]) == b"Ada"
    assert request.inputs["clip"][0].media_type == "audio/wav"
    assert (await api.get(f"/api/status/{job}")).json() == answer.json()


async def test_a_form_brings_music_for_a_video_and_only_for_a_video(
    api: httpx.AsyncClient, log: EventLog
) -> None:
    files = [("image", ("a.png", PHOTO)), ("music", ("song.wav", RECORDING))]
    said = {**CONSENT_FORM, "script": "Hello."}
    answer = await api.post("/api/generate", files=files, data=said)
    assert answer.status_code == 202, answer.text
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert [one.media_type for one in request.inputs["music"]] == ["audio/wav"]
    refused = await api.post("/api/train", files=files, data=CONSENT_FORM)
    assert (refused.status_code, refused.json()["field"]) == (422, "music")
    for music, kind in ((b"text, and no music", "not-a-recording"), (PHOTO, "not-a-recording")):
        sent = [files[0], ("music", ("song.wav", music))]
        refused = await api.post(
            "/api/generate", files=sent, data={**CONSENT_FORM, "script": "Hello."}
        )
        assert refused.json()["type"] == f"/problems/{kind}"


async def test_a_video_has_its_own_words_or_a_topic_that_its_owner_sees_again(
    api: httpx.AsyncClient, log: EventLog
) -> None:
    files = [("image", ("a.png", PHOTO))]
    answer = await api.post(
        "/api/generate", files=files, data={**CONSENT_FORM, "topic": " my garden "}
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()["jobId"]
    request = (await log.fold(job)).request
    assert request is not None
    assert {*request.inputs} == {"photos", "photo_names", "topic"}
    shown = (await api.get(f"/api/jobs/{job}")).json()
    assert (shown["topic"], shown["script"]) == ("my garden", None)
    for words, fault in (
        ({"topic": "both", "script": "Both."}, "not both"),
        ({}, "a script, the words to speak, or a topic"),
        ({"topic": "a" * 2001}, "longer than 2,000"),
        ({"topic": "a\x00b"}, "topic"),
    ):
        refused = await api.post("/api/generate", files=files, data={**CONSENT_FORM, **words})
        assert (refused.status_code, fault in refused.text) == (422, True), refused.text
    assert (
        await api.post("/api/train", files=files, data={**CONSENT_FORM, "topic": "a"})
    ).status_code == 422


async def test_a_photo_that_is_sent_twice_is_kept_once(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    before = await _uploads(store)
    files = [("a.png", PHOTO), ("b.png", OTHER_PHOTO), ("again.png", PHOTO)]
    answer = await api.post(
        "/api/train", files=[("image", file) for file in files], data=CONSENT_FORM
    )
    job = answer.json()["jobId"]
    request = (await log.fold(job)).request
    assert request is not None
    kept = [await store.get(photo) for photo in request.inputs["photos"]]
    assert kept == [PHOTO, OTHER_PHOTO]
    assert await _names(api, job) == ["a.png", "b.png"]
    # Two photos, their names, and the consent.
    assert len(await _uploads(store) - before) == 4


async def test_each_photo_is_told_by_the_name_of_its_file(
    api: httpx.AsyncClient, log: EventLog
) -> None:
    files = [("am Strand ü.png", PHOTO), (r"C:\Bilder\me.jpg", OTHER_PHOTO)]
    answer = await api.post(
        "/api/train", files=[("image", file) for file in files], data=CONSENT_FORM
    )
    assert await _names(api, answer.json()["jobId"]) == ["am Strand ü.png", "me.jpg"]
    part = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    said = b'\r\n--b\r\nContent-Disposition: form-data; name="consent"\r\n\r\n'
    body = part + PHOTO + said + CONSENT_FORM["consent"].encode() + b"\r\n--b--\r\n"
    unnamed = (await api.post("/api/train", content=body, headers=boundary)).json()["jobId"]
    assert await _names(api, unnamed) == [None]
    request = (await log.fold(unnamed)).request
    assert request is not None
    assert "photo_names" not in request.inputs


async def test_photos_are_shown_without_names_that_were_erased(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    answer = await api.post("/api/train", files={"image": ("me.png", PHOTO)}, data=CONSENT_FORM)
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    await store.delete(request.inputs["photo_names"][0].key)
    assert await _names(api, answer.json()["jobId"]) == [None]


async def test_the_same_photos_under_other_names_are_the_same_request(
    api: httpx.AsyncClient,
) -> None:
    key = {"Idempotency-Key": "renamed"}
    made = [
        (
            await api.post(
                "/api/train", files={"image": (name, PHOTO)}, data=CONSENT_FORM, headers=key
            )
        ).json()["jobId"]
        for name in ("a.png", "b.png")
    ]
    assert made[0] == made[1]
    assert await _names(api, made[0]) == ["a.png"]


async def test_photos_and_a_script_become_a_video_job_that_trains_first(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    answer = await api.post(
        "/api/generate", files={"image": PHOTO}, data={**CONSENT_FORM, "script": "Grüß Gott!"}
    )
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert (request.type, request.profile) == (e.JobType.GENERATE, answer.json()["jobId"])
    assert await store.get(request.inputs["script"][0]) == "Grüß Gott!".encode()


async def test_nothing_personal_enters_the_log(api: httpx.AsyncClient, log: EventLog) -> None:
    answer = await api.post(
        "/api/generate",
        files={"image": ("ada-lovelace.png", PHOTO)},
        data={**CONSENT_FORM, "script": "my secret", "name": "Ada Lovelace", "prompt": "at home"},
    )
    story = [recorded async for recorded in log.read_job(answer.json()["jobId"])]
    told = b"".join(recorded.event.to_json() for recorded in story).lower()
    for secret in (b"ada", b"lovelace", b"secret", b"home"):
        assert secret not in told


async def test_a_job_is_found_at_once_in_the_list_and_by_its_id(api: httpx.AsyncClient) -> None:
    created = await api.post(
        "/api/train", files={"image": PHOTO}, data={**CONSENT_FORM, "name": "Grace"}
    )
    job = created.json()["jobId"]
    listed = (await api.get("/api/jobs")).json()["jobs"][0]
    assert (listed["jobId"], listed["name"]) == (job, "Grace")
    found = (await api.get(f"/api/jobs/{job}")).json()
    assert (found["jobId"], found["name"], found["status"]) == (job, "Grace", "queued")


async def test_the_list_goes_on_where_the_page_before_ended(api: httpx.AsyncClient) -> None:
    made = [
        (await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()["jobId"]
        for _ in range(5)
    ]
    first = (await api.get("/api/jobs", params={"limit": 3})).json()
    second = (await api.get("/api/jobs", params={"limit": 2, "before": first["next"]})).json()
    listed = [job["jobId"] for page in (first, second) for job in page["jobs"]]
    assert listed == made[::-1]
    unknown = await api.get("/api/jobs", params={"before": "nobody"})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "/problems/invalid-request")


async def test_the_list_can_be_narrowed(api: httpx.AsyncClient, broker: Broker) -> None:
    failed = await Story.begin(broker, api)
    await failed.plan()
    await failed.start("prepare_dataset")
    sequence = await failed.fail("prepare_dataset")
    await _seen(api, failed.job, sequence)
    found = (await api.get("/api/jobs", params={"status": "failed", "type": "train"})).json()
    assert failed.job in {job["jobId"] for job in found["jobs"]}
    assert {job["status"] for job in found["jobs"]} == {"failed"}
    assert found["jobs"][0]["failure"]["remedy"] == "Use a photo that shows one"


async def test_a_job_shows_its_stages_their_measures_and_failures(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset", sharpness=0.5)
    await story.start("train_lora")
    view = await _seen(api, story.job, await story.fail("train_lora"))
    prepared, trained = view["stages"]
    assert (prepared["status"], prepared["metrics"]) == ("completed", {"sharpness": 0.5})
    assert (trained["after"], trained["failure"]["code"]) == (["prepare_dataset"], "no-face")
    assert (view["status"], view["failure"]["cause"]) == ("failed", "photo 1 shows no face")


async def test_the_same_idempotency_key_makes_one_job(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    headers = {"Idempotency-Key": make_id(utc_now(), b"0123456789")}

    async def ask(**data: str) -> httpx.Response:
        return await api.post(
            "/api/train", files={"image": PHOTO}, data=CONSENT_FORM | data, headers=headers
        )

    first = await ask(name="Ada")
    before = await _uploads(store)
    again = await ask(name="Ada")
    assert (again.status_code, again.json()) == (202, first.json())
    other = await ask(name="Eve")
    assert other.status_code == 422
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert await _uploads(store) == before


async def test_a_job_is_cancelled_once_and_an_ended_one_not_at_all(
    api: httpx.AsyncClient, broker: Broker, log: EventLog
) -> None:
    story = await Story.begin(broker, api)
    for _ in range(2):
        assert (await api.post(f"/api/jobs/{story.job}/cancel")).status_code == 202
    kinds = [recorded.type async for recorded in log.read_job(story.job)]
    assert kinds == ["JobRequested", "ConsentGiven", "JobCancelRequested"]
    await _seen(api, story.job, await story.tell(e.JobCancelled()))
    refused = await api.post(f"/api/jobs/{story.job}/cancel")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/job-has-ended")


async def test_a_failed_job_is_tried_again_and_a_completed_one_is_not(
    api: httpx.AsyncClient, broker: Broker
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await _seen(api, story.job, await story.fail("prepare_dataset"))
    for _ in range(2):
        again = await api.post(f"/api/jobs/{story.job}/retry")
        assert (again.status_code, again.json()["status"]) == (202, "queued")
    await story.start("prepare_dataset", attempt=2)
    await story.complete("prepare_dataset", attempt=2)
    await story.start("train_lora")
    await story.complete("train_lora")
    await _seen(api, story.job, await story.tell(e.JobCompleted()))
    refused = await api.post(f"/api/jobs/{story.job}/retry")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/nothing-to-retry")


async def test_a_trained_profile_speaks_without_photos(
    api: httpx.AsyncClient, broker: Broker, log: EventLog, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api, name="Ada")
    lora = await store.put("jobs/x/lora.safetensors", b"weights", "application/octet-stream")
    face = await store.put("jobs/x/face.png", PHOTO, "image/png")
    await _seen(api, story.job, await story.finish(lora=(lora,), faces=(face,)))
    [profile] = [
        one
        for one in (await api.get("/api/profiles")).json()["profiles"]
        if one["trainedBy"] == story.job
    ]
    assert (profile["name"], profile["ready"], profile["hasVoice"]) == ("Ada", True, False)
    answer = await api.post(
        "/api/jobs",
        json={"type": "generate", "profileId": profile["profileId"], "script": "Hello."},
    )
    assert answer.status_code == 202
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert request.profile == profile["profileId"]
    assert (request.inputs["lora"], request.inputs["faces"]) == ((lora,), (face,))


async def test_an_own_graph_becomes_a_pipeline_job(api: httpx.AsyncClient, log: EventLog) -> None:
    graph = {
        "stages": [
            {"id": "s", "kind": "synthesize_speech", "inputs": {"script": {"output": "script"}}}
        ]
    }
    body = {"type": "pipeline", "graph": graph, "script": "Hello."}
    answer = await api.post("/api/jobs", json=body)
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert request.graph is not None
    assert request.graph.stages[0].id == "s"
    without = await api.post(
        "/api/jobs", json={"type": "pipeline", "graph": graph, "consent": CONSENT}
    )
    assert (without.status_code, without.json()["type"]) == (422, "/problems/invalid-request")
    assert "script" in without.json()["detail"]


_FACE = {"image": PHOTO}


@pytest.mark.parametrize(
    ("path", "files", "data", "status", "kind", "says"),
    [
        ("train", {}, {"name": "Ada"}, 415, "wrong-content-type", "multipart"),
        ("train", {"voice": RECORDING}, {}, 422, "invalid-request", "photos"),
        ("train", {"image": b"hello, I am text" * 9}, {}, 422, "not-a-picture", "photo 1"),
        ("train", {"image": PHOTO[:300]}, CONSENT_FORM, 202, None, ""),
        ("train", {"image": PHOTO[:20]}, {}, 422, "not-a-picture", "photo 1"),
        ("train", {**_FACE, "voice": PHOTO}, {}, 422, "not-a-recording", "voice clip"),
        ("train", _FACE, {"mood": "happy"}, 422, "unknown-field", "mood"),
        ("train", _FACE, {"script": "Hello."}, 422, "unknown-field", "script"),
        ("train", _FACE, {"name": "n" * 81}, 422, "invalid-request", "name"),
        ("train", _FACE, {"quality": "superb"}, 422, "invalid-request", "quality"),
        ("train", _FACE, {"params": "{"}, 400, "malformed-body", "params"),
        ("train", _FACE, {"engines": "[]"}, 422, "invalid-request", "engines"),
        ("train", _FACE, {"seed": "-1"}, 422, "invalid-request", "seed"),
        ("generate", _FACE, {}, 422, "invalid-request", "script"),
        ("generate", _FACE, {"script": "   "}, 422, "invalid-request", "script"),
        ("generate", _FACE, {"script": "x" * 20_001}, 422, "invalid-request", "20,000"),
        ("generate", _FACE, {"script": "a\0b"}, 422, "invalid-request", "script"),
        ("generate", _FACE, {"script": "Hi", "profileId": "p1"}, 422, "invalid-request", "profile"),
        ("generate", _FACE, {"script": "Hi", "type": "train"}, 422, "unknown-field", "type"),
    ],
)
async def test_bad_input_is_refused_by_name_and_leaves_nothing(
    api: httpx.AsyncClient,
    store: ObjectStore,
    *,
    path: str,
    files: dict[str, bytes],
    data: dict[str, str],
    status: int,
    kind: str | None,
    says: str,
) -> None:
    before = await _uploads(store)
    answer = await api.post(f"/api/{path}", files=files, data=data)
    assert answer.status_code == status, answer.text
    if kind is None:
        return
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["type"], problem["status"]) == (f"/problems/{kind}", status)
    assert problem["instance"] == f"/api/{path}"
    assert problem["remedy"]
    assert says in problem["detail"] + problem["remedy"]
    assert await _uploads(store) == before


async def test_a_wrong_photo_among_good_ones_is_named_by_its_number(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    before = await _uploads(store)
    files = [("image", PHOTO), ("image", PHOTO), ("image", RECORDING)]
    answer = await api.post("/api/train", files=files, data=CONSENT_FORM)
    assert answer.json()["detail"] == "The photo 3 is not a picture."
    assert await _uploads(store) == before


async def test_a_decompression_bomb_is_refused_by_its_header(api: httpx.AsyncClient) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = bytearray(PHOTO)
    bomb[12:33] = header + struct.pack(">I", zlib.crc32(header))
    answer = await api.post("/api/train", files={"image": bytes(bomb)}, data=CONSENT_FORM)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/picture-too-large")


async def test_a_photo_beyond_the_limit_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    before = await _uploads(store)
    # More than one part of a multipart upload has gone to the store by then.
    answer = await api.post(
        "/api/train", files={"image": PHOTO + bytes(12_000_000)}, data=CONSENT_FORM
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/upload-too-large")
    assert await _uploads(store) == before
    assert await _unfinished(store) == []


async def test_more_photos_than_the_limit_are_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/train", files=[("image", PHOTO)] * 5, data=CONSENT_FORM)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/too-many-photos")


async def test_a_broken_off_upload_leaves_nothing(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    before = await _uploads(store)

    async def half() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + PHOTO
        yield b"\r\n--b\r\n"
        yield b'Content-Disposition: form-data; name="image"; filename="b"\r\n\r\n' + PHOTO
        yield bytes(9_000_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await api.post(
            "/api/train",
            content=half(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        )
    # The gateway hears of it in its own time; what it has begun is gone in the end.
    while await _uploads(store) != before or await _unfinished(store):
        await api.get("/health")


async def test_a_form_that_ends_early_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post(
        "/api/train",
        content=b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda',
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-body")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "malformed-body"),
        (b"[]", 400, "malformed-body"),
        (b"{}", 422, "invalid-request"),
        ({"type": "generate", "script": "Hi", "mood": "happy"}, 422, "invalid-request"),
        ({"type": "generate", "script": "Hi"}, 422, "invalid-request"),
        ({"type": "generate", "script": "Hi", "profileId": "nobody"}, 404, "no-such-profile"),
        ({"type": "pipeline"}, 422, "invalid-request"),
        (
            {"type": "pipeline", "graph": {"stages": [{"id": "A", "kind": "x"}]}},
            422,
            "invalid-request",
        ),
        ({"type": "train"}, 422, "invalid-request"),
        ({"type": "dance"}, 422, "invalid-request"),
        ({"type": "train", "uploads": {"photoNames": ["a.png"]}}, 422, "invalid-request"),
    ],
)
async def test_a_json_body_that_makes_no_job_is_told_why(
    api: httpx.AsyncClient, body: object, status: int, kind: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await api.post(
        "/api/jobs", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}"), answer.text


@pytest.mark.parametrize("job", ["nobody", "UPPER", "a" * 65, "a.b", "%2e%2e%2f"])
async def test_a_wrong_id_is_not_found(api: httpx.AsyncClient, job: str) -> None:
    status = await api.get(f"/api/status/{job}")
    assert status.status_code == 404
    if status.json()["type"] == "/problems/no-such-job":
        assert status.json()["status"] == "not_found"
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/retry")):
        answer = await api.request(method, f"/api/jobs/{job}{path}")
        assert (answer.status_code, answer.json()["status"]) == (404, 404)


async def _seen(api: httpx.AsyncClient, job: str, sequence: int) -> dict[str, Any]:
    """The job once the gateway has seen the log so far."""
    while True:
        view = (await api.get(f"/api/jobs/{job}")).json()
        if view["sequence"] >= sequence:
            return dict(view)


async def _uploads(store: ObjectStore) -> set[str]:
    listed = await store.call("list_objects_v2", Bucket=store.bucket, Prefix="uploads/")
    assert not listed.get("IsTruncated")
    return {item["Key"] for item in listed.get("Contents", ())}


async def _unfinished(store: ObjectStore) -> list[Any]:
    """What forms have begun. Uploads of their own, which wait for more parts, lie elsewhere."""
    where = {"Bucket": store.bucket, "Prefix": "uploads/"}
    return list((await store.call("list_multipart_uploads", **where)).get("Uploads", ()))


async def _names(api: httpx.AsyncClient, job: str) -> list[str | None]:
    inputs = (await api.get(f"/api/jobs/{job}")).json()["inputs"]
    return [one["name"] for one in inputs if one["input"] == "photos"]
