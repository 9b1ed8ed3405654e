"""The hash chain of a job and the chain of versions of an event."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest
from contracts.chain import BEGIN
from contracts.envelope import Recorded, Stored, store, stored_from
from contracts.events import Event, JobCancelRequested, JobRequested, JobType
from contracts.upcasting import BrokenChainError, UnknownEventError, Upcasters
from eventlog.broker import Broker
from eventlog.errors import ConflictError
from eventlog.log import EventLog
from hypothesis import given
from hypothesis import strategies as st

T0 = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def an_event(number: int = 0) -> Stored:
    event = JobRequested(type=JobType.TRAIN, owner="me", seed=number)
    return store(Recorded("j1", event, f"e{number}", "/myspinbot/gateway", T0, 7))


@given(st.dictionaries(st.text(), PLAIN))
def test_a_chain_value_outlives_a_file_whatever_the_event_says(params: dict[str, object]) -> None:
    stored = replace(an_event(), body=json.dumps({"params": params}).encode())
    line = json.dumps(stored.structured(), indent=3)
    carried = replace(stored_from(json.loads(line)), sequence=99)
    assert carried.linked("before") == stored.linked("before")


@pytest.mark.parametrize("part", ["body", "ce-time", "ce-source", "ce-id", "ce-type", "ce-subject"])
def test_whatever_is_edited_the_chain_value_is_another(part: str) -> None:
    stored = an_event()
    if part == "body":
        edited = replace(stored, body=stored.body.replace(b'"me"', b'"you"'))
    else:
        edited = replace(stored, headers={**stored.headers, part: "other"})
    assert edited.linked(BEGIN) != stored.linked(BEGIN)
    assert stored.linked("after another") != stored.linked(BEGIN)


@pytest.mark.parametrize("body", [b"{", b'{"a":Infinity}', b'"\\ud800"', b"[" * 100_000])
def test_what_is_no_plain_json_has_no_chain_value(body: bytes) -> None:
    with pytest.raises(UnknownEventError, match=r"no (plain )?JSON"):
        replace(an_event(), body=body).linked(BEGIN)


async def chain_of(log: EventLog, job: str) -> list[Stored]:
    return [stored async for stored in log.read_stored(job)]


def assert_whole(chained: list[Stored]) -> None:
    previous = BEGIN
    for stored in chained:
        assert stored.chain == stored.linked(previous)
        previous = stored.chain


async def test_the_events_of_a_job_are_chained_whoever_tells_them(admin: Broker) -> None:
    gateway, planner = EventLog(admin, "gateway"), EventLog(admin, "planner")
    job = "chained-by-many"
    await gateway.tell(job, JobRequested(type=JobType.TRAIN, owner="me"))
    cancel = JobCancelRequested(by="me")
    await asyncio.gather(
        *(log.tell(job, cancel) for log in (gateway, planner) for _ in range(10)),
    )
    last = (await chain_of(gateway, job))[-1].sequence
    await planner.append([planner.record(job, cancel) for _ in range(3)], last)
    await gateway.tell(job, cancel)
    chained = await chain_of(gateway, job)
    assert len(chained) == 25
    assert_whole(chained)


async def test_a_fact_that_is_offered_again_after_others_is_not_told_twice(admin: Broker) -> None:
    log, other = EventLog(admin, "gateway"), EventLog(admin, "planner")
    job = "offered-again"
    fact = log.record(job, JobRequested(type=JobType.TRAIN, owner="me"))
    first = await log.offer(fact)
    await other.tell(job, JobCancelRequested(by="me"))
    assert await EventLog(admin, "gateway").offer(fact) == first
    assert await log.offer(fact) == first
    await log.tell(job, JobCancelRequested(by="me"))
    chained = await chain_of(log, job)
    assert [stored.type for stored in chained].count("JobRequested") == 1
    assert len(chained) == 3
    assert_whole(chained)


async def test_events_are_copied_with_their_ids_and_chain_and_only_where_they_belong(
    admin: Broker,
) -> None:
    log = EventLog(admin, "gateway")
    await log.tell("copied-from", JobRequested(type=JobType.TRAIN, owner="me"))
    await log.tell("copied-from", JobCancelRequested(by="me"))
    headers = {"ce-subject": "copied-to"}
    previous, moved = BEGIN, []
    for stored in await chain_of(log, "copied-from"):
        named = replace(stored, headers={**stored.headers, **headers, "ce-id": f"c{stored.id}"})
        previous = named.linked(previous)
        moved.append(replace(named, headers={**named.headers, "ce-chain": previous}))
    last = await log.copy(moved, 0)
    there = await chain_of(log, "copied-to")
    assert [(one.id, one.chain) for one in there] == [(one.id, one.chain) for one in moved]
    assert_whole(there)
    assert await log.copy(moved, 0) == last
    strange = replace(moved[0], headers={**moved[0].headers, "ce-id": "strange"})
    with pytest.raises(ConflictError):
        await log.copy([strange], 0)


class Renamed(Event):
    """A type that has come to its third version."""

    version: Literal[3] = 3
    height_m: float


def metres(body: dict[str, object]) -> dict[str, object]:
    feet = body.pop("feet")
    assert isinstance(feet, int)
    return {**body, "heightM": feet * 0.3048}


STEPS = {
    ("Renamed", 1): lambda body: {"version": 2, "feet": body["height"]},
    ("Renamed", 2): metres,
}


def test_an_event_of_any_older_version_is_read_as_todays() -> None:
    upcasters = Upcasters({"Renamed": Renamed}, STEPS)
    for body in (b'{"version":1,"height":10}', b'{"version":2,"feet":10}'):
        assert upcasters.parse("Renamed", body) == Renamed(height_m=3.048)
    assert upcasters.parse("Renamed", b'{"version":3,"heightM":1.5}') == Renamed(height_m=1.5)


@pytest.mark.parametrize(
    "body",
    [
        b'{"version":4,"heightM":1}',
        b'{"version":1}',
        b'{"version":0}',
        b'{"version":3}',
        b"[1]",
        b"{",
    ],
)
def test_what_no_version_ever_was_is_refused(body: bytes) -> None:
    with pytest.raises(UnknownEventError, match="Renamed"):
        Upcasters({"Renamed": Renamed}, STEPS).parse("Renamed", body)


def test_a_version_without_its_upcaster_stops_the_program() -> None:
    with pytest.raises(BrokenChainError, match="Renamed version 2"):
        Upcasters({"Renamed": Renamed}, {("Renamed", 1): metres})
    with pytest.raises(BrokenChainError, match="no older version"):
        Upcasters({"Renamed": Renamed}, {**STEPS, ("Renamed", 3): metres})
