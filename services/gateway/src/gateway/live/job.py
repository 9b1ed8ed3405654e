"""One job as it stands at this moment, and who wants to hear of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.envelope import Recorded
from contracts.fold import evolve
from contracts.job import JobState, JobStatus, StageStatus
from contracts.progress import StageProgress

from gateway.installation.outlook import Outlook
from gateway.live.told import Told, told_event

Listener = Callable[["LiveJob"], None]
"""Is called whenever the job has changed."""
Follower = Callable[[Told], None]
"""Is called with every event, or every line, of the job."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What stands before a stage that waits for a runner."""

    position: int
    """1 is next."""
    delay_s: float
    """Seconds that what stands before it will take, as far as can be told."""


@dataclass(slots=True)
class LiveJob:
    """One job: what the log says, what its running stages say, and who listens."""

    state: JobState
    notes: dict[str, StageProgress] = field(default_factory=dict)
    waits: Mapping[str, Wait] = field(default_factory=dict)
    """By stage, for those that wait for a runner."""
    listeners: set[Listener] = field(default_factory=set)
    followers: set[Follower] = field(default_factory=set)
    """Of events."""
    readers: set[Follower] = field(default_factory=set)
    """Of lines."""
    changed: Listener | None = None
    """The table's own listener, for those who watch all jobs of an owner."""
    outlook: Outlook | None = None
    """What is known of its stages before they run; None of a job as it was."""
    revision: int = 0
    _highest: float = 0.0
    _rendered: tuple[int, str] = (-1, "")

    @property
    def job(self) -> str:
        """The job's id."""
        return self.state.job

    @property
    def owner(self) -> str | None:
        """Whose job this is."""
        return self.state.request.owner if self.state.request else None

    @property
    def watched(self) -> bool:
        """Whether anybody listens to this very job."""
        return bool(self.listeners or self.followers or self.readers)

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

    @property
    def positions(self) -> dict[str, int]:
        """The places in the queue of the stages that wait in one."""
        # The queue is told a moment after the log, and what has begun or ended waits no more.
        return {
            stage: wait.position
            for stage, wait in self.waits.items()
            if not self.state.status.ended
            and (known := self.state.stages.get(stage)) is not None
            and known.status is StageStatus.SCHEDULED
        }

    def follow(self, recorded: Recorded) -> bool:
        """Take in an event; whether it was new."""
        if recorded.sequence <= self.state.sequence:
            return False
        self.state = evolve(self.state, recorded)
        if self.followers:
            told = told_event(recorded)
            for follower in tuple(self.followers):
                follower(told)
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

    def queue(self, waits: Mapping[str, Wait]) -> None:
        """Take in what stands before its waiting stages."""
        moved = self.positions
        self.waits = waits
        if self.positions != moved:
            self._changed()

    def rendered(self, render: Callable[[LiveJob], str]) -> str:
        """What `render` makes of this state, made once for all who ask."""
        if self._rendered[0] != self.revision:
            self._rendered = (self.revision, render(self))
        return self._rendered[1]

    def _changed(self) -> None:
        self.revision += 1
        for listener in tuple(self.listeners):
            listener(self)
        if self.changed is not None:
            self.changed(self)
