"""What follows from a try to deliver: done, given up, or again at a later time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from gateway.webhooks.deliveries import DeliveryRecord, DeliveryState

LONGEST_WAIT_S = 86_400.0
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try went: the status of an answer, or why there was none."""

    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None

    @property
    def delivered(self) -> bool:
        """Whether the target has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the target wants nothing any more."""
        return self.status == 410


def settle(
    record: DeliveryRecord,
    outcome: Outcome,
    pauses_s: Sequence[float],
    now: datetime,
    chance: float,
) -> DeliveryRecord:
    """The delivery after one more try. `chance`, 0 to 1, spreads what failed together."""
    attempts = record.attempts + 1
    changes: dict[str, object] = {
        "attempts": attempts,
        "last_status": outcome.status,
        "last_error": outcome.error,
        "next_at": None,
    }
    if outcome.delivered:
        changes |= {"state": DeliveryState.DELIVERED, "last_error": None}
    elif outcome.gone or attempts > len(pauses_s):
        changes |= {"state": DeliveryState.FAILED}
    else:
        pause = pauses_s[attempts - 1] * (1 - _JITTER + 2 * _JITTER * chance)
        wanted = min(outcome.retry_after_s or 0.0, LONGEST_WAIT_S)
        changes |= {"next_at": now + timedelta(seconds=max(pause, wanted))}
    return record.model_copy(update=changes)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110, 10.2.3); None if it has none."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
