"""A job's story, made from recorded histories: reasons, pauses, charts, places and differences."""

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contracts.envelope import Recorded, Stored, store
from contracts.graph import Binding, Edge, EdgeKind, Graph, Stage
from contracts.mermaid import mermaid
from hypothesis import given
from hypothesis import strategies as some
from myspinbot.errors import CommandError
from myspinbot.moments import moment
from myspinbot.story.difference import Change, difference
from myspinbot.story.gantt import Mark, rows, scale
from myspinbot.story.history import Entry, history
from myspinbot.story.patch import patch, same
from myspinbot.story.pauses import Doing
from myspinbot.story.places import place
from myspinbot.story.reasons import reason
from myspinbot.story.spans import MINUS, brief, span
from myspinbot.story.statistics import Statistics
from myspinbot.story.summary import summary, summary_lines
from myspinbot.story.telling import story_document, story_text, tell

from contracts import events as e
from tests.support.histories import HISTORIES, history_files, load

NOW = datetime(2026, 12, 1, tzinfo=UTC)
BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)


def recorded(name: str) -> list[Recorded]:
    return load(HISTORIES / f"{name}.jsonl")


def entries(events: Sequence[Recorded]) -> tuple[Entry, ...]:
    return history(events[0].job, [store(each) for each in events])


SOURCES = {e.Teller.USER: "gateway", e.Teller.PLANNER: "planner", e.Teller.RUNNER: "gpu-runner"}


def made(*events: tuple[float, e.Event]) -> tuple[Entry, ...]:
    """A history with events at these seconds."""
    return entries(
        [
            Recorded(
                job="job-1",
                event=event,
                id=f"id-{number}",
                source=f"/myspinbot/{SOURCES[max(event.told_by)]}",
                time=BEGIN + timedelta(seconds=second),
                sequence=number,
            )
            for number, (second, event) in enumerate(events, 1)
        ]
    )


def said(found: Sequence[Entry], event_type: str, nth: int = 0) -> str:
    return reason([entry for entry in found if entry.type == event_type][nth]) or ""


GRAPH = Graph(
    stages=(
        Stage(id="first", kind="first"),
        Stage(id="second", kind="second", inputs={"x": Binding(stage="first", output="x")}),
        Stage(id="rescue", kind="rescue"),
    ),
    edges=(Edge(source="first", target="rescue", kind=EdgeKind.ON_FAILURE),),
)
REQUEST = e.JobRequested(type=e.JobType.PIPELINE, owner="mira", graph=GRAPH)


def scheduled(stage: str, attempt: int = 1, **more: Any) -> e.StageScheduled:
    values: dict[str, Any] = {
        "stage": stage,
        "attempt": attempt,
        "kind": stage,
        "engine": "mini",
        "engine_version": "1",
        "lane": "cpu",
        "params": {},
        "inputs": {},
        "input_hash": "0" * 64,
        "seed": 0,
    }
    return e.StageScheduled(**(values | more))


def started(stage: str, attempt: int = 1, delivery: int = 1) -> e.StageStarted:
    return e.StageStarted(
        stage=stage, attempt=attempt, runner="r1", device="cpu", delivery=delivery
    )


def failed(stage: str, attempt: int = 1, code: str = "oops", **more: Any) -> e.StageFailed:
    values: dict[str, Any] = {"cause": "Why", "remedy": "Do", "retryable": True}
    return e.StageFailed(stage=stage, attempt=attempt, code=code, **(values | more))


def test_a_first_attempt_is_due_because_what_it_waits_for_is_done() -> None:
    found = entries(recorded("generate"))
    assert said(found, "StageScheduled").startswith("it waits for no other stage; ")
    assert said(found, "StageScheduled", 1).startswith("prepare_dataset is done; ")
    assert said(found, "StageScheduled", 5).startswith(
        "generate_portrait and synthesize_speech are done; the planner chose "
    )


