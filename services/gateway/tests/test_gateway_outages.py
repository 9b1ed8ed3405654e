"""The object store goes away, or stands still, under a running gateway; and clients stand still."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from eventlog.broker import Broker
from gateway.artifacts.slots import Slots
from gateway.problems import Problem, ProblemKind
from gateway_media import PHOTO
from gateway_stack import Stack
from gateway_story import Story
from servicekit.objects import ObjectStore

from tests.support.samples import CONSENT_FORM

SOON_S = 30.0


async def jobs_named(api: httpx.AsyncClient, name: str, count: int) -> list[str]:
    found = []
    for _ in range(count):
        answer = await api.post(
            "/api/train", files={"image": PHOTO}, data={**CONSENT_FORM, "name": name}
        )
        found.append(answer.json()["jobId"])
    return found


@contextlib.contextmanager
def away(stack: Stack) -> Iterator[None]:
    stack.objects.kill()
    try:
        yield
    finally:
        stack.objects.start()


@contextlib.contextmanager
def standing_still(stack: Stack) -> Iterator[None]:
    stack.objects.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stack.objects.signal(signal.SIGCONT)


async def until_well(api: httpx.AsyncClient, path: str) -> httpx.Response:
    deadline = time.monotonic() + SOON_S
    while True:
        answer = await api.get(path)
        if answer.status_code == 200 or time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.2)


async def until_files_are_taken(api: httpx.AsyncClient) -> None:
    """A store that has just come back gives what it has before it takes anything new."""
    deadline = time.monotonic() + SOON_S
    while (
        await api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
    ).status_code != 202:
        assert time.monotonic() < deadline, "the store takes nothing any more"
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("outage", [away, standing_still])
async def test_without_the_store_everything_is_answered_soon_and_works_again_after(
    stack: Stack, api: httpx.AsyncClient, outage: type[contextlib.AbstractContextManager[None]]
) -> None:
    name = f"outage {outage.__name__}"
    [job] = await jobs_named(api, name, 1)
    photo = f"/api/jobs/{job}/inputs/photos/0"
    # Of the same content there may be one already, but none of this size.
    size = 90 + len(outage.__name__)
    digest = hashlib.sha256(name.encode()).hexdigest()
    begun = time.monotonic()
    with outage(stack):
        answers = await asyncio.gather(
            api.get(photo),
            api.get(photo, headers={"Range": "bytes=0-9"}),
            api.get(f"{photo}/thumbnail?size={size}"),
            api.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM),
            api.post("/api/uploads", json={"kind": "photo", "size": 9, "sha256": digest}),
        )
        shown = await asyncio.gather(
            api.get(f"/api/jobs/{job}"), api.get("/api/jobs?limit=1"), api.get("/api/stats")
        )
    assert time.monotonic() - begun < SOON_S
    for answer in answers:
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert int(answer.headers["retry-after"]) > 0
    # What the log knows is shown all the same, without what was written.
    assert [answer.status_code for answer in shown] == [200, 200, 200]
    assert shown[0].json()["name"] is None
    assert shown[1].json()["jobs"][0]["name"] is None
    assert (await until_well(api, photo)).content == PHOTO
    deadline = time.monotonic() + SOON_S
    while (await api.get("/api/jobs?limit=1")).json()["jobs"][0]["name"] != name:
        assert time.monotonic() < deadline, "the list never learns the name again"
        await asyncio.sleep(0.2)
    assert (await until_well(api, f"{photo}/thumbnail?size={size}")).status_code == 200
    await until_files_are_taken(api)


async def test_a_download_that_breaks_off_does_not_look_whole(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    url = await a_video(api, broker, store)
    async with api.stream("GET", url) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.TransportError), away(stack):
            async for _ in answer.aiter_bytes():
                pass
    await until_files_are_taken(api)


async def test_clients_that_read_nothing_keep_nobody_from_the_store(
    stack: Stack, api: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    url = await a_video(api, broker, store)
    with contextlib.ExitStack() as stalled:
        for _ in range(20):
            stalled.enter_context(asking(stack, url))
        deadline = time.monotonic() + SOON_S
        while (refused := await api.get(url, headers={"Range": "bytes=0-9"})).status_code < 400:
            assert time.monotonic() < deadline, "nobody is refused"
            await asyncio.sleep(0.05)
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/busy")
        assert int(refused.headers["retry-after"]) > 0
        [job] = await jobs_named(api, "meanwhile", 1)
        shown = await api.get(f"/api/jobs/{job}/inputs/photos/0/thumbnail")
        assert shown.status_code == 200
    assert (await until_well(api, url)).status_code == 200


async def test_places_are_for_each_owner_and_come_back() -> None:
    slots = Slots(3, 2, patience_s=0.01)
    async with slots.one("a"), slots.one("a"):
        with pytest.raises(Problem) as refused:
            async with slots.one("a"):
                pass
        assert refused.value.kind is ProblemKind.BUSY
        async with slots.one("b"):
            with pytest.raises(Problem):
                async with slots.one("c"):
                    pass
        async with slots.one("c"):
            pass
    async with slots.one("a"), slots.one("a"):
        pass


async def a_video(api: httpx.AsyncClient, broker: Broker, store: ObjectStore) -> str:
    """Where a video lies that no buffer of a connection holds."""
    story = await Story.begin(broker, api)
    artifact = await store.put(f"jobs/{story.job}/video.mp4", bytes(40_000_000), "video/mp4")
    sequence = await story.finish(video=(artifact,))
    while True:
        view = (await api.get(f"/api/jobs/{story.job}")).json()
        if view["sequence"] >= sequence:
            [video] = [one for one in view["artifacts"] if one["output"] == "video"]
            return str(video["url"])


@contextlib.contextmanager
def asking(stack: Stack, url: str) -> Iterator[None]:
    """A client that asks for something and reads no answer."""
    host, port = str(urlsplit(stack.url).hostname), int(urlsplit(stack.url).port or 0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((host, port))
        client.sendall(f"GET {url} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield
