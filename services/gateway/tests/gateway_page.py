"""What tests of the page do with its form, and what they put into it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import httpx
from gateway_media import photo, recording
from playwright.async_api import Locator, Page, expect

ME = photo(480, 480, seed=1)
CLIP = recording(9)


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
    await expect(page.locator(".clip").first.locator("audio")).to_have_count(1)
    await page.get_by_role("textbox", name="Script").fill(words)
    await page.get_by_role("textbox", name="Name").fill(name)


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
