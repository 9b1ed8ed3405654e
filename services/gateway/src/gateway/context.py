"""What the routes work with, made once when the gateway starts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Annotated

from contracts.base import make_id
from contracts.capabilities import Capabilities, PlannerManifest, RunnerManifest, merge
from eventlog.broker import Broker
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog, utc_now
from eventlog.registry import Registry
from fastapi import Depends
from fastapi.requests import HTTPConnection
from servicekit.objects import CONNECTIONS, ObjectStore

from gateway.access.authenticator import Authenticator, unauthenticated
from gateway.access.principal import Principal
from gateway.artifacts.slots import Slots
from gateway.artifacts.thumbnails import Thumbnails
from gateway.installation.outlook import Outlook
from gateway.installation.queue import LiveQueue
from gateway.jobs.cards import Cards
from gateway.jobs.names import Names, Texts
from gateway.live import LiveJobs
from gateway.problems import ProblemKind, unavailable
from gateway.settings import Settings
from gateway.webhooks.desk import WebhookDesk

_PARTS = 8
_PART_PATIENCE_S = 60.0
# The store's other connections are left to everything else.
_DOWNLOADS = CONNECTIONS - 48
_DOWNLOADS_EACH = 16


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that a route may need."""

    settings: Settings
    broker: Broker
    log: EventLog
    live: LiveJobs
    queue: LiveQueue
    outlook: Outlook
    config: KeyValue
    names: Names
    texts: Texts
    cards: Cards
    runners: Registry[RunnerManifest]
    planners: Registry[PlannerManifest]
    store: ObjectStore
    access: Authenticator
    thumbnails: Thumbnails
    webhooks: WebhookDesk
    public_store: ObjectStore | None = None
    """The store as browsers reach it, if they do."""
    parts: Slots = field(default_factory=lambda: Slots(_PARTS, _PARTS // 2, _PART_PATIENCE_S))
    """How many parts of uploads may lie in memory at once."""
    downloads: Slots = field(default_factory=lambda: Slots(_DOWNLOADS, _DOWNLOADS_EACH))
    """How many objects may be on their way to clients at once."""

    def capabilities(self) -> Capabilities:
        """What live runners and planners can do now."""
        return merge(self.runners.live, self.planners.live)

    def new_id(self) -> str:
        """A fresh identifier that sorts by time."""
        return make_id(utc_now(), secrets.token_bytes(10))


async def _gateway(connection: HTTPConnection) -> Gateway:
    gateway = getattr(connection.app.state, "gateway", None)
    if gateway is None:
        raise unavailable(
            "The gateway has not yet reached the broker and the object store.",
            ProblemKind.STARTING,
        )
    return gateway  # type: ignore[no-any-return]


async def _maybe_principal(connection: HTTPConnection) -> Principal | None:
    return getattr(connection.state, "principal", None)


async def _principal(connection: HTTPConnection) -> Principal:
    principal = await _maybe_principal(connection)
    if principal is None:
        raise unauthenticated("This needs a token, and none was sent.", tried=False)
    return principal


async def _owner(connection: HTTPConnection) -> str:
    return (await _principal(connection)).owner


TheGateway = Annotated[Gateway, Depends(_gateway)]
MaybePrincipal = Annotated[Principal | None, Depends(_maybe_principal)]
ThePrincipal = Annotated[Principal, Depends(_principal)]
Owner = Annotated[str, Depends(_owner)]
