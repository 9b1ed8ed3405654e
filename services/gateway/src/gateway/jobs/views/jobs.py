"""Jobs as the API shows them: what the log and the running stages say, in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from contracts.base import Contract, Id, Name, Timestamp
from contracts.events import JobType, Quality
from contracts.job import Failure, JobState, JobStatus
from contracts.spans import ids_of
from pydantic import Field

from gateway.jobs import filenames
from gateway.jobs.views.consent import ConsentView, consent_of
from gateway.jobs.views.stages import (
    ArtifactView,
    StageUpdate,
    StageView,
    artifacts_of,
    stage_of,
    stage_update_of,
)
from gateway.jobs.views.times import eta_s
from gateway.live import LiveJob

FILES = ("photos", "clip", "music")
"""The inputs of a request that are files to look at or listen to."""


class StatusView(Contract):
    """How a job stands, in four words."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float = Field(description="0..1; it never goes back")


class InputView(Contract):
    """A file that the job was given."""

    input: Name
    index: int
    name: str | None = Field(
        description="what its owner calls it; null if that is not known, or erased"
    )
    media_type: str
    size: int = Field(description="bytes")
    sha256: str
    url: str


class ForkView(Contract):
    """Where a job branched off from an earlier one."""

    job_id: Id
    stage: Name = Field(description="the first stage that was done anew")


class JobView(Contract):
    """A job with all that is known of it."""

    job_id: Id
    type: JobType
    status: JobStatus
    progress: float
    queue_position: int | None = Field(description="1 is next; null if nothing waits")
    eta_s: float | None = Field(description="seconds until the job is done")
    name: str | None = Field(description="as its owner called it")
    script: str | None = Field(description="the words to speak; null if none, or erased")
    topic: str | None = Field(description="what to speak about; null if none, or erased")
    prompt: str | None = Field(description="how the portrait should look; null if none, or erased")
    profile_id: Id | None
    consent: ConsentView | None = Field(
        description="that the face and the voice may be used; null if neither is, or if the job is "
        "of before it was asked for"
    )
    quality: Quality
    seed: int
    engines: dict[Name, Name] = Field(description="as asked for, by stage kind")
    params: dict[Name, dict[str, Any]] = Field(description="as asked for, by stage kind")
    forked_from: ForkView | None
    cancel_requested: bool
    failure: Failure | None
    created_at: Timestamp | None
    updated_at: Timestamp | None
    ended_at: Timestamp | None
    sequence: int = Field(description="position in the log that this view has reached")
    trace_id: str | None = Field(description="the OpenTelemetry trace that the request began")
    trace_url: str | None = Field(description="where to look at the trace")
    inputs: tuple[InputView, ...]
    stages: tuple[StageView, ...] = Field(description="each after those it waits for")
    artifacts: tuple[ArtifactView, ...] = Field(description="every result of every stage")


class JobUpdate(Contract):
    """What a WebSocket client is sent whenever a job changes."""

    type: Literal["update"] = "update"
    job_id: Id
    job_type: JobType
    status: JobStatus
    progress: float
    queue_position: int | None = Field(description="1 is next; null if nothing waits")
    eta_s: float | None
    sequence: int
    failure: Failure | None
    stages: tuple[StageUpdate, ...]


def status_of(live: LiveJob) -> StatusView:
    """The job in short."""
    return StatusView(
        job_id=live.job,
        type=_type(live.state),
        status=live.state.status,
        progress=round(live.progress, 4),
    )


def job_of(
    live: LiveJob,
    texts: Mapping[str, str | None],
    now: datetime,
    *,
    positions: Mapping[str, int],
    trace_url: str | None,
) -> JobView:
    """The job in full.

    `texts` has what its owner wrote, by input; `positions` the places in the queue, by stage;
    `trace_url` is an address with `{traceId}` in it, if traces are looked at elsewhere.
    """
    state, request = live.state, live.state.request
    if request is None:
        raise ValueError(f"job {state.job} has no request")
    return JobView(
        job_id=state.job,
        type=request.type,
        status=state.status,
        progress=round(live.progress, 4),
        queue_position=min(positions.values(), default=None),
        eta_s=eta_s(live, now),
        name=texts.get("name"),
        script=texts.get("script"),
        topic=texts.get("topic"),
        prompt=texts.get("prompt"),
        profile_id=request.profile,
        consent=consent_of(state, texts.get("consent")),
        quality=request.quality,
        seed=request.seed,
        engines=request.engines,
        params=request.params,
        forked_from=(
            ForkView(job_id=request.forked_from.job, stage=request.forked_from.stage)
            if request.forked_from
            else None
        ),
        cancel_requested=state.cancel_requested,
        failure=state.failure,
        created_at=state.created_at,
        updated_at=state.updated_at,
        ended_at=state.ended_at,
        sequence=state.sequence,
        trace_id=trace_id_of(state),
        trace_url=trace_url_of(state, trace_url),
        inputs=tuple(_inputs(state, filenames.unpacked(texts.get(filenames.INPUT)))),
        stages=tuple(stage_of(live, one, now, positions.get(one)) for one in _order(state)),
        artifacts=tuple(artifact_views(live)),
    )


def trace_id_of(state: JobState) -> str | None:
    """The id of the trace that the request began; None if it was not traced."""
    return ids_of(state.traceparent)[0]


def trace_url_of(state: JobState, template: str | None) -> str | None:
    """Where to look at the trace: at what is set up for it, or else on the page.

    None if the trace is looked at elsewhere and there is none.
    """
    if template is None:
        return f"/#/job/{state.job}?view=trace"
    if (trace := trace_id_of(state)) is None:
        return None
    return template.replace("{traceId}", trace).replace("{jobId}", state.job)


def update_of(live: LiveJob, now: datetime) -> JobUpdate:
    """The job as an update tells it."""
    state = live.state
    return JobUpdate(
        job_id=state.job,
        job_type=_type(state),
        status=state.status,
        progress=round(live.progress, 4),
        queue_position=min(live.positions.values(), default=None),
        eta_s=eta_s(live, now),
        sequence=state.sequence,
        failure=state.failure,
        stages=tuple(stage_update_of(live, stage_id, now) for stage_id in _order(state)),
    )


def artifact_views(live: LiveJob) -> Iterator[ArtifactView]:
    """Every result of a job's stages."""
    for stage in _order(live.state):
        yield from artifacts_of(live.job, live.state.stages[stage])


def _inputs(state: JobState, photo_names: Sequence[str | None]) -> Iterator[InputView]:
    given = state.request.inputs if state.request else {}
    names = {"photos": dict(enumerate(photo_names))}
    for name in FILES:
        for index, artifact in enumerate(given.get(name, ())):
            yield InputView(
                input=name,
                index=index,
                name=names.get(name, {}).get(index),
                media_type=artifact.media_type,
                size=artifact.size,
                sha256=artifact.sha256,
                url=f"/api/jobs/{state.job}/inputs/{name}/{index}",
            )


def _order(state: JobState) -> tuple[str, ...]:
    return state.graph.order() if state.graph else ()


def _type(state: JobState) -> JobType:
    if state.request is None:
        raise ValueError(f"job {state.job} has no request")
    return state.request.type
