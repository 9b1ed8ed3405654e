"""A real browser on a running page, held to what a page must never do."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
FAKE_DEVICES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
expect.set_options(timeout=30_000)


@contextlib.asynccontextmanager
async def opened(
    url: str, args: Sequence[str] = (), also: str | None = None, **context: Any
) -> AsyncIterator[Page]:
    """A page that fails the test if its script fails or breaks the page's own policy.

    It may ask no site but its own for anything, except one at `also`.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", *args],
        )
        own = await browser.new_context(base_url=url, **({"locale": "en-GB"} | context))
        page = await own.new_page()
        page.set_default_timeout(30_000)
        wrong = watched(own, (url, also or url))
        yield page
        await browser.close()
        assert wrong == []


def watched(context: BrowserContext, sites: Sequence[str]) -> list[str]:
    """A list that fills with what must not happen in the pages of a context."""
    wrong: list[str] = []
    known = (*sites, *(site.replace("http", "ws") for site in sites), "blob:", "data:")
    context.on("weberror", lambda error: wrong.append(str(error.error)))

    def said(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    def asked(sent: Request) -> None:
        if not sent.url.startswith(known):
            wrong.append(sent.url)

    context.on("request", asked)
    context.on("console", said)
    return wrong


async def sign_in(page: Page, token: str) -> None:
    """Enter a token where the page asks for one."""
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_label("Token")).to_have_count(0)


async def agree(page: Page) -> None:
    """Say whose face and voice it is, and what for."""
    await page.get_by_role("radio", name="I am this person").check()
    await page.get_by_label("What for").fill("a test")


async def submit(page: Page) -> str:
    """Consent, if that is asked for, and start; returns the id of the job that is shown then."""
    if await page.get_by_label("What for").is_visible():
        await agree(page)
    await page.get_by_role("button", name="Make the video").click()
    await page.wait_for_url("**/#/job/*")
    return page.url.rpartition("/")[2]
