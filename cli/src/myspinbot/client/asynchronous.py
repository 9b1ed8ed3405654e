"""The client for programs that run on asyncio; `Client` is the same for all others."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from myspinbot.client.access import AsyncTokens, AsyncWebhooks
from myspinbot.client.artifacts import AsyncArtifacts
from myspinbot.client.jobs import AsyncJobs
from myspinbot.client.library import AsyncPipelines, AsyncProfiles
from myspinbot.client.oversight import AsyncDeadLetters, AsyncOversight
from myspinbot.client.replies import Capabilities, Estimate, Runner, Session, Stats
from myspinbot.client.target import Target, find_target
from myspinbot.client.transport import Transport, read_all
from myspinbot.client.uploads import AsyncUploads


class AsyncClient:
    """A connection to one system; use it as an asynchronous context manager.

    Without an `api`, `MYSPINBOT_API` names the system, and without that it is the one that runs
    on this machine. Without a `token`, `MYSPINBOT_TOKEN` has it, and the system on this machine
    needs none given. With a `patience_s`, requests are sent again for so long while nobody
    answers. All methods raise a ClientError, which has a `cause` and a `remedy`.
    """

    def __init__(
        self, api: str | Target | None = None, *, token: str | None = None, patience_s: float = 0.0
    ) -> None:
        target = api if isinstance(api, Target) else find_target(api, token)
        self.api = target.api
        self._transport = Transport(target, patience_s)
        self.uploads = AsyncUploads(self._transport)
        self.jobs = AsyncJobs(self._transport, self.uploads)
        self.artifacts = AsyncArtifacts(self._transport)
        self.profiles = AsyncProfiles(self._transport)
        self.pipelines = AsyncPipelines(self._transport)
        self.tokens = AsyncTokens(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.dead_letters = AsyncDeadLetters(self._transport)
        self.oversight = AsyncOversight(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._transport.close()

    async def capabilities(self) -> Capabilities:
        """The engines that there are, by kind of stage, and the limits of a request."""
        return await self._transport.get(Capabilities, "/api/capabilities")

    async def runners(self) -> tuple[Runner, ...]:
        """The runners that live, with their devices and engines."""
        reply = await self._transport.json("GET", "/api/runners")
        return read_all(Runner, "/api/runners", reply.get("runners", ()))

    async def stats(self) -> Stats:
        """Counts of jobs, storage, and how long stages take."""
        return await self._transport.get(Stats, "/api/stats")

    async def estimates(
        self,
        type: str,  # noqa: A002 - the API's own word
        *,
        inputs: Iterable[str] = (),
    ) -> tuple[Estimate, ...]:
        """How long a job would take, for each quality. `inputs` are as in `["photos", "clip"]`."""
        query = {"type": type, "inputs": ",".join(inputs) or None}
        reply = await self._transport.json("GET", "/api/estimates", query=query)
        return read_all(Estimate, "/api/estimates", reply.get("estimates", ()))

    async def session(self) -> Session:
        """Who one is to the system, and what one may do."""
        return await self._transport.get(Session, "/api/session")

    async def readiness(self) -> dict[str, Any]:
        """What `/ready` says, also when it says that the gateway is not ready."""
        return await self._transport.readiness()

    async def server_time(self) -> str | None:
        """The gateway's clock, as the `Date` header of HTTP tells it."""
        reply = await self._transport.request("GET", "/health")
        return str(reply.headers["Date"]) if "Date" in reply.headers else None
