"""Pipelines: graphs with a name, built in or one's own, to make jobs of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import structlog
from contracts.base import DISGUISES, Contract, Id, Name, Timestamp
from contracts.capabilities import Capabilities, JobOffer
from contracts.events import JobType
from contracts.graph import Graph
from contracts.mermaid import mermaid
from eventlog.keyvalue import Entry, RevisionError, UnreadableRecordError
from eventlog.log import utc_now
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from pydantic import Field, StringConstraints

from contracts import subjects
from gateway import idempotency
from gateway.context import Gateway, Owner, TheGateway
from gateway.idempotency import IdempotencyKey, keyed_id
from gateway.installation import capabilities
from gateway.jobs.drafts import JobDraft
from gateway.jobs.routes import is_job_id
from gateway.problems import Problem, ProblemKind

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/api", tags=["pipelines"])

_MOST_PIPELINES = 100
REQUEST_INPUTS = (
    "photos",
    "clip",
    "music",
    "script",
    "topic",
    "prompt",
    "name",
    "lora",
    "voice",
    "faces",
)
"""What a job's request can bring: files, texts, and the parts of a profile."""
_TITLES = {
    "train": "Learn a face and a voice",
    "generate": "A talking video from photos",
    "generate-from-profile": "A talking video from a profile",
}

PipelineName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        min_length=1,
        max_length=80,
        pattern=rf"^[^\t\n\r{DISGUISES}]*$",
    ),
]


class PipelineDraft(Contract):
    """A pipeline to be kept."""

    name: PipelineName
    graph: Graph


class PipelineRecord(PipelineDraft):
    """One's own pipeline as it is kept."""

    name: str
    pipeline_id: Id
    owner: Id
    created_at: Timestamp

    @property
    def key(self) -> str:
        """Where it is kept."""
        return _key(self.owner, self.pipeline_id)


class PipelineView(Contract):
    """A pipeline, with what a job made of it must bring."""

    pipeline_id: Id
    name: str
    built_in: bool
    type: JobType
    needs: tuple[Name, ...] = Field(description="inputs without which it cannot be run")
    may_have: tuple[Name, ...] = Field(description="inputs that add to it")
    graph: Graph
    mermaid: str = Field(description="the graph as a Mermaid flowchart")


class PipelineList(Contract):
    """Those built in, and then one's own, newest first."""

    pipelines: tuple[PipelineView, ...]


@router.get("/pipelines")
async def list_pipelines(gateway: TheGateway, owner: Owner) -> PipelineList:
    """The pipelines that jobs can be made of."""
    own = [_own_view(record) for record in await _own(gateway, owner)]
    return PipelineList(pipelines=(*built_in(gateway.capabilities().jobs), *own))


@router.post("/pipelines", status_code=201)
async def create_pipeline(
    draft: PipelineDraft, gateway: TheGateway, owner: Owner, key: IdempotencyKey = None
) -> PipelineView:
    """Keep a graph under a name. What no runner could run is refused, with the place."""
    check(draft.graph, gateway.capabilities())
    await idempotency.claim(gateway.config, owner, key, "pipeline", draft.model_dump_json())
    record = PipelineRecord(
        pipeline_id=keyed_id(owner, key) if key else gateway.new_id(),
        name=draft.name,
        graph=draft.graph,
        owner=owner,
        created_at=utc_now(),
    )
    if len(await _own(gateway, owner)) >= _MOST_PIPELINES:
        raise Problem(
            ProblemKind.TOO_MANY_PIPELINES,
            f"You keep {_MOST_PIPELINES} pipelines already.",
            "Delete those that are not used any more.",
            limit=_MOST_PIPELINES,
        )
    try:
        await gateway.config.create(record.key, record.to_json())
    except RevisionError:
        # The same request has made it before.
        return await find(gateway, owner, record.pipeline_id)
    return _own_view(record)


@router.get("/pipelines/{pipeline}")
async def get_pipeline(pipeline: str, gateway: TheGateway, owner: Owner) -> PipelineView:
    """One pipeline."""
    return await find(gateway, owner, pipeline)


@router.get("/pipelines/{pipeline}/mermaid", response_class=PlainTextResponse)
async def get_pipeline_mermaid(pipeline: str, gateway: TheGateway, owner: Owner) -> str:
    """One pipeline's graph as a Mermaid flowchart, to be drawn."""
    return (await find(gateway, owner, pipeline)).mermaid


