"""How the work of all jobs stands, in numbers: what waits, what runs, and who could do it. Pure.

Kinds of stages come from people, who may invent some, so only kinds that are known are told
apart; all others count as `other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from contracts.graph import Graph
from contracts.job import JobState, StageState, StageStatus

from planner.domain.fleet import Fleet

OTHER = "other"
NO_RUNNER = "no_runner"
"""A stage that could begin, but no live runner can do it."""
QUEUED = (NO_RUNNER, StageStatus.SCHEDULED.value)
STATES = (
    NO_RUNNER,
    *(s.value for s in (StageStatus.SCHEDULED, StageStatus.RUNNING, StageStatus.WAITING)),
)
"""In which a stage is counted: before them it cannot begin yet, and after them it has ended."""


@dataclass(slots=True)
class Standing:
    """Counts. Ages are in seconds, of the stage that has waited longest, by kind."""

    jobs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By type and status."""
    stages: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and state."""
    ages_s: dict[str, float] = field(default_factory=dict)
    abandoned: Counter[str] = field(default_factory=Counter)
    """Stages that run on a runner that announces itself no more, by kind."""
    runners: Counter[str] = field(default_factory=Counter)
    """Live runners that can do a kind."""


def standing(
    jobs: Iterable[JobState], fleet: Fleet, kinds: Iterable[str], now: datetime
) -> Standing:
    """How jobs stand that have not ended. `kinds` are told apart, and those of live runners."""
    counts = Standing(runners=_able(fleet))
    known = {*kinds, *counts.runners}
    live = {manifest.runner for manifest in fleet.manifests}
    counts.ages_s = dict.fromkeys((*sorted(known), OTHER), 0.0)
    for job in jobs:
        request = job.request
        counts.jobs[request.type.value if request else OTHER, job.status.value] += 1
        if job.graph is None:
            continue
        for stage in job.stages.values():
            state = _state(job.graph, job, stage)
            if state is None:
                continue
            kind = stage.kind if stage.kind in known else OTHER
            counts.stages[kind, state] += 1
            since = stage.scheduled_at if state != NO_RUNNER else job.updated_at
            if state in QUEUED and since is not None:
                counts.ages_s[kind] = max(counts.ages_s[kind], (now - since).total_seconds())
            if state == StageStatus.RUNNING and stage.runner not in live:
                counts.abandoned[kind] += 1
    return counts


def _able(fleet: Fleet) -> Counter[str]:
    """How many live runners have an engine for a kind that is fit to be used."""
    able: Counter[str] = Counter()
    for manifest in fleet.manifests:
        able.update({engine.kind for engine in manifest.engines if engine.available})
    return able


def _state(graph: Graph, job: JobState, stage: StageState) -> str | None:
    if stage.status is StageStatus.PENDING:
        sources = (source for source, target, _ in graph.all_edges() if target == stage.id)
        return NO_RUNNER if all(job.stages[source].status.ended for source in sources) else None
    return stage.status.value if stage.status.value in STATES else None
