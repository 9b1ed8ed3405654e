"""What stages took and made, day by day."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Any

from contracts.base import Contract
from contracts.queries import DailyUsage, ListDailyUsage, UsageDay
from eventlog.log import utc_now
from eventlog.rpc import ask
from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator, Field

from gateway.context import TheGateway, ThePrincipal
from gateway.oversight import reach
from gateway.oversight.tables import described, table, wants_csv
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api", tags=["oversight"])

_BEFORE = timedelta(29)
_MOST_DAYS = 366
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _is_day(value: Any) -> Any:
    # Pydantic alone would take seconds since 1970, and times.
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("a day is written like 2026-11-22")
    return value


Day = Annotated[date, BeforeValidator(_is_day)]


class DailyUsageView(Contract):
    """What was used on each day of a range, in UTC; days without any use are left out."""

    since: date
    until: date = Field(description="the last day, included")
    days: tuple[UsageDay, ...]


_EXAMPLE = (
    "day,owner,jobs,attempts,madeBytes,deviceS,deviceS cpu,deviceS cuda:0\r\n"
    "2026-11-22,ada,3,14,48211034,512.5,80.5,432.0\r\n"
)


@router.get("/usage/daily", response_model=DailyUsageView, responses=described(_EXAMPLE))
async def get_daily_usage(
    request: Request,
    response: Response,
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    since: Annotated[
        Day | None, Query(description="the first day; 30 days ago if left out")
    ] = None,
    until: Annotated[Day | None, Query(description="the last day; today if left out")] = None,
    everyone: reach.Everyone = False,
) -> DailyUsageView | Response:
    """Seconds on devices, bytes and jobs by day, in UTC, of at most 366 days.

    With `Accept: text/csv` as a table, which has a column for each device.
    """
    reach.check(principal, everyone=everyone)
    last = until or utc_now().date()
    # The first day that there is has none before it.
    first = since or max(last, date.min + _BEFORE) - _BEFORE
    if not timedelta(0) <= last - first < timedelta(_MOST_DAYS):
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            f"From {first} to {last} is no range of 1 to {_MOST_DAYS} days.",
            "Ask for `since` and `until` in this order, and for a year at most.",
        )
    query = ListDailyUsage(
        owner=principal.owner,
        since=first,
        until=last,
        everyone=everyone,
        min_position=gateway.live.position,
    )
    usage, _ = await ask(gateway.broker, query, DailyUsage)
    if wants_csv(request.headers.get("accept")):
        return _as_table(usage)
    response.headers["Vary"] = "Accept"
    return DailyUsageView(since=first, until=last, days=usage.days)


def _as_table(usage: DailyUsage) -> Response:
    devices = sorted({device for day in usage.days for device in day.device_s})
    headings = ["day", "owner", "jobs", "attempts", "madeBytes", "deviceS"]
    return table(
        "usage",
        [*headings, *(f"deviceS {device}" for device in devices)],
        (
            [
                day.day,
                day.owner,
                day.jobs,
                day.attempts,
                day.made_bytes,
                round(sum(day.device_s.values()), 3),
                *(round(day.device_s.get(device, 0.0), 3) for device in devices),
            ]
            for day in usage.days
        ),
    )
