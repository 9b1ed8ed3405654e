"""The page's views for those who run the system, and a job played back, in a real browser."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from eventlog.broker import Broker
from gateway_people import ADMIN_TOKEN, client, make_token, token_gateway
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, expect

from contracts import events as e
from tests.support.browser import needs_chromium, opened, sign_in

pytestmark = needs_chromium


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with opened(stack.url) as page:
        yield page


async def died(broker: Broker, api: httpx.AsyncClient, name: str) -> Story:
    """A job whose first stage took its runner with it."""
    story = await Story.begin(broker, api, name=name)
    await story.plan()
    await story.start("prepare_dataset")
    await story.say("prepare_dataset", 7, loss=0.25)
    last = await story.lose("prepare_dataset")
    while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < last:
        pass
    return story


async def open_count(api: httpx.AsyncClient) -> int:
    return len((await api.get("/api/dead-letters?status=open&limit=200")).json()["letters"])


async def test_a_dead_letter_is_counted_looked_at_and_tried_again(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await died(broker, api, "Ada Lost")
    waiting = await open_count(api)
    await page.goto("/#/jobs")
    way = page.locator("#nav").get_by_role("link", name="Machines")
    await expect(way.locator(".badge")).to_contain_text(str(waiting))
    await way.click()
    await page.locator(".sections").get_by_role("link", name="Dead letters").click()
    letter = page.locator(".letter", has_text="Ada Lost")
    await expect(letter.get_by_role("alert")).to_contain_text("every runner")
    await letter.get_by_text("What is known").click()
    await expect(letter.get_by_role("table")).to_contain_text("r1")
    await expect(letter.locator(".log-lines")).to_contain_text("step 7")
    await letter.get_by_role("button", name="Try again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Never mind").click()
    assert (await api.get(f"/api/status/{story.job}")).json()["status"] == "failed"
    await letter.get_by_role("button", name="Try again").click()
    await page.get_by_role("dialog").get_by_role("button", name="Try again").click()
    await expect(letter).to_have_count(0)
    assert (await api.get(f"/api/status/{story.job}")).json()["status"] == "queued"
    badge = page.locator(".sections .badge")
    if waiting > 1:
        await expect(badge).to_contain_text(str(waiting - 1))
    else:
        await expect(badge).to_be_hidden()
    await page.get_by_text("Tried again", exact=True).click()
    await expect(letter.locator(".pill")).to_have_text("Tried again")
    await expect(letter.get_by_role("button", name="Drop")).to_have_count(0)


async def test_a_dead_letter_is_dropped_after_a_question(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await died(broker, api, "Grace Lost")
    await page.goto("/#/dead-letters")
    letter = page.locator(".letter", has_text="Grace Lost")
    await letter.get_by_role("button", name="Drop").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    await expect(letter).to_have_count(0)
    await page.get_by_text("Dropped", exact=True).click()
    await letter.get_by_text("What is known").click()
    await expect(letter).to_contain_text("Dropped by local")
    assert (await api.get(f"/api/status/{story.job}")).json()["status"] == "failed"


async def test_what_somebody_else_has_done_meanwhile_is_said(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await died(broker, api, "Hedy Lost")
    await page.goto("/#/dead-letters")
    await page.locator(".letter", has_text="Hedy Lost").get_by_text("Drop").click()
    await api.post(f"/api/dead-letters/{story.job}/prepare_dataset/1/retry")
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Drop").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("tried again by local")


async def test_a_letter_leads_to_its_job_at_that_moment(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await died(broker, api, "Lise Lost")
    await api.post(f"/api/jobs/{story.job}/retry")
    await page.goto("/#/dead-letters")
    await page.get_by_text("Tried again", exact=True).click()
    await page.locator(".letter", has_text="Lise Lost").get_by_role("link").click()
    await expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    await expect(page.locator(".node", has_text="Prepare")).to_contain_text("Failed")
    await page.get_by_role("button", name="Back to now").click()
    await expect(page.locator(".job-title .pill.queued")).to_be_visible()


async def test_an_administrator_may_look_at_everybodys(stack: Stack, broker: Broker) -> None:
    with token_gateway(stack, "page-letters") as url:
        ada = (await make_token(url, "ada"))["token"]
        async with client(url, ada) as hers:
            await died(broker, hers, "Of Ada")
        async with opened(url) as page:
            await page.goto("/#/dead-letters")
            await sign_in(page, ADMIN_TOKEN)
            await page.goto("/#/dead-letters")
            await page.get_by_label("Of everybody").check()
            letter = page.locator(".letter", has_text="ada").first
            await expect(letter.get_by_role("button", name="Drop")).to_be_visible()
        async with opened(url) as page:
            await page.goto("/#/usage")
            await sign_in(page, ada)
            await page.goto("/#/usage")
            await expect(page.locator(".view h1")).to_have_text("Usage")
            await expect(page.get_by_label("Of everybody")).to_be_hidden()


async def test_usage_is_shown_by_day_and_saved_as_a_table(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await story.finish()
    await page.goto("/#/usage")
    today = datetime.now(UTC).date()
    await expect(page.locator(".bars li")).to_have_count(30)
    await expect(page.locator("tbody tr").first).to_contain_text(str(today.day))
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Save as CSV").click()
    saved = await downloading.value
    assert saved.suggested_filename == "usage.csv"
    [*_, row] = csv.DictReader((await saved.path()).read_text().splitlines())
    assert (row["day"], row["owner"]) == (today.isoformat(), "local")
    await page.get_by_label("From").fill("2020-01-01")
    await page.get_by_label("To").fill("2020-01-02")
    await expect(page.get_by_text("Nothing used")).to_be_visible()
    await page.get_by_label("From").fill("2020-02-01")
    await expect(page.get_by_role("alert")).to_contain_text("no range")


async def test_the_audit_tells_who_did_what(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await api.post(f"/api/jobs/{story.job}/cancel")
    await page.goto("/#/audit")
    mine = page.locator("tbody tr", has_text=story.job)
    await expect(mine).to_have_count(3)
    await expect(mine.first).to_contain_text("Cancelled")
    await page.get_by_text("Requested", exact=True).first.click()
    await expect(mine).to_have_count(1)
    await mine.get_by_role("link").click()
    await expect(page.locator(".timeline [data-sequence]").first).to_be_visible()


async def test_a_job_is_played_back_stopped_and_moved(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Maria")
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    for step in (1, 2, 3):
        await story.say("train_lora", step, loss=1 / step)
    await story.complete("train_lora")
    await story.tell(e.JobCompleted())
    await page.goto(f"/#/job/{story.job}")
    status = page.locator(".job-title .pill")
    await expect(status).to_have_text("Done")
    await page.get_by_role("button", name="Play back").click()
    await expect(page).to_have_url(f"{page.url.split('#')[0]}#/jobs/{story.job}/playback?speed=10")
    await expect(page.get_by_text("Nothing is done again.")).to_be_visible()
    await expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    await expect(page.get_by_role("button", name="Play again")).to_be_visible()
    await expect(status).to_have_text("Done")
    await expect(page.locator(".timeline [data-sequence]")).to_have_count(10)
    await expect(page.get_by_role("slider", name="Training loss")).to_have_attribute(
        "aria-valuenow", "3"
    )
    slider = page.get_by_role("slider", name="Moment in the life of this job")
    await slider.press("Home")
    await expect(status).to_have_text("Queued")
    await expect(page.locator(".timeline [data-sequence]")).to_have_count(1)
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("button", name="Play again")).to_be_visible()
    await expect(page.locator(".timeline strong").last).to_have_text("Job done")
    await page.locator(".slider .segments label", has_text="60").click()
    assert page.url.endswith("speed=60")
    await page.get_by_role("button", name="Back to now").click()
    await expect(page.get_by_role("button", name="Delete")).to_be_visible()


async def test_a_playback_waits_while_it_is_paused(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    # So slow that it is at its beginning until somebody moves it: each pause takes seconds.
    story.wait(timedelta(minutes=1))
    await story.plan()
    story.wait(timedelta(minutes=1))
    await story.start("prepare_dataset")
    story.wait(timedelta(minutes=1))
    last = await story.fail("prepare_dataset")
    while (await api.get(f"/api/jobs/{story.job}")).json()["sequence"] < last:
        pass
    await page.goto(f"/#/jobs/{story.job}/playback?speed=0.1")
    status = page.locator(".job-title .pill")
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("slider", name="Moment in the life").press("Home")
    await expect(status).to_have_text("Queued")
    await expect(page.get_by_role("button", name="Go on")).to_be_visible()
    await page.get_by_role("slider", name="Moment in the life").press("End")
    await expect(status).to_have_text("Failed")


async def test_a_job_that_is_not_there_is_not_played(page: Page) -> None:
    await page.goto("/#/jobs/01m000000000000000000000zz/playback?speed=10")
    await expect(page.get_by_role("alert")).to_contain_text("No job of yours")


async def test_the_guide_to_messages_shows_every_channel_and_finds_words(
    page: Page, api: httpx.AsyncClient
) -> None:
    told = (await api.get("/asyncapi.json")).json()
    await page.goto("/")
    await page.locator("#foot").get_by_role("link", name="Messages over NATS").click()
    await expect(page.locator(".operation")).to_have_count(len(told["channels"]))
    await page.get_by_role("searchbox").fill("resumedFromStep")
    started = page.locator("#StageStarted")
    await expect(started).to_be_visible()
    await expect(page.locator("#JobDeleted")).to_be_hidden()
    await started.locator("summary").first.click()
    await expect(started.locator(".ways")).to_contain_text("runner")
    await started.get_by_text("Example").first.click()
    await expect(started.locator("pre").first).to_contain_text('"runner": "workshop-1"')
    await page.goto("/asyncapi#ListJobs")
    await expect(page.locator("#ListJobs")).to_contain_text("Result of the answer")
    await page.goto("/docs")
    await page.get_by_role("link", name="Messages over NATS").click()
    await expect(page.get_by_role("heading", name="Messages over NATS")).to_be_visible()


async def test_the_documents_of_messages_are_open_to_everybody(stack: Stack) -> None:
    with token_gateway(stack, "documents") as url:
        async with client(url) as stranger:
            page = await stranger.get("/asyncapi")
            assert "default-src 'none'" in page.headers["content-security-policy"]
            yaml = await stranger.get("/asyncapi.yaml")
            assert yaml.headers["content-type"] == "application/yaml"
            assert yaml.text.startswith("asyncapi: 3.0.0\n")
            json = await stranger.get("/asyncapi.json")
            assert json.json()["asyncapi"] == "3.0.0"