@router.delete("/pipelines/{pipeline}", status_code=204)
async def delete_pipeline(pipeline: str, gateway: TheGateway, owner: Owner) -> None:
    """Forget one's own pipeline. Jobs that were made of it go on."""
    if (await find(gateway, owner, pipeline)).built_in:
        raise Problem(
            ProblemKind.BUILT_IN_PIPELINE,
            "This pipeline is built in.",
            "Only pipelines of your own can be deleted.",
        )
    await gateway.config.delete(_key(owner, pipeline))


async def find(gateway: Gateway, owner: str, pipeline: str) -> PipelineView:
    """A pipeline that is built in or the owner's; Problem if there is none."""
    for view in built_in(gateway.capabilities().jobs):
        if view.pipeline_id == pipeline:
            return view
    entry = await gateway.config.get(_key(owner, pipeline)) if is_job_id(pipeline) else None
    record = entry.read(PipelineRecord) if entry else None
    if record is None:
        raise Problem(
            ProblemKind.NO_SUCH_PIPELINE,
            "No pipeline of yours has this id, and none that is built in.",
            "GET /api/pipelines lists them.",
        )
    return _own_view(record)


async def resolved(gateway: Gateway, owner: str, draft: JobDraft) -> JobDraft:
    """The draft with the graph of the pipeline that it names, if it names one."""
    if draft.pipeline is None:
        return draft
    graph = (await find(gateway, owner, draft.pipeline)).graph
    return draft.model_copy(update={"graph": graph, "pipeline": None})


def built_in(offers: Sequence[JobOffer]) -> tuple[PipelineView, ...]:
    """The jobs that planners offer, as pipelines."""
    views: dict[str, PipelineView] = {}
    for offer in offers:
        pipeline = offer.type.value + ("-from-profile" if "lora" in offer.needs else "")
        if pipeline in views:
            pipeline = f"{pipeline}-{len(views) + 1}"
        views[pipeline] = PipelineView(
            pipeline_id=pipeline,
            name=_TITLES.get(pipeline, pipeline),
            built_in=True,
            type=offer.type,
            needs=offer.needs,
            may_have=offer.may_have,
            graph=offer.graph,
            mermaid=mermaid(offer.graph),
        )
    return tuple(views.values())


def check(graph: Graph, able: Capabilities) -> None:
    """Problem if no request could bring what a stage takes, or no live runner run it."""
    for place, name, output, _ in _request_bindings(graph):
        if output not in REQUEST_INPUTS:
            raise Problem(
                ProblemKind.INVALID_REQUEST,
                f"{place}: {name} comes from the request's {output}, which no request can have.",
                f"Take it from {', '.join(REQUEST_INPUTS)}, or from another stage.",
                where=place,
                allowed=list(REQUEST_INPUTS),
            )
    for number, stage in enumerate(graph.stages):
        alone = Graph.model_construct(stages=(stage,), edges=())
        draft = JobDraft.model_construct(type=JobType.PIPELINE, graph=alone, engines={}, params={})
        try:
            capabilities.check(draft, able)
        except Problem as problem:
            place = f"graph.stages.{number}"
            problem.detail = f"{place} ({stage.id}): {problem.detail}"
            problem.members["where"] = place
            raise


def _request_bindings(graph: Graph) -> Iterator[tuple[str, str, str, bool]]:
    """(place, input, what of the request, optional) of all that stages take from the request."""
    for number, stage in enumerate(graph.stages):
        for name, binding in stage.inputs.items():
            if binding.stage is None:
                place = f"graph.stages.{number}.inputs.{name}"
                yield place, name, binding.output, binding.optional


async def _own(gateway: Gateway, owner: str) -> list[PipelineRecord]:
    """The owner's pipelines, newest first."""
    entries = [entry async for entry in gateway.config.all(_key(owner, "*"))]
    records = [record for entry in entries if (record := _read(entry)) is not None]
    return sorted(records, key=lambda one: (one.created_at, one.pipeline_id), reverse=True)


def _key(owner: str, pipeline: str) -> str:
    return subjects.config("pipelines", owner, pipeline)


def _read(entry: Entry) -> PipelineRecord | None:
    try:
        return entry.read(PipelineRecord)
    except UnreadableRecordError as error:
        log.warning("pipeline.unreadable", detail=str(error))
        return None


def _own_view(record: PipelineRecord) -> PipelineView:
    taken: dict[str, bool] = {}
    for _, _, output, optional in _request_bindings(record.graph):
        taken[output] = taken.get(output, True) and optional
    return PipelineView(
        pipeline_id=record.pipeline_id,
        name=record.name,
        built_in=False,
        type=JobType.PIPELINE,
        needs=tuple(sorted(name for name, optional in taken.items() if not optional)),
        may_have=tuple(sorted(name for name, optional in taken.items() if optional)),
        graph=record.graph,
        mermaid=mermaid(record.graph),
    )