def test_a_retry_is_due_because_of_how_the_attempt_before_failed() -> None:
    found = entries(recorded("generate-stage-killed"))
    assert said(found, "StageFailed") == "stage-killed; another attempt may follow"
    assert said(found, "StageRetryScheduled") == (
        "stage-killed may pass; a pause of 2.0 s first, 2 of 3 attempts left"
    )
    again = next(each for each in found if getattr(each.recorded.event, "attempt", 0) == 2)
    assert (reason(again) or "").startswith(
        "attempt 1 failed with stage-killed, and its pause is over; "
    )


def test_a_retry_that_a_person_asked_for_says_so() -> None:
    found = entries(recorded("no-face-retried"))
    assert said(found, "JobRetryRequested") == "it had failed; what is completed stays"
    assert said(found, "StageScheduled", 1).startswith("a retry was asked for after attempt 1; ")
    assert said(found, "JobFailed") == (
        "prepare_dataset failed at once (no-face), and no stage handles it"
    )


def test_what_is_taken_over_says_whether_by_fork_or_by_likeness() -> None:
    forked, reused = entries(recorded("generate-forked")), entries(recorded("generate-reused"))
    assert said(forked, "JobRequested").startswith("a fork of 01m82avf3bmfjky985z5hyxksw, anew")
    assert said(forked, "StageReused") == (
        "the fork is from generate_portrait on, and takes this over"
    )
    assert said(forked, "StageScheduled").startswith("the fork does this stage anew; ")
    assert "had the same engine, parameters and inputs (hash " in said(reused, "StageReused")
    assert said(forked, "JobCompleted") == ("every stage has ended well: 2 completed, 4 taken over")


def test_what_is_skipped_given_up_or_late_says_why() -> None:
    late = BEGIN + timedelta(seconds=9)
    found = made(
        (0, REQUEST),
        (1, e.JobPlanned(graph=GRAPH)),
        (1, scheduled("first", deadline=late)),
        (2, started("first", delivery=2)),
        (9, failed("first", code="deadline")),
        (9, e.StageRetryScheduled(stage="first", failed_attempt=1, at=late)),
        (10, scheduled("first", 2)),
        (11, started("first", 2)),
        (12, started("first", 1)),
        (13, failed("first", 2, code=e.RUNNER_LOST, retryable=False)),
        (13, e.StageSkipped(stage="second", because_of="first")),
        (14, e.DeadLetterDropped(stage="first", attempt=2, by="mira")),
    )
    assert said(found, "JobPlanned") == "the graph that came with the request"
    assert "was given out again" in said(found, "StageStarted")
    assert said(found, "StageFailed").startswith("its deadline of ")
    assert said(found, "StageFailed", 1) == (
        "every runner that took it vanished; the same again would fail again"
    )
    assert said(found, "StageStarted", 2) == (
        "it changed nothing: attempt 1 was given up, and attempt 2 is the one that counts"
    )
    assert said(found, "StageSkipped") == "it runs only if first completes, which was failed"
    assert said(found, "DeadLetterDropped") == ""


@pytest.mark.parametrize("path", history_files(), ids=lambda path: path.stem)
@pytest.mark.parametrize("width", [80, 100, 160])
def test_every_history_is_told_within_its_width(path: Any, width: int) -> None:
    found = entries(load(path))
    assert max(len(line.plain) for line in story_text(found, NOW, width)) <= width


@pytest.mark.parametrize("path", history_files(), ids=lambda path: path.stem)
def test_the_time_of_a_job_is_spent_on_what_is_told_and_nothing_is_lost(path: Any) -> None:
    events = load(path)
    found = summary(entries(events), NOW)
    whole = (events[-1].time - events[0].time).total_seconds()
    assert sum(found.seconds.values()) == pytest.approx(whole)
    assert found.events == len(events)
    document = story_document(entries(events), NOW)
    assert json.loads(json.dumps(document))["summary"]["spentS"].keys() == {*Doing}
    assert [each["number"] for each in document["events"]] == list(range(1, len(events) + 1))


