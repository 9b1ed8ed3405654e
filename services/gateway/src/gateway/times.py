"""Times in requests."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

# RFC 3339, 5.6. Pydantic alone would take numbers, as seconds since 1970, and times without zone.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _is_time(value: Any) -> Any:
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("a time is written like 2026-11-22T18:55:00Z")
    return value


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


Time = Annotated[AwareDatetime, BeforeValidator(_is_time), AfterValidator(_in_utc)]
"""A time with its zone, as RFC 3339 has it; in UTC from here on."""
