"""What the supervisor decides, given how its processes stand and what time it is."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myspinbot.embedded import supervision as s
from myspinbot.embedded.supervision import Action, Phase, State, Ties, Verb

TIES = {
    "broker": Ties(),
    "store": Ties(),
    "planner": Ties(needs=("broker",)),
    "gateway": Ties(needs=("broker",), uses=("store",)),
}


def all_at(phase: Phase) -> dict[str, State]:
    return {name: State(phase=phase) for name in TIES}


def decide(states: dict[str, State], now: float = 0.0, *, stopping: bool = False) -> set[Action]:
    return set(s.decide(TIES, states, now, stopping=stopping))


def test_only_what_needs_nothing_starts_at_first() -> None:
    assert decide(all_at(Phase.WAITING)) == {
        Action(Verb.START, "broker"),
        Action(Verb.START, "store"),
    }


def test_a_program_starts_when_all_it_needs_are_ready() -> None:
    states = all_at(Phase.WAITING) | {
        "broker": State(phase=Phase.STARTING),
        "store": State(phase=Phase.STARTING),
    }
    assert decide(states) == set()
    states["broker"] = State(phase=Phase.READY)
    assert decide(states) == {Action(Verb.START, "planner"), Action(Verb.START, "gateway")}


def test_a_stack_that_is_ready_is_left_alone() -> None:
    assert decide(all_at(Phase.READY)) == set()
    assert s.all_ready(all_at(Phase.READY))


def test_a_program_that_died_starts_again_when_its_pause_is_over_and_not_before() -> None:
    dead = s.ended(State(phase=Phase.READY, was_ready=True), -9, now=10.0)
    states = all_at(Phase.READY) | {"planner": dead}
    assert dead.until == 10.0 + s.FIRST_PAUSE_S
    assert decide(states, now=dead.until - 0.01) == set()
    assert decide(states, now=dead.until) == {Action(Verb.START, "planner")}
    assert s.next_time(states) == dead.until


def test_pauses_grow_with_each_death_in_a_row_up_to_the_longest() -> None:
    state, pauses = State(), []
    for _ in range(10):
        state = s.ended(s.started(state, 0.0), 1, 0.0)
        pauses.append(state.until)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == s.LONGEST_PAUSE_S


def test_deaths_are_forgotten_after_steady_work_only() -> None:
    often_dead = State(phase=Phase.READY, since=0.0, deaths=6, was_ready=True)
    assert s.ended(often_dead, 1, s.STEADY_S).deaths == 1
    assert s.ended(often_dead, 1, s.STEADY_S - 1).deaths == 7


def test_what_others_need_or_use_stops_last() -> None:
    states = all_at(Phase.READY)
    assert decide(states, stopping=True) == {
        Action(Verb.STOP, "planner"),
        Action(Verb.STOP, "gateway"),
    }
    states["gateway"] = s.ended(s.told_to_stop(states["gateway"], 0.0), 0, 1.0)
    assert decide(states, stopping=True) == {
        Action(Verb.STOP, "planner"),
        Action(Verb.STOP, "store"),
    }


def test_a_program_that_does_not_stop_in_time_is_killed_once() -> None:
    stopping = s.told_to_stop(State(phase=Phase.READY), 5.0)
    states = all_at(Phase.STOPPED) | {"planner": stopping}
    assert decide(states, 5.0 + s.GRACE_S - 0.1, stopping=True) == set()
    assert decide(states, 5.0 + s.GRACE_S, stopping=True) == {Action(Verb.KILL, "planner")}
    states["planner"] = s.told_to_die(stopping)
    assert decide(states, 1e9, stopping=True) == set()


def test_nothing_starts_again_while_the_stack_stops() -> None:
    states = all_at(Phase.STOPPED) | {"planner": State(phase=Phase.PAUSED, until=0.0)}
    assert decide(states, now=100.0, stopping=True) == set()


def test_readiness_that_is_heard_of_after_the_death_changes_nothing() -> None:
    dead = s.ended(State(phase=Phase.STARTING), 1, 0.0)
    assert s.became_ready(dead, 1.0) is dead


@pytest.mark.parametrize(
    ("state", "hopeless"),
    [
        (State(phase=Phase.PAUSED, status=s.MISCONFIGURED, deaths=1), True),
        (State(phase=Phase.PAUSED, status=1, deaths=s.HOPELESS), True),
        (State(phase=Phase.PAUSED, status=1, deaths=s.HOPELESS - 1), False),
        (State(phase=Phase.PAUSED, status=1, deaths=s.HOPELESS, was_ready=True), False),
        (State(phase=Phase.STARTING, status=None, deaths=s.HOPELESS), False),
    ],
)
def test_a_start_is_given_up_only_for_what_never_worked(state: State, *, hopeless: bool) -> None:
    assert state.hopeless is hopeless


Happening = st.sampled_from(["tick", "ready", "dies", "hangs"])


@settings(deadline=None)
@given(
    happenings=st.lists(st.tuples(st.sampled_from(sorted(TIES)), Happening), max_size=60),
    kind=st.booleans(),
)
def test_whatever_happens_order_is_kept_and_a_stop_ends_everything(
    happenings: list[tuple[str, str]], *, kind: bool
) -> None:
    states, now = {name: State() for name in TIES}, 0.0

    def carry_out(*, stopping: bool) -> None:
        for action in s.decide(TIES, states, now, stopping=stopping):
            state = states[action.program]
            match action.verb:
                case Verb.START:
                    assert not state.alive
                    assert all(states[n].phase is Phase.READY for n in TIES[action.program].needs)
                    states[action.program] = s.started(state, now)
                case Verb.STOP:
                    users = [n for n, t in TIES.items() if action.program in t.needs + t.uses]
                    assert not any(states[user].alive for user in users)
                    stopped = s.told_to_stop(state, now)
                    states[action.program] = s.ended(stopped, 0, now) if kind else stopped
                case Verb.KILL:
                    states[action.program] = s.ended(s.told_to_die(state), -9, now)

    for name, happening in happenings:
        now += 1.0
        state = states[name]
        if happening == "ready" and state.phase is Phase.STARTING:
            states[name] = s.became_ready(state, now)
        elif happening == "dies" and state.alive:
            states[name] = s.ended(state, 1, now)
        carry_out(stopping=False)
    for _ in range(3 * len(TIES)):
        carry_out(stopping=True)
        now += s.GRACE_S
    assert not any(state.alive for state in states.values())
    assert s.next_time({n: replace(x, phase=Phase.STOPPED) for n, x in states.items()}) is None
