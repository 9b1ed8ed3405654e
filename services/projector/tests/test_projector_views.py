"""What each projection makes of events: pure functions, without a database."""

from typing import Any

import pytest
from contracts.envelope import Recorded
from contracts.job import JobState
from hypothesis import given
from hypothesis import strategies as st
from projector.fold import changes
from projector.projections import ALL, jobs, objects, profiles, stages, timeline
from projector.track import rows_of
from projector_histories import (
    EVERYTHING,
    TRAINING,
    artifact,
    completed,
    eventful_story,
    recorded,
    request,
    scheduled,
    stage_events,
    story,
)

from contracts import events as e

JOB = "job-1"


def view(table: str, events: list[Recorded]) -> list[dict[str, Any]]:
    """The rows of one table that one batch of events leaves behind."""
    found = {made.name: rows for made, rows in rows_of(ALL, changes({}, events))}
    return found.get(table, [])


def test_a_job_has_one_row_however_much_happened_to_it() -> None:
    [row] = view(jobs.JOBS.name, recorded(JOB, story(JOB)))
    assert row["status"] == "completed"
    assert row["progress"] == 1.0
    assert row["ended_at"] == row["updated_at"]
    assert JobState.model_validate_json(row["state"]).sequence == len(story(JOB))


def test_a_job_whose_request_is_unknown_has_no_row_and_no_owner() -> None:
    events = recorded(JOB, story(JOB)[1:])
    assert view(jobs.JOBS.name, events) == []
    assert {row["owner"] for row in view(timeline.TIMELINE.name, events)} == {""}


def test_only_stages_that_changed_are_written() -> None:
    events = recorded(JOB, story(JOB))
    first, rest = events[:2], events[2:3]
    batch = changes({}, first)
    assert len(view(stages.STAGES.name, first)) == len(EVERYTHING)
    after = changes({JOB: batch[-1].after}, rest)
    found = {table.name: rows for table, rows in rows_of(ALL, after)}
    assert [row["stage"] for row in found[stages.STAGES.name]] == ["prepare_dataset"]


def test_what_a_replaced_attempt_made_is_known_and_not_used() -> None:
    rows = view(objects.OBJECTS.name, recorded(JOB, eventful_story(JOB)))
    lora = {
        (row["output"], row["index"]): row["role"] for row in rows if row["stage"] == "train_lora"
    }
    assert lora == {
        ("sample", 20): "made",
        ("checkpoint", 30): "unused",
        ("lora", 0): "made",
        ("report", 0): "made",
    }


def test_what_a_stage_took_over_and_what_the_request_brought_are_told_apart() -> None:
    asked = request(job_type=e.JobType.GENERATE, profile="p-1")
    borrowed = {"lora": (artifact("jobs/other/train_lora/lora"),)}
    asked = asked.model_copy(update={"inputs": asked.inputs | borrowed})
    rows = view(objects.OBJECTS.name, recorded(JOB, eventful_story(JOB, asked)))
    roles = {row["key"]: row["role"] for row in rows}
    assert roles["uploads/one"] == "uploaded"
    assert roles["jobs/other/train_lora/lora"] == "borrowed"
    assert roles["jobs/earlier/train_voice/voice"] == "taken_over"


def test_a_second_telling_of_a_completion_leaves_its_outputs_made() -> None:
    told = story(JOB)[:7]
    rows = view(objects.OBJECTS.name, recorded(JOB, [*told, completed(JOB, "prepare_dataset")]))
    assert {row["role"] for row in rows if row["output"] == "faces"} == {"made"}


def test_only_a_stage_that_was_done_from_the_beginning_tells_how_long_it_takes() -> None:
    resumed = e.StageStarted(
        stage="prepare_dataset",
        attempt=1,
        runner="r",
        device="cpu",
        delivery=2,
        resumed_from_step=5,
    )
    whole, part = story(JOB), story(JOB)
    part.insert(4, resumed)
    reused = eventful_story(JOB)
    [took] = [
        row["duration_s"]
        for row in view(stages.STAGES.name, recorded(JOB, whole))
        if row["stage"] == "prepare_dataset"
    ]
    assert took == 3.0
    for events, stage in ((part, "prepare_dataset"), (reused, "train_voice")):
        rows = view(stages.STAGES.name, recorded(JOB, events))
        assert [row["duration_s"] for row in rows if row["stage"] == stage] == [None]


