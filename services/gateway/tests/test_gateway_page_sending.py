"""The form on its way to a job: early, over connections that break, and in the right place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from gateway_media import photo
from gateway_page import choose, file
from gateway_stack import Stack, another_gateway
from playwright.async_api import Page, Request, Route, expect

from tests.support.browser import agree, needs_chromium, opened, submit

pytestmark = needs_chromium


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with opened(stack.url) as page:
        await page.goto("/")
        yield page


async def test_what_is_entered_before_the_page_has_settled_is_kept_and_sent(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    settling = asyncio.Event()

    async def keep_waiting(route: Route) -> None:
        await settling.wait()
        await route.continue_()

    async with opened(stack.url) as page:
        await page.route("**/api/profiles", keep_waiting)
        await page.goto("/")
        await page.get_by_role("textbox", name="Script").fill("I was early.")
        await choose(page, [file("me.png", photo(400, 400, seed=81))])
        await expect(page.locator(".photos img")).to_have_count(1)
        await page.reload()
        await expect(page.get_by_role("textbox", name="Script")).to_have_value("I was early.")
        await choose(page, [file("me.png", photo(400, 400, seed=82))])
        await agree(page)
        await page.get_by_role("button", name="Make the video").click()
        settling.set()
        await page.wait_for_url("**/#/job/*")
        job = (await api.get(f"/api/jobs/{page.url.rpartition('/')[2]}")).json()
    assert (job["type"], job["script"]) == ("generate", "I was early.")


async def test_a_photo_that_is_still_looked_at_is_waited_for(
    stack: Stack, api: httpx.AsyncClient
) -> None:
    mine = photo(400, 400, seed=83)
    async with opened(stack.url) as page:
        await page.add_init_script(
            """
            const look = createImageBitmap;
            const looking = new Promise((done) => { globalThis.goOn = done; });
            globalThis.createImageBitmap = async (file) => { await looking; return look(file); };
            """
        )
        await page.goto("/")
        await choose(page, [file("me.png", mine)])
        await page.get_by_role("textbox", name="Script").fill("Not so fast.")
        await agree(page)
        start = page.get_by_role("button", name="Make the video")
        await start.click()
        await expect(start).to_be_disabled()
        await page.evaluate("goOn()")
        await page.wait_for_url("**/#/job/*")
        inputs = (await api.get(f"/api/jobs/{page.url.rpartition('/')[2]}")).json()["inputs"]
    assert (await api.get(inputs[0]["url"])).content == mine


async def test_an_upload_that_is_cut_goes_on_after_a_reload_where_it_was(
    page: Page, api: httpx.AsyncClient
) -> None:
    sessions: list[Request] = []

    async def hold(route: Route) -> None:
        await route.abort()

    def count(sent: Request) -> None:
        if sent.method == "POST" and sent.url.endswith("/api/uploads"):
            sessions.append(sent)

    page.on("request", count)
    await page.route("**/parts/*", hold)
    mine = photo(500, 500, seed=77)
    await choose(page, [file("me.png", mine)])
    await page.get_by_role("textbox", name="Script").fill("We go on.")
    await agree(page)
    async with page.expect_request("**/parts/*"):
        await page.get_by_role("button", name="Make the video").click()
    await expect(page.get_by_role("button", name="Make the video")).to_be_disabled()
    await page.reload()
    await page.unroute("**/parts/*")
    await expect(page.locator(".photos img")).to_have_count(1)
    job = await submit(page)
    assert len(sessions) == 1, "the upload that had begun was taken up again"
    inputs = (await api.get(f"/api/jobs/{job}")).json()["inputs"]
    assert (await api.get(inputs[0]["url"])).content == mine


async def test_a_connection_that_drops_in_an_upload_is_waited_for(page: Page) -> None:
    dropped = 0

    async def drop_twice(route: Route) -> None:
        nonlocal dropped
        if dropped < 2:
            dropped += 1
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/parts/*", drop_twice)
    await choose(page, [file("me.png", photo(400, 400, seed=78))])
    await page.get_by_role("textbox", name="Script").fill("We go on.")
    await submit(page)
    assert dropped == 2


async def test_a_job_whose_answer_was_lost_is_not_made_twice(page: Page) -> None:
    made: list[str] = []

    async def lose(route: Route) -> None:
        answer = await route.fetch()
        made.append((await answer.json())["jobId"])
        await route.abort()

    await page.route("**/api/jobs", lose)
    await choose(page, [file("me.png", photo(400, 400, seed=79))])
    await page.get_by_role("textbox", name="Script").fill("Only once.")
    await agree(page)
    start = page.get_by_role("button", name="Make the video")
    await start.click()
    await expect(page.get_by_role("alert").filter(has_text="cannot be reached")).to_be_visible()
    async with page.expect_event("requestfailed", lambda sent: sent.url.endswith("/api/jobs")):
        await start.click()
    await expect(start).to_be_enabled()
    await page.unroute("**/api/jobs", lose)
    await page.reload()
    await expect(page.locator(".photos img")).to_have_count(1)
    assert [await submit(page)] * len(made) == made


async def test_files_go_straight_to_the_store_where_browsers_may_reach_it(stack: Stack) -> None:
    store = stack.store.endpoint
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            sent.append(request.url)

    with another_gateway(stack, "page-direct", S3_PUBLIC_ENDPOINT=store) as url:
        async with opened(url, also=store) as page:
            page.on("request", note)
            await page.goto("/")
            await choose(page, [file("me.png", photo(400, 400, seed=80))])
            await page.get_by_role("textbox", name="Script").fill("The short way.")
            await submit(page)
    assert sent
    assert all(one.startswith(store) for one in sent)
