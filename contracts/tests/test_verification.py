"""What a verification finds in a history, and what it rightly does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chained import chained, history, interleaved, recorded_histories, told
from contracts.admission import ForeignEventError, admit
from contracts.artifacts import Artifact
from contracts.commands import Lane
from contracts.consent import Likeness
from contracts.envelope import Stored
from contracts.findings import Check, Finding, Severity
from contracts.graph import Graph, Stage
from contracts.upcasting import UnknownEventError
from contracts.verification import Verifier
from hypothesis import given
from hypothesis import strategies as st

from contracts import events as e

LONG = history(recorded_histories()[0].with_name("no-face-retried.jsonl"))
GRAPH = Graph(stages=(Stage(id="one", kind="one"), Stage(id="two", kind="two")))
REQUESTED = e.JobRequested(type=e.JobType.PIPELINE, owner="ada")
CONSENT = e.ConsentGiven(
    covers=(Likeness.FACE,),
    statement=Artifact(key="a/b", size=1, sha256="0" * 64, media_type="a/b"),
    given_at=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
    by="ada",
)
PLANNED = e.JobPlanned(graph=GRAPH)
FAILED = e.StageFailed(stage="one", attempt=1, code="c", cause="x", remedy="y", retryable=False)


def scheduled(stage: str = "one", attempt: int = 1) -> e.StageScheduled:
    return e.StageScheduled(
        stage=stage,
        attempt=attempt,
        kind=stage,
        engine="mini",
        engine_version="1",
        lane=Lane.CPU,
        params={},
        inputs={},
        input_hash="0" * 64,
        seed=0,
    )


def started(stage: str = "one", attempt: int = 1) -> e.StageStarted:
    return e.StageStarted(stage=stage, attempt=attempt, runner="r1", device="cpu")


def completed(stage: str = "one", attempt: int = 1) -> e.StageCompleted:
    return e.StageCompleted(
        stage=stage, attempt=attempt, runner="r1", outputs={}, metrics={}, duration_s=1
    )


def findings(events: Sequence[Stored], **options: bool) -> list[Finding]:
    verifier = Verifier(**options)
    return [finding for stored in events for finding in verifier.examine(stored)]


def checks(events: Sequence[Stored], **options: bool) -> list[tuple[Check, int | None]]:
    return [(one.check, one.sequence) for one in findings(events, **options)]


@pytest.mark.parametrize("path", recorded_histories(), ids=lambda path: path.stem)
def test_nothing_is_wrong_with_a_history_that_really_happened(path: Path) -> None:
    assert findings(history(path)) == []


def test_jobs_that_happen_at_the_same_time_are_told_apart() -> None:
    jobs = {
        stored.job: events
        for path in recorded_histories()
        if (events := history(path))
        for stored in events
    }
    verifier = Verifier()
    for stored in interleaved(list(jobs.values())):
        assert verifier.examine(stored) == []
    assert verifier.tally.jobs == verifier.tally.ended == len(jobs)


@given(st.integers(0, len(LONG) - 1), st.data())
def test_whatever_bit_of_what_an_event_says_is_flipped_it_is_found(
    place: int, data: st.DataObject
) -> None:
    stored = LONG[place]
    parts = ["body", *stored.headers]
    part = data.draw(st.sampled_from(parts))
    content = bytearray(stored.body if part == "body" else stored.headers[part].encode())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << (bit % 8)
    try:
        edited = (
            replace(stored, body=bytes(content))
            if part == "body"
            else replace(stored, headers={**stored.headers, part: content.decode("latin-1")})
        )
        same = edited.structured() == stored.structured()
    except UnknownEventError:
        same = False
    found = findings([*LONG[:place], edited, *LONG[place + 1 :]])
    # A white space or an escape may be written in two ways, and says the same.
    assert same or any(one.severity is Severity.ERROR for one in found)


@given(st.integers(0, len(LONG) - 1))
def test_an_event_that_was_left_out_is_missed_even_if_no_gap_shows(place: int) -> None:
    rest = [*LONG[:place], *LONG[place + 1 :]]
    closed_up = [replace(stored, sequence=number) for number, stored in enumerate(rest, 1)]
    if place == len(LONG) - 1:
        # Only a checkpoint knows that a job went on.
        assert findings(closed_up) == []
    else:
        assert (Check.CHAIN, place + 1) in checks(closed_up)


@given(st.integers(0, len(LONG) - 1), st.integers(0, len(LONG) - 1))
def test_events_that_changed_places_are_found(one: int, other: int) -> None:
    moved = list(LONG)
    moved[one], moved[other] = moved[other], moved[one]
    renumbered = [replace(stored, sequence=number) for number, stored in enumerate(moved, 1)]
    assert (one == other) is (findings(renumbered) == [])


def test_an_edit_is_told_once_and_where_it_is() -> None:
    edited = replace(LONG[4], headers={**LONG[4].headers, "ce-id": "another"})
    assert checks([*LONG[:4], edited, *LONG[5:]]) == [(Check.CHAIN, 5)]


def test_events_of_before_there_were_chains_may_come_first_and_not_later() -> None:
    def bare(stored: Stored) -> Stored:
        headers = {k: v for k, v in stored.headers.items() if k != "ce-chain"}
        return replace(stored, headers=headers)

    old = [bare(stored) for stored in LONG]
    verifier = Verifier()
    assert [verifier.examine(stored) for stored in old] == [[]] * len(old)
    assert verifier.tally.unchained == len(old)
    mended = [*old[:3], *(replace(s, sequence=s.sequence + 3) for s in chained(old[3:]))]
    assert findings(mended) == []
    torn = [*LONG[:3], bare(LONG[3]), *LONG[4:]]
    assert (Check.CHAIN, 4) in checks(torn)


def test_a_gap_in_the_stream_names_what_is_missing() -> None:
    [gap] = [f for f in findings([*LONG[:3], *LONG[5:]]) if f.check is Check.SEQUENCE]
    assert gap.what == "events 4 to 5 are missing"
    assert not [f for f in findings(LONG[:3], gapless=False) if f.check is Check.SEQUENCE]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([REQUESTED, REQUESTED], "the job was requested before"),
        ([REQUESTED, PLANNED, PLANNED], "the job was planned before"),
        ([REQUESTED, CONSENT, CONSENT], "the consent was given before"),
        ([REQUESTED, PLANNED, CONSENT], "the job had begun without it"),
        ([REQUESTED, PLANNED, completed("none")], "the job has no stage none"),
        ([REQUESTED, started()], "the job has no stage one"),
        ([REQUESTED, PLANNED, started()], "attempt 1 at one was never scheduled"),
        ([REQUESTED, PLANNED, scheduled(attempt=2)], "attempt 2 does not follow attempt 0"),
        (
            [REQUESTED, PLANNED, scheduled(), scheduled(attempt=2)],
            "attempt 1 was still under way",
        ),
        (
            [REQUESTED, PLANNED, scheduled(), completed(), scheduled(attempt=2)],
            "one was completed before",
        ),
        (
            [
                REQUESTED,
                PLANNED,
                e.StageRetryScheduled(stage="one", failed_attempt=1, at="2026-11-22T12:00:00Z"),
            ],
            "no attempt at one had failed",
        ),
        ([REQUESTED, PLANNED, e.JobCompleted()], "one, two had not ended"),
        ([REQUESTED, e.JobCompleted()], "the job had no plan"),
        ([REQUESTED, e.JobCancelled()], "nobody had asked for it"),
        (
            [REQUESTED, e.JobFailed(code="c", cause="x", remedy="y"), PLANNED],
            "it was decided after the job had failed",
        ),
        (
            [
                REQUESTED,
                e.JobCancelRequested(by="ada"),
                e.JobCancelled(),
                e.JobDeleted(by="ada"),
                e.JobCompleted(),
            ],
            "it was decided after the job was deleted",
        ),
        (
            [REQUESTED, PLANNED, e.DeadLetterDropped(stage="one", attempt=1, by="ada")],
            "attempt 1 at one was never scheduled",
        ),
    ],
)
def test_what_nobody_who_kept_the_rules_would_tell_is_illegal(
    events: list[e.Event], why: str
) -> None:
    [illegal] = findings(told(events))
    assert (illegal.check, illegal.sequence) == (Check.TRANSITION, len(events))
    assert illegal.what == f"{events[-1].type_name()}: {why}"


@pytest.mark.parametrize(
    "late",
    [
        [e.JobCancelRequested(by="ada")],
        [e.JobRetryRequested(by="ada"), e.JobRetryRequested(by="ada")],
        [started(), completed(), FAILED],
        [e.JobDeleted(by="ada"), e.JobDeleted(by="ada"), e.JobRetryRequested(by="ada"), started()],
    ],
    ids=lambda events: "-".join(event.type_name() for event in events),
)
def test_people_and_runners_may_come_late(late: list[e.Event]) -> None:
    ended = [REQUESTED, PLANNED, scheduled(), started(), FAILED]
    ended.append(e.JobFailed(stage="one", code="c", cause="x", remedy="y"))
    verifier = Verifier()
    for stored in told([*ended, *late]):
        assert verifier.examine(stored) == []
    effective = {e.JobRetryRequested, e.JobDeleted} & {type(late[0])}
    assert verifier.tally.late == len(late) - len(effective)


def test_a_wish_about_a_person_is_beside_their_training_and_never_late() -> None:
    verifier = Verifier()
    wished = e.ProfileErased(by="ada")
    for stored in told([REQUESTED, wished, e.JobCancelRequested(by="ada"), e.JobCancelled()]):
        assert verifier.examine(stored) == []
    assert verifier.tally.late == 0


def test_a_job_is_judged_after_its_end_as_before_it() -> None:
    events = [REQUESTED, PLANNED, scheduled(), started(), FAILED]
    events += [e.JobFailed(stage="one", code="c", cause="x", remedy="y")]
    events += [e.JobRetryRequested(by="ada"), scheduled(attempt=2), completed(attempt=2)]
    events += [scheduled("two"), completed("two"), e.JobCompleted()]
    assert findings(told(events)) == []
    wrong = [*events[:7], scheduled(attempt=3)]
    assert [one.what for one in findings(told(wrong))] == [
        "StageScheduled: attempt 3 does not follow attempt 1"
    ]


def test_who_may_not_tell_an_event_is_found_out() -> None:
    [forged] = findings(told([REQUESTED, PLANNED], JobPlanned="/myspinbot/gpu-runner"))
    assert (forged.check, forged.what) == (
        Check.TELLER,
        "/myspinbot/gpu-runner may not tell JobPlanned",
    )
    [unknown] = findings(told([REQUESTED], JobRequested="/myspinbot/stranger"))
    assert unknown.what == "/myspinbot/stranger is no service that tells events"


def test_a_job_must_begin_with_its_request() -> None:
    assert checks(told([PLANNED, scheduled()])) == [(Check.BEGINNING, 1)]


def test_clocks_that_run_backwards_are_noted_once_and_are_no_error() -> None:
    events = told([REQUESTED, PLANNED, scheduled(), started()])
    early = "2026-11-22T11:00:00+00:00"
    back = [replace(s, headers={**s.headers, "ce-time": early}) for s in events[1:]]
    [noted] = findings(chained([events[0], *back]))
    assert (noted.severity, noted.check, noted.sequence) == (Severity.NOTE, Check.CLOCK, 2)


def test_an_id_that_is_used_twice_in_a_job_is_found() -> None:
    events = told([REQUESTED, PLANNED])
    twice = replace(events[1], headers={**events[1].headers, "ce-id": events[0].id})
    assert checks(chained([events[0], twice])) == [(Check.IDENTITY, 2)]


def test_a_newer_event_is_named_and_what_follows_is_still_chained() -> None:
    events = told([REQUESTED, PLANNED, scheduled()])
    body = json.dumps({**json.loads(events[1].body), "version": 2}).encode()
    newer = chained([events[0], replace(events[1], body=body), events[2]])
    [unknown] = findings(newer)
    assert unknown.check is Check.VERSION
    assert unknown.what == "JobPlanned is of version 2, and this program knows up to 1"
    strange = replace(events[1], headers={**events[1].headers, "ce-type": "myspinbot.JobPraised"})
    [unknown] = findings(chained([events[0], strange, events[2]]))
    assert (unknown.check, unknown.sequence) == (Check.VERSION, 2)
    edited = [*newer[:2], replace(newer[2], body=newer[2].body.replace(b"mini", b"maxi"))]
    assert (Check.CHAIN, 3) in checks(edited)


def test_what_is_no_event_of_its_type_is_told() -> None:
    events = told([REQUESTED, PLANNED])
    for body in (b"{}", b"[]", b'{"version":1}', b"no JSON"):
        broken = replace(events[1], body=body)
        assert (Check.BODY, 2) in checks([events[0], broken])


def test_an_event_at_another_subject_than_its_own_is_found() -> None:
    [stored] = told([REQUESTED])
    moved = replace(stored, subject="jobs.j2.events.JobRequested")
    [found] = findings([moved])
    assert found.check is Check.ENVELOPE
    assert "stands at jobs.j2.events.JobRequested" in found.what
    assert findings([replace(stored, subject="jobs.j1.events.JobRequested")]) == []


def test_of_some_events_of_a_job_only_what_can_be_known_is_judged() -> None:
    assert findings([LONG[2], LONG[5]], gapless=False, whole_jobs=False) == []
    assert findings([LONG[2], LONG[5]], gapless=False) != []


def test_memory_holds_no_events_of_jobs_that_have_ended() -> None:
    events = told([REQUESTED, PLANNED, e.JobCancelRequested(by="ada"), e.JobCancelled()])
    verifier = Verifier(gapless=False)
    for number in range(500):
        for stored in events:
            verifier.examine(
                replace(stored, headers={**stored.headers, "ce-subject": f"j{number}"})
            )
    assert verifier.tally.ended == 500
    assert not verifier._jobs
    assert len({id(kept.job) for kept in verifier._ended.values()}) == 1


def a_line(**changes: object) -> dict[str, object]:
    return {**LONG[0].structured(), **changes}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ([1], "no CloudEvent"),
        ({}, "no data"),
        (a_line(data="text"), "no data that could be an event"),
        (a_line(data_base64="eA=="), "no JSON"),
        (a_line(datacontenttype="text/xml"), "no JSON"),
        (a_line(specversion="0.3"), "specversion '0.3'"),
        (a_line(type="com.github.push"), "not an event of MySpinBot"),
        (a_line(source="https://example.org"), "not a part of a MySpinBot"),
        (a_line(subject="Job 1"), "not the id of a job"),
        (a_line(subject="a.b"), "not the id of a job"),
        (a_line(subject="*"), "not the id of a job"),
        (a_line(subject="x" * 65), "not the id of a job"),
        (a_line(time="2026-11-22T12:00:00"), "has no zone"),
        (a_line(time="yesterday"), "not a time"),
        (a_line(time="2026-99-22T12:00:00Z"), "is none"),
        (a_line(id="a\r\nNats-Expected-Stream: OTHER"), "not an id"),
        (a_line(id=""), "not an id"),
        (a_line(traceparent="00-x\r\nNats-Rollup: all"), "not a trace context"),
        (a_line(chain="0"), "not a SHA-256"),
        (a_line(dataschema="http://example.org/x"), "not a schema of ours"),
        (a_line(partitionkey="7"), "an attribute 'partitionkey'"),
        ({**a_line(), "x\r\nNats-Rollup": "all"}, "that no event has"),
        (a_line(id=7), "not all text"),
        (a_line(sequence="one"), "no sequence"),
        (a_line(sequence="-1"), "its sequence is -1"),
        (a_line(data={"version": 1, "owner": "\ud800"}), "half of a surrogate pair"),
        ({k: v for k, v in a_line().items() if k != "id"}, "lacks id"),
    ],
)
def test_nothing_is_let_in_that_is_no_event_or_does_harm(line: object, why: str) -> None:
    with pytest.raises(ForeignEventError, match=why.replace("'", ".")):
        admit(line)


def test_an_event_that_was_written_down_is_let_in_again() -> None:
    for stored in LONG:
        assert admit(json.loads(json.dumps(stored.structured()))) == stored
