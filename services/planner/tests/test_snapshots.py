"""A planner's memory in a file: it is the same as that of the log, or it is not believed."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Self

import pytest
from contracts.chain import BEGIN
from contracts.envelope import Recorded, store
from contracts.fold import evolve, initial
from eventlog.board import Board
from eventlog.broker import Broker, connect
from eventlog.log import EventLog, LogPosition, utc_now
from eventlog.queue import CommandQueue
from eventlog.topology import ensure
from given import a_fleet, artifacts, train
from hypothesis import given, settings
from hypothesis import strategies as st
from planner.domain.decide import World, decide
from planner.domain.memory import Memory
from planner.follower import follow
from planner.reconciler import Reconciler
from planner.snapshot import Frozen, UnusableSnapshotError, fingerprint, memory_of, opened
from planner.snapshots import FILE, Snapshots, replace_file
from structlog.testing import capture_logs

from contracts import events as e
from contracts import subjects
from tests.support.broker import nats_server
from tests.support.histories import all_histories

MADE = datetime(2026, 5, 3, tzinfo=UTC)


def a_log() -> list[Recorded]:
    """All recorded histories as one log: in the order of their times, chained."""
    told = sorted(chain.from_iterable(all_histories().values()), key=lambda r: (r.time, r.sequence))
    ends: dict[str, str] = {}
    events = []
    for sequence, recorded in enumerate(told, 1):
        bare = recorded._replace(sequence=sequence, chain=None)
        ends[recorded.job] = store(bare).linked(ends.get(recorded.job, BEGIN))
        events.append(bare._replace(chain=ends[recorded.job]))
    return events


LOG = a_log()


def read(memory: Memory, events: Sequence[Recorded], whole: Sequence[Recorded]) -> Memory:
    """As the planner reads: a job that begins again is read from the log."""
    for recorded in events:
        before = memory.before(recorded)
        if memory.lacks(recorded):
            before = initial(recorded.job)
            for earlier in whole:
                if earlier.job == recorded.job and earlier.sequence < recorded.sequence:
                    before = evolve(before, earlier)
        memory.take(recorded, before)
    return memory


def written(memory: Memory, last: Recorded) -> bytes:
    return Frozen(memory).encoded(MADE, last, fingerprint())


def decisions(memory: Memory) -> dict[str, tuple[e.Event, ...]]:
    """What the planner decides about every active job, and about one more like the first ones."""
    fleet, now = a_fleet(), LOG[-1].time + timedelta(seconds=1)
    world = World(now, fleet, memory.reusable.find)
    return {job: decide(state, world).events for job, state in memory.jobs.items()}


@given(st.integers(1, len(LOG)), st.integers(1, len(LOG)))
@settings(max_examples=60)
def test_a_planner_that_starts_from_a_snapshot_decides_as_one_that_starts_from_nothing(
    one: int, other: int
) -> None:
    at, end = sorted((one, other))
    half = read(Memory(), LOG[:at], LOG)
    recalled = memory_of(*opened(written(half, LOG[at - 1])))
    assert recalled.position == at
    from_snapshot = read(recalled, LOG[at:end], LOG)
    from_nothing = read(Memory(), LOG[:end], LOG)
    assert from_snapshot.jobs == from_nothing.jobs
    assert list(from_snapshot.jobs) == list(from_nothing.jobs)
    assert from_snapshot.reusable.holders() == from_nothing.reusable.holders()
    assert decisions(from_snapshot) == decisions(from_nothing)


def whole() -> bytes:
    return written(read(Memory(), LOG, LOG), LOG[-1])


def with_header(**changes: object) -> bytes:
    first, _, rest = whole().partition(b"\n")
    return json.dumps({**json.loads(first), **changes}).encode() + b"\n" + rest


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "first line makes no sense"),
        (b"{}\n{}\n", "its format is None, and 1 is known"),
        (b"[1]\n", "its format is None"),
        (b"[" * 100_000, "first line makes no sense"),
        (whole()[: len(whole()) // 2], "cut off or changed"),
        (whole()[:-10], "cut off or changed"),
        (whole().replace(b'"status":"', b'"status": "', 1) + b" ", "cut off or changed"),
        (with_header(format=2), "its format is 2"),
        (with_header(format=0), "its format is 0"),
        (with_header(surprise=1), "first line makes no sense"),
    ],
)
def test_a_snapshot_that_is_not_whole_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(UnusableSnapshotError, match=why):
        memory_of(*opened(content))


def test_a_snapshot_whose_content_no_longer_makes_sense_is_refused() -> None:
    header, _ = opened(whole())
    with pytest.raises(UnusableSnapshotError, match="its content makes no sense"):
        memory_of(header, b'{"jobs": [{"job": "J", "madeUp": 1}], "reusable": {}}')


@pytest.mark.parametrize(
    ("position", "found", "code", "why"),
    [
        (LogPosition(len(LOG), MADE), LOG[-1], "other", "other code has written it"),
        (LogPosition(len(LOG), MADE + timedelta(1)), LOG[-1], None, "of a log created at"),
        (LogPosition(len(LOG) - 1, MADE), None, None, "and the log ends at"),
        (LogPosition(len(LOG), MADE), LOG[-2], None, "the log has another event at"),
        (LogPosition(len(LOG), MADE), None, None, "the log has another event at"),
        (
            LogPosition(len(LOG), MADE),
            LOG[-1]._replace(chain="0" * 64),
            None,
            "the log has another event at",
        ),
    ],
)
def test_a_snapshot_of_another_log_or_other_code_is_refused(
    position: LogPosition, found: Recorded | None, code: str | None, why: str
) -> None:
    header, _ = opened(whole())
    stored = store(found) if found else None
    with pytest.raises(UnusableSnapshotError, match=why):
        header.must_match(position, stored, code or fingerprint())


def test_a_snapshot_of_this_log_is_believed() -> None:
    header, _ = opened(whole())
    header.must_match(LogPosition(len(LOG) + 5, MADE), store(LOG[-1]), fingerprint())


def test_a_file_is_replaced_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    replace_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


# On a real log.


@pytest.fixture
def server_folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Broker]:
    with nats_server(tmp_path / "nats") as server:
        broker = await connect(server.address("admin"))
        await ensure(broker)
        yield broker
        await broker.close()


class Reader(Reconciler):
    """A reconciler that tells how far it was read to: it remembers what it decided before."""

    read_to = 0

    async def read(self, batch: Iterable[Recorded]) -> None:
        events = list(batch)
        await super().read(events)
        self.read_to = events[-1].sequence


class Planner:
    """A planner's life on the log, from where its snapshot lets it begin."""

    def __init__(self, broker: Broker, folder: Path | None, every_events: int = 10_000) -> None:
        self._broker = broker
        self._folder = folder
        self._every = every_events
        self.reconciler: Reader | None = None
        self.began_at = 0

    async def __aenter__(self) -> Self:
        log = EventLog(self._broker, "planner")
        end = await log.position()
        snapshots = Snapshots(self._folder, end.created, self._every)
        memory = await snapshots.recall(log, end)
        self.began_at = memory.position
        self.reconciler = Reader(
            log,
            CommandQueue(self._broker),
            Board(self._broker, subjects.CONTROL, subjects.ALL_STOPS),
            utc_now,
            memory=memory,
        )
        await self.reconciler.fleet_changed(a_fleet())
        self.live = asyncio.Event()

        async def caught_up() -> None:
            assert self.reconciler is not None
            await self.reconciler.go_live()
            self.live.set()

        self._task = asyncio.create_task(
            follow(self._broker, self.reconciler, snapshots, end.last_sequence, caught_up)
        )
        async with asyncio.timeout(20):
            await self.live.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def until(self, log: EventLog, job: str, type_name: str) -> None:
        async with asyncio.timeout(20):
            while True:
                told = [recorded.type async for recorded in log.read_job(job)]
                assert self.reconciler is not None
                if type_name in told and self.reconciler.read_to == await last_of(log):
                    return


