"""The waterfall on a job's page: seen, moved in by keyboard, read as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from eventlog.broker import Broker
from eventlog.spans import JobSpans
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, expect
from test_gateway_trace import span

from tests.support.browser import needs_chromium, opened

pytestmark = needs_chromium


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with opened(stack.url, viewport={"width": 1280, "height": 1100}) as page:
        yield page


async def test_where_the_time_went_is_seen_and_moved_in_by_keyboard(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Ada")
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    await page.goto(f"/#/job/{story.job}")
    await page.get_by_role("tab", name="Trace").click()
    tree = page.get_by_role("tree", name="Trace")
    await expect(tree.get_by_role("treeitem", name="Work: Learn the face")).to_contain_text("Learn")
    root = tree.get_by_role("treeitem").first
    await expect(root).to_contain_text("POST /api/train")
    await root.click()
    await expect(page.locator(".span-details")).to_contain_text("http.response.status_code")
    if await root.get_attribute("aria-expanded") == "false":
        await page.keyboard.press("ArrowRight")
    await expect(root).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("ArrowRight")
    chosen = tree.locator("[aria-selected=true]")
    await expect(chosen).to_have_attribute("aria-level", "2")
    await expect(chosen).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(root).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(root).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("End")
    await expect(tree.get_by_role("treeitem").last).to_be_focused()
    await story.complete("train_lora")
    await expect(tree.locator(".running")).to_have_count(0)
    await page.get_by_role("checkbox", name="As a table").check()
    row = page.get_by_role("row", name="Work: Learn the face")
    await expect(row).to_contain_text("done")
    serious = [
        one["id"]
        for one in (await Axe().run(page)).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


async def test_the_address_of_a_trace_opens_it_and_a_link_leads_to_the_other_span(
    stack: Stack, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    view = (await api.get(f"/api/jobs/{story.job}")).json()
    former = span("stage train_lora", 0, 4, failed=True)
    link = {"trace_id": former.trace_id, "span_id": former.span_id}
    links = ({**link, "attributes": {"myspinbot.link": "former attempt"}},)
    await JobSpans(broker).write(story.job, [former, span("stage train_lora", 5, links=links)])
    for size in ({"width": 1280, "height": 900}, {"width": 390, "height": 800}):
        async with opened(stack.url, viewport=size, color_scheme="dark") as page:
            await page.goto(view["traceUrl"])
            await expect(page.get_by_role("tab", name="Trace")).to_have_attribute(
                "aria-selected", "true"
            )
            attempts = page.get_by_role("treeitem", name="Work: Learn the face")
            await expect(attempts).to_have_count(2)
            await attempts.last.click()
            await page.get_by_role("button", name="former attempt").click()
            await expect(attempts.first).to_be_focused()
            await expect(attempts.first).to_have_attribute("aria-selected", "true")
            wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            assert await page.evaluate(wide)
            serious = [
                one["id"]
                for one in (await Axe().run(page)).response["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == []
