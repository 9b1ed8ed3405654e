"""A training on the page: chosen, watched while it learns, and looked at when it is done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from contracts.capabilities import Device, EngineManifest, RunnerManifest
from contracts.commands import Lane
from contracts.events import Quality
from eventlog.broker import Broker
from eventlog.registry import announce
from gateway_media import photo
from gateway_stack import Stack
from gateway_story import Story
from playwright.async_api import Page, expect
from servicekit.objects import ObjectStore

from contracts import events as e
from tests.support.browser import needs_chromium, opened
from tests.support.samples import CONSENT_FORM

pytestmark = needs_chromium

SCHEMA: dict[str, Any] = {
    "$defs": {
        "Schedule": {
            "enum": ["constant", "cosine"],
            "type": "string",
            "description": "How the rate goes down.",
            "title": "Schedule",
        }
    },
    "properties": {
        "steps": {
            "type": "integer",
            "minimum": 1,
            "maximum": 5000,
            "default": 100,
            "title": "Steps",
            "description": "Optimizer steps.",
        },
        "schedule": {"$ref": "#/$defs/Schedule", "default": "cosine"},
        "min_snr_gamma": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 20}, {"type": "null"}],
            "default": None,
            "title": "Min Snr Gamma",
            "description": "Cap of the loss weight.",
        },
        "bfloat16": {"type": "boolean", "default": False, "deprecated": True},
    },
    "additionalProperties": False,
}
FINDINGS = [
    {
        "photo": 2,
        "code": "near-duplicate",
        "message": "photo 2 is nearly the same picture as photo 1, which is the better one",
        "left_out": True,
    },
    {"photo": 1, "code": "odd", "message": "photos 1 and 2 are odd", "left_out": False},
]
REPORT = {
    "engine": "mini",
    "base": {
        "name": "mini",
        "title": "A small base",
        "licence": "CC BY 4.0",
        "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    },
    "params": {
        "steps": 3,
        "schedule": "cosine",
        "min_snr_gamma": None,
        "trigger_word": "robin",
        "bfloat16": False,
    },
    "loss": [0.9, 0.5, 0.4],
}


@pytest.fixture
async def story(broker: Broker, api: httpx.AsyncClient) -> Story:
    """A training of two photos that have names, on a runner that is there."""
    engine = EngineManifest(
        kind="train_lora",
        engine="mini",
        version="1",
        title="Mini",
        lane=Lane.GPU,
        qualities=tuple(Quality),
        params_schema=SCHEMA,
        presets={Quality.DRAFT: {"steps": 60}},
    )
    await announce(
        broker,
        RunnerManifest(
            runner="r1",
            devices=(Device(name="cpu", title="a processor", memory_bytes=1),),
            engines=(engine,),
            announced_at=datetime.now(UTC),
        ),
    )
    files = [("image", (name, photo(seed=seed))) for name, seed in (("beach.png", 5), ("b.png", 6))]
    answer = await api.post("/api/train", files=files, data={**CONSENT_FORM, "name": "Robin"})
    assert answer.status_code == 202, answer.text
    return Story(broker, answer.json()["jobId"])


async def learn(story: Story, store: ObjectStore, step: int) -> None:
    """Show a sample, as the engine does before, while and after it learns."""
    sheet = await store.put(f"jobs/{story.job}/{step}.png", photo(128, 64, seed=step), "image/png")
    await story.tell(
        e.StageSampled(
            stage="train_lora", attempt=1, step=step, caption=f"step {step}", artifact=sheet
        )
    )


async def prepare(story: Story, store: ObjectStore) -> None:
    """Everything before the training, with something to say about photos and recording."""
    await story.plan()
    await story.start("prepare_dataset")
    told = json.dumps({"findings": FINDINGS, "clip": {"warnings": ["narrow-band"]}}).encode()
    report = await store.put(f"jobs/{story.job}/prepared.json", told, "application/json")
    await story.complete("prepare_dataset", {"report": (report,)})
    await story.start("train_lora")


async def train(
    story: Story, store: ObjectStore, report: dict[str, Any] = REPORT, **identity: Any
) -> None:
    """The rest of the job."""
    made = {
        "lora": ("lora.safetensors", b"ours", "application/x-safetensors"),
        "lora_kohya": ("kohya.safetensors", b"kohyas", "application/x-safetensors"),
        "report": ("report.json", json.dumps(report).encode(), "application/json"),
        "samples": ("samples.png", photo(128, 96, seed=9), "image/png"),
    }
    outputs = {
        output: (await store.put(f"jobs/{story.job}/{name}", content, media_type),)
        for output, (name, content, media_type) in made.items()
    }
    await story.complete("train_lora", outputs, **identity)
    await story.tell(e.JobCompleted())


OWN_BASE = {"name": "sd15", "title": "A base of your own", "licence": "", "licence_url": ""}
FACES = {"identity_measure": "face", "identity_before": 0.81, "identity_after": 0.41}
SHAPES = {"identity_measure": "latent", "identity_before": 0.8, "identity_after": 0.6}


async def barriers(page: Page) -> list[str]:
    """What keeps somebody from using what is shown."""
    found = await Axe().run(page)
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found.response["violations"]]


async def test_a_training_is_watched_as_it_learns(
    stack: Stack, story: Story, store: ObjectStore
) -> None:
    async with opened(stack.url) as page:
        await page.goto(f"/#/job/{story.job}")
        await prepare(story, store)
        captions = page.locator(".stage .learned figcaption")
        await learn(story, store, 0)
        await expect(captions).to_have_text(["Before training"])
        for step in (1, 2):
            await story.say("train_lora", step, loss=1 / step, lr=0.001 / step)
        await story.progress("train_lora", 0.5, rate=1.25, eta_s=45)
        await expect(page.locator(".curve-readout")).to_contain_text("learning rate 0.0005")
        await expect(page.locator(".stage-now")).to_contain_text("5 of 10 steps · 1.3 steps/s")
        await expect(page.locator(".stage-now")).to_contain_text("about 45 s left")
        await learn(story, store, 2)
        await expect(captions).to_have_text(["Before training", "Step 2"])
        await expect(page.locator(".stage .learned img")).to_have_count(2)
        assert await barriers(page) == []


async def test_what_was_trained_is_told_in_plain_words(
    stack: Stack, story: Story, store: ObjectStore
) -> None:
    await prepare(story, store)
    await learn(story, store, 0)
    await train(story, store, **FACES)
    async with opened(stack.url) as page:
        await page.goto(f"/#/job/{story.job}")
        card = page.locator(".trained")
        await expect(card).to_contain_text("takes its pictures for the person")
        await expect(card).to_contain_text("0.81 before, 0.41 now; below 0.6")
        repeated = card.locator(".findings li", has_text="b.png").first
        await expect(repeated).to_contain_text("Left out")
        await expect(repeated).to_contain_text("Nearly the same picture as beach.png")
        await expect(card.locator(".findings")).to_contain_text(
            "photos 1 (beach.png) and 2 (b.png) are odd"
        )
        await expect(card.locator(".findings img")).to_have_count(2)
        await expect(card.locator(".findings")).to_contain_text("Sounds like a telephone")
        await expect(card.get_by_role("link", name="CC BY 4.0")).to_be_visible()
        await expect(card).to_contain_text("The word robin in a prompt")
        for name, content in (("diffusers", b"ours"), ("ComfyUI and A1111", b"kohyas")):
            async with page.expect_download() as downloading:
                await card.get_by_role("link", name=f"LoRA for {name}").click()
            assert (await (await downloading.value).path()).read_bytes() == content
        await card.get_by_text("How it was trained").click()
        rows = card.locator("details tr")
        await expect(rows.nth(0)).to_have_text("Steps3Optimizer steps.")
        await expect(rows).to_have_count(4)
        # No line was kept of it: the curve is the report's.
        await expect(page.locator(".curve-readout")).to_contain_text("Step 3: 0.4")
        assert await barriers(page) == []


async def test_it_is_told_in_german_and_without_a_clear_face(
    stack: Stack, story: Story, store: ObjectStore
) -> None:
    await prepare(story, store)
    await train(story, store, REPORT | {"base": OWN_BASE}, **SHAPES)
    async with opened(stack.url, locale="de-DE", color_scheme="dark") as page:
        await page.goto(f"/#/job/{story.job}")
        card = page.locator(".trained")
        await expect(card).to_contain_text("25 % näher als vorher")
        await expect(card.locator(".findings")).to_contain_text("Fast dasselbe Bild wie beach.png")
        await expect(card.locator(".findings")).to_contain_text("Klingt wie ein Telefon")
        await expect(card).to_contain_text("Die Basis ist eine eigene")
        assert await barriers(page) == []


async def test_a_failure_names_the_file_of_the_photo(
    stack: Stack, story: Story, store: ObjectStore
) -> None:
    await story.plan()
    await story.start("prepare_dataset")
    await story.fail("prepare_dataset")
    async with opened(stack.url) as page:
        await page.goto(f"/#/job/{story.job}")
        await expect(page.get_by_role("alert")).to_contain_text("photo 1 (beach.png) shows no face")


async def test_every_setting_is_explained_and_has_its_usual_value(
    stack: Stack, story: Story
) -> None:
    async with opened(stack.url) as page:
        await page.goto("/")
        await page.locator(".quality", has_text="Draft").click()
        await page.get_by_text("More options").click()
        await page.get_by_text("Learn the face").click()
        form = page.locator(".kind")
        steps = form.get_by_label("Steps")
        assert await steps.get_attribute("placeholder") == "60"
        await expect(steps).to_have_accessible_description("Optimizer steps. 1 to 5,000.")
        schedule = form.get_by_label("Schedule")
        assert await schedule.locator("option").all_inner_texts() == [
            "Usual: cosine",
            "constant",
            "cosine",
        ]
        await expect(form.get_by_label("Min SNR gamma")).to_be_visible()
        await expect(form.locator(".field")).to_have_count(3)
        await steps.fill("9999")
        await steps.blur()
        await expect(form.get_by_role("alert").first).to_have_text("At most 5000.")
        assert await barriers(page) == []
