"""Files that are uploaded before the job that uses them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil
import pytest
from contracts.base import make_id
from eventlog.log import EventLog, utc_now
from gateway.settings import Limits, Settings
from gateway.uploads.browsers import origins
from gateway.uploads.records import FOLDER, UploadRecord, part_bytes
from gateway.uploads.sweeper import sweep
from gateway_media import PHOTO, RECORDING, photo
from gateway_people import client, make_token, token_gateway
from gateway_stack import Stack, another_gateway
from hypothesis import given
from hypothesis import strategies as st
from servicekit.objects import ObjectStore

from tests.support.samples import CONSENT, CONSENT_FORM

MIB = 1 << 20
WAV = RECORDING[:44] + bytes(range(256)) * (20 * MIB // 256)
"""A recording of three parts."""


def draft(data: bytes, kind: str = "photo") -> dict[str, Any]:
    return {"kind": kind, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


async def begun(api: httpx.AsyncClient, data: bytes, kind: str = "photo") -> dict[str, Any]:
    answer = await api.post("/api/uploads", json=draft(data, kind))
    assert answer.status_code in (200, 201), answer.text
    assert answer.headers["location"] == f"/api/uploads/{answer.json()['uploadId']}"
    return dict(answer.json())


async def send(api: httpx.AsyncClient, upload: dict[str, Any], data: bytes, *numbers: int) -> None:
    for part in upload["parts"]:
        if not numbers or part["number"] in numbers:
            first = (part["number"] - 1) * upload["partBytes"]
            answer = await api.put(part["url"], content=data[first : first + part["size"]])
            assert answer.is_success, answer.text


async def completed(api: httpx.AsyncClient, upload: dict[str, Any]) -> httpx.Response:
    return await api.post(f"/api/uploads/{upload['uploadId']}/complete")


async def uploaded(api: httpx.AsyncClient, data: bytes, kind: str = "photo") -> str:
    """The id of a complete upload."""
    upload = await begun(api, data, kind)
    if upload["state"] == "waiting":
        await send(api, upload, data)
        answer = await completed(api, upload)
        assert (answer.status_code, answer.json()["state"]) == (200, "complete"), answer.text
    return str(upload["uploadId"])


async def lying(store: ObjectStore) -> set[str]:
    listed = await store.call("list_objects_v2", Bucket=store.bucket, Prefix=FOLDER)
    return {item["Key"] for item in listed.get("Contents", ())}


@given(st.integers(1, 1 << 42))
def test_parts_cover_a_file_of_any_size_and_are_never_too_many(size: int) -> None:
    record = UploadRecord(
        kind="clip",
        size=size,
        sha256="0" * 64,
        key="incoming/a",
        multipart="m",
        part_bytes=part_bytes(size),
        expires_at=utc_now(),
    )
    count = -(-size // record.part_bytes)
    assert count <= 10_000
    assert record.part_bytes % MIB == 0
    if count < 1000:
        parts = list(record.parts())
        assert sum(part.size for part in parts) == size
        assert [part.number for part in parts] == list(range(1, count + 1))
        assert all(part.size == record.part_bytes for part in parts[:-1])


async def test_uploaded_music_goes_into_a_video_and_into_no_training(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    music = await uploaded(api, WAV + b"music", "music")
    uploads = {"photos": [await uploaded(api, photo(seed=13))], "music": music}
    refused = await api.post("/api/train", json={"uploads": uploads, "consent": CONSENT})
    assert (refused.status_code, refused.json()["detail"]) == (422, "A training takes no music.")
    wish = {"uploads": uploads, "script": "Sing.", "consent": CONSENT}
    answer = await api.post("/api/generate", json=wish)
    assert answer.status_code == 202, answer.text
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert await store.get(request.inputs["music"][0]) == WAV + b"music"
    shown = (await api.get(f"/api/jobs/{answer.json()['jobId']}")).json()["inputs"]
    assert [one["input"] for one in shown] == ["photos", "music"]
    assert (await api.get(shown[1]["url"])).content == WAV + b"music"


async def test_uploaded_files_become_a_job_which_keeps_copies_of_its_own(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    picture = photo(seed=11)
    photos = [await uploaded(api, data) for data in (picture, photo(seed=12))]
    clip = await uploaded(api, WAV, "clip")
    names = ["first.png", ""]
    uploads = {"photos": photos, "photoNames": names, "clip": clip}
    answer = await api.post(
        "/api/train", json={"uploads": uploads, "name": "Ada", "consent": CONSENT}
    )
    assert answer.status_code == 202, answer.text
    shown = (await api.get(f"/api/jobs/{answer.json()['jobId']}")).json()["inputs"]
    assert [one["name"] for one in shown] == ["first.png", None, None]
    for upload in (*photos, clip):
        assert (await api.delete(f"/api/uploads/{upload}")).status_code == 204
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert await store.get(request.inputs["photos"][0]) == picture
    assert await store.get(request.inputs["clip"][0]) == WAV
    assert [one.media_type for one in request.inputs["clip"]] == ["audio/wav"]
    assert {one.key.partition("/")[0] for one in request.inputs["photos"]} == {"uploads"}


async def test_parts_come_in_any_order_and_twice_and_what_is_missing_is_told(
    api: httpx.AsyncClient,
) -> None:
    data = WAV + b"1"
    upload = await begun(api, data, "clip")
    assert (upload["state"], upload["duplicate"], len(upload["parts"])) == ("waiting", False, 3)
    await send(api, upload, data, 3)
    await send(api, upload, data, 1)
    await send(api, upload, data, 1)
    early = await completed(api, upload)
    assert (early.status_code, early.json()["type"]) == (409, "/problems/upload-incomplete")
    assert early.json()["missing"] == [2]
    # Whoever has lost all but the file asks again, and is told what has arrived.
    again = await begun(api, data, "clip")
    assert again["uploadId"] == upload["uploadId"]
    assert [part["done"] for part in again["parts"]] == [True, False, True]
    assert (await api.get(f"/api/uploads/{upload['uploadId']}")).json() == again
    await send(api, again, data, 2)
    for _ in range(2):
        answer = await completed(api, upload)
        assert (answer.status_code, answer.json()["state"]) == (200, "complete")
    late = await api.put(upload["parts"][0]["url"], content=data[: upload["partBytes"]])
    assert (late.status_code, late.json()["type"]) == (409, "/problems/upload-complete")


async def test_what_was_sent_before_need_not_be_sent_again(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    data = photo(seed=21)
    job = (await api.post("/api/train", files={"image": data}, data=CONSENT_FORM)).json()["jobId"]
    answer = await api.post("/api/uploads", json=draft(data))
    upload = answer.json()
    assert (answer.status_code, upload["state"], upload["duplicate"]) == (200, "complete", True)
    used = await api.post(
        "/api/train", json={"uploads": {"photos": [upload["uploadId"]]}, "consent": CONSENT}
    )
    assert used.status_code == 202
    other = photo(seed=22)
    await uploaded(api, other)
    again = await begun(api, other)
    assert (again["state"], again["duplicate"]) == ("complete", True)
    assert job != used.json()["jobId"]


async def test_the_same_content_sent_as_two_uploads_trains_once(
    api: httpx.AsyncClient, log: EventLog
) -> None:
    upload = await uploaded(api, photo(seed=23))
    answer = await api.post(
        "/api/train", json={"uploads": {"photos": [upload, upload]}, "consent": CONSENT}
    )
    request = (await log.fold(answer.json()["jobId"])).request
    assert request is not None
    assert len(request.inputs["photos"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"kind": "photo", "size": 12_000_001, "sha256": "0" * 64}, 413, "upload-too-large"),
        ({"kind": "clip", "size": 50_000_001, "sha256": "0" * 64}, 413, "upload-too-large"),
        ({"kind": "film", "size": 1, "sha256": "0" * 64}, 422, "invalid-request"),
        ({"kind": "photo", "size": 0, "sha256": "0" * 64}, 422, "invalid-request"),
        ({"kind": "photo", "size": 9, "sha256": "XYZ"}, 422, "invalid-request"),
        ({"kind": "photo", "size": 9}, 422, "invalid-request"),
        ({"kind": "photo", "size": 9, "sha256": "0" * 64, "name": "a"}, 422, "invalid-request"),
    ],
)
async def test_an_upload_that_cannot_end_well_does_not_begin(
    api: httpx.AsyncClient, body: dict[str, Any], status: int, kind: str
) -> None:
    answer = await api.post("/api/uploads", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


@pytest.mark.parametrize(
    ("announced", "sent", "kind", "problem"),
    [
        (photo(seed=31), photo(seed=31)[:-1] + b"x", "photo", "wrong-content"),
        (b"just some words" * 30, b"just some words" * 30, "photo", "not-a-picture"),
        (photo(seed=32), photo(seed=32), "clip", "not-a-recording"),
        (PHOTO[:20], PHOTO[:20], "photo", "not-a-picture"),
    ],
)
async def test_what_is_not_as_announced_is_refused_and_removed(
    api: httpx.AsyncClient,
    store: ObjectStore,
    *,
    announced: bytes,
    sent: bytes,
    kind: str,
    problem: str,
) -> None:
    before = await lying(store)
    upload = await begun(api, announced, kind)
    await send(api, upload, sent)
    answer = await completed(api, upload)
    assert (answer.status_code, answer.json()["type"]) == (422, f"/problems/{problem}")
    assert (await api.get(f"/api/uploads/{upload['uploadId']}")).status_code == 404
    assert await lying(store) == before


async def test_a_part_of_another_size_or_number_is_refused(api: httpx.AsyncClient) -> None:
    data = WAV + b"2"
    upload = await begun(api, data, "clip")
    path = f"/api/uploads/{upload['uploadId']}/parts"
    for content in (b"", data[: upload["partBytes"] - 1], data[: upload["partBytes"] + 1]):
        answer = await api.put(f"{path}/1", content=content)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/wrong-part")
    answer = await api.put(f"{path}/4", content=b"x")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-part")
    for number in ("0", "-1", "one", "10001"):
        assert (await api.put(f"{path}/{number}", content=b"x")).status_code == 422


async def test_an_upload_that_is_given_up_is_gone(
    api: httpx.AsyncClient, store: ObjectStore
) -> None:
    before = await lying(store)
    data = WAV + b"3"
    upload = await begun(api, data, "clip")
    await send(api, upload, data, 1)
    path = f"/api/uploads/{upload['uploadId']}"
    assert (await api.delete(path)).status_code == 204
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/complete")):
        answer = await api.request(method, path + more)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-such-upload")
    late = await api.put(f"{path}/parts/1", content=data[: upload["partBytes"]])
    assert late.status_code == 404
    assert await lying(store) == before
    listed = await store.call("list_multipart_uploads", Bucket=store.bucket, Prefix=FOLDER)
    assert upload["uploadId"] not in str(listed.get("Uploads"))


@pytest.mark.parametrize("upload", ["nobody", "UPPER", "a" * 65, "*"])
async def test_an_unknown_upload_is_not_found(api: httpx.AsyncClient, upload: str) -> None:
    assert (await api.get(f"/api/uploads/{upload}")).json()["type"] == "/problems/no-such-upload"


async def test_a_job_names_only_complete_uploads_of_the_right_kind(api: httpx.AsyncClient) -> None:
    waiting = await begun(api, photo(seed=41))
    clip = await uploaded(api, WAV, "clip")
    for uploads, status, kind in (
        ({"photos": [waiting["uploadId"]]}, 409, "upload-incomplete"),
        ({"photos": [clip]}, 422, "invalid-request"),
        ({"photos": ["u0"]}, 404, "no-such-upload"),
        ({"photos": [waiting["uploadId"]] * 5}, 422, "too-many-photos"),
        ({"photos": ["UP.*"]}, 422, "invalid-request"),
        ({"clip": clip}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
    ):
        answer = await api.post("/api/train", json={"uploads": uploads, "consent": CONSENT})
        assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


async def test_a_key_begins_one_upload_and_no_other(api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": make_id(utc_now(), b"0123456789")}
    first = await api.post("/api/uploads", json=draft(photo(seed=51)), headers=headers)
    again = await api.post("/api/uploads", json=draft(photo(seed=51)), headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await api.post("/api/uploads", json=draft(photo(seed=52)), headers=headers)
    assert other.json()["type"] == "/problems/idempotency-key-reused"


async def test_two_begin_and_complete_the_same_upload_at_once(api: httpx.AsyncClient) -> None:
    data = photo(seed=53)
    one, other = await asyncio.gather(begun(api, data), begun(api, data))
    assert one["uploadId"] == other["uploadId"]
    await send(api, one, data)
    answers = await asyncio.gather(*(completed(api, one) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {200}


async def test_uploads_that_nobody_used_are_swept_away_and_others_stay(
    api: httpx.AsyncClient, log: EventLog, store: ObjectStore
) -> None:
    picture = photo(seed=61)
    used = await uploaded(api, picture)
    job = (
        await api.post("/api/train", json={"uploads": {"photos": [used]}, "consent": CONSENT})
    ).json()["jobId"]
    waiting = await begun(api, WAV + b"4", "clip")
    await send(api, waiting, WAV + b"4", 1)
    assert await sweep(store, datetime.now(UTC) - timedelta(hours=1)) == 0
    assert await sweep(store, datetime.now(UTC) + timedelta(hours=1)) >= 2
    assert await lying(store) == set()
    request = (await log.fold(job)).request
    assert request is not None
    assert await store.get(request.inputs["photos"][0]) == picture


async def test_another_owner_neither_sees_nor_uses_an_upload(stack: Stack) -> None:
    data = photo(seed=71)
    with token_gateway(stack, "tenants") as url:
        ada, eve = await make_token(url, "ada"), await make_token(url, "eve")
        async with client(url, ada["token"]) as hers, client(url, eve["token"]) as other:
            upload = await uploaded(hers, data)
            assert (await other.get(f"/api/uploads/{upload}")).status_code == 404
            taken = await other.post(
                "/api/train", json={"uploads": {"photos": [upload]}, "consent": CONSENT}
            )
            assert taken.json()["type"] == "/problems/no-such-upload"
            # Knowing a hash gives nobody what another owner has.
            own = await begun(other, data)
            assert (own["state"], own["duplicate"]) == ("waiting", False)


async def test_an_owner_stores_no_more_than_the_quota(stack: Stack) -> None:
    pictures = [photo(300, 300, seed=number) for number in range(3)]
    quota = len(pictures[0]) + len(pictures[1]) + 1000
    with token_gateway(stack, "quota", QUOTA_BYTES=str(quota)) as url:
        made = await make_token(url, "quota")
        async with client(url, made["token"]) as api:
            first = await api.post("/api/train", files={"image": pictures[0]}, data=CONSENT_FORM)
            assert first.status_code == 202
            upload = await uploaded(api, pictures[1])
            refused = await api.post("/api/uploads", json=draft(pictures[2]))
            assert (refused.status_code, refused.json()["type"]) == (
                409,
                "/problems/quota-exceeded",
            )
            assert refused.json()["limit"] == quota
            files = [("image", one) for one in pictures[1:]]
            form = await api.post("/api/train", files=files, data=CONSENT_FORM)
            assert form.json()["type"] == "/problems/quota-exceeded"
            assert (await api.delete(f"/api/uploads/{upload}")).status_code == 204
            assert (await api.post("/api/uploads", json=draft(pictures[2]))).status_code == 201


def test_the_stores_cors_rules_name_the_gateways_own_pages() -> None:
    settings = Settings(
        port=8080,
        hosts=frozenset({"bot.example"}),
        origins=frozenset({"https://studio.example"}),
        limits=Limits(),
    )
    assert {"http://127.0.0.1:8080", "https://bot.example", "https://studio.example"} <= set(
        origins(settings)
    )


@pytest.fixture
def direct(stack: Stack) -> Iterator[str]:
    """A gateway whose store can be reached by browsers."""
    with another_gateway(stack, "direct", S3_PUBLIC_ENDPOINT=stack.store.endpoint) as url:
        yield url


@pytest.fixture
async def direct_api(direct: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=direct, timeout=30) as opened:
        yield opened


async def test_parts_go_straight_to_the_store_and_its_answer_may_be_read_by_the_page(
    stack: Stack, direct: str, direct_api: httpx.AsyncClient
) -> None:
    data = WAV + b"5"
    upload = await begun(direct_api, data, "clip")
    async with httpx.AsyncClient(timeout=30) as browser:
        for part in upload["parts"]:
            assert part["url"].startswith(stack.store.endpoint)
            asked = await browser.options(
                part["url"],
                headers={"Origin": direct, "Access-Control-Request-Method": "PUT"},
            )
            assert asked.headers["access-control-allow-origin"] in (direct, "*")
            first = (part["number"] - 1) * upload["partBytes"]
            sent = await browser.put(
                part["url"],
                content=data[first : first + part["size"]],
                headers={"Origin": direct},
            )
            assert sent.status_code == 200, sent.text
        forged = await browser.put(
            upload["parts"][0]["url"].replace("partNumber=1", "partNumber=2"), content=b"x"
        )
        assert forged.status_code == 403
    assert (await completed(direct_api, upload)).json()["state"] == "complete"


async def test_memory_stays_flat_while_a_long_clip_is_uploaded(stack: Stack) -> None:
    with another_gateway(stack, "long", LIMIT_CLIP_BYTES=str(2 << 30)) as url:
        process = gateway_process(int(url.rpartition(":")[2]))
        async with httpx.AsyncClient(base_url=url, timeout=120) as api:
            # What the first upload makes it hold for good does not count.
            held = max(await uploaded_silence(api, 32 * MIB, process))
            most = max(await uploaded_silence(api, 300 * MIB, process))
    assert most - held < 48 * MIB


async def uploaded_silence(api: httpx.AsyncClient, size: int, process: psutil.Process) -> list[int]:
    """Upload a recording of nothing; how much memory the gateway held after each part."""
    header = RECORDING[:44]
    digest = hashlib.sha256(header)
    for _ in range(size // MIB):
        digest.update(bytes(MIB))
    body = {"kind": "clip", "size": size + len(header), "sha256": digest.hexdigest()}
    upload = (await api.post("/api/uploads", json=body)).json()
    held = []
    for part in upload["parts"]:
        content = header if part["number"] == 1 else b""
        content += bytes(part["size"] - len(content))
        assert (await api.put(part["url"], content=content)).status_code == 204
        held.append(process.memory_info().rss)
    answer = await completed(api, upload)
    held.append(process.memory_info().rss)
    assert answer.json()["state"] == "complete", answer.text
    return held


def gateway_process(port: int) -> psutil.Process:
    """The process that listens on a port."""
    for process in psutil.Process().children(recursive=True):
        if any(one.laddr.port == port for one in process.net_connections("tcp")):
            return process
    raise LookupError(port)
