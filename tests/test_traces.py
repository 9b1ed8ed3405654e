"""One trace for each job, read back from a real collector: its tree, its links, its names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import opentelemetry.semconv._incubating.attributes as semconv
import pytest

from tests.support.otlp import Received, Receiver, collector, needs_rotel, receiver
from tests.support.traced import TracedStack, count, traced_stack

pytestmark = needs_rotel

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


@dataclass(frozen=True)
class Seen:
    """A stack and the collector that it sends to."""

    stack: TracedStack
    received: Receiver

    def spans_of(self, job: str) -> list[Received]:
        """All spans of the job's trace, once its end was written and no span is missing."""

        def whole(spans: Sequence[Received]) -> bool:
            mine = [span for span in spans if span.trace == trace]
            written = [span for span in mine if span.name == "process JOBS"]
            ended = [span for span in mine if span.name.startswith("job ")]
            known = {"", *(span.span for span in mine)}
            return (
                bool(ended)
                and any(span.end >= ended[0].end for span in written)
                and all(span.parent in known for span in mine)
            )

        trace = self.stack.api.get(f"/api/jobs/{job}").json()["traceId"]
        found = [span for span in self.received.until(whole) if span.trace == trace]
        assert whole(found), sorted(span.name for span in found)
        return found


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("traced")
    with receiver() as received, collector(folder, received) as endpoint:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        }
        with traced_stack(folder, settings) as stack:
            yield Seen(stack, received)


@pytest.fixture(scope="module")
def whole(seen: Seen) -> list[Received]:
    """The trace of a job of two stages, the second of which uses what the first has made."""
    second = {**count("second"), "inputs": {"x": {"stage": "first", "output": "count"}}}
    job = seen.stack.ask(count("first"), second)
    assert seen.stack.end_of(job)["status"] == "completed"
    return seen.spans_of(job)


def below(spans: Sequence[Received], top: Received) -> list[Received]:
    """Everything under a span."""
    children = [span for span in spans if span.parent == top.span]
    return children + [deeper for child in children for deeper in below(spans, child)]


def one(spans: Sequence[Received], name: str, stage: str | None = None) -> Received:
    [found] = [
        span
        for span in spans
        if span.name == name
        and (stage is None or span.attributes.get("myspinbot.stage.id") == stage)
    ]
    return found


def test_there_is_one_root_and_everything_hangs_together(whole: list[Received]) -> None:
    [root] = [span for span in whole if not span.parent]
    assert (root.name, root.kind, root.service) == (
        "POST /api/jobs",
        SERVER,
        "myspinbot-gateway",
    )
    assert {span.span for span in below(whole, root)} == {s.span for s in whole} - {root.span}
    assert {span.service for span in whole} == {
        f"myspinbot-{name}" for name in ("gateway", "planner", "gpu-runner", "projector")
    }


@pytest.mark.parametrize("stage", ["first", "second"])
def test_each_stage_shows_its_wait_its_work_its_child_and_its_objects(
    whole: list[Received], stage: str
) -> None:
    run = one(whole, "stage count", stage)
    wait = one(whole, "queue count", stage)
    assert (run.kind, wait.kind) == (CONSUMER, CONSUMER)
    sent = next(span for span in whole if span.span == run.parent)
    assert (sent.name, sent.kind, wait.parent) == ("send CMD", PRODUCER, sent.span)
    assert sent.start <= wait.start <= wait.end <= run.start <= run.end
    inside = below(whole, run)
    child = one(inside, "child counter")
    assert child.attributes["process.pid"] > 1
    assert run.start <= child.start < child.end <= run.end
    stored = below(whole, one(inside, "store outputs"))
    assert [span.name for span in stored] == ["S3/PutObject"]
    assert stored[0].attributes["aws.s3.key"].startswith("jobs/")
    fetched = below(whole, one(inside, "fetch inputs"))
    assert [span.name for span in fetched] == ["S3/GetObject"] * (stage == "second")
    # Where the planner has told of the job meanwhile, the runner is refused once and looks again.
    sends = [s for s in inside if s.name == "send JOBS" and "error.type" not in s.attributes]
    told = [send.attributes["myspinbot.event.types"] for send in sends]
    assert told == ["StageStarted", "StageCompleted"]
    assert run.attributes["myspinbot.outcome"] == "StageCompleted"


