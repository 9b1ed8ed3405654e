"""What jobs are made with: trained profiles and pipelines."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from myspinbot.client.paging import pages
from myspinbot.client.replies import Pipeline, Profile, ProfileList
from myspinbot.client.transport import Transport, read_all


class AsyncProfiles:
    """The persons that can speak."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self, *, before: str | None = None, limit: int | None = None) -> ProfileList:
        """One page of profiles, newest first."""
        query = {"before": before, "limit": limit}
        return await self._transport.get(ProfileList, "/api/profiles", query)

    async def every(self) -> AsyncGenerator[Profile]:
        """All profiles, newest first; the pages are fetched as they are needed."""

        async def page(before: str | None) -> ProfileList:
            return await self.list(before=before, limit=200)

        async with contextlib.aclosing(pages(page)) as found:
            async for each in found:
                for profile in each.profiles:
                    yield profile

    async def get(self, profile: str) -> Profile:
        """A profile, with the jobs that were made with it."""
        return await self._transport.get(Profile, f"/api/profiles/{profile}")

    async def delete(self, profile: str) -> None:
        """Erase a person, with every job that was made with them: training, videos and all."""
        await self._transport.delete(f"/api/profiles/{profile}")


class AsyncPipelines:
    """Graphs of stages, built in and of one's own."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Pipeline, ...]:
        """All pipelines."""
        reply = await self._transport.json("GET", "/api/pipelines")
        return read_all(Pipeline, "/api/pipelines", reply.get("pipelines", ()))

    async def get(self, pipeline: str) -> Pipeline:
        """One pipeline."""
        return await self._transport.get(Pipeline, f"/api/pipelines/{pipeline}")

    async def mermaid(self, pipeline: str) -> str:
        """A pipeline's drawing, as a text that Mermaid and GitHub understand."""
        reply = await self._transport.request("GET", f"/api/pipelines/{pipeline}/mermaid")
        return reply.text

    async def create(self, name: str, graph: Mapping[str, Any]) -> Pipeline:
        """Keep a graph under a name, once it was found to be sound."""
        body = {"name": name, "graph": dict(graph)}
        return await self._transport.post(Pipeline, "/api/pipelines", body)

    async def delete(self, pipeline: str) -> None:
        """Delete a pipeline of one's own."""
        await self._transport.delete(f"/api/pipelines/{pipeline}")
