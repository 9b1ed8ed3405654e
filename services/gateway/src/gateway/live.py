"""How jobs stand at this moment: the fold of the log, kept up to date by its tail.

A job enters the table when it is first asked for, or when its request passes by in the
log, and from then on follows every event and every word of progress. Nothing here is
lost with the process: the state is read back from the projector and the boards.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from contracts.envelope import Recorded
from contracts.events import JobRequested
from contracts.job import JobState, JobStatus, evolve, initial
from contracts.progress import StageProgress
from contracts.queries import GetJob
from eventlog.board import Board, Note
from eventlog.broker import Broker
from eventlog.log import EventLog
from eventlog.reader import read_log
from eventlog.rpc import NotFoundError, ask
from pydantic import ValidationError

from contracts import subjects
from gateway import metrics

log = structlog.get_logger(__name__)

Listener = Callable[["LiveJob"], None]
_CAPACITY = 256


@dataclass(slots=True)
class LiveJob:
    """One job: what the log says, what its running stages say, and who listens."""

    state: JobState
    notes: dict[str, StageProgress] = field(default_factory=dict)
    listeners: set[Listener] = field(default_factory=set)
    revision: int = 0
    _highest: float = 0.0
    _rendered: tuple[int, bytes] = (-1, b"")

    @property
    def job(self) -> str:
        """The job's id."""
        return self.state.job

    @property
    def owner(self) -> str | None:
        """Whose job this is."""
        return self.state.request.owner if self.state.request else None

    @property
    def progress(self) -> float:
        """0..1, and never less than it was."""
        self._highest = max(self._highest, self._progress_now())
        return self._highest

    def _progress_now(self) -> float:
        state = self.state
        if state.status is JobStatus.COMPLETED or state.graph is None:
            return state.progress
        return state.graph.progress({stage: self.fraction(stage) for stage in state.stages})

    def fraction(self, stage: str) -> float:
        """How much of a stage is done, 0..1."""
        vouched = self.state.stages[stage].fraction
        note = self.notes.get(stage)
        return max(vouched, note.high) if note else vouched

    def note(self, stage: str) -> StageProgress | None:
        """The latest word on the attempt that runs now."""
        note, state = self.notes.get(stage), self.state.stages[stage]
        current = note is not None and note.attempt == state.attempt and state.status.outstanding
        return note if current else None

    def follow(self, recorded: Recorded) -> bool:
        """Take in an event; whether it was new."""
        if recorded.sequence <= self.state.sequence:
            return False
        self.state = evolve(self.state, recorded)
        self._changed()
        return True

    def hear(self, note: StageProgress) -> bool:
        """Take in progress; whether it was new."""
        earlier = self.notes.get(note.stage)
        if earlier and (note.attempt, note.at) <= (earlier.attempt, earlier.at):
            return False
        if earlier and earlier.high > note.high:
            note = note.model_copy(update={"high": earlier.high})
        self.notes[note.stage] = note
        self._changed()
        return True

    def rendered(self, render: Callable[[LiveJob], bytes]) -> bytes:
        """What `render` makes of this state, made once for all who ask."""
        if self._rendered[0] != self.revision:
            self._rendered = (self.revision, render(self))
        return self._rendered[1]

    def _changed(self) -> None:
        self.revision += 1
        for listener in tuple(self.listeners):
            listener(self)


class LiveJobs:
    """The table of jobs. `run` keeps it up to date; `find` reads from it."""

    def __init__(self, broker: Broker, event_log: EventLog, capacity: int = _CAPACITY) -> None:
        self._broker = broker
        self._log = event_log
        self._capacity = capacity
        self._board = Board(broker, subjects.PROGRESS, subjects.ALL_PROGRESS)
        self._jobs: OrderedDict[str, LiveJob] = OrderedDict()
        self._loading: dict[str, _Loading] = {}
        self._position = 0
        self._moved = asyncio.Condition()

    async def run(self, started: Callable[[], None]) -> None:
        """Follow the log and the progress board without end. Calls back once it does."""
        self._position = (await self._log.position()).last_sequence
        stop = await self._board.watch(self._on_note)
        try:
            started()
            async for batch in read_log(self._broker, self._position):
                for recorded in batch:
                    self._on_event(recorded)
                async with self._moved:
                    self._position = batch[-1].sequence
                    self._moved.notify_all()
        finally:
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

    async def find(self, job: str, owner: str) -> LiveJob:
        """A job of the owner's. Raises NotFoundError, UnavailableError or QueryFailedError."""
        live = self._jobs.get(job)
        if live is None:
            live = await self._load(job, owner)
        if live.owner != owner or live.state.deleted:
            raise NotFoundError(f"there is no job {job}")
        self._jobs.move_to_end(job)
        return live

    async def _load(self, job: str, owner: str) -> LiveJob:
        loading = self._loading.get(job)
        if loading is not None:
            # Somebody else's question about the same job is out: its answer may serve.
            await asyncio.wait({loading.done})
            return self._jobs.get(job) or await self._load(job, owner)
        loading = self._loading[job] = _Loading(asyncio.get_running_loop().create_future())
        try:
            query = GetJob(owner=owner, job=job, min_position=self._position)
            state, _ = await ask(self._broker, query, JobState)
            live = LiveJob(state)
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
        self._jobs[live.job] = live
        if len(self._jobs) > self._capacity:
            idle = (job for job, kept in self._jobs.items() if not kept.listeners)
            oldest = next(idle, live.job)
            if oldest != live.job:
                del self._jobs[oldest]
        metrics.LIVE_JOBS.set(len(self._jobs))

    def _on_event(self, recorded: Recorded) -> None:
        if (live := self._jobs.get(recorded.job)) is not None:
            live.follow(recorded)
        elif (loading := self._loading.get(recorded.job)) is not None:
            loading.events.append(recorded)
        elif isinstance(recorded.event, JobRequested):
            live = LiveJob(initial(recorded.job))
            live.follow(recorded)
            self._add(live)

    async def _on_note(self, note: Note) -> None:
        progress = _progress(note)
        if progress is None:
            return
        if (live := self._jobs.get(progress.job)) is not None:
            live.hear(progress)
        elif (loading := self._loading.get(progress.job)) is not None:
            loading.notes.append(progress)


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
