"""How many deliveries are under way, of all and of each webhook. Pure.

A target that is slow or dead must not keep others waiting: each has few deliveries under way,
and all that are slow or failing share one part of the room, so that the rest is always free for
those that are well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 64
MOST_PER_HOOK = 2
MOST_AILING = 24

_SLOW_S = 2.0
_SHORTEST_PACE_S = 0.05
_LONGEST_WAIT_S = 300.0
_WEIGHT = 0.5


@dataclass(slots=True)
class _Hook:
    under_way: int = 0
    pace_s: float = _SHORTEST_PACE_S
    ailing: bool = False
    free_at: float = 0.0


@dataclass(slots=True)
class Flights:
    """The deliveries under way in this process."""

    _hooks: dict[str, _Hook] = field(default_factory=dict)

    def admit(self, hook_id: str, now_s: float) -> float | None:
        """None if a delivery may begin, which it then has; else in how many seconds to ask again.

        Those who must wait are spread over the time that the ones before them will take, so that
        a thousand of them do not come back at once.
        """
        hook = self._hooks.setdefault(hook_id, _Hook())
        full = hook.ailing and self._ailing() >= MOST_AILING
        if hook.under_way < MOST_PER_HOOK and not full:
            hook.under_way += 1
            return None
        hook.free_at = max(hook.free_at, now_s) + hook.pace_s / MOST_PER_HOOK
        return min(hook.free_at - now_s, _LONGEST_WAIT_S)

    def leave(self, hook_id: str, took_s: float, *, delivered: bool) -> None:
        """A delivery has ended."""
        hook = self._hooks[hook_id]
        hook.under_way -= 1
        hook.pace_s += _WEIGHT * (max(took_s, _SHORTEST_PACE_S) - hook.pace_s)
        hook.ailing = not delivered or took_s > _SLOW_S

    def forget(self, hook_id: str) -> None:
        """A webhook is no more."""
        hook = self._hooks.get(hook_id)
        if hook is not None and not hook.under_way:
            del self._hooks[hook_id]

    def _ailing(self) -> int:
        return sum(hook.under_way for hook in self._hooks.values() if hook.ailing)
