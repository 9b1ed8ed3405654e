"""Given these events, when the planner decides, then these events: the language of its tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.artifacts import Artifact
from contracts.capabilities import Device, EngineManifest, RunnerManifest
from contracts.commands import Lane
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Graph
from contracts.job import JobState
from planner.domain.decide import Decision, World, decide
from planner.domain.fleet import Fleet
from planner.domain.reuse import Reusable

from contracts import events as e

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
KINDS = (
    "prepare_dataset",
    "train_lora",
    "train_voice",
    "write_script",
    "synthesize_speech",
    "generate_portrait",
    "upscale",
    "render_video",
)


def an_artifact(name: str) -> Artifact:
    return Artifact(
        key=f"uploads/{name}", size=1, sha256=name.encode().hex().zfill(64)[-64:], media_type="a/b"
    )


def artifacts(*names: str) -> dict[str, tuple[Artifact, ...]]:
    return {name: (an_artifact(name),) for name in names}


def an_engine(kind: str, engine: str = "mini", **changes: Any) -> EngineManifest:
    manifest = EngineManifest(
        kind=kind,
        engine=engine,
        version="1",
        title=engine,
        lane=Lane.GPU,
        qualities=tuple(e.Quality),
        params_schema={},
    )
    return manifest.model_copy(update=changes)


def a_fleet(engines: Iterable[EngineManifest] | None = None) -> Fleet:
    manifest = RunnerManifest(
        runner="r1",
        devices=(Device(name="cpu", title="cpu", memory_bytes=1),),
        engines=tuple(map(an_engine, KINDS)) if engines is None else tuple(engines),
        announced_at=T0,
    )
    return Fleet((manifest,), T0)


NO_RUNNER = Fleet((), T0)


def train(**changes: Any) -> e.JobRequested:
    return e.JobRequested(
        type=e.JobType.TRAIN, owner="me", inputs=artifacts("photos", "clip")
    ).model_copy(update=changes)


def pipeline(graph: Graph, **changes: Any) -> e.JobRequested:
    return e.JobRequested(type=e.JobType.PIPELINE, owner="me", graph=graph).model_copy(
        update=changes
    )


@dataclass(frozen=True)
class Story:
    """A job's events so far, told one second apart."""

    events: tuple[e.Event, ...] = ()
    now: datetime = T0
    fleet: Fleet = field(default_factory=a_fleet)
    reusable: dict[str, Reusable] = field(default_factory=dict)
    parent: JobState | None = None
    job: str = "job"

    def given(self, *events: e.Event) -> Story:
        return replace(self, events=self.events + events)

    def later(self, seconds: float) -> Story:
        return replace(self, now=self.now + timedelta(seconds=seconds))

    def having(self, **changes: Any) -> Story:
        return replace(self, **changes)

    @property
    def state(self) -> JobState:
        state = initial(self.job)
        for sequence, event in enumerate(self.events, 1):
            recorded = Recorded(self.job, event, f"e{sequence}", "/test", T0, sequence)
            state = evolve(state, recorded)
        return state

    def decide(self) -> Decision:
        return decide(self.state, World(self.now, self.fleet, self.reusable.get, self.parent))

    def then(self) -> Story:
        """The story with what the planner decides."""
        return self.given(*self.decide().events)

    def runs(self, stage: str, *outputs: str) -> Story:
        """A runner does the stage's current attempt."""
        attempt = self.state.stages[stage].attempt
        return self.given(
            started(stage, attempt),
            e.StageCompleted(
                stage=stage,
                attempt=attempt,
                runner="r1",
                outputs=artifacts(*outputs),
                metrics={},
                duration_s=1,
            ),
        )


def started(stage: str, attempt: int) -> e.StageStarted:
    return e.StageStarted(stage=stage, attempt=attempt, runner="r1", device="cpu")


def failed(stage: str, attempt: int, *, retryable: bool) -> e.StageFailed:
    return e.StageFailed(
        stage=stage,
        attempt=attempt,
        code="no-face",
        cause="photo 2 shows no face",
        remedy="Use another photo",
        retryable=retryable,
    )


def names(events: Iterable[e.Event]) -> list[str]:
    """`StageScheduled train_lora` and the like."""
    return [
        f"{event.type_name()} {getattr(event, 'stage', None) or ''}".strip() for event in events
    ]
