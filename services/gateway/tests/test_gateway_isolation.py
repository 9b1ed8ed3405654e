"""Two owners on one gateway: nothing of the one is there for the other, on any route."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from contracts.base import make_id
from eventlog.broker import Broker
from eventlog.log import utc_now
from gateway_belongings import UNKNOWN, belongings, upload
from gateway_media import PHOTO, photo
from gateway_people import client, make_token, token_gateway
from gateway_socket import watching
from gateway_stack import Stack
from gateway_story import Story
from servicekit.objects import ObjectStore

from tests.support.samples import CONSENT_FORM

# What a route is sent, where it needs something that is well formed.
BODIES: dict[str, dict[str, Any]] = {
    "fork": {"json": {"from": "train_lora"}},
    "link": {"json": {"expiresInS": 60}},
    "parts": {"content": b"some bytes"},
}


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    with token_gateway(stack, "shared", WEBHOOK_TARGETS="any") as address:
        yield address


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture
async def ada(url: str, tokens: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    if "ada" not in tokens:
        tokens["ada"] = (await make_token(url, "ada"))["token"]
    async with client(url, tokens["ada"]) as opened:
        yield opened


@pytest.fixture
async def bob(url: str, tokens: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    if "bob" not in tokens:
        tokens["bob"] = (await make_token(url, "bob"))["token"]
    async with client(url, tokens["bob"]) as opened:
        yield opened


def body_of(pattern: str) -> dict[str, Any]:
    return next((body for part, body in BODIES.items() if f"/{part}" in pattern), {})


def essence(answer: httpx.Response, *ids: str) -> tuple[int, str]:
    """What an answer says, but for the ids that the asker has named."""
    text = answer.text
    for named in ids:
        text = text.replace(named, "?")
    return answer.status_code, text


async def test_a_strangers_things_are_as_if_they_were_not_there(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    has = await belongings(ada, broker, store)
    document = (await ada.get("/openapi.json")).json()
    tried = 0
    for pattern, methods in document["paths"].items():
        if "{" not in pattern or not pattern.startswith("/api/"):
            continue
        for method in methods:
            more = body_of(pattern)
            path, nowhere = has.path(pattern), has.path(pattern, job=UNKNOWN)
            stranger = await bob.request(method, path, **more)
            unknown = await bob.request(method, nowhere, **more)
            where = f"{method} {pattern}"
            assert stranger.status_code == 404, f"{where}: {stranger.status_code} {stranger.text}"
            mine, nobodys = essence(stranger, *has.names), essence(unknown, UNKNOWN)
            assert mine == nobodys, where
            tried += 1
            if method == "get" and not pattern.endswith("/events"):
                # What was tried is really there.
                own = await ada.get(path)
                assert own.status_code == 200, f"{where}: {own.status_code} {own.text}"
    assert tried > 30


async def test_nothing_can_be_made_of_what_is_a_strangers(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, broker: Broker, store: ObjectStore
) -> None:
    ada_has = await belongings(ada, broker, store)
    has = ada_has.ids
    for body in (
        {"type": "generate", "script": "Hello.", "profileId": has["profile"]},
        {"type": "pipeline", "pipeline": has["pipeline"]},
        {"type": "train", "uploads": {"photos": [has["upload"]]}},
        {"type": "train", "uploads": {"photos": [], "clip": has["upload"]}},
    ):
        stranger = await bob.post("/api/jobs", json=body)
        unknown = json.loads(
            re.sub(
                "|".join(has[name] for name in ("profile", "pipeline", "upload")),
                UNKNOWN,
                json.dumps(body),
            )
        )
        nobodys = await bob.post("/api/jobs", json=unknown)
        assert stranger.status_code in (404, 422)
        assert essence(stranger, *ada_has.names) == essence(nobodys, UNKNOWN)


async def test_a_strangers_key_and_content_tell_nothing(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": make_id(utc_now(), b"0123456789")}
    one = await ada.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=key)
    two = await bob.post(
        "/api/train", files={"image": photo(seed=5)}, data=CONSENT_FORM, headers=key
    )
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json()["jobId"] != two.json()["jobId"]
    data = photo(seed=78)
    await upload(ada, data)
    body = {"kind": "photo", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    begun = (await bob.post("/api/uploads", json=body)).json()
    assert (begun["duplicate"], begun["state"]) == (False, "waiting")


async def test_lists_and_figures_are_ones_own(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, broker: Broker, store: ObjectStore, url: str
) -> None:
    has = (await belongings(ada, broker, store)).ids
    token = (await make_token(url, "carol"))["token"]
    document = (await ada.get("/openapi.json")).json()
    lists = [
        path
        for path, methods in document["paths"].items()
        if path.startswith("/api/") and "{" not in path and "get" in methods
    ]
    assert {"/api/jobs", "/api/profiles", "/api/pipelines", "/api/tokens", "/api/stats"} < set(
        lists
    )
    async with client(url, token) as carol:
        for path in lists:
            own, others = await ada.get(path), await carol.get(path)
            for name in ("job", "pipeline", "token", "webhook"):
                assert has[name] not in others.text, path
            assert own.status_code == others.status_code
        for path, member in (
            ("/api/jobs", "jobs"),
            ("/api/profiles", "profiles"),
            ("/api/webhooks", "webhooks"),
            ("/api/dead-letters", "letters"),
            ("/api/usage/daily", "days"),
            ("/api/audit", "entries"),
        ):
            assert (await ada.get(path)).json()[member], path
            assert (await carol.get(path)).json()[member] == [], path
        for path in ("/api/jobs", "/api/profiles", "/api/tokens", "/api/webhooks"):
            foreign = await carol.get(path, params={"before": has["job"]})
            nobodys = await carol.get(path, params={"before": UNKNOWN})
            assert essence(foreign) == essence(nobodys)
        usage = (await carol.get("/api/stats")).json()["usage"]
        assert (usage["jobs"], usage["storedBytes"]) == (0, 0)
    assert bob is not ada


async def test_a_socket_hears_nothing_of_strangers(
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    broker: Broker,
    url: str,
    tokens: dict[str, str],
) -> None:
    job = (await ada.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()["jobId"]
    own = (await bob.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()["jobId"]
    headers = {"Authorization": f"Bearer {tokens['bob']}"}
    async with watching(url, additional_headers=headers) as watcher:
        answers = []
        for asked in (job, UNKNOWN):
            await watcher.say({"action": "subscribe", "jobId": asked, "after": 0, "lines": True})
            answers.append(await watcher.hear())
        assert [answer["message"] for answer in answers] == ["failed", "failed"]
        assert answers[0]["detail"] == answers[1]["detail"]
        await watcher.say({"action": "subscribe", "jobs": "all"})
        await Story(broker, job).plan()
        await Story(broker, own).plan()
        heard: set[str] = set()
        while own not in heard:
            message = await watcher.hear()
            heard |= {message["jobId"]} if message.get("type") == "update" else set()
        assert job not in heard
