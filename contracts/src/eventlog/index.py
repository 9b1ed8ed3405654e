"""Finds places in the log without reading it: the broker knows its subjects and times."""

from __future__ import annotations

from datetime import datetime

from contracts import subjects
from eventlog.broker import API, Broker
from eventlog.log import EventLog, stored_from_direct


async def sequence_before(broker: Broker, moment: datetime) -> int:
    """The sequence after which all events stand that the broker has had since a moment.

    That is by the broker's clock, and an event that was copied has it from its copying.
    """
    query = {"batch": 1, "start_time": moment.isoformat(), "next_by_subj": subjects.ALL_EVENTS}
    async for msg in broker.many(f"{API}DIRECT.GET.{subjects.JOBS}", query):
        return stored_from_direct(msg).sequence - 1
    return (await EventLog(broker, "index").position()).last_sequence


async def job_ids(broker: Broker) -> list[str]:
    """The ids of all jobs that were ever asked for, in the order of the alphabet."""
    found: set[str] = set()
    seen = 0
    while True:
        query = {"subjects_filter": subjects.event("*", "JobRequested"), "offset": seen}
        info = await broker.api(f"STREAM.INFO.{subjects.JOBS}", query)
        page = info["state"].get("subjects") or {}
        found.update(subject.split(".")[1] for subject in page)
        seen += len(page)
        if not page or seen >= int(info.get("total", 0)):
            return sorted(found)
