"""The main job on the sample input: everything real, only with fewer training steps.

One job goes through undisturbed and is looked at from all sides.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from contracts.envelope import from_structured
from contracts.fold import evolve, initial
from contracts.job import JobStatus
from myspinbot.credentials import State, look
from myspinbot.embedded.home import Home
from myspinbot.embedded.identity import anchor

from tests.support.samples import post_generate
from tests.support.stack import RunningStack, running_stack
from tests.support.video import assert_shows_and_sounds

pytestmark = pytest.mark.long

STAGES = {
    "prepare_dataset",
    "train_lora",
    "train_voice",
    "synthesize_speech",
    "generate_portrait",
    "render_video",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def updates(stack: RunningStack) -> list[dict[str, Any]]:
    """A whole job as a WebSocket client saw it."""
    accepted = post_generate(stack.api)
    assert accepted.status_code == 202, accepted.text
    body = accepted.json()
    assert {k: body[k] for k in ("type", "status", "progress")} == {
        "type": "generate",
        "status": "queued",
        "progress": 0,
    }
    return asyncio.run(watch(stack.api, body["jobId"]))


async def watch(api: str, job: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(800):
        async with websockets.connect(api.replace("http", "ws") + "/ws") as socket:
            await socket.send(json.dumps({"action": "subscribe", "jobId": job}))
            async for text in socket:
                message = json.loads(text)
                if message.get("action") == "response":
                    assert message["message"] == "subscribed"
                    continue
                if message.get("type") != "update":
                    continue
                seen.append(message)
                if message["status"] in ("completed", "failed", "cancelled"):
                    break
    return seen


def download(stack: RunningStack, job: str, stage: str, output: str, folder: Path) -> Path:
    reply = httpx.get(f"{stack.api}/api/jobs/{job}/artifacts/{stage}/{output}/0", timeout=60)
    assert reply.status_code == 200, reply.text
    path = folder / f"{stage}-{output}"
    path.write_bytes(reply.content)
    return path


def test_the_job_completes_and_its_progress_never_goes_back(updates: list[dict[str, Any]]) -> None:
    assert updates[-1]["status"] == "completed", updates[-1]
    progress = [update["progress"] for update in updates]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert len(set(progress)) > 10


def test_status_has_the_agreed_shape(stack: RunningStack, updates: list[dict[str, Any]]) -> None:
    job = updates[0]["jobId"]
    status = stack.status(job)
    assert {k: status[k] for k in ("jobId", "type", "status", "progress")} == {
        "jobId": job,
        "type": "generate",
        "status": "completed",
        "progress": 1.0,
    }


def test_the_video_has_sound_and_picture_of_the_same_length(
    stack: RunningStack, updates: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = download(stack, updates[0]["jobId"], "render_video", "video", tmp_path)
    assert_shows_and_sounds(path)


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("generate_portrait", "portrait.png"),
        ("synthesize_speech", "speech.wav"),
        ("render_video", "video.mp4"),
        ("render_video", "poster.jpg"),
    ],
)
def test_what_was_generated_says_so_and_names_its_job(
    stack: RunningStack,
    updates: list[dict[str, Any]],
    tmp_path: Path,
    stage: str,
    file: str,
) -> None:
    job = updates[0]["jobId"]
    path = download(stack, job, stage, Path(file).stem, tmp_path)
    own = anchor(Home(stack.home))
    assert own
    found = look(path.rename(tmp_path / file), [own])
    assert (found.state, found.made and found.made.job) == (State.GENUINE, job)


def test_every_stage_reports_an_honest_measure_of_its_work(
    stack: RunningStack, updates: list[dict[str, Any]]
) -> None:
    stages = {s["id"]: s for s in stack.get(f"/api/jobs/{updates[0]['jobId']}")["stages"]}
    assert set(stages) == STAGES
    assert all(stage["metrics"] for stage in stages.values())


def test_the_log_tells_the_job_as_a_story(
    stack: RunningStack, updates: list[dict[str, Any]]
) -> None:
    job = updates[0]["jobId"]
    history = stack.history(job)
    types = [event["type"].removeprefix("myspinbot.") for event in history]
    assert types[:3] == ["JobRequested", "ConsentGiven", "JobPlanned"]
    assert types[-1] == "JobCompleted"
    told = json.dumps(history)
    assert "Robin" not in told, "what a user wrote must not enter the log"
    state = initial(job)
    for event in history:
        state = evolve(state, from_structured(event))
    assert state.status is JobStatus.COMPLETED


def test_one_trace_leads_from_the_request_to_the_last_stage(
    stack: RunningStack, updates: list[dict[str, Any]]
) -> None:
    job = updates[0]["jobId"]
    deadline = time.monotonic() + 10
    names: dict[str, set[str]] = {}
    while time.monotonic() < deadline and "stage render_video" not in names.get("gpu-runner", ()):
        time.sleep(0.5)
        trace = stack.get(f"/api/jobs/{job}/trace")
        names = {}
        for span in trace["spans"]:
            if span["source"] == "span":
                names.setdefault(span["service"], set()).add(span["name"])
    assert {f"{what} {stage}" for stage in STAGES for what in ("queue", "stage")} <= names[
        "gpu-runner"
    ]
    assert {"plan", "job generate"} <= names["planner"]
    assert "process JOBS" in names["projector"]
    assert any("generate" in name for name in names["gateway"])
    assert trace["traceId"] == stack.history(job)[0]["traceparent"].split("-")[1]
    made = {
        span["attributes"]["gen_ai.output.type"]
        for span in trace["spans"]
        if span["attributes"].get("gen_ai.operation.name") == "generate_content"
    }
    assert made == {"speech", "image", "video"}


def test_no_log_and_no_span_holds_what_a_person_wrote(
    stack: RunningStack, updates: list[dict[str, Any]]
) -> None:
    view = stack.get(f"/api/jobs/{updates[0]['jobId']}")
    told = [path.read_text() for path in (stack.home / "logs").glob("*.log")]
    told.append(json.dumps(stack.get(f"/api/jobs/{view['jobId']}/trace")))
    assert len(told) > 4
    for words in filter(None, (view["name"], view["script"], view["prompt"])):
        assert not any(words in text for text in told), words
    assert view["script"]


def test_capabilities_name_jobs_engines_and_devices(stack: RunningStack) -> None:
    told = stack.get("/api/capabilities")
    assert set(told["kinds"]) == STAGES | {"write_script", "upscale"}
    # A video of photos or of a profile, each with words of its own or about a topic.
    assert [offer["type"] for offer in told["jobs"]] == ["train", *["generate"] * 4]
    assert told["runners"][0]["devices"]


def test_each_service_shows_its_metrics(stack: RunningStack) -> None:
    ports = json.loads((stack.home / "stack.json").read_text())["ports"]
    for service, port in (
        ("gateway", ports["http"]),
        ("planner", ports["planner_admin"]),
        ("projector", ports["projector_admin"]),
        ("runner", ports["runner_admin"]),
    ):
        assert f"myspinbot_{service}_" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