def test_every_output_of_a_completed_stage_is_an_object() -> None:
    rows = view(objects.OBJECTS.name, recorded(JOB, story(JOB, checkpoints=1)))
    made = {(row["stage"], row["output"]) for row in rows if row["role"] == "made"}
    outputs = {
        (event.stage, output)
        for event in story(JOB)
        if isinstance(event, e.StageCompleted)
        for output in event.outputs
    }
    assert made == outputs | {(stage, "checkpoint") for stage in EVERYTHING}
    assert len(rows) == len(made) + len(("one", "two", "three", "four"))


def test_a_training_fills_the_profile_that_it_was_asked_for() -> None:
    asked = request(profile="p-1")
    rows = view(profiles.PARTS.name, recorded(JOB, story(JOB, asked, TRAINING)))
    assert {row["part"]: row["profile"] for row in rows} == {"lora": "p-1", "voice": "p-1"}


def test_a_job_without_a_profile_leaves_none_behind() -> None:
    assert view(profiles.PARTS.name, recorded(JOB, story(JOB, request(), TRAINING))) == []


def test_generating_from_a_profile_does_not_change_it() -> None:
    asked = request(job_type=e.JobType.GENERATE, profile="p-1")
    kinds = ("synthesize_speech", "generate_portrait", "render_video")
    assert view(profiles.PARTS.name, recorded(JOB, story(JOB, asked, kinds))) == []


def test_every_event_of_the_log_is_in_the_timeline() -> None:
    events = recorded(JOB, eventful_story(JOB))
    rows = view(timeline.TIMELINE.name, events)
    assert [row["sequence"] for row in rows] == [event.sequence for event in events]
    assert [row["type"] for row in rows] == [event.type for event in events]


OCCURRENCES = [
    *story(JOB),
    *eventful_story(JOB),
    scheduled(JOB, "train_lora", 2),
    completed(JOB, "train_lora", 3),
    *stage_events(JOB, "train_voice", 2),
]


@given(st.lists(st.sampled_from(OCCURRENCES), max_size=60), st.integers(1, 60))
def test_a_state_that_was_stored_goes_on_like_one_that_was_kept(
    events: list[e.Event], cut: int
) -> None:
    log = recorded(JOB, [request(), *events])
    kept = changes({}, log)
    stored = kept[:cut][-1].after.to_json()
    resumed = changes({JOB: JobState.model_validate_json(stored)}, log[cut:])
    assert [change.after for change in resumed] == [change.after for change in kept[cut:]]
    assert rows_of(ALL, resumed) == rows_of(ALL, kept[cut:])


@pytest.mark.parametrize("size", [1, 3, 500])
def test_the_last_rows_do_not_depend_on_how_events_were_batched(size: int) -> None:
    log = recorded(JOB, eventful_story(JOB, request(profile="p-1")))
    whole = rows_of(ALL, changes({}, log))
    known: dict[str, JobState] = {}
    tables: dict[str, dict[tuple[object, ...], dict[str, Any]]] = {}
    for first in range(0, len(log), size):
        batch = changes(known, log[first : first + size])
        known = {JOB: batch[-1].after}
        for table, rows in rows_of(ALL, batch):
            keys = [column.name for column in table.primary_key]
            kept = tables.setdefault(table.name, {})
            kept.update({tuple(row[key] for key in keys): row for row in rows})
    assert {table.name: len(rows) for table, rows in whole} == {
        name: len(rows) for name, rows in tables.items()
    }
    for table, rows in whole:
        assert all(row in tables[table.name].values() for row in rows)
