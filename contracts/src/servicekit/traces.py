"""OpenTelemetry: where the spans of this process go.

To an OTLP collector if the standard `OTEL_EXPORTER_OTLP_ENDPOINT` names one; to the broker, for
the waterfall of each job, unless `MYSPINBOT_JOB_SPANS` is `off`; to files if
`MYSPINBOT_SPANS_DIR` names a folder. How many requests are traced is the standard
`OTEL_TRACES_SAMPLER` and its `_ARG`.
"""

from __future__ import annotations

import logging
import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from servicekit.jobspans import JobSpanProcessor
from servicekit.settings import Environment, SettingsError

log = structlog.get_logger(__name__)

NAMESPACE = "myspinbot"
LARGEST_FILE = 64 << 20
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_SAMPLERS = frozenset(
    ("" if always else "parentbased_") + name
    for always in (True, False)
    for name in ("always_on", "always_off", "traceidratio")
)


@dataclass(frozen=True, slots=True)
class Tracing:
    """The tracing of this process, until `shutdown`."""

    provider: TracerProvider
    jobs: JobSpanProcessor | None

    def shutdown(self) -> None:
        """Send what is left, if anybody takes it."""
        self.provider.shutdown()


class FileSpanExporter(SpanExporter):
    """Appends each span to a file as one line of JSON; a full file makes way for a new one."""

    def __init__(self, path: Path, largest: int = LARGEST_FILE) -> None:
        self._path = path
        self._largest = largest

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write finished spans; a full disk costs the spans and nothing else."""
        lines = [span.to_json(indent=None) + "\n" for span in spans]
        try:
            if self._path.exists() and self._path.stat().st_size > self._largest:
                self._path.replace(self._path.with_suffix(".1.jsonl"))
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class _Overheard(logging.Filter):
    """Keeps the last thing that the exporter said from the log, to be told in our own words."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """No line of it gets through."""
        self.last = record.getMessage()
        return False


class _Collector(SpanExporter):
    """The OTLP exporter, but a collector that is away is told of once, and when it is back."""

    def __init__(self) -> None:
        # Imported where it is used: it brings an HTTP client and protobuf, which take memory.
        from opentelemetry.exporter.otlp.proto.http import trace_exporter

        self._exporter = trace_exporter.OTLPSpanExporter()
        self._overheard = _Overheard()
        self._away = False
        logging.getLogger(trace_exporter.__name__).addFilter(self._overheard)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, with the exporter's own patience."""
        result = self._exporter.export(spans)
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("traces.collector_away", detail=self._overheard.last)
        elif self._away and not away:
            log.info("traces.collector_back")
        self._away = away
        return result

    def shutdown(self) -> None:
        """Try no more."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def resource(service: str, environment: Environment) -> Resource:
    """Who we are: `service.*`, `host.name` and `process.pid`, and `OTEL_RESOURCE_ATTRIBUTES`.

    https://opentelemetry.io/docs/specs/semconv/resource/
    """
    return Resource.create(
        {
            "service.name": f"{NAMESPACE}-{service}",
            "service.namespace": NAMESPACE,
            "service.version": metadata.version("myspinbot-contracts"),
            "service.instance.id": environment.text("INSTANCE_ID", str(uuid.uuid4())),
            "host.name": platform.node(),
            "process.pid": os.getpid(),
        }
    )


def configure(service: str, environment: Environment) -> Tracing | None:
    """Begin to trace this process, if there is anywhere to send spans to.

    Raises SettingsError for a sampler or protocol that there is not.
    """
    check(environment.values)
    jobs = JobSpanProcessor() if _wants_job_spans(environment) else None
    exporters: list[SpanExporter] = []
    if any(environment.values.get(name) for name in _ENDPOINTS):
        try:
            exporters.append(_Collector())
        except ImportError as error:
            raise SettingsError(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry-exporter-otlp-proto-http "
                "is not installed"
            ) from error
    if folder := environment.path("SPANS_DIR"):
        exporters.append(FileSpanExporter(folder / f"{service}.jsonl"))
    if not exporters and jobs is None:
        return None
    provider = TracerProvider(resource=resource(service, environment))
    if jobs is not None:
        provider.add_span_processor(jobs)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    return Tracing(provider, jobs)


def check(values: Mapping[str, str]) -> None:
    """Refuse what the SDK would only warn of, and then do something else; SettingsError."""
    sampler = values.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler and sampler not in _SAMPLERS:
        known = ", ".join(sorted(_SAMPLERS))
        raise SettingsError(f"OTEL_TRACES_SAMPLER must be one of {known}, not {sampler!r}")
    share = values.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if share and sampler.endswith("traceidratio") and not _is_share(share):
        raise SettingsError(f"OTEL_TRACES_SAMPLER_ARG must be from 0 to 1, not {share!r}")
    for name in _PROTOCOLS:
        if values.get(name, "http/protobuf") != "http/protobuf":
            raise SettingsError(f"{name} must be http/protobuf, which is all that we speak")


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _wants_job_spans(environment: Environment) -> bool:
    wanted = environment.text("JOB_SPANS", "on").lower()
    if wanted not in ("on", "off"):
        raise SettingsError(f"MYSPINBOT_JOB_SPANS must be on or off, not {wanted!r}")
    return wanted == "on"
