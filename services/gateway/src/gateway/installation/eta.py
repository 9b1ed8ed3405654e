"""How long a job will still take: its remaining stages played through on the machine at hand.

What a stage has left is what it says itself once it runs, else what such stages took before,
else its weight, in the seconds that a unit of weight has stood for in this job so far. Stages
that run side by side share processors, and wait for a free place on a runner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.commands import Lane
from contracts.graph import Graph

_SOON_S = 1e-6
_SETTLED = 0.2


@dataclass(frozen=True, slots=True)
class Machine:
    """What the live runners can do at once.

    `places` is how many stages of each lane; `processors` how many of them at full speed.
    """

    places: Mapping[Lane, int] = field(default_factory=dict)
    processors: float = float("inf")

    def speed(self, running: int) -> float:
        """How fast each of so many stages goes, 0..1."""
        return min(1.0, self.processors / running) if running else 1.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """What is known of a stage's time, in seconds."""

    taken_s: float = 0.0
    """Spent on it so far."""
    left_s: float | None = None
    """Left, as it says itself while it runs."""
    ended: bool = False
    running: bool = False
    expected_s: float | None = None
    """Such stages took so long before."""
    delay_s: float = 0.0
    """Until what stands before it in the queue is done."""
    lane: Lane | None = None


def settled_s(said_s: float, fraction: float, expected_s: float | None) -> float:
    """Seconds that a running stage has left, of which it says `said_s` at a fraction of its work.

    A pace that is told by the first few steps is a guess, so until a fifth is done it counts
    only in part, and the rest is what such stages take.
    """
    if expected_s is None:
        return said_s
    trust = min(fraction / _SETTLED, 1.0)
    return trust * said_s + (1 - trust) * (1 - fraction) * expected_s


def remaining_s(
    graph: Graph, times: Mapping[str, StageTime], machine: Machine | None = None
) -> float | None:
    """Seconds until the last stage ends, or None while nothing is known to judge by."""
    machine = machine or Machine()
    left = _left(graph, times, machine)
    if left is None:
        return None
    before: dict[str, set[str]] = {stage.id: set() for stage in graph.stages}
    for source, target, _ in graph.all_edges():
        before[target].add(source)
    delays = {stage_id: times[stage_id].delay_s for stage_id in left if stage_id in times}
    lanes = {stage_id: time.lane for stage_id, time in times.items()}
    clock = 0.0
    while left:
        ready = [
            stage_id
            for stage_id in left
            if not before[stage_id] & left.keys() and delays.get(stage_id, 0.0) <= clock + _SOON_S
        ]
        active = _placed(ready, times, lanes, machine)
        waits = [delay - clock for delay in delays.values() if delay > clock + _SOON_S]
        speed = machine.speed(len(active))
        step = min([*(left[stage_id] / speed for stage_id in active), *waits])
        clock += step
        for stage_id in active:
            left[stage_id] -= step * speed
            if left[stage_id] <= _SOON_S:
                del left[stage_id]
                delays.pop(stage_id, None)
    return clock


def _placed(
    ready: list[str],
    times: Mapping[str, StageTime],
    lanes: Mapping[str, Lane | None],
    machine: Machine,
) -> list[str]:
    """The stages that run: those that do already, and then as many as there are places."""
    free = dict(machine.places)
    placed = []
    for stage_id in sorted(ready, key=lambda one: not times.get(one, StageTime()).running):
        lane = lanes.get(stage_id)
        if lane is not None and lane in free:
            if free[lane] <= 0 and not times[stage_id].running:
                continue
            free[lane] -= 1
        placed.append(stage_id)
    return placed


def _left(
    graph: Graph, times: Mapping[str, StageTime], machine: Machine
) -> dict[str, float] | None:
    """Seconds that each stage that has not ended would take alone, in the graph's order."""
    running = sum(1 for time in times.values() if time.running and not time.ended)
    speed = machine.speed(running)
    known = {
        stage.id: time.taken_s + (time.left_s or 0.0)
        for stage in graph.stages
        if (time := times.get(stage.id)) and (time.left_s is not None or time.ended)
    }
    # A stage that was reused or skipped took no time and says nothing about the others.
    measured = {stage_id: seconds for stage_id, seconds in known.items() if seconds > 0}
    for stage_id, time in times.items():
        if stage_id not in known and time.expected_s:
            measured[stage_id] = time.expected_s
    weight = sum(graph.stage(stage_id).weight for stage_id in measured)
    left: dict[str, float] = {}
    for stage_id in graph.order():
        time = times.get(stage_id, StageTime())
        if time.ended:
            continue
        if time.left_s is not None:
            left[stage_id] = time.left_s * speed
            continue
        if time.expected_s is None and not weight:
            return None
        expected = (
            time.expected_s
            if time.expected_s is not None
            else graph.stage(stage_id).weight * sum(measured.values()) / weight
        )
        left[stage_id] = max(expected - time.taken_s * speed, 0.0)
    return left
