"""Recorded histories: whole jobs as they once stood in the log, one CloudEvent a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from contracts.capabilities import EngineManifest, RunnerManifest
from contracts.envelope import Recorded, from_structured

from contracts import events as e

HISTORIES = Path(__file__).parents[1] / "histories"


def history_files() -> list[Path]:
    return sorted(HISTORIES.glob("*.jsonl"))


def load(path: Path) -> list[Recorded]:
    return [from_structured(json.loads(line)) for line in path.read_text().splitlines()]


def runner_of(history: Sequence[Recorded]) -> RunnerManifest:
    """A runner with the engines that the history was made with.

    What was only reused in it was scheduled in another history. A quality stands for the
    parameters that were scheduled, as the presets of the day are not in the log.
    """
    request = history[0].event
    assert isinstance(request, e.JobRequested)
    others = (recorded for path in history_files() for recorded in load(path))
    engines: dict[tuple[str, str], EngineManifest] = {}
    for event in (recorded.event for recorded in chain(history, others)):
        if isinstance(event, e.StageScheduled) and (event.kind, event.engine) not in engines:
            engines[event.kind, event.engine] = EngineManifest(
                kind=event.kind,
                engine=event.engine,
                version=event.engine_version,
                title=event.engine,
                lane=event.lane,
                qualities=(request.quality,),
                params_schema={},
                presets={request.quality: event.params},
            )
    return RunnerManifest(
        runner="recorded",
        devices=(),
        engines=tuple(engines.values()),
        announced_at=history[0].time,
    )