def test_waits_for_a_runner_and_pauses_are_told_apart() -> None:
    found = made(
        (0, REQUEST),
        (1, e.JobPlanned(graph=GRAPH)),
        (1, scheduled("first")),
        (6, started("first")),
        (8, failed("first")),
        (8, e.StageRetryScheduled(stage="first", failed_attempt=1, at=BEGIN)),
        (11, scheduled("first", 2)),
    )
    spent = summary(found, BEGIN + timedelta(seconds=11.5)).seconds
    # The last half second is until now.
    assert spent[Doing.QUEUED] == 5.5
    assert spent[Doing.WORKING] == 2
    assert spent[Doing.PAUSED] == 3
    assert spent[Doing.DECIDING] == 1
    lines = [line.plain for line in story_text(found, BEGIN + timedelta(seconds=12), 100)]
    assert any(line.strip() == "┆ 5.0 s: first waiting for a runner" for line in lines)
    assert any("┆ 3.0 s: first pausing before another attempt" in line for line in lines)
    assert any("┆ 1.0 s until now: first waiting for a runner" in line for line in lines)


def test_clocks_that_disagree_are_said_to() -> None:
    found = made(
        (0, REQUEST),
        (5, e.JobPlanned(graph=GRAPH)),
        (5, scheduled("first")),
        (4.65, started("first")),
        (7, failed("first", retryable=False)),
    )
    told = tell(found)
    assert told[3].pause is not None
    assert told[3].pause.seconds == pytest.approx(-0.35)
    assert told[3].pause.doing is Doing.BACKWARDS
    text = "\n".join(line.plain for line in story_text(found, NOW, 100))
    assert MINUS + "350 ms: two clocks disagree: that of r1 is behind that of planner" in text
    assert f"Clocks of its machines disagree, by {MINUS}350 ms in all" in text


def unreadable(entry: Entry, version: int = 2, name: str = "StageStarted") -> Stored:
    headers = {
        **entry.stored.headers,
        "ce-type": f"myspinbot.{name}",
        "ce-dataschema": f"schemas/events/{name}.v{version}.json",
    }
    return Stored(headers, b'{"version": 2, "new": true}', entry.sequence)


def test_an_event_of_a_newer_version_is_shown_with_what_is_needed_to_read_it() -> None:
    whole = entries(recorded("generate"))
    stored = [entry.stored for entry in whole]
    stored[3] = unreadable(whole[3])
    stored[9] = unreadable(whole[9], 1, "StagePraised")
    found = history(whole[0].stored.job, stored)
    assert len(found) == len(whole)
    text = "\n".join(line.plain for line in story_text(found, NOW, 200))
    assert "StageStarted ?" in text
    assert (
        "StageStarted version 2: this MySpinBot knows up to version 1; a newer one is needed"
    ) in text
    assert "StagePraised version 1: this MySpinBot knows no such event" in text
    assert "2 of them this MySpinBot does not understand" in text
    assert found[-1].after.status == "completed"


def test_a_chart_shows_attempts_one_after_another_and_cuts_idle_time_out() -> None:
    days = 86_400.0
    found = made(
        (0, REQUEST),
        (0, e.JobPlanned(graph=GRAPH)),
        (0, scheduled("first")),
        (5, started("first")),
        (10, failed("first", retryable=False)),
        (10, e.JobFailed(stage="first", code="c", cause="w", remedy="r")),
        (days, e.JobRetryRequested(by="mira")),
        (days, scheduled("first", 2)),
        (days, started("first", 2)),
    )
    now = BEGIN + timedelta(seconds=days + 10)
    along = scale(found, now, 40)
    assert along.seconds == 20
    [first, second, _] = sorted(rows(found[-1].after, along, now), key=lambda row: row.stage)
    cells = "".join(first.cells)
    assert cells == "░" * 10 + "▒" * 10 + "┊" + "▓" * 19
    assert first.seconds == 15
    assert second.seconds is None


def test_what_was_taken_over_is_a_mark_in_the_chart() -> None:
    found = entries(recorded("generate-forked"))
    along = scale(found, NOW, 30)
    drawn = {row.stage: row for row in rows(found[-1].after, along, NOW)}
    assert drawn["train_lora"].cells[0] is Mark.REUSED
    assert set(drawn["train_lora"].cells[1:]) == {Mark.NOTHING}
    assert Mark.DONE in drawn["render_video"].cells


