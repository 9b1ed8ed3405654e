"""A gateway that wants credentials: who is let in, as whom, and how far."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from gateway.access.links import Links
from gateway.access.signing import Signer
from gateway_media import PHOTO
from gateway_people import ADMIN_TOKEN, SECRET, client, make_token, token_gateway
from gateway_socket import watching
from gateway_sse import listening
from gateway_stack import Stack
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.samples import CONSENT_FORM


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    with token_gateway(stack, "token") as address:
        yield address


@pytest.fixture
async def admin(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(url, ADMIN_TOKEN) as opened:
        yield opened


@pytest.fixture
async def stranger(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(url) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/health", "/page/main.js"])
async def test_the_page_and_its_guide_are_open(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/jobs"),
        ("POST", "/api/train"),
        ("GET", "/api/nowhere"),
        ("GET", "/metrics"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/api/jobs"),
        ("GET", "/api/jobs/../tokens"),
        ("GET", "//api/jobs"),
        ("GET", "/page/../api/jobs"),
        ("GET", "/page/%2e%2e/api/jobs"),
    ],
)
async def test_everything_else_is_closed_to_strangers(
    stranger: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await stranger.request(method, path)
    assert answer.status_code in (401, 404)
    if path.startswith("/api"):
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
        assert answer.headers["www-authenticate"] == 'Bearer realm="myspinbot"'


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer msb_nobody_" + "0" * 64,
        "Bearer nonsense",
        f"Bearer {ADMIN_TOKEN}x",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
)
async def test_a_wrong_token_is_told_from_none(
    stranger: httpx.AsyncClient, authorization: str
) -> None:
    answer = await stranger.get("/api/jobs", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert authorization.removeprefix("Bearer ") not in answer.text


async def test_a_token_works_until_it_is_revoked_on_every_gateway(
    url: str, stack: Stack, admin: httpx.AsyncClient
) -> None:
    made = await make_token(url, "ada")
    assert re.fullmatch(r"msb_[a-z0-9]{26}_[0-9a-f]{64}", made["token"])
    with token_gateway(stack, "replica") as other:
        async with client(url, made["token"]) as here, client(other, made["token"]) as there:
            assert (await here.get("/api/session")).json()["owner"] == "ada"
            assert (await there.get("/api/session")).json()["owner"] == "ada"
            async with watching(
                other, additional_headers={"Authorization": f"Bearer {made['token']}"}
            ) as watcher:
                gone = await admin.delete(f"/api/tokens/{made['tokenId']}")
                assert gone.status_code == 204
                assert (await here.get("/api/jobs")).status_code == 401
                # The other gateway hears of it, and ends what the token has open there.
                with pytest.raises(ConnectionClosed) as closed:
                    await watcher.hear()
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
            assert (await there.get("/api/jobs")).status_code == 401


async def test_a_stream_of_events_ends_with_its_token(url: str, admin: httpx.AsyncClient) -> None:
    made = await make_token(url, "ada")
    async with client(url, made["token"]) as ada:
        job = (await ada.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()[
            "jobId"
        ]
    bearer = f"Bearer {made['token']}"
    async with listening(url, f"/api/jobs/{job}/events", Authorization=bearer) as stream:
        assert (await stream.next("log")).json["type"] == "JobRequested"
        await admin.delete(f"/api/tokens/{made['tokenId']}")
        # The gateway ends the stream: nothing is left to be read.
        assert "end" not in [event.name async for event in stream.events()]


async def test_what_is_kept_of_a_token_does_not_make_one(
    url: str, admin: httpx.AsyncClient, stack: Stack
) -> None:
    made = await make_token(url, "ada")
    secret = made["token"].rpartition("_")[2]
    for answer in (await admin.get("/api/tokens"), await admin.get("/metrics")):
        assert secret not in answer.text
    assert "token" not in (await admin.get("/api/tokens")).json()["tokens"][0]
    for stored in (stack.folder / "nats").rglob("*"):
        assert not stored.is_file() or secret.encode() not in stored.read_bytes()
    assert secret not in (stack.folder / "token.log").read_text()


async def test_an_expired_token_is_good_for_nothing(url: str) -> None:
    made = await make_token(url, "ada", expiresInDays=1)
    left = datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left <= timedelta(days=1)
    async with client(url, ADMIN_TOKEN) as admin:
        refused = await admin.post("/api/tokens", json={"name": "x", "expiresInDays": 0})
    assert refused.status_code == 422


async def test_scopes_reach_as_far_as_they_say(url: str, admin: httpx.AsyncClient) -> None:
    reader = (await make_token(url, "ada", "read"))["token"]
    writer = (await make_token(url, "ada", "write"))["token"]
    async with client(url, reader) as reads, client(url, writer) as writes:
        assert (await reads.get("/api/jobs")).status_code == 200
        refused = await reads.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        assert 'scope="write"' in refused.headers["www-authenticate"]
        assert refused.json()["needed"] == "write"
        assert (await writes.get("/api/jobs")).status_code == 200
        assert (
            await writes.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        ).status_code == 202
        assert (await writes.get("/metrics")).status_code == 403
    assert (await admin.get("/metrics")).status_code == 200


async def test_nobody_makes_a_token_that_reaches_further_than_their_own(url: str) -> None:
    token = (await make_token(url, "ada", "read", "write", expiresInDays=2))["token"]
    async with client(url, token) as ada:
        for body in (
            {"name": "x", "owner": "bob"},
            {"name": "x", "scopes": ["admin"]},
            {"name": "x", "scopes": ["read", "admin"], "owner": "ada"},
        ):
            refused = await ada.post("/api/tokens", json=body)
            assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
        own = await ada.post("/api/tokens", json={"name": "x", "expiresInDays": 300})
        assert own.status_code == 201
        left = datetime.fromisoformat(own.json()["expiresAt"]) - datetime.now(UTC)
        assert left <= timedelta(days=2)
        assert own.json()["owner"] == "ada"
        assert own.json()["scopes"] == ["read", "write"]


async def test_one_sees_and_revokes_ones_own_tokens_and_an_administrator_everybodys(
    url: str, admin: httpx.AsyncClient
) -> None:
    of_eve, of_bob = await make_token(url, "eve"), await make_token(url, "bob")
    async with client(url, of_eve["token"]) as eve:
        listed = (await eve.get("/api/tokens")).json()
        assert [one["tokenId"] for one in listed["tokens"]] == [of_eve["tokenId"]]
        for unknown in (of_bob["tokenId"], "nobody", "a.b", "*"):
            refused = await eve.delete(f"/api/tokens/{unknown}")
            assert (refused.status_code, refused.json()["type"]) == (404, "/problems/no-such-token")
        paged = (await admin.get("/api/tokens", params={"limit": 1})).json()
        assert paged["tokens"][0]["tokenId"] == of_bob["tokenId"]
        rest = (await admin.get("/api/tokens", params={"before": paged["next"]})).json()
        assert rest["tokens"][0]["tokenId"] == of_eve["tokenId"]
        assert (await admin.get("/api/tokens", params={"before": "none"})).status_code == 422
        assert (await eve.delete(f"/api/tokens/{of_eve['tokenId']}")).status_code == 204
        assert (await eve.get("/api/jobs")).status_code == 401


async def test_a_repeated_request_makes_one_token_and_voids_the_secret_told_before(
    url: str, admin: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"name": "a program", "owner": "carol"}
    first = (await admin.post("/api/tokens", json=body, headers=key)).json()
    again = (await admin.post("/api/tokens", json=body, headers=key)).json()
    assert first["tokenId"] == again["tokenId"]
    async with client(url, first["token"]) as void, client(url, again["token"]) as good:
        assert (await void.get("/api/jobs")).status_code == 401
        assert (await good.get("/api/jobs")).status_code == 200
    other = await admin.post("/api/tokens", json=body | {"name": "another"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_socket_is_opened_by_token_without_it_being_in_the_address(url: str) -> None:
    made = await make_token(url, "ada")
    protocols = ["myspinbot", f"bearer.{made['token']}"]
    async with watching(url, subprotocols=protocols) as watcher:
        assert watcher._connection.subprotocol == "myspinbot"
        await watcher.say({"action": "subscribe", "jobId": "nobody"})
        assert (await watcher.hear())["message"] == "failed"
    for options in ({}, {"subprotocols": ["bearer.msb_a_b"]}):
        with pytest.raises(InvalidStatus) as refused:
            async with watching(url, **options):
                pass
        assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus):
        async with watching(f"{url}?token={made['token']}"):
            pass


async def test_a_signed_link_opens_one_path_for_reading_until_it_ends(
    url: str, stranger: httpx.AsyncClient
) -> None:
    async with client(url, (await make_token(url, "ada"))["token"]) as ada:
        job = (await ada.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)).json()[
            "jobId"
        ]
    links = Links(Signer(SECRET.encode()))
    path, soon = f"/api/jobs/{job}", datetime.now(UTC) + timedelta(minutes=1)
    link = links.sign(path, "ada", soon)
    assert (await stranger.get(link)).status_code == 200
    assert (await stranger.head(link)).status_code != 403
    assert (await stranger.post(link.replace(job, f"{job}/cancel"))).status_code == 401
    of_another = await stranger.get(links.sign(path, "bob", soon))
    assert (of_another.status_code, of_another.json()["type"]) == (404, "/problems/no-such-job")
    query = link.partition("?")[2]
    for wrong in (
        f"/api/jobs?{query}",
        f"{path}/timeline?{query}",
        link.replace("ada.", "bob."),
        link.replace("expires=", "expires=9"),
        link.replace("expires=", "expires=-"),
        f"{path}?signature=",
        links.sign(path, "ada", datetime.now(UTC) - timedelta(seconds=1)),
        Links(Signer(b"another secret")).sign(path, "ada", soon),
    ):
        answer = await stranger.get(wrong)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/link-expired")


async def test_who_asks_too_much_waits_and_others_do_not(stack: Stack) -> None:
    rates = {
        "RATE_REQUESTS_PER_MINUTE": "20",
        "RATE_JOBS_PER_HOUR": "2",
        "RATE_FAILURES_PER_MINUTE": "3",
    }
    with token_gateway(stack, "rated", **rates) as url:
        ada, bob = await make_token(url, "ada"), await make_token(url, "bob")
        async with client(url, ada["token"]) as one, client(url, bob["token"]) as two:
            jobs = [
                await one.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
                for _ in range(3)
            ]
            assert [answer.status_code for answer in jobs] == [202, 202, 429]
            assert jobs[2].json()["type"] == "/problems/rate-limited"
            assert 0 < int(jobs[2].headers["retry-after"]) <= 1800
            assert (
                await two.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
            ).status_code == 202
            asked = await asyncio.gather(*(one.get("/api/session") for _ in range(20)))
            assert {answer.status_code for answer in asked} == {200, 429}
            assert (await two.get("/api/jobs")).status_code == 200
        async with client(url, "nonsense") as guesser:
            tried = [(await guesser.get("/api/jobs")).status_code for _ in range(4)]
            assert tried == [401, 401, 401, 429]
            signing = await guesser.post("/api/session", json={"token": "nonsense"})
            assert signing.status_code == 429
        async with client(url, bob["token"]) as two:
            assert (await two.get("/api/jobs")).status_code == 200


async def test_a_gateway_that_lacks_secrets_says_so_and_works(url: str, stack: Stack) -> None:
    made = await make_token(url, "ada")
    with token_gateway(stack, "bare", ADMIN_TOKEN="", SECRET="") as bare:
        async with client(bare, made["token"]) as ada, client(bare) as stranger:
            assert (await ada.get("/api/jobs")).status_code == 200
            assert (await stranger.get("/api/jobs")).status_code == 401
    for log, count in (("bare.log", 1), ("token.log", 0)):
        text = (stack.folder / log).read_text()
        assert text.count("access.no_administrator") == count
        assert text.count("access.secret_unset") == count
