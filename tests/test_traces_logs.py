"""What services log of a job: one JSON object a line, with its trace, and nothing personal.

The collector is away all the time, which must neither delay nor break anything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from gateway_media import RECORDING, photo

from tests.support.ports import free_ports
from tests.support.samples import CONSENT_FORM
from tests.support.traced import TracedStack, count, traced_stack

NAME = "Wilhelmina Kowalczyk-Ó Súilleabháin"
SCRIPT = "My grandmother kept bees behind the railway cottage."
PROMPT = "in a heliotrope cardigan beneath a wisteria"
SECRET = "the user's secret words"  # noqa: S105 - what the engine of the tests prints


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedStack]:
    # Nobody listens there.
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_ports(1)[0]}"}
    with traced_stack(tmp_path_factory.mktemp("logs"), away) as running:
        yield running


@pytest.fixture(scope="module")
def jobs(stack: TracedStack) -> list[str]:
    """One that goes well, two that crash, and one of somebody with a name and words to say."""
    made = [
        stack.ask(count("fine")),
        stack.ask(count("crashing", does="crash"), name=NAME),
        stack.ask(count("aborting", does="abort"), name=NAME),
    ]
    answer = stack.api.post(
        "/api/generate",
        files={
            "image": (f"{NAME}.png", photo(96, 96), "image/png"),
            "voice": (f"{NAME}.wav", RECORDING, "audio/wav"),
        },
        data={**CONSENT_FORM, "name": NAME, "script": SCRIPT, "prompt": PROMPT},
    )
    assert answer.status_code == 202, answer.text
    made.append(answer.json()["jobId"])
    states = [stack.end_of(job, 120)["status"] for job in made]
    assert states == ["completed", "failed", "failed", "failed"]
    for job in made:
        stack.trace_with(job, "process JOBS")
    return made


def test_nothing_that_a_person_wrote_is_in_a_log(stack: TracedStack, jobs: list[str]) -> None:
    stack.logs()
    for program in stack.programs.values():
        text = program.log.read_text()
        for words in (NAME, "Wilhelmina", "grandmother", "heliotrope", SECRET, "secret words"):
            assert words not in text, program.module


def test_nothing_that_a_person_wrote_is_in_a_span(stack: TracedStack, jobs: list[str]) -> None:
    for job in jobs:
        text = stack.api.get(f"/api/jobs/{job}/trace").text
        for words in ("Wilhelmina", "grandmother", "heliotrope", "secret words"):
            assert words not in text


def test_each_step_of_a_job_is_one_line_with_its_trace(stack: TracedStack, jobs: list[str]) -> None:
    fine = jobs[0]
    trace = stack.trace(fine)["traceId"]
    told = [line for line in stack.logs() if line.get("job") == fine]
    assert [line["event"] for line in told if line["service"] == "gpu-runner"] == [
        "stage.started",
        "stage.ended",
    ]
    decided = [line["type"] for line in told if line["event"] == "planner.decided"]
    assert decided == ["JobPlanned", "StageScheduled", "JobCompleted"]
    assert [line["event"] for line in told].count("planner.commanded") == 1
    assert {line["trace_id"] for line in told} == {trace}
    spans = {span["spanId"] for span in stack.trace_with(fine, "stage count", "plan")["spans"]}
    assert {line["span_id"] for line in told} <= spans


def test_every_line_says_when_by_whom_and_how_much_it_matters(
    stack: TracedStack, jobs: list[str]
) -> None:
    lines = stack.logs()
    assert {line["service"] for line in lines} == {
        "gateway",
        "planner",
        "projector",
        "gpu-runner",
    }
    for line in lines:
        assert line["timestamp"].endswith(("Z", "+00:00"))
        assert line["level"] in ("info", "warning", "error")
        assert line["event"]


def test_a_collector_that_is_away_is_told_of_once_and_holds_nothing_up(
    stack: TracedStack, jobs: list[str]
) -> None:
    def complaints() -> Counter[str]:
        return Counter(
            line["service"] for line in stack.logs() if line["event"] == "traces.collector_away"
        )

    deadline = time.monotonic() + 60
    while len(complaints()) < len(stack.programs):
        assert time.monotonic() < deadline, complaints()
        time.sleep(0.2)
    for program in stack.programs.values():
        assert program.stop() == 0
    assert set(complaints().values()) == {1}
