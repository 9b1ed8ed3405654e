"""The page in a real browser, against a running gateway: a job watched, steered and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from eventlog.broker import Broker
from gateway_page import ME, fill, trained, video
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, expect
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.browser import needs_chromium, opened, submit

pytestmark = needs_chromium


@pytest.fixture
async def page(stack: Stack) -> AsyncIterator[Page]:
    async with opened(stack.url) as page:
        yield page


async def test_a_video_is_asked_for_watched_and_kept(
    page: Page, broker: Broker, store: ObjectStore
) -> None:
    await page.goto("/")
    await fill(page)
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.get_by_role("alert").filter(has_text="permission")).to_be_visible()
    story = Story(broker, await submit(page))
    await expect(page.get_by_role("heading", name="Ada")).to_be_visible()
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
    seconds = await page.locator("video").evaluate(
        "video => video.readyState ? video.duration : new Promise(done => "
        "video.addEventListener('loadedmetadata', () => done(video.duration)))",
    )
    assert seconds == pytest.approx(1.0, abs=0.05)
    async with page.expect_download() as downloading:
        await page.locator(".result").get_by_role("link", name="LoRA").click()
    saved = await (await downloading.value).path()
    assert saved.read_bytes() == b"w"
    async with page.expect_response("**/link") as answered:
        await page.get_by_role("button", name="Copy a link").click()
    shown = await page.get_by_role("textbox", name="Copy a link").input_value()
    assert (await (await answered.value).json())["url"] in shown
    async with httpx.AsyncClient() as stranger:
        assert (await stranger.get(shown)).content == video()


async def test_a_failure_shows_its_cause_and_remedy_and_can_be_tried_again(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Grace")
    await page.goto(f"/#/job/{story.job}")
    await expect(page.get_by_role("heading", name="Grace")).to_be_visible()
    await story.plan()
    await story.start("prepare_dataset")
    await story.fail("prepare_dataset", retryable=True)
    failure = page.get_by_role("alert")
    await expect(failure).to_contain_text("photo 1 (me.png) shows no face")
    await expect(failure).to_contain_text("Use a photo that shows one")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".job-title .pill.queued")).to_be_visible()
    await expect(failure).to_have_count(0)


async def test_what_would_only_fail_again_is_changed_from_the_form_as_it_was(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Rear Admiral Grace", quality="best")
    await story.plan()
    await story.start("prepare_dataset")
    await story.fail("prepare_dataset")
    await page.goto(f"/#/job/{story.job}")
    await page.get_by_role("link", name="Edit and try again").click()
    await expect(page.get_by_role("textbox", name="Name")).to_have_value("Rear Admiral Grace")
    await expect(page.locator(".photos li img")).to_have_count(1)
    await expect(page.locator(".quality", has_text="Best").locator("input")).to_be_checked()


async def test_a_view_that_could_not_be_loaded_is_shown_when_the_connection_is_back(
    page: Page,
) -> None:
    await page.goto("/#/jobs")
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    await page.context.set_offline(True)
    await page.get_by_role("link", name="People").click()
    await expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    await page.context.set_offline(False)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_role("heading", name="People", exact=True)).to_be_visible()


async def test_the_page_comes_back_by_itself_when_the_gateway_does(
    page: Page, broker: Broker, api: httpx.AsyncClient, stack: Stack
) -> None:
    story = await Story.begin(broker, api)
    await page.goto(f"/#/job/{story.job}")
    await expect(page.locator(".job-title .pill.queued")).to_be_visible()
    stack.gateway.kill()
    await expect(page.locator("#connection")).to_contain_text("Connection lost")
    await story.plan()
    await story.start("prepare_dataset")
    stack.gateway.start()
    await expect(page.locator(".job-title .pill.running")).to_be_visible()
    await expect(page.locator("#connection")).to_be_empty()
    await expect(page.locator(".timeline [data-sequence]")).to_have_count(5)


async def test_what_happened_while_the_network_was_away_is_told_once_and_in_order(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await page.goto(f"/#/job/{story.job}")
    await expect(page.locator(".timeline [data-sequence]")).to_have_count(2)
    await page.context.set_offline(True)
    await expect(page.locator("#connection")).to_contain_text("Connection lost")
    await story.finish()
    await page.context.set_offline(False)
    await expect(page.locator("#connection")).to_be_empty()
    told = page.locator(".timeline strong")
    asked, stage = ["Requested", "Consent given", "Planned"], ["Queued", "Started", "Finished"]
    await expect(told).to_have_text([*asked, *stage, *stage, "Job done"])
    await expect(page.locator(".job-title .pill.completed")).to_be_visible()


async def test_the_slider_shows_the_job_as_it_was_and_comes_back_to_now(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Hedy")
    await story.finish()
    await page.goto(f"/#/job/{story.job}")
    status = page.locator(".job-title .pill")
    await expect(status).to_have_text("Done")
    slider = page.get_by_role("slider", name="Moment in the life of this job")
    for _ in range(4):
        await slider.press("ArrowLeft")
    training = page.locator(".node", has_text="Learn the face")
    await expect(status).to_have_text("Running")
    await expect(training).to_contain_text("Waiting")
    await expect(page.locator(".node", has_text="Prepare").first).not_to_contain_text("Running")
    await expect(page.get_by_role("button", name="Delete")).to_be_hidden()
    await page.locator(".timeline button", has_text="Planned").click()
    await expect(page.locator(".node", has_text="Prepare")).to_contain_text("Waiting")
    await page.get_by_role("button", name="Back to now").click()
    await expect(status).to_have_text("Done")
    await expect(training).not_to_contain_text("Waiting")


async def test_the_loss_is_drawn_as_it_comes_and_read_off_by_keyboard(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.complete("prepare_dataset")
    await story.start("train_lora")
    for step, loss in ((1, 0.9), (2, 0.8)):
        await story.say("train_lora", step, loss=loss, lr=0.001)
    await page.goto(f"/#/job/{story.job}")
    curve = page.get_by_role("slider", name="Training loss")
    await expect(curve).to_have_attribute("aria-valuenow", "2")
    await story.say("train_lora", 3, loss=0.5, lr=0.001)
    await expect(curve).to_have_attribute("aria-valuenow", "3")
    await curve.press("Home")
    await expect(page.locator(".curve-readout")).to_contain_text("Step 1: 0.900")
    await curve.press("ArrowRight")
    await expect(page.locator(".curve-readout")).to_contain_text("Step 2: 0.800")
    await page.get_by_role("tab", name="Log").click()
    await expect(page.locator(".log-lines li")).to_have_count(3)
    await page.reload()
    await expect(curve).to_have_attribute("aria-valuenow", "3")


async def test_attempts_are_compared_side_by_side(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await story.fail("prepare_dataset", retryable=True)
    await api.post(f"/api/jobs/{story.job}/retry")
    await story.start("prepare_dataset", attempt=2)
    await page.goto(f"/#/job/{story.job}")
    table = page.locator(".compare")
    await expect(table.locator("thead th")).to_have_text(["Attempt 1", "Attempt 2"])
    await expect(table.locator("tr", has_text="Outcome")).to_contain_text("Failed")
    await expect(table.locator("tr", has_text="Cause")).to_contain_text("shows no face")


async def test_a_person_is_erased_after_it_was_said_what_goes_with_them(
    page: Page, broker: Broker, api: httpx.AsyncClient, store: ObjectStore
) -> None:
    story = await Story.begin(broker, api, name="Wanda")
    made = await store.put(f"jobs/{story.job}/lora", b"w", "application/octet-stream")
    face = await store.put(f"jobs/{story.job}/face", ME, "image/png")
    await story.finish(lora=(made,), faces=(face,))
    await trained(api, story.job)
    body = {"type": "generate", "profileId": story.job, "script": "Hello."}
    made_of_them = Story(broker, (await api.post("/api/jobs", json=body)).json()["jobId"])
    await made_of_them.finish()
    while (await api.get(f"/api/profiles/{story.job}")).json()["videos"] != 1:
        pass
    await page.goto(f"/#/profile/{story.job}")
    await expect(page.get_by_text("Consent: ")).to_contain_text("a test")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog")).to_contain_text("the video of them")
    await page.get_by_role("button", name="Delete for good").click()
    await page.wait_for_url("**/#/profiles")
    for gone in (story.job, made_of_them.job):
        assert (await api.get(f"/api/jobs/{gone}")).status_code == 404


async def test_a_job_is_varied_from_a_stage_and_deleted_after_a_question(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Lise")
    await story.finish()
    await page.goto(f"/#/job/{story.job}")
    await page.get_by_role("button", name="Vary").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Begin at").select_option(label="Learn the face")
    await dialog.get_by_role("textbox", name="Name").fill("Lise again")
    await dialog.get_by_role("button", name="Start it").click()
    await expect(page.get_by_role("heading", name="Lise again")).to_be_visible()
    varied = page.url.rpartition("/")[2]
    told = (await api.get(f"/api/jobs/{varied}")).json()
    assert told["forkedFrom"] == {"jobId": story.job, "stage": "train_lora"}
    await page.goto(f"/#/job/{story.job}")
    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Never mind").click()
    assert (await api.get(f"/api/jobs/{story.job}")).status_code == 200
    await page.get_by_role("button", name="Delete").click()
    await dialog.get_by_role("button", name="Delete for good").click()
    await expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert (await api.get(f"/api/jobs/{story.job}")).status_code == 404


async def test_a_running_job_is_cancelled_after_a_question(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api)
    await story.plan()
    await story.start("prepare_dataset")
    await page.goto(f"/#/job/{story.job}")
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("dialog").get_by_role("button", name="Stop it").click()
    await expect(page.get_by_role("button", name="Cancelling")).to_be_visible()
    await story.tell(e.JobCancelled())
    await expect(page.locator(".job-title .pill.cancelled")).to_be_visible()


async def test_the_list_of_jobs_follows_them_and_is_filtered(
    page: Page, broker: Broker, api: httpx.AsyncClient
) -> None:
    story = await Story.begin(broker, api, name="Mary")
    await page.goto("/#/jobs")
    row = page.locator(".jobs li", has_text="Mary").first
    await expect(row.locator(".pill")).to_have_text("Queued")
    await story.plan()
    await story.start("prepare_dataset")
    await expect(row.locator(".pill")).to_have_text("Running")
    await story.complete("prepare_dataset")
    await expect(row.locator("progress")).to_have_attribute("value", "0.25")
    await page.get_by_text("Failed or cancelled", exact=True).click()
    await expect(page.locator(".jobs li", has_text="Mary")).to_have_count(0)
    await page.get_by_text("Under way", exact=True).click()
    await expect(row).to_be_visible()


async def test_an_unknown_job_says_so_and_leads_back(page: Page) -> None:
    await page.goto("/#/job/01m000000000000000000000zz")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_role("link", name="All jobs").click()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


async def test_the_api_guide_shows_every_route_without_other_sites(
    page: Page, api: httpx.AsyncClient
) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    methods = ("get", "post", "put", "patch", "delete")
    routes = sum(method in methods for item in paths.values() for method in item)
    await page.goto("/docs")
    await expect(page.locator(".operation")).to_have_count(routes)
    await page.get_by_text("/api/train").first.click()
    await expect(page.get_by_text("photos of one person").first).to_be_visible()
