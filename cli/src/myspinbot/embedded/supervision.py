"""What a supervisor decides, without doing it: which process to start, stop or kill, and when.

A process starts when all it needs are ready, starts again after it died, at first soon and
then after growing pauses, and stops only when nothing that uses it runs any more. Time is
passed in as seconds of a clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_S = 30.0
"""After this long without dying, earlier deaths are forgotten."""
GRACE_S = 20.0
"""How long a process may take to stop when it is asked to, before it is killed."""
HOPELESS = 4
"""Deaths in a row, without ever having been ready, that end the start of a stack."""
MISCONFIGURED = 2
"""The exit status of a service whose settings are wrong: trying again cannot help."""


class Phase(StrEnum):
    """Where a process is in its life."""

    WAITING = "waiting"
    """For what it needs."""
    STARTING = "starting"
    READY = "ready"
    PAUSED = "paused"
    """It died, and is started again at `until`."""
    STOPPING = "stopping"
    """It was asked to stop, and is killed at `until`."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class State:
    """How one process stands. `deaths` counts those in a row."""

    phase: Phase = Phase.WAITING
    since: float = 0.0
    until: float = 0.0
    deaths: int = 0
    was_ready: bool = False
    status: int | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.phase in (Phase.STARTING, Phase.READY, Phase.STOPPING)

    @property
    def hopeless(self) -> bool:
        """Whether it has never been ready and is not going to be."""
        given_up = self.status == MISCONFIGURED or self.deaths >= HOPELESS
        return self.phase is Phase.PAUSED and not self.was_ready and given_up


class Verb(StrEnum):
    """What to do to a process."""

    START = "start"
    STOP = "stop"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do now."""

    verb: Verb
    program: str


@dataclass(frozen=True, slots=True)
class Ties:
    """How a program depends on others, by their names.

    It starts when those that it `needs` are ready. Those that it needs or `uses` stop after it.
    """

    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


def decide(
    ties: Mapping[str, Ties], states: Mapping[str, State], now: float, *, stopping: bool
) -> list[Action]:
    """What to do now. Doing it and saying so with the functions below changes the answer."""
    actions = (_decide(name, ties, states, now, stopping=stopping) for name in ties)
    return [action for action in actions if action is not None]


def _decide(
    name: str,
    ties: Mapping[str, Ties],
    states: Mapping[str, State],
    now: float,
    *,
    stopping: bool,
) -> Action | None:
    state = states[name]
    if state.phase is Phase.STOPPING:
        return Action(Verb.KILL, name) if now >= state.until else None
    if stopping:
        users = (other for other, tie in ties.items() if name in tie.needs + tie.uses)
        used = any(states[user].alive for user in users)
        return Action(Verb.STOP, name) if state.alive and not used else None
    due = state.phase is Phase.PAUSED and now >= state.until
    if state.phase is not Phase.WAITING and not due:
        return None
    able = all(states[other].phase is Phase.READY for other in ties[name].needs)
    return Action(Verb.START, name) if able else None


def next_time(states: Mapping[str, State]) -> float | None:
    """When to decide again although nothing happens, or None if that can wait for ever."""
    timed = (Phase.PAUSED, Phase.STOPPING)
    return min((s.until for s in states.values() if s.phase in timed), default=None)


def started(state: State, now: float) -> State:
    """There is a process now."""
    return replace(state, phase=Phase.STARTING, since=now, status=None)


def became_ready(state: State, now: float) -> State:
    """The process does its work."""
    if state.phase is not Phase.STARTING:
        return state
    return replace(state, phase=Phase.READY, since=now, was_ready=True)


def told_to_stop(state: State, now: float) -> State:
    """The process was asked to stop."""
    return replace(state, phase=Phase.STOPPING, since=now, until=now + GRACE_S)


def told_to_die(state: State) -> State:
    """The process was killed; there is nothing more to wait for but its end."""
    return replace(state, until=float("inf"))


def ended(state: State, status: int, now: float) -> State:
    """The process is gone. `status` is its exit status, or minus the signal that ended it."""
    if state.phase is Phase.STOPPING:
        return replace(state, phase=Phase.STOPPED, since=now, status=status)
    steady = state.phase is Phase.READY and now - state.since >= STEADY_S
    deaths = 1 if steady else state.deaths + 1
    pause = min(FIRST_PAUSE_S * 2 ** (deaths - 1), LONGEST_PAUSE_S)
    return replace(
        state, phase=Phase.PAUSED, since=now, until=now + pause, deaths=deaths, status=status
    )


def all_ready(states: Mapping[str, State]) -> bool:
    """Whether the whole stack does its work."""
    return all(state.phase is Phase.READY for state in states.values())
