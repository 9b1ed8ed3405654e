"""Dead letters over HTTP: attempts that killed every runner that took them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Annotated

from contracts.job import JobStatus
from contracts.queries import DeadLetter, DeadLetterPage, LetterStatus, ListDeadLetters
from eventlog.rpc import NotFoundError, ask
from eventlog.stagelogs import StageLogs
from fastapi import APIRouter, Path, Query

from contracts import events as e
from gateway import idempotency
from gateway.access.principal import Principal
from gateway.context import Gateway, TheGateway, ThePrincipal
from gateway.deadletters.trail import Trail
from gateway.deadletters.views import (
    DeadLetterItem,
    DeadLetterList,
    DeadLetterView,
    item_of,
    letter_of,
)
from gateway.idempotency import IdempotencyKey
from gateway.jobs.changes import current, tell, told
from gateway.jobs.routes import is_job_id
from gateway.live import LiveJob
from gateway.live.told import LogLine, line_of
from gateway.oversight import reach
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api/dead-letters", tags=["oversight"])

_LETTER = "/{job}/{stage}/{attempt}"
_LAST_LINES = 50
_PAGE = 1000
_AttemptNumber = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("")
async def list_dead_letters(
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    status: Annotated[LetterStatus | None, Query(description="all if left out")] = None,
    everyone: reach.Everyone = False,
    before: Annotated[
        int | None, Query(ge=1, lt=2**63, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DeadLetterList:
    """Attempts at stages after which no runner was left, newest first."""
    reach.check(principal, everyone=everyone)
    query = ListDeadLetters(
        owner=principal.owner,
        everyone=everyone,
        status=status,
        before=before,
        limit=limit,
        min_position=gateway.live.position,
    )
    page, _ = await ask(gateway.broker, query, DeadLetterPage)
    return DeadLetterList(
        letters=await _items(gateway, page.letters, principal), next=page.next_before
    )


@router.get(_LETTER)
async def get_dead_letter(
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    job: str,
    stage: str,
    attempt: _AttemptNumber,
    everyone: reach.Everyone = False,
) -> DeadLetterView:
    """All that is known of it: its failure, who took it, and the last that it wrote."""
    live = await _job(gateway, job, principal, everyone=everyone)
    return await _view(gateway, live, await _trail(gateway, job, stage, attempt), principal)


@router.post(_LETTER + "/retry", status_code=202)
async def retry_dead_letter(
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    job: str,
    stage: str,
    attempt: _AttemptNumber,
    everyone: reach.Everyone = False,
    key: IdempotencyKey = None,
) -> DeadLetterView:
    """Try its job again from where it failed: what is completed stays."""
    live = await _job(gateway, job, principal, everyone=everyone)
    trail = await _trail(gateway, job, stage, attempt)
    who = principal.owner
    await idempotency.claim(gateway.config, who, key, "retry-letter", job, stage, str(attempt))
    if not await told(gateway, job, who, key):
        if live.state.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
            since = f" It was tried again by {trail.settled_by}." if trail.settled_by else ""
            raise Problem(
                ProblemKind.NOTHING_TO_RETRY,
                f"The job has not failed any more: it is {live.state.status}.{since}",
                f"See how it goes: GET /api/jobs/{job}.",
            )
        await tell(gateway, job, who, key, e.JobRetryRequested(by=who))
    return await _view(gateway, live, await _trail(gateway, job, stage, attempt), principal)


@router.post(_LETTER + "/drop", status_code=202)
async def drop_dead_letter(
    gateway: TheGateway,
    principal: ThePrincipal,
    *,
    job: str,
    stage: str,
    attempt: _AttemptNumber,
    everyone: reach.Everyone = False,
    key: IdempotencyKey = None,
) -> DeadLetterView:
    """Let it rest: it is not open any more, and the job stays failed. Repeating changes nothing."""
    live = await _job(gateway, job, principal, everyone=everyone)
    trail = await _trail(gateway, job, stage, attempt)
    who = principal.owner
    await idempotency.claim(gateway.config, who, key, "drop-letter", job, stage, str(attempt))
    if trail.status is LetterStatus.RETRIED:
        raise Problem(
            ProblemKind.DEAD_LETTER_RETRIED,
            f"It was tried again by {trail.settled_by}, so there is nothing to drop.",
            f"See how that went: GET /api/jobs/{job}.",
        )
    if trail.status is LetterStatus.OPEN:
        dropped = e.DeadLetterDropped(stage=stage, attempt=attempt, by=who)
        await tell(gateway, job, who, key, dropped)
    return await _view(gateway, live, await _trail(gateway, job, stage, attempt), principal)


async def _job(gateway: Gateway, job: str, principal: Principal, *, everyone: bool) -> LiveJob:
    """The job as the log has it now: one's own, or anybody's for an administrator who says so."""
    reach.check(principal, everyone=everyone)
    owner = principal.owner
    if everyone and is_job_id(job):
        # The first event of a job is its request.
        first, _ = await gateway.log.read_page(job, 0, 1)
        if first and isinstance(first[0].event, e.JobRequested):
            owner = first[0].event.owner
    return await current(gateway, job, owner)


async def _trail(gateway: Gateway, job: str, stage: str, attempt: int) -> Trail:
    """What the log tells of the attempt; Problem if it is no dead letter."""
    trail, after, more = Trail(stage, attempt), 0, True
    while more:
        events, more = await gateway.log.read_page(job, after)
        trail.follow(events)
        after = events[-1].sequence if events else after
    if trail.failure is None:
        raise Problem(
            ProblemKind.NO_SUCH_DEAD_LETTER,
            "No dead letter of yours is of this stage and attempt.",
            "GET /api/dead-letters lists them.",
        )
    return trail


async def _view(
    gateway: Gateway, live: LiveJob, trail: Trail, principal: Principal
) -> DeadLetterView:
    lines = await _last_lines(gateway, live.job, trail.stage, trail.attempt)
    name = await gateway.names.of(live) if live.owner == principal.owner else None
    return letter_of(live, trail, name, lines)


async def _last_lines(gateway: Gateway, job: str, stage: str, attempt: int) -> tuple[LogLine, ...]:
    """The last that an attempt wrote. Lines can only be read forwards, so a page is kept."""
    logs, after = StageLogs(gateway.broker), 0
    last: deque[LogLine] = deque(maxlen=_LAST_LINES)
    while True:
        count = 0
        async for stored in logs.read(job, stage, attempt, after, _PAGE):
            after, count = stored.sequence, count + 1
            last.append(line_of(stored))
        if count < _PAGE:
            return tuple(last)


async def _items(
    gateway: Gateway, letters: tuple[DeadLetter, ...], principal: Principal
) -> tuple[DeadLetterItem, ...]:
    """Letters with the names of their jobs, as far as those are one's own."""
    own = sorted({letter.job for letter in letters if letter.owner == principal.owner})
    told_names = await asyncio.gather(*(_name(gateway, job, principal.owner) for job in own))
    names = dict(zip(own, told_names, strict=True))
    return tuple(item_of(letter, names.get(letter.job)) for letter in letters)


async def _name(gateway: Gateway, job: str, owner: str) -> str | None:
    try:
        return await gateway.names.of(await gateway.live.find(job, owner))
    except NotFoundError:
        return None
