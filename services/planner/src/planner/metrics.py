"""What operators see of the planner: how all jobs stand now, and what happened to them.

What stands is counted when somebody asks, from the same memory that decisions are made of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from contracts.envelope import Recorded
from contracts.job import JobState, JobStatus
from eventlog.metrics import exemplar
from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contracts import events as e
from planner.domain.graphs import offers
from planner.domain.standing import OTHER, STATES, Standing

ACTIVE = Gauge("myspinbot_planner_active_jobs", "Jobs that have not ended")
DECISIONS = Counter("myspinbot_planner_decisions_total", "Events decided", ["type"])
CONFLICTS = Counter("myspinbot_planner_conflicts_total", "Decisions overtaken by other events")
COMMANDS = Counter("myspinbot_planner_commands_total", "Stage commands published", ["kind"])
JOBS_ENDED = Counter("myspinbot_planner_jobs_ended_total", "Jobs that ended", ["type", "status"])
JOB_SECONDS = Histogram(
    "myspinbot_planner_job_seconds",
    "From the request of a job to its end",
    ["type", "status"],
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600),
)
QUEUE_SECONDS = Histogram(
    "myspinbot_planner_stage_wait_seconds",
    "From the decision to run a stage to the start of its attempt on a runner",
    ["kind"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600),
)
FAILURES = Counter(
    "myspinbot_planner_stage_failures_total", "Attempts that failed, by code", ["kind", "code"]
)
RETRIES = Counter(
    "myspinbot_planner_retries_total", "Further attempts that were decided on", ["kind"]
)
DEAD_LETTERS = Counter(
    "myspinbot_planner_dead_letters_total", "Commands that took every runner with them"
)

_CODE = re.compile(r"[a-z][a-z0-9-]{0,39}")
KINDS = frozenset(stage.kind for offer in offers() for stage in offer.graph.stages)
"""The kinds of stages that our own jobs have; others are known while a runner can do them."""

for _type in e.JobType:
    for _status in (status for status in JobStatus if status.ended):
        # Else the first job of its kind would not show as an increase.
        JOBS_ENDED.labels(_type.value, _status.value)
for _kind in KINDS:
    RETRIES.labels(_kind)


@dataclass(slots=True, eq=False)
class StandingCollector(Collector):
    """Counts what stands. `look` is asked at each scrape, from another thread."""

    look: Callable[[], Standing] = Standing

    def describe(self) -> Iterable[Metric]:
        """The names, without any work."""
        return self._families(Standing())

    def collect(self) -> Iterator[Metric]:
        """What stands now."""
        return self._families(self.look())

    def _families(self, now: Standing) -> Iterator[Metric]:
        kinds = sorted(now.ages_s)
        jobs = GaugeMetricFamily(
            "myspinbot_planner_jobs", "Jobs that have not ended", labels=["type", "status"]
        )
        for job_type in e.JobType:
            for status in (JobStatus.QUEUED, JobStatus.RUNNING):
                jobs.add_metric([job_type, status], now.jobs[job_type.value, status.value])
        yield jobs
        stages = GaugeMetricFamily(
            "myspinbot_planner_stages",
            "Stages that could not begin for lack of a runner, that are queued, that run, and "
            "that wait for their next attempt",
            labels=["kind", "state"],
        )
        for kind in kinds:
            for state in STATES:
                stages.add_metric([kind, state], now.stages[kind, state])
        yield stages
        yield _by_kind(
            "myspinbot_planner_queue_age_seconds",
            "For how long the stage has waited for a runner that waits longest, or 0",
            {kind: now.ages_s[kind] for kind in kinds},
        )
        yield _by_kind(
            "myspinbot_planner_abandoned_stages",
            "Stages that run on a runner that announces itself no more",
            {kind: now.abandoned[kind] for kind in kinds},
        )
        yield _by_kind(
            "myspinbot_planner_runners",
            "Live runners that can do a kind of stage",
            {kind: now.runners[kind] for kind in kinds},
        )


def _by_kind(name: str, documentation: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["kind"])
    for kind, value in values.items():
        family.add_metric([kind], value)
    return family


STANDING = StandingCollector()
REGISTRY.register(STANDING)


def note(recorded: Recorded, after: JobState, known: Callable[[str], bool]) -> None:
    """Count what an event tells that was written while the planner looked on."""
    event = recorded.event
    stage = after.stages.get(getattr(event, "stage", None) or "")
    kind = stage.kind if stage is not None and known(stage.kind) else OTHER
    match event:
        case e.StageStarted() if stage and stage.scheduled_at and stage.started_at:
            waited = (stage.started_at - stage.scheduled_at).total_seconds()
            QUEUE_SECONDS.labels(kind).observe(max(waited, 0.0), exemplar(recorded.traceparent))
        case e.StageFailed():
            code = event.code if _CODE.fullmatch(event.code) else OTHER
            FAILURES.labels(kind, code).inc()
        case e.StageRetryScheduled():
            RETRIES.labels(kind).inc()
        case e.JobCompleted() | e.JobFailed() | e.JobCancelled() if after.request:
            labels = (after.request.type.value, after.status.value)
            JOBS_ENDED.labels(*labels).inc()
            if after.created_at and after.ended_at:
                took = (after.ended_at - after.created_at).total_seconds()
                JOB_SECONDS.labels(*labels).observe(max(took, 0.0), exemplar(recorded.traceparent))
        case _:
            pass
