"""Takes the pictures of the documentation from a real job in a real browser.

`python -m tests.browser.pictures --api http://127.0.0.1:8080 JOB` writes
`docs/images/time-travel.png`: a job that is completed, at an earlier moment beside its end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
from pathlib import Path

import httpx
from PIL import Image, ImageDraw
from playwright.async_api import Page, async_playwright

from tests.support.browser import CHROMIUM

_IMAGES = Path(__file__).parents[2] / "docs" / "images"
_SIZE = {"width": 1120, "height": 1010}
_WIDTH = 1000
"""Of each of the two, in the picture."""
_GAP = 40


def earlier(api: str, job: str) -> int:
    """The sequence of the event in the middle of the job's training."""
    events = httpx.get(f"{api}/api/jobs/{job}/timeline?limit=1000").json()["events"]
    shown = [
        event["sequence"]
        for event in events
        if event["type"] in ("StageSampled", "StageCheckpointed")
    ]
    return int(shown[len(shown) // 2])


async def taken(page: Page, route: str) -> Image.Image:
    """The upper part of a job's page, once all that it shows is there."""
    await page.goto("about:blank")
    await page.goto(route)
    await page.locator(".graph .node").first.wait_for()
    await page.locator(".job-title .pill").wait_for()
    if "at=" in route:
        await page.get_by_role("button", name="Back to now").wait_for()
    await page.wait_for_load_state("networkidle")
    # A player that has what it wants shows no sign of loading.
    await page.wait_for_function(
        "() => [...document.querySelectorAll('video')].every(one => one.networkState === 1)"
    )
    picture = await page.screenshot()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Pictures of equal size beside each other, on white and with a frame."""
    fitted = [
        one.resize((_WIDTH, one.height * _WIDTH // one.width), Image.Resampling.LANCZOS)
        for one in pictures
    ]
    whole = Image.new(
        "RGB", (len(fitted) * (_WIDTH + _GAP) - _GAP + 2, fitted[0].height + 2), "white"
    )
    for place, one in enumerate(fitted):
        left = place * (_WIDTH + _GAP) + 1
        whole.paste(one, (left, 1))
        edge = (left - 1, 0, left + _WIDTH, one.height + 1)
        ImageDraw.Draw(whole).rectangle(edge, outline="#c9c5d4")
    return whole


async def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8080")
    parser.add_argument("job")
    given = parser.parse_args()
    moment = earlier(given.api, given.job)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        context = await browser.new_context(
            base_url=given.api, viewport=_SIZE, locale="en-GB", device_scale_factor=1.5
        )
        page = await context.new_page()
        route = f"/#/job/{given.job}"
        pictures = [await taken(page, f"{route}?at={moment}"), await taken(page, route)]
        await browser.close()
    picture = beside(pictures).quantize(256, dither=Image.Dither.NONE)
    picture.save(_IMAGES / "time-travel.png", optimize=True)


if __name__ == "__main__":
    asyncio.run(main())
