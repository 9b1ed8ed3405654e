"""A span for each call of the object store, named as OpenTelemetry names calls of S3.

https://opentelemetry.io/docs/specs/semconv/object-stores/s3/
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from eventlog import tracing
from opentelemetry.trace import Span, SpanKind

_ARGUMENTS = {
    "Key": "aws.s3.key",
    "UploadId": "aws.s3.upload_id",
    "PartNumber": "aws.s3.part_number",
}


def calling(
    operation: str,
    bucket: str,
    arguments: Mapping[str, Any],
    expected: tuple[type[Exception], ...] = (),
) -> AbstractContextManager[Span]:
    """The span of one call, such as `get_object`, if anything is being traced now.

    `expected` errors are answers, as in `tracing.within`.
    """
    if not tracing.recording():
        return tracing.within(operation)
    method = operation.title().replace("_", "")
    attributes: dict[str, str | bool | int | float] = {
        "rpc.system.name": "aws-api",
        "rpc.method": f"S3/{method}",
        "aws.s3.bucket": bucket,
    }
    attributes |= {
        name: arguments[argument] for argument, name in _ARGUMENTS.items() if argument in arguments
    }
    # A body that is a stream knows no length.
    if isinstance(body := arguments.get("Body"), bytes):
        attributes["http.request.body.size"] = len(body)
    return tracing.within(f"S3/{method}", SpanKind.CLIENT, attributes, expected=expected)
