"""The form from which everything begins: checked, kept, sent, recorded, and used by keyboard."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from eventlog.broker import Broker
from gateway_media import photo, recording
from gateway_page import CLIP, ME, choose, file, fill, tab_to, trained
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import FileChooser, Page, expect
from servicekit.objects import ObjectStore

from tests.support.browser import FAKE_DEVICES, agree, needs_chromium, opened, submit

pytestmark = needs_chromium


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with opened(stack.url) as page:
        await page.goto("/")
        yield page


async def test_what_is_wrong_with_a_photo_stands_beside_it(page: Page) -> None:
    notes = file("notes.txt", b"hello", "text/plain")
    broken = file("broken.png", b"\x89PNG\r\n\x1a\nnothing")
    await choose(page, [file("me.png", ME), notes, broken, file("tiny.png", photo(30, 40))])
    rows = page.locator(".photos li")
    await expect(rows.nth(1)).to_contain_text("Not a picture")
    await expect(rows.nth(2)).to_contain_text("Cannot be read")
    await expect(rows.nth(3)).to_contain_text(re.compile("Too small: 30 . 40"))
    await expect(rows.nth(0).locator(".photo-words")).to_be_empty()
    await page.get_by_role("button", name="Remove notes.txt").click()
    await expect(rows).to_have_count(3)


async def test_the_same_photo_twice_is_recognised_by_its_content(page: Page) -> None:
    await choose(page, [file("me.png", ME), file("copy.png", ME)])
    rows = page.locator(".photos li")
    await expect(rows.nth(1)).to_contain_text("The same photo twice")
    await expect(rows.nth(0)).not_to_have_class("wrong")


async def test_photos_beyond_the_limit_and_too_large_ones_are_refused(page: Page) -> None:
    too_large = file("large.png", ME + bytes(12_000_001))
    await choose(page, [too_large, *(file(f"{n}.png", photo(seed=n)) for n in range(2, 6))])
    await expect(page.locator(".photos li").nth(0)).to_contain_text("Larger than 12 MB")
    await expect(page.get_by_role("alert").filter(has_text="At most 4 photos")).to_be_visible()
    await expect(page.locator(".photos li")).to_have_count(4)


@pytest.mark.parametrize(
    ("content", "media_type", "reason"),
    [
        (recording(1), "audio/wav", "too short: 1.0 s"),
        (b"hello", "text/plain", "not a sound recording"),
        (recording(4, amplitude=0), "audio/wav", "nothing to hear"),
    ],
)
async def test_a_clip_that_cannot_serve_is_refused_with_the_reason(
    page: Page, content: bytes, media_type: str, reason: str
) -> None:
    await choose(page, clip=file("voice", content, media_type))
    await expect(page.get_by_role("alert").filter(has_text=reason)).to_be_visible()
    await expect(page.locator(".clip audio")).to_have_count(0)


async def test_an_overdriven_clip_is_taken_with_a_warning(page: Page) -> None:
    await choose(page, clip=file("loud.wav", recording(9, amplitude=60_000), "audio/wav"))
    await expect(page.get_by_text("It is overdriven")).to_be_visible()
    await expect(page.locator(".clip audio")).to_have_count(1)


async def test_closing_the_page_loses_nothing_of_the_form(page: Page, stack: Stack) -> None:
    await fill(page, name="Emmy", words="What I wrote yesterday.")
    await page.locator(".quality", has_text="Best").click()
    await page.get_by_text("More options").click()
    await page.get_by_label("Seed").fill("7")
    await agree(page)
    await page.close()
    again = await page.context.new_page()
    await again.goto(stack.url)
    await expect(again.locator(".photos img")).to_have_count(1)
    await expect(again.locator(".clip audio")).to_have_count(1)
    await expect(again.get_by_role("textbox", name="Script")).to_have_value(
        "What I wrote yesterday."
    )
    await expect(again.get_by_role("textbox", name="Name")).to_have_value("Emmy")
    await expect(again.get_by_role("radio", name="Best")).to_be_checked()
    await expect(again.get_by_role("radio", name="I am this person")).to_be_checked()
    await expect(again.get_by_label("What for")).to_have_value("a test")
    await submit(again)
    await expect(again.get_by_role("heading", name="Emmy")).to_be_visible()
    await again.goto(f"{stack.url}/#/")
    await expect(again.get_by_role("textbox", name="Script")).to_have_value("")


async def test_a_topic_serves_where_there_are_no_words(page: Page, api: httpx.AsyncClient) -> None:
    await fill(page, words="")
    await expect(page.get_by_role("button", name="Train only")).to_be_visible()
    topic = page.get_by_role("textbox", name="Or a topic")
    await topic.fill("my garden")
    await expect(page.get_by_role("button", name="Make the video")).to_be_visible()
    await page.get_by_role("textbox", name="Script").fill("My own words.")
    await expect(topic).to_be_hidden()
    await page.get_by_role("textbox", name="Script").fill("")
    told = (await api.get(f"/api/jobs/{await submit(page)}")).json()
    assert (told["type"], told["topic"], told["script"]) == ("generate", "my garden", None)


async def test_music_is_kept_and_sent_with_a_video(page: Page, api: httpx.AsyncClient) -> None:
    await page.get_by_text("More options").click()
    music = page.locator("section", has=page.get_by_role("heading", name="Music")).last
    await music.locator("input[type=file]").set_input_files(file("no.txt", b"text", "text/plain"))
    await expect(music.get_by_role("alert")).to_contain_text("not a sound recording")
    song = file("song.wav", recording(1), "audio/wav")
    await music.locator("input[type=file]").set_input_files(song)
    await expect(music.locator(".file-name")).to_contain_text("song.wav")
    await fill(page)
    await page.reload()
    await page.get_by_text("More options").click()
    await expect(music.locator(".file-name")).to_contain_text("song.wav")
    inputs = (await api.get(f"/api/jobs/{await submit(page)}")).json()["inputs"]
    assert [one["input"] for one in inputs] == ["photos", "clip", "music"]


async def test_a_video_is_asked_for_with_the_keyboard_alone(page: Page) -> None:
    await expect(page.get_by_role("button", name="Make the video")).to_be_visible()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await tab_to(page, page.locator("input[type=file] >> nth=0"))
    chooser: asyncio.Future[FileChooser] = asyncio.get_running_loop().create_future()
    page.on("filechooser", lambda opened: chooser.done() or chooser.set_result(opened))
    async with asyncio.timeout(60):
        # A key that comes while the page is still settling may open nothing.
        while not chooser.done():
            await page.keyboard.press("Enter")
            await asyncio.wait({chooser}, timeout=3)
    await chooser.result().set_files([file("me.png", ME)])
    await expect(page.locator(".photos img")).to_have_count(1)
    await tab_to(page, page.get_by_role("textbox", name="Script"))
    await page.keyboard.type("By keyboard alone.")
    await tab_to(page, page.get_by_role("textbox", name="Name"))
    await page.keyboard.type("Ruth")
    await tab_to(page, page.get_by_role("radio", name="Standard"))
    await page.keyboard.press("ArrowUp")
    await tab_to(page, page.get_by_role("radio", name="I am this person"))
    await page.keyboard.press("Space")
    await tab_to(page, page.get_by_label("What for"))
    await page.keyboard.type("A greeting.")
    await tab_to(page, page.get_by_role("button", name="Make the video"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Ruth")).to_be_visible()
    await expect(page.get_by_text("Video · Draft")).to_be_visible()


async def test_a_video_of_somebody_else_says_who_gave_permission_and_for_what(
    page: Page, api: httpx.AsyncClient
) -> None:
    await fill(page)
    await page.get_by_role("radio", name="permission").check()
    start = page.get_by_role("button", name="Make the video")
    for label, asks, words in (
        ("Who it is", "who has given", "Grace Hopper"),
        ("What for", "may be used for", "a talk about her"),
    ):
        await start.click()
        await expect(page.get_by_role("alert").filter(has_text=asks)).to_be_visible()
        await expect(page.get_by_label(label)).to_be_focused()
        await page.keyboard.type(words)
    await start.click()
    await page.wait_for_url("**/#/job/*")
    await expect(page.get_by_role("heading", name="Consent")).to_be_visible()
    await expect(page.get_by_text("Grace Hopper · face + voice: a talk about her")).to_be_visible()
    told = (await api.get(f"/api/jobs/{page.url.rpartition('/')[2]}")).json()["consent"]
    assert (told["who"], told["basis"]) == ("Grace Hopper", "permission")
    assert (told["purpose"], told["covers"]) == ("a talk about her", ["face", "voice"])


async def test_a_trained_person_speaks_again_in_two_clicks(
    page: Page, broker: Broker, api: httpx.AsyncClient, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api, name="Sofia")
    lora = await store.put(f"jobs/{story.job}/lora.safetensors", b"w", "application/x-safetensors")
    await story.finish(lora=(lora,))
    await trained(api, story.job)
    await page.get_by_role("link", name="People").click()
    person = page.locator(".person", has_text="Sofia")
    await person.get_by_role("link", name="Make them speak").click()
    await expect(page.get_by_role("textbox", name="Script")).to_be_focused()
    await page.keyboard.type("And once more.")
    await expect(page.get_by_text("Drop photos here")).to_be_hidden()
    await expect(page.get_by_text("As agreed to for the training: ")).to_be_visible()
    await expect(page.get_by_label("What for")).to_be_hidden()
    job = await submit(page)
    told = (await api.get(f"/api/jobs/{job}")).json()
    assert told["profileId"] == story.job
    assert told["script"] == "And once more."


async def test_a_voice_is_recorded_listened_to_and_taken_again(stack: Stack) -> None:
    async with opened(stack.url, FAKE_DEVICES, permissions=["microphone", "camera"]) as page:
        await page.goto("/")
        await page.get_by_role("button", name="Record now").click()
        await expect(page.locator(".record-time")).to_have_text("0:04")
        await page.get_by_role("button", name="Stop and keep").click()
        await expect(page.locator(".clip .file-name")).to_contain_text("recording.webm 0:0")
        await page.get_by_role("button", name="Record again").click()
        await expect(page.locator(".record-time")).to_be_visible()
        await page.locator(".recorder").get_by_role("button", name="Never mind").click()
        await expect(page.locator(".recorder")).to_have_count(0)


async def test_a_recording_and_photos_of_the_camera_become_a_job(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    async with opened(stack.url, FAKE_DEVICES, permissions=["microphone", "camera"]) as page:
        await page.goto("/")
        await page.get_by_role("button", name="Take photos").click()
        await page.wait_for_function("() => document.querySelector('.camera video')?.videoWidth")
        await page.get_by_role("button", name="Take photo", exact=True).click()
        await expect(page.locator(".photos img")).to_have_count(1)
        await page.get_by_role("button", name="Done").click()
        await page.get_by_role("button", name="Record now").click()
        await expect(page.locator(".record-time")).to_have_text("0:04")
        await page.get_by_role("button", name="Stop and keep").click()
        await expect(page.locator(".clip audio")).to_have_count(1)
        await page.get_by_role("textbox", name="Script").fill("From my own desk.")
        inputs = (await api.get(f"/api/jobs/{await submit(page)}")).json()["inputs"]
        kinds = {(one["input"], one["mediaType"]) for one in inputs}
        assert kinds >= {("photos", "image/jpeg"), ("clip", "audio/webm")}


async def test_a_device_that_is_not_allowed_is_explained(page: Page) -> None:
    await page.get_by_role("button", name="Record now").click()
    await expect(page.get_by_text("The microphone cannot be used")).to_be_visible()


async def test_a_clip_is_pasted(page: Page) -> None:
    await page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.wav", { type: "audio/wav" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
        }""",
        list(CLIP),
    )
    await expect(page.locator(".clip .file-name")).to_contain_text("pasted.wav")
