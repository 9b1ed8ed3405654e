"""How long a job that is not yet asked for would take, at each quality."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated

from contracts.base import Contract, Name
from contracts.capabilities import JobOffer
from contracts.events import JobType, Quality
from contracts.graph import Graph, Stage
from fastapi import APIRouter, Query
from pydantic import Field

from gateway.context import Owner, TheGateway
from gateway.installation.eta import StageTime, remaining_s
from gateway.installation.outlook import Basis, Outlook
from gateway.problems import Problem, ProblemKind

router = APIRouter(prefix="/api", tags=["capabilities"])

_OF_PROFILE = ("lora", "faces", "voice")


class Estimate(Contract):
    """What one quality would take on this installation, if nothing else waited."""

    quality: Quality
    seconds: float | None = Field(description="null while nothing is known of some stage")
    basis: Basis = Field(
        description="`measured` if all of it was done here before, `typical` if some of it is "
        "told by the engines, `unknown` if nothing is known of some stage"
    )
    stages: dict[Name, float] = Field(description="seconds of each stage alone, where known")


class Estimates(Contract):
    """One estimate for each quality."""

    estimates: tuple[Estimate, ...]


@router.get("/estimates")
async def get_estimates(
    gateway: TheGateway,
    owner: Owner,
    job_type: Annotated[JobType, Query(alias="type")],
    inputs: Annotated[
        str,
        Query(
            description="what it would be given, separated by commas; `profile` stands for what "
            "a profile brings",
            examples=["photos,clip,script"],
            max_length=1000,
        ),
    ] = "",
) -> Estimates:
    """How long a job would take, by its stages and what such stages took before."""
    del owner
    given = given_inputs(inputs)
    graph = offered(gateway.capabilities().jobs, job_type, given)
    if graph is None:
        offers = gateway.capabilities().jobs
        needs = " or ".join(", ".join(one.needs) for one in offers if one.type == job_type)
        raise Problem(
            ProblemKind.INVALID_REQUEST,
            f"No {job_type} job can be planned from {', '.join(sorted(given)) or 'nothing'}.",
            f"Name the inputs: {needs}." if needs else "Start a planner that offers such jobs.",
        )
    return Estimates(estimates=tuple(estimate(graph, one, gateway.outlook) for one in Quality))


def given_inputs(text: str) -> frozenset[str]:
    """The inputs in a comma-separated list."""
    named = {name.strip() for name in text.split(",")} - {""}
    if "profile" in named:
        named = (named - {"profile"}) | set(_OF_PROFILE)
    return frozenset(named)


def offered(offers: Iterable[JobOffer], job_type: JobType, given: Collection[str]) -> Graph | None:
    """The graph of the offer that makes most of what is given, or None if none can be met."""
    possible = [
        offer
        for offer in offers
        if offer.type == job_type and all(name in given for name in offer.needs)
    ]
    if not possible:
        return None
    best = max(possible, key=lambda offer: len({*offer.needs, *offer.may_have} & {*given}))
    return without(best.graph, {name for name in best.may_have if name not in given})


def without(graph: Graph, absent: Collection[str]) -> Graph:
    """What is left of an offer's graph when some of the inputs that it may have are not there.

    A stage hands an input on under the input's own name, so an output of that name is absent
    too; and a stage that is left with nothing to work on is not run.
    """
    kept: dict[str, Stage] = {}
    for stage_id in graph.order():
        stage = graph.stage(stage_id)
        inputs = {
            name: binding
            for name, binding in stage.inputs.items()
            if binding.output not in absent and (binding.stage is None or binding.stage in kept)
        }
        if inputs or not stage.inputs:
            kept[stage_id] = stage.model_copy(update={"inputs": inputs})
    edges = tuple(one for one in graph.edges if one.source in kept and one.target in kept)
    return Graph(stages=tuple(kept.values()), edges=edges)


def estimate(graph: Graph, quality: Quality, outlook: Outlook) -> Estimate:
    """What a graph takes at a quality."""
    expected = {
        stage.id: outlook.stage(stage.kind, stage.engine, quality) for stage in graph.stages
    }
    seconds = {one: each.seconds for one, each in expected.items() if each.seconds is not None}
    times = {one: StageTime(expected_s=seconds[one], lane=expected[one].lane) for one in seconds}
    all_known = len(seconds) == len(expected)
    total = remaining_s(graph, times, outlook.machine()) if all_known else None
    bases = {each.basis for each in expected.values()}
    basis = next(one for one in (Basis.UNKNOWN, Basis.TYPICAL, Basis.MEASURED) if one in bases)
    return Estimate(
        quality=quality,
        seconds=None if total is None else round(total, 1),
        basis=basis,
        stages={one: round(each, 1) for one, each in seconds.items()},
    )
