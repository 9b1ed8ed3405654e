"""How jobs stand at this moment: the fold of the log, kept up to date by its tail.

A job enters the table when it is first asked for, or when its request passes by in the
log, and from then on follows every event and every word of progress. Nothing here is
lost with the process: the state is read back from the projector, the log and the boards.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from contracts.envelope import Recorded
from contracts.events import JobRequested
from contracts.fold import initial
from contracts.job import JobState, JobStatus
from contracts.progress import StageProgress
from contracts.queries import GetJob, JobPage, ListJobs
from contracts.upcasting import UnknownEventError
from eventlog.board import Board, Note
from eventlog.broker import Broker
from eventlog.errors import EventLogError
from eventlog.log import EventLog
from eventlog.reader import read_log
from eventlog.rpc import NotFoundError, ask
from eventlog.stagelogs import StageLogs
from pydantic import ValidationError

from contracts import subjects
from gateway import metrics
from gateway.installation.outlook import Outlook
from gateway.live.job import Listener, LiveJob, Wait
from gateway.live.lines import LiveLines

log = structlog.get_logger(__name__)

Passer = Callable[[Recorded], None]
_CAPACITY = 256
_UNENDED = (JobStatus.QUEUED, JobStatus.RUNNING)


class LiveJobs:
    """The table of jobs. `run` keeps it up to date; `find` reads from it."""

    def __init__(
        self,
        broker: Broker,
        event_log: EventLog,
        outlook: Outlook | None = None,
        capacity: int = _CAPACITY,
    ) -> None:
        self._broker = broker
        self._log = event_log
        self._outlook = outlook
        self._waits: Mapping[str, Mapping[str, Wait]] = {}
        self._capacity = capacity
        self._board = Board(broker, subjects.PROGRESS, subjects.ALL_PROGRESS)
        self._jobs: OrderedDict[str, LiveJob] = OrderedDict()
        self._loading: dict[str, _Loading] = {}
        self._owners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._adopting: set[asyncio.Task[None]] = set()
        self._position = 0
        self._moved = asyncio.Condition()
        self.lines = LiveLines(StageLogs(broker))
        self.closing = asyncio.Event()
        """Set when the process is to end: whoever sends without end stops."""

    async def run(self, started: Callable[[], None], *passers: Passer) -> None:
        """Follow the log and the progress board without end. Calls back once it does.

        Every event is also handed to the `passers`, in the order of the log.
        """
        self._position = (await self._log.position()).last_sequence
        stop = await self._board.watch(self._on_note)
        watching = asyncio.create_task(self.lines.watch())
        try:
            started()
            async for batch in read_log(self._broker, self._position):
                for recorded in batch:
                    self._on_event(recorded)
                    for passer in passers:
                        passer(recorded)
                async with self._moved:
                    self._position = batch[-1].sequence
                    self._moved.notify_all()
        finally:
            watching.cancel()
            await stop()

    async def reached(self, sequence: int, patience_s: float = 2.0) -> bool:
        """Whether the table has seen the log up to `sequence`, waiting for it a moment."""
        try:
            async with asyncio.timeout(patience_s), self._moved:
                await self._moved.wait_for(lambda: self._position >= sequence)
        except TimeoutError:
            return False
        return True

    @property
    def position(self) -> int:
        """How far the table has seen the log."""
        return self._position

    def peek(self, job: str) -> LiveJob | None:
        """The job if it is in the table."""
        return self._jobs.get(job)

    def queue(self, waits: Mapping[str, Mapping[str, Wait]]) -> None:
        """Tell every job in the table what stands before its waiting stages."""
        self._waits = waits
        for job, live in tuple(self._jobs.items()):
            if live.waits or job in waits:
                live.queue(waits.get(job, {}))

    def positions(self, job: str) -> dict[str, int]:
        """The places in the queue of the job's stages that wait in one."""
        return {stage: wait.position for stage, wait in self._waits.get(job, {}).items()}

    async def find(self, job: str, owner: str) -> LiveJob:
        """A job of the owner's. Raises NotFoundError, UnavailableError or QueryFailedError."""
        live = self._jobs.get(job)
        if live is None:
            query = GetJob(owner=owner, job=job, min_position=self._position)
            live = await self._load(job, lambda: self._ask(query))
        if live.owner != owner or live.state.deleted:
            raise NotFoundError(f"there is no job {job}")
        self._jobs.move_to_end(job)
        return live

    async def watch(self, owner: str, listener: Listener) -> AsyncIterator[LiveJob]:
        """Call back for every change of any job of an owner's from now on.

        Gives the jobs that have not ended, as they stand; raises what `find` raises.
        """
        self._owners[owner].add(listener)
        before: str | None = None
        while True:
            query = ListJobs(
                owner=owner,
                statuses=_UNENDED,
                before=before,
                limit=200,
                min_position=self._position,
            )
            page, _ = await ask(self._broker, query, JobPage)
            for summary in page.jobs:
                try:
                    live = await self.find(summary.job, owner)
                except NotFoundError:
                    continue  # Deleted since.
                yield live
            before = page.next_before
            if before is None:
                return

    def leave(self, owner: str, listener: Listener) -> None:
        """Do not call back any more."""
        listeners = self._owners[owner]
        listeners.discard(listener)
        if not listeners:
            del self._owners[owner]

    async def _ask(self, query: GetJob) -> JobState:
        state, _ = await ask(self._broker, query, JobState)
        return state

    async def _load(self, job: str, read: Callable[[], Awaitable[JobState]]) -> LiveJob:
        loading = self._loading.get(job)
        if loading is not None:
            # Somebody else's question about the same job is out: its answer may serve.
            await asyncio.wait({loading.done})
            return self._jobs.get(job) or await self._load(job, read)
        loading = self._loading[job] = _Loading(asyncio.get_running_loop().create_future())
        try:
            live = LiveJob(await read())
            async for note in self._board.all(subjects.job_progress(job)):
                if (progress := _progress(note)) is not None:
                    live.hear(progress)
            # What has happened since the question was asked.
            for recorded in loading.events:
                live.follow(recorded)
            for progress in loading.notes:
                live.hear(progress)
            self._add(live)
            return live
        finally:
            del self._loading[job]
            loading.done.set_result(None)

    def _add(self, live: LiveJob) -> None:
        live.changed, live.outlook = self._on_change, self._outlook
        live.waits = self._waits.get(live.job, {})
        self._jobs[live.job] = live
        if len(self._jobs) > self._capacity:
            idle = (job for job, kept in self._jobs.items() if not kept.watched)
            oldest = next(idle, live.job)
            if oldest != live.job:
                del self._jobs[oldest]
        metrics.LIVE_JOBS.set(len(self._jobs))

    def _on_change(self, live: LiveJob) -> None:
        for listener in tuple(self._owners.get(live.owner or "", ())):
            listener(live)

    def _on_event(self, recorded: Recorded) -> None:
        if (live := self._jobs.get(recorded.job)) is not None:
            live.follow(recorded)
        elif (loading := self._loading.get(recorded.job)) is not None:
            loading.events.append(recorded)
        elif isinstance(recorded.event, JobRequested):
            live = LiveJob(initial(recorded.job))
            live.changed = self._on_change
            live.follow(recorded)
            self._add(live)
        else:
            self._adopt(recorded.job)

    async def _on_note(self, note: Note) -> None:
        progress = _progress(note)
        if progress is None:
            return
        if (live := self._jobs.get(progress.job)) is not None:
            live.hear(progress)
        elif (loading := self._loading.get(progress.job)) is not None:
            loading.notes.append(progress)
        else:
            self._adopt(progress.job)

    def _adopt(self, job: str) -> None:
        """Take in a job that nobody asked for, if somebody watches all jobs of an owner."""
        if not self._owners:
            return

        async def adopt() -> None:
            try:
                live = await self._load(job, lambda: self._log.fold(job))
            except (EventLogError, UnknownEventError) as error:
                log.info("live.not_adopted", job=job, detail=str(error))
            else:
                self._on_change(live)

        task = asyncio.create_task(adopt())
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)


@dataclass(slots=True)
class _Loading:
    """What comes by while a job is being read."""

    done: asyncio.Future[None]
    events: list[Recorded] = field(default_factory=list)
    notes: list[StageProgress] = field(default_factory=list)


def _progress(note: Note) -> StageProgress | None:
    try:
        return StageProgress.model_validate_json(note.data)
    except ValidationError as error:
        log.warning("progress.unreadable", subject=note.subject, errors=error.error_count())
        return None
