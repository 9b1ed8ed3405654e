"""The running gateway does what its OpenAPI document says, whatever it is sent.

Requests are made from the document, right ones and wrong ones, for every operation. No
answer may be a server error, of a status, type or shape that the document does not name, or
the acceptance of what the document forbids. `make conformance` sends many more.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from eventlog.broker import connect
from gateway.app import build
from gateway_media import PHOTO, RECORDING
from gateway_stack import Stack, running_stack
from gateway_story import Story
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from servicekit.admin import Readiness
from servicekit.objects import open_store

from contracts import events as e
from tests.support.ports import free_ports
from tests.support.samples import CONSENT_FORM
from tests.support.service import Program

# One test for each operation of the document, and all of them have the same name to pytest.
pytestmark = pytest.mark.alone

EXAMPLES = int(os.environ.get("CONFORMANCE_EXAMPLES", "12"))
SCHEMA = schemathesis.openapi.from_dict(
    build(Readiness()).openapi(),
    config=schemathesis.Config.from_dict(
        {
            "generation": {
                "max-examples": EXAMPLES,
                "deterministic": EXAMPLES <= 20,
                "no-shrink": True,
            },
            "phases": {"stateful": {"enabled": False}},
            "request-timeout": 20,
        }
    ),
)
# What these take depends on more than a schema can say: on files, live engines, each other.
_DECIDED_BY_MORE = (
    "/api/train",
    "/api/generate",
    "/api/jobs",
    "/api/jobs/{job}/fork",
    "/api/uploads",
    "/api/uploads/{upload}/parts/{number}",
    "/api/profiles",
    "/api/pipelines",
    "/api/webhooks",
    "/api/tokens",
    "/api/estimates",
    "/api/usage/daily",
)
_NOBODY = "http://127.0.0.1:9/"


@dataclass(slots=True)
class World:
    """A gateway with something of everything in it."""

    url: str
    session: requests.Session
    ids: dict[str, tuple[str, ...]]
    ended: tuple[str, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A stack of its own: what thousands of requests leave behind is in nobody's way."""
    with running_stack(tmp_path_factory.mktemp("conformance")) as stack:
        (admin,) = free_ports(1)
        planner = Program(
            "planner.main",
            {
                "MYSPINBOT_NATS_URL": stack.server.address("planner").url,
                "MYSPINBOT_NATS_SEED": str(stack.server.seeds["planner"]),
                "MYSPINBOT_ADMIN_PORT": str(admin),
            },
            f"http://127.0.0.1:{admin}/ready",
            stack.folder / "planner.log",
        )
        ended, ids = asyncio.run(populated(stack))
        planner.start()
        with requests.Session() as session:
            try:
                yield World(stack.url, session, ids, ended)
            finally:
                planner.kill()


async def populated(stack: Stack) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Jobs in several states with results, an upload, a pipeline and a webhook."""
    admin = await connect(stack.server.address("admin"))
    async with (
        httpx.AsyncClient(base_url=stack.url, timeout=30) as api,
        open_store(stack.store) as store,
    ):
        files = {"image": PHOTO, "voice": RECORDING}
        made = await api.post("/api/train", files=files, data={**CONSENT_FORM, "name": "Ada"})
        done = Story(admin, made.json()["jobId"])
        picture = await store.put(f"jobs/{done.job}/face.png", PHOTO, "image/png")
        await done.plan()
        await done.start("prepare_dataset")
        await done.tell(
            e.StageSampled(
                stage="prepare_dataset", attempt=1, step=1, caption="one", artifact=picture
            )
        )
        await done.complete("prepare_dataset", {"faces": (picture,)})
        await done.start("train_lora")
        await done.complete("train_lora", {"lora": (picture,)})
        await done.tell(e.JobCompleted())
        failed = await Story.begin(admin, api)
        await failed.plan()
        await failed.start("prepare_dataset")
        last = await failed.lose("prepare_dataset")
        while (await api.get(f"/api/jobs/{failed.job}")).json()["sequence"] < last:
            pass
        draft = {
            "kind": "photo",
            "size": len(PHOTO),
            "sha256": hashlib.sha256(b"another").hexdigest(),
        }
        upload = (await api.post("/api/uploads", json=draft)).json()["uploadId"]
        hook = await api.post("/api/webhooks", json={"url": _NOBODY, "events": ["job.failed"]})
        graph = {"stages": [{"id": "prepare_dataset", "kind": "prepare_dataset"}]}
        own = await api.post("/api/pipelines", json={"name": "faces", "graph": graph})
    await admin.close()
    ids = {
        "job": (done.job, failed.job),
        "profile": (done.job,),
        "upload": (upload,),
        "number": ("1",),
        "stage": ("prepare_dataset",),
        "attempt": ("1",),
        "output": ("faces",),
        "input": ("photos", "clip"),
        "index": ("0",),
        "sample": ("1-1-0",),
        "webhook": (hook.json()["webhookId"],),
        "pipeline": (own.json()["pipelineId"],),
        "slug": ("no-such-job",),
    }
    return (done.job, failed.job), ids


@SCHEMA.parametrize()
def test_the_gateway_does_what_its_document_says(case: schemathesis.Case, world: World) -> None:
    lead_somewhere(case, world)
    call_nobody(case)
    play_fast(case)
    if "Idempotency-Key" in case.headers and not wrong(case, ParameterLocation.HEADER):
        # The same few keys would come with other requests again and again.
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    excluded = [positive_data_acceptance] if case.operation.path in _DECIDED_BY_MORE else []
    if case.media_type == "multipart/form-data":
        # Forms hold bytes, so nothing is of a wrong type; an empty file means that none was chosen.
        excluded.append(negative_data_rejection)
    case.call_and_validate(
        base_url=world.url, session=world.session, excluded_checks=excluded, timeout=20
    )


def lead_somewhere(case: schemathesis.Case, world: World) -> None:
    """Let most right paths lead to something that is there: made-up ids all end alike."""
    if not right(case, ParameterLocation.PATH):
        return
    for name, value in case.path_parameters.items():
        there = world.ids.get(name)
        number = hashlib.sha256(repr(value).encode()).digest()[0]
        # The events of a job that has not ended go on for ever.
        if there and (number % 4 or case.operation.path.endswith("/events")):
            case.path_parameters[name] = there[number % len(there)]


def play_fast(case: schemathesis.Case) -> None:
    """Let no playback take as long as it was asked to."""
    if case.operation.path.endswith("/playback") and not wrong(case, ParameterLocation.QUERY):
        case.query["longest"] = 0


def call_nobody(case: schemathesis.Case) -> None:
    """Let webhooks lead to a port of this machine where nobody listens."""
    body: Any = case.body
    of_webhook = case.operation.path == "/api/webhooks" and isinstance(body, dict)
    if of_webhook and "url" in body and right(case, ParameterLocation.BODY):
        body["url"] = _NOBODY


def wrong(case: schemathesis.Case, part: ParameterLocation) -> bool:
    """Whether this part of the request is meant not to be as the document wants it."""
    return (
        case.meta is not None
        and part in case.meta.components
        and case.meta.components[part].mode is GenerationMode.NEGATIVE
    )


def right(case: schemathesis.Case, part: ParameterLocation) -> bool:
    """Whether this part of the request is meant to be as the document wants it."""
    if case.meta is None or part not in case.meta.components:
        return False
    return case.meta.components[part].mode is GenerationMode.POSITIVE
