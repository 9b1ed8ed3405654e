"""The graph of a job: its stages and how the outputs of one feed the next.

A graph is data. The planner makes one for each job and writes it into the log, so a
job is always carried on with the graph it began with, whatever code has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from contracts.base import Contract, JsonNumber, Name, Plain

_WEEK_S = 7 * 86_400


class EdgeKind(StrEnum):
    """When the stage at the end of an edge may run."""

    NORMAL = "normal"
    """After its source has ended, however it ended."""
    ON_SUCCESS = "on_success"
    """Only if its source completed; otherwise it is skipped."""
    ON_FAILURE = "on_failure"
    """Only if its source failed; otherwise it is skipped. The failure then counts as handled."""


class Edge(Contract):
    """An order between two stages."""

    source: Name
    target: Name
    kind: EdgeKind = EdgeKind.NORMAL


class Binding(Contract):
    """Where an input of a stage comes from: an output of another stage, or the request."""

    stage: Name | None = Field(default=None, description="absent: the job's own request")
    output: Name
    optional: bool = Field(
        default=False, strict=True, description="an absent output leaves the input absent"
    )


class RetryPolicy(Contract):
    """How often and how soon a stage is tried again after a failure that may pass."""

    attempts: Annotated[int, Field(ge=1, le=20), JsonNumber] = 3
    first_delay_s: Annotated[float, Field(ge=0, le=_WEEK_S), JsonNumber] = 2.0
    factor: Annotated[float, Field(ge=1, le=100), JsonNumber] = 2.0
    longest_delay_s: Annotated[float, Field(ge=0, le=_WEEK_S), JsonNumber] = 300.0

    def delay_s(self, failed_attempts: int) -> float:
        """Seconds to wait after the given number of failed attempts (1, 2, …)."""
        return min(
            self.first_delay_s * self.factor ** max(failed_attempts - 1, 0), self.longest_delay_s
        )


class Stage(Contract):
    """One step of a job: what to run, on what, and how patiently."""

    id: Name
    kind: Name
    inputs: dict[Name, Binding] = Field(default_factory=dict)
    params: Annotated[dict[str, Any], Plain] = Field(default_factory=dict)
    engine: Name | None = Field(default=None, description="absent: the planner chooses")
    weight: Annotated[float, Field(gt=0, le=1e6), JsonNumber] = 1.0
    retry: RetryPolicy = RetryPolicy()
    deadline_s: Annotated[float, Field(gt=0, le=4 * _WEEK_S), JsonNumber] | None = Field(
        default=None, description="longest time for one attempt, waiting in the queue included"
    )


class Graph(Contract):
    """A directed acyclic graph of stages.

    A binding to a stage's output implies an `on_success` edge from that stage.
    """

    stages: tuple[Stage, ...] = Field(min_length=1, max_length=64)
    edges: tuple[Edge, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids = [stage.id for stage in self.stages]
        if len(set(ids)) != len(ids):
            raise ValueError("two stages have the same id")
        known = set(ids)
        for source, target, _ in self.all_edges():
            for stage in (source, target):
                if stage not in known:
                    raise ValueError(f"an edge or binding names the unknown stage {stage!r}")
        try:
            self.order()
        except CycleError as error:
            raise ValueError(f"the stages wait for each other: {error.args[1]}") from error
        return self

    def all_edges(self) -> Iterable[tuple[str, str, EdgeKind]]:
        """(source, target, kind) of every edge, those implied by bindings included."""
        for edge in self.edges:
            yield edge.source, edge.target, edge.kind
        for stage in self.stages:
            for binding in stage.inputs.values():
                if binding.stage is not None:
                    yield binding.stage, stage.id, EdgeKind.ON_SUCCESS

    def order(self) -> tuple[str, ...]:
        """The stage ids, each after all it waits for."""
        edges = tuple((source, target) for source, target, _ in self.all_edges())
        return _order(tuple(stage.id for stage in self.stages), edges)

    def stage(self, stage_id: str) -> Stage:
        """The stage with this id; KeyError if there is none."""
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise KeyError(stage_id)

    def descendants(self, stage_id: str) -> frozenset[str]:
        """The stages that wait for this one, directly or through others."""
        found = {stage_id}
        for follower in self.order():
            if any(
                target == follower and source in found for source, target, _ in self.all_edges()
            ):
                found.add(follower)
        return frozenset(found - {stage_id})

    def progress(self, fractions: Mapping[str, float]) -> float:
        """The job's progress, 0..1, from the fraction done of each stage, by weight."""
        total = sum(stage.weight for stage in self.stages)
        done = sum(stage.weight * fractions.get(stage.id, 0.0) for stage in self.stages)
        return min(max(done / total, 0.0), 1.0)


@lru_cache(256)
def _order(stages: tuple[str, ...], edges: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Kept, since a log has many jobs of few pipelines. Raises CycleError."""
    sorter: TopologicalSorter[str] = TopologicalSorter({stage: set() for stage in stages})
    for source, target in edges:
        sorter.add(target, source)
    return tuple(sorter.static_order())
