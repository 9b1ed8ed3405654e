"""The main job as somebody does it: in a browser, on the sample input, everything real.

On the way the page is reloaded, the network goes away, and the gateway dies; nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.support.browser import needs_chromium, opened, submit
from tests.support.samples import SCRIPT, sample_clip, sample_photos
from tests.support.stack import RunningStack, running_stack

pytestmark = [needs_chromium, pytest.mark.long]
_WHOLE_JOB_MS = 500_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("home")) as running:
        yield running


async def ask(page: Page) -> str:
    """Fill in the form with the sample input, at quality draft, and start."""
    await page.goto("/")
    await page.set_input_files("input[type=file] >> nth=0", sample_photos())
    await page.set_input_files("input[type=file] >> nth=1", sample_clip())
    await expect(page.locator(".photos img")).to_have_count(len(sample_photos()))
    await expect(page.locator(".clip audio")).to_have_count(1)
    await expect(page.locator(".photos .wrong")).to_have_count(0)
    await page.get_by_role("textbox", name="Script").fill(SCRIPT)
    await page.get_by_role("textbox", name="Name").fill("Robin")
    await page.locator(".quality", has_text="Draft").click()
    return await submit(page)


async def test_a_video_is_made_through_a_reload_a_cut_and_a_crash(stack: RunningStack) -> None:
    async with opened(stack.api) as page:
        job = await ask(page)
        training = page.locator(".node", has_text="Learn the face")
        await expect(training).to_have_class("node running", timeout=_WHOLE_JOB_MS)
        await page.reload()
        await expect(page.get_by_role("heading", name="Robin")).to_be_visible()
        await expect(page.locator(".stage .picture").first).to_be_visible(timeout=_WHOLE_JOB_MS)
        await expect(page.locator(".curve path.smooth")).to_be_visible(timeout=_WHOLE_JOB_MS)
        await page.context.set_offline(True)
        await expect(page.locator("#connection")).to_contain_text("Connection lost")
        await page.context.set_offline(False)
        await expect(page.locator("#connection")).to_be_empty()
        await asyncio.to_thread(stack.kill, "gateway")
        await expect(page.locator("#connection")).to_contain_text("Connection lost")
        await expect(page.locator("#connection")).to_be_empty(timeout=_WHOLE_JOB_MS)
        done = page.locator(".job-title .pill.completed")
        await expect(done).to_be_visible(timeout=_WHOLE_JOB_MS)
        await watched(page)
        await told_in_full(page, stack, job)
        await gone_through(page)


async def watched(page: Page) -> None:
    """The video plays to its end, with subtitles, a waveform and a poster."""
    video = page.locator(".player video")
    await expect(page.locator(".waveform")).to_be_visible()
    assert await video.evaluate("one => one.textTracks.length") == 1
    seconds = await video.evaluate(
        """one => new Promise((done, failed) => {
            one.onended = () => done(one.currentTime);
            one.onerror = () => failed(one.error.message);
            one.muted = true;
            one.play();
        })"""
    )
    assert seconds > 2
    broken = "all => all.filter(one => one.complete && one.naturalWidth === 0).length"
    assert await page.locator(".result img").evaluate_all(broken) == 0
    assert await page.locator(".before-after img").count() > len(sample_photos())


async def told_in_full(page: Page, stack: RunningStack, job: str) -> None:
    """The page shows every event of the log once, in its order."""
    shown = page.locator(".timeline [data-sequence]")
    events = (await asyncio.to_thread(stack.get, f"/api/jobs/{job}/timeline?limit=500"))["events"]
    await expect(shown).to_have_count(len(events))
    sequences = "all => all.map(one => Number(one.dataset.sequence))"
    assert await shown.evaluate_all(sequences) == [event["sequence"] for event in events]


async def gone_through(page: Page) -> None:
    """The slider leads back to the start, and every moment on the way can be shown."""
    slider = page.get_by_role("slider", name="Moment in the life of this job")
    await slider.press("Home")
    status = page.locator(".job-title .pill")
    await expect(status).to_have_text("Queued")
    await page.get_by_role("button", name="Back to now").click()
    await expect(status).to_have_text("Done")


async def test_the_trained_person_speaks_again_from_the_page(stack: RunningStack) -> None:
    async with opened(stack.api) as page:
        await page.goto("/#/profiles")
        await page.get_by_role("link", name="Make them speak").first.click()
        await expect(page.get_by_role("textbox", name="Script")).to_be_focused()
        await page.keyboard.type("Once more, from the same face.")
        await submit(page)
        done = page.locator(".job-title .pill.completed")
        await expect(done).to_be_visible(timeout=_WHOLE_JOB_MS)
        await page.get_by_role("link", name="Gallery").click()
        await expect(page.locator(".video-card")).to_have_count(2)

        async with httpx.AsyncClient(base_url=stack.api) as client:
            videos = (await client.get("/api/jobs?status=completed")).json()["jobs"]
        assert {one["profileId"] for one in videos} == {videos[0]["profileId"]}