def test_a_cancelled_job_has_stages_that_were_stopped() -> None:
    found = summary(entries(recorded("cancelled")), NOW)
    assert found.stages["stopped"] == 2
    assert summary_lines(found)[0].startswith("Cancelled after ")


STORY = entries(recorded("no-face-retried"))
END = 100


@pytest.mark.parametrize(
    ("given_place", "number"),
    [
        ("#1", 1),
        ("#11", 11),
        ("38", 1),
        ("40", 3),
        ("48", 11),
        ("60", 11),
        ("2026-11-22T17:31:25Z", 4),
        ("2026-11-22T17:31:25.053Z", 5),
        ("2026-11-22T17:31:25.053229+00:00", 5),
        ("2026-11-22T18:31:25.05+01:00", 4),
        ("1d", 11),
    ],
)
def test_a_place_is_an_events_number_a_position_or_a_time(given_place: str, number: int) -> None:
    assert place(given_place, STORY, END, NOW).number == number


def test_a_time_of_day_is_one_in_the_course_of_the_job() -> None:
    clock = STORY[4].time.astimezone()
    assert place(f"{clock:%H:%M:%S.%f}"[:-3], STORY, END, NOW).number == 5
    # As a narrow screen shows it, cut to the second.
    assert place(f"{clock:%H:%M:%S}", STORY, END, NOW).number == 9
    midnight = made((0, REQUEST), (13 * 3600, e.JobPlanned(graph=GRAPH)))
    later = midnight[1].time.astimezone()
    if later.date() != midnight[0].time.astimezone().date():
        assert place(f"{later:%H:%M:%S}", midnight, 2, NOW).number == 2


@pytest.mark.parametrize(
    ("given_place", "cause", "remedy"),
    [
        ("#0", "no event #0", "#1 to #11"),
        ("#12", "no event #12", "#1 to #11"),
        ("37", "was not yet asked for", "begins at 38 and reaches to 48"),
        ("101", "ends at 100", "from 38 to 48"),
        ("2026-11-22T17:31:23Z", "was not yet asked for", "It began at "),
        ("2030-01-01", "is yet to come", "up to now"),
        ("soon", "no place in a job's history", "'#3'"),
        ("#x", "no place in a job's history", "'#3'"),
        ("25:00:00", "no time of day", "17:30:39"),
        ("99999999999w", "no place in a job's history", "'#3'"),
    ],
)
def test_what_is_no_place_of_the_job_is_refused(given_place: str, cause: str, remedy: str) -> None:
    with pytest.raises(CommandError) as refused:
        place(given_place, STORY, END, NOW)
    assert cause in refused.value.cause
    assert remedy in refused.value.remedy


def test_where_clocks_disagree_a_time_still_divides_the_job_in_two() -> None:
    found = made((0, REQUEST), (5, e.JobPlanned(graph=GRAPH)), (3, scheduled("first")))
    at = [place((BEGIN + timedelta(seconds=s)).isoformat(), found, 3, NOW) for s in (0, 4, 5)]
    assert [entry.number for entry in at] == [1, 1, 3]


def test_times_without_a_zone_are_local() -> None:
    local = datetime(2026, 11, 22, 10).astimezone()
    assert moment("2026-11-22T10:00", NOW) == local
    assert moment("30s", NOW) == NOW - timedelta(seconds=30)


