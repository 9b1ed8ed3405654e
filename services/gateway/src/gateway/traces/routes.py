"""The trace of a job over HTTP, for its owner alone."""

from __future__ import annotations

from datetime import timedelta

from contracts.spans import Span
from eventlog.errors import UnavailableError
from eventlog.log import utc_now
from eventlog.spans import JobSpans
from fastapi import APIRouter

from gateway.context import Owner, TheGateway
from gateway.jobs.routes import find
from gateway.jobs.views.jobs import trace_id_of, trace_url_of
from gateway.traces.story import story
from gateway.traces.view import MOST_SPANS, TraceView, views_of

router = APIRouter(prefix="/api", tags=["jobs"])


@router.get("/jobs/{job}/trace")
async def get_trace(job: str, gateway: TheGateway, owner: Owner) -> TraceView:
    """Where the time of a job went: every span from the request to the last row written.

    Spans are kept for a day, and only of traced requests; the log tells of the rest.
    """
    live = await find(gateway, job, owner)
    try:
        spans = await JobSpans(gateway.broker).read(job)
    except UnavailableError:
        # A broker that has just started has no stream of spans yet; the log tells the rest.
        spans = []
    told = story([recorded async for recorded in gateway.log.read_job(job)])
    views = views_of(_newest(spans), told, utc_now())
    begin = views[0].started_at if views else None
    ends = (one.started_at + timedelta(seconds=one.duration_s) for one in views)
    return TraceView(
        job_id=job,
        trace_id=trace_id_of(live.state),
        trace_url=trace_url_of(live.state, gateway.settings.trace_url),
        started_at=begin,
        duration_s=round((max(ends) - begin).total_seconds(), 6) if begin else 0.0,
        sampled=any(one.source == "span" for one in views),
        truncated=len(views) > MOST_SPANS,
        spans=views[:MOST_SPANS],
    )


def _newest(spans: list[Span]) -> list[Span]:
    """Each span once: a service that was not sure that it was heard tells it again."""
    return list({span.span_id: span for span in spans}.values())
