"""The page in a real browser: opened, filled in, and held to what it must never do."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from gateway_media import photo, recording
from playwright.async_api import BrowserContext, Locator, Page, Request, async_playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
FAKE_DEVICES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
ME = photo(480, 480, seed=1)
CLIP = recording(9)
expect.set_options(timeout=30_000)


@contextlib.asynccontextmanager
async def opened(url: str, args: Sequence[str] = (), **context: Any) -> AsyncIterator[Page]:
    """A page that fails the test if its script fails or it asks any other site for anything."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", *args],
        )
        own = await browser.new_context(base_url=url, **({"locale": "en-GB"} | context))
        page = await own.new_page()
        page.set_default_timeout(30_000)
        wrong = watched(own, url)
        yield page
        await browser.close()
        assert wrong == []


def watched(context: BrowserContext, url: str) -> list[str]:
    """A list that fills with what must not happen in the pages of a context."""
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))

    def asked(sent: Request) -> None:
        if not sent.url.startswith((url, url.replace("http", "ws"), "blob:", "data:")):
            wrong.append(sent.url)

    context.on("request", asked)
    return wrong


def file(name: str, content: bytes, media_type: str = "image/png") -> Any:
    """A file as `set_input_files` takes it."""
    return {"name": name, "mimeType": media_type, "buffer": content}


async def choose(page: Page, photos: Sequence[Any] = (), clip: Any = None) -> None:
    """Put files where a user would drop them."""
    if photos:
        await page.set_input_files("input[type=file] >> nth=0", list(photos))
    if clip:
        await page.set_input_files("input[type=file] >> nth=1", clip)


async def fill(page: Page, name: str = "Ada", words: str = "Hello, it is me.") -> None:
    """Everything that a video needs, except consent."""
    await choose(page, [file("me.png", ME)], file("me.wav", CLIP, "audio/wav"))
    await expect(page.locator(".clip audio")).to_have_count(1)
    await page.get_by_role("textbox", name="Script").fill(words)
    await page.get_by_role("textbox", name="Name").fill(name)


async def submit(page: Page) -> str:
    """Consent and start; returns the id of the job that is shown then."""
    await page.get_by_label("permission").check()
    await page.get_by_role("button", name="Make the video").click()
    await page.wait_for_url("**/#/job/*")
    return page.url.rpartition("/")[2]


async def tab_to(page: Page, target: Locator, most: int = 60) -> None:
    """Reach an element with the Tab key alone."""
    for _ in range(most):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with {most} presses of Tab")


async def trained(api: httpx.AsyncClient, profile: str) -> None:
    """Return when lists show a profile as ready; they follow the log a moment later."""
    async with asyncio.timeout(30):
        while True:
            listed = (await api.get("/api/profiles")).json()["profiles"]
            if any(one["ready"] for one in listed if one["profileId"] == profile):
                return
            await asyncio.sleep(0.05)


def video() -> bytes:
    """One second of a grey that grows lighter, as MP4."""
    import av
    import numpy as np

    made = io.BytesIO()
    with av.open(made, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        for number in range(25):
            picture = np.full((128, 128, 3), number * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return made.getvalue()