JSON = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-5, 5)
    | some.floats(-2, 2)
    | some.text("a~/b", max_size=3),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.text("a~/b", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def applied(document: Any, operations: list[dict[str, Any]]) -> Any:
    """RFC 6902, as far as these patches use it."""
    holder = {"": copy.deepcopy(document)}
    for operation in operations:
        parent: Any = holder
        path = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")]
        for part in path[:-1]:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        last: Any = int(path[-1]) if isinstance(parent, list) else path[-1]
        if operation["op"] == "remove":
            del parent[last]
        elif operation["op"] == "add" and isinstance(parent, list):
            parent.insert(last, operation["value"])
        else:
            assert (last in parent or operation["op"] == "add") or isinstance(parent, list)
            parent[last] = operation["value"]
    return holder[""]


@given(JSON, JSON)
def test_a_patch_makes_the_second_document_of_the_first(before: Any, after: Any) -> None:
    operations = patch(before, after)
    assert same(applied(before, operations), after)
    assert (operations == []) == same(before, after)


def test_every_state_of_a_job_is_reached_by_patches() -> None:
    found = entries(recorded("generate-stage-killed"))
    states = [entry.after.model_dump(mode="json", by_alias=True) for entry in found]
    for before, after in zip(states, states[5:], strict=False):
        assert applied(before, patch(before, after)) == after
        assert applied(after, patch(after, before)) == before


def test_a_difference_says_what_is_new_gone_and_changed() -> None:
    before = {"a": 1, "gone": [1], "deep": {"x": "same", "y": True}, "list": [{"n": 1}]}
    after = {"a": 2, "new": {}, "deep": {"x": "same", "y": 1}, "list": [{"n": 1}, {"n": 2}]}
    assert [str(line) for line in difference(before, after, 80)] == [
        "→ a: 1 → 2",
        "- gone: [1]",
        "  deep",
        "→   y: true → 1",
        "  list",
        "+   [1]: {n: 2}",
        "+ new: {}",
    ]


def test_a_difference_keeps_to_its_width_and_shortens_hashes() -> None:
    artifact = {"key": "k", "size": 1200, "sha256": "ab" * 32, "mediaType": "image/png"}
    lines = list(difference({}, {"out": {"faces": [artifact] * 3}, "hash": "0" * 64}, 50))
    assert [str(line) for line in lines] == [
        "+ out",
        "+   faces",
        *(f"+     [{n}]: image/png, 1.2 kB, abababab…" for n in range(3)),
        "+ hash: 00000000…",
    ]
    assert {line.change for line in lines} == {Change.ADDED}


def test_a_graph_is_drawn_with_how_each_stage_stands() -> None:
    state = entries(recorded("generate-stage-killed"))[19].after
    assert state.graph is not None
    drawn = mermaid(
        state.graph,
        {stage.id: stage.status for stage in state.stages.values()},
        {"train_lora": 'a "note"'},
    )
    assert 'st_train_lora["train_lora<br/>running, a #quot;note#quot;"]:::running' in drawn
    assert 'st_render_video["render_video<br/>pending"]:::pending' in drawn
    assert "classDef running fill:" in drawn
    assert "classDef failed" not in drawn


def test_lengths_of_time_are_short_and_keep_their_sign() -> None:
    assert [span(s) for s in (0, 0.0529, 0.9999, 1.66, 59.96, 185, -0.35)] == [
        "0 ms", "53 ms", "1.0 s", "1.7 s", "1 min 00 s", "3 min 05 s", MINUS + "350 ms",
    ]  # fmt: skip
    assert [brief(s) for s in (0.2, 75, 7800, 270_000, -75)] == [
        "200 ms", "1m15s", "2h10m", "3d03h", MINUS + "1m15s",
    ]  # fmt: skip
    assert all(len(brief(float(10**n))) <= 7 for n in range(-3, 8))


def test_a_log_is_counted_event_by_event() -> None:
    found = Statistics()
    logs = [load(path) for path in history_files()]
    number = 0
    for events in logs:
        for each in events:
            number += 1
            found.add(store(each._replace(sequence=number)))
    document = json.loads(json.dumps(found.document()))
    assert document["events"] == sum(map(len, logs)) == number
    assert document["jobs"] == len(logs)
    lengths = sorted(map(len, logs))
    # By nearest rank: so many jobs have at most so many events.
    assert document["eventsPerJob"] == {
        "p50": lengths[(len(lengths) + 1) // 2 - 1],
        "p90": lengths[-(len(lengths) // 10) - 1],
        "p99": lengths[-1],
        "max": lengths[-1],
    }
    assert sum(each["events"] for each in document["types"].values()) == number
    assert sum(day["jobs"] for day in document["days"].values()) == len(logs)
    sizes = [len(store(each).body) for events in logs for each in events]
    assert [each["bytes"] for each in document["largest"]] == sorted(sizes, reverse=True)[:5]
    assert document["bytes"] == sum(sizes)
    assert document["backwards"] >= 1
    assert document["unknown"] == {}
