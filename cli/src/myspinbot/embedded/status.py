"""How a running stack stands: its programs, its queue, its jobs. Asked for again and again.

Programs are known to the supervisor, figures come from the services' metrics, and jobs from the
API, as any client sees them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from myspinbot.client import AsyncClient, ClientError
from myspinbot.client.replies import JobItem
from myspinbot.embedded import metrics
from myspinbot.embedded.supervision import State

_EVERY_S = 1.0
_STANDING = "myspinbot_planner_stages"
_WAITING = ("no_runner", "scheduled")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the metrics of all services say. Ages and lags are in seconds."""

    waiting: Mapping[str, int] = field(default_factory=dict)
    """Stages that wait for a runner, by kind; kinds without any are left out."""
    running: int = 0
    oldest_s: float = 0.0
    lag_events: int = 0
    lag_s: float = 0.0
    runners: int = 0

    @staticmethod
    def of(families: Iterable[Metric]) -> Figures:
        """From merged metrics."""
        values = [
            (sample.name, sample.labels, sample.value) for f in families for sample in f.samples
        ]

        def largest(name: str) -> float:
            return max((value for each, _, value in values if each == name), default=0.0)

        stages = [(labels, int(value)) for name, labels, value in values if name == _STANDING]
        waiting: dict[str, int] = {}
        for labels, count in stages:
            if labels["state"] in _WAITING and count:
                waiting[labels["kind"]] = waiting.get(labels["kind"], 0) + count
        return Figures(
            waiting=waiting,
            running=sum(count for labels, count in stages if labels["state"] == "running"),
            oldest_s=largest("myspinbot_planner_queue_age_seconds"),
            lag_events=int(largest("myspinbot_projector_lag_events")),
            lag_s=largest("myspinbot_projector_lag_seconds"),
            runners=int(largest("myspinbot_planner_runners")),
        )


@dataclass(frozen=True, slots=True)
class Status:
    """One look. `jobs` is None while the API does not answer; times of states are of `now`."""

    programs: Mapping[str, State]
    now: float
    figures: Figures = field(default_factory=Figures)
    jobs: tuple[JobItem, ...] | None = None


@dataclass(frozen=True, slots=True)
class Watcher:
    """Looks at a stack."""

    states: Callable[[], Mapping[str, State]]
    admin_ports: Mapping[str, int]
    client: Callable[[], AbstractAsyncContextManager[AsyncClient]]
    most_jobs: int = 8
    clock: Callable[[], float] = time.monotonic

    async def looks(self) -> AsyncIterator[Status]:
        """Look once a second, for ever."""
        async with self.client() as client:
            while True:
                by_service, jobs = await asyncio.gather(
                    metrics.gather(self.admin_ports), self._jobs(client)
                )
                figures = Figures.of(metrics.merge(by_service))
                yield Status(self.states(), self.clock(), figures, jobs)
                await asyncio.sleep(_EVERY_S)

    async def _jobs(self, client: AsyncClient) -> tuple[JobItem, ...] | None:
        try:
            found = await client.jobs.list(status=["running", "queued"], limit=self.most_jobs)
        except ClientError:
            return None
        return found.jobs
