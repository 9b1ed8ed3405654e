"""How long a job will still take, from what its stages have taken so far.

Stages have weights that say how they compare. What the weights are in seconds is learnt
from the stages that have run or are running; the rest is the longest path through the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.graph import Graph


@dataclass(frozen=True, slots=True)
class StageTime:
    """What is known of a stage's time: seconds taken so far, and seconds left once it runs."""

    taken_s: float = 0.0
    left_s: float | None = None
    ended: bool = False


def remaining_s(graph: Graph, times: Mapping[str, StageTime]) -> float | None:
    """Seconds until the last stage ends, or None while nothing is known to judge by."""
    known = {
        stage.id: time.taken_s + (time.left_s or 0.0)
        for stage in graph.stages
        if (time := times.get(stage.id)) and (time.left_s is not None or time.ended)
    }
    # A stage that was reused or skipped took no time and says nothing about the others.
    measured = {stage_id: seconds for stage_id, seconds in known.items() if seconds > 0}
    weight = sum(graph.stage(stage_id).weight for stage_id in measured)
    if not weight:
        return None
    seconds_per_weight = sum(measured.values()) / weight

    before: dict[str, set[str]] = {stage.id: set() for stage in graph.stages}
    for source, target, _ in graph.all_edges():
        before[target].add(source)
    ends: dict[str, float] = {}
    for stage_id in graph.order():
        time = times.get(stage_id, StageTime())
        if time.ended:
            left = 0.0
        elif time.left_s is not None:
            left = time.left_s
        else:
            expected = graph.stage(stage_id).weight * seconds_per_weight
            left = max(expected - time.taken_s, 0.0)
        ends[stage_id] = left + max((ends[source] for source in before[stage_id]), default=0.0)
    return max(ends.values())
