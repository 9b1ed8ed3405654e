"""Who did what, what it took, and what nobody could do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from datetime import date

from myspinbot.client.paging import pages
from myspinbot.client.replies import (
    AuditEntry,
    AuditList,
    DailyUsage,
    DeadLetter,
    DeadLetterList,
)
from myspinbot.client.transport import Transport

_PATH = "/api/dead-letters"


class AsyncDeadLetters:
    """Attempts that took every runner with them.

    With `everyone`, those of all owners; it takes the scope `admin`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(
        self,
        *,
        status: str | None = None,
        everyone: bool = False,
        before: int | None = None,
        limit: int | None = None,
    ) -> DeadLetterList:
        """One page of dead letters, newest first; `status` is open, retried or dropped."""
        query = {
            "status": status,
            "everyone": _flag(everyone),
            "before": before,
            "limit": limit,
        }
        return await self._transport.get(DeadLetterList, _PATH, query)

    async def every(
        self, *, status: str | None = None, everyone: bool = False
    ) -> AsyncGenerator[DeadLetter]:
        """All dead letters, newest first; the pages are fetched as they are needed."""

        async def page(before: int | None) -> DeadLetterList:
            return await self.list(status=status, everyone=everyone, before=before, limit=200)

        async with contextlib.aclosing(pages(page)) as found:
            async for each in found:
                for letter in each.letters:
                    yield letter

    async def get(
        self, job: str, stage: str, attempt: int, *, everyone: bool = False
    ) -> DeadLetter:
        """All that is known of one: its failure, who took it, and the last that it wrote."""
        query = {"everyone": _flag(everyone)}
        return await self._transport.get(DeadLetter, _place(job, stage, attempt), query)

    async def retry(
        self, job: str, stage: str, attempt: int, *, everyone: bool = False
    ) -> DeadLetter:
        """Try its job again from where it failed."""
        return await self._act("retry", job, stage, attempt, everyone=everyone)

    async def drop(
        self, job: str, stage: str, attempt: int, *, everyone: bool = False
    ) -> DeadLetter:
        """Let it rest. Its job stays failed."""
        return await self._act("drop", job, stage, attempt, everyone=everyone)

    async def _act(
        self, act: str, job: str, stage: str, attempt: int, *, everyone: bool
    ) -> DeadLetter:
        more = "?everyone=true" if everyone else ""
        path = f"{_place(job, stage, attempt)}/{act}{more}"
        return await self._transport.post(DeadLetter, path)


class AsyncOversight:
    """What jobs took and made, and who did what."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def usage(
        self, since: date | None = None, until: date | None = None, *, everyone: bool = False
    ) -> DailyUsage:
        """Usage by day in UTC, both days included; the last thirty days if none are given."""
        query = {
            "since": since.isoformat() if since else None,
            "until": until.isoformat() if until else None,
            "everyone": _flag(everyone),
        }
        return await self._transport.get(DailyUsage, "/api/usage/daily", query)

    async def audit(
        self,
        *,
        job: str | None = None,
        by: str | None = None,
        action: str | None = None,
        everyone: bool = False,
        before: int | None = None,
        limit: int | None = None,
    ) -> AuditList:
        """One page of what people did to jobs, newest first."""
        query = {
            "job": job,
            "by": by,
            "action": action,
            "everyone": _flag(everyone),
            "before": before,
            "limit": limit,
        }
        return await self._transport.get(AuditList, "/api/audit", query)

    async def every_act(
        self,
        *,
        job: str | None = None,
        by: str | None = None,
        action: str | None = None,
        everyone: bool = False,
    ) -> AsyncGenerator[AuditEntry]:
        """All that people did, newest first; the pages are fetched as they are needed."""

        async def page(before: int | None) -> AuditList:
            return await self.audit(
                job=job, by=by, action=action, everyone=everyone, before=before, limit=200
            )

        async with contextlib.aclosing(pages(page)) as found:
            async for each in found:
                for entry in each.entries:
                    yield entry


def _flag(everyone: bool) -> str | None:
    return "true" if everyone else None


def _place(job: str, stage: str, attempt: int) -> str:
    return f"{_PATH}/{job}/{stage}/{attempt}"
