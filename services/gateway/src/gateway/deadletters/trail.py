"""What the log tells of one attempt, as far as it concerns a dead letter.

Pure: a fold of the job's events. The projector folds the same to list letters; here one is
told in full, with every runner that took it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from contracts.envelope import Recorded
from contracts.queries import LetterStatus

from contracts import events as e


@dataclass(frozen=True, slots=True)
class Delivery:
    """A runner took the attempt. `number` counts the times that it was handed out."""

    number: int
    runner: str
    device: str
    at: datetime
    resumed_from_step: int | None


@dataclass(slots=True)
class Trail:
    """One attempt at one stage."""

    stage: str
    attempt: int
    scheduled: e.StageScheduled | None = None
    scheduled_at: datetime | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    failure: e.StageFailed | None = None
    """What the attempt died of, if it became a dead letter."""
    failed_at: datetime | None = None
    sequence: int = 0
    """Of its failure."""
    status: LetterStatus = LetterStatus.OPEN
    settled_by: str | None = None
    settled_at: datetime | None = None

    def follow(self, events: Iterable[Recorded]) -> None:
        """Take in more of the job's events, in order."""
        for recorded in events:
            self._take(recorded)

    def _take(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case e.StageScheduled() if self._is_it(event):
                self.scheduled, self.scheduled_at = event, recorded.time
            case e.StageStarted() if self._is_it(event) and self.failure is None:
                self.deliveries.append(
                    Delivery(
                        event.delivery,
                        event.runner,
                        event.device,
                        recorded.time,
                        event.resumed_from_step,
                    )
                )
            case e.StageFailed(code=e.RUNNER_LOST) if self._is_it(event) and self.failure is None:
                self.failure, self.failed_at = event, recorded.time
                self.sequence = recorded.sequence
            case e.JobRetryRequested() if self.failure is not None:
                self._settle(LetterStatus.RETRIED, event.by, recorded)
            case e.DeadLetterDropped() if self._is_it(event) and self.failure is not None:
                self._settle(LetterStatus.DROPPED, event.by, recorded)

    def _is_it(
        self, event: e.StageScheduled | e.StageStarted | e.StageFailed | e.DeadLetterDropped
    ) -> bool:
        return (event.stage, event.attempt) == (self.stage, self.attempt)

    def _settle(self, status: LetterStatus, by: str, recorded: Recorded) -> None:
        if self.status is LetterStatus.OPEN:
            self.status = status
            self.settled_by, self.settled_at = by, recorded.time
