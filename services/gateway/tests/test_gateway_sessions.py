"""Browsers at the gateway: sessions, cookies, other sites' pages, one's own machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from gateway.access.sessions import COOKIE
from gateway.access.signing import Signer
from gateway_media import PHOTO
from gateway_people import ADMIN_TOKEN, SECRET, client, make_token, token_gateway
from gateway_socket import watching
from gateway_stack import Stack

from tests.support.samples import CONSENT_FORM


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    with token_gateway(stack, "sessions", ALLOWED_ORIGINS="https://studio.example") as address:
        yield address


async def test_the_page_signs_in_with_a_token_and_out_again(url: str) -> None:
    made = await make_token(url, "dora")
    async with client(url, Origin=url) as page:
        before = (await page.get("/api/session")).json()
        assert before == {
            "mode": "token",
            "signedIn": False,
            "owner": None,
            "scopes": [],
            "expiresAt": None,
        }
        wrong = await page.post("/api/session", json={"token": "msb_a_b"})
        assert (wrong.status_code, wrong.json()["type"]) == (401, "/problems/unauthenticated")
        answer = await page.post("/api/session", json={"token": made["token"]})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert made["token"] not in cookie
        now = (await page.get("/api/session")).json()
        assert (now["signedIn"], now["owner"], now["scopes"]) == (True, "dora", ["read", "write"])
        assert (
            await page.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        ).status_code == 202
        async with watching(
            url, additional_headers={"Cookie": f"{COOKIE}={page.cookies[COOKIE]}", "Origin": url}
        ) as watcher:
            await watcher.say({"action": "subscribe", "jobId": "nobody"})
            assert (await watcher.hear())["message"] == "failed"
        assert (await page.delete("/api/session")).status_code == 204
        assert (await page.get("/api/jobs")).status_code == 401


async def test_a_session_ends_with_its_token(url: str) -> None:
    made = await make_token(url, "dora")
    async with client(url, Origin=url) as page:
        await page.post("/api/session", json={"token": made["token"]})
        assert (await page.get("/api/jobs")).status_code == 200
        async with client(url, ADMIN_TOKEN) as admin:
            await admin.delete(f"/api/tokens/{made['tokenId']}")
        assert (await page.get("/api/jobs")).status_code == 401
        assert (await page.get("/api/session")).json()["signedIn"] is False


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
)
async def test_a_cookie_changes_nothing_for_a_page_that_is_not_ours(
    url: str, headers: dict[str, str]
) -> None:
    made = await make_token(url, "dora")
    async with client(url) as page:
        await page.post("/api/session", json={"token": made["token"]}, headers={"Origin": url})
        answer = await page.post(
            "/api/train", files={"image": PHOTO}, data=CONSENT_FORM, headers=headers
        )
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/foreign-origin")


async def test_a_forged_cookie_is_none(url: str) -> None:
    made = await make_token(url, "dora")
    async with client(url, Origin=url) as page:
        await page.post("/api/session", json={"token": made["token"]})
        value = page.cookies[COOKIE]
        body, _, signature = value.partition(".")
        other = Signer(b"another secret").sign("session", b"{}")
        link = Signer(SECRET.encode()).sign("link", body.encode())
        forgeries = (
            f"{body}.{other}",
            f"{body}.{link}",
            f"{body[:-2]}AA.{signature}",
            body,
            "",
            "é",
            ".",
        )
        for forged in forgeries:
            async with client(url) as thief:
                headers = [(b"Cookie", f"{COOKIE}={forged}".encode())]
                answer = await thief.get("/api/jobs", headers=headers)
                assert answer.status_code == 401, forged


async def test_listed_origins_may_use_the_api_and_others_may_not(url: str) -> None:
    made = await make_token(url, "ada")
    preflight = {
        "Origin": "https://studio.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    async with client(url) as browser:
        allowed = await browser.options("/api/jobs", headers=preflight)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://studio.example"
        preflight["Origin"] = "https://evil.example"
        refused = await browser.options("/api/jobs", headers=preflight)
        assert "access-control-allow-origin" not in refused.headers
    async with client(url, made["token"], Origin="https://studio.example") as studio:
        answer = await studio.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        assert answer.status_code == 202
        assert answer.headers["access-control-allow-origin"] == "https://studio.example"
        assert "Location" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


async def test_on_ones_own_machine_programs_need_nothing_and_the_page_a_session(
    stack: Stack,
) -> None:
    async with client(stack.url) as program:
        told = (await program.get("/api/session")).json()
        assert (told["mode"], told["signedIn"], told["owner"]) == ("local", True, "local")
        assert (
            await program.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        ).status_code == 202
    browser = {"Origin": stack.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    for begin in ("/", "/api/session"):
        async with client(stack.url, **browser) as page:
            refused = await page.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
            assert (refused.status_code, refused.json()["type"]) == (403, "/problems/no-session")
            assert (await page.get("/docs")).status_code == 200
            cookie = (await page.get(begin)).headers["set-cookie"]
            assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
            assert (
                await page.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
            ).status_code == 202
            assert (await page.post("/api/session", json={"token": "any"})).status_code == 200


async def test_a_local_session_is_none_where_tokens_are_wanted(url: str, stack: Stack) -> None:
    with token_gateway(stack, "once-local", ACCESS="local") as local:
        async with client(local) as page:
            await page.get("/")
            cookie = page.cookies[COOKIE]
    async with client(url, Cookie=f"{COOKIE}={cookie}") as page:
        assert (await page.get("/api/jobs")).status_code == 401


@pytest.mark.parametrize(
    "body",
    [b'{"token": "\\ud800"}', b'{"token": ""}', b'{"token": 7}', b"[]", b"{", b'{"token": "\xff"}'],
)
async def test_what_cannot_be_a_token_is_refused(url: str, body: bytes) -> None:
    async with client(url, Origin=url) as page:
        json_body = {"Content-Type": "application/json"}
        answer = await page.post("/api/session", content=body, headers=json_body)
        assert answer.status_code in (400, 401, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_page_that_stays_open_gets_a_new_session_and_other_sites_pages_none(
    stack: Stack,
) -> None:
    async with client(stack.url, Origin=stack.url) as page:
        page.cookies[COOKIE] = "of.another-process"
        refused = await page.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        assert refused.json()["type"] == "/problems/no-session"
        for foreign in ("cross-site", "same-site", "none"):
            seen = await page.get("/api/jobs", headers={"Sec-Fetch-Site": foreign})
            assert "set-cookie" not in seen.headers
        ours = {"Sec-Fetch-Site": "same-origin"}
        page.cookies.clear()
        assert "set-cookie" in (await page.get("/api/jobs", headers=ours)).headers
        assert "set-cookie" not in (await page.get("/api/jobs", headers=ours)).headers
        assert (
            await page.post("/api/train", files={"image": PHOTO}, data=CONSENT_FORM)
        ).status_code == 202


async def test_a_body_without_end_is_read_no_further_than_it_may_be(url: str) -> None:
    """Not even of strangers, who may begin a session."""

    async def for_ever() -> AsyncIterator[bytes]:
        yield b'{"token": "'
        while True:
            yield b"x" * 65_536

    json_body = {"Content-Type": "application/json"}
    async with client(url, Origin=url) as page:
        long = b'{"token": "' + b"x" * 300_000 + b'"}'
        answer = await page.post("/api/session", content=long, headers=json_body)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/upload-too-large")
        # The gateway hangs up; whether its answer is still read is the client's affair.
        with contextlib.suppress(httpx.ReadError, httpx.WriteError):
            answer = await page.post("/api/session", content=for_ever(), headers=json_body)
            assert answer.status_code == 413
        assert (await page.get("/api/session")).status_code == 200