async def last_of(log: EventLog) -> int:
    return (await log.position()).last_sequence


async def test_a_planner_begins_where_it_stopped(admin: Broker, server_folder: Path) -> None:
    log = EventLog(admin, "test")
    async with Planner(admin, server_folder) as first:
        assert first.began_at == 0
        await log.tell("job", train(inputs=artifacts("photos")))
        await first.until(log, "job", "StageScheduled")
    end = await last_of(log)
    async with Planner(admin, server_folder) as second:
        assert second.began_at == end
        made = e.StageCompleted(
            stage="prepare_dataset",
            attempt=1,
            runner="r1",
            outputs=artifacts("faces"),
            metrics={"n": None},
            duration_s=1,
        )
        await log.tell("job", made)
        async with asyncio.timeout(20):
            while (await log.fold("job")).stages["train_lora"].status != "scheduled":
                pass


async def test_a_snapshot_is_written_again_when_enough_was_read(
    admin: Broker, server_folder: Path
) -> None:
    log = EventLog(admin, "test")
    async with Planner(admin, server_folder, every_events=1) as planner:
        await log.tell("job", train(inputs=artifacts("photos")))
        await planner.until(log, "job", "StageScheduled")
        async with asyncio.timeout(20):
            while True:
                with suppress(FileNotFoundError):
                    header, _ = opened((server_folder / FILE).read_bytes())
                    if header.sequence == await last_of(log):
                        break
                await asyncio.sleep(0)


Spoil = Callable[[Path], None]


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"photos", b"phonos"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("spoil", [edited, emptied, a_folder_instead])
async def test_the_whole_log_is_read_where_the_snapshot_cannot_be_used(
    admin: Broker, server_folder: Path, spoil: Spoil
) -> None:
    log = EventLog(admin, "test")
    async with Planner(admin, server_folder) as first:
        await log.tell("job", train(inputs=artifacts("photos")))
        await first.until(log, "job", "StageScheduled")
    spoil(server_folder / FILE)
    with capture_logs() as told:
        async with Planner(admin, server_folder) as second:
            assert second.began_at == 0
            assert second.reconciler is not None
            assert set(second.reconciler.memory.jobs) == {"job"}
    assert [line["event"] for line in told].count("planner.snapshot_refused") == 1


async def test_without_a_folder_nothing_is_kept(admin: Broker) -> None:
    log = EventLog(admin, "test")
    async with Planner(admin, None, every_events=1) as planner:
        await log.tell("job", train(inputs=artifacts("photos")))
        await planner.until(log, "job", "StageScheduled")
    async with Planner(admin, None) as planner:
        assert planner.began_at == 0


async def test_a_snapshot_of_another_installation_is_refused(
    admin: Broker, server_folder: Path, tmp_path: Path
) -> None:
    log = EventLog(admin, "test")
    async with Planner(admin, server_folder) as first:
        await log.tell("job", train(inputs=artifacts("photos")))
        await first.until(log, "job", "StageScheduled")
    with nats_server(tmp_path / "other") as server:
        elsewhere = await connect(server.address("admin"))
        await ensure(elsewhere)
        async with Planner(elsewhere, server_folder) as other:
            assert other.began_at == 0
            assert other.reconciler is not None
            assert other.reconciler.memory.jobs == {}
        await elsewhere.close()
