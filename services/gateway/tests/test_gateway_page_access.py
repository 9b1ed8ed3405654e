"""The page of an installation that wants to know who one is, and what one sets up there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from gateway_page import ME, choose, file
from gateway_people import client, make_token, token_gateway
from gateway_stack import Stack
from playwright.async_api import Page, expect

from tests.support.browser import needs_chromium, opened, sign_in, submit

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def url(stack: Stack) -> Iterator[str]:
    with token_gateway(stack, "page-access") as url:
        yield url


@pytest.fixture
async def page(url: str) -> AsyncIterator[Page]:
    async with opened(url) as page:
        yield page


async def test_nothing_is_shown_before_somebody_has_signed_in(page: Page, url: str) -> None:
    await page.goto("/#/jobs")
    await expect(page.get_by_role("heading", name="Sign in to MySpinBot")).to_be_visible()
    await page.get_by_label("Token").fill("msb_wrong_token")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.locator("#connection")).to_be_empty()
    made = await make_token(url, "ada", "read", "write")
    await sign_in(page, made["token"])
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert made["token"] not in await page.evaluate(stored)
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in to MySpinBot")).to_be_visible()


async def test_two_people_see_only_what_is_theirs(url: str) -> None:
    tokens = [(await make_token(url, owner))["token"] for owner in ("grace", "hedy")]
    async with opened(url) as grace, opened(url) as hedy:
        for page, token in zip((grace, hedy), tokens, strict=True):
            await page.goto("/")
            await sign_in(page, token)
        await choose(grace, [file("me.png", ME)])
        await grace.get_by_role("textbox", name="Script").fill("Only for me.")
        await grace.get_by_role("textbox", name="Name").fill("Grace herself")
        job = await submit(grace)
        await expect(grace.get_by_role("heading", name="Grace herself")).to_be_visible()
        await expect(grace.locator(".timeline [data-sequence]").first).to_be_visible()
        await hedy.goto("/#/jobs")
        await expect(hedy.locator(".empty")).to_be_visible()
        await hedy.goto(f"/#/job/{job}")
        await expect(hedy.get_by_role("alert")).to_be_visible()
        await expect(hedy.get_by_text("Grace herself")).to_have_count(0)


async def test_a_token_is_made_shown_once_and_revoked(page: Page, url: str) -> None:
    await page.goto("/#/settings")
    await sign_in(page, (await make_token(url, "lise", "read", "write"))["token"])
    await page.locator("summary", has_text="New token").click()
    card = page.locator(".card", has_text="Keys for programs")
    await card.get_by_role("textbox", name="Name").fill("my script")
    await card.get_by_role("button", name="New token").click()
    secret = await card.get_by_role("textbox", name="Token").input_value()
    async with client(url, secret) as program:
        assert (await program.get("/api/jobs")).status_code == 200
    await page.reload()
    await expect(card.get_by_text("my script")).to_be_visible()
    await expect(card.get_by_role("textbox", name="Token")).to_have_count(0)
    await card.get_by_role("button", name="Revoke: my script").click()
    await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    await expect(card.get_by_text("my script")).to_have_count(0)
    async with client(url, secret) as program:
        assert (await program.get("/api/jobs")).status_code == 401


async def test_a_revoked_visitor_is_asked_to_sign_in_again(page: Page, url: str) -> None:
    made = await make_token(url, "mary")
    await page.goto("/#/gallery")
    await sign_in(page, made["token"])
    await expect(page.get_by_role("heading", name="Gallery")).to_be_visible()
    async with client(url, made["token"]) as program:
        assert (await program.delete(f"/api/tokens/{made['tokenId']}")).status_code == 204
    await page.get_by_role("link", name="Machines").click()
    await expect(page.get_by_role("heading", name="Sign in to MySpinBot")).to_be_visible()


async def test_a_webhook_is_set_up_tried_and_taken_away(page: Page, url: str) -> None:
    await page.goto("/#/settings")
    await sign_in(page, (await make_token(url, "ruth", "read", "write"))["token"])
    await page.locator("summary", has_text="New webhook").click()
    await page.get_by_label("Address").fill("https://hooks.example.org/me")
    await page.get_by_role("button", name="New webhook").click()
    secret = page.get_by_role("textbox", name="The secret for checking signatures")
    assert (await secret.input_value()).startswith("whsec_")
    row = page.locator(".rows li", has_text="hooks.example.org")
    await expect(row).to_contain_text("a job is done")
    await row.get_by_role("button", name="Test").click()
    await expect(row).to_contain_text("A test is on its way")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    await expect(row).to_have_count(0)
