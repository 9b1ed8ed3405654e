"""Jobs: asked for, looked at, followed, steered, and their results fetched."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any

from contracts.consent import Statement

from myspinbot.client import live
from myspinbot.client.paging import pages
from myspinbot.client.replies import (
    JobDetail,
    JobItem,
    JobList,
    JobUpdate,
    LogLine,
    LogPage,
    Status,
    Timeline,
    TimelineEvent,
    Trace,
)
from myspinbot.client.transport import Transport
from myspinbot.client.uploads import AsyncUploads, Kind, OnSent

AnyPath = str | PathLike[str]


class AsyncJobs:
    """The jobs of a system."""

    def __init__(self, transport: Transport, uploads: AsyncUploads) -> None:
        self._transport = transport
        self._uploads = uploads

    async def create(
        self,
        *,
        photos: Iterable[AnyPath] = (),
        clip: AnyPath | None = None,
        music: AnyPath | None = None,
        script: str = "",
        topic: str = "",
        profile: str | None = None,
        consent: Statement | None = None,
        name: str = "",
        prompt: str = "",
        quality: str | None = None,
        engines: Mapping[str, str] | None = None,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int | None = None,
        pipeline: str | None = None,
        graph: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        on_sent: OnSent | None = None,
    ) -> Status:
        """Ask for a job: a video if there is a script or a topic, else a training, or a pipeline.

        A video is of a `profile`, or of photos (and a clip) that are trained on first. Photos and
        a clip need a `consent`: whose face and voice they are, and what they may be used for; a
        profile brings its own. `music` plays under the speech. `engines`
        and `params` are by kind of stage, as `capabilities` announces them. The same
        `idempotency_key` makes the same job once, from whatever program it is sent.
        """
        uploads: dict[str, Any] = {}
        if sent := await self._uploads.send([Path(photo) for photo in photos], "photo", on_sent):
            uploads["photos"] = [upload.upload_id for upload in sent]
            uploads["photoNames"] = [upload.name for upload in sent]
        sounds: tuple[tuple[Kind, AnyPath | None], ...] = (("clip", clip), ("music", music))
        for kind, path in sounds:
            if path is not None:
                [sound] = await self._uploads.send([Path(path)], kind, on_sent)
                uploads[kind] = sound.upload_id
        asked_for = "generate" if script or topic else "train"
        body = {
            "type": "pipeline" if pipeline or graph else asked_for,
            "uploads": uploads,
            "script": script,
            "topic": topic,
            "profileId": profile,
            "consent": consent
            and consent.model_dump(mode="json", by_alias=True, exclude_none=True),
            "name": name,
            "prompt": prompt,
            "quality": quality,
            "engines": engines,
            "params": params,
            "pipeline": pipeline,
            "graph": graph,
        }
        given: dict[str, Any] = {field: value for field, value in body.items() if value}
        if seed is not None:
            given["seed"] = seed
        return await self._transport.post(Status, "/api/jobs", given, key=idempotency_key)

    async def list(
        self,
        *,
        status: Iterable[str] = (),
        type: str | None = None,  # noqa: A002 - the API's own word
        profile: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> JobList:
        """One page of jobs, newest first."""
        query = {
            "status": list(status) or None,
            "type": type,
            "profile": profile,
            "createdAfter": created_after.isoformat() if created_after else None,
            "createdBefore": created_before.isoformat() if created_before else None,
            "before": before,
            "limit": limit,
        }
        return await self._transport.get(JobList, "/api/jobs", query)

    async def every(
        self,
        *,
        status: Iterable[str] = (),
        type: str | None = None,  # noqa: A002 - the API's own word
        profile: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> AsyncGenerator[JobItem]:
        """All jobs, newest first; the pages are fetched as they are needed."""
        wanted = tuple(status)

        async def page(before: str | None) -> JobList:
            return await self.list(
                status=wanted,
                type=type,
                profile=profile,
                created_after=created_after,
                created_before=created_before,
                before=before,
                limit=200,
            )

        async with contextlib.aclosing(pages(page)) as found:
            async for each in found:
                for item in each.jobs:
                    yield item

    async def status(self, job: str) -> Status:
        """How a job stands, in short."""
        return await self._transport.get(Status, f"/api/status/{job}")

    async def get(self, job: str, at: int | None = None) -> JobDetail:
        """A job with everything of it; with `at`, as it was right after that event of the log."""
        return await self._transport.get(JobDetail, f"/api/jobs/{job}", {"at": at})

    async def timeline(
        self, job: str, after: int | None = None, limit: int | None = None
    ) -> Timeline:
        """One page of a job's events."""
        return await self._transport.get(
            Timeline, f"/api/jobs/{job}/timeline", {"after": after, "limit": limit}
        )

    async def history(self, job: str, after: int = 0) -> AsyncGenerator[TimelineEvent]:
        """All events that a job's log has now, after a position."""

        async def page(last: int | None) -> Timeline:
            return await self.timeline(job, after=after if last is None else last)

        async with contextlib.aclosing(pages(page)) as found:
            async for each in found:
                for event in each.events:
                    yield event

    async def events(self, job: str, after: int = 0) -> AsyncGenerator[TimelineEvent]:
        """Every event after a position as it happens, in order and once, until the job ends."""
        async with contextlib.aclosing(live.events(self._transport, job, after)) as happening:
            async for event in happening:
                yield event

    async def watch(self, job: str) -> AsyncGenerator[JobUpdate]:
        """How a job stands now, and then every change until it has ended.

        Goes on over a new connection when one breaks, for as long as a minute.
        """
        async with contextlib.aclosing(live.watch(self._transport, job)) as updates:
            async for update in updates:
                yield update

    async def trace(self, job: str) -> Trace:
        """Where the time of a job went, span by span."""
        return await self._transport.get(Trace, f"/api/jobs/{job}/trace")

    async def logs(
        self,
        job: str,
        *,
        stage: str | None = None,
        attempt: int | None = None,
        after: int | str | None = None,
        limit: int | None = None,
    ) -> LogPage:
        """One page of what a job's attempts said."""
        query = {"stage": stage, "attempt": attempt, "after": after, "limit": limit}
        return await self._transport.get(LogPage, f"/api/jobs/{job}/logs", query)

    async def lines(
        self,
        job: str,
        *,
        stage: str | None = None,
        attempt: int | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """What a job's attempts said; with `follow`, also what they say until it has ended."""
        last: int | str | None = None
        if follow:
            # The stream tells when there is something to read; what there is, the pages tell,
            # so that a cut loses nothing.
            async with contextlib.aclosing(live.happenings(self._transport, job)) as happening:
                async for message in happening:
                    if message.event not in ("open", "line", "end"):
                        continue
                    async for line in self._rest(job, stage, attempt, last):
                        last = line.id
                        yield line
        async for line in self._rest(job, stage, attempt, last):
            yield line

    async def _rest(
        self, job: str, stage: str | None, attempt: int | None, after: int | str | None
    ) -> AsyncGenerator[LogLine]:
        async def page(last: int | str | None) -> LogPage:
            return await self.logs(
                job, stage=stage, attempt=attempt, after=after if last is None else last
            )

        async for each in pages(page):
            for line in each.lines:
                yield line

    async def cancel(self, job: str) -> Status:
        """Stop a job. What it has made is kept."""
        return await self._transport.post(Status, f"/api/jobs/{job}/cancel")

    async def retry(self, job: str) -> Status:
        """Try a failed or cancelled job again from where it ended."""
        return await self._transport.post(Status, f"/api/jobs/{job}/retry")

    async def fork(
        self,
        job: str,
        stage: str,
        *,
        params: Mapping[str, Mapping[str, Any]] | None = None,
        engines: Mapping[str, str] | None = None,
        quality: str | None = None,
        seed: int | None = None,
        script: str | None = None,
        topic: str | None = None,
        prompt: str | None = None,
        name: str | None = None,
        idempotency_key: str | None = None,
    ) -> Status:
        """A new job that takes over what does not follow from `stage`, and does the rest anew."""
        body = {
            "from": stage,
            "params": params,
            "engines": engines,
            "quality": quality,
            "seed": seed,
            "script": script,
            "topic": topic,
            "prompt": prompt,
            "name": name,
        }
        given = {field: value for field, value in body.items() if value not in (None, {})}
        return await self._transport.post(
            Status, f"/api/jobs/{job}/fork", given, key=idempotency_key
        )

    async def delete(self, job: str) -> None:
        """Delete a job that has ended, with everything that only it needs."""
        await self._transport.delete(f"/api/jobs/{job}")
