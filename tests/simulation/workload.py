"""What people ask for in a simulated world, and when: jobs of all shapes, cancelled and retried.

It does what the gateway does for them: looks at the log first, then tells it what they want.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass, field

from contracts.artifacts import Artifact
from contracts.base import make_id
from contracts.graph import Binding, Edge, EdgeKind, Graph, RetryPolicy, Stage
from contracts.job import JobState, JobStatus, StageStatus
from eventlog.errors import BrokerError, ConflictError, UnavailableError
from eventlog.log import EventLog

from contracts import events as e
from tests.simulation import children
from tests.simulation.children import KINDS
from tests.simulation.lives import Life
from tests.simulation.store import Objects

_LOOK_AGAIN_S = 4.0
_CONTENT = b"a photo"
_PHOTO = Artifact(
    key="uploads/photo",
    size=len(_CONTENT),
    sha256=hashlib.sha256(_CONTENT).hexdigest(),
    media_type="image/png",
)
_ENDINGS: dict[tuple[str, ...], int] = {
    (children.DONE,): 8,
    (children.STUMBLED, children.DONE): 3,
    (children.STUMBLED,): 2,
    (children.DIED, children.DONE): 2,
    (children.REFUSED, children.DONE): 2,
    (children.HANGS, children.DONE): 2,
    (children.HANGS,): 1,
    (children.POISON, children.DONE): 1,
}
"""How the attempts at a stage end, and how often that is so."""


@dataclass
class People:
    """Everybody who wants something, and what was promised to them."""

    chance: random.Random
    objects: Objects
    accepted: list[str] = field(default_factory=list)
    """The jobs of which they were told that they are in the log."""
    busy: int = 0
    """How many of them still want something."""

    async def live(self, life: Life, log: EventLog) -> None:
        """Ask for everything. Runs as the gateway's work."""
        number = self.chance.choice((1, 1, 2, 2, 3, 4))
        self.busy = number
        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(self._one(life, log))

    async def _one(self, life: Life, log: EventLog) -> None:
        chance = self.chance
        await asyncio.sleep(chance.uniform(0.0, 10.0))
        job = await self._submit(life, log, self._request())
        if job and chance.random() < 0.5:
            await asyncio.sleep(chance.uniform(0.0, 12.0))
            await self._cancel(log, job)
        if job and chance.random() < 0.6:
            state = await self._ended(log, job)
            await self._afterwards(life, log, state)
        self.busy -= 1

    async def _afterwards(self, life: Life, log: EventLog, state: JobState) -> None:
        wish = self.chance.choice(("retry", "retry", "fork", "delete"))
        if wish == "retry" and state.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            await self._tell(log, state.job, e.JobRetryRequested(by="me"))
            if self.chance.random() < 0.3:
                await self._cancel(log, state.job)
        elif wish == "fork" and state.request and state.stages:
            done = [one.id for one in state.stages.values() if one.status is StageStatus.COMPLETED]
            if done:
                fork = e.Fork(job=state.job, stage=self.chance.choice(done))
                forked = state.request.model_copy(update={"forked_from": fork})
                await self._submit(life, log, forked)
        elif wish == "delete":
            await self._tell(log, state.job, e.JobDeleted(by="me"))

    async def _submit(self, life: Life, log: EventLog, request: e.JobRequested) -> str | None:
        job = make_id(life.now(), self.chance.randbytes(10))
        recorded = [log.record(job, request)]
        for _ in range(3):
            try:
                await log.append(recorded, expected=0)
            except (UnavailableError, BrokerError):
                continue
            except ConflictError:
                # Only we know of this job: an earlier try has got through.
                pass
            self.accepted.append(job)
            return job
        return None

    async def _cancel(self, log: EventLog, job: str) -> None:
        state = await self._state(log, job)
        if not state.status.ended and not state.cancel_requested:
            await self._tell(log, job, e.JobCancelRequested(by="me"))

    async def _tell(self, log: EventLog, job: str, event: e.Event) -> None:
        try:
            await log.tell(job, event)
        except UnavailableError:
            """They are told to try again, and do not."""

    async def _state(self, log: EventLog, job: str, known: JobState | None = None) -> JobState:
        while True:
            try:
                return await log.fold(job, known)
            except UnavailableError:
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ended(self, log: EventLog, job: str) -> JobState:
        state = await self._state(log, job)
        while not state.status.ended:
            await asyncio.sleep(_LOOK_AGAIN_S)
            state = await self._state(log, job, state)
        return state

    def _request(self) -> e.JobRequested:
        chance = self.chance
        if chance.random() < 0.03:
            return e.JobRequested(type=e.JobType.PIPELINE, owner="me")
        self.objects.content[_PHOTO.key] = _CONTENT
        return e.JobRequested(
            type=e.JobType.PIPELINE,
            owner="me",
            inputs={"photo": (_PHOTO,)},
            graph=self._graph(),
            seed=chance.choice((7, 7, chance.getrandbits(40))),
        )

    def _graph(self) -> Graph:
        chance = self.chance
        names = [f"s{number}" for number in range(chance.choice((1, 1, 2, 2, 3)))]
        stages, edges = [], []
        for index, name in enumerate(names):
            earlier = names[:index]
            inputs = {"photo": Binding(output="photo")}
            if earlier and chance.random() < 0.5:
                inputs["made"] = Binding(stage=chance.choice(earlier), output="made")
            if earlier and chance.random() < 0.3:
                kind = chance.choice(list(EdgeKind))
                edges.append(Edge(source=chance.choice(earlier), target=name, kind=kind))
            stages.append(self._stage(name, inputs))
        return Graph(stages=tuple(stages), edges=tuple(edges))

    def _stage(self, name: str, inputs: dict[str, Binding]) -> Stage:
        chance = self.chance
        endings = chance.choices(list(_ENDINGS), list(_ENDINGS.values()))[0]
        hangs = children.HANGS in endings
        deadline_s = chance.uniform(4.0, 40.0) if hangs or chance.random() < 0.35 else None
        kind = "unheard_of" if chance.random() < 0.03 else chance.choice(KINDS)
        return Stage(
            id=name,
            kind=kind,
            inputs=inputs,
            params={
                "endings": list(endings),
                "steps": chance.randint(1, 5),
                "pause_s": chance.choice((0.1, 0.2, 1.0, 4.0, 12.0)),
                "keeps": chance.choice((0, 0, 1, 2)),
                "resumes": chance.random() < 0.7,
                "shows": chance.random() < 0.1,
            },
            retry=RetryPolicy(attempts=chance.randint(1, 3), first_delay_s=chance.uniform(0.5, 5)),
            deadline_s=deadline_s,
        )
