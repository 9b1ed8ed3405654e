"""Explores worlds by the million, on all processors, and goes on where it was stopped."""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.tracing import hush
from tests.simulation.world import Outcome, explore

_AT_ONCE = 25
_LIVES_FOR = 40
"""So many pieces of work, after which a process is replaced: it would grow otherwise."""
_TELL_EVERY_S = 60.0


def _explored(first: int) -> list[Outcome]:
    hush()
    return [explore(seed) for seed in range(first, first + _AT_ONCE)]


@dataclass
class Soak:
    """Worlds from `first` on, so many as `seeds`. `state` is a file that keeps how far it is."""

    first: int
    seeds: int
    state: Path | None
    _failed: list[int] = field(default_factory=list)

    def run(self, jobs: int) -> list[int]:
        """Explore them all; the seeds of worlds in which something did not hold."""
        end = self.first + self.seeds
        at = self._resume()
        began, events, simulated_s, told = time.monotonic(), 0, 0.0, time.monotonic()
        start = at
        context = multiprocessing.get_context("spawn")
        with context.Pool(jobs, maxtasksperchild=_LIVES_FOR) as pool:
            for outcomes in pool.imap(_explored, range(at, end, _AT_ONCE)):
                for outcome in (one for one in outcomes if one.seed < end):
                    at = outcome.seed + 1
                    events += outcome.events
                    simulated_s += outcome.simulated_s
                    if outcome.violation:
                        self._failed.append(outcome.seed)
                        print(f"seed {outcome.seed}: {outcome.violation}", flush=True)
                self._keep(at)
                if time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    self._tell(at, at - start, told - began)
        self._tell(at, at - start, time.monotonic() - began)
        print(f"{events:,} events in {simulated_s / 3600:,.1f} simulated hours")
        return self._failed

    def _tell(self, at: int, done: int, took_s: float) -> None:
        speed = done / took_s if took_s else 0.0
        found = ", ".join(map(str, self._failed)) or "none"
        print(f"{done:,} seeds, up to {at - 1}, {speed:.1f} a second; failed: {found}", flush=True)

    def _resume(self) -> int:
        if self.state is None or not self.state.exists():
            return self.first
        kept = json.loads(self.state.read_text())
        if kept["first"] != self.first:
            return self.first
        self._failed = kept["failed"]
        return max(int(kept["next"]), self.first)

    def _keep(self, at: int) -> None:
        if self.state is not None:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            kept = {"first": self.first, "next": at, "failed": self._failed}
            partial = self.state.with_suffix(".partial")
            partial.write_text(json.dumps(kept))
            partial.replace(self.state)
