"""Which spans are handed to the broker, what becomes of them, and which settings are wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.spans import Span
from eventlog import tracing
from eventlog.broker import Broker, connect
from eventlog.errors import DeniedError, EventLogError
from eventlog.spans import JobSpans
from eventlog.topology import ensure
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link
from servicekit import traces
from servicekit.jobspans import MOST_WAITING, JobSpanProcessor
from servicekit.settings import Environment, SettingsError

from contracts import subjects
from tests.support.broker import NatsServer, nats_server

JOB = {tracing.JOB: "a-job"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with nats_server(tmp_path_factory.mktemp("nats")) as running:
        asyncio.run(_made(running))
        yield running


async def _made(server: NatsServer) -> None:
    admin = await connect(server.address("admin"))
    await ensure(admin)
    await admin.close()


@pytest.fixture
async def runner(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("runner"))
    yield broker
    await broker.close()


@pytest.fixture
async def gateway(server: NatsServer) -> AsyncIterator[Broker]:
    broker = await connect(server.address("gateway"))
    yield broker
    await broker.close()


@pytest.fixture
def jobs() -> JobSpanProcessor:
    return JobSpanProcessor()


@pytest.fixture
def provider(jobs: JobSpanProcessor) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(jobs)
    return made


async def kept(gateway: Broker, job: str, *names: str) -> list[Span]:
    """The spans of a job in the broker, once these are there."""
    async with asyncio.timeout(10):
        while True:
            found = await JobSpans(gateway).read(job)
            if {span.name for span in found} >= set(names):
                return found
            await asyncio.sleep(0.02)


async def test_spans_around_one_that_names_its_job_are_handed_on(
    jobs: JobSpanProcessor, provider: TracerProvider, runner: Broker, gateway: Broker
) -> None:
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("request"):
        with tracer.start_as_current_span("before it is known"):
            pass
        with tracer.start_as_current_span("send", attributes={tracing.JOB: "known"}):
            pass
    with tracer.start_as_current_span("somebody looks"):
        pass
    async with jobs.sending(runner, every_s=0.01):
        found = await kept(gateway, "known", "request", "before it is known", "send")
    assert len(found) == 3
    [root] = [span for span in found if span.parent_id is None]
    assert root.name == "request"
    assert {span.parent_id for span in found} == {None, root.span_id}


async def test_what_is_finished_inside_of_long_work_is_handed_on_at_once(
    jobs: JobSpanProcessor, provider: TracerProvider, runner: Broker, gateway: Broker
) -> None:
    tracer = provider.get_tracer("test")
    async with jobs.sending(runner, every_s=0.01):
        with tracer.start_as_current_span("stage", attributes={tracing.JOB: "long"}):
            with tracer.start_as_current_span("fetch inputs"):
                pass
            [inner] = await kept(gateway, "long", "fetch inputs")
            assert inner.parent_id is not None


async def test_what_was_finished_last_is_sent_before_the_connection_ends(
    jobs: JobSpanProcessor, provider: TracerProvider, runner: Broker, gateway: Broker
) -> None:
    async with jobs.sending(runner, every_s=3600):
        for number in range(250):
            attributes = {tracing.JOB: "last"}
            provider.get_tracer("test").start_span(f"{number}", attributes=attributes).end()
    assert len(await kept(gateway, "last", "249")) == 250


def test_so_many_may_wait_and_the_oldest_go(
    jobs: JobSpanProcessor, provider: TracerProvider
) -> None:
    tracer = provider.get_tracer("test")
    for number in range(MOST_WAITING + 5):
        tracer.start_span(f"{number}", attributes=JOB).end()
    assert len(jobs._waiting) == MOST_WAITING
    assert jobs._waiting[0][1].name == "5"
    assert not jobs._trees


def test_spans_that_never_end_are_forgotten(
    jobs: JobSpanProcessor, provider: TracerProvider
) -> None:
    tracer = provider.get_tracer("test")
    open_for_ever = [tracer.start_span("open") for _ in range(6_000)]
    assert len(jobs._trees) == 5_000
    open_for_ever[0].end()
    assert not jobs._waiting


def test_what_is_not_sampled_costs_nothing(jobs: JobSpanProcessor) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(jobs)
    provider.get_tracer("test").start_span("unseen", attributes=JOB).end()
    assert not jobs._waiting
    assert not jobs._trees


async def test_only_the_gateway_may_read_the_spans_of_a_job(runner: Broker) -> None:
    with pytest.raises(DeniedError):
        await runner.request(f"$JS.API.DIRECT.GET.{subjects.SPANS}", b'{"seq": 1}', timeout=5)
    with pytest.raises((DeniedError, EventLogError)):
        await runner.api(f"STREAM.PURGE.{subjects.SPANS}", {})


def test_a_failed_span_has_the_errors_type_and_never_its_words(provider: TracerProvider) -> None:
    ended = []

    class Look(JobSpanProcessor):
        def on_end(self, span) -> None:
            ended.append(span)

    provider.add_span_processor(Look())
    tracer = provider.get_tracer("test")
    with (
        tracer.start_as_current_span("outer") as outer,
        pytest.raises(ValueError, match="secret"),
        tracing._failing(outer),
    ):
        raise ValueError("my secret words")
    [span] = ended
    assert not span.status.is_ok
    assert span.attributes["error.type"] == "ValueError"
    assert "secret" not in span.to_json()


def test_a_link_is_made_of_a_trace_context_and_of_nothing_else() -> None:
    made = tracing.link("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "cause")
    assert isinstance(made, Link)
    assert made.attributes == {"myspinbot.link": "cause"}
    assert tracing.link(None, "cause") is None
    assert tracing.link("no trace context", "cause") is None
    assert not INVALID_SPAN_CONTEXT.is_valid


def test_a_trace_is_sampled_if_its_context_says_so() -> None:
    context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
    assert tracing.sampled(f"{context}-01")
    assert not tracing.sampled(f"{context}-00")
    assert not tracing.sampled(None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("MYSPINBOT_JOB_SPANS", "maybe"),
    ],
)
def test_a_setting_that_there_is_not_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        traces.configure("test", Environment({name: value}))


@pytest.mark.parametrize("share", ["lots", "-0.1", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    values = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": share}
    with pytest.raises(SettingsError, match="OTEL_TRACES_SAMPLER_ARG"):
        traces.check(values)


def test_the_standard_samplers_are_taken() -> None:
    for sampler in ("always_on", "parentbased_always_off", "traceidratio"):
        traces.check({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.25"})


def test_without_anywhere_to_send_spans_to_nothing_is_traced() -> None:
    assert traces.configure("test", Environment({"MYSPINBOT_JOB_SPANS": "off"})) is None


def test_a_full_file_of_spans_makes_way_for_a_new_one(tmp_path: Path) -> None:
    provider = TracerProvider()
    exporter = traces.FileSpanExporter(tmp_path / "test.jsonl", largest=2_000)
    ended = []

    class Keep(JobSpanProcessor):
        def on_end(self, span) -> None:
            ended.append(span)

    provider.add_span_processor(Keep())
    for number in range(20):
        provider.get_tracer("test").start_span(f"{number}").end()
        exporter.export([ended[-1]])
    names = [
        json.loads(line)["name"]
        for path in (tmp_path / "test.1.jsonl", tmp_path / "test.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert names == [f"{number}" for number in range(20)][-len(names) :]
    assert (tmp_path / "test.jsonl").stat().st_size < 4_000


def test_times_of_two_clocks_give_no_negative_length() -> None:
    now = time.time_ns()
    later = datetime.now(UTC) + timedelta(hours=1)
    provider = TracerProvider()
    ended = []

    class Keep(JobSpanProcessor):
        def on_end(self, span) -> None:
            ended.append(span)

    provider.add_span_processor(Keep())
    tracer = provider.get_tracer("test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "_tracer", tracer)
        tracing.told("skewed", later, now, traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    [span] = ended
    assert span.start_time == span.end_time == now
