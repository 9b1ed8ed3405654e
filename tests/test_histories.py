"""Recorded histories, folded and decided anew by today's code.

A history that today's code reads otherwise is a change of what the log means. If that is
wanted, a new version of the event is, too: a history is never edited.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contracts.chain import BEGIN
from contracts.envelope import Recorded, store, to_structured
from contracts.fold import evolve, initial
from contracts.job import JobState
from planner.domain.replay import essences, is_decision, replay

from contracts import events as e
from tests.support.histories import all_histories, history_files, load

FILES = history_files()


def test_there_are_histories_to_test_with() -> None:
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_history_is_read_and_written_without_loss(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [to_structured(recorded) for recorded in load(path)] == lines


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_history_has_not_been_edited_since_its_events_were_chained(path: Path) -> None:
    chain = BEGIN
    for recorded in load(path):
        if recorded.chain is None:
            # Recorded before there were chains: these come first.
            assert chain == BEGIN
            continue
        assert recorded.chain == store(recorded).linked(chain)
        chain = recorded.chain


def test_there_are_histories_with_chains() -> None:
    chained = {path.stem for path in FILES if load(path)[0].chain}
    assert {"pipeline-forked", "dead-letter-dropped", "retried-from-checkpoint"} <= chained


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
    replayed = list(replay(history, all_histories()))
    for decided in replayed:
        told = essences([item.event for item in decided.recorded])
        assert essences(decided.today) == told, f"after event {decided.sequence}"
        assert decided.absent == ()
    told_by_planner = [recorded for recorded in history if is_decision(recorded)]
    assert [item for decided in replayed for item in decided.recorded] == told_by_planner


def fold(history: list[Recorded]) -> JobState:
    state = initial(history[0].job)
    for recorded in history:
        state = evolve(state, recorded)
    return state
