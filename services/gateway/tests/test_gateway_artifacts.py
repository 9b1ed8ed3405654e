"""What jobs were given, showed and made: downloads, thumbnails, signed links."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
import zlib
from typing import Any

import httpx
import pytest
from contracts.artifacts import Artifact
from eventlog.broker import Broker
from gateway.artifacts.shrinking import ShrinkError, shrunk
from gateway_media import PHOTO, RECORDING, photo
from gateway_people import client, make_token, token_gateway
from gateway_stack import Stack
from gateway_story import Story
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.samples import CONSENT_FORM

FACE = photo(640, 480, "JPEG", seed=5)


class Shown:
    """A job with an object of every kind."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.photo = f"/api/jobs/{job}/inputs/photos/0"
        self.clip = f"/api/jobs/{job}/inputs/clip/0"
        self.face = f"/api/jobs/{job}/artifacts/train_lora/portrait/0"
        self.video = f"/api/jobs/{job}/artifacts/train_lora/video/0"
        self.sample = f"/api/jobs/{job}/samples/train_lora/1-3-0"


@pytest.fixture
async def shown(api: httpx.AsyncClient, broker: Broker, store: ObjectStore) -> Shown:
    answer = await api.post(
        "/api/train", files={"image": PHOTO, "voice": RECORDING}, data=CONSENT_FORM
    )
    story = Story(broker, answer.json()["jobId"])
    face = await store.put(f"jobs/{story.job}/face", FACE, "image/jpeg")
    video = await store.put(f"jobs/{story.job}/video.mp4", bytes(9000), "video/mp4")
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    await story.tell(
        e.StageSampled(stage="train_lora", attempt=1, step=3, caption="step 3", artifact=face)
    )
    await story.complete("train_lora", {"portrait": (face,), "video": (video,)})
    await seen(api, story.job, await story.tell(e.JobCompleted()))
    return Shown(story.job)


async def seen(api: httpx.AsyncClient, job: str, sequence: int) -> dict[str, Any]:
    while True:
        view = (await api.get(f"/api/jobs/{job}")).json()
        if view["sequence"] >= sequence:
            return dict(view)


async def test_what_a_job_was_given_and_showed_is_downloaded_like_what_it_made(
    api: httpx.AsyncClient, shown: Shown
) -> None:
    for url, data, media_type, name in (
        (shown.photo, PHOTO, "image/png", f"photos-1-{shown.job[-8:]}.png"),
        (shown.clip, RECORDING, "audio/wav", f"clip-1-{shown.job[-8:]}.wav"),
        (shown.sample, FACE, "image/jpeg", f"train_lora-1-3-0-{shown.job[-8:]}.jpg"),
    ):
        answer = await api.get(url)
        assert (answer.content, answer.headers["content-type"]) == (data, media_type)
        assert answer.headers["content-disposition"] == f'inline; filename="{name}"'
        part = await api.get(url, headers={"Range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, data[2:6])
        head = await api.head(url)
        assert (head.headers["content-length"], head.content) == (str(len(data)), b"")
        again = await api.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_a_view_and_a_list_lead_to_every_object(api: httpx.AsyncClient, shown: Shown) -> None:
    view = (await api.get(f"/api/jobs/{shown.job}")).json()
    urls = [one["url"] for one in (*view["inputs"], *view["artifacts"])]
    urls += [sample["url"] for stage in view["stages"] for sample in stage["samples"]]
    assert {shown.photo, shown.clip, shown.face, shown.video, shown.sample} == set(urls)
    listed = (await api.get("/api/jobs", params={"limit": 200})).json()["jobs"]
    [item] = [one for one in listed if one["jobId"] == shown.job]
    assert (item["thumbnailUrl"], item["videoUrl"]) == (f"{shown.face}/thumbnail", shown.video)
    assert (await api.get(item["thumbnailUrl"])).status_code == 200


@pytest.mark.parametrize("kind", ["photo", "face", "sample"])
async def test_a_thumbnail_is_a_small_webp_and_not_sent_twice(
    api: httpx.AsyncClient, shown: Shown, kind: str
) -> None:
    url = f"{getattr(shown, kind)}/thumbnail"
    answer = await api.get(url, params={"size": 64})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, max(picture.size)) == ("WEBP", 64)
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await api.get(url, params={"size": 64}, headers=known)).status_code == 304
    larger = await api.get(url, headers=known)
    assert (larger.status_code, larger.headers["etag"]) != (304, answer.headers["etag"])
    answers = await asyncio.gather(*(api.get(url, params={"size": 100}) for _ in range(8)))
    assert len({one.content for one in answers}) == 1


@pytest.mark.parametrize("size", ["63", "1025", "big", "-1"])
async def test_a_thumbnail_has_a_size_within_bounds(
    api: httpx.AsyncClient, shown: Shown, size: str
) -> None:
    answer = await api.get(f"{shown.face}/thumbnail", params={"size": size})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")


async def test_what_is_no_picture_has_no_thumbnail(api: httpx.AsyncClient, shown: Shown) -> None:
    for url in (shown.video, shown.clip):
        answer = await api.get(f"{url}/thumbnail")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/no-thumbnail")


