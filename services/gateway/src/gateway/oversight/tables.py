"""Answers as tables for spreadsheets, for whoever prefers that (RFC 4180; RFC 9110, 12.5)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.responses import Response

CSV = "text/csv"
_JSON = "application/json"


def wants_csv(accept: str | None) -> bool:
    """Whether an `Accept` header prefers CSV to JSON."""
    ranges = [_range(part) for part in (accept or "*/*").split(",")]
    return _quality(CSV, ranges) > _quality(_JSON, ranges)


def table(name: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response:
    """A CSV file of this name; every row has a cell for each heading."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headings)
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return Response(
        text.getvalue(),
        media_type=f"{CSV}; charset=utf-8; header=present",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "private, no-cache",
            "Vary": "Accept",
        },
    )


def described(example: str) -> dict[int | str, dict[str, Any]]:
    """What the OpenAPI document says of an answer that is also to be had as CSV."""
    content = {CSV: {"schema": {"type": "string"}, "example": example}}
    return {200: {"description": "As JSON, or as a table if `Accept` says so", "content": content}}


def _range(text: str) -> tuple[str, float]:
    media, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return media, float(weight)
    except ValueError:
        return media, 0.0


def _quality(media: str, ranges: Sequence[tuple[str, float]]) -> float:
    """How much a kind is wanted, by the most specific range that has it in it."""
    for wanted in (media, f"{media.partition('/')[0]}/*", "*/*"):
        found = [quality for name, quality in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0


def _safe(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) else cell
