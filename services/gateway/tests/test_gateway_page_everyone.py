"""The page for everyone: screen readers, both languages, any size and colour, little to load."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from eventlog.broker import Broker
from gateway_media import photo
from gateway_page import ME, choose, file, trained, video
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, Response, expect
from servicekit.objects import ObjectStore

from tests.support.browser import needs_chromium, opened

pytestmark = needs_chromium

OPERATIONS = ("runners", "dead-letters", "usage", "audit")
VIEWS = ("", "jobs", "gallery", "profiles", *OPERATIONS, "settings")
SCRIPT_BYTES = 150_000


@pytest.fixture
async def finished(broker: Broker, api: httpx.AsyncClient, store: ObjectStore) -> str:
    """A job with a video, a portrait and a trained face."""
    story = await Story.begin(broker, api, name="Ada")
    made = await store.put(f"jobs/{story.job}/video.mp4", video(), "video/mp4")
    face = await store.put(f"jobs/{story.job}/portrait.png", photo(256, 256), "image/png")
    lora = await store.put(f"jobs/{story.job}/lora.safetensors", b"w", "application/x-safetensors")
    await story.finish(video=(made,), portrait=(face,), lora=(lora,))
    await trained(api, story.job)
    return story.job


async def settled(page: Page, route: str) -> None:
    """Open a view and wait until it shows what it has."""
    await page.goto(f"/#/{route}")
    await expect(page.locator(".view h1").first).to_be_visible()
    await expect(page.locator(".skeleton:visible")).to_have_count(0)
    await page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
async def test_no_view_has_a_serious_barrier(
    stack: Stack, finished: str, colours: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    async with opened(stack.url, color_scheme=colours, viewport=size) as page:
        found = {}
        for route in (*VIEWS, f"job/{finished}", f"profile/{finished}"):
            await settled(page, route)
            found[route] = await barriers(page)
        await settled(page, f"job/{finished}")
        await page.get_by_role("button", name="Vary").click()
        found["vary"] = await barriers(page)
        await page.goto(f"/#/jobs/{finished}/playback?speed=1000")
        await expect(page.get_by_role("button", name="Play again")).to_be_visible()
        found["playback"] = await barriers(page)
        for guide in ("docs", "asyncapi"):
            await page.goto(f"/{guide}")
            await page.locator(".operation summary").first.click()
            found[guide] = await barriers(page)
        assert not any(found.values()), found


async def barriers(page: Page) -> list[str]:
    results = await Axe().run(page)
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]}"
        for one in results.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


async def test_a_form_with_mistakes_and_options_has_no_serious_barrier(stack: Stack) -> None:
    async with opened(stack.url) as page:
        await settled(page, "")
        await choose(page, [file("me.png", ME), file("no.txt", b"no", "text/plain")])
        await page.get_by_text("More options").click()
        await page.get_by_role("button", name="Train").click()
        await expect(page.get_by_role("alert").filter(has_text="permission")).to_be_visible()
        assert await barriers(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_a_job_that_runs_fails_or_is_looked_at_in_the_past_has_no_serious_barrier(
    stack: Stack, broker: Broker, api: httpx.AsyncClient, colours: str
) -> None:
    story = await Story.begin(broker, api, name="Ada")
    await story.plan()
    await story.start("prepare_dataset")
    await story.progress("prepare_dataset", 0.5, message="photo 1 of 2")
    for step in (1, 2, 3):
        await story.say("prepare_dataset", step, loss=1 / step)
    async with opened(stack.url, color_scheme=colours) as page:
        await settled(page, f"job/{story.job}")
        await expect(page.locator(".curve path.smooth")).to_be_visible()
        running = await barriers(page)
        await page.get_by_role("tab", name="Log").click()
        log = await barriers(page)
        await story.fail("prepare_dataset")
        await expect(page.locator(".job-title .pill.failed")).to_be_visible()
        failed = await barriers(page)
        await page.get_by_role("slider", name="Moment in the life").press("Home")
        await expect(page.locator(".job-title .pill.queued")).to_be_visible()
        past = await barriers(page)
        assert (running, log, failed, past) == ([], [], [], [])


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_no_view_is_wider_than_its_window(stack: Stack, finished: str, width: int) -> None:
    async with opened(stack.url, viewport={"width": width, "height": 800}, locale="de-DE") as page:
        for route in (*VIEWS, f"job/{finished}", f"profile/{finished}"):
            await settled(page, route)
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, route


async def loaded_script(stack: Stack, routes: Sequence[str]) -> list[tuple[str, int, int]]:
    """Every script that a visitor of some views loads: address, bytes as sent, and as read."""
    async with opened(stack.url) as page:
        answers: list[Response] = []
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - a builtin cannot be a handler
        for route in routes:
            await settled(page, route)
        return [
            (one.url, (await one.request.sizes())["responseBodySize"], len(await one.body()))
            for one in answers
            if one.url.endswith(".js")
        ]


async def test_no_view_loads_more_script_than_the_budget(stack: Stack, finished: str) -> None:
    routes = (*VIEWS, f"job/{finished}", f"profile/{finished}")
    for route in routes:
        scripts = await loaded_script(stack, [route])
        assert len(scripts) > 10
        assert sum(read for _, _, read in scripts) < SCRIPT_BYTES, route
    everything = await loaded_script(stack, routes)
    assert sum(sent for _, sent, _ in everything) < SCRIPT_BYTES / 2


async def test_both_languages_say_the_same(stack: Stack) -> None:
    async with opened(stack.url) as page:
        await settled(page, "")
        english, german = await page.evaluate(
            """async () => {
                const shape = (value, path = "") => typeof value === "object"
                    ? Object.entries(value).flatMap(([name, one]) => shape(one, `${path}.${name}`))
                    : [`${path}: ${typeof value} ${value.call ? value.length : ""}`];
                const of = async (tongue) => (await import(`/page/strings/${tongue}.js`)).strings;
                return [shape(await of("en")), shape(await of("de"))];
            }"""
        )
        assert len(english) > 200
        assert english == german


async def test_the_browsers_language_is_spoken_until_another_is_chosen(stack: Stack) -> None:
    async with opened(stack.url, locale="de-AT") as page:
        await settled(page, "settings")
        await expect(page.get_by_role("heading", name="Einstellungen")).to_be_visible()
        assert await page.locator("html").get_attribute("lang") == "de"
        await page.get_by_text("English", exact=True).click()
        await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Settings")).to_be_visible()


async def test_colours_follow_the_system_until_chosen_and_are_kept(stack: Stack) -> None:
    async with opened(stack.url, color_scheme="dark") as page:
        await settled(page, "settings")
        paper = "getComputedStyle(document.body).backgroundColor"
        dark = await page.evaluate(paper)
        await page.get_by_role("button", name="Use light colours").click()
        light = await page.evaluate(paper)
        assert light != dark
        await page.reload()
        await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
        assert await page.evaluate(paper) == light


async def test_the_page_opens_where_it_was_left(stack: Stack, finished: str) -> None:
    async with opened(stack.url, viewport={"width": 800, "height": 500}) as page:
        await settled(page, f"job/{finished}")
        await page.mouse.wheel(0, 600)
        await page.wait_for_function("() => Object.keys(sessionStorage).length > 0")
        before = await page.evaluate("scrollY")
        await page.reload()
        await page.wait_for_function(f"() => Math.abs(scrollY - {before}) < 5")
        other = await page.context.new_page()
        await other.goto(stack.url)
        await expect(other.get_by_role("heading", name="Ada")).to_be_visible()


async def test_less_motion_is_kept_to(stack: Stack, broker: Broker, api: httpx.AsyncClient) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    async with opened(stack.url, reduced_motion="reduce") as page:
        await page.goto(f"/#/job/{story.job}")
        await expect(page.locator(".node.running")).to_be_visible()
        assert await page.evaluate("document.getAnimations().length") == 0


async def test_a_message_is_said_only_when_a_job_changes(
    stack: Stack, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Ada")
    async with opened(stack.url) as page:
        await page.goto(f"/#/job/{story.job}")
        await expect(page.locator(".job-title .pill.queued")).to_be_visible()
        await story.finish()
        await expect(page.locator("#announcer")).to_have_text("Ada: Done")
