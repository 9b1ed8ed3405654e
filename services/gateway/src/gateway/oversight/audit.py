"""Who did what to which job."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlencode

from contracts.base import Contract, Id, Name, Timestamp
from contracts.queries import AuditEntry, AuditPage, ListAudit
from eventlog.rpc import ask
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from gateway.context import TheGateway, ThePrincipal
from gateway.oversight import reach
from gateway.oversight.tables import described, table, wants_csv

router = APIRouter(prefix="/api", tags=["oversight"])


class AuditItem(Contract):
    """One thing that somebody did to a job."""

    sequence: int = Field(description="of its event in the log")
    id: str = Field(description="of its event in the log")
    job_id: Id
    owner: Id = Field(description="whose job it is")
    by: Id = Field(description="who did it")
    action: Name = Field(
        description="requested, consented, cancelled, retried, deleted, erased or letter_dropped"
    )
    time: Timestamp
    details: dict[str, Any]


class AuditList(Contract):
    """One page of what was done, newest first."""

    entries: tuple[AuditItem, ...]
    next: int | None = Field(description="give it as `before` to get the page after this one")


_HEADINGS = ("sequence", "time", "by", "action", "jobId", "owner", "id", "details")
_EXAMPLE = (
    ",".join(_HEADINGS)
    + "\r\n1804,2026-11-22T18:55:00+00:00,ada,retried,01jbz3k9m2d4x6w8q0r5t7v1ya,ada,e1,{}\r\n"
)


@router.get("/audit", response_model=AuditList, responses=described(_EXAMPLE))
async def list_audit(
    request: Request,
    response: Response,
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    everyone: reach.Everyone = False,
    by: Annotated[Id | None, Query(description="only what this person did")] = None,
    action: Annotated[Name | None, Query(description="only this kind of thing")] = None,
    job: Annotated[Id | None, Query(description="only what was done to this job")] = None,
    before: Annotated[
        int | None, Query(ge=1, lt=2**63, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AuditList | Response:
    """What people did to jobs, newest first, as it stands in the log.

    With `Accept: text/csv` as a table; `Link` with `rel="next"` then leads to the next page.
    """
    reach.check(principal, everyone=everyone)
    query = ListAudit(
        owner=principal.owner,
        everyone=everyone,
        by=by,
        action=action,
        job=job,
        before=before,
        limit=limit,
        min_position=gateway.live.position,
    )
    page, _ = await ask(gateway.broker, query, AuditPage)
    if wants_csv(request.headers.get("accept")):
        made = table("audit", _HEADINGS, map(_cells, page.entries))
        if page.next_before is not None:
            made.headers["Link"] = f'<{_next(request, page.next_before)}>; rel="next"'
        return made
    response.headers["Vary"] = "Accept"
    return AuditList(entries=tuple(map(_item, page.entries)), next=page.next_before)


def _item(entry: AuditEntry) -> AuditItem:
    return AuditItem(job_id=entry.job, **entry.model_dump(exclude={"job"}))


def _cells(entry: AuditEntry) -> tuple[Any, ...]:
    details = json.dumps(entry.details, ensure_ascii=False)
    return (
        entry.sequence,
        entry.time.isoformat(),
        entry.by,
        entry.action,
        entry.job,
        entry.owner,
        entry.id,
        details,
    )


def _next(request: Request, before: int) -> str:
    """The address of the page after this one (RFC 8288)."""
    return f"{request.url.path}?{urlencode({**request.query_params, 'before': before})}"
