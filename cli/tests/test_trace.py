"""`myspinbot trace` and a real gateway: where the time of a job went."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from command_support import Command, Played
from myspinbot.errors import NOT_FOUND

from tests.support.samples import SAYING


@pytest.fixture
def job(api: str, photos: Path, command: Command, play: Played) -> str:
    """A training that has ended."""
    done = command("submit", str(photos), *SAYING, "--name", "Mira")
    assert done.status == 0, done.err
    job = done.out.strip()
    play(job, lambda story: story.finish())
    return job


def test_the_steps_of_a_job_are_told_with_their_times(job: str, command: Command) -> None:
    lines = [line.split("\t") for line in command("trace", job).out.splitlines()]
    told = {line[0]: line for line in lines}
    assert {"queue train_lora", "stage train_lora", "stage prepare_dataset"} <= told.keys()
    name, service, start, took, state = told["stage train_lora"]
    assert (name, service, state) == ("stage train_lora", "story", "ok")
    assert float(start) >= 0
    assert float(took) >= 0
    assert "send JOBS" not in told


def test_everything_is_told_when_asked_for(job: str, command: Command) -> None:
    def told(*words: str) -> list[str]:
        return command("trace", job, *words).out.splitlines()

    # Services hand their spans on now and then; until they come there are those of the log alone.
    deadline = time.monotonic() + 30
    while len(told("--all")) <= len(told()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    whole = json.loads(command("trace", job, "--json").out)
    assert whole["jobId"] == job
    assert len(told("--all")) >= len(whole["spans"])


def test_a_job_that_is_not_there_has_no_trace(api: str, command: Command) -> None:
    assert command("trace", "zzz").status == NOT_FOUND
