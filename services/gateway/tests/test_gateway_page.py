"""The page in a real browser, against a running gateway: made, watched, reloaded, kept."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator

import av
import httpx
import numpy as np
import pytest
from eventlog.broker import Broker
from gateway_media import PHOTO, RECORDING
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, Request, async_playwright, expect
from servicekit.objects import ObjectStore

from contracts import events as e

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
expect.set_options(timeout=60_000)


def _foreign(url: str, own: str) -> bool:
    return not url.startswith((own, own.replace("http", "ws"), "blob:", "data:"))


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(base_url=stack.url)
        page.set_default_timeout(60_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))

        def asked(sent: Request) -> None:
            if _foreign(sent.url, stack.url):
                wrong.append(sent.url)

        page.on("request", asked)
        yield page
        await browser.close()
        assert wrong == []


def video() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        for number in range(25):
            picture = np.full((128, 128, 3), number * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    return file.getvalue()


async def fill(page: Page) -> None:
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": PHOTO}
    clip = {"name": "me.wav", "mimeType": "audio/wav", "buffer": RECORDING}
    await page.set_input_files("input[type=file] >> nth=0", [photo, photo])  # type: ignore[list-item]
    await page.set_input_files("input[type=file] >> nth=1", clip)  # type: ignore[arg-type]
    await page.get_by_label("Script").fill("Hello, it is me.")
    await page.get_by_label("Name").fill("Ada")


async def test_a_video_is_asked_for_watched_and_kept(
    page: Page, broker: Broker, store: ObjectStore, api: httpx.AsyncClient
) -> None:
    await page.goto("/")
    await fill(page)
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.get_by_role("alert").filter(has_text="permission")).to_be_visible()
    await page.get_by_label("permission").check()
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.get_by_role("heading", name="Ada")).to_be_visible()
    story = Story(broker, page.url.rpartition("/")[2])
    await story.plan()
    await story.start("prepare_dataset")
    await story.progress("prepare_dataset", 0.5, message="photo 1 of 2")
    await expect(page.get_by_text("photo 1 of 2")).to_be_visible()
    await expect(page.locator(".percent")).to_have_text("12 %")
    await page.reload()
    await expect(page.get_by_text("photo 1 of 2")).to_be_visible()
    made = await store.put(f"jobs/{story.job}/video.mp4", video(), "video/mp4")
    lora = await store.put(f"jobs/{story.job}/lora.safetensors", b"w", "application/x-safetensors")
    await story.complete("prepare_dataset", {"video": (made,)})
    await story.start("train_lora")
    await story.complete("train_lora", {"lora": (lora,)}, similarity=0.91)
    await story.tell(e.JobCompleted())
    await expect(page.locator(".pill.completed")).to_be_visible()
    seconds = await page.eval_on_selector(
        "video",
        "video => video.readyState ? video.duration : new Promise(done => "
        "video.addEventListener('loadedmetadata', () => done(video.duration)))",
    )
    assert seconds == pytest.approx(1.0, abs=0.05)
    link = page.get_by_role("link", name="LoRA")
    async with page.expect_download() as downloading:
        await link.click()
    saved = await (await downloading.value).path()
    assert saved.read_bytes() == b"w"


async def test_a_failure_shows_its_cause_and_remedy_and_can_be_tried_again(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Grace")
    await page.goto(f"/#/job/{story.job}")
    await expect(page.get_by_role("heading", name="Grace")).to_be_visible()
    await story.plan()
    await story.start("prepare_dataset")
    await story.fail("prepare_dataset")
    failure = page.get_by_role("alert")
    await expect(failure).to_contain_text("photo 1 shows no face")
    await expect(failure).to_contain_text("Use a photo that shows one")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".pill.queued")).to_be_visible()
    await expect(failure).to_have_count(0)


async def test_the_page_comes_back_by_itself_when_the_gateway_does(
    page: Page, broker: Broker, api: httpx.AsyncClient, stack: Stack
) -> None:
    story = await Story.begin(broker, api)
    await page.goto(f"/#/job/{story.job}")
    await expect(page.locator(".pill.queued")).to_be_visible()
    stack.gateway.kill()
    await expect(page.locator("#connection")).to_have_text("Reconnecting …")
    await story.plan()
    await story.start("prepare_dataset")
    stack.gateway.start()
    await expect(page.locator(".pill.running")).to_be_visible()
    await expect(page.locator("#connection")).to_have_text("")


async def test_the_api_guide_shows_every_route_without_other_sites(
    page: Page, api: httpx.AsyncClient
) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    routes = sum(method in ("get", "post") for item in paths.values() for method in item)
    await page.goto("/docs")
    await expect(page.locator(".operation")).to_have_count(routes)
    await page.get_by_text("/api/train").first.click()
    await expect(page.get_by_text("photos of one person").first).to_be_visible()
