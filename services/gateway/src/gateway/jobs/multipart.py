"""Reads multipart forms (RFC 7578) as they arrive, holding no more than one chunk.

The reader does no I/O: it is fed chunks of the body and returns what they mean, so
that a form of any size passes through a constant amount of memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

_LONGEST_NAME = 200


class MalformedFormError(ValueError):
    """The body is not the multipart form that its content type says."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A field begins. `filename` is None for a plain field."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the field that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The field is complete."""


PartEvent = PartBegin | PartData | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary that the `Content-Type` header gives; MalformedFormError if it has none."""
    media_type, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if media_type != b"multipart/form-data" or not boundary:
        raise MalformedFormError("the content type is not multipart/form-data with a boundary")
    return boundary


class MultipartReader:
    """One form. Feed it the body's chunks in order, then call `finish`."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[PartEvent] = []
        self._headers: dict[bytes, bytes] = {}
        self._field = b""
        self._value = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": lambda: self._events.append(PartEnd()),
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> list[PartEvent]:
        """What a chunk means; MalformedFormError if it is not part of a form."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedFormError(str(error)) from error
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Check that the form has come to its end; MalformedFormError if it was cut off."""
        if not self._ended:
            raise MalformedFormError("the form ends before its closing boundary")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name")
        if disposition != b"form-data" or name is None or len(name) > _LONGEST_NAME:
            raise MalformedFormError("a part of the form has no name, or one too long")
        filename = options.get(b"filename")
        self._events.append(
            PartBegin(
                name.decode("utf-8", "replace"),
                None if filename is None else filename.decode("utf-8", "replace"),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartData(data[start:end]))

    def _on_end(self) -> None:
        self._ended = True
