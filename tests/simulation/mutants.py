"""Defects to be planted, each a small change of what a service does: the explorer must find them.

Some of them are what the services once did (docs/reliability.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from contracts.envelope import Recorded
from contracts.graph import Graph
from contracts.job import JobState, StageState
from eventlog import reader
from eventlog.errors import ConflictError, EventLogError
from eventlog.keyvalue import KeyValue
from eventlog.log import EventLog
from eventlog.queue import Delivery
from gpu_runner.attempt import Attempt
from gpu_runner.worker import LaneWorker
from planner.reconciler import Reconciler
from projector import positions
from projector.database import Database
from projector.transaction import Transaction

from contracts import events as e
from contracts import fold, stagefold, subjects
from tests.simulation.server import Server

Plant = Callable[[pytest.MonkeyPatch], None]


def appends_whatever_came_between(patch: pytest.MonkeyPatch) -> None:
    """A decision is appended though the job has moved on."""
    append = EventLog.append

    async def stubborn(
        log: EventLog, recorded: Sequence[Recorded], expected: int, patience_s: float = 10.0
    ) -> int:
        try:
            return await append(log, recorded, expected, patience_s)
        except ConflictError:
            moved_on = await log.fold(recorded[0].job)
            return await append(log, recorded, moved_on.sequence, patience_s)

    patch.setattr(EventLog, "append", stubborn)


def acknowledges_before_it_tells(patch: pytest.MonkeyPatch) -> None:
    """A runner takes the command off the queue before its result is in the log."""
    do = LaneWorker._do

    async def hasty(worker: LaneWorker, delivery: Delivery, attempt: Attempt) -> None:
        await delivery.done()
        await do(worker, delivery, attempt)

    patch.setattr(LaneWorker, "_do", hasty)


def heeds_only_the_planners_word(patch: pytest.MonkeyPatch) -> None:
    """A runner does not look at the log while it works."""

    async def deaf(worker: LaneWorker, delivery: Delivery, _: Attempt, __: JobState) -> None:
        while True:
            await asyncio.sleep(worker.queue.heartbeat_s)
            with contextlib.suppress(EventLogError):
                await delivery.working()

    patch.setattr(LaneWorker, "_heartbeat", deaf)


def lets_progress_go_back(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint of an attempt that began anew sets the fraction."""
    rule = stagefold._ATTEMPT_RULES[e.StageCheckpointed]

    def forgetful(stage: StageState, event: Any, *rest: Any) -> dict[str, Any]:
        return rule(stage, event, *rest) | {"fraction": event.fraction}

    patch.setitem(stagefold._ATTEMPT_RULES, e.StageCheckpointed, forgetful)


def takes_the_word_of_any_attempt(patch: pytest.MonkeyPatch) -> None:
    """A result counts though its attempt was given up."""

    def gullible(
        stage: StageState, recorded: Recorded, graph: Graph | None
    ) -> dict[str, Any] | None:
        if isinstance(recorded.event, e.StageCompleted):
            return stagefold._attempt_completed(stage, recorded.event, recorded.time, graph)
        return stagefold.stage_changes(stage, recorded, graph)

    patch.setattr(fold, "stage_changes", gullible)


def forgets_to_publish_again(patch: pytest.MonkeyPatch) -> None:
    """A planner leaves the queue empty after the broker has lost it."""

    async def idle(_: Reconciler) -> None:
        """It trusts the broker."""

    patch.setattr(Reconciler, "republish", idle)


def ignores_dead_letters(patch: pytest.MonkeyPatch) -> None:
    """A planner does not care for a command that killed its runners."""

    async def idle(_: Reconciler, __: subjects.CommandSubject) -> None:
        """Somebody will look at it some day."""

    patch.setattr(Reconciler, "fail_dead_letter", idle)


def writes_rows_apart_from_their_position(patch: pytest.MonkeyPatch) -> None:
    """A projector moves its position in one transaction and writes rows in the next."""

    async def torn(transaction: Transaction, database: Database) -> None:
        keys = transaction.projections
        async with database.writing() as connection:
            await positions.advance(connection, keys, transaction.start, transaction.end)
        async with database.writing() as connection:
            for sql, parameters in transaction.statements:
                await database.put(connection, sql, parameters)

    patch.setattr(Transaction, "carry_out", torn)


def does_not_count_what_it_reads(patch: pytest.MonkeyPatch) -> None:
    """A reader of the log believes that whatever was sent has arrived."""
    never = property(lambda _: False, lambda _, __: None)
    patch.setattr(reader._Window, "lost", never)


def takes_what_arrives_for_all(patch: pytest.MonkeyPatch) -> None:
    """Who reads a job cannot notice that a reply was lost, as none tells what came before it."""
    send = Server._send

    def silent(server: Server, inbox: str, subject: str, reply: str, *rest: Any) -> None:
        headers, data = rest
        told = {name: value for name, value in headers.items() if name != "Nats-Last-Sequence"}
        send(server, inbox, subject, reply, told, data)

    patch.setattr(Server, "_send", silent)


def posts_progress_over_anything(patch: pytest.MonkeyPatch) -> None:
    """A runner posts how far it is whatever another one has posted since it looked."""
    put = KeyValue.put

    async def blind(
        board: KeyValue, key: str, data: bytes, _: int | None = None, ttl_s: int | None = None
    ) -> int:
        return await put(board, key, data, None, ttl_s)

    patch.setattr(KeyValue, "put", blind)


MUTANTS: dict[Plant, int] = {
    appends_whatever_came_between: 2,
    acknowledges_before_it_tells: 26,
    heeds_only_the_planners_word: 738,
    lets_progress_go_back: 50,
    takes_the_word_of_any_attempt: 134,
    forgets_to_publish_again: 112,
    ignores_dead_letters: 108,
    writes_rows_apart_from_their_position: 23,
    does_not_count_what_it_reads: 1,
    takes_what_arrives_for_all: 1,
    posts_progress_over_anything: 1,
}
"""Each with a seed from which on it pays to look for it."""
