"""What must hold once a fault is over: the oracle that every test of a fault ends with."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

import httpx
from contracts.envelope import Stored
from contracts.findings import Severity
from contracts.holdings import Holdings
from contracts.job import JobState, JobStatus, StageStatus
from contracts.verification import Verifier
from eventlog.errors import EventLogError
from eventlog.log import utc_now
from eventlog.reader import read_stored_log
from gateway.orphans import FOLDERS, collect
from gateway.uploads.sweeper import lying_there

from contracts import events as e
from contracts import subjects
from tests.faults.site import PATIENCE_S, Visit
from tests.support.views import assert_views_match_log

_ENDS = {"JobCompleted", "JobFailed", "JobCancelled"}


async def judge(visit: Visit, expected: Mapping[str, JobStatus] | None = None) -> None:
    """Fail unless every accepted job ended once, and all that is kept says the same of it.

    Jobs must complete if nothing else is `expected` of them.
    """
    jobs, visit.site.accepted = visit.site.accepted, []
    assert jobs, "nobody asked for a job"
    for job in dict.fromkeys(jobs):
        await _ended_well(visit, job, (expected or {}).get(job, JobStatus.COMPLETED))
    await _queue_is_empty(visit)
    await _log_is_whole(visit)
    await _store_is_as_named(visit)
    await assert_views_match_log(visit.site.server.address("projector"), visit.site.database)


async def state_at_end(visit: Visit, job: str) -> JobState:
    """The job when it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(EventLogError):
                state = await visit.log.fold(job)
                if state.status.ended:
                    return state
            await asyncio.sleep(0.05)


async def _ended_well(visit: Visit, job: str, status: JobStatus) -> None:
    state = await state_at_end(visit, job)
    types = await visit.told(job)
    assert state.status is status, (state.failure, types)
    ends = [type_ for type_ in types if type_ in _ENDS]
    assert len(ends) == 1, types
    told = [recorded.event async for recorded in visit.log.read_job(job)]
    completed = {(one.stage, one.attempt) for one in told if isinstance(one, e.StageCompleted)}
    for stage in state.stages.values():
        if stage.status is not StageStatus.COMPLETED:
            continue
        # A zombie may tell of the same attempt again, and changes nothing by that.
        assert (stage.id, stage.attempt) in completed, types
        assert len([at for of, at in completed if of == stage.id]) == 1, types
        for artifacts in stage.outputs.values():
            for artifact in artifacts:
                digest = hashlib.sha256(await visit.store.get(artifact)).hexdigest()
                assert digest == artifact.sha256
    if status is JobStatus.FAILED:
        await _cause_is_shown(visit, job)


async def _cause_is_shown(visit: Visit, job: str) -> None:
    """Whoever asked for the job is told why it failed, and what to do."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await visit.client.get(f"/api/jobs/{job}")
                if answer.status_code == 200 and answer.json()["status"] == "failed":
                    break
            await asyncio.sleep(0.1)
    failure = answer.json()["failure"]
    assert failure["cause"], failure
    assert failure["remedy"], failure


async def _queue_is_empty(visit: Visit) -> None:
    """Nothing is left to be given out: neither a command nor a letter nor a chore."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await visit.commands() == 0 and await _chores_are_done(visit):
                return
            await asyncio.sleep(0.05)


async def _chores_are_done(visit: Visit) -> bool:
    for stream, consumer in (
        (subjects.JOBS, "gateway-chores"),
        (subjects.DEAD_LETTERS, "planner"),
    ):
        info = await visit.broker.api(f"CONSUMER.INFO.{stream}.{consumer}")
        if info["num_pending"] or info["num_ack_pending"]:
            return False
    return True


async def _stored(visit: Visit) -> AsyncIterator[Stored]:
    end = (await visit.log.position()).last_sequence
    async with aclosing(read_stored_log(visit.broker, 0)) as batches:
        async for batch in batches:
            for stored in batch:
                yield stored
            if batch[-1].sequence >= end:
                return


async def _log_is_whole(visit: Visit) -> None:
    """No event is missing, doubled, changed, or illegal where it stands."""
    verifier, ids = Verifier(), Counter[str]()
    async for stored in _stored(visit):
        findings = verifier.examine(stored)
        assert not [each for each in findings if each.severity is Severity.ERROR], findings
        ids[stored.id] += 1
    assert set(ids.values()) == {1}


async def _store_is_as_named(visit: Visit) -> None:
    """Once the collector has run, the store holds what the log names, and nothing else."""
    await collect(visit.broker, visit.log, visit.store, utc_now())
    holdings, deleted, named = Holdings(), set[str](), set[str]()
    async for stored in _stored(visit):
        event = stored.recorded().event
        holdings.add(stored.job, event)
        if isinstance(event, e.JobDeleted):
            deleted.add(stored.job)
    named = {artifact.key for artifact, _ in holdings.named()}
    lying = [each for folder in FOLDERS async for each in lying_there(visit.store, folder)]
    assert not [each for each in lying if each.multipart], lying
    keys = {each.key for each in lying}
    assert keys <= named, keys - named
    wanted = {artifact.key for artifact, _ in holdings.wanted(deleted.__contains__)}
    assert wanted <= keys, wanted - keys