def test_decisions_lead_from_one_stage_to_the_next(whole: list[Received]) -> None:
    plans = sorted((s for s in whole if s.name == "plan"), key=lambda span: span.start)
    told = [plan.attributes["myspinbot.event.types"] for plan in plans]
    assert told == [
        "JobPlanned,StageScheduled",
        "StageScheduled",
        "JobCompleted",
    ]
    job = one(whole, "job pipeline")
    assert job.attributes["myspinbot.outcome"] == "JobCompleted"
    assert job.start <= plans[0].start <= plans[-1].end <= job.end + 1_000_000


def test_rows_that_are_written_are_part_of_it(whole: list[Received]) -> None:
    written = [span for span in whole if span.name == "process JOBS"]
    statements = [deep for span in written for deep in below(whole, span)]
    inserts = [s for s in statements if s.attributes["db.operation.name"] == "INSERT"]
    assert inserts
    for span in inserts:
        assert (span.kind, span.service) == (CLIENT, "myspinbot-projector")
        assert span.attributes["db.system.name"] == "sqlite"
        assert span.attributes["db.namespace"] == "views.db"
        assert span.name == f"INSERT {span.attributes['db.collection.name']}"


def test_every_name_is_opentelemetrys_or_our_own(whole: list[Received]) -> None:
    import pkgutil
    from importlib import import_module

    known = {
        value
        for module in pkgutil.iter_modules(semconv.__path__)
        for value in vars(import_module(f"{semconv.__name__}.{module.name}")).values()
        if isinstance(value, str) and "." in value
    }
    used = {name for span in whole for name in span.attributes}
    assert {name for name in used if not name.startswith("myspinbot.")} <= known
    assert used > {"messaging.system", "db.system.name", "aws.s3.key", "http.route"}


def test_the_resource_says_which_process_of_which_service_it_was(whole: list[Received]) -> None:
    resources = {span.service: span.resource for span in whole}
    assert len({one["service.instance.id"] for one in resources.values()}) == len(resources)
    for resource in resources.values():
        assert resource["service.namespace"] == "myspinbot"
        assert resource["service.version"]
        assert resource["deployment.environment.name"] == "test"


def test_an_attempt_is_linked_to_the_one_before_it(seen: Seen) -> None:
    job = seen.stack.ask(count("again", attempts=2, does="die_after_checkpoint"))
    assert seen.stack.end_of(job)["status"] == "completed"
    spans = seen.spans_of(job)
    former, latter = sorted(
        (span for span in spans if span.name == "stage count"), key=lambda span: span.start
    )
    assert (former.failed, latter.failed) == (True, False)
    assert former.attributes["error.type"] == "stage-killed"
    assert latter.links == ((former.trace, former.span, {"myspinbot.link": "former attempt"}),)
    assert {s.name for s in below(spans, latter)} >= {"S3/GetObject", "child counter"}


def test_a_stage_that_is_taken_over_is_linked_to_the_one_that_made_it(seen: Seen) -> None:
    made, reused = (seen.stack.ask(count("same", steps=7), seed=4) for _ in range(2))
    assert seen.stack.end_of(made)["status"] == "completed"
    if not seen.stack.end_of(reused)["stages"][0]["reusedFrom"]:
        # Both were under way at the same time.
        reused = seen.stack.ask(count("same", steps=7), seed=4)
        assert seen.stack.end_of(reused)["stages"][0]["reusedFrom"]
    source = one(seen.spans_of(made), "stage count")
    taken = one(seen.spans_of(reused), "reuse same")
    [(trace, span, _)] = taken.links
    assert (trace, span) == (source.trace, source.span)
    assert trace != taken.trace


def test_what_is_asked_of_a_running_job_is_linked_to_what_follows(seen: Seen) -> None:
    job = seen.stack.ask(count("endless", does="hang"))
    seen.stack.trace_with(job, "queue count")
    parent = f"00-{'c' * 32}-{'d' * 16}-01"
    answer = seen.stack.api.post(f"/api/jobs/{job}/cancel", headers={"traceparent": parent})
    assert answer.status_code == 202
    assert seen.stack.end_of(job)["status"] == "cancelled"
    spans = seen.spans_of(job)
    [linked] = [span for span in spans if any(trace == "c" * 32 for trace, _, _ in span.links)]
    assert linked.attributes["myspinbot.event.types"] == "JobCancelled"
