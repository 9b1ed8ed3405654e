"""What must have been known when a recorded decision was made: runners, stages, parents.

The log tells what was decided and not all of what it was decided from. A runner that a stage was
scheduled for must have been live with that engine; a stage that was taken over must have been
known. Nothing more is assumed than what the decisions themselves tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.capabilities import EngineManifest, RunnerManifest, Weights
from contracts.commands import Lane
from contracts.envelope import Recorded
from contracts.fold import evolve, initial
from contracts.graph import Stage
from contracts.job import JobState

from contracts import events as e
from planner.domain.fleet import Fleet
from planner.domain.reuse import Lookup, Reusable

History = Sequence[Recorded]
"""All events of one job, in order."""
Histories = Mapping[str, History]

_NO_WEIGHTS = Weights(name="recorded", size_bytes=0, licence="", how_to_get="")


class MissingHistoryError(Exception):
    """A job took something over from another one whose history is not there."""

    def __init__(self, job: str, other: str) -> None:
        super().__init__(
            f"job {job} took something over from job {other}, whose history is needed as well"
        )
        self.job = job
        self.other = other


@dataclass(frozen=True, slots=True)
class Use:
    """An engine as a decision tells of it: `presets` are the parameters nobody asked for."""

    kind: str
    engine: str
    version: str
    lane: Lane
    presets: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.engine} for {self.kind}"


def fork_of(history: History) -> e.Fork | None:
    """Where the job branches off, if it does."""
    requests = (event for event in _events(history) if isinstance(event, e.JobRequested))
    request = next(requests, None)
    return request.forked_from if request else None


def parent_at(history: History, histories: Histories, time: datetime) -> JobState | None:
    """The job that this one was forked from, as it stood at `time`; None if it is no fork.

    Raises MissingHistoryError.
    """
    fork = fork_of(history)
    if fork is None:
        return None
    state = initial(fork.job)
    for recorded in _other(history[0].job, fork.job, histories):
        if recorded.time <= time:
            state = evolve(state, recorded)
    return state


def reusable_of(run: Iterable[Recorded]) -> Lookup:
    """The stages that the planner must have known of, to have decided so."""
    return {
        event.input_hash: Reusable(event.from_job, event.from_stage, event.outputs, event.metrics)
        for event in (item.event for item in run)
        if isinstance(event, e.StageReused)
    }.get


def specs_of(history: History) -> dict[str, Stage]:
    """The stages of a job's graph by their ids; empty before it is planned."""
    planned = (event for event in _events(history) if isinstance(event, e.JobPlanned))
    first = next(planned, None)
    return {spec.id: spec for spec in first.graph.stages} if first else {}


def uses_of(history: History, histories: Histories) -> dict[int, Use]:
    """The engines that a job's decisions tell of, by the index of the event that does.

    Raises MissingHistoryError for a stage that was taken over from an unknown job.
    """
    specs = specs_of(history)
    found = {}
    for index, event in enumerate(_events(history)):
        if not isinstance(event, e.StageScheduled | e.StageReused) or event.stage not in specs:
            continue
        made: e.StageScheduled | None
        if isinstance(event, e.StageScheduled):
            made = event
        else:
            made = _made_by(history[0].job, event, histories)
        if made is not None:
            found[index] = _use(made, specs[event.stage])
    return found


def fleet_of(uses: Iterable[Use], quality: e.Quality, since: datetime) -> Fleet:
    """One runner with these engines; where two tell of the same, the first is believed."""
    engines: dict[tuple[str, str], EngineManifest] = {}
    for use in uses:
        known = engines.get((use.kind, use.engine))
        if known is not None and known.version != use.version:
            continue
        presets = {**use.presets, **(known.presets[quality] if known else {})}
        engines[use.kind, use.engine] = EngineManifest(
            kind=use.kind,
            engine=use.engine,
            version=use.version,
            title=use.engine,
            lane=use.lane,
            qualities=(quality,),
            params_schema={},
            presets={quality: presets},
        )
    return _runner(engines.values(), since)


def without(fleet: Fleet, spec: Stage, *, weights: bool) -> Fleet:
    """The fleet when nobody could do a stage: no runner was there, or its engine had no weights."""
    able = [engine for engine in fleet.manifests[0].engines if engine.kind != spec.kind]
    if weights:
        name = spec.engine or "recorded"
        able.append(
            EngineManifest(
                kind=spec.kind,
                engine=name,
                version="",
                title=name,
                lane=Lane.GPU,
                qualities=(),
                params_schema={},
                available=False,
                missing=(_NO_WEIGHTS,),
            )
        )
    return _runner(able, fleet.known_since)


def _runner(engines: Iterable[EngineManifest], since: datetime) -> Fleet:
    manifest = RunnerManifest(
        runner="recorded", devices=(), engines=tuple(engines), announced_at=since
    )
    return Fleet((manifest,), since)


def _use(scheduled: e.StageScheduled, spec: Stage) -> Use:
    presets = {name: value for name, value in scheduled.params.items() if name not in spec.params}
    return Use(scheduled.kind, scheduled.engine, scheduled.engine_version, scheduled.lane, presets)


def _made_by(job: str, event: e.StageReused, histories: Histories) -> e.StageScheduled | None:
    """How the outputs of a stage that was taken over were once asked for."""
    found: e.StageReused | None = None
    for item in _other(job, event.from_job, histories):
        other = item.event
        if getattr(other, "input_hash", None) != event.input_hash:
            continue
        if isinstance(other, e.StageScheduled) and other.stage == event.from_stage:
            return other
        if isinstance(other, e.StageReused) and other.stage == event.from_stage:
            found = other
    return None if found is None else _made_by(event.from_job, found, histories)


def _other(job: str, other: str, histories: Histories) -> History:
    try:
        return histories[other]
    except KeyError:
        raise MissingHistoryError(job, other) from None


def _events(history: History) -> Iterator[e.Event]:
    return (item.event for item in history)
