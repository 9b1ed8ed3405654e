"""Recorded histories, folded and decided anew by today's code.

A history that today's code reads otherwise is a change of what the log means. If that is
wanted, a new version of the event is, too: a history is never edited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from contracts.envelope import Recorded, to_structured
from contracts.fold import evolve, initial
from contracts.job import JobState
from planner.domain.decide import World, decide
from planner.domain.fleet import Fleet
from planner.domain.reuse import Reusable

from contracts import events as e
from tests.support.histories import history_files, load, runner_of

FILES = history_files()


def test_there_are_histories_to_test_with() -> None:
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_history_is_read_and_written_without_loss(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [to_structured(recorded) for recorded in load(path)] == lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_history_folds_to_the_end_that_it_had(path: Path) -> None:
    history = load(path)
    ends = {
        e.JobCompleted: "completed",
        e.JobFailed: "failed",
        e.JobCancelled: "cancelled",
    }
    ending = [type(recorded.event) for recorded in history if type(recorded.event) in ends][-1]
    assert fold(history).status == ends[ending]
    assert fold(history).deleted == isinstance(history[-1].event, e.JobDeleted)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_progress_of_a_history_never_goes_back(path: Path) -> None:
    history = load(path)
    progress = [fold(history[:end]).progress for end in range(1, len(history) + 1)]
    assert progress == sorted(progress)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_planner_would_decide_a_history_the_same_today(path: Path) -> None:
    history = load(path)
    fleet = Fleet((runner_of(history),), history[0].time)
    index = 0
    while index < len(history):
        here = history[index]
        if here.source != PLANNER or is_dead_letter(here.event):
            index += 1
            continue
        rest = history[index:]
        world = World(here.time, fleet, reusable_of(rest), parent_of(history))
        decided = decide(fold(history[:index]), world).events
        assert decided, f"nothing would follow at {index}, where {here.type} did"
        told = [essence(item.event) for item in rest[: len(decided)]]
        assert [essence(event) for event in decided] == told
        index += len(decided)


PLANNER = "/myspinbot/planner"


def is_dead_letter(event: e.Event) -> bool:
    """Whether the planner only told of a runner's death, and decided nothing."""
    return isinstance(event, e.StageFailed) and event.code == e.RUNNER_LOST


def fold(history: list[Recorded]) -> JobState:
    state = initial(history[0].job)
    for recorded in history:
        state = evolve(state, recorded)
    return state


def reusable_of(recorded: list[Recorded]) -> Any:
    """What the planner must have known of, to have reused it."""
    known = {
        item.event.input_hash: Reusable(
            item.event.from_job, item.event.from_stage, item.event.outputs, item.event.metrics
        )
        for item in recorded
        if isinstance(item.event, e.StageReused)
    }
    return known.get


def parent_of(history: list[Recorded]) -> JobState | None:
    """The job that this one was forked from, as it stood then."""
    request = history[0].event
    assert isinstance(request, e.JobRequested)
    if request.forked_from is None:
        return None
    [parent] = [found for found in map(load, FILES) if found[0].job == request.forked_from.job]
    return fold([recorded for recorded in parent if recorded.time < history[0].time])


def essence(event: e.Event) -> dict[str, Any]:
    """An event without the times that follow from the clock of its day."""
    body = json.loads(event.to_json())
    return {"type": event.type_name(), **{k: v for k, v in body.items() if k != "deadline"}}