async def test_what_is_not_there_is_not_found_and_what_was_erased_is_gone(
    api: httpx.AsyncClient, shown: Shown, store: ObjectStore
) -> None:
    wrong = [f"{url[:-1]}7" for url in (shown.photo, shown.clip, shown.face, shown.sample)]
    wrong += [f"/api/jobs/{shown.job}/inputs/name/0", f"/api/jobs/{shown.job}/samples/dance/1-1-0"]
    for url in wrong:
        for more in ("", "/thumbnail"):
            answer = await api.get(url + more)
            assert (answer.status_code, answer.json()["type"]) == (
                404,
                "/problems/no-such-artifact",
            ), url
        assert (await api.post(f"{url}/link", json={})).status_code == 404
    await store.delete(f"jobs/{shown.job}/face")
    for url in (shown.face, f"{shown.face}/thumbnail?size=77"):
        answer = await api.get(url)
        assert (answer.status_code, answer.json()["type"]) == (410, "/problems/artifact-erased")


def test_a_thumbnail_is_upright_and_keeps_nothing_but_pixels() -> None:
    picture = Image.new("RGB", (200, 100), "red")
    picture.putpixel((0, 0), (0, 0, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # It was taken with the camera turned.
    exif[0x010E] = "Ada at home"
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif, icc_profile=b"profile" * 9)
    made = shrunk(file.getvalue(), 64, 1_000_000)
    assert b"Ada" not in made
    assert b"profile" not in made
    with Image.open(io.BytesIO(made)) as small:
        assert small.size == (32, 64)
        assert not small.getexif()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_pictures_of_every_mode_have_thumbnails(mode: str) -> None:
    file = io.BytesIO()
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    Image.new(mode, (300, 200)).save(file, kind)
    with Image.open(io.BytesIO(shrunk(file.getvalue(), 64, 1_000_000))) as small:
        assert small.size in ((64, 43), (64, 42))


def test_a_small_picture_is_not_made_larger() -> None:
    with Image.open(io.BytesIO(shrunk(photo(10, 20), 64, 1_000_000))) as small:
        assert small.size == (10, 20)


def test_a_bomb_is_not_decoded() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = bytearray(PHOTO)
    bomb[12:33] = header + struct.pack(">I", zlib.crc32(header))
    with pytest.raises(ShrinkError, match=r"damaged|pixels"):
        shrunk(bytes(bomb), 64, 64_000_000)


@given(st.integers(0, len(FACE)), st.binary(min_size=1, max_size=40))
def test_a_damaged_picture_is_refused_or_shown_as_far_as_it_goes(at: int, junk: bytes) -> None:
    damaged = FACE[:at] + junk + FACE[at + len(junk) :]
    # Any other error would be the gateway's own, and fail the test.
    with contextlib.suppress(ShrinkError):
        assert shrunk(damaged, 64, 1_000_000)


async def test_a_link_opens_one_thing_to_anybody_for_a_while(
    stack: Stack, broker: Broker, store: ObjectStore
) -> None:
    with token_gateway(stack, "links") as url:
        token = (await make_token(url, "ada"))["token"]
        async with client(url, token) as ada, client(url) as anybody:
            job = (await ada.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()[
                "jobId"
            ]
            path = f"/api/jobs/{job}/inputs/photos/0"
            link = await ada.post(f"{path}/link", json={"expiresInS": 60})
            assert link.status_code == 200, link.text
            opened = await anybody.get(link.json()["url"])
            assert (opened.status_code, opened.content) == (200, PHOTO)
            ranged = await anybody.get(link.json()["url"], headers={"Range": "bytes=0-3"})
            assert (ranged.status_code, ranged.content) == (206, PHOTO[:4])
            saved = await anybody.get(f"{link.json()['url']}&download=true")
            assert saved.headers["content-disposition"].startswith("attachment")
            query = link.json()["url"].partition("?")[2]
            for other in (f"/api/jobs/{job}", f"{path}/thumbnail", "/api/jobs"):
                assert (await anybody.get(f"{other}?{query}")).status_code in (401, 403)
            assert (await anybody.get(path)).status_code == 401
            assert (await anybody.post(f"{path}/link?{query}", json={})).status_code in (401, 403)
            for wrong in (9, 10**9, "soon"):
                refused = await ada.post(f"{path}/link", json={"expiresInS": wrong})
                assert refused.status_code == 422


async def test_results_and_samples_have_links_too(api: httpx.AsyncClient, shown: Shown) -> None:
    for url in (shown.video, shown.sample):
        link = await api.post(f"{url}/link", json={})
        assert link.status_code == 200, link.text
        opened, plain = await api.get(link.json()["url"]), await api.get(url)
        assert (opened.status_code, opened.content) == (200, plain.content)
        forged = await api.get(f"{link.json()['url']}x")
        assert (forged.status_code, forged.json()["type"]) == (403, "/problems/link-expired")


async def test_an_object_that_holds_nothing_is_sent_as_nothing(
    api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api)
    empty: Artifact = await store.put(f"jobs/{story.job}/empty", b"", "text/plain")
    await seen(api, story.job, await story.finish(notes=(empty,)))
    answer = await api.get(f"/api/jobs/{story.job}/artifacts/train_lora/notes/0")
    assert (answer.status_code, answer.content) == (200, b"")
