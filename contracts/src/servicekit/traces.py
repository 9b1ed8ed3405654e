"""OpenTelemetry: spans go to an OTLP collector, or to a file where there is none.

The embedded stack has no collector, so it asks for a file of one JSON span a line; a
deployment sets the standard `OTEL_EXPORTER_OTLP_ENDPOINT`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from servicekit.settings import Environment


class FileSpanExporter(SpanExporter):
    """Appends each span to a file as one line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write finished spans; a full disk costs the spans and nothing else."""
        lines = [json.dumps(json.loads(span.to_json(indent=None))) + "\n" for span in spans]
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


def configure(service: str, environment: Environment) -> TracerProvider | None:
    """Begin to trace this process, if there is anywhere to send spans to."""
    exporter: SpanExporter
    if environment.values.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Imported where it is used: it brings requests and protobuf, which take memory.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )

        exporter = OTLPSpanExporter()
    elif folder := environment.path("SPANS_DIR"):
        exporter = FileSpanExporter(folder / f"{service}.jsonl")
    else:
        return None
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"myspinbot-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    trace.set_tracer_provider(provider)
    return provider
