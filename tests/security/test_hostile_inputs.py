"""Every hostile input of the corpus at the real gateway: refused with a reason, or harmless."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gateway_media import PHOTO
from gateway_socket import watching
from gateway_stack import Stack
from websockets.exceptions import ConnectionClosed

from tests.security import corpus
from tests.security.corpus.inputs import Failed, Hostile, Place, Refused
from tests.security.judging import MOST_BYTES, Cost, assert_cheap, assert_problem, costing
from tests.support.samples import CONSENT_FORM

ROOT = Path(__file__).parents[2]
FILES = (Place.PHOTO, Place.CLIP, Place.MUSIC)
CORPUS = corpus.every()


def at(*places: Place) -> pytest.MarkDecorator:
    """The inputs that are put in at these places."""
    chosen = [each for each in CORPUS if each.place in places]
    return pytest.mark.parametrize("hostile", chosen, ids=[each.name for each in chosen])


def test_the_corpus_is_large_and_says_what_it_tries() -> None:
    assert len(CORPUS) >= 60
    assert {each.place for each in CORPUS} == set(Place)
    assert all(each.tries.strip() for each in CORPUS)
    for page in ("README.md", "docs/security.md"):
        assert f"{len(CORPUS)} hostile inputs" in (ROOT / page).read_text(), page


@contextlib.asynccontextmanager
async def unharmed(stack: Stack, api: httpx.AsyncClient) -> AsyncIterator[Cost]:
    """The gateway takes little for what happens here, lives on, and tells of no defect."""
    assert stack.gateway.process is not None
    said = stack.gateway.log.stat().st_size
    with costing(stack.gateway.process.pid) as cost:
        yield cost
    assert (await api.get("/health")).status_code == 200
    assert stack.gateway.process.poll() is None
    with stack.gateway.log.open() as log:
        log.seek(said)
        told = log.read()
    assert "Traceback" not in told, told[-2000:]
    assert '"level": "error"' not in told, told[-2000:]


def form_with(place: Place, content: bytes) -> dict[str, Any]:
    """A request for a video, of which one file is hostile."""
    files = {"image": ("a.png", PHOTO, "image/png")}
    name = {Place.PHOTO: "image", Place.CLIP: "voice", Place.MUSIC: "music"}[place]
    # What it says to be is believed by nobody.
    files[name] = ("a.png", content, "image/png")
    return {"files": files, "data": {**CONSENT_FORM, "script": "Hello."}}


async def look_at(api: httpx.AsyncClient, job: str) -> None:
    """The photo is shown small, or it is said why not."""
    small = await api.get(f"/api/jobs/{job}/inputs/photos/0/thumbnail")
    if small.is_success:
        assert small.content[:4] == b"RIFF"
        assert len(small.content) < 1 << 20
    else:
        assert_problem(small, 404, "no-thumbnail")


@at(*FILES)
async def test_a_file_is_refused_at_the_door_or_kept_as_it_is(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    content = hostile.make()
    async with unharmed(attacked, api) as cost:
        answer = await api.post("/api/generate", **form_with(hostile.place, content))
        if answer.status_code == 202 and hostile.place is Place.PHOTO:
            await look_at(api, answer.json()["jobId"])
    assert_cheap(cost)
    if isinstance(hostile.expected, Refused):
        assert_problem(answer, hostile.expected.status, hostile.expected.problem)
    elif not content and hostile.place is Place.PHOTO:
        assert_problem(answer, 422, "invalid-request")
    else:
        assert answer.status_code == 202, answer.text


@at(Place.NAME)
async def test_a_name_is_only_ever_shown_and_shows_what_it_is(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    async with unharmed(attacked, api) as cost:
        # By hand, as clients would escape what no honest one sends.
        quoted = hostile.make().replace("\\", "\\\\").replace('"', '\\"').encode()
        body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="' + quoted
        body += b'"\r\n\r\n' + PHOTO + b"\r\n--b\r\n"
        body += b'Content-Disposition: form-data; name="consent"\r\n\r\n'
        body += CONSENT_FORM["consent"].encode() + b"\r\n--b--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await api.post("/api/train", content=body, headers=headers)
    assert_cheap(cost)
    if isinstance(hostile.expected, Refused):
        assert_problem(answer, hostile.expected.status, hostile.expected.problem)
        return
    assert answer.status_code == 202, answer.text
    shown = (await api.get(f"/api/jobs/{answer.json()['jobId']}")).json()["inputs"][0]
    name = shown["name"] or ""
    assert name.isprintable()
    assert not {"/", "\\"} & set(name)
    assert len(name) <= 255
    fetched = await api.get(shown["url"], params={"download": "1"})
    assert fetched.content == PHOTO
    assert "set-cookie" not in fetched.headers
    assert fetched.headers["x-content-type-options"] == "nosniff"


@at(Place.REQUEST)
async def test_a_request_is_refused_with_a_reason(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    sent = hostile.make()
    async with unharmed(attacked, api) as cost:
        request = api.build_request(
            sent.method, sent.path, content=sent.content, headers=list(sent.headers)
        )
        answer = await api.send(request)
    assert_cheap(cost)
    if isinstance(hostile.expected, Refused):
        expected = hostile.expected
        assert_problem(answer, expected.status, expected.problem, expected.about)
    else:
        assert answer.status_code < 500
        assert len(answer.content) < 4 << 20


@at(Place.WIRE)
async def test_bytes_that_are_no_request_of_ours_end_the_connection(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    where = urlsplit(attacked.url)
    async with unharmed(attacked, api) as cost:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        with contextlib.suppress(ConnectionError):
            writer.write(hostile.make())
            await writer.drain()
        answer = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(60):
                answer = await reader.read()
        writer.close()
    assert_cheap(cost)
    assert b"set-cookie" not in answer.lower()
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.1 200"))


@at(Place.SOCKET)
async def test_a_socket_answers_or_closes_and_keeps_nobody_waiting(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    async with unharmed(attacked, api) as cost, watching(attacked.url) as honest:
        with contextlib.suppress(ConnectionClosed):
            async with watching(attacked.url) as attacker:
                for message in hostile.make():
                    await attacker.say(message)
                assert (await attacker.hear())["message"] == "failed"
        await honest.say({"action": "ping"})
        assert await honest.hear() == {"type": "pong"}
    assert cost.peak_bytes <= MOST_BYTES


@at(Place.TARGET)
async def test_no_webhook_leads_into_our_network(
    hostile: Hostile, attacked: Stack, api: httpx.AsyncClient
) -> None:
    async with unharmed(attacked, api):
        body = {"url": hostile.make(), "events": ["job.deleted"]}
        answer = await api.post("/api/webhooks", json=body)
        if isinstance(hostile.expected, Refused):
            assert_problem(answer, hostile.expected.status, hostile.expected.problem)
            return
        assert answer.status_code == 201, answer.text
        hook = f"/api/webhooks/{answer.json()['webhookId']}"
        assert (await api.post(f"{hook}/test")).status_code == 202
        told: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while not told.get("lastError"):
                await asyncio.sleep(0.05)
                [told] = (await api.get(f"{hook}/deliveries")).json()["deliveries"]
        assert isinstance(hostile.expected, Failed)
        assert told["lastError"] in hostile.expected.codes
        await api.delete(hook)
