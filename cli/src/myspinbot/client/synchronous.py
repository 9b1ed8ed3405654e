"""The client for programs without asyncio: each method waits for its twin's work."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from myspinbot.client.access import AsyncTokens, AsyncWebhooks
from myspinbot.client.artifacts import AsyncArtifacts
from myspinbot.client.asynchronous import AsyncClient
from myspinbot.client.blocking import Blocking, LoopThread, blocking, iterating
from myspinbot.client.jobs import AsyncJobs
from myspinbot.client.library import AsyncPipelines, AsyncProfiles
from myspinbot.client.oversight import AsyncDeadLetters, AsyncOversight
from myspinbot.client.target import Target
from myspinbot.client.uploads import AsyncUploads


class Uploads(Blocking[AsyncUploads]):
    """Files that jobs are to be made from."""

    send = blocking(AsyncUploads.send)
    get = blocking(AsyncUploads.get)
    complete = blocking(AsyncUploads.complete)
    delete = blocking(AsyncUploads.delete)


class Jobs(Blocking[AsyncJobs]):
    """The jobs of a system."""

    create = blocking(AsyncJobs.create)
    list = blocking(AsyncJobs.list)
    every = iterating(AsyncJobs.every)
    status = blocking(AsyncJobs.status)
    get = blocking(AsyncJobs.get)
    timeline = blocking(AsyncJobs.timeline)
    trace = blocking(AsyncJobs.trace)
    history = iterating(AsyncJobs.history)
    events = iterating(AsyncJobs.events)
    watch = iterating(AsyncJobs.watch)
    logs = blocking(AsyncJobs.logs)
    lines = iterating(AsyncJobs.lines)
    cancel = blocking(AsyncJobs.cancel)
    retry = blocking(AsyncJobs.retry)
    fork = blocking(AsyncJobs.fork)
    delete = blocking(AsyncJobs.delete)


class Artifacts(Blocking[AsyncArtifacts]):
    """What jobs have made."""

    download = blocking(AsyncArtifacts.download)
    save = blocking(AsyncArtifacts.save)
    thumbnail = blocking(AsyncArtifacts.thumbnail)
    lend = blocking(AsyncArtifacts.lend)


class Profiles(Blocking[AsyncProfiles]):
    """The persons that can speak."""

    list = blocking(AsyncProfiles.list)
    every = iterating(AsyncProfiles.every)
    get = blocking(AsyncProfiles.get)
    delete = blocking(AsyncProfiles.delete)


class Pipelines(Blocking[AsyncPipelines]):
    """Graphs of stages, built in and of one's own."""

    list = blocking(AsyncPipelines.list)
    get = blocking(AsyncPipelines.get)
    mermaid = blocking(AsyncPipelines.mermaid)
    create = blocking(AsyncPipelines.create)
    delete = blocking(AsyncPipelines.delete)


class Tokens(Blocking[AsyncTokens]):
    """Secrets by which programs are let in."""

    list = blocking(AsyncTokens.list)
    create = blocking(AsyncTokens.create)
    revoke = blocking(AsyncTokens.revoke)


class Webhooks(Blocking[AsyncWebhooks]):
    """Addresses that are told of what happens."""

    list = blocking(AsyncWebhooks.list)
    get = blocking(AsyncWebhooks.get)
    create = blocking(AsyncWebhooks.create)
    delete = blocking(AsyncWebhooks.delete)
    test = blocking(AsyncWebhooks.test)
    deliveries = blocking(AsyncWebhooks.deliveries)
    redeliver = blocking(AsyncWebhooks.redeliver)


class DeadLetters(Blocking[AsyncDeadLetters]):
    """Attempts that took every runner with them.

    With `everyone`, those of all owners; it takes the scope `admin`.
    """

    list = blocking(AsyncDeadLetters.list)
    every = iterating(AsyncDeadLetters.every)
    get = blocking(AsyncDeadLetters.get)
    retry = blocking(AsyncDeadLetters.retry)
    drop = blocking(AsyncDeadLetters.drop)


class Oversight(Blocking[AsyncOversight]):
    """What jobs took and made, and who did what."""

    usage = blocking(AsyncOversight.usage)
    audit = blocking(AsyncOversight.audit)
    every_act = iterating(AsyncOversight.every_act)


class Client(Blocking[AsyncClient]):
    """A connection to one system; use it as a context manager.

    Without an `api`, `MYSPINBOT_API` names the system, and without that it is the one that runs
    on this machine. Without a `token`, `MYSPINBOT_TOKEN` has it, and the system on this machine
    needs none given. With a `patience_s`, requests are sent again for so long while nobody
    answers. All methods raise a ClientError, which has a `cause` and a `remedy`.

    It may be used from several threads. Events and updates are iterators: close them, or leave
    them to their end.
    """

    def __init__(
        self, api: str | Target | None = None, *, token: str | None = None, patience_s: float = 0.0
    ) -> None:
        twin = AsyncClient(api, token=token, patience_s=patience_s)
        loop = LoopThread()
        super().__init__(twin, loop)
        self.api = twin.api
        self.uploads = Uploads(twin.uploads, loop)
        self.jobs = Jobs(twin.jobs, loop)
        self.artifacts = Artifacts(twin.artifacts, loop)
        self.profiles = Profiles(twin.profiles, loop)
        self.pipelines = Pipelines(twin.pipelines, loop)
        self.tokens = Tokens(twin.tokens, loop)
        self.webhooks = Webhooks(twin.webhooks, loop)
        self.dead_letters = DeadLetters(twin.dead_letters, loop)
        self.oversight = Oversight(twin.oversight, loop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._loop.run(self._twin.close())
        self._loop.close()

    capabilities = blocking(AsyncClient.capabilities)
    runners = blocking(AsyncClient.runners)
    stats = blocking(AsyncClient.stats)
    estimates = blocking(AsyncClient.estimates)
    session = blocking(AsyncClient.session)
