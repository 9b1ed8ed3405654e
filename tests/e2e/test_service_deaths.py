"""The main job on the sample input, while each service is killed once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.samples import LITTLE, post_generate
from tests.support.stack import SERVICES, RunningStack, running_stack

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(tmp_path_factory.mktemp("home")) as running:
        yield running


def test_a_job_survives_the_death_of_each_service(stack: RunningStack) -> None:
    words = "Nothing is lost. We go on."
    accepted = post_generate(stack.api, seed="7", script=words, params=LITTLE)
    job = accepted.json()["jobId"]
    highest = 0.0
    dead = []
    moments = {"train_lora": SERVICES, "render_video": ("gpu_runner",)}
    deadline = time.monotonic() + 800
    while time.monotonic() < deadline:
        status = stack.status(job)
        assert status["progress"] >= highest
        highest = status["progress"]
        if status["status"] in ("completed", "failed"):
            break
        stages = {s["id"]: s for s in stack.get(f"/api/jobs/{job}").get("stages", ())}
        for stage, services in tuple(moments.items()):
            if stages.get(stage, {}).get("status") == "running":
                moments.pop(stage)
                dead += [stack.kill(service) for service in services]
        time.sleep(0.2)
    assert stack.status(job)["status"] == "completed", stack.get(f"/api/jobs/{job}")
    assert len(dead) >= len(SERVICES)
    history = stack.history(job)
    types = Counter(event["type"].removeprefix("myspinbot.") for event in history)
    assert types["JobCompleted"] == 1
    completed = Counter(
        event["data"]["stage"] for event in history if event["type"].endswith("StageCompleted")
    )
    assert completed == dict.fromkeys(completed, 1)
