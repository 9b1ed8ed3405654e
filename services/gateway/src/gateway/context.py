"""What the routes work with, made once when the gateway starts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated

from contracts.base import make_id
from contracts.capabilities import Capabilities, PlannerManifest, RunnerManifest, merge
from eventlog.broker import Broker
from eventlog.log import EventLog, utc_now
from eventlog.registry import Registry
from fastapi import Depends
from fastapi.requests import HTTPConnection
from servicekit.objects import ObjectStore

from gateway.live import LiveJobs
from gateway.names import Names
from gateway.problems import ProblemKind, unavailable
from gateway.security import owner_of
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that a route may need."""

    settings: Settings
    broker: Broker
    log: EventLog
    live: LiveJobs
    names: Names
    runners: Registry[RunnerManifest]
    planners: Registry[PlannerManifest]
    store: ObjectStore

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


async def _owner(connection: HTTPConnection) -> str:
    return owner_of(connection)


TheGateway = Annotated[Gateway, Depends(_gateway)]
Owner = Annotated[str, Depends(_owner)]
