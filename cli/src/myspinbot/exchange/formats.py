"""The formats that events are written in, and how one is known by a file's name."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from myspinbot.errors import MISUSED, CommandError

STANDARD = "-"
"""Stands for standard output or input."""


class Format(StrEnum):
    """How events are written."""

    JSONL = "jsonl"
    """One structured CloudEvent a line."""
    BATCH = "batch"
    """A JSON array of them: `application/cloudevents-batch+json`."""
    PARQUET = "parquet"
    """A table for tools of data analysis."""


_ENDINGS = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.BATCH,
    ".parquet": Format.PARQUET,
}
GZIP = ".gz"


def format_of(name: str, given: Format | None) -> tuple[Format, bool]:
    """The format of a file that is to be written, and whether it is compressed.

    CommandError if neither the name nor an option tells it.
    """
    suffixes = Path(name).suffixes[-2:] if name != STANDARD else []
    compressed = suffixes[-1:] == [GZIP]
    ending = suffixes[-2 if compressed else -1 :][:1]
    chosen = given or (Format.JSONL if name == STANDARD else _ENDINGS.get("".join(ending)))
    if chosen is None:
        raise CommandError(
            f"{name} does not say in which format it is to be written.",
            f"Let it end with {', '.join(_ENDINGS)}, the JSON ones also with {GZIP} after it, or "
            "choose one with --format.",
            MISUSED,
        )
    if compressed and chosen is Format.PARQUET:
        raise CommandError(
            "Parquet is compressed by itself.", f"Leave {GZIP} out of the name.", MISUSED
        )
    return chosen, compressed
