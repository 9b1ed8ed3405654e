"""Envelopes, identifiers and subjects: what is written is what is read."""

from datetime import UTC, datetime, timedelta

import pytest
from contracts.base import make_id
from contracts.commands import Lane
from contracts.envelope import (
    Recorded,
    from_headers,
    from_structured,
    to_headers,
    to_structured,
)
from contracts.events import EVENTS, JobRequested, JobType, Teller
from contracts.upcasting import UnknownEventError

from contracts import subjects

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
RECORDED = Recorded(
    job="j1",
    event=JobRequested(type=JobType.TRAIN, owner="me"),
    id="e1",
    source="/myspinbot/gateway",
    time=T0,
    sequence=7,
    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
)


def test_an_event_is_the_same_after_headers_and_after_a_file() -> None:
    body = RECORDED.event.to_json()
    assert from_headers(to_headers(RECORDED), body, 7) == RECORDED
    assert from_structured(to_structured(RECORDED)) == RECORDED


def test_an_event_of_a_newer_program_is_refused_by_name() -> None:
    headers = to_headers(RECORDED) | {"ce-type": "myspinbot.JobTeleported"}
    with pytest.raises(UnknownEventError, match="JobTeleported"):
        from_headers(headers, b"{}", 1)


def test_an_event_of_a_newer_version_is_refused() -> None:
    body = RECORDED.event.to_json().replace(b'"version":1', b'"version":2')
    with pytest.raises(UnknownEventError, match="needed"):
        from_headers(to_headers(RECORDED), body, 1)


def test_ids_sort_by_time_and_fit_a_subject() -> None:
    ids = [make_id(T0 + timedelta(milliseconds=n), bytes(10)) for n in range(3)]
    assert ids == sorted(ids)
    assert all(len(one) == 26 and one.isalnum() and one.islower() for one in ids)


def test_a_command_subject_is_read_back() -> None:
    subject = subjects.CommandSubject("train_lora", Lane.GPU, "j1", "train", 3)
    assert subjects.CommandSubject.parse(str(subject)) == subject
    with pytest.raises(ValueError, match="not the subject"):
        subjects.CommandSubject.parse("cmd.stage.x")


def test_every_event_says_who_may_tell_it() -> None:
    assert all(event.told_by for event in EVENTS.values())
    assert {t for event in EVENTS.values() for t in event.told_by} == set(Teller)
